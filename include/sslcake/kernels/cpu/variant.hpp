// One set of kernels per instruction set, as a table of functions: the public functions call through the table that
// isa() names, tests walk over all of them.
#pragma once

#include <cstdint>

#include "../../core/dtype.hpp"
#include "../conv_shape.hpp"
#include "isa.hpp"

namespace sslcake::inline v0::kernels {

/// The kernels of one variant, of float32 and of bfloat16 pictures; the first five mean what the public functions of the
/// same names do.
struct Variant {
  void (*gemm)(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
               const float* b, std::int64_t ldb, float* c, std::int64_t ldc, bool accumulate);
  void (*conv2d_forward)(const ConvShape& shape, const float* x, const float* w, float* y);
  void (*conv2d_forward_sums)(const ConvShape& shape, const float* x, const float* w, float* y, const float* center, double* sum,
                              double* sum_sq);
  void (*conv2d_input_grad)(const ConvShape& shape, const float* dy, const float* w, float* dx);
  void (*conv2d_weight_grad)(const ConvShape& shape, const float* x, const float* dy, float* dw);
  // For shapes that pass detail::takes_winograd; null in the reference. The first is the forward pass (with sums per
  // channel unless `sum` is null) or, with input_grad, dx from dy.
  void (*conv2d_winograd)(const ConvShape& shape, bool input_grad, const float* source, const float* w, float* result,
                          const float* center, double* sum, double* sum_sq) = nullptr;
  void (*conv2d_winograd_weight_grad)(const ConvShape& shape, const float* x, const float* dy, float* dw) = nullptr;
  // The same with pictures stored as bfloat16.
  void (*conv2d_winograd_bfloat16)(const ConvShape& shape, bool input_grad, const bfloat16* source, const float* w,
                                   bfloat16* result, const float* center, double* sum, double* sum_sq) = nullptr;
  void (*conv2d_winograd_weight_grad_bfloat16)(const ConvShape& shape, const bfloat16* x, const bfloat16* dy,
                                               float* dw) = nullptr;
  // Products of bfloat16 pairs, where there is an instruction for them; forward pass (with a bias or sums) and input gradient
  // for an even number of source channels in each group.
  void (*conv2d_pairs)(const ConvShape& shape, bool input_grad, const bfloat16* source, const float* w, const float* bias,
                       bfloat16* result, const float* center, double* sum, double* sum_sq) = nullptr;
  void (*conv2d_weight_grad_pairs)(const ConvShape& shape, const bfloat16* x, const bfloat16* dy, float* dw) = nullptr;
  bool pairs_of_any_channels = false;  // odd numbers, and few, are taken as they are
  void (*widen)(std::int64_t count, const bfloat16* from, float* to);
  void (*narrow)(std::int64_t count, const float* from, bfloat16* to);
};

namespace portable { const Variant& variant(); }
#if SSLCAKE_X86
namespace avx2 { const Variant& variant(); }
namespace avx512 { const Variant& variant(); }
namespace amx { const Variant& variant(); }
#endif

/// The kernels of the variant in use.
const Variant& variant();

}  // namespace sslcake::inline v0::kernels

#ifndef SSLCAKE_COMPILED
#include "variant_inl.hpp"
#endif
