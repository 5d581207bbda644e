// One error type for both worlds: a server error travelling through C++. Born in the server (check)
// or here (raise); both carry the full ErrorData, so nothing is lost on the way back.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "pg/bridge.h"

namespace zdm {

// SQLSTATEs of class ZD. Where a server code fits, that one is used instead.
namespace sqlstate {
constexpr auto not_ready = "ZD001";               // assert_ready, cutover refused
constexpr auto same_transaction = "ZD002";        // waiting for what this transaction started
constexpr auto discrepancies = "ZD003";           // old and new do not agree
constexpr auto unsupported = "ZD004";             // the message names what stands in the way
constexpr auto conflicting_definition = "ZD005";  // same name, other request
constexpr auto timed_out = "ZD006";               // wait
constexpr auto wrong_phase = "ZD007";             // the message says what to do instead
constexpr auto not_owner = "42501";
constexpr auto undefined_table = "42P01";
constexpr auto undefined_column = "42703";
constexpr auto duplicate_column = "42701";
constexpr auto undefined_object = "42704";
constexpr auto invalid_parameter = "22023";
constexpr auto read_only = "25006";
constexpr auto lock_not_available = "55P03";
constexpr auto query_canceled = "57014";
constexpr auto deadlock_detected = "40P01";
constexpr auto shut_down = "57P01";
constexpr auto crash_shut_down = "57P02";
constexpr auto unique_violation = "23505";
}  // namespace sqlstate

class Error : public std::exception {
  public:
    explicit Error(ErrorData *owned) noexcept : data_(owned) {}
    Error(Error &&other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
    Error(const Error &) = delete;
    ~Error() override { zdm_error_free(data_); }

    const char *what() const noexcept override { return zdm_error_message(data_); }
    std::string detail() const { return zdm_error_detail(data_); }
    std::string sqlstate() const { return zdm_error_sqlstate(data_); }
    std::string format() const { return zdm_error_format(data_); }
    bool is_own() const { return zdm_error_is_own(data_); }
    bool is_lost_lock() const {
        return sqlstate() == sqlstate::lock_not_available ||
               sqlstate() == sqlstate::deadlock_detected;
    }
    // Class 57: cancelled, or this process has to go.
    bool is_interruption() const { return sqlstate().substr(0, 2) == "57"; }
    // It has to go, at once.
    bool is_shut_down() const {
        return sqlstate() == sqlstate::shut_down || sqlstate() == sqlstate::crash_shut_down;
    }
    bool has_place() const { return zdm_error_has_place(data_); }

    // Gives the ErrorData away, to C code that will raise and free it.
    ErrorData *release() noexcept { return std::exchange(data_, nullptr); }

  private:
    ErrorData *data_;
};

// Turns a bridge result into an exception.
inline void check(ErrorData *error) {
    if (error != nullptr) throw Error(error);
}

struct Notes {
    std::string detail;
    std::string hint;
};

// Throws a new error: raise("55000", {"the detail", "the hint"}, "column {} ...", name).
template <typename... Arguments>
[[noreturn]] void raise(const char *sqlstate, const Notes &notes,
                        fmt::format_string<Arguments...> text, Arguments &&...arguments) {
    throw Error(zdm_error_make(sqlstate,
                               fmt::format(text, std::forward<Arguments>(arguments)...).c_str(),
                               notes.detail.c_str(), notes.hint.c_str()));
}

}  // namespace zdm
