#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "../kernels/gemm.hpp"
#include "muon.hpp"
#include "parts.hpp"

namespace sslcake::inline v0::optim {

SSLCAKE_INLINE void detail::orthogonalise(std::int64_t rows, std::int64_t columns, int iterations, float* x) {
  const std::int64_t n = rows * columns, m = std::min(rows, columns);
  const Parts parts = cut({n}), squares = cut({m * m});
  std::vector<double> sums(parts.size());
  for_parts(parts, [&](const Part& part, std::size_t number) {
    sums[number] = sum_lanes(part.size(), [at = x + part.begin](std::int64_t i) { return double{at[i]} * at[i]; });
  });
  double norm = 0;
  for (const double sum : sums) norm += sum;
  const auto scale = [&](double factor, const float* source, float* target) {
    for_parts(parts, [=, by = static_cast<float>(factor)](const Part& part, std::size_t) {
      for_lanes(part.size(), [by, in = source + part.begin, out = target + part.begin]<class V>(V, std::int64_t i) {
        V v;
        kernels::load(v, in + i);
        v = by * v;
        kernels::store(v, out + i);
      });
    });
  };
  scale(1 / std::max(std::sqrt(norm), 1e-7), x, x);

  // X Xᵀ, or where X is tall XᵀX: the smaller one, and (X Xᵀ) X = X (XᵀX).
  const bool tall = rows > columns;
  Tensor scratch = empty({n + 2 * m * m});
  float *from = x, *to = scratch.mutable_data<float>(), *a = to + n, *b = a + m * m;
  for (int iteration = 0; iteration < iterations; ++iteration) {
    kernels::gemm(tall, !tall, m, m, std::max(rows, columns), from, columns, from, columns, a, m);
    kernels::gemm(false, false, m, m, m, a, m, a, m, b, m);
    for_parts(squares, [&](const Part& part, std::size_t) {
      for_lanes(part.size(), [gram = a + part.begin, square = b + part.begin]<class V>(V, std::int64_t i) {
        V g, s;
        kernels::load(g, gram + i);
        kernels::load(s, square + i);
        s = -4.7750f * g + 2.0315f * s;
        kernels::store(s, square + i);
      });
    });
    scale(3.4445, from, to);
    if (tall)
      kernels::gemm(false, false, rows, m, m, from, columns, b, m, to, columns, true);
    else
      kernels::gemm(false, false, m, columns, m, b, m, from, columns, to, columns, true);
    std::swap(from, to);
  }
  if (from != x) scale(1, from, x);
}

SSLCAKE_INLINE Rule Muon::rule(const MuonOptions& options) {
  detail::checked("Muon", "momentum", options.momentum, 0, 1);
  if (options.nesterov && options.momentum == 0) fail("Muon", "expected momentum above 0 with nesterov, got 0");
  detail::checked("Muon", "others", options.others, 0, 1e6);
  if (options.iterations < 1 || options.iterations > 100)
    fail("Muon", "expected 1 to 100 iterations, got ", options.iterations);
  Rule rule{
      .name = "muon", .lr = options.lr, .weight_decay = options.weight_decay, .decay_norm_and_bias = options.decay_norm_and_bias};
  rule.slots = {"momentum"};
  rule.settings = concat("momentum ", detail::exact(options.momentum), options.nesterov ? " nesterov" : "", ", ",
                         options.iterations, " iterations, others times ", detail::exact(options.others));

  // V and, in `direction`, U.
  const auto follow = [momentum = static_cast<float>(options.momentum), nesterov = options.nesterov](const Update& u,
                                                                                                       float* direction) {
    detail::for_lanes(u.size, [=, grads = u.grads, velocity = u.slots[0]]<class V>(V, std::int64_t i) {
      V g, v;
      kernels::load(g, grads + i);
      kernels::load(v, velocity + i);
      v = momentum * v + g;
      kernels::store(v, velocity + i);
      v = nesterov ? g + momentum * v : v;
      kernels::store(v, direction + i);
    });
  };
  // W ← keep · W - rate · direction
  const auto move = [](const Update& u, double rate, const float* direction) {
    detail::for_lanes(u.size, [weights = u.weights, direction, keep = static_cast<float>(1 - u.lr * u.weight_decay),
                               by = static_cast<float>(rate)]<class V>(V, std::int64_t i) {
      V w, d;
      kernels::load(w, weights + i);
      kernels::load(d, direction + i);
      w = keep * w - by * d;
      kernels::store(w, weights + i);
    });
  };

  rule.update = [=, others = options.others](const Update& u) {
    float direction[256];
    for (std::int64_t at = 0; at < u.size; at += 256) {
      const Update some = u.part(at, std::min<std::int64_t>(256, u.size - at));
      follow(some, direction);
      move(some, others * u.lr, direction);
    }
  };
  rule.matrix = [=, iterations = options.iterations](const Update& u) {
    const std::int64_t columns = u.size / u.rows;
    const double rate = u.lr * std::sqrt(std::max(1.0, static_cast<double>(u.rows) / static_cast<double>(columns)));
    const auto parts = detail::cut({u.size});
    Tensor scratch = empty({u.size});
    float* direction = scratch.mutable_data<float>();
    detail::for_parts(parts, [&](const detail::Part& part, std::size_t) {
      follow(u.part(part.begin, part.size()), direction + part.begin);
    });
    detail::orthogonalise(u.rows, columns, iterations, direction);
    detail::for_parts(parts, [&](const detail::Part& part, std::size_t) {
      move(u.part(part.begin, part.size()), rate, direction + part.begin);
    });
  };
  return rule;
}

}  // namespace sslcake::inline v0::optim
