// What everybody may read of an error. zdm.status, zdm.step, zdm.event and NOTIFY are for all, the
// values of rows for the table's owner alone (zdm.discrepancy); and what the server or an owner's
// function says of a value mostly quotes it.
#pragma once

#include <string>

#include "core/error.hpp"
#include "state/migration.hpp"

namespace zdm {

// The error's text, and its detail, without what may be data of a row. Where something is left out
// the text says so, and the server log has the whole.
std::string public_text(const Migration &migration, const Error &error);

// The first error, where what follows from it fails for good, too: "<first>; and <what>: <second>".
[[noreturn]] void raise_both(const Migration &migration, const Error &first, const char *what,
                             const Error &second);

}  // namespace zdm
