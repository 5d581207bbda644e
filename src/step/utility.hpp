#pragma once

#include <string>

namespace zdm {

// Runs a statement that manages transactions itself (CREATE INDEX CONCURRENTLY, ANALYZE ...), with
// none around it, and shows it in pg_stat_activity. The server itself switches to the table's owner
// for the owner's code.
void run_utility(const std::string &sql);

}  // namespace zdm
