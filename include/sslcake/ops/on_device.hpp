// Which device an op runs on: that of its tensors, which must agree.
#pragma once

#include "../core/tensor.hpp"
#include "../kernels/cuda/table.hpp"

namespace sslcake::inline v0::ops::detail {

inline void check_defined(const char* op, const Tensor& x) {
  if (!x.defined()) fail(op, "expected a tensor, got an undefined one");
}

/// Fails naming `op` where two of the defined tensors lie on different devices.
inline void expect_one_device(const char* op, const Tensor& first, const Tensor& other) {
  if (first.defined() && other.defined() && first.device() != other.device())
    fail(op, "expected all tensors on one device, got one on ", first.device(), " and one on ", other.device(), "; move one with to(Device)");
}

/// Whether the op runs on CUDA. Undefined tensors do not count.
template <class... Others>
bool on_cuda([[maybe_unused]] const char* op, const Tensor& first, const Others&... others) {
  (expect_one_device(op, first, others), ...);
  return ((first.defined() && first.device() == Device::cuda) || ... || (others.defined() && others.device() == Device::cuda));
}

}  // namespace sslcake::inline v0::ops::detail
