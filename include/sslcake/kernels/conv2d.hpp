// Two-dimensional convolution (cross-correlation, as everybody's networks mean it) and its two gradients, on plain
// pointers. Images are N,H,W,C; weights are O,KH,KW,C/groups.
//
//   y[n,p,q,o] = sum over u,v,c of  x[n, p·stride - pad + u·dilation, q·stride - pad + v·dilation, c] · w[o,u,v,c]
//
// with zeros outside the picture. With `groups` = g, output channels are cut into g equal runs and each sees only its
// own run of C/g input channels (g = C: depthwise).
#pragma once

#include "../core/config.hpp"
#include "conv_shape.hpp"

namespace sslcake::inline v0::kernels {

/// y (N,OH,OW,O) = x (N,H,W,C) * w (O,KH,KW,C/groups). Overwrites y.
/// Throws Error for a shape that means nothing: negative extents or padding, strides, dilations or groups below 1,
/// channels not divisible by groups. The result is the same to the bit for every number of threads; so for all below.
void conv2d_forward(const ConvShape& shape, const float* x, const float* w, float* y);
void conv2d_forward(const ConvShape& shape, const double* x, const double* w, double* y);

/// conv2d_forward that also sums its result per channel, while it is still in the cache: sum[o] = sum of d and
/// sum_sq[o] = sum of d·d over all images and pixels, where d = y - center[o]. With M of them, the channel's mean is
/// center + sum/M and its variance sum_sq/M - (sum/M)^2, which cancels badly only if the mean is far from `center`
/// compared with the deviation: batch norm passes its running mean. `center` may be null (zeros).
void conv2d_forward_sums(const ConvShape& shape, const float* x, const float* w, float* y, const float* center, double* sum,
                         double* sum_sq);
void conv2d_forward_sums(const ConvShape& shape, const double* x, const double* w, double* y, const double* center, double* sum,
                         double* sum_sq);

/// dx (N,H,W,C): the gradient with respect to the input, given dy (N,OH,OW,O). Overwrites dx.
void conv2d_input_grad(const ConvShape& shape, const float* dy, const float* w, float* dx);
void conv2d_input_grad(const ConvShape& shape, const double* dy, const double* w, double* dx);

/// dw (O,KH,KW,C/groups): the gradient with respect to the weights, summed over all images. Overwrites dw.
void conv2d_weight_grad(const ConvShape& shape, const float* x, const float* dy, float* dw);
void conv2d_weight_grad(const ConvShape& shape, const double* x, const double* dy, double* dw);

}  // namespace sslcake::inline v0::kernels

#ifndef SSLCAKE_COMPILED
#include "conv2d_inl.hpp"
#endif
