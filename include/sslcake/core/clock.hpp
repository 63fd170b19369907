// Time that has passed. <chrono> would tell it too, and is dear to compile.
#pragma once

#include <ctime>

namespace sslcake::inline v0 {

/// Seconds on a clock that never goes back or jumps. Its zero has no meaning: take differences.
inline double monotonic_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace sslcake::inline v0
