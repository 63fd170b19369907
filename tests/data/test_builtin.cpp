#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "scratch.hpp"
#include "sslcake/data/builtin.hpp"

using namespace sslcake;

namespace {

/// Share of correct answers among `test` by a vote of the `k` nearest in `train`, weighted by exp(cosine / 0.1).
double knn(const std::vector<std::vector<float>>& train, const std::vector<std::vector<float>>& test, std::size_t k) {
  int right = 0;
  for (std::size_t t = 0; t < test.size(); ++t) {
    std::vector<std::pair<float, std::size_t>> near;
    for (std::size_t i = 0; i < train.size(); ++i) {
      float dot = 0;
      for (std::size_t d = 0; d < train[i].size(); ++d) dot += train[i][d] * test[t][d];
      near.emplace_back(dot, i % 10);
    }
    std::partial_sort(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(k), near.end(), std::greater<>());
    std::array<double, 10> votes{};
    for (std::size_t i = 0; i < k; ++i) votes[near[i].second] += std::exp(near[i].first / 0.1f);
    right += std::max_element(votes.begin(), votes.end()) - votes.begin() == static_cast<std::ptrdiff_t>(t % 10);
  }
  return right / static_cast<double>(test.size());
}

void normalise(std::vector<float>& v) {
  float square = 0;
  for (const float x : v) square += x * x;
  for (float& x : v) x /= std::sqrt(square);
}

/// Square roots of a histogram of the channels, 16 levels each, or of colours, 5 x 5 x 5.
std::vector<float> histogram(const image::Image& picture, bool joint) {
  std::vector<float> h(joint ? 125 : 48, 0.0f);
  for (std::size_t p = 0; p < picture.pixels.size(); p += 3) {
    const auto* c = &picture.pixels[p];
    if (joint) ++h[static_cast<std::size_t>((c[0] * 5 / 256 * 5 + c[1] * 5 / 256) * 5 + c[2] * 5 / 256)];
    else for (std::size_t k = 0; k < 3; ++k) ++h[k * 16 + c[k] / 16];
  }
  for (float& x : h) x = std::sqrt(x);
  normalise(h);
  return h;
}

}  // namespace

TEST_CASE("the built-in set: sizes, labels, names") {
  const data::Builtin train, test(data::Split::test);
  CHECK(train.size() == 10000);
  CHECK(test.size() == 2000);
  CHECK(data::Builtin(data::Split::unlabeled).size() == 10000);
  CHECK(train.class_names().size() == 10);
  std::vector<int> counts(10);
  for (const auto label : data::labels_of(test)) ++counts[static_cast<std::size_t>(label)];
  CHECK(counts == std::vector<int>(10, 200));
  CHECK(train.name(42) == "builtin/train/000042");
  const auto picture = train.image(9999);
  CHECK(picture.width == 32);
  CHECK(picture.pixels.size() == 3072);
  CHECK(data::Builtin(data::Split::train, 3, 57).image(2).pixels.size() == 57 * 57 * 3);
  CHECK(contains(message_of([&] { train.image(10000); }), "got 10000"));
  CHECK(contains(message_of([] { data::Builtin(data::Split::train, 10, 7); }), "8 to 4096"));
  CHECK(contains(message_of([] { data::Builtin(data::Split::train, -1); }), "got -1"));
}

TEST_CASE("the built-in set: a picture is a function of seed, split, index and size") {
  const data::Builtin train, shorter(data::Split::train, 50), test(data::Split::test), other(data::Split::train, 0, 32, 1);
  const auto picture = train.image(33);
  train.image(5);
  CHECK(train.image(33) == picture);
  CHECK(shorter.image(33) == picture);
  CHECK_FALSE(test.image(33) == picture);
  CHECK_FALSE(other.image(33) == picture);
  CHECK_FALSE(train.image(43) == picture);  // the same class
}

// What was measured on this set stays comparable only while the set stays the same. Means of ten pictures, one of each
// class, to within what another compiler's rounding could change.
TEST_CASE("the built-in set: the pictures themselves do not change") {
  const data::Builtin train;
  const double means[10] = {284.383, 103.206, 206.659, 148.275, 268.959, 253.090, 119.013, 135.961, 168.929, 217.245};
  for (std::int64_t i = 0; i < 10; ++i) {
    const auto picture = train.image(1000 + i);
    double sum = 0;  // weighted by position, so that a shifted pattern shows
    for (std::size_t p = 0; p < picture.pixels.size(); ++p) sum += picture.pixels[p] * (1 + static_cast<double>(p % 97) / 97);
    INFO("picture ", i, ": ", sum / 3072);
    CHECK(std::abs(sum / 3072 - means[i]) < 0.05);
  }
}

TEST_CASE("the built-in set: colours say next to nothing about the class") {
  const data::Builtin train(data::Split::train, 3000), test(data::Split::test, 400);
  for (const bool joint : {false, true}) {
    std::vector<std::vector<float>> bank, queries;
    for (std::int64_t i = 0; i < train.size(); ++i) bank.push_back(histogram(train.image(i), joint));
    for (std::int64_t i = 0; i < test.size(); ++i) queries.push_back(histogram(test.image(i), joint));
    for (const std::size_t k : {10, 60}) {
      const double accuracy = knn(bank, queries, k);
      INFO("joint ", joint, ", k ", k, ": ", accuracy);
      CHECK(accuracy < 0.25);
      CHECK(accuracy > 0.05);  // the measure itself works: far below chance would mean mixed-up labels
    }
  }
}

TEST_CASE("the built-in set: every picture has a pattern that shows") {
  const data::Builtin train(data::Split::train, 500);
  for (std::int64_t i = 0; i < train.size(); ++i) {
    const auto picture = train.image(i);
    double sum = 0, squares = 0;
    for (const auto b : picture.pixels) {
      sum += b;
      squares += b * b;
    }
    const double n = static_cast<double>(picture.pixels.size()), mean = sum / n;
    INFO("picture ", i);
    CHECK(std::sqrt(squares / n - mean * mean) > 15);
  }
}
