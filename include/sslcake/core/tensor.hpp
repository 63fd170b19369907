// Tensor: a handle on a reference-counted block of numbers with a shape and an element type.
//
// Always contiguous, row-major. Copying a Tensor copies the handle; `clone()` copies the numbers. Members of this class
// know nothing of differentiation: everything that gradients flow through is a function in ops/. What a tensor carries
// for the tape is one pointer (GradMeta), null for plain data.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "dtype.hpp"
#include "shape.hpp"
#include "storage.hpp"

namespace sslcake::inline v0 {

class Tensor;
class Random;
namespace autograd { struct Node; }  // floor 2: the operation that made a tensor

struct GradMeta;

class Tensor {
 public:
  Tensor() = default;  // undefined: no storage, no shape

  /// Uninitialised numbers. Prefer the free functions zeros, ones, full, from_vector.
  Tensor(const Shape& shape, DType dtype, Device device = Device::cpu)
      : storage_(std::make_shared<Storage>(static_cast<std::size_t>(shape.numel()) * size_of(dtype), device)),
        shape_(shape), dtype_(dtype) {}

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  /// Extent of dimension i; negative counts from the back.
  std::int64_t dim(int i) const { return shape_[i]; }
  std::int64_t numel() const { return defined() ? shape_.numel() : 0; }
  DType dtype() const { return dtype_; }
  Device device() const { return storage_ ? storage_->device() : Device::cpu; }
  std::size_t bytes() const { return static_cast<std::size_t>(numel()) * size_of(dtype_); }

  /// The numbers, to read. T must be the element type, and the tensor lie in the host's memory.
  template <class T>
  const T* data() const {
    expect(dtype_of<T>);
    return static_cast<const T*>(raw());
  }
  /// The numbers, to write: counts as a change of the storage (see Storage::version).
  template <class T>
  T* mutable_data() {
    expect(dtype_of<T>);
    return static_cast<T*>(mutable_raw());
  }
  const void* raw() const {
    expect_host();
    return address();
  }
  void* mutable_raw() {
    expect_host();
    return mutable_address();
  }
  /// Where the numbers lie, on whatever device: for kernels, and as the tensor's identity. Null if undefined or empty.
  const void* address() const {
    return storage_ && storage_->data() ? static_cast<const char*>(storage_->data()) + offset_ : nullptr;
  }
  void* mutable_address() {
    if (!storage_ || !storage_->data()) return nullptr;
    storage_->bump_version();
    return static_cast<char*>(storage_->data()) + offset_;
  }

  /// The only element, as a double (bool: 0 or 1).
  double item() const;
  /// All elements in order, converted to T as by to().
  template <class T>
  std::vector<T> to_vector() const;

  /// The same numbers under another shape of as many elements, without gradient (differentiable: ops::reshape).
  Tensor alias(const Shape& shape) const;
  /// Rows [begin, end) of the first dimension, sharing the numbers, without gradient (differentiable: ops::slice).
  Tensor rows(std::int64_t begin, std::int64_t end) const;
  /// A copy of the numbers, without gradient.
  Tensor clone() const;
  /// A converted copy without gradient; the tensor itself where the type is already right (differentiable: ops::cast). Numbers
  /// that an integer type cannot hold become its nearest bound, NaN 0.
  Tensor to(DType dtype) const;
  /// A copy on another device without gradient; the tensor itself where it lies there already. Copies to a device do not wait.
  Tensor to(Device device) const;
  /// Moves the numbers themselves: every handle on them, a module's and an optimiser's, goes along, and so does the gradient.
  void move_to(Device device);
  /// The same numbers, cut off from the tape.
  Tensor detach() const {
    Tensor t = *this;
    t.meta_.reset();
    return t;
  }

  // --- what the tape needs -------------------------------------------------------------------------------------
  /// Marks a leaf whose gradient is wanted (a parameter); false freezes it, for all handles on it, and drops its gradient.
  /// Returns *this.
  Tensor& set_requires_grad(bool wanted = true);
  /// Whether gradients flow into or through this tensor.
  bool requires_grad() const;
  /// The accumulated gradient of a leaf; undefined before the first backward pass.
  Tensor grad() const;
  /// Of this tensor's shape and type, or undefined.
  void set_grad(Tensor grad);
  void clear_grad() { if (grad().defined()) set_grad(Tensor{}); }

