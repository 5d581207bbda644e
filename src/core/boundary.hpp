#pragma once

#include <new>

#include "core/error.hpp"

namespace zdm {

// Runs body and returns what it threw, as an error that C can raise. The only catch-all in the code
// base: every extern "C" function is one call to it.
template <typename Body>
ErrorData *boundary(Body &&body) noexcept {
    try {
        body();
        return nullptr;
    } catch (Error &error) {
        return error.release();
    } catch (const std::bad_alloc &) {
        return zdm_error_make("53200", "out of memory", "", "");
    } catch (const std::exception &error) {
        return zdm_error_make("XX000", error.what(), "", "");
    } catch (...) {
        return zdm_error_make("XX000", "unknown C++ exception", "", "");
    }
}

}  // namespace zdm
