// The whole tuned text for one instruction set, closed by its table of functions. The including file defines the
// macros that tile.hpp names; this one takes them back, so that it can be read again for the next.
#if defined(SSLCAKE_SIMD_NAMESPACE)

#include "tile.hpp"
//
#include "bfloat.hpp"
//
#include "gemm.hpp"
//
#include "depthwise.hpp"
//
#include "correlate.hpp"
//
#include "weight_grad.hpp"
//
#include "winograd_transform.hpp"
//
#include "winograd.hpp"
//
#include "pairs.hpp"

namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE {

SSLCAKE_INLINE const Variant& variant() {
  static constexpr Variant table{.gemm = gemm,
                                 .conv2d_forward = conv2d_forward,
                                 .conv2d_forward_sums = conv2d_forward_sums,
                                 .conv2d_input_grad = conv2d_input_grad,
                                 .conv2d_weight_grad = conv2d_weight_grad,
                                 .conv2d_winograd = conv2d_winograd<float>,
                                 .conv2d_winograd_weight_grad = conv2d_winograd_weight_grad<float>,
                                 .conv2d_winograd_bfloat16 = conv2d_winograd<bfloat16>,
                                 .conv2d_winograd_weight_grad_bfloat16 = conv2d_winograd_weight_grad<bfloat16>,
#if defined(SSLCAKE_SIMD_PAIRS)
                                 .conv2d_pairs = conv2d_pairs,
                                 .conv2d_weight_grad_pairs = conv2d_weight_grad_pairs,
#endif
                                 .widen = widen,
                                 .narrow = narrow};
  return table;
}

}  // namespace sslcake::inline v0::kernels::SSLCAKE_SIMD_NAMESPACE

#undef SSLCAKE_SIMD_NAMESPACE
#undef SSLCAKE_SIMD_TARGET
#undef SSLCAKE_SIMD_LANES
#undef SSLCAKE_SIMD_ROWS
#undef SSLCAKE_SIMD_PAIRS
#undef SSLCAKE_SIMD_PAIRS_ASM

#endif