  const std::shared_ptr<GradMeta>& meta() const { return meta_; }
  void set_meta(std::shared_ptr<GradMeta> meta) { meta_ = std::move(meta); }
  std::uint32_t version() const { return storage_ ? storage_->version() : 0; }
  bool shares_storage_with(const Tensor& other) const { return storage_ == other.storage_; }
  /// True where no other handle on the storage exists, so that it may be overwritten unseen.
  bool sole_owner() const { return storage_.use_count() == 1; }

 private:
  void expect(DType wanted) const {
    if (defined() && dtype_ != wanted) fail("Tensor::data", "expected elements of type ", wanted, ", the tensor holds ", dtype_);
  }
  void expect_host() const {
    if (storage_ && storage_->device() != Device::cpu)
      fail("Tensor::data", "expected a tensor on cpu, got one of shape ", shape_, " and type ", dtype_, " on ",
           storage_->device(), ": what reads it has no kernel there; move it with to(Device::cpu)");
  }

  std::shared_ptr<Storage> storage_;
  std::shared_ptr<GradMeta> meta_;
  std::size_t offset_ = 0;  // bytes
  Shape shape_;
  DType dtype_ = DType::float32;
};

/// One per tensor that takes part in differentiation.
struct GradMeta {
  bool leaf = false;                     // a parameter: gradients are accumulated here
  Tensor grad;                           // leaves only
  std::shared_ptr<autograd::Node> node;  // the operation that made the tensor; null for leaves
};

/// Uninitialised.
Tensor empty(const Shape& shape, DType dtype = DType::float32, Device device = Device::cpu);
Tensor zeros(const Shape& shape, DType dtype = DType::float32, Device device = Device::cpu);
Tensor ones(const Shape& shape, DType dtype = DType::float32, Device device = Device::cpu);
Tensor full(const Shape& shape, double value, DType dtype = DType::float32, Device device = Device::cpu);
inline Tensor empty_like(const Tensor& t) { return empty(t.shape(), t.dtype(), t.device()); }
inline Tensor zeros_like(const Tensor& t) { return zeros(t.shape(), t.dtype(), t.device()); }
inline Tensor ones_like(const Tensor& t) { return ones(t.shape(), t.dtype(), t.device()); }
/// 0, 1, ..., n-1 as int64.
Tensor arange(std::int64_t n);
/// A rank-0 tensor.
Tensor scalar(double value, DType dtype = DType::float32, Device device = Device::cpu);
/// Draws in [low, high), from `random` in order.
Tensor random_uniform(const Shape& shape, Random& random, double low = 0, double high = 1, DType dtype = DType::float32);
/// Normal draws, from `random` in order.
Tensor random_normal(const Shape& shape, Random& random, double mean = 0, double deviation = 1, DType dtype = DType::float32);

/// Copies `values` (as many as the shape has elements) into a tensor of their type.
template <class T>
Tensor from_vector(const Shape& shape, const std::vector<T>& values) {
  if (shape.numel() != static_cast<std::int64_t>(values.size()))
    fail("from_vector", "expected ", shape.numel(), " values for shape ", shape, ", got ", values.size());
  Tensor t(shape, dtype_of<T>);
  if constexpr (std::is_same_v<T, bool>) {
    std::copy(values.begin(), values.end(), t.mutable_data<bool>());
  } else if (!values.empty()) {
    std::memcpy(t.mutable_raw(), values.data(), values.size() * sizeof(T));
  }
  return t;
}

/// Copies the numbers of `source` over those of `target`: same shape, types converted, from one device to another where needed.
void copy_into(Tensor& target, const Tensor& source);

template <class T>
std::vector<T> Tensor::to_vector() const {
  if (device() != Device::cpu) return to(Device::cpu).to_vector<T>();
  std::vector<T> out(static_cast<std::size_t>(numel()));
  dispatch_all(dtype_, [&](auto zero) {
    using S = decltype(zero);
    const S* p = data<S>();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = detail::convert<T>(p[i]);
  });
  return out;
}

}  // namespace sslcake::inline v0

#ifndef SSLCAKE_COMPILED
#include "tensor_inl.hpp"
#endif
