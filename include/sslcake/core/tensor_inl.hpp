#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "random.hpp"
#include "tensor.hpp"
#include "threads.hpp"

namespace sslcake::inline v0 {

SSLCAKE_INLINE double Tensor::item() const {
  if (!defined() || numel() != 1) fail("Tensor::item", "expected one element, got shape ", shape_);
  return to_vector<double>()[0];
}

SSLCAKE_INLINE Tensor Tensor::alias(const Shape& shape) const {
  if (shape.numel() != numel()) fail("Tensor::alias", "expected ", numel(), " elements as in ", shape_, ", got shape ", shape);
  Tensor t = detach();
  t.shape_ = shape;
  return t;
}

SSLCAKE_INLINE Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  if (rank() < 1 || begin < 0 || end < begin || end > dim(0))
    fail("Tensor::rows", "expected 0 <= begin <= end <= extent of the first dimension of ", shape_, ", got [", begin, ",", end,
         ")");
  Tensor t = detach();
  t.offset_ += static_cast<std::size_t>(begin * shape_.span(1, rank())) * size_of(dtype_);
  t.shape_[0] = end - begin;
  return t;
}

SSLCAKE_INLINE Tensor Tensor::clone() const {
  if (!defined()) return {};
  Tensor t(shape_, dtype_, device());
  if (!bytes()) return t;
  if (device() == Device::cpu) std::memcpy(t.mutable_raw(), raw(), bytes());
  else functions_of(device()).copy(t.mutable_address(), device(), address(), device(), bytes());
  return t;
}

SSLCAKE_INLINE void copy_into(Tensor& target, const Tensor& source) {
  if (!target.defined() || !source.defined()) fail("copy_into", "expected two defined tensors");
  if (!(target.shape() == source.shape())) fail("copy_into", "expected shape ", target.shape(), ", got ", source.shape());
  const auto n = target.numel();
  const Device to_device = target.device(), from_device = source.device();
  if (to_device != Device::cpu || from_device != Device::cpu) {
    if (n == 0) return;
    const auto& device = functions_of(to_device == Device::cpu ? from_device : to_device);
    if (target.dtype() == source.dtype())
      device.copy(target.mutable_address(), to_device, source.address(), from_device, source.bytes());
    else if (to_device == from_device)
      device.convert(source.dtype(), source.address(), target.dtype(), target.mutable_address(), n);
    else copy_into(target, source.to(target.dtype()));
    return;
  }
  if (target.dtype() == source.dtype()) {
    if (n) std::memmove(target.mutable_raw(), source.raw(), source.bytes());
    return;
  }
  dispatch_all(source.dtype(), [&](auto from) {
    dispatch_all(target.dtype(), [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      const From* s = source.data<From>();
      To* t = target.mutable_data<To>();
      parallel_for(n, 1 << 15, [&](std::int64_t begin, std::int64_t end) {
        for (auto i = begin; i < end; ++i) t[i] = detail::convert<To>(s[i]);
      });
    });
  });
}

SSLCAKE_INLINE Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_ || !defined()) return detach();
  Tensor t(shape_, dtype, device());
  copy_into(t, *this);
  return t;
}

SSLCAKE_INLINE Tensor Tensor::to(Device wanted) const {
  if (wanted == device() || !defined()) return detach();
  Tensor t(shape_, dtype_, wanted);
  copy_into(t, *this);
  return t;
}

SSLCAKE_INLINE void Tensor::move_to(Device wanted) {
  if (storage_) storage_->move_to(wanted);
  if (meta_ && meta_->leaf && meta_->grad.defined()) meta_->grad.move_to(wanted);
}

SSLCAKE_INLINE Tensor& Tensor::set_requires_grad(bool wanted) {
  if (!defined()) fail("Tensor::set_requires_grad", "expected a defined tensor");
  if (!wanted) {
    if (meta_ && meta_->node) meta_.reset();
    else if (meta_) meta_->leaf = false, meta_->grad = Tensor{};  // still the leaf that optimisers know: it may thaw again
    return *this;
  }
  if (!is_floating(dtype_)) fail("Tensor::set_requires_grad", "expected a floating-point tensor, got ", dtype_);
  if (!meta_) meta_ = std::make_shared<GradMeta>();
  if (meta_->node) fail("Tensor::set_requires_grad", "expected a leaf, got the result of an operation; detach() it first");
  meta_->leaf = true;
  return *this;
}

