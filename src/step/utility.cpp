#include "step/utility.hpp"

#include "core/error.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

void run_utility(const std::string &sql) {
    check(zdm_report_activity(sql.c_str()));
    try {
        check(zdm_run_utility(sql.c_str()));
    } catch (...) {
        check(zdm_transaction_abort());
        throw;
    }
}

}  // namespace zdm
