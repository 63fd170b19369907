#pragma once

#include <algorithm>

#include "elementwise.hpp"
#include "embedding.hpp"

namespace sslcake::inline v0::ops {

// dweight[index[k]] += dy[k], in the order of k.
SSLCAKE_INLINE Tensor embedding(const Tensor& index, const Tensor& weight) {
  detail::check_real("embedding", weight);
  if (!index.defined() || index.dtype() != DType::int64)
    fail("embedding", "expected an int64 index, got ", index.defined() ? name_of(index.dtype()) : "an undefined tensor");
  if (weight.rank() != 2) fail("embedding", "expected weight (V,D), got ", weight.shape());
  const std::int64_t words = weight.dim(0), width = weight.dim(1), count = index.numel();
  const auto* rows = index.data<std::int64_t>();
  for (std::int64_t k = 0; k < count; ++k)
    if (rows[k] < 0 || rows[k] >= words)
      fail("embedding", "expected indices in [0,", words, "), got ", rows[k], " at position ", k);
  Shape shape = index.shape();
  shape.push_back(width);
  Tensor y(shape, weight.dtype());
  dispatch_real(weight.dtype(), "embedding", [&](auto zero) {
    using T = decltype(zero);
    const T* from = weight.data<T>();
    T* to = y.mutable_data<T>();
    for (std::int64_t k = 0; k < count; ++k) std::copy_n(from + rows[k] * width, width, to + k * width);
  });
  return autograd::record("embedding", {weight}, y,
                          [saved = autograd::Saved(index), shape = weight.shape()](autograd::Backward& b) {
                            Tensor dweight = zeros(shape, b.grad().dtype());
                            const auto* rows = saved.get().data<std::int64_t>();
                            dispatch_real(dweight.dtype(), "embedding", [&](auto zero) {
                              using T = decltype(zero);
                              const T* from = b.grad().data<T>();
                              T* to = dweight.mutable_data<T>();
                              const std::int64_t width = shape[1];
                              for (std::int64_t k = 0, n = saved.get().numel(); k < n; ++k)
                                for (std::int64_t i = 0; i < width; ++i) to[rows[k] * width + i] += from[k * width + i];
                            });
                            b.give(0, dweight);
                          });
}

}  // namespace sslcake::inline v0::ops
