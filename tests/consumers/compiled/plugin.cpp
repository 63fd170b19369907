#include "../check.hpp"

int run_check() { return check(); }
