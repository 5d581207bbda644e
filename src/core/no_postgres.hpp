// Include last in every C++ file but src/hot: C++ reaches the server through pg/bridge.h only.
#ifdef POSTGRES_H
#error "postgres.h must not be visible to C++; add a function to src/pg/bridge.h"
#endif