SSLCAKE_INLINE bool Tensor::requires_grad() const { return meta_ && (meta_->leaf || meta_->node); }
SSLCAKE_INLINE Tensor Tensor::grad() const { return meta_ ? meta_->grad : Tensor{}; }

SSLCAKE_INLINE void Tensor::set_grad(Tensor grad) {
  if (!meta_ || !meta_->leaf) fail("Tensor::set_grad", "expected a leaf with set_requires_grad()");
  if (grad.defined() && (!(grad.shape() == shape_) || grad.dtype() != dtype_))
    fail("Tensor::set_grad", "expected shape ", shape_, " and type ", dtype_, ", got ", grad.shape(), " and ", grad.dtype());
  if (grad.defined() && grad.device() != device())
    fail("Tensor::set_grad", "expected a gradient on ", device(), " as the tensor, got one on ", grad.device());
  meta_->grad = std::move(grad);
}

SSLCAKE_INLINE Tensor empty(const Shape& shape, DType dtype, Device device) { return Tensor(shape, dtype, device); }

SSLCAKE_INLINE Tensor zeros(const Shape& shape, DType dtype, Device device) {
  if (device != Device::cpu) return full(shape, 0, dtype, device);
  Tensor t(shape, dtype);
  if (t.bytes()) std::memset(t.mutable_raw(), 0, t.bytes());  // all zero bits are zero in every element type
  return t;
}

SSLCAKE_INLINE Tensor full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor t(shape, dtype, device);
  if (device != Device::cpu) {
    if (t.numel() > 0) functions_of(device).fill(dtype, t.numel(), t.mutable_address(), value);
    return t;
  }
  dispatch_all(dtype, [&](auto zero) {
    using T = decltype(zero);
    std::fill_n(t.mutable_data<T>(), t.numel(), detail::convert<T>(value));
  });
  return t;
}

SSLCAKE_INLINE Tensor ones(const Shape& shape, DType dtype, Device device) { return full(shape, 1, dtype, device); }
SSLCAKE_INLINE Tensor scalar(double value, DType dtype, Device device) { return full(Shape{}, value, dtype, device); }

SSLCAKE_INLINE Tensor arange(std::int64_t n) {
  Tensor t(Shape{n}, DType::int64);
  auto* p = t.mutable_data<std::int64_t>();
  for (std::int64_t i = 0; i < n; ++i) p[i] = i;
  return t;
}

namespace detail {
/// The largest number of type T below `bound`.
template <class T>
T largest_below(double bound) {
  T value = convert<T>(bound);
  if constexpr (std::is_same_v<T, bfloat16>) {
    if (static_cast<double>(static_cast<float>(value)) < bound) return value;
    const float under = std::nextafter(static_cast<float>(value), -std::numeric_limits<float>::infinity());
    value.bits = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(under) >> 16);  // cut off: towards zero
    if (under < 0) ++value.bits;
  } else if (static_cast<double>(value) >= bound) {
    value = std::nextafter(value, -std::numeric_limits<T>::infinity());
  }
  return value;
}
}  // namespace detail

SSLCAKE_INLINE Tensor random_uniform(const Shape& shape, Random& random, double low, double high, DType dtype) {
  Tensor t(shape, dtype);
  dispatch_floating(dtype, "random_uniform", [&](auto zero) {
    using T = decltype(zero);
    T* p = t.mutable_data<T>();
    const T last = detail::largest_below<T>(high);
    for (std::int64_t i = 0, n = t.numel(); i < n; ++i) {
      const double unit = std::is_same_v<T, double> ? random.uniform64() : random.uniform();
      const double value = low + (high - low) * unit;
      p[i] = detail::convert<T>(value);
      if (low < high && detail::convert<double>(p[i]) >= high) p[i] = last;  // it was rounded up
    }
  });
  return t;
}

SSLCAKE_INLINE Tensor random_normal(const Shape& shape, Random& random, double mean, double deviation, DType dtype) {
  Tensor t(shape, dtype);
  dispatch_floating(dtype, "random_normal", [&](auto zero) {
    using T = decltype(zero);
    T* p = t.mutable_data<T>();
    for (std::int64_t i = 0, n = t.numel(); i < n; ++i) p[i] = detail::convert<T>(mean + deviation * random.normal());
  });
  return t;
}

}  // namespace sslcake::inline v0
