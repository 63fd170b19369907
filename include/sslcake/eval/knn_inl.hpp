#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "../core/threads.hpp"
#include "../kernels/gemm.hpp"
#include "../ops/on_device.hpp"
#include "feature_matrix.hpp"
#include "knn.hpp"

namespace sslcake::inline v0::eval {
namespace detail {

struct Candidate {
  float similarity;
  std::int64_t index;
};
/// A total order: equal similarities are told apart by the index, so that the result does not depend on how it is found.
inline bool nearer(const Candidate& a, const Candidate& b) {
  return a.similarity > b.similarity || (a.similarity == b.similarity && a.index < b.index);
}

/// The best k seen so far: candidates are collected to 2 k, then cut back to the best k, whose worst is the bar from
/// then on. Amortised constant time per candidate.
class BestK {
 public:
  explicit BestK(std::size_t k) : k_(k) { kept_.reserve(2 * k); }
  void offer(Candidate c) {
    if (full_ && !nearer(c, bar_)) return;
    kept_.push_back(c);
    if (kept_.size() == 2 * k_) cut();
  }
  /// What a later candidate must exceed: indices come in order, so that equals are not nearer.
  float bar() const { return full_ ? bar_.similarity : -std::numeric_limits<float>::infinity(); }
  const std::vector<Candidate>& sorted() {
    if (kept_.size() > k_) cut();
    std::sort(kept_.begin(), kept_.end(), nearer);
    return kept_;
  }

 private:
  void cut() {
    const auto kth = kept_.begin() + static_cast<std::ptrdiff_t>(k_) - 1;
    std::nth_element(kept_.begin(), kth, kept_.end(), nearer);
    bar_ = *kth;
    full_ = true;
    kept_.resize(k_);
  }
  std::size_t k_;
  std::vector<Candidate> kept_;
  Candidate bar_{};
  bool full_ = false;
};

/// Whether one of the 16 numbers at `row` is above the bar; in vectors, which compilers do not make of such a loop at -O2.
inline bool any_above(const float* row, float bar) {
  typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));
  const auto* four = reinterpret_cast<const Four*>(row);
  const auto above = (four[0] > bar) | (four[1] > bar) | (four[2] > bar) | (four[3] > bar);
  std::uint64_t halves[2];
  std::memcpy(halves, &above, sizeof halves);
  return (halves[0] | halves[1]) != 0;
}

/// Offers the similarities row[0 .. n) of rows first, first + 1, ... of the base, but for the row `skip`. Almost none
/// passes the bar: whole blocks are looked at first.
inline void offer_row(BestK& best, const float* row, std::int64_t n, std::int64_t first, std::int64_t skip) {
  constexpr std::int64_t block = 16;
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const std::int64_t end = std::min(begin + block, n);
    const float bar = best.bar();
    if (end - begin == block && !any_above(row + begin, bar)) continue;
    for (std::int64_t i = begin; i < end; ++i)
      if (row[i] > bar && first + i != skip) best.offer({row[i], first + i});
  }
}

