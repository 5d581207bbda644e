/*
 * api.h - the C++ functions that SQL functions call, one for each. All are noexcept: what goes
 * wrong comes back as an ErrorData. Text that comes back lives in the caller's memory.
 */
#pragma once

#include "pg/bridge.h"

#ifdef __cplusplus
extern "C" {
#define ZDM_NOEXCEPT noexcept
#else
#define ZDM_NOEXCEPT
#endif

/* NULL = SQL NULL in every const char * here. */
typedef struct ZdmTextArray {
    int count; /* -1 = SQL NULL */
    const char *const *values;
} ZdmTextArray;

/* start.cpp */
ErrorData *zdm_api_change_type(uint32_t relation, const char *column, const char *new_type,
                               const char *forward, const char *reverse, bool cascade,
                               const char *name, const char **result) ZDM_NOEXCEPT;
ErrorData *zdm_api_rename_column(uint32_t relation, const char *column, const char *new_name,
                                 const char *name, const char **result) ZDM_NOEXCEPT;
ErrorData *zdm_api_replace_columns(uint32_t relation, ZdmTextArray old_columns,
                                   ZdmTextArray new_columns, ZdmTextArray forward,
                                   ZdmTextArray reverse, const char *name,
                                   const char **result) ZDM_NOEXCEPT;

ErrorData *zdm_api_create_index(const char *definition, const char *name,
                                const char **result) ZDM_NOEXCEPT;

ErrorData *zdm_api_drop_index(uint32_t index, const char *name, const char **result) ZDM_NOEXCEPT;

ErrorData *zdm_api_add_column(uint32_t relation, const char *column, const char *type,
                              const char *value, bool not_null, const char *column_default,
                              const char *name, const char **result) ZDM_NOEXCEPT;
ErrorData *zdm_api_set_not_null(uint32_t relation, const char *column, const char *value,
                                const char *name, const char **result) ZDM_NOEXCEPT;
ErrorData *zdm_api_drop_column(uint32_t relation, const char *column, const char *name,
                               const char **result) ZDM_NOEXCEPT;
ErrorData *zdm_api_split_table(uint32_t relation, const char *new_table, ZdmTextArray columns,
                               const char *name, const char **result) ZDM_NOEXCEPT;
ErrorData *zdm_api_add_constraint(uint32_t relation, const char *constraint_name,
                                  const char *definition, const char *name,
                                  const char **result) ZDM_NOEXCEPT;

/* steer.cpp */
ErrorData *zdm_api_cutover(const char *name, const char **result) ZDM_NOEXCEPT;
ErrorData *zdm_api_revert(const char *name, const char **result) ZDM_NOEXCEPT;
ErrorData *zdm_api_contract(const char *name, bool force, const char **result) ZDM_NOEXCEPT;
ErrorData *zdm_api_abort(const char *name, const char **result) ZDM_NOEXCEPT;
ErrorData *zdm_api_pause(const char *name, const char **result) ZDM_NOEXCEPT;
ErrorData *zdm_api_resume(const char *name, const char **result) ZDM_NOEXCEPT;
ErrorData *zdm_api_configure(const char *name, const char *setting, const char *value,
                             const char **result) ZDM_NOEXCEPT;
ErrorData *zdm_api_wake(int32_t *unfinished) ZDM_NOEXCEPT;
ErrorData *zdm_api_pause_all(int32_t *unfinished) ZDM_NOEXCEPT;
ErrorData *zdm_api_resume_all(int32_t *unfinished) ZDM_NOEXCEPT;

/* wait.cpp. atomic: the caller holds a transaction open, so there is nothing to wait in. */
ErrorData *zdm_api_wait(const char *name, const char *phase, bool has_timeout, int timeout_seconds,
                        bool atomic) ZDM_NOEXCEPT;

/* look.cpp */
ErrorData *zdm_api_verify(const char *name, int64_t *count) ZDM_NOEXCEPT;
ErrorData *zdm_api_repair(const char *name, int64_t *count) ZDM_NOEXCEPT;
ErrorData *zdm_api_assert_ready(const char *name) ZDM_NOEXCEPT;

#ifdef __cplusplus
}
#endif
