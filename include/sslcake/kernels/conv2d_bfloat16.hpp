// The convolutions of conv2d.hpp for pictures in bfloat16: through Winograd's transform, on pairs of bfloat16 where the CPU
// multiplies those, or by the float32 kernels on a few widened images at a time.
#pragma once

#include "../core/dtype.hpp"
#include "conv_shape.hpp"

namespace sslcake::inline v0::kernels {

/// conv2d.hpp has what these compute and throw. Weights and their gradient are float32, so are all sums; each result is rounded
/// once. (Sums per channel are those of the results before they are rounded, or after it, as the kernel finds it.) `bias`, one
/// number per result channel, is added before that.
void conv2d_forward(const ConvShape& shape, const bfloat16* x, const float* w, bfloat16* y, const float* bias = nullptr);
void conv2d_forward_sums(const ConvShape& shape, const bfloat16* x, const float* w, bfloat16* y, const float* center, double* sum,
                         double* sum_sq);
void conv2d_input_grad(const ConvShape& shape, const bfloat16* dy, const float* w, bfloat16* dx);
void conv2d_weight_grad(const ConvShape& shape, const bfloat16* x, const bfloat16* dy, float* dw);

}  // namespace sslcake::inline v0::kernels

#ifndef SSLCAKE_COMPILED
#include "conv2d_bfloat16_inl.hpp"
#endif
