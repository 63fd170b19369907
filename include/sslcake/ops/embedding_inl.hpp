#pragma once

#include <algorithm>

#include "elementwise.hpp"
#include "embedding.hpp"
#include "on_device.hpp"

namespace sslcake::inline v0::ops {

// dweight[index[k]] += dy[k], in the order of k.
SSLCAKE_INLINE Tensor embedding(const Tensor& index, const Tensor& weight) {
  detail::check_real("embedding", weight);
  if (!index.defined() || index.dtype() != DType::int64)
    fail("embedding", "expected an int64 index, got ", index.defined() ? name_of(index.dtype()) : "an undefined tensor");
  if (weight.rank() != 2) fail("embedding", "expected weight (V,D), got ", weight.shape());
  const std::int64_t words = weight.dim(0), width = weight.dim(1), count = index.numel();
  Shape shape = index.shape();
  shape.push_back(width);
  const bool cuda = detail::on_cuda("embedding", weight, index);
  Tensor y(shape, weight.dtype(), weight.device());
  if (cuda) {
    kernels::cuda::table().shape.index_select(weight.address(), static_cast<const std::int64_t*>(index.address()),
                                              y.mutable_address(), 1, count, words,
                                              static_cast<std::size_t>(width) * size_of(weight.dtype()));
  } else {
    const auto* rows = index.data<std::int64_t>();
    for (std::int64_t k = 0; k < count; ++k)
      if (rows[k] < 0 || rows[k] >= words)
        fail("embedding", "expected indices in [0,", words, "), got ", rows[k], " at position ", k);
    dispatch_real(weight.dtype(), "embedding", [&](auto zero) {
      using T = decltype(zero);
      const T* from = weight.data<T>();
      T* to = y.mutable_data<T>();
      for (std::int64_t k = 0; k < count; ++k) std::copy_n(from + rows[k] * width, width, to + k * width);
    });
  }
  return autograd::record("embedding", {weight}, y,
                          [saved = autograd::Saved(index), shape = weight.shape()](autograd::Backward& b) {
    const Tensor& index = saved.get();
    const std::int64_t width = shape[1], count = index.numel();
    if (detail::on_cuda("embedding", b.grad(), index)) {
      Tensor dweight = empty(shape, b.grad().dtype(), b.grad().device());
      kernels::cuda::table().shape.index_select_gradient(dweight.dtype(), b.grad().address(),
                                                         static_cast<const std::int64_t*>(index.address()),
                                                         dweight.mutable_address(), 1, count, shape[0], width);
      return b.give(0, dweight);
    }
    Tensor dweight = zeros(shape, b.grad().dtype());
    const auto* rows = index.data<std::int64_t>();
    dispatch_real(dweight.dtype(), "embedding", [&](auto zero) {
      using T = decltype(zero);
      const T* from = b.grad().data<T>();
      T* to = dweight.mutable_data<T>();
      for (std::int64_t k = 0; k < count; ++k)
        for (std::int64_t i = 0; i < width; ++i) to[rows[k] * width + i] += from[k * width + i];
    });
    b.give(0, dweight);
  });
}

}  // namespace sslcake::inline v0::ops
