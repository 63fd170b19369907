#include <doctest/doctest.h>

#include <cmath>
#include <sslcake/core/random.hpp>
#include <sslcake/core/threads.hpp>
#include <sslcake/eval/linear_probe.hpp>

using namespace sslcake;

namespace {
struct Set {
  Tensor features, labels;
};
// Three Gaussian clouds at the corners of a triangle, in a space where the axes have very different units.
Set clouds(std::int64_t n, float spread, std::uint64_t seed) {
  Random random(seed, Purpose::test);
  std::vector<float> x;
  std::vector<std::int64_t> y;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto c = i % 3;
    x.push_back(1000.0f * ((c == 1 ? 2.0f : 0.0f) + spread * random.normal()));
    x.push_back(0.001f * ((c == 2 ? 2.0f : 0.0f) + spread * random.normal()) + 5.0f);
    x.push_back(7.0f);  // a constant
    y.push_back(c);
  }
  return {from_vector({n, 3}, x), from_vector({n}, y)};
}
}  // namespace

TEST_CASE("standardise: mean 0 and deviation 1 of the training columns; a constant becomes 0") {
  const auto train = clouds(300, 0.3f, 1), test = clouds(30, 0.3f, 2);
  const auto s = eval::standardise(train.features, test.features);
  const auto v = s.train.to_vector<double>();
  for (std::size_t j = 0; j < 3; ++j) {
    double mean = 0, squares = 0;
    for (std::size_t i = 0; i < 300; ++i) {
      mean += v[i * 3 + j] / 300;
      squares += v[i * 3 + j] * v[i * 3 + j] / 300;
    }
    CHECK(std::fabs(mean) < 1e-3);
    CHECK(squares == doctest::Approx(j == 2 ? 0.0 : 1.0).epsilon(1e-3));
  }
}

TEST_CASE("linear_probe: separable classes are separated, whatever the units") {
  const auto train = clouds(600, 0.2f, 3), test = clouds(300, 0.2f, 4);
  const auto found = eval::linear_probe(train.features, train.labels, test.features, test.labels, {.epochs = 30, .batch = 100});
  CHECK(found.accuracy > 0.99);
  CHECK(found.train_accuracy > 0.99);
  CHECK(found.weight.shape() == Shape{3, 3});
}

TEST_CASE("linear_probe: directions of little variance are found in small sets as well") {
  constexpr std::int64_t d = 16, train_rows = 1999, rows = 3000;
  Random random(11, Purpose::test);
  const auto normals = [&](std::size_t count) {
    std::vector<float> values(count);
    for (float& v : values) v = random.normal();
    return values;
  };
  // Labels by a plane in a space whose axes the features mix, with deviations of 1, 1/2, 1/3, ...
  const auto mixing = normals(d * d), plane = normals(4 * d), hidden = normals(rows * d);
  std::vector<float> x(rows * d);
  std::vector<std::int64_t> y(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    float best = -1e30f;
    for (std::size_t c = 0; c < 4; ++c) {
      float score = 0;
      for (std::size_t k = 0; k < d; ++k) score += plane[c * d + k] * hidden[i * d + k];
      if (score > best) best = score, y[i] = static_cast<std::int64_t>(c);
    }
    for (std::size_t k = 0; k < d; ++k)
      for (std::size_t j = 0; j < d; ++j)
        x[i * d + j] += hidden[i * d + k] / static_cast<float>(k + 1) * mixing[k * d + j];
  }
  const Tensor features = from_vector({rows, d}, x), labels = from_vector({rows}, y);
  const auto found = eval::linear_probe(features.rows(0, train_rows), labels.rows(0, train_rows), features.rows(train_rows, rows),
                                        labels.rows(train_rows, rows));
  MESSAGE("accuracy " << found.accuracy);
  CHECK(found.accuracy > 0.7);  // with batches of 1000, of which an epoch is one: 0.63
}

TEST_CASE("linear_probe: labels without relation to the features are not learnt") {
  const auto train = clouds(600, 0.2f, 5), test = clouds(600, 0.2f, 6);
  Random random(7, Purpose::test);
  std::vector<std::int64_t> guess(600);
  for (auto& g : guess) g = random.below(3);
  const auto found = eval::linear_probe(train.features, from_vector({600}, guess), test.features, test.labels, {.epochs = 20});
  CHECK(found.train_accuracy < 0.45);  // chance is 1/3, and three clouds leave little room to do better
}

TEST_CASE("linear_probe: two dimensions that only a curve separates stay near chance") {
  Random random(8, Purpose::test);
  std::vector<float> x;
  std::vector<std::int64_t> y;
  for (int i = 0; i < 800; ++i) {  // exclusive or
    const float a = random.chance(0.5f) ? 1.0f : -1.0f, b = random.chance(0.5f) ? 1.0f : -1.0f;
    x.insert(x.end(), {a + 0.1f * random.normal(), b + 0.1f * random.normal()});
    y.push_back(a * b > 0);
  }
  const Tensor features = from_vector({800, 2}, x), labels = from_vector({800}, y);
  const auto found =
      eval::linear_probe(features.rows(0, 400), labels.rows(0, 400), features.rows(400, 800), labels.rows(400, 800));
  CHECK(found.accuracy < 0.8);
}

TEST_CASE("linear_probe: same bits for any number of threads, and for the same seed") {
  const auto train = clouds(700, 1.0f, 9), test = clouds(100, 1.0f, 10);
  const int before = threads();
  std::vector<std::vector<float>> weights;
  for (const int n : {1, 3}) {
    set_threads(n);
    const auto found = eval::linear_probe(train.features, train.labels, test.features, test.labels, {.epochs = 3, .batch = 64});
    weights.push_back(found.weight.to_vector<float>());
  }
  set_threads(before);
  CHECK(weights[0] == weights[1]);
  const auto other =
      eval::linear_probe(train.features, train.labels, test.features, test.labels, {.epochs = 3, .batch = 64, .seed = 1});
  CHECK(other.weight.to_vector<float>() != weights[0]);
}

TEST_CASE("linear_probe: a test label that training lacks counts as wrong") {
  const auto train = clouds(300, 0.2f, 1), test = clouds(9, 0.2f, 2);
  auto labels = test.labels.to_vector<std::int64_t>();
  labels[0] = 5;  // beyond the classes
  const auto found = eval::linear_probe(train.features, train.labels, test.features, from_vector({9}, labels), {.epochs = 20});
  CHECK(found.accuracy == doctest::Approx(8.0 / 9));
  auto some = train.labels.to_vector<std::int64_t>();
  for (auto& label : some) label = label == 1 ? 3 : label;  // and a gap among them
  const auto gap = eval::linear_probe(train.features, from_vector({300}, some), test.features, test.labels, {.epochs = 20});
  CHECK(gap.accuracy == doctest::Approx(6.0 / 9));
}

TEST_CASE("linear_probe: mistakes are named") {
  const auto train = clouds(30, 1.0f, 11), test = clouds(9, 1.0f, 12);
  CHECK_THROWS_WITH_AS(eval::linear_probe(train.features, test.labels, test.features, test.labels),
                       doctest::Contains("one per row"), Error);
  CHECK_THROWS_WITH_AS(eval::linear_probe(train.features, train.labels, zeros({9, 2}), test.labels), doctest::Contains("width 3"),
                       Error);
  CHECK_THROWS_WITH_AS(eval::linear_probe(train.features, train.labels, test.features, test.labels, {.epochs = 0}),
                       doctest::Contains("epochs"), Error);
}
