// How a convolution walks over its input.
#pragma once

#include "spatial.hpp"

namespace sslcake::inline v0::ops {

struct ConvOptions {
  HW stride = 1;
  HW padding = 0;           // zeros on each side
  HW dilation = 1;          // distance between the taps of the kernel
  std::int64_t groups = 1;  // channels are cut into as many runs that do not see each other; groups = C: depthwise
};

}  // namespace sslcake::inline v0::ops
