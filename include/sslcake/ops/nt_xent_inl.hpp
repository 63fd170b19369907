#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "../core/threads.hpp"
#include "../kernels/gemm.hpp"
#include "../kernels/softmax_tile.hpp"
#include "nt_xent.hpp"
#include "on_device.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

/// The symmetric matrix v·vᵀ (rows,rows), cut into square tiles of which those on and above the diagonal are visited.
///
/// In each round no two tiles touch the same block of rows, so that tiles of a round may run at the same time, update
/// what belongs to their two blocks, and still every block meets the others in a fixed order: the same bits for every
/// number of threads, without partial results to keep. (The order is that of a tournament, the "circle method".)
template <class T>
struct SimilarityTiles {
  std::int64_t rows, d, block, blocks;
  const T* v;  // (rows, d)

  SimilarityTiles(std::int64_t n, std::int64_t width, const T* data) : rows(n), d(width), block(32), v(data) {
    while (block < 128 && block * 8 < n) block *= 2;
    blocks = (n + block - 1) / block;
  }
  std::int64_t begin(std::int64_t b) const { return b * block; }
  std::int64_t size(std::int64_t b) const { return std::min(block, rows - b * block); }
  std::int64_t partner(std::int64_t i) const { return i < rows / 2 ? i + rows / 2 : i - rows / 2; }

  /// Calls visit(a, b, s) with s (size(a), size(b)) = v_a · v_bᵀ, to be overwritten at will; row length size(b).
  template <class Visit>
  void for_each(const Visit& visit) const {
    const auto run = [&](std::int64_t a, std::int64_t b) {
      const Workspace<T> s(size(a) * size(b));
      kernels::gemm(false, true, size(a), size(b), d, v + begin(a) * d, d, v + begin(b) * d, d, s.data(), size(b));
      visit(a, b, s.data());
    };
    parallel_chunks(blocks, [&](std::int64_t b) { run(b, b); });
    const std::int64_t players = blocks + blocks % 2, others = players - 1;  // an odd block has a free round
    for (std::int64_t round = 0; round < others && blocks > 1; ++round)
      parallel_chunks(players / 2, [&](std::int64_t k) {
        const std::int64_t a = (round + k) % others, b = k == 0 ? others : (round - k + others) % others;
        if (b < blocks) run(std::min(a, b), std::max(a, b));
      });
  }

  /// Calls visit(index within s, row i, whether it is i itself) for the elements of a tile that are no negatives.
  template <class Visit>
  void for_each_special(std::int64_t a, std::int64_t b, const Visit& visit) const {
    for (std::int64_t i = begin(a); i < begin(a) + size(a); ++i) {
      const std::int64_t at = (i - begin(a)) * size(b) - begin(b), p = partner(i);
      if (a == b) visit(at + i, i, true);
      if (p >= begin(b) && p < begin(b) + size(b)) visit(at + p, i, false);
    }
  }
};

/// What the forward pass knows of each row.
template <class T>
struct NtXentRows {
  std::vector<T> max;       // over the negatives
  std::vector<double> sum;  // Σ exp(s - max) over the negatives
  std::vector<T> positive;  // similarity to the partner
  explicit NtXentRows(std::int64_t n)
      : max(static_cast<std::size_t>(n), static_cast<T>(kernels::least_maximum)),
        sum(max.size(), 0.0),
        positive(max.size(), T(0)) {}
};

/// Adds a tile to the running maxima and sums of its rows and, above the diagonal, of its columns, which are rows too.
template <class T>
void nt_xent_visit(const SimilarityTiles<T>& tiles, std::int64_t a, std::int64_t b, T* s, NtXentRows<T>& rows) {
  tiles.for_each_special(a, b, [&](std::int64_t at, std::int64_t i, bool self) {
    if (!self) rows.positive[static_cast<std::size_t>(i)] = rows.positive[static_cast<std::size_t>(tiles.partner(i))] = s[at];
    s[at] = static_cast<T>(kernels::absent_similarity);
  });
  const std::int64_t m = tiles.size(a), n = tiles.size(b);
  T *max_a = rows.max.data() + tiles.begin(a), *max_b = rows.max.data() + tiles.begin(b);
  std::vector<T> before(max_a, max_a + m), sums(static_cast<std::size_t>(m + n));
  before.insert(before.end(), max_b, max_b + n);
  std::vector<T> unused(max_b, max_b + n);  // on the diagonal, columns would count everything twice
  T* column_max = a == b ? unused.data() : max_b;
  kernels::tile_maxima(m, n, s, n, max_a, column_max);
  kernels::tile_sums(m, n, s, n, max_a, column_max, sums.data(), sums.data() + m);
  const auto merge = [&](std::int64_t first, std::int64_t count, const T* old, const T* sum) {
    for (std::int64_t i = 0; i < count; ++i) {
      const auto row = static_cast<std::size_t>(first + i);
      rows.sum[row] = rows.sum[row] * std::exp(static_cast<double>(old[i]) - static_cast<double>(rows.max[row])) +
                      static_cast<double>(sum[i]);
    }
  };
  merge(tiles.begin(a), m, before.data(), sums.data());
  if (a != b) merge(tiles.begin(b), n, before.data() + m, sums.data() + m);
}

