#pragma once

#include <cstring>

#include "../autograd/tape.hpp"
#include "../core/threads.hpp"
#include "axis.hpp"
#include "loops.hpp"
#include "on_device.hpp"
#include "pick.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

/// The index as plain numbers, each checked to lie in [0, extent); on CUDA they are not looked at: for those that do
/// not, kernels write bytes of 0xff, and gradients leave them out.
inline const std::int64_t* checked_index(const char* op, const Tensor& index, std::int64_t extent) {
  check_defined(op, index);
  if (index.dtype() != DType::int64) fail(op, "expected an index of type int64, got ", index.dtype());
  if (index.device() == Device::cuda) return static_cast<const std::int64_t*>(index.address());
  const auto* p = index.data<std::int64_t>();
  for (std::int64_t i = 0, n = index.numel(); i < n; ++i)
    if (p[i] < 0 || p[i] >= extent) fail(op, "expected indices in [0,", extent, "), got ", p[i], " at position ", i);
  return p;
}

/// to[p + offset(k)] += from[k], or to[k] = from[p + offset(k)]: gather and its transpose, over all elements of `index`.
template <class Body>
void for_each_picked(const Shape& index_shape, const std::int64_t* index, Axis x, int axis, Body&& body) {
  const auto [outer, extent, inner] = split_at("gather", index_shape, axis);
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t r = 0; r < extent; ++r)
      for (std::int64_t i = 0; i < inner; ++i) {
        const std::int64_t k = (o * extent + r) * inner + i;
        body(k, (o * x.extent + index[k]) * x.inner + i);
      }
}

}  // namespace detail

// dx: each entry of dy is added to the entry of x that it was copied from, in order (an index may repeat).
SSLCAKE_INLINE Tensor index_select(const Tensor& x, const Tensor& index, int axis) {
  detail::check_defined("index_select", x);
  axis = x.shape().axis(axis, "index_select");
  const auto [outer, extent, inner] = detail::split_at("index_select", x.shape(), axis);
  const auto* picked = detail::checked_index("index_select", index, extent);
  if (index.rank() != 1) fail("index_select", "expected an index of shape (K), got ", index.shape());
  const std::int64_t count = index.numel();
  const bool cuda = detail::on_cuda("index_select", x, index);
  Shape shape = x.shape();
  shape[axis] = count;
  Tensor y(shape, x.dtype(), x.device());
  const std::size_t entry = static_cast<std::size_t>(inner) * size_of(x.dtype());
  const char* from = static_cast<const char*>(x.address());
  char* to = static_cast<char*>(y.mutable_address());
  if (cuda)
    kernels::cuda::table().shape.index_select(from, picked, to, outer, count, extent, entry);
  else if (entry > 0)
    parallel_for(outer * count, detail::items_per_chunk(static_cast<std::int64_t>(entry), 1 << 16),
                 [&, extent = extent](std::int64_t begin, std::int64_t end) {
      for (auto k = begin; k < end; ++k)
        std::memcpy(to + static_cast<std::size_t>(k) * entry,
                    from + static_cast<std::size_t>(k / count * extent + picked[k % count]) * entry, entry);
    });
  return autograd::record(
      "index_select", {x}, y, [shape = x.shape(), axis, saved = autograd::Saved(index)](autograd::Backward& b) {
        const auto [outer, extent, inner] = detail::split_at("index_select", shape, axis);
        const std::int64_t count = saved.get().numel();
        if (detail::on_cuda("index_select", b.grad(), saved.get())) {
          Tensor dx = empty(shape, b.grad().dtype(), b.grad().device());
          kernels::cuda::table().shape.index_select_gradient(dx.dtype(), b.grad().address(),
                                                             static_cast<const std::int64_t*>(saved.get().address()),
                                                             dx.mutable_address(), outer, count, extent, inner);
          return b.give(0, dx);
        }
        const auto* picked = saved.get().data<std::int64_t>();
        Tensor dx;
        dispatch_floating(b.grad().dtype(), "index_select", [&, outer = outer, extent = extent, inner = inner](auto zero) {
          using T = decltype(zero);
          using Sum = compute_t<T>;
          dx = zeros(shape, dtype_of<Sum>);
          Sum* to = dx.mutable_data<Sum>();
          const T* from = b.grad().data<T>();
          for (std::int64_t o = 0; o < outer; ++o)
            for (std::int64_t k = 0; k < count; ++k)
              for (std::int64_t i = 0; i < inner; ++i)
                to[(o * extent + picked[k]) * inner + i] += static_cast<Sum>(from[(o * count + k) * inner + i]);
        });
        b.give(0, dx.to(b.grad().dtype()));
      });
}

SSLCAKE_INLINE Tensor gather(const Tensor& x, const Tensor& index, int axis) {
  detail::check_defined("gather", x);
  axis = x.shape().axis(axis, "gather");
  const auto whole = detail::split_at("gather", x.shape(), axis);
  const auto* picked = detail::checked_index("gather", index, whole.extent);
  bool fits = index.rank() == x.rank();
  for (int i = 0; fits && i < x.rank(); ++i) fits = i == axis || index.dim(i) == x.dim(i);
  if (!fits)
    fail("gather", "expected an index with the extents of ", x.shape(), " except in axis ", axis, ", got ", index.shape());
  const bool cuda = detail::on_cuda("gather", x, index);
  Tensor y(index.shape(), x.dtype(), x.device());
  if (cuda)
    kernels::cuda::table().shape.gather(size_of(x.dtype()), x.address(), picked, y.mutable_address(), whole.outer,
                                        index.dim(axis), whole.extent, whole.inner);
  else dispatch_all(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* to = y.mutable_data<T>();
    const T* from = x.data<T>();
    detail::for_each_picked(index.shape(), picked, whole, axis, [&](std::int64_t k, std::int64_t at) { to[k] = from[at]; });
  });
  return autograd::record(
      "gather", {x}, y, [shape = x.shape(), whole, axis, saved = autograd::Saved(index)](autograd::Backward& b) {
        if (const Tensor& index = saved.get(); detail::on_cuda("gather", b.grad(), index)) {
          Tensor dx = empty(shape, b.grad().dtype(), b.grad().device());
          kernels::cuda::table().shape.gather_gradient(dx.dtype(), b.grad().address(),
                                                       static_cast<const std::int64_t*>(index.address()), dx.mutable_address(),
                                                       whole.outer, index.dim(axis), whole.extent, whole.inner);
          return b.give(0, dx);
        }
        Tensor dx;
        dispatch_floating(b.grad().dtype(), "gather", [&](auto zero) {
          using T = decltype(zero);
          using Sum = compute_t<T>;
          dx = zeros(shape, dtype_of<Sum>);
          Sum* to = dx.mutable_data<Sum>();
          const T* from = b.grad().data<T>();
          const Tensor& index = saved.get();
          detail::for_each_picked(index.shape(), index.data<std::int64_t>(), whole, axis,
                                  [&](std::int64_t k, std::int64_t at) { to[at] += static_cast<Sum>(from[k]); });
        });
        b.give(0, dx.to(b.grad().dtype()));
      });
}

}  // namespace sslcake::inline v0::ops
