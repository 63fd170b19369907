#pragma once

#include <cmath>
#include <utility>

#include "../kernels/norm.hpp"
#include "channel_norm.hpp"
#include "on_device.hpp"
#include "spatial.hpp"

namespace sslcake::inline v0::ops::detail {

/// One number per channel; `fallback` where the tensor is undefined.
template <class T>
std::vector<double> channel_values(const Tensor& t, std::size_t channels, double fallback) {
  if (!t.defined()) return std::vector<double>(channels, fallback);
  const T* p = t.data<T>();
  return {p, p + channels};
}

template <class T>
std::vector<T> rounded(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

/// gamma·(z - mean)·inverse_deviation + beta = z·scale + shift.
template <class T>
struct ScaleShift {
  std::vector<T> scale, shift;
  ScaleShift(const ChannelStatistics& s, const Tensor& gamma, const Tensor& beta) : scale(s.mean.size()), shift(s.mean.size()) {
    const auto g = channel_values<T>(gamma, s.mean.size(), 1), b = channel_values<T>(beta, s.mean.size(), 0);
    for (std::size_t c = 0; c < scale.size(); ++c) {
      scale[c] = static_cast<T>(g[c] * s.inverse_deviation[c]);
      shift[c] = static_cast<T>(b[c] - s.mean[c] * g[c] * s.inverse_deviation[c]);
    }
  }
};

SSLCAKE_INLINE void expect_norm_state(const char* where, const NormState& norm, std::int64_t count, DType dtype) {
  const Shape channels{count};
  const auto check = [&](const char* name, const Tensor& t) {
    if (t.defined()) expect_operand(where, name, t, channels, dtype);
  };
  check("gamma", norm.gamma);
  check("beta", norm.beta);
  check("running_mean", norm.running_mean);
  check("running_var", norm.running_var);
  if (norm.running_mean.defined() != norm.running_var.defined())
    fail(where, "expected running_mean and running_var both, or neither");
  if (norm.num_batches_tracked.defined() &&
      (norm.num_batches_tracked.dtype() != DType::int64 || norm.num_batches_tracked.numel() != 1))
    fail(where, "expected num_batches_tracked to be one int64, got ", norm.num_batches_tracked.dtype(), " of shape ",
         norm.num_batches_tracked.shape());
  if (!(norm.eps >= 0)) fail(where, "expected eps >= 0, got ", norm.eps);
  if (!(norm.momentum >= 0 && norm.momentum <= 1)) fail(where, "expected a momentum in [0,1], got ", norm.momentum);
}

/// running = (1 - momentum)·running + momentum·batch.
template <class T>
void update_running(const NormState& norm, const ChannelStatistics& s, const std::vector<double>& variance) {
  const double m = norm.momentum, unbiased = static_cast<double>(s.rows) / static_cast<double>(s.rows - 1);
  const auto blend = [m](T running, double batch) { return static_cast<T>((1 - m) * static_cast<double>(running) + m * batch); };
  if (norm.running_mean.defined()) {
    Tensor mean = norm.running_mean, var = norm.running_var;  // handles: the caller's numbers change
    T *running_mean = mean.mutable_data<T>(), *running_var = var.mutable_data<T>();
    for (std::size_t c = 0; c < variance.size(); ++c) {
      running_mean[c] = blend(running_mean[c], s.mean[c]);
      running_var[c] = blend(running_var[c], unbiased * variance[c]);
    }
  }
  if (norm.num_batches_tracked.defined()) {
    Tensor counter = norm.num_batches_tracked;
    ++*counter.mutable_data<std::int64_t>();
  }
}

/// The rows of ChannelStatistics::on_device.
struct DeviceRows {
  const float *mean, *inverse_deviation, *scale, *shift;
  explicit DeviceRows(const ChannelStatistics& s)
      : mean(device_floats(s.on_device)),
        inverse_deviation(mean + s.on_device.dim(1)),
        scale(inverse_deviation + s.on_device.dim(1)),
        shift(scale + s.on_device.dim(1)) {}
};

/// Everything that channel_statistics does once the arguments are checked, without a word to the host.
inline void statistics_on_cuda(const Tensor& z, const NormState& norm, ChannelMoments moments, ChannelStatistics& s) {
  const std::int64_t channels = z.shape().back();
  const auto& passes = kernels::cuda::table().norm;
  if (!s.of_batch) {
    moments.mean_on_device = norm.running_mean;
    moments.variance_on_device = norm.running_var;
  } else if (!moments.mean_on_device.defined()) {
    moments.mean_on_device = Tensor(Shape{channels}, DType::float32, z.device());
    moments.variance_on_device = Tensor(Shape{channels}, DType::float32, z.device());
    passes.channel_moments(z.dtype(), s.rows, channels, z.address(), device_floats(moments.mean_on_device),
                           device_floats(moments.variance_on_device));
  }
  s.on_device = Tensor(Shape{4, channels}, DType::float32, z.device());
  float* to = device_floats(s.on_device);
  kernels::cuda::ChannelCoefficients k{};
  k.mean = device_floats(std::as_const(moments.mean_on_device));
  k.variance = device_floats(std::as_const(moments.variance_on_device));
  k.gamma = device_floats(norm.gamma);
  k.beta = device_floats(norm.beta);
  if (norm.training) {  // handles: the caller's numbers change
    Tensor mean = norm.running_mean, var = norm.running_var, counter = norm.num_batches_tracked;
    k.running_mean = device_floats(mean);
    k.running_var = device_floats(var);
    k.counter = static_cast<std::int64_t*>(counter.mutable_address());
  }
  k.rows = s.rows;
  k.momentum = norm.momentum;
  k.eps = norm.eps;
  k.mean_kept = to;
  k.inverse_deviation = to + channels;
  k.scale = to + 2 * channels;
  k.shift = to + 3 * channels;
  passes.channel_coefficients(channels, k);
}

SSLCAKE_INLINE ChannelStatistics channel_statistics(const char* where, const Tensor& z, const NormState& norm,
                                                    ChannelMoments moments) {
  const std::int64_t channels = z.shape().back();
  ChannelStatistics s;
  s.rows = channels ? z.numel() / channels : 0;
  s.of_batch = wants_batch_statistics(norm);
  const bool cuda =
      floats_on_cuda(where, z, norm.gamma, norm.beta, norm.running_mean, norm.running_var, norm.num_batches_tracked);
  if (!cuda) s.inverse_deviation.assign(static_cast<std::size_t>(channels), 0.0);
  if (s.of_batch && s.rows == 1)
    fail(where, "expected more than one element per channel to take statistics of, got shape ", z.shape(),
         "; use a larger batch or evaluation mode");
  if (s.of_batch && z.numel() == 0) {  // nothing to normalise, nothing learnt
    s.mean = s.inverse_deviation;
    return s;
  }
  if (cuda) statistics_on_cuda(z, norm, std::move(moments), s);
  else
    dispatch_floating(z.dtype(), where, [&](auto zero) {
      using S = decltype(zero);
      using T = compute_t<S>;
      std::vector<double> variance = std::move(moments.variance);
      s.mean = std::move(moments.mean);
      if (!s.of_batch) {
        s.mean = channel_values<T>(norm.running_mean, s.inverse_deviation.size(), 0);
        variance = channel_values<T>(norm.running_var, s.inverse_deviation.size(), 1);
      } else if (s.mean.empty()) {
        s.mean.resize(s.inverse_deviation.size());
        variance.resize(s.inverse_deviation.size());
        kernels::channel_moments(s.rows, channels, z.data<S>(), s.mean.data(), variance.data());
      }
      if (norm.training) update_running<T>(norm, s, variance);
      for (std::size_t c = 0; c < variance.size(); ++c) s.inverse_deviation[c] = 1 / std::sqrt(variance[c] + norm.eps);
    });
  return s;
}

SSLCAKE_INLINE Tensor normalise_channels(Tensor z, const ChannelStatistics& s, const Tensor& gamma, const Tensor& beta,
                                         const Tensor& residual, bool relu, bool in_place) {
  Tensor y = in_place ? z : empty_like(z);
  if (z.numel() == 0) return y;
  if (floats_on_cuda("batch_norm", z, residual)) {
    const std::int64_t channels = z.shape().back();
    const DeviceRows rows(s);
    kernels::cuda::table().norm.channel_affine(z.dtype(), z.numel() / channels, channels, z.address(), rows.scale, rows.shift,
                                               residual.address(), relu, y.mutable_address());
  } else
    dispatch_floating(z.dtype(), "batch_norm", [&](auto zero) {
      using S = decltype(zero);
      const ScaleShift<compute_t<S>> k(s, gamma, beta);
      const auto channels = static_cast<std::int64_t>(s.mean.size());
      kernels::channel_affine<S>(z.numel() / channels, channels, z.data<S>(), k.scale.data(), k.shift.data(),
                                 residual.defined() ? residual.data<S>() : nullptr, relu, y.mutable_data<S>());
    });
  return y;
}

/// The same two passes on CUDA. The coefficients of the second come out of the first; nothing is read by the host.
inline void gradients_on_cuda(Tensor dy, Tensor z, const ChannelStatistics& s, const Tensor& gamma, ReluGradient relu,
                              const Tensor& y, bool want_dz, ChannelNormGradients& out) {
  const std::int64_t channels = dy.shape().back(), rows = dy.numel() / channels;
  const auto& passes = kernels::cuda::table().norm;
  const DeviceRows of(s);
  kernels::cuda::ChannelReluMask mask{};
  if (relu == ReluGradient::recomputed) mask = {nullptr, of.scale, of.shift};
  if (relu == ReluGradient::from_result) {
    mask.result = y.address();
    out.masked = dy.sole_owner() ? dy : empty_like(dy);
  }
  Tensor coefficients(Shape{3, channels}, DType::float32, dy.device());
  float *a = device_floats(coefficients), *b = a + channels, *d = b + channels;
  passes.channel_grad_sums(dy.dtype(), rows, channels, dy.address(), z.address(), mask, out.masked.mutable_address(),
                           {of.mean, of.inverse_deviation, device_floats(gamma), s.of_batch, device_floats(out.dgamma),
                            device_floats(out.dbeta), a, b, d});
  if (!want_dz) return;
  if (relu == ReluGradient::from_result) {
    dy = out.masked;
    mask = {};
  }
  out.dz = z.sole_owner() ? z : dy.sole_owner() ? dy : empty_like(z);
  passes.channel_grad_apply(dy.dtype(), rows, channels, dy.address(), z.address(), mask, a, b, d, out.dz.mutable_address());
}

SSLCAKE_INLINE ChannelNormGradients normalise_channels_grad(Tensor dy, Tensor z, const ChannelStatistics& s, const Tensor& gamma,
                                                            const Tensor& beta, ReluGradient relu, const Tensor& y,
                                                            bool want_dz) {
  const std::int64_t channels = dy.shape().back();
  const bool cuda = floats_on_cuda("batch_norm", dy, z, y), fills = cuda && dy.numel() > 0;  // CUDA's kernels write every number
  ChannelNormGradients out;
  for (Tensor* t : {&out.dgamma, &out.dbeta})
    *t = fills ? empty(Shape{channels}, DType::float32, dy.device())
               : zeros(Shape{channels}, parameter_type(dy.dtype()), dy.device());
  if (dy.numel() == 0) {
    out.dz = out.masked = dy;
    return out;
  }
  if (cuda) {
    gradients_on_cuda(std::move(dy), std::move(z), s, gamma, relu, y, want_dz, out);
    return out;
  }
  dispatch_floating(dy.dtype(), "batch_norm", [&](auto zero) {
    using S = decltype(zero);
    using T = compute_t<S>;
    const std::int64_t rows = dy.numel() / channels;
    const auto mean = rounded<T>(s.mean);
    const ScaleShift<T> k(s, gamma, beta);
    kernels::ReluMask<S> mask;
    if (relu == ReluGradient::recomputed) mask = {nullptr, k.scale.data(), k.shift.data()};
    if (relu == ReluGradient::from_result) {
      mask.result = y.data<S>();
      out.masked = dy.sole_owner() ? dy : empty_like(dy);
    }

    // First pass: Σg and Σg·(z - mean); with a residual the masked gradient is written too.
    std::vector<double> sum(s.mean.size()), product_sum(s.mean.size());
    kernels::channel_grad_sums<S>(rows, channels, dy.data<S>(), z.data<S>(), mean.data(), mask,
                                  out.masked.defined() ? out.masked.mutable_data<S>() : nullptr, sum.data(), product_sum.data());
    T *dgamma = out.dgamma.mutable_data<T>(), *dbeta = out.dbeta.mutable_data<T>();
    for (std::size_t c = 0; c < sum.size(); ++c) {
      dgamma[c] = static_cast<T>(product_sum[c] * s.inverse_deviation[c]);
      dbeta[c] = static_cast<T>(sum[c]);
    }
    if (!want_dz) return;

    // Second pass: dz = a·g + b·(z - mean) + d. Running statistics do not depend on z: b = d = 0.
    std::vector<T> a(sum.size()), b(sum.size()), d(sum.size());
    const auto gammas = channel_values<T>(gamma, sum.size(), 1);
    for (std::size_t c = 0; c < sum.size(); ++c) {
      const double inverse = s.inverse_deviation[c], factor = gammas[c] * inverse,
                   share = s.of_batch ? factor / static_cast<double>(rows) : 0;
      a[c] = static_cast<T>(factor);
      b[c] = static_cast<T>(-share * inverse * inverse * product_sum[c]);
      d[c] = static_cast<T>(-share * sum[c]);
    }
    if (relu == ReluGradient::from_result) {
      dy = out.masked;
      mask = {};
    }
    // z is read at the same place just before it is written; a fresh block would have to be fetched into the cache first.
    out.dz = z.sole_owner() ? z : dy.sole_owner() ? dy : empty_like(z);
    kernels::channel_grad_apply<S>(rows, channels, dy.data<S>(), z.data<S>(), mean.data(), mask, a.data(), b.data(), d.data(),
                                   out.dz.mutable_data<S>());
  });
  return out;
}

}  // namespace sslcake::inline v0::ops::detail
