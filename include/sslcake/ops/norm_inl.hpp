#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "../core/threads.hpp"
#include "../kernels/norm.hpp"
#include "channel_norm.hpp"
#include "norm.hpp"
#include "on_device.hpp"
#include "spatial.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

inline void expect_normalisable(const char* where, const Tensor& x) {
  if (!x.defined() || x.rank() < 2)
    fail(where, "expected a tensor (N,...,C) of rank >= 2, got ", x.defined() ? x.shape().str() : "an undefined tensor");
  if (!is_floating(x.dtype())) fail(where, "expected floating-point numbers, got ", x.dtype(), "; convert with ops::cast");
}

/// Mean and 1/deviation of each set of elements; on CUDA float32 (2, sets) instead.
struct SetStatistics {
  std::vector<double> mean, inverse_deviation;
  Tensor on_device;
  SetStatistics(std::int64_t sets, bool cuda) {
    if (cuda) on_device = Tensor(Shape{2, sets}, DType::float32, Device::cuda);
    else mean.resize(static_cast<std::size_t>(sets)), inverse_deviation.resize(static_cast<std::size_t>(sets));
  }
};

// --- group_norm: one picture is a matrix (pixels, channels); statistics of a group are combined from its channels' ----

struct Groups {
  std::int64_t pictures, pixels, channels, groups;
  std::int64_t width() const { return channels / groups; }
  double set_size() const { return static_cast<double>(pixels * width()); }
};

template <class T>
void group_norm_pictures(const Groups& n, const T* x, const T* gamma, const T* beta, double eps, SetStatistics& s, T* y) {
  parallel_chunks(n.pictures, [&](std::int64_t picture) {
    std::vector<double> mean(static_cast<std::size_t>(n.channels)), variance(mean);
    std::vector<T> scale(mean.size()), shift(mean.size());
    const T* in = x + picture * n.pixels * n.channels;
    kernels::channel_moments(n.pixels, n.channels, in, mean.data(), variance.data());
    for (std::int64_t g = 0; g < n.groups; ++g) {
      const auto first = static_cast<std::size_t>(g * n.width()), last = first + static_cast<std::size_t>(n.width());
      double m = 0, v = 0;
      for (auto c = first; c < last; ++c) m += mean[c] / static_cast<double>(n.width());
      for (auto c = first; c < last; ++c) v += (variance[c] + (mean[c] - m) * (mean[c] - m)) / static_cast<double>(n.width());
      const double inverse = 1 / std::sqrt(v + eps);
      s.mean[static_cast<std::size_t>(picture * n.groups + g)] = m;
      s.inverse_deviation[static_cast<std::size_t>(picture * n.groups + g)] = inverse;
      for (auto c = first; c < last; ++c) {
        const double k = inverse * (gamma ? static_cast<double>(gamma[c]) : 1.0);
        scale[c] = static_cast<T>(k);
        shift[c] = static_cast<T>((beta ? static_cast<double>(beta[c]) : 0.0) - m * k);
      }
    }
    kernels::channel_affine<T>(n.pixels, n.channels, in, scale.data(), shift.data(), nullptr, false,
                               y + picture * n.pixels * n.channels);
  });
}

template <class T>
void group_norm_grad(const Groups& n, const T* dy, const T* x, const T* gamma, const SetStatistics& s, T* dx, T* dgamma,
                     T* dbeta) {
  const Workspace<double> partial(n.pictures * 2 * n.channels);  // of each picture: Σ dy·x̂ and Σ dy per channel
  parallel_chunks(n.pictures, [&](std::int64_t picture) {
    double *gamma_sum = partial.data() + picture * 2 * n.channels, *beta_sum = gamma_sum + n.channels;
    const auto offset = picture * n.pixels * n.channels;
    std::vector<T> mean(static_cast<std::size_t>(n.channels)), a(mean), b(mean), d(mean);
    const auto set = [&](std::int64_t c) { return static_cast<std::size_t>(picture * n.groups + c / n.width()); };
    for (std::int64_t c = 0; c < n.channels; ++c) mean[static_cast<std::size_t>(c)] = static_cast<T>(s.mean[set(c)]);
    kernels::channel_grad_sums<T>(n.pixels, n.channels, dy + offset, x + offset, mean.data(), {}, nullptr, beta_sum, gamma_sum);
    const auto gamma_of = [&](std::int64_t c) { return gamma ? static_cast<double>(gamma[c]) : 1.0; };
    for (std::int64_t first = 0; first < n.channels; first += n.width()) {
      const double inverse = s.inverse_deviation[set(first)];
      double sum = 0, product_sum = 0;
      for (auto c = first; c < first + n.width(); ++c) {
        gamma_sum[c] *= inverse;
        sum += gamma_of(c) * beta_sum[c];
        product_sum += gamma_of(c) * gamma_sum[c];
      }
      for (auto c = first; c < first + n.width(); ++c) {
        a[static_cast<std::size_t>(c)] = static_cast<T>(gamma_of(c) * inverse);
        b[static_cast<std::size_t>(c)] = static_cast<T>(-inverse * inverse * product_sum / n.set_size());
        d[static_cast<std::size_t>(c)] = static_cast<T>(-inverse * sum / n.set_size());
      }
    }
    if (dx)
      kernels::channel_grad_apply<T>(n.pixels, n.channels, dy + offset, x + offset, mean.data(), {}, a.data(), b.data(), d.data(),
                                     dx + offset);
  });
  for (std::int64_t c = 0; c < n.channels; ++c) {
    double gamma_sum = 0, beta_sum = 0;
    for (std::int64_t k = 0; k < n.pictures; ++k) {
      gamma_sum += partial[2 * k * n.channels + c];
      beta_sum += partial[(2 * k + 1) * n.channels + c];
    }
    dgamma[c] = static_cast<T>(gamma_sum);
    dbeta[c] = static_cast<T>(beta_sum);
  }
}

