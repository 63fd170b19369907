#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <sslcake/core/random.hpp>
#include <sslcake/core/threads.hpp>
#include <sslcake/eval/knn.hpp>
#include <string>

using namespace sslcake;

namespace {

// The definition, in double and without haste.
struct Naive {
  std::vector<std::int64_t> indices;
  std::vector<double> similarities;
};
Naive naive_nearest(const Tensor& queries, const Tensor& base, std::size_t k, bool skip) {
  const auto q = queries.to_vector<double>(), b = base.to_vector<double>();
  const auto d = static_cast<std::size_t>(base.dim(1));
  Naive out;
  for (std::size_t i = 0; i < q.size() / d; ++i) {
    std::vector<std::pair<double, std::int64_t>> all;
    for (std::size_t j = 0; j < b.size() / d; ++j) {
      if (skip && i == j) continue;
      double dot = 0, qq = 0, bb = 0;
      for (std::size_t c = 0; c < d; ++c) {
        dot += q[i * d + c] * b[j * d + c];
        qq += q[i * d + c] * q[i * d + c];
        bb += b[j * d + c] * b[j * d + c];
      }
      all.emplace_back(qq > 0 && bb > 0 ? -dot / std::sqrt(qq * bb) : 0.0, static_cast<std::int64_t>(j));
    }
    std::sort(all.begin(), all.end());
    for (std::size_t j = 0; j < k; ++j) {
      out.indices.push_back(all[j].second);
      out.similarities.push_back(-all[j].first);
    }
  }
  return out;
}

// Signs only: with 16 dimensions every similarity is a multiple of 1/8, exact in float32, and there are many ties.
Tensor signs(std::int64_t n, std::uint64_t seed) {
  Random random(seed, Purpose::test);
  std::vector<float> v(static_cast<std::size_t>(n * 16));
  for (auto& x : v) x = random.chance(0.5f) ? 1.0f : -1.0f;
  return from_vector({n, 16}, v);
}

Tensor labels_of(std::int64_t n, std::int64_t classes) {
  std::vector<std::int64_t> v(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<std::int64_t>(i * 7 % static_cast<std::size_t>(classes));
  return from_vector({n}, v);
}

}  // namespace

TEST_CASE("nearest: exact ties are ordered by index, over several tiles") {
  const Tensor base = signs(5000, 1), queries = signs(300, 2);
  const auto found = eval::nearest(queries, base, 20);
  const auto wanted = naive_nearest(queries, base, 20, false);
  CHECK(found.indices.to_vector<std::int64_t>() == wanted.indices);
  CHECK(found.similarities.to_vector<double>() == wanted.similarities);
}

TEST_CASE("nearest: similarities of ordinary numbers agree with float64") {
  Random random(3, Purpose::test);
  const Tensor base = random_normal({211, 33}, random), queries = random_normal({17, 33}, random);
  const auto found = eval::nearest(queries, base, 50);
  const auto wanted = naive_nearest(queries, base, 50, false);
  const auto similarities = found.similarities.to_vector<double>();
  for (std::size_t i = 0; i < similarities.size(); ++i) CHECK(std::fabs(similarities[i] - wanted.similarities[i]) < 1e-5);
}

TEST_CASE("nearest: a row can be kept from finding itself; k is cut to the base; zero rows are similar to nothing") {
  const Tensor base = signs(40, 4);
  const auto found = eval::nearest(base, base, 1000, true);
  CHECK(found.indices.shape() == Shape{40, 39});
  CHECK(found.indices.to_vector<std::int64_t>() == naive_nearest(base, base, 39, true).indices);
  const auto zero = eval::nearest(zeros({1, 16}), base, 3);
  CHECK(zero.similarities.to_vector<float>() == std::vector<float>{0, 0, 0});
  CHECK(zero.indices.to_vector<std::int64_t>() == std::vector<std::int64_t>{0, 1, 2});
}

TEST_CASE("nearest: the same bits for any number of threads") {
  Random random(5, Purpose::test);
  const Tensor base = random_normal({600, 20}, random);
  const int before = threads();
  set_threads(1);
  const auto one = eval::nearest(base, base, 9);
  set_threads(3);
  const auto three = eval::nearest(base, base, 9);
  set_threads(before);
  CHECK(one.indices.to_vector<std::int64_t>() == three.indices.to_vector<std::int64_t>());
  CHECK(one.similarities.to_vector<float>() == three.similarities.to_vector<float>());
}

TEST_CASE("knn_accuracy: plain and weighted votes agree with the definition") {
  Random random(6, Purpose::test);
  const Tensor train = random_normal({400, 8}, random), test = random_normal({150, 8}, random);
  const Tensor train_labels = labels_of(400, 5), test_labels = labels_of(150, 5);
  const auto tl = train_labels.to_vector<std::int64_t>(), ql = test_labels.to_vector<std::int64_t>();
  for (const float temperature : {0.0f, 0.1f}) {
    for (const std::size_t k : {std::size_t{1}, std::size_t{10}, std::size_t{200}}) {
      const auto wanted = naive_nearest(test, train, k, false);
      int right = 0;
      for (std::size_t i = 0; i < ql.size(); ++i) {
        std::vector<double> votes(5);
        std::vector<std::size_t> first(5, k);
        for (std::size_t j = 0; j < k; ++j) {
          const auto c = static_cast<std::size_t>(tl[static_cast<std::size_t>(wanted.indices[i * k + j])]);
          votes[c] += temperature > 0 ? std::exp(wanted.similarities[i * k + j] / static_cast<double>(temperature)) : 1.0;
          first[c] = std::min(first[c], j);
        }
        std::size_t best = 0;
        for (std::size_t c = 1; c < 5; ++c)
          if (votes[c] > votes[best] || (votes[c] == votes[best] && first[c] < first[best])) best = c;
        right += static_cast<std::int64_t>(best) == ql[i];
      }
      const double found =
          eval::knn_accuracy(train, train_labels, test, test_labels, {static_cast<std::int64_t>(k), temperature});
      CHECK(found == doctest::Approx(right / 150.0));
    }
  }
}

TEST_CASE("knn_vote: a tie goes to the nearer class; a tiny temperature neither overflows nor loses the nearest") {
  const eval::Neighbours four{from_vector<std::int64_t>({1, 4}, {2, 0, 1, 3}),
                              from_vector<float>({1, 4}, {0.9f, 0.8f, 0.7f, 0.6f})};
  const Tensor labels = from_vector<std::int64_t>({4}, {1, 1, 4, 4});  // 4 1 1 4 in order of nearness
  CHECK(eval::knn_vote(four, labels, 0.0f).item() == 4);
  CHECK(eval::knn_vote(four, labels, 1e-5f).item() == 4);
}

TEST_CASE("knn: mistakes are named") {
  const Tensor base = signs(10, 7), labels = labels_of(10, 2);
  CHECK_THROWS_WITH_AS(eval::nearest(signs(2, 1), zeros({3, 5}), 1), doctest::Contains("expected queries of width 5"), Error);
  CHECK_THROWS_WITH_AS(eval::nearest(base, base, 0), doctest::Contains("k >= 1"), Error);
  CHECK_THROWS_WITH_AS(eval::nearest(base, full({2, 16}, std::nan("")), 1), doctest::Contains("finite"), Error);
  CHECK_THROWS_WITH_AS(eval::nearest(base, zeros({2, 16}, DType::float64), 1), doctest::Contains("float32"), Error);
  CHECK_THROWS_WITH_AS(eval::nearest(base, base.rows(0, 0), 1), doctest::Contains("N, D >= 1"), Error);
  CHECK_THROWS_WITH_AS(eval::knn_accuracy(base, labels.rows(0, 9), base, labels), doctest::Contains("one per row"), Error);
  CHECK_THROWS_WITH_AS(eval::knn_accuracy(base, full({10}, -1, DType::int64), base, labels), doctest::Contains("no labels"),
                       Error);
  CHECK_THROWS_WITH_AS(eval::knn_accuracy(base, labels, base, labels, {5, -1.0f}), doctest::Contains("temperature"), Error);
}
