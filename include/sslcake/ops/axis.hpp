// One axis of a shape, for loops along it (internal).
#pragma once

#include <cstdint>

#include "../core/shape.hpp"

namespace sslcake::inline v0::ops::detail {

/// A shape cut in three at one axis: element (o, r, i) lies at (o·extent + r)·inner + i.
struct Axis {
  std::int64_t outer, extent, inner;
};

/// Fails naming `op` if `axis` is out of range.
inline Axis split_at(const char* op, const Shape& shape, int axis) {
  const int a = shape.axis(axis, op);
  return {shape.span(0, a), shape[a], shape.span(a + 1, shape.rank())};
}

}  // namespace sslcake::inline v0::ops::detail