/// nearest() on CUDA, of unit rows.
inline Neighbours nearest_on_cuda(const Tensor& queries, const Tensor& base, std::int64_t k, bool skip_same_index) {
  if (k > kernels::cuda::Neighbours::most_k)
    fail("nearest", "expected k <= ", kernels::cuda::Neighbours::most_k, " on cuda, got ", k);
  const std::int64_t q = queries.dim(0), n = base.dim(0), d = base.dim(1);
  if (n >= (std::int64_t{1} << 32)) fail("nearest", "expected a base of less than 2^32 rows on cuda, got ", n);
  Neighbours result{Tensor({q, k}, DType::int64, queries.device()), Tensor({q, k}, DType::float32, queries.device())};
  auto* best = static_cast<std::int64_t*>(result.indices.mutable_address());

  const std::int64_t query_tile = std::min<std::int64_t>(q, 1024), base_tile = std::min<std::int64_t>((n + 3) / 4 * 4, 16384);
  Tensor tile({query_tile, base_tile}, DType::float32, queries.device());  // 64 MiB of similarities at a time
  auto* similarities = static_cast<float*>(tile.mutable_address());
  for (std::int64_t q0 = 0; q0 < q; q0 += query_tile)
    for (std::int64_t b0 = 0; b0 < n; b0 += base_tile) {
      kernels::cuda::MatrixProduct product;  // (rows,d) · (columns,d)ᵀ
      product.transpose_b = true;
      product.m = std::min(query_tile, q - q0);
      product.n = std::min(base_tile, n - b0);
      product.k = product.lda = product.ldb = d;
      product.ldc = base_tile;
      kernels::cuda::table().product.gemm(product, static_cast<const float*>(queries.address()) + q0 * d,
                                          static_cast<const float*>(base.address()) + b0 * d, nullptr, similarities);
      kernels::cuda::table().neighbours.offer(product.m, product.n, base_tile, similarities, q0, b0, skip_same_index, k, b0 == 0,
                                              best + q0 * k);
    }
  kernels::cuda::table().neighbours.unpack(q * k, best, static_cast<float*>(result.similarities.mutable_address()));
  return result;
}

}  // namespace detail

SSLCAKE_INLINE Neighbours nearest(const Tensor& queries, const Tensor& base, std::int64_t k, bool skip_same_index) {
  detail::check_features("nearest", "queries", queries);
  detail::check_features("nearest", "a base", base);
  const std::int64_t q = queries.dim(0), n = base.dim(0), d = base.dim(1);
  if (queries.dim(1) != d) fail("nearest", "expected queries of width ", d, " as the base, got ", queries.shape());
  if (skip_same_index && q > n) fail("nearest", "expected the base to be the queries, got ", q, " queries and a base of ", n);
  if (k < 1) fail("nearest", "expected k >= 1, got ", k);
  k = std::min(k, n - (skip_same_index ? 1 : 0));
  if (k < 1) fail("nearest", "the base holds nothing but the query itself");

  const Tensor unit_queries = detail::unit_rows(queries), unit_base = detail::unit_rows(base);
  if (ops::detail::on_cuda("nearest", queries, base)) return detail::nearest_on_cuda(unit_queries, unit_base, k, skip_same_index);
  Neighbours result{Tensor({q, k}, DType::int64), Tensor({q, k}, DType::float32)};
  auto* indices = result.indices.mutable_data<std::int64_t>();
  auto* similarities = result.similarities.mutable_data<float>();

  constexpr std::int64_t query_tile = 1024, base_tile = 2048;  // 8 MiB of similarities at a time
  Workspace<float> tile(query_tile * base_tile);
  for (std::int64_t q0 = 0; q0 < q; q0 += query_tile) {
    const std::int64_t rows = std::min(query_tile, q - q0);
    std::vector<detail::BestK> best(static_cast<std::size_t>(rows), detail::BestK(static_cast<std::size_t>(k)));
    for (std::int64_t b0 = 0; b0 < n; b0 += base_tile) {
      const std::int64_t columns = std::min(base_tile, n - b0);
      // (rows,d) · (columns,d)ᵀ
      kernels::gemm(false, true, rows, columns, d, unit_queries.data<float>() + q0 * d, d, unit_base.data<float>() + b0 * d, d,
                    tile.data(), base_tile);
      parallel_for(rows, 4, [&](std::int64_t begin, std::int64_t end) {
        for (auto i = begin; i < end; ++i)
          detail::offer_row(best[static_cast<std::size_t>(i)], tile.data() + i * base_tile, columns, b0,
                            skip_same_index ? q0 + i : -1);
      });
    }
    parallel_for(rows, 4, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i) {
        const auto& sorted = best[static_cast<std::size_t>(i)].sorted();
        for (std::int64_t j = 0; j < k; ++j) {
          indices[(q0 + i) * k + j] = sorted[static_cast<std::size_t>(j)].index;
          similarities[(q0 + i) * k + j] = sorted[static_cast<std::size_t>(j)].similarity;
        }
      }
    });
  }
  return result;
}

