#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <type_traits>
#include <vector>

#include "../core/threads.hpp"
#include "layer_norm.hpp"
#include "loops.hpp"
#include "on_device.hpp"
#include "spatial.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

/// Σ term(i) over a row with 16 running sums, so that the loop becomes vector code, added up in float64.
template <class T, class Term>
double row_sum(std::int64_t n, Term term) {
  constexpr std::int64_t lanes = 16;
  T sums[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (std::int64_t k = 0; k < lanes; ++k) sums[k] += term(i + k);
  double total = 0;
  for (; i < n; ++i) total += static_cast<double>(term(i));
  for (const T s : sums) total += static_cast<double>(s);
  return total;
}

/// Mean and 1/deviation of each row; on CUDA float32 (2, rows) instead.
struct RowStatistics {
  std::vector<double> mean, inverse_deviation;
  Tensor on_device;
  RowStatistics(std::int64_t rows, bool cuda) {
    if (cuda) on_device = Tensor(Shape{2, rows}, DType::float32, Device::cuda);
    else mean.resize(static_cast<std::size_t>(rows)), inverse_deviation.resize(static_cast<std::size_t>(rows));
  }
};

/// y is of type T, or bfloat16.
template <class T, class S>
void layer_norm_rows(const T* x, const T* gamma, const T* beta, std::int64_t rows, std::int64_t width, double eps,
                     RowStatistics& s, S* y) {
  constexpr bool rounds = !std::is_same_v<S, T>;
  parallel_for(rows, 1 + (1 << 14) / (width + 1), [&](std::int64_t begin, std::int64_t end) {
    const Workspace<T> wide(rounds ? width : 0);
    for (auto r = begin; r < end; ++r) {
      const T* row = x + r * width;
      T* out = wide.data();
      if constexpr (!rounds) out = y + r * width;
      const double mean = row_sum<T>(width, [&](std::int64_t i) { return row[i]; }) / static_cast<double>(width);
      const T m = static_cast<T>(mean);
      const double variance =
          row_sum<T>(width, [&](std::int64_t i) { return (row[i] - m) * (row[i] - m); }) / static_cast<double>(width);
      const T inverse = static_cast<T>(1 / std::sqrt(variance + eps));
      s.mean[static_cast<std::size_t>(r)] = mean;
      s.inverse_deviation[static_cast<std::size_t>(r)] = 1 / std::sqrt(variance + eps);
      for (std::int64_t i = 0; i < width; ++i) out[i] = (row[i] - m) * inverse;
      if (gamma)
        for (std::int64_t i = 0; i < width; ++i) out[i] *= gamma[i];
      if (beta)
        for (std::int64_t i = 0; i < width; ++i) out[i] += beta[i];
      if constexpr (rounds) narrow(out, y + r * width, width);
    }
  });
}

/// dy is of type T, or bfloat16. dx where not null, and the sums dgamma[i] = Σ dy·x̂, dbeta[i] = Σ dy over the rows.
template <class T, class S>
void layer_norm_grad(const S* dy, const T* x, const T* gamma, std::int64_t rows, std::int64_t width, const RowStatistics& s,
                     T* dx, T* dgamma, T* dbeta) {
  const std::int64_t chunks = chunk_count(rows, 1 + (1 << 14) / (width + 1), 32);
  const Workspace<double> partial(chunks * 2 * width);
  parallel_chunks(chunks, [&](std::int64_t k) {
    double *gamma_sum = partial.data() + k * 2 * width, *beta_sum = gamma_sum + width;
    std::fill_n(gamma_sum, 2 * width, 0.0);
    const Workspace<T> normalised(width), scaled(width), wide(std::is_same_v<S, T> ? 0 : width);
    T *xhat = normalised.data(), *g = scaled.data();
    for (auto r = rows * k / chunks; r < rows * (k + 1) / chunks; ++r) {
      const T *row = x + r * width, *grad = wide.data();
      if constexpr (std::is_same_v<S, T>) grad = dy + r * width;
      else widen(dy + r * width, wide.data(), width);
      const T mean = static_cast<T>(s.mean[static_cast<std::size_t>(r)]),
              inverse = static_cast<T>(s.inverse_deviation[static_cast<std::size_t>(r)]);
      for (std::int64_t i = 0; i < width; ++i) xhat[i] = (row[i] - mean) * inverse;
      for (std::int64_t i = 0; i < width; ++i) {
        gamma_sum[i] += static_cast<double>(grad[i] * xhat[i]);
        beta_sum[i] += static_cast<double>(grad[i]);
      }
      if (!dx) continue;
      for (std::int64_t i = 0; i < width; ++i) g[i] = gamma ? gamma[i] * grad[i] : grad[i];
      const T mean_g = static_cast<T>(row_sum<T>(width, [&](std::int64_t i) { return g[i]; }) / static_cast<double>(width));
      const T mean_gx =
          static_cast<T>(row_sum<T>(width, [&](std::int64_t i) { return g[i] * xhat[i]; }) / static_cast<double>(width));
      for (std::int64_t i = 0; i < width; ++i) dx[r * width + i] = (g[i] - mean_g - xhat[i] * mean_gx) * inverse;
    }
  });
  for (std::int64_t i = 0; i < width; ++i) {
    double gamma_sum = 0, beta_sum = 0;
    for (std::int64_t k = 0; k < chunks; ++k) {
      gamma_sum += partial[2 * k * width + i];
      beta_sum += partial[(2 * k + 1) * width + i];
    }
    dgamma[i] = static_cast<T>(gamma_sum);
    dbeta[i] = static_cast<T>(beta_sum);
  }
}

// The two on CUDA.
inline void layer_norm_on_cuda(const Tensor& x, const Tensor& gamma, const Tensor& beta, std::int64_t rows, std::int64_t width,
                               double eps, RowStatistics& s, Tensor& y) {
  auto* mean = static_cast<float*>(s.on_device.mutable_address());
  kernels::cuda::table().norm.layer_norm(y.dtype(), rows, width, device_floats(x), device_floats(gamma), device_floats(beta), eps,
                                         mean, mean + rows, y.mutable_address());
}
inline void layer_norm_grad_on_cuda(const Tensor& dy, const Tensor& x, const Tensor& gamma, std::int64_t rows, std::int64_t width,
                                    const RowStatistics& s, Tensor& dx, Tensor& dgamma, Tensor& dbeta) {
  const float* mean = device_floats(s.on_device);
  kernels::cuda::table().norm.layer_norm_grad(dy.dtype(), rows, width, dy.address(), device_floats(x), device_floats(gamma), mean,
                                              mean + rows, device_floats(dx), device_floats(dgamma), device_floats(dbeta));
}

}  // namespace detail

