// What every convolution checks first (internal).
#pragma once

#include "../core/error.hpp"
#include "conv_shape.hpp"

namespace sslcake::inline v0::kernels::detail {

/// A kernel reads memory by these numbers alone, so nonsense is refused before anything is touched.
inline void check(const ConvShape& s) {
  if (s.n < 0 || s.h < 0 || s.w < 0 || s.c < 0 || s.o < 0 || s.kh < 1 || s.kw < 1)
    fail("conv2d", "expected extents >= 0 and a kernel of at least 1x1, got input (", s.n, ",", s.h, ",", s.w, ",", s.c,
         "), ", s.o, " output channels, kernel ", s.kh, "x", s.kw);
  if (s.stride_h < 1 || s.stride_w < 1 || s.dilation_h < 1 || s.dilation_w < 1 || s.pad_h < 0 || s.pad_w < 0)
    fail("conv2d", "expected stride and dilation >= 1 and padding >= 0, got stride (", s.stride_h, ",", s.stride_w,
         "), dilation (", s.dilation_h, ",", s.dilation_w, "), padding (", s.pad_h, ",", s.pad_w, ")");
  if (s.groups < 1 || s.c % s.groups != 0 || s.o % s.groups != 0)
    fail("conv2d", "expected groups that divide both channel counts, got groups = ", s.groups, " for ", s.c,
         " input and ", s.o, " output channels");
}

}  // namespace sslcake::inline v0::kernels::detail
