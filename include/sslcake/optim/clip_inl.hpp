#pragma once

#include <cmath>

#include "../autograd/tape.hpp"
#include "clip.hpp"
#include "parts.hpp"

namespace sslcake::inline v0::optim {

namespace detail {
/// The gradients that are there, cut into parts.
struct Gradients {
  std::vector<Tensor> tensors;
  Parts parts;

  explicit Gradients(const Parameters& parameters) {
    std::vector<std::int64_t> sizes;
    for (const auto& p : parameters) {
      const Tensor g = p.tensor.grad();
      if (!g.defined()) continue;
      tensors.push_back(g);
      sizes.push_back(g.numel());
    }
    parts = cut(sizes);
  }
};
}  // namespace detail

SSLCAKE_INLINE double grad_norm(const Parameters& parameters) {
  const detail::Gradients grads(parameters);
  std::vector<double> sums(grads.parts.size());
  detail::for_parts(grads.parts, [&](const detail::Part& part, std::size_t number) {
    const Tensor& g = grads.tensors[part.item];
    dispatch_real(g.dtype(), "grad_norm", [&](auto zero) {
      const auto* data = g.data<decltype(zero)>() + part.begin;
      sums[number] = detail::sum_lanes(part.size(), [data](std::int64_t i) { return static_cast<double>(data[i]) * static_cast<double>(data[i]); });
    });
  });
  double sum = 0;
  for (const double s : sums) sum += s;
  return std::sqrt(sum);
}

SSLCAKE_INLINE double clip_grad_norm(const Parameters& parameters, double limit) {
  if (!(limit > 0) || !all_finite(scalar(limit, DType::float64))) fail("clip_grad_norm", "expected a limit above 0, got ", limit);
  const double norm = grad_norm(parameters);
  if (norm <= limit || !all_finite(scalar(norm, DType::float64))) return norm;
  const double factor = limit / (norm + 1e-6);  // as PyTorch does, whose numbers the tests compare
  detail::Gradients grads(parameters);
  std::vector<void*> numbers;  // asked for here: it marks the tensor as changed, which is not for many threads to do
  for (auto& g : grads.tensors) numbers.push_back(g.mutable_raw());
  detail::for_parts(grads.parts, [&](const detail::Part& part, std::size_t) {
    dispatch_real(grads.tensors[part.item].dtype(), "clip_grad_norm", [&](auto zero) {
      using T = decltype(zero);
      T* data = static_cast<T*>(numbers[part.item]);
      for (auto i = part.begin; i < part.end; ++i) data[i] *= static_cast<T>(factor);
    });
  });
  return norm;
}

}  // namespace sslcake::inline v0::optim
