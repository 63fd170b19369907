// Two-dimensional convolution and its transpose. The arithmetic is in kernels/conv2d.hpp; here are checks and gradients.
//
//   conv2d             y[n,p,q,o] = b[o] + Σ_{u,v,i} x[n, p·s - P + u·D, q·s - P + v·D, i] · w[o,u,v,i]
//   conv_transpose2d   the linear map that is the gradient of conv2d with respect to its input (Dumoulin and Visin,
//                      "A guide to convolution arithmetic for deep learning", 2016, arXiv 1603.07285)
//
// Stride s, padding P (zeros) and dilation D hold for height and width alike unless given as pairs {height, width}.
#pragma once

#include "../autograd/tape.hpp"
#include "conv_options.hpp"

namespace sslcake::inline v0::ops {

/// x (N,H,W,C), weight (O,KH,KW,C/groups) -> (N,OH,OW,O) with OH = (H + 2P - D(KH-1) - 1) / s + 1, rounded down.
/// x is float32 or float64 with weight and bias of its type, or bfloat16 with both in float32; y is of x's type. On CUDA no
/// float64.
/// Errors: shapes that do not fit, a kernel larger than the padded picture, groups that do not divide C and O.
Tensor conv2d(const Tensor& x, const Tensor& weight, const ConvOptions& options = {});
/// The same plus bias (O); an undefined bias is none.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options = {});

struct ConvTransposeOptions {
  HW stride = 1;
  HW padding = 0;         // rows and columns cut off on each side of the result
  HW output_padding = 0;  // rows and columns added at the lower right, less than the stride: which of the sizes
                          // that conv2d maps to H is meant
  HW dilation = 1;
  std::int64_t groups = 1;
};

/// x (N,H,W,I), weight (I,KH,KW,O/groups) -> (N,OH,OW,O) with OH = (H-1)s - 2P + D(KH-1) + output_padding + 1.
/// The weight's layout is Layout::conv_transpose: files of PyTorch hold it as (I,O/groups,KH,KW).
/// Types as for conv2d. Errors: shapes that do not fit, output_padding not below the stride, a result without pixels.
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const ConvTransposeOptions& options = {});
/// The same plus bias (O); an undefined bias is none.
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvTransposeOptions& options = {});

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "conv_inl.hpp"
#endif
