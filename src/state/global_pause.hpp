// zdm.pause_all: while its one row is there the worker of this database does nothing.
#pragma once

namespace zdm {

bool everything_is_paused();
// False: it is so already.
bool pause_everything();
bool resume_everything();

}  // namespace zdm