SSLCAKE_INLINE Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const LayerNormOptions& options) {
  constexpr const char* op = "layer_norm";
  if (!x.defined() || x.rank() < 1)
    fail(op, "expected a tensor of rank >= 1, got ", x.defined() ? x.shape().str() : "an undefined tensor");
  if (options.dims < 1 || options.dims > x.rank())
    fail(op, "expected 1 to ", x.rank(), " dimensions to normalise of shape ", x.shape(), ", got ", options.dims);
  if (!(options.eps >= 0)) fail(op, "expected eps >= 0, got ", options.eps);
  Shape normalised;
  for (int i = x.rank() - options.dims; i < x.rank(); ++i) normalised.push_back(x.dim(i));
  if (gamma.defined()) detail::expect_operand(op, "gamma", gamma, normalised, x.dtype());
  if (beta.defined()) detail::expect_operand(op, "beta", beta, normalised, x.dtype());
  const std::int64_t width = normalised.numel(), rows = x.shape().span(0, x.rank() - options.dims);
  if (options.to_bfloat16 && x.dtype() != DType::float32) fail(op, "expected float32 to be rounded to bfloat16, got ", x.dtype());
  const bool cuda = detail::on_cuda(op, x, gamma, beta);
  if (cuda) detail::expect_float32_on_cuda(op, x);
  Tensor y(x.shape(), options.to_bfloat16 ? DType::bfloat16 : x.dtype(), x.device());
  const auto s = std::make_shared<detail::RowStatistics>(rows, cuda);
  if (cuda && y.numel() > 0) detail::layer_norm_on_cuda(x, gamma, beta, rows, width, options.eps, *s, y);
  else if (!cuda)
    dispatch_real(x.dtype(), op, [&](auto zero) {
      using T = decltype(zero);
      const auto run = [&](auto* to) {
        detail::layer_norm_rows(x.data<T>(), gamma.data<T>(), beta.data<T>(), rows, width, options.eps, *s, to);
      };
      if (width == 0) return;
      if constexpr (std::is_same_v<T, float>)
        if (options.to_bfloat16) return run(y.mutable_data<bfloat16>());
      run(y.mutable_data<T>());
    });
  return autograd::record(
      "layer_norm", {x, gamma, beta}, y,
      [s, rows, width, normalised, sx = autograd::Saved(x), sg = autograd::Saved(gamma)](autograd::Backward& b) {
        const Tensor& x = sx.get();
        const bool cuda = detail::on_cuda("layer_norm", b.grad(), x), fills = cuda && x.numel() > 0;  // CUDA writes every number
        const auto sums = [&] {
          return fills ? empty(normalised, x.dtype(), x.device()) : zeros(normalised, x.dtype(), x.device());
        };
        Tensor dx = b.needs(0) ? empty_like(x) : Tensor{}, dgamma = sums(), dbeta = sums();
        if (fills) detail::layer_norm_grad_on_cuda(b.grad(), x, sg.get(), rows, width, *s, dx, dgamma, dbeta);
        else if (!cuda)
          dispatch_real(x.dtype(), "layer_norm", [&](auto zero) {
            using T = decltype(zero);
            const auto run = [&](const auto* dy) {
              detail::layer_norm_grad(dy, x.data<T>(), sg.get().template data<T>(), rows, width, *s, dx.mutable_data<T>(),
                                      dgamma.mutable_data<T>(), dbeta.mutable_data<T>());
            };
            if (width == 0) return;
            if constexpr (std::is_same_v<T, float>)
              if (b.grad().dtype() == DType::bfloat16) return run(b.grad().data<bfloat16>());
            run(b.grad().data<T>());
          });
        b.give(0, dx);
        b.give(1, dgamma);
        b.give(2, dbeta);
      });
}

}  // namespace sslcake::inline v0::ops
