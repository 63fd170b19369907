// Compiled once for each of two states of the library, with SSLCAKE_SIDE the name of its table and the inline namespace
// renamed (-Dv0=...), so that both fit into one program.
#include <sslcake/core/dtype.hpp>
#include <sslcake/core/threads.hpp>
#include <sslcake/kernels/conv2d.hpp>
#include <sslcake/kernels/conv2d_bfloat16.hpp>
#include <sslcake/kernels/gemm.hpp>

#include "side.hpp"

namespace {

namespace kernels = sslcake::kernels;

void product(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b,
             float* c) {
  kernels::gemm(trans_a, trans_b, m, n, k, a, trans_a ? m : k, b, trans_b ? k : n, c, n);
}

template <class T>
void convolve_as(const kernels::ConvShape& s, int direction, const void* first, const void* second, void* result) {
  const T* pictures = static_cast<const T*>(first);
  if (direction == 0) kernels::conv2d_forward(s, pictures, static_cast<const float*>(second), static_cast<T*>(result));
  else if (direction == 1) kernels::conv2d_input_grad(s, pictures, static_cast<const float*>(second), static_cast<T*>(result));
  else kernels::conv2d_weight_grad(s, pictures, static_cast<const T*>(second), static_cast<float*>(result));
}

void convolve(const Extents& e, int direction, bool bfloat16, const void* first, const void* second, void* result) {
  const kernels::ConvShape s{.n = e.n,
                             .h = e.size,
                             .w = e.size,
                             .c = e.c,
                             .o = e.o,
                             .kh = e.kernel,
                             .kw = e.kernel,
                             .stride_h = e.stride,
                             .stride_w = e.stride,
                             .pad_h = e.kernel / 2,
                             .pad_w = e.kernel / 2};
  if (bfloat16) convolve_as<sslcake::bfloat16>(s, direction, first, second, result);
  else convolve_as<float>(s, direction, first, second, result);
}

}  // namespace

extern "C" const Side SSLCAKE_SIDE{sslcake::set_threads, product, convolve};
