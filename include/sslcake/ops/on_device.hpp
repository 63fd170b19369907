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
    fail(op, "expected all tensors on one device, got one on ", first.device(), " and one on ", other.device(),
         "; move one with to(Device)");
}

/// Whether the op runs on CUDA. Undefined tensors do not count.
template <class... Others>
bool on_cuda([[maybe_unused]] const char* op, const Tensor& first, const Others&... others) {
  (expect_one_device(op, first, others), ...);
  return ((first.defined() && first.device() == Device::cuda) || ... || (others.defined() && others.device() == Device::cuda));
}

/// Fails unless x has the one type that `op` computes in on CUDA: reductions, softmax, losses, layer and group norm.
inline void expect_float32_on_cuda(const char* op, const Tensor& x) {
  if (x.dtype() != DType::float32) fail(op, "expected float32 on cuda, got ", x.dtype(), "; convert it with ops::cast");
}

/// Fails unless x has one of the two types of pictures and tokens on CUDA.
inline void expect_floats_on_cuda(const char* op, const Tensor& x) {
  if (x.dtype() != DType::float32 && x.dtype() != DType::bfloat16)
    fail(op, "expected float32 or bfloat16 on cuda, got ", x.dtype(), "; convert it with ops::cast");
}

/// Whether an op runs on CUDA, in one of these two types.
template <class... Others>
bool floats_on_cuda(const char* op, const Tensor& x, const Others&... others) {
  if (!on_cuda(op, x, others...)) return false;
  expect_floats_on_cuda(op, x);
  return true;
}

/// A float32 tensor's numbers wherever they lie, for kernels; null where it is undefined.
inline const float* device_floats(const Tensor& t) { return static_cast<const float*>(t.address()); }
inline float* device_floats(Tensor& t) { return static_cast<float*>(t.mutable_address()); }

}  // namespace sslcake::inline v0::ops::detail
