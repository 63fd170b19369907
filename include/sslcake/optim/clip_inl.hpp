#pragma once

#include <cmath>

#include "../autograd/tape.hpp"
#include "clip.hpp"

namespace sslcake::inline v0::optim {

SSLCAKE_INLINE double grad_norm(const Parameters& parameters) {
  double sum = 0;
  for (const auto& p : parameters) {
    const Tensor g = p.tensor.grad();
    if (!g.defined()) continue;
    dispatch_real(g.dtype(), "grad_norm", [&](auto zero) {
      const auto* data = g.data<decltype(zero)>();
      sum += detail::sum_chunks(g.numel(), [data](std::int64_t i) { return static_cast<double>(data[i]) * static_cast<double>(data[i]); });
    });
  }
  return std::sqrt(sum);
}

SSLCAKE_INLINE double clip_grad_norm(const Parameters& parameters, double limit) {
  if (!(limit > 0) || !all_finite(scalar(limit, DType::float64))) fail("clip_grad_norm", "expected a limit above 0, got ", limit);
  const double norm = grad_norm(parameters);
  if (norm <= limit || !all_finite(scalar(norm, DType::float64))) return norm;
  const double factor = limit / (norm + 1e-6);  // as PyTorch does, whose numbers the tests compare
  for (const auto& p : parameters) {
    Tensor g = p.tensor.grad();
    if (!g.defined()) continue;
    dispatch_real(g.dtype(), "clip_grad_norm", [&](auto zero) {
      using T = decltype(zero);
      T* data = g.mutable_data<T>();
      parallel_for(g.numel(), 1 << 15, [&](std::int64_t begin, std::int64_t end) {
        for (auto i = begin; i < end; ++i) data[i] *= static_cast<T>(factor);
      });
    });
  }
  return norm;
}

}  // namespace sslcake::inline v0::optim
