#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "sslcake/core/random.hpp"
#include "sslcake/core/tensor.hpp"

using namespace sslcake;

TEST_CASE("Philox4x32-10 gives the known answers of its authors' test file (Random123, kat_vectors)") {
  using Words = std::array<std::uint32_t, 4>;
  const std::uint32_t all = 0xffffffffu;
  CHECK(detail::philox({0, 0, 0, 0}, 0, 0) == Words{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  CHECK(detail::philox({all, all, all, all}, all, all) == Words{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  CHECK(detail::philox({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, 0xa4093822u, 0x299f31d0u) ==
        Words{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});  // digits of pi
}

TEST_CASE("a draw depends on every coordinate, and on nothing else") {
  const auto first = [](std::uint64_t s, Purpose p, std::uint64_t epoch, std::uint64_t sample, std::uint32_t view) {
    return Random(s, p, epoch, sample, view).bits();
  };
  const auto base = first(1, Purpose::augment, 2, 3, 4);
  CHECK(first(1, Purpose::augment, 2, 3, 4) == base);
  std::set<std::uint32_t> seen{base};
  for (const auto other :
       {first(2, Purpose::augment, 2, 3, 4), first(1, Purpose::dropout, 2, 3, 4), first(1, Purpose::augment, 3, 3, 4),
        first(1, Purpose::augment, 2, 4, 4), first(1, Purpose::augment, 2, 3, 5), first(1ull << 32, Purpose::augment, 2, 3, 4),
        first(1, Purpose::augment, 2ull << 32, 3, 4), first(1, Purpose::augment, 2, 3ull << 32, 4)})
    CHECK(seen.insert(other).second);
  // Streams of neighbouring samples do not run into each other.
  std::set<std::uint32_t> words;
  for (std::uint64_t sample = 0; sample < 100; ++sample) {
    Random r(0, Purpose::augment, 0, sample);
    for (int i = 0; i < 100; ++i) words.insert(r.bits());
  }
  CHECK(words.size() > 9990);  // of 10,000 draws of 32 bits about 0.01 pairs coincide
}

TEST_CASE("distributions have the moments they should") {
  Random r(7, Purpose::test);
  const int n = 100000;
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0, fourth = 0, wide = 0;
  float least = 1, most = 0;
  for (int i = 0; i < n; ++i) {
    const float u = r.uniform();
    least = std::min(least, u);
    most = std::max(most, u);
    sum += u;
    squares += static_cast<double>(u) * u;
    wide += r.uniform64();
    const double z = r.normal();
    normal_sum += z;
    normal_squares += z * z;
    fourth += z * z * z * z;
  }
  CHECK(least >= 0);
  CHECK(most < 1);
  CHECK(std::abs(sum / n - 0.5) < 0.005);  // five standard errors
  CHECK(std::abs(wide / n - 0.5) < 0.005);
  CHECK(std::abs(squares / n - 1.0 / 3) < 0.005);
  CHECK(std::abs(normal_sum / n) < 0.016);
  CHECK(std::abs(normal_squares / n - 1) < 0.023);
  CHECK(std::abs(fourth / n - 3) < 0.16);
  CHECK(r.uniform(5, 6) >= 5);
  int heads = 0;
  for (int i = 0; i < n; ++i) heads += r.chance(0.3f);
  CHECK(std::abs(heads - 0.3 * n) < 5 * std::sqrt(0.21 * n));
  CHECK_FALSE(r.chance(0));
  CHECK(r.chance(1));
}

TEST_CASE("below(n) reaches every number equally often") {
  Random r(8, Purpose::test);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts.at(r.below(7));
  double chi_squared = 0;
  for (const int c : counts) chi_squared += (c - 1e4) * (c - 1e4) / 1e4;
  CHECK(chi_squared < 27.9);  // 6 degrees of freedom, one in ten thousand
  CHECK(r.below(1) == 0);
  bool upper = false;  // where a product modulo 2^32 would be biased
  for (int i = 0; i < 100; ++i) upper |= r.below(3u << 30) >= (2u << 30);
  CHECK(upper);
}

TEST_CASE("the process-wide seed and the numbering of consumers") {
  const auto before = global_seed();
  seed(42);
  CHECK(global_seed() == 42);
  CHECK(next_stream(Purpose::init) == 0);
  CHECK(next_stream(Purpose::init) == 1);
  CHECK(next_stream(Purpose::dropout) == 0);
  CHECK(stream_position(Purpose::init) == 2);
  set_stream_position(Purpose::init, 7);
  CHECK(next_stream(Purpose::init) == 7);
  seed(42);
  CHECK(next_stream(Purpose::init) == 0);
  seed(before);
}

TEST_CASE("random tensors come from the stream in order") {
  Random a(3, Purpose::test), b(3, Purpose::test);
  const auto values = random_uniform({2, 3}, a, -1, 1, DType::float64).to_vector<double>();
  for (const double v : values) CHECK(v == -1 + 2.0 * b.uniform64());
  CHECK(random_normal({2}, a, 10, 0).to_vector<double>() == std::vector<double>{10, 10});
  CHECK_THROWS_AS(random_uniform({2}, a, 0, 1, DType::int64), Error);
}

TEST_CASE("the upper bound is never drawn, wherever rounding leads") {
  // The bounds are neighbours or nearly so: one draw in two would be rounded up.
  Random a(4, Purpose::test);
  const float one = 1.0f, next = std::nextafter(one, 2.0f);
  for (int i = 0; i < 100; ++i) {
    CHECK(a.uniform(one, next) == one);
    CHECK(a.uniform(-next, -one) == -next);
    CHECK(a.uniform(2.0f, 2.0f) == 2.0f);
    CHECK(a.uniform(next, one) == next);  // bounds the other way round: (low, high]
  }
  for (const auto& [low, high] : {std::pair{0.0, 1.0}, {-1.0, 0.0}, {1.0, 2.0}, {-3.0, -1.0}, {0.1, 0.7}}) {
    double most = low;
    for (const double v : random_uniform({5000}, a, low, high, DType::bfloat16).to_vector<double>()) most = std::max(most, v);
    CHECK(most < high);
    CHECK(most > high - 0.01 * (high - low));
  }
  for (const double v : random_uniform({100}, a, 1, static_cast<double>(next), DType::float32).to_vector<double>()) CHECK(v == 1);
}