/// v = z / (max(|z|, 1e-12)·√temperature), so that v_i·v_j = s_ij; norms receives the divisors.
template <class T>
void nt_xent_scale(const T* z, std::int64_t rows, std::int64_t d, const NtXentOptions& options, T* v, double* norms) {
  parallel_for(rows, 1 + (1 << 14) / (d + 1), [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) {
      double square = 0;
      for (std::int64_t k = 0; k < d; ++k) square += static_cast<double>(z[i * d + k]) * static_cast<double>(z[i * d + k]);
      const double length = std::sqrt(square);
      norms[i] = options.normalize ? (length < 1e-12 ? 1e-12 : length) : 1.0;
      const T scale = static_cast<T>(1 / (norms[i] * std::sqrt(options.temperature)));
      for (std::int64_t k = 0; k < d; ++k) v[i * d + k] = z[i * d + k] * scale;
    }
  });
}

/// dv becomes dz: divided by √temperature and, behind a normalisation, dz = (du - u (u·du)) / |z|.
template <class T>
void nt_xent_unscale(T* dv, const T* v, const double* norms, std::int64_t rows, std::int64_t d, const NtXentOptions& options,
                     double factor) {
  parallel_for(rows, 1 + (1 << 14) / (d + 1), [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) {
      double along = 0;  // v·dv = u·du
      if (options.normalize && norms[i] > 1e-12)
        for (std::int64_t k = 0; k < d; ++k) along += static_cast<double>(v[i * d + k]) * static_cast<double>(dv[i * d + k]);
      const T scale = static_cast<T>(factor / (norms[i] * std::sqrt(options.temperature)));
      const T back =
          static_cast<T>(along * options.temperature);  // u (u·du) / √temperature = v·temperature·(v·dv) / √temperature
      for (std::int64_t k = 0; k < d; ++k) dv[i * d + k] = (dv[i * d + k] - v[i * d + k] * back) * scale;
    }
  });
}

/// The gradient with respect to v, without the factor 1/2N: Σ_j (P_ij + P_ji - 2·[j = p(i)]) v_j. The weight of the
/// partner is given, P_ip - 1 for each row: taken from P it would vanish in rounding once the loss is small.
template <class T>
void nt_xent_gradient(const SimilarityTiles<T>& tiles, const T* log_sums, const T* partner_weights, T* dv) {
  std::fill_n(dv, tiles.rows * tiles.d, T(0));
  const std::int64_t d = tiles.d;
  tiles.for_each([&](std::int64_t a, std::int64_t b, T* s) {
    const std::int64_t m = tiles.size(a), n = tiles.size(b), first = tiles.begin(a), second = tiles.begin(b);
    kernels::tile_weights(m, n, s, n, log_sums + first, log_sums + second);
    tiles.for_each_special(a, b, [&](std::int64_t at, std::int64_t i, bool self) {
      s[at] = self ? T(0) : partner_weights[i] + partner_weights[tiles.partner(i)];
    });
    kernels::gemm(false, false, m, d, n, s, n, tiles.v + second * d, d, dv + first * d, d, true);
    if (a != b) kernels::gemm(true, false, n, d, m, s, n, tiles.v + first * d, d, dv + second * d, d, true);
  });
}

