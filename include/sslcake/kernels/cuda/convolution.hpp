// Two-dimensional convolution on the GPU: the three maps of it, and the forward pass with its channels' moments.
#pragma once

#include "../../core/dtype.hpp"
#include "../conv_shape.hpp"

namespace sslcake::inline v0::kernels::cuda {

/// x (N,H,W,C), y and dy (N,OH,OW,O) and dx are float32 or bfloat16 as `type` says; w, dw (O,KH,KW,C/groups), bias (O), mean
/// and variance (O) are float32. Everything written is overwritten. In bfloat16 the weights are rounded to it, sums are float32.
struct Convolution {
  /// y = x * w + bias; bias may be null.
  void (*forward)(DType type, const ConvShape& s, const void* x, const float* w, const float* bias, void* y) = nullptr;
  /// y = x * w, and for every channel the mean and the biased variance of y over N, OH and OW, summed before y leaves the
  /// chip. False (and nothing done) where the shape or type has no such kernel.
  bool (*forward_moments)(DType type, const ConvShape& s, const void* x, const float* w, void* y, float* mean,
                          float* variance) = nullptr;
  void (*input_grad)(DType type, const ConvShape& s, const void* dy, const float* w, void* dx) = nullptr;
  void (*weight_grad)(DType type, const ConvShape& s, const void* x, const void* dy, float* dw) = nullptr;
};
void install(Convolution& table);  // convolution.cu

}  // namespace sslcake::inline v0::kernels::cuda
