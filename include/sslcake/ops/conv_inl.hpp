#pragma once

#include <algorithm>

#include "../core/threads.hpp"
#include "arithmetic.hpp"
#include "conv.hpp"
#include "conv_pass.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

/// y (N,OH,OW,O) += bias (O), in place.
inline void add_channel_bias(Tensor& y, const Tensor& bias) {
  if (on_cuda("conv2d", y, bias)) {
    const NoGrad without;
    y = add(y, bias.to(y.dtype()));
    return;
  }
  const std::int64_t channels = bias.numel(), rows = channels ? y.numel() / channels : 0;
  dispatch_floating(y.dtype(), "conv2d", [&](auto zero) {
    using S = decltype(zero);
    using T = compute_t<S>;
    S* p = y.mutable_data<S>();
    const T* b = bias.data<T>();
    parallel_for(rows, 1 + (1 << 15) / std::max<std::int64_t>(channels, 1), [&](std::int64_t begin, std::int64_t end) {
      for (auto r = begin; r < end; ++r)
        for (std::int64_t c = 0; c < channels; ++c) p[r * channels + c] = S(static_cast<T>(p[r * channels + c]) + b[c]);
    });
  });
}

}  // namespace detail

SSLCAKE_INLINE Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  const auto s = detail::conv_shape("conv2d", x, weight, options);
  if (bias.defined()) detail::expect_operand("conv2d", "bias", bias, Shape{s.o}, detail::parameter_type(x.dtype()));
  detail::on_cuda("conv2d", x, weight, bias);  // fails where they are on different devices
  const bool fused = detail::takes_bias(x, weight);
  Tensor y = detail::conv_forward(s, x, weight, fused ? bias : Tensor{});
  if (bias.defined() && !fused) detail::add_channel_bias(y, bias);
  // The input is needed for dw only, the weight for dx only.
  autograd::Saved sx, sw;
  if (weight.requires_grad()) sx = autograd::Saved(x);
  if (x.requires_grad()) sw = autograd::Saved(weight);
  return autograd::record("conv2d", {x, weight, bias}, y, [s, sx, sw](autograd::Backward& b) {
    if (b.needs(0)) b.give(0, detail::conv_input_grad(s, b.grad(), sw.get()));
    if (b.needs(1)) b.give(1, detail::conv_weight_grad(s, sx.get(), b.grad()));
    if (b.needs(2)) b.give(2, detail::bias_grad(b.grad()));
  });
}

SSLCAKE_INLINE Tensor conv2d(const Tensor& x, const Tensor& weight, const ConvOptions& options) {
  return conv2d(x, weight, Tensor{}, options);
}

SSLCAKE_INLINE Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                       const ConvTransposeOptions& options) {
  constexpr const char* op = "conv_transpose2d";
  const auto& [stride, padding, extra, dilation, groups] = options;
  detail::expect_pictures(op, x);
  detail::expect_conv_options(op, stride, padding, dilation, groups);
  if (!weight.defined() || weight.rank() != 4 || weight.dim(0) != x.dim(3))
    fail(op, "expected weight (I,KH,KW,O/groups) with I = ", x.dim(3), ", got ",
         weight.defined() ? weight.shape().str() : "an undefined tensor");
  const DType type = detail::parameter_type(x.dtype());
  if (weight.dtype() != type)
    fail(op, "expected weight of type ", type, " for an input of type ", x.dtype(), ", got ", weight.dtype());
  if (x.dim(3) % groups != 0) fail(op, "expected groups that divide the ", x.dim(3), " input channels, got ", groups);
  if (weight.dim(1) < 1 || weight.dim(2) < 1) fail(op, "expected a kernel of at least 1x1, got weight ", weight.shape());
  if (extra.h < 0 || extra.w < 0 || extra.h >= stride.h || extra.w >= stride.w)
    fail(op, "expected an output_padding of at least 0 and below the stride ", stride, ", got ", extra);
  const auto extent = [](std::int64_t in, std::int64_t s, std::int64_t p, std::int64_t d, std::int64_t k, std::int64_t more) {
    return (in - 1) * s - 2 * p + d * (k - 1) + more + 1;
  };
  const auto oh = extent(x.dim(1), stride.h, padding.h, dilation.h, weight.dim(1), extra.h);
  const auto ow = extent(x.dim(2), stride.w, padding.w, dilation.w, weight.dim(2), extra.w);
  if (x.dim(1) < 1 || x.dim(2) < 1 || oh < 1 || ow < 1)
    fail(op, "expected a result of at least one pixel, got ", oh, "x", ow, " for input ", x.shape(), ", weight ", weight.shape(),
         " and padding ", padding);

  // The convolution whose input gradient this is: from our result (N,OH,OW,O) to our input (N,H,W,I).
  const kernels::ConvShape s{x.dim(0),
                             oh,
                             ow,
                             weight.dim(3) * groups,
                             x.dim(3),
                             weight.dim(1),
                             weight.dim(2),
                             stride.h,
                             stride.w,
                             padding.h,
                             padding.w,
                             dilation.h,
                             dilation.w,
                             groups};
  detail::on_cuda(op, x, weight, bias);  // fails where they are on different devices
  Tensor y = detail::conv_input_grad(s, x, weight);
  if (bias.defined()) {
    detail::expect_operand(op, "bias", bias, Shape{s.c}, type);
    detail::add_channel_bias(y, bias);
  }
  autograd::Saved sx, sw;
  if (weight.requires_grad()) sx = autograd::Saved(x);
  if (x.requires_grad()) sw = autograd::Saved(weight);
  return autograd::record("conv_transpose2d", {x, weight, bias}, y, [s, sx, sw](autograd::Backward& b) {
    if (b.needs(0)) b.give(0, detail::conv_forward(s, b.grad(), sw.get()));
    if (b.needs(1)) b.give(1, detail::conv_weight_grad(s, b.grad(), sx.get()));
    if (b.needs(2)) b.give(2, detail::bias_grad(b.grad()));
  });
}

SSLCAKE_INLINE Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const ConvTransposeOptions& options) {
  return conv_transpose2d(x, weight, Tensor{}, options);
}

}  // namespace sslcake::inline v0::ops
