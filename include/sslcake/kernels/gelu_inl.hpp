#pragma once

#include "cpu/gelu_loops.hpp"
#include "gelu.hpp"

namespace sslcake::inline v0::kernels {

SSLCAKE_INLINE void gelu(std::int64_t n, const float* x, float* y) { gelu_loops::table().value(n, x, y); }
SSLCAKE_INLINE void gelu_grad(std::int64_t n, const float* x, const float* dy, float* dx) {
  gelu_loops::table().gradient(n, x, dy, dx);
}

}  // namespace sslcake::inline v0::kernels
