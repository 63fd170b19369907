// The norm of all gradients together, and its limit (Pascanu, Mikolov, Bengio 2012, arXiv 1211.5063):
//
//   ‖g‖ = √ Σ g²   over all parameters;      g ← g · limit / ‖g‖   where ‖g‖ > limit
//
// Sums are taken in double, in chunks that depend on the shapes alone: the same bits for any number of threads.
#pragma once

#include <vector>

#include "../autograd/parameter.hpp"
#include "../core/threads.hpp"

namespace sslcake::inline v0::optim {

/// The norm; parameters without gradient count as 0. Not finite if a gradient is not.
double grad_norm(const Parameters& parameters);
/// Scales the gradients in place if their norm exceeds `limit`. Returns the norm before. If it is not finite the
/// gradients stay as they are: check what comes back. Errors: a limit that is not above 0.
double clip_grad_norm(const Parameters& parameters, double limit);

namespace detail {
/// Σ term(i) over [0, n), chunk by chunk.
template <class F>
double sum_chunks(std::int64_t n, F&& term) {
  const std::int64_t chunks = chunk_count(n, 1 << 14);
  std::vector<double> partial(static_cast<std::size_t>(chunks), 0.0);
  parallel_chunks(chunks, [&](std::int64_t c) {
    double sum = 0;
    for (std::int64_t i = n * c / chunks, end = n * (c + 1) / chunks; i < end; ++i) sum += term(i);
    partial[static_cast<std::size_t>(c)] = sum;
  });
  double sum = 0;
  for (const double p : partial) sum += p;
  return sum;
}
}  // namespace detail

}  // namespace sslcake::inline v0::optim

#ifndef SSLCAKE_COMPILED
#include "clip_inl.hpp"
#endif
