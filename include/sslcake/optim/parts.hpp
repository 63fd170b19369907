// One pass over many tensors (internal). A network has many parameters, most of them small: all are cut into parts at once
// and the threads take parts until none is left, so that they meet once for a step and not once for every tensor.
//
// Where the cuts are depends on the sizes alone, and sums of parts are added in their order: the same bits for any number
// of threads.
#pragma once

#include <vector>

#include "../core/threads.hpp"
#include "../kernels/cpu/bfloat_vectors.hpp"

namespace sslcake::inline v0::optim::detail {

/// Elements begin to end of the tensor number `item`.
struct Part {
  std::size_t item;
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};
using Parts = std::vector<Part>;

/// The parts of tensors of these sizes, in order; an empty tensor has none.
inline Parts cut(const std::vector<std::int64_t>& sizes) {
  Parts parts;
  for (std::size_t item = 0; item < sizes.size(); ++item) {
    const std::int64_t n = sizes[item], chunks = chunk_count(n, 1 << 14);
    for (std::int64_t c = 0; c < chunks; ++c) parts.push_back({item, n * c / chunks, n * (c + 1) / chunks});
  }
  return parts;
}

/// body(part, its number) for all parts, on all threads.
template <class Body>
void for_parts(const Parts& parts, Body&& body) {
  parallel_chunks(static_cast<std::int64_t>(parts.size()), [&](std::int64_t k) {
    const auto number = static_cast<std::size_t>(k);
    body(parts[number], number);
  });
}

/// Four floats: what every x86-64 and AArch64 has, so that loops become vector code whatever the compiler's flags.
using Lanes = kernels::VectorOf<float, 16>::type;

/// body(V(), i) for elements i, i + 1, ... of a V: four at a time, the rest one by one. Both round alike.
template <class Body>
SSLCAKE_ALWAYS_INLINE void for_lanes(std::int64_t n, Body&& body) {
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) body(Lanes{}, i);
  for (; i < n; ++i) body(0.0f, i);
}

/// Σ term(i) over [0, n): eight sums side by side, because one alone would wait for its own last addition every time.
template <class Term>
SSLCAKE_ALWAYS_INLINE double sum_lanes(std::int64_t n, Term&& term) {
  double sums[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    SSLCAKE_UNROLL
    for (int k = 0; k < 8; ++k) sums[k] += term(i + k);
  }
  for (int k = 0; i < n; ++i, ++k) sums[k] += term(i);
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

}  // namespace sslcake::inline v0::optim::detail
