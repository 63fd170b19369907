#pragma once

#include <cmath>

#include "../autograd/tape.hpp"
#include "../kernels/cuda/table.hpp"
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

namespace detail {
inline std::vector<kernels::cuda::TensorPair> pairs_of(Gradients& grads) {
  std::vector<kernels::cuda::TensorPair> pairs;
  for (auto& g : grads.tensors) {
    if (g.device() != Device::cuda)
      fail("grad_norm", "expected all gradients on one device, got some on cuda and one on ", g.device());
    pairs.push_back({g.mutable_address(), g.address(), g.numel()});
  }
  return pairs;
}
}  // namespace detail

SSLCAKE_INLINE Tensor squared_grad_norm(const Parameters& parameters) {
  detail::Gradients grads(parameters);
  if (!grads.tensors.empty() && grads.tensors[0].device() == Device::cuda) {
    Tensor sum({}, DType::float64, Device::cuda);
    auto pairs = detail::pairs_of(grads);
    kernels::cuda::table().optimiser.sum_of_squares(pairs.data(), static_cast<int>(pairs.size()),
                                                    static_cast<double*>(sum.mutable_address()));
    return sum;
  }
  std::vector<double> sums(grads.parts.size());
  detail::for_parts(grads.parts, [&](const detail::Part& part, std::size_t number) {
    const Tensor& g = grads.tensors[part.item];
    dispatch_real(g.dtype(), "grad_norm", [&](auto zero) {
      const auto* data = g.data<decltype(zero)>() + part.begin;
      sums[number] = detail::sum_lanes(
          part.size(), [data](std::int64_t i) { return static_cast<double>(data[i]) * static_cast<double>(data[i]); });
    });
  });
  double sum = 0;
  for (const double s : sums) sum += s;
  return scalar(sum, DType::float64);
}

SSLCAKE_INLINE double grad_norm(const Parameters& parameters) { return std::sqrt(squared_grad_norm(parameters).item()); }

SSLCAKE_INLINE void clip_grads(const Parameters& parameters, double limit, const Tensor& squared_norm) {
  if (!(limit > 0) || !all_finite(scalar(limit, DType::float64))) fail("clip_grad_norm", "expected a limit above 0, got ", limit);
  detail::Gradients grads(parameters);
  if (squared_norm.device() == Device::cuda) {
    auto pairs = detail::pairs_of(grads);
    return kernels::cuda::table().optimiser.clip(pairs.data(), static_cast<int>(pairs.size()),
                                                 static_cast<const double*>(squared_norm.address()), limit);
  }
  const double norm = std::sqrt(squared_norm.item());
  if (norm <= limit || !all_finite(scalar(norm, DType::float64))) return;
  const double factor = limit / (norm + 1e-6);  // as PyTorch does, whose numbers the tests compare
  std::vector<void*> numbers;  // asked for here: it marks the tensor as changed, which is not for many threads to do
  for (auto& g : grads.tensors) numbers.push_back(g.mutable_raw());
  detail::for_parts(grads.parts, [&](const detail::Part& part, std::size_t) {
    dispatch_real(grads.tensors[part.item].dtype(), "clip_grad_norm", [&](auto zero) {
      using T = decltype(zero);
      T* data = static_cast<T*>(numbers[part.item]);
      for (auto i = part.begin; i < part.end; ++i) data[i] *= static_cast<T>(factor);
    });
  });
}

SSLCAKE_INLINE double clip_grad_norm(const Parameters& parameters, double limit) {
  const Tensor squared = squared_grad_norm(parameters);
  clip_grads(parameters, limit, squared);
  return std::sqrt(squared.item());
}

}  // namespace sslcake::inline v0::optim