template <class T>
NtXentResult nt_xent_of(const Tensor& z, const NtXentOptions& options) {
  const std::int64_t rows = z.dim(0), d = z.dim(1);
  const auto v = std::make_shared<Workspace<T>>(rows * d);
  const auto norms = std::make_shared<std::vector<double>>(static_cast<std::size_t>(rows));
  const auto log_sums = std::make_shared<std::vector<T>>(norms->size()),
             partner_weights = std::make_shared<std::vector<T>>(norms->size());
  const Tensor values = z.to(dtype_of<T>);
  nt_xent_scale(values.data<T>(), rows, d, options, v->data(), norms->data());
  const SimilarityTiles<T> tiles(rows, d, v->data());
  NtXentRows<T> known(rows);
  tiles.for_each([&](std::int64_t a, std::int64_t b, T* s) { nt_xent_visit(tiles, a, b, s, known); });

  double total = 0;
  std::int64_t agreed = 0;
  for (std::size_t i = 0; i < log_sums->size(); ++i) {
    // log Σ exp(s) - positive, where the sum runs over the negatives and the positive; near 0 without cancellation.
    const double positive = static_cast<double>(known.positive[i]), ahead = positive - static_cast<double>(known.max[i]);
    const double loss =
        ahead > 0 ? std::log1p(known.sum[i] * std::exp(-ahead)) : std::log(known.sum[i] + std::exp(ahead)) - ahead;
    (*log_sums)[i] = static_cast<T>(positive + loss);
    (*partner_weights)[i] = static_cast<T>(std::expm1(-loss));
    total += loss;
    agreed += known.positive[i] > known.max[i];
  }
  NtXentResult result;
  result.agreement = scalar(static_cast<double>(agreed) / static_cast<double>(rows), DType::float64);
  const Tensor loss = scalar(total / static_cast<double>(rows), dtype_of<T>);
  const auto gradient = [v, norms, log_sums, partner_weights, rows, d, options, dtype = z.dtype()](autograd::Backward& b) {
    Tensor dz(Shape{rows, d}, dtype_of<T>);
    T* dv = dz.mutable_data<T>();
    nt_xent_gradient(SimilarityTiles<T>(rows, d, v->data()), log_sums->data(), partner_weights->data(), dv);
    nt_xent_unscale(dv, v->data(), norms->data(), rows, d, options, b.grad().item() / static_cast<double>(rows));
    b.give(0, dz.to(dtype));
  };
  result.loss = autograd::record("nt_xent", {z}, loss, gradient);
  return result;
}

inline NtXentResult nt_xent_on_cuda(const Tensor& z, const NtXentOptions& options) {
  expect_floats_on_cuda("nt_xent", z);
  const std::int64_t rows = z.dim(0), d = z.dim(1);
  // Similarities up to 1/temperature: the larger, the more of their digits count.
  const bool precise = !options.normalize || options.temperature < 0.05;
  const auto f32 = [&](const Shape& shape) { return Tensor(shape, DType::float32, z.device()); };
  const auto in = [](const Tensor& t) { return static_cast<const float*>(t.address()); };
  const auto out = [](Tensor& t) { return static_cast<float*>(t.mutable_address()); };
  Tensor v = f32({rows, d}), norms = f32({rows}), log_sums = f32({rows}), partner_weights = f32({rows});
  Tensor loss = f32({}), agreement = f32({});
  const Tensor values = z.to(DType::float32);
  kernels::cuda::table().nt_xent.scale(rows, d, options.temperature, options.normalize, in(values), out(v), out(norms));
  kernels::cuda::table().nt_xent.forward(rows, d, precise, in(v), out(log_sums), out(partner_weights), out(loss), out(agreement));
  const auto gradient = [=, dtype = z.dtype()](autograd::Backward& b) {
    Tensor dz(Shape{rows, d}, DType::float32, v.device());
    kernels::cuda::table().nt_xent.backward(rows, d, precise, options.temperature, options.normalize, in(v), in(norms),
                                            in(log_sums), in(partner_weights), in(b.grad()), out(dz));
    b.give(0, dz.to(dtype));
  };
  return {autograd::record("nt_xent", {z}, loss, gradient), agreement};
}

}  // namespace detail

SSLCAKE_INLINE NtXentResult nt_xent(const Tensor& z, const NtXentOptions& options) {
  constexpr const char* op = "nt_xent";
  if (!z.defined() || z.rank() != 2)
    fail(op, "expected embeddings (2N,d), got ", z.defined() ? z.shape().str() : "an undefined tensor");
  if (!is_floating(z.dtype())) fail(op, "expected a floating-point tensor, got ", z.dtype());
  if (z.dim(0) < 2 || z.dim(0) % 2 != 0)
    fail(op, "expected an even number of rows, the second half being the partners of the first, got ", z.shape());
  if (!(options.temperature > 0) || !(options.temperature < 1e30))
    fail(op, "expected a temperature above 0, got ", options.temperature);
  if (detail::on_cuda(op, z)) return detail::nt_xent_on_cuda(z, options);
  return z.dtype() == DType::float64 ? detail::nt_xent_of<double>(z, options) : detail::nt_xent_of<float>(z, options);
}

SSLCAKE_INLINE double nt_xent_chance(std::int64_t rows) {
  if (rows < 2) fail("nt_xent_chance", "expected at least two rows, got ", rows);
  return std::log(static_cast<double>(rows - 1));
}

}  // namespace sslcake::inline v0::ops
