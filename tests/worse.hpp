// The largest of many errors, in which one that is not a number counts as infinite: std::max passes over it.
#pragma once

#include <limits>

namespace test {

/// The larger of the two; infinity if `error` is not a number.
inline double worse(double worst, double error) {
  return error <= worst ? worst : error > worst ? error : std::numeric_limits<double>::infinity();
}

}  // namespace test
