// Small helpers that several ops share (internal; included by the *_inl.hpp files only).
#pragma once

#include <algorithm>

#include "../core/dtype.hpp"
#include "../core/threads.hpp"
#include "../kernels/cpu/variant.hpp"
#include "axis.hpp"

namespace sslcake::inline v0::ops::detail {

inline constexpr std::int64_t elementwise_grain = 1 << 14;  // elements per chunk: some tens of microseconds
inline constexpr std::int64_t widened_block = 1024;          // bfloat16 elements widened at a time: fits the first cache

/// How many items make one chunk of about `wanted` elements, for parallel_for.
inline std::int64_t items_per_chunk(std::int64_t elements_per_item, std::int64_t wanted = elementwise_grain) {
  return std::max<std::int64_t>(1, wanted / std::max<std::int64_t>(1, elements_per_item));
}

inline void widen(const bfloat16* from, float* to, std::int64_t n) { kernels::variant().widen(n, from, to); }
inline void narrow(const float* from, bfloat16* to, std::int64_t n) { kernels::variant().narrow(n, from, to); }

/// Calls body(start, number) for every line of elements start, start + inner, start + 2·inner, ... along the axis.
template <class Body>
void for_each_line(const Axis& axis, Body&& body) {
  parallel_for(axis.outer * axis.inner, items_per_chunk(axis.extent, 1 << 12),
               [&](std::int64_t begin, std::int64_t end) {
    for (auto l = begin; l < end; ++l) body(l / axis.inner * axis.extent * axis.inner + l % axis.inner, l);
  });
}

/// The largest of n elements that lie `step` apart.
template <class T>
T largest_of(const T* x, std::int64_t n, std::int64_t step) {
  T best = x[0];
  for (std::int64_t i = 1; i < n; ++i) best = std::max(best, x[i * step]);
  return best;
}

}  // namespace sslcake::inline v0::ops::detail