// The two on CUDA.
inline void group_norm_on_cuda(const Groups& n, const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps,
                               SetStatistics& s, Tensor& y) {
  float* mean = device_floats(s.on_device);
  kernels::cuda::table().norm.group_norm(n.pictures, n.pixels, n.channels, n.groups, device_floats(x), device_floats(gamma),
                                         device_floats(beta), eps, mean, mean + n.pictures * n.groups, device_floats(y));
}
inline void group_norm_grad_on_cuda(const Groups& n, const Tensor& dy, const Tensor& x, const Tensor& gamma,
                                    const SetStatistics& s, Tensor& dx, Tensor& dgamma, Tensor& dbeta) {
  const float* mean = device_floats(s.on_device);
  kernels::cuda::table().norm.group_norm_grad(n.pictures, n.pixels, n.channels, n.groups, device_floats(dy), device_floats(x),
                                              device_floats(gamma), mean, mean + n.pictures * n.groups, device_floats(dx),
                                              device_floats(dgamma), device_floats(dbeta));
}

inline Tensor normalise_groups(const char* where, const Tensor& x, std::int64_t groups, const Tensor& gamma, const Tensor& beta,
                               double eps) {
  const Shape channels{x.dim(-1)};
  if (gamma.defined()) expect_operand(where, "gamma", gamma, channels, x.dtype());
  if (beta.defined()) expect_operand(where, "beta", beta, channels, x.dtype());
  if (groups < 1 || channels[0] % groups != 0)
    fail(where, "expected groups that divide the ", channels[0], " channels, got ", groups);
  if (!(eps >= 0)) fail(where, "expected eps >= 0, got ", eps);
  const Groups n{x.dim(0), x.shape().span(1, x.rank() - 1), channels[0], groups};
  if (x.numel() > 0 && n.pixels * n.width() == 1)
    fail(where, "expected sets of more than one element, got shape ", x.shape(), " with ", groups,
         " groups: everything would become beta");
  const bool cuda = on_cuda(where, x, gamma, beta);
  if (cuda) expect_float32_on_cuda(where, x);
  Tensor y = empty_like(x);
  const auto s = std::make_shared<SetStatistics>(n.pictures * n.groups, cuda);
  if (x.numel() > 0 && cuda) group_norm_on_cuda(n, x, gamma, beta, eps, *s, y);
  else if (x.numel() > 0)
    dispatch_real(x.dtype(), where, [&](auto zero) {
      using T = decltype(zero);
      group_norm_pictures<T>(n, x.data<T>(), gamma.data<T>(), beta.data<T>(), eps, *s, y.mutable_data<T>());
    });
  return autograd::record("group_norm", {x, gamma, beta}, y,
                          [n, s, sx = autograd::Saved(x), sg = autograd::Saved(gamma)](autograd::Backward& b) {
                            const Tensor& x = sx.get();
                            Tensor dx = b.needs(0) ? empty_like(x) : Tensor{},
                                   dgamma = zeros(Shape{n.channels}, x.dtype(), x.device()), dbeta = zeros_like(dgamma);
                            if (x.numel() > 0 && on_cuda("group_norm", b.grad(), x))
                              group_norm_grad_on_cuda(n, b.grad(), x, sg.get(), *s, dx, dgamma, dbeta);
                            else if (x.numel() > 0)
                              dispatch_real(x.dtype(), "group_norm", [&](auto zero) {
                                using T = decltype(zero);
                                group_norm_grad<T>(n, b.grad().data<T>(), x.data<T>(), sg.get().template data<T>(), *s,
                                                   dx.mutable_data<T>(), dgamma.mutable_data<T>(), dbeta.mutable_data<T>());
                              });
                            b.give(0, dx);
                            b.give(1, dgamma);
                            b.give(2, dbeta);
                          });
}

}  // namespace detail

SSLCAKE_INLINE Tensor batch_norm(const Tensor& x, const NormState& norm) {
  detail::expect_normalisable("batch_norm", x);
  detail::expect_norm_state("batch_norm", norm, x.dim(-1), detail::parameter_type(x.dtype()));
  const auto s = std::make_shared<detail::ChannelStatistics>(detail::channel_statistics("batch_norm", x, norm));
  const Tensor y = detail::normalise_channels(x.detach(), *s, norm.gamma, norm.beta, Tensor{}, false, false);
  return autograd::record("batch_norm", {x, norm.gamma, norm.beta}, y,
                          [s, sx = autograd::Saved(x), sg = autograd::Saved(norm.gamma)](autograd::Backward& b) {
                            auto grads = detail::normalise_channels_grad(b.take_grad(), sx.get(), *s, sg.get(), Tensor{},
                                                                         detail::ReluGradient::none, Tensor{}, b.needs(0));
                            b.give(0, std::move(grads.dz));
                            b.give(1, std::move(grads.dgamma));
                            b.give(2, std::move(grads.dbeta));
                          });
}

SSLCAKE_INLINE Tensor group_norm(const Tensor& x, std::int64_t groups, const Tensor& gamma, const Tensor& beta, double eps) {
  detail::expect_normalisable("group_norm", x);
  return detail::normalise_groups("group_norm", x, groups, gamma, beta, eps);
}

SSLCAKE_INLINE Tensor instance_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  detail::expect_normalisable("instance_norm", x);
  return detail::normalise_groups("instance_norm", x, std::max<std::int64_t>(x.dim(-1), 1), gamma, beta, eps);
}

}  // namespace sslcake::inline v0::ops
