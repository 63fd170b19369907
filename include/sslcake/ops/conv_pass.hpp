// Checks and the three maps of a convolution on tensors (internal): shared by conv2d, conv_transpose2d and conv_norm_act.
#pragma once

#include <vector>

#include "../kernels/conv2d.hpp"
#include "../kernels/conv2d_bfloat16.hpp"
#include "../kernels/norm.hpp"
#include "conv_options.hpp"
#include "on_device.hpp"

namespace sslcake::inline v0::ops::detail {

inline void expect_conv_options(const char* where, HW stride, HW padding, HW dilation, std::int64_t groups) {
  if (stride.h < 1 || stride.w < 1) fail(where, "expected a stride >= 1, got ", stride);
  if (dilation.h < 1 || dilation.w < 1) fail(where, "expected a dilation >= 1, got ", dilation);
  if (padding.h < 0 || padding.w < 0) fail(where, "expected a padding >= 0, got ", padding);
  if (groups < 1) fail(where, "expected groups >= 1, got ", groups);
}

/// Checks x (N,H,W,C) and weight (O,KH,KW,C/groups) and returns the extents of the convolution.
inline kernels::ConvShape conv_shape(const char* where, const Tensor& x, const Tensor& weight, const ConvOptions& options) {
  const auto& [stride, padding, dilation, groups] = options;
  expect_pictures(where, x);
  expect_conv_options(where, stride, padding, dilation, groups);
  if (!weight.defined() || weight.rank() != 4)
    fail(where, "expected weight (O,KH,KW,C/groups), got ", weight.defined() ? weight.shape().str() : "an undefined tensor");
  if (weight.dtype() != parameter_type(x.dtype()))
    fail(where, "expected weight of type ", parameter_type(x.dtype()), " for an input of type ", x.dtype(), ", got ",
         weight.dtype());
  if (x.dim(3) % groups != 0 || weight.dim(0) % groups != 0)
    fail(where, "expected groups that divide ", x.dim(3), " input and ", weight.dim(0), " output channels, got ", groups);
  if (weight.dim(3) * groups != x.dim(3))
    fail(where, "expected weight (O,KH,KW,C/groups) with C/groups = ", x.dim(3) / groups, " for input ", x.shape(), ", got ",
         weight.shape());
  const kernels::ConvShape s{x.dim(0), x.dim(1), x.dim(2),  x.dim(3),  weight.dim(0), weight.dim(1), weight.dim(2),
                             stride.h, stride.w, padding.h, padding.w, dilation.h,    dilation.w,    groups};
  if (s.kh < 1 || s.kw < 1) fail(where, "expected a kernel of at least 1x1, got weight ", weight.shape());
  if (s.oh() < 1 || s.ow() < 1)
    fail(where, "expected pictures at least as large as the kernel, got input ", x.shape(), ", padding ", padding, ", weight ",
         weight.shape(), ", dilation ", dilation);
  return s;
}

// The three maps of a convolution on tensors, in the input's type. An empty operand makes all sums empty.

/// Whether conv_forward adds a bias on the way.
inline bool takes_bias(const Tensor& x, const Tensor& w) {
  return (x.device() == Device::cuda || x.dtype() == DType::bfloat16) && x.numel() > 0 && w.numel() > 0;
}

/// `bias` (O) only where takes_bias says so.
inline Tensor conv_forward(const kernels::ConvShape& s, const Tensor& x, const Tensor& w, const Tensor& bias = {}) {
  const Shape shape{s.n, s.oh(), s.ow(), s.o};
  const bool device = floats_on_cuda("conv2d", x, w);
  if (x.numel() == 0 || w.numel() == 0) return zeros(shape, x.dtype(), x.device());
  Tensor y(shape, x.dtype(), x.device());
  if (device)
    kernels::cuda::table().convolution.forward(x.dtype(), s, x.address(), device_floats(w), device_floats(bias),
                                                y.mutable_address());
  else if (x.dtype() == DType::bfloat16)
    kernels::conv2d_forward(s, x.data<bfloat16>(), w.data<float>(), y.mutable_data<bfloat16>(), bias.data<float>());
  else dispatch_real(x.dtype(), "conv2d", [&](auto zero) {
    using T = decltype(zero);
    kernels::conv2d_forward(s, x.data<T>(), w.data<compute_t<T>>(), y.mutable_data<T>());
  });
  return y;
}

/// The same, and for every channel the mean and the biased variance of the result, summed while it is in the cache.
/// Sums are taken of z - center, a guess of the means (undefined: 0). Where it was so wrong that the variance is what
/// rounding left over, mean and variance come back empty.
inline Tensor conv_forward_moments(const kernels::ConvShape& s, const Tensor& x, const Tensor& w, const Tensor& center,
                                   std::vector<double>& mean, std::vector<double>& variance) {
  if (x.numel() == 0 || w.numel() == 0) return conv_forward(s, x, w);
  Tensor z(Shape{s.n, s.oh(), s.ow(), s.o}, x.dtype());
  mean.resize(static_cast<std::size_t>(s.o));
  variance.resize(mean.size());
  bool reliable = true;
  dispatch_floating(x.dtype(), "conv_norm_act", [&](auto zero) {
    using T = decltype(zero);
    const auto* guess = center.data<compute_t<T>>();
    kernels::conv2d_forward_sums(s, x.data<T>(), w.data<compute_t<T>>(), z.mutable_data<T>(), guess, mean.data(),
                                 variance.data());
    const double count = static_cast<double>(s.n * s.oh() * s.ow());
    for (std::size_t c = 0; c < mean.size(); ++c) {
      const double shift = mean[c] / count, spread = variance[c] / count - shift * shift;
      // Nor where the guess was no number, or so large that squares overflow.
      reliable = reliable && shift * shift <= 1000 * spread && spread < 1e300;
      mean[c] = shift + (guess ? static_cast<double>(guess[c]) : 0.0);
      variance[c] = spread < 0 ? 0 : spread;  // NaN stays NaN
    }
  });
  if (!reliable) mean.clear(), variance.clear();
  return z;
}

/// The same on CUDA: z, and mean and variance (O) in float32, there. False (and nothing done) where the sums are empty.
inline bool conv_forward_moments_on_device(const kernels::ConvShape& s, const Tensor& x, const Tensor& w, Tensor& z, Tensor& mean,
                                           Tensor& variance) {
  if (!floats_on_cuda("conv_norm_act", x, w)) fail("conv_norm_act", "expected tensors on cuda, got one on ", x.device());
  if (x.numel() == 0 || w.numel() == 0) return false;
  z = Tensor(Shape{s.n, s.oh(), s.ow(), s.o}, x.dtype(), x.device());
  mean = Tensor(Shape{s.o}, DType::float32, x.device());
  variance = Tensor(Shape{s.o}, DType::float32, x.device());
  void* to = z.mutable_address();
  float *means = device_floats(mean), *variances = device_floats(variance);
  const auto& table = kernels::cuda::table();
  if (!table.convolution.forward_moments(x.dtype(), s, x.address(), device_floats(w), to, means, variances)) {
    table.convolution.forward(x.dtype(), s, x.address(), device_floats(w), nullptr, to);
    table.norm.channel_moments(x.dtype(), s.n * s.oh() * s.ow(), s.o, to, means, variances);
  }
  return true;
}

inline Tensor conv_input_grad(const kernels::ConvShape& s, const Tensor& dy, const Tensor& w) {
  const Shape shape{s.n, s.h, s.w, s.c};
  const bool device = floats_on_cuda("conv2d", dy, w);
  if (dy.numel() == 0 || w.numel() == 0) return zeros(shape, dy.dtype(), dy.device());
  Tensor dx(shape, dy.dtype(), dy.device());
  if (device) kernels::cuda::table().convolution.input_grad(dy.dtype(), s, dy.address(), device_floats(w), dx.mutable_address());
  else dispatch_floating(dy.dtype(), "conv2d", [&](auto zero) {
    using T = decltype(zero);
    kernels::conv2d_input_grad(s, dy.data<T>(), w.data<compute_t<T>>(), dx.mutable_data<T>());
  });
  return dx;
}

inline Tensor conv_weight_grad(const kernels::ConvShape& s, const Tensor& x, const Tensor& dy) {
  const Shape shape{s.o, s.kh, s.kw, s.group_c()};
  const bool device = floats_on_cuda("conv2d", x, dy);
  if (dy.numel() == 0 || x.numel() == 0) return zeros(shape, parameter_type(x.dtype()), x.device());
  Tensor dw(shape, parameter_type(x.dtype()), x.device());
  if (device) kernels::cuda::table().convolution.weight_grad(x.dtype(), s, x.address(), dy.address(), device_floats(dw));
  else dispatch_floating(x.dtype(), "conv2d", [&](auto zero) {
    using T = decltype(zero);
    kernels::conv2d_weight_grad(s, x.data<T>(), dy.data<T>(), dw.mutable_data<compute_t<T>>());
  });
  return dw;
}

/// The gradient of a bias along the last dimension: Σ over all others of dy.
inline Tensor bias_grad(const Tensor& dy) {
  const std::int64_t channels = dy.shape().back(), rows = channels ? dy.numel() / channels : 0;
  Tensor db = zeros(Shape{channels}, parameter_type(dy.dtype()), dy.device());
  if (rows == 0) return db;
  if (floats_on_cuda("bias", dy)) {
    kernels::cuda::table().reduce.column_sums(dy.dtype(), rows, channels, dy.address(), device_floats(db));
    return db;
  }
  std::vector<double> sums(static_cast<std::size_t>(channels));
  dispatch_floating(dy.dtype(), "bias", [&](auto zero) {
    using T = decltype(zero);
    kernels::column_sums<T>(rows, channels, dy.data<T>(), sums.data());
    auto* to = db.mutable_data<compute_t<T>>();
    for (std::size_t c = 0; c < sums.size(); ++c) to[c] = static_cast<compute_t<T>>(sums[c]);
  });
  return db;
}

}  // namespace sslcake::inline v0::ops::detail
