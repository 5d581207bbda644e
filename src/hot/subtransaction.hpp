// A write must not fail because of something that zdm does beside it: that runs in a
// subtransaction.
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
}

namespace zdm {

// Errors that are not the body's: somebody wants the statement to end.
inline bool must_not_be_swallowed(const ErrorData *error) {
    return error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
           ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION;
}

// The error that body was rolled back for, in the caller's memory; nullptr where it was not. Query
// cancel and shutdown are raised.
template <typename Body>
ErrorData *in_subtransaction(Body &&body) {
    MemoryContext caller = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    ErrorData *volatile raised = nullptr;

    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(caller);
    PG_TRY();
    {
        body();
        ReleaseCurrentSubTransaction();
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(caller);
        raised = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
    }
    PG_END_TRY();
    MemoryContextSwitchTo(caller);
    CurrentResourceOwner = owner;
    if (raised != nullptr && must_not_be_swallowed(raised)) ReThrowError(raised);
    return raised;
}

}  // namespace zdm
