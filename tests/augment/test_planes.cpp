#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include <sslcake/augment/planes.hpp>
#include <sslcake/core/random.hpp>

using namespace sslcake;
namespace planes = sslcake::augment::planes;

namespace {
std::vector<float> noise(int width, int height) {
  Random random(4, Purpose::test);
  std::vector<float> p(static_cast<std::size_t>(3 * width * height));
  for (auto& x : p) x = random.uniform();
  return p;
}
}  // namespace

TEST_CASE("blur: a constant stays, a point becomes the Gaussian, the sum is kept inside") {
  for (const int side : {1, 2, 5, 16, 21, 40}) {
    std::vector<float> flat(static_cast<std::size_t>(3 * side * side), 0.6f);
    planes::blur(flat.data(), side, side, 2.0f, 9);
    for (const float x : flat) CHECK(x == doctest::Approx(0.6f).epsilon(1e-5));
  }
  constexpr int n = 21;
  std::vector<float> point(3 * n * n, 0.0f);
  point[10 * n + 10] = 1;
  planes::blur(point.data(), n, n, 1.5f, 9);
  CHECK(std::accumulate(point.begin(), point.begin() + n * n, 0.0f) == doctest::Approx(1).epsilon(1e-5));
  const float ratio = point[10 * n + 12] / point[10 * n + 10];
  CHECK(ratio == doctest::Approx(std::exp(-2 / (1.5f * 1.5f))).epsilon(1e-4));
  CHECK(point[12 * n + 10] == doctest::Approx(point[10 * n + 12]).epsilon(1e-5));
  CHECK(point[10 * n + 15] == 0);  // beyond the kernel
  for (int i = n * n; i < 3 * n * n; ++i) REQUIRE(point[static_cast<std::size_t>(i)] == 0);  // the other planes
}

TEST_CASE("a narrow Gaussian in a wide kernel does next to nothing") {
  auto p = noise(19, 7);
  const auto before = p;
  planes::blur(p.data(), 19, 7, 0.1f, 23);
  for (std::size_t i = 0; i < p.size(); ++i) REQUIRE(p[i] == doctest::Approx(before[i]).epsilon(1e-6));
}

TEST_CASE("rotation: none, a half turn, and there and back") {
  auto p = noise(15, 15);
  const auto before = p;
  planes::rotate(p.data(), 15, 15, 0);
  for (std::size_t i = 0; i < p.size(); ++i) REQUIRE(p[i] == doctest::Approx(before[i]).epsilon(1e-5));
  planes::rotate(p.data(), 15, 15, 180);
  for (int c = 0; c < 3; ++c)
    for (int i = 1; i < 224; ++i)  // corners may lie a rounding error outside
      REQUIRE(std::abs(p[static_cast<std::size_t>(c * 225 + i)] - before[static_cast<std::size_t>(c * 225 + 224 - i)]) < 1e-3f);
}

TEST_CASE("flip exchanges left and right, twice is nothing") {
  auto p = noise(5, 4);
  const auto before = p;
  planes::flip(p.data(), 5, 4);
  for (int row = 0; row < 12; ++row)
    for (int x = 0; x < 5; ++x)
      REQUIRE(p[static_cast<std::size_t>(row * 5 + x)] == before[static_cast<std::size_t>(row * 5 + 4 - x)]);
  planes::flip(p.data(), 5, 4);
  CHECK(p == before);
}