SSLCAKE_INLINE Tensor knn_vote(const Neighbours& neighbours, const Tensor& base_labels, float temperature) {
  if (!(temperature >= 0)) fail("knn_vote", "expected a temperature >= 0 (0: plain majority), got ", temperature);
  const std::int64_t q = neighbours.indices.dim(0), k = neighbours.indices.dim(1);
  detail::check_labels("knn_vote", "labels of the base", base_labels, base_labels.numel());
  const Tensor labels_on_host = base_labels.to(Device::cpu), indices_on_host = neighbours.indices.to(Device::cpu),
               similarities_on_host = neighbours.similarities.to(Device::cpu);
  const auto *labels = labels_on_host.data<std::int64_t>(), *indices = indices_on_host.data<std::int64_t>();
  const float* similarities = similarities_on_host.data<float>();
  for (std::int64_t i = 0; i < q * k; ++i)
    if (indices[i] < 0 || indices[i] >= base_labels.numel())
      fail("knn_vote", "expected one label per row of the base, got ", base_labels.numel(), " labels and neighbour ", indices[i]);

  Tensor predicted({q}, DType::int64);
  auto* out = predicted.mutable_data<std::int64_t>();
  struct Votes {
    std::int64_t label;
    double sum;
  };
  parallel_for(q, 64, [&](std::int64_t begin, std::int64_t end) {
    std::vector<Votes> votes;  // in order of each class's nearest member
    for (auto i = begin; i < end; ++i) {
      votes.clear();
      for (auto j = i * k; j < (i + 1) * k; ++j) {
        const auto label = labels[indices[j]];
        // The largest similarity is taken out of the exponent: the same winner, and no overflow at small temperatures.
        const double behind = static_cast<double>(similarities[j]) - static_cast<double>(similarities[i * k]);
        const double weight = temperature > 0 ? std::exp(behind / static_cast<double>(temperature)) : 1;
        const auto known = std::find_if(votes.begin(), votes.end(), [&](const Votes& v) { return v.label == label; });
        if (known == votes.end()) votes.push_back({label, weight});
        else known->sum += weight;
      }
      // max_element keeps the first of equals.
      out[i] = std::max_element(votes.begin(), votes.end(), [](const Votes& a, const Votes& b) { return a.sum < b.sum; })->label;
    }
  });
  return predicted;
}

SSLCAKE_INLINE double accuracy(const Tensor& predicted, const Tensor& labels) {
  if (predicted.numel() < 1 || !(predicted.shape() == labels.shape()))
    fail("accuracy", "expected as many predictions as labels, at least one; got ", predicted.shape(), " and ", labels.shape());
  const Tensor predicted_on_host = predicted.to(Device::cpu), labels_on_host = labels.to(Device::cpu);
  const auto *p = predicted_on_host.data<std::int64_t>(), *l = labels_on_host.data<std::int64_t>();
  std::int64_t right = 0;
  for (std::int64_t i = 0; i < predicted.numel(); ++i) right += p[i] == l[i];
  return static_cast<double>(right) / static_cast<double>(predicted.numel());
}

SSLCAKE_INLINE double knn_accuracy(const Tensor& train, const Tensor& train_labels, const Tensor& test, const Tensor& test_labels,
                                   const KnnOptions& options) {
  detail::check_features("knn_accuracy", "train features", train);
  detail::check_features("knn_accuracy", "test features", test);
  detail::check_labels("knn_accuracy", "train labels", train_labels, train.dim(0));
  detail::check_labels("knn_accuracy", "test labels", test_labels, test.dim(0));
  return accuracy(knn_vote(nearest(test, train, options.k), train_labels, options.temperature), test_labels);
}

}  // namespace sslcake::inline v0::eval
