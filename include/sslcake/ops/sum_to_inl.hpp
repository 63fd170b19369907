#pragma once

#include <vector>

#include "reduce.hpp"
#include "sum_to.hpp"

namespace sslcake::inline v0::ops::detail {

SSLCAKE_INLINE Tensor sum_to(const Tensor& t, const Shape& shape) {
  if (t.shape() == shape) return t;
  std::vector<int> axes;
  const int missing = t.rank() - shape.rank();
  for (int i = 0; i < t.rank(); ++i)
    if (i < missing || (shape[i - missing] == 1 && t.dim(i) != 1)) axes.push_back(i);
  if (axes.empty()) return t.alias(shape);
  // bfloat16 sums are kept in float until the end.
  const Tensor wide = t.dtype() == DType::bfloat16 ? t.to(DType::float32) : t.detach();
  return sum_plain(wide, axes).alias(shape).to(t.dtype());
}

}  // namespace sslcake::inline v0::ops::detail
