#include "pace/idle_cores.hpp"

#include <fstream>
#include <string>

#include <unistd.h>

#include "core/no_postgres.hpp"

namespace zdm {

// proc(5), /proc/stat: "cpu", then user, nice, system, idle, iowait ... in ticks.
std::optional<double> idle_core_seconds() {
    std::ifstream file("/proc/stat");
    std::string label;
    double user = 0, nice = 0, system = 0, idle = 0, waiting = 0;
    if (!(file >> label >> user >> nice >> system >> idle >> waiting)) return std::nullopt;
    return (idle + waiting) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace zdm
