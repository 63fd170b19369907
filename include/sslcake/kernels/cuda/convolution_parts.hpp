// The parts of the convolution that lie in files of their own (internal to convolution.cu and its tests).
#pragma once

#include "../../core/dtype.hpp"
#include "../conv_shape.hpp"

namespace sslcake::inline v0::kernels::cuda {

// Any shape (groups, dilation, odd channels), in float32 or bfloat16: slow but right.
void conv_forward_any(DType type, const ConvShape& s, const void* x, const float* w, const float* bias, void* y);
void conv_input_grad_any(DType type, const ConvShape& s, const void* dy, const float* w, void* dx);
void conv_weight_grad_any(DType type, const ConvShape& s, const void* x, const void* dy, float* dw);

/// bfloat16 on tensor cores; false (and nothing done) where the shape is not one of its own.
bool conv_weight_grad_bfloat16(const ConvShape& s, const void* x, const void* dy, float* dw);

/// Which of the tensor-core tiles is taken, whatever the shape; -1: the one that fits best. For tests and measurements.
/// From convolution_tiles on: the kernels for 3x3 taps that keep their pixels (convolution_halo.cuh) where they fit, else as -1.
inline constexpr int convolution_tiles = 5, convolution_halos = 2;
int& forced_convolution_tile();

}  // namespace sslcake::inline v0::kernels::cuda
