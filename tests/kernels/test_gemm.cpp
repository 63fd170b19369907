#include <doctest/doctest.h>

#include <sslcake/core/error.hpp>
#include <sslcake/kernels/gemm.hpp>

#include <cmath>
#include <limits>
#include <string>

#include "variants.hpp"

namespace {

using test::between;

struct Case {
  bool trans_a, trans_b;
  std::int64_t m, n, k, lda, ldb, ldc;
  bool accumulate;
};

Case make(sslcake::Random& random, std::int64_t m, std::int64_t n, std::int64_t k) {
  Case c{random.chance(0.5f), random.chance(0.5f), m, n, k, 0, 0, 0, random.chance(0.5f)};
  c.lda = (c.trans_a ? m : k) + (random.chance(0.5f) ? between(random, 0, 5) : 0);
  c.ldb = (c.trans_b ? k : n) + (random.chance(0.5f) ? between(random, 0, 5) : 0);
  c.ldc = n + (random.chance(0.5f) ? between(random, 0, 5) : 0);
  return c;
}

struct Operands {
  std::vector<float> a, b, c;  // each one float longer than needed in front, so that nothing is aligned
};

/// The definition, in float64, into a copy of C; `magnitude` receives the sums of |a·b| (and |c|), which scale rounding.
std::vector<double> direct(const Case& s, const Operands& in, std::vector<double>& magnitude) {
  std::vector<double> c = test::widen(in.c);
  magnitude.assign(c.size(), 0.0);
  for (std::int64_t i = 0; i < s.m; ++i)
    for (std::int64_t j = 0; j < s.n; ++j) {
      const auto at = static_cast<std::size_t>(1 + i * s.ldc + j);
      double sum = s.accumulate ? c[at] : 0.0, size = std::abs(sum);
      for (std::int64_t p = 0; p < s.k; ++p) {
        const double x = in.a[static_cast<std::size_t>(1 + (s.trans_a ? p * s.lda + i : i * s.lda + p))];
        const double y = in.b[static_cast<std::size_t>(1 + (s.trans_b ? j * s.ldb + p : p * s.ldb + j))];
        sum += x * y;
        size += std::abs(x * y);
      }
      c[at] = sum;
      magnitude[at] = size;
    }
  return c;
}

Operands fill(sslcake::Random& random, const Case& s, bool integers) {
  const auto values = integers ? test::integers : test::reals;
  return {values(random, 1 + (s.trans_a ? s.k : s.m) * s.lda), values(random, 1 + (s.trans_b ? s.n : s.k) * s.ldb),
          values(random, 1 + s.m * s.ldc)};
}

std::vector<float> run(const test::Variant& kernels, const Case& s, const Operands& in) {
  std::vector<float> c = in.c;
  kernels.gemm(s.trans_a, s.trans_b, s.m, s.n, s.k, in.a.data() + 1, s.lda, in.b.data() + 1, s.ldb, c.data() + 1, s.ldc,
               s.accumulate);
  return c;
}

void check(sslcake::Random& random, const Case& s) {
  const std::string shape = sslcake::concat(s.m, 'x', s.n, 'x', s.k, " trans ", s.trans_a, ',', s.trans_b, " leading ", s.lda,
                                            ',', s.ldb, ',', s.ldc, " accumulate ", s.accumulate);
  CAPTURE(shape);
  const Operands whole = fill(random, s, true), real = fill(random, s, false);
  std::vector<double> size;
  const std::vector<double> exact = direct(s, whole, size), close = direct(s, real, size);
  for (const auto& variant : test::variants()) {
    CAPTURE(variant.name);
    // Integers: equal to the bit, the gaps between rows included.
    CHECK(test::widen(run(*variant.kernels, s, whole)) == exact);
    // Reals: a sum of k products, in any order, is within k roundings of the sum of their sizes; in practice far less.
    const std::vector<float> c = run(*variant.kernels, s, real);
    double worst = 0;
    for (std::size_t i = 0; i < c.size(); ++i) worst = test::worse(worst, std::abs(c[i] - close[i]) - 4e-7 * size[i]);
    CHECK(worst <= 0);
  }
}

}  // namespace

TEST_CASE("gemm: random shapes, transposes, leading dimensions, accumulation; every variant against float64") {
  sslcake::Random random(1, sslcake::Purpose::test);
  for (int i = 0; i < 120; ++i)
    check(random, make(random, between(random, 1, 40), between(random, 1, 70), between(random, 1, 60)));
}

TEST_CASE("gemm: every remainder of rows and columns") {
  sslcake::Random random(2, sslcake::Purpose::test);
  for (std::int64_t m = 1; m <= 17; ++m) check(random, make(random, m, 33, 5));
  for (std::int64_t n = 1; n <= 66; ++n) check(random, make(random, 7, n, 3));
  for (std::int64_t m : {1, 2, 3, 5, 9})
    for (std::int64_t n : {1, 7, 16, 31, 32, 33}) check(random, make(random, m, n, 300));
}

TEST_CASE("gemm: several blocks of rows, columns and depth") {
  sslcake::Random random(3, sslcake::Purpose::test);
  for (int i = 0; i < 4; ++i) {
    check(random, make(random, 150, 90, 530));
    check(random, make(random, 9, 1100, 270));
    check(random, make(random, 300, 20, 40));
  }
}

TEST_CASE("gemm: the same bits with one, two and three threads") {
  sslcake::Random random(4, sslcake::Purpose::test);
  // Cut by rows, by columns, and by depth.
  const std::int64_t shapes[][3] = {{700, 40, 120}, {40, 900, 130}, {20, 24, 9000}, {260, 260, 260}};
  for (const auto& shape : shapes)
    for (int i = 0; i < 2; ++i) {
      const Case s = make(random, shape[0], shape[1], shape[2]);
      const Operands in = fill(random, s, false);
      for (const auto& variant : test::variants()) {
        CAPTURE(variant.name);
        std::vector<float> one;
        {
          const test::Threads threads(1);
          one = run(*variant.kernels, s, in);
        }
        for (int n : {2, 3}) {
          const test::Threads threads(n);
          CHECK(run(*variant.kernels, s, in) == one);
        }
      }
    }
}

TEST_CASE("gemm: deep products, whose parts are summed in order, against float64") {
  sslcake::Random random(5, sslcake::Purpose::test);
  for (int i = 0; i < 3; ++i) check(random, make(random, 20, 24, 9000));
}

TEST_CASE("gemm: empty extents") {
  for (const auto& variant : test::variants()) {
    CAPTURE(variant.name);
    const float a[4] = {1, 2, 3, 4};
    float c[4] = {5, 6, 7, 8};
    variant.kernels->gemm(false, false, 0, 2, 2, a, 2, a, 2, c, 2, false);
    variant.kernels->gemm(false, false, 2, 0, 2, a, 2, a, 1, c, 2, false);
    variant.kernels->gemm(false, false, 2, 2, 0, a, 1, a, 2, c, 2, true);
    CHECK(std::vector<float>(c, c + 4) == std::vector<float>{5, 6, 7, 8});
    variant.kernels->gemm(true, true, 2, 1, 0, a, 2, a, 1, c, 2, false);  // k = 0: zeros, and nothing beyond the row
    CHECK(std::vector<float>(c, c + 4) == std::vector<float>{0, 6, 0, 8});
  }
}

TEST_CASE("gemm: not-a-number and infinity pass through, and stay in their row and column") {
  for (const auto& variant : test::variants()) {
    CAPTURE(variant.name);
    std::vector<float> a(7 * 5, 1.0f), b(5 * 9, 1.0f), c(7 * 9);
    a[3 * 5 + 2] = std::numeric_limits<float>::quiet_NaN();
    b[1 * 9 + 8] = std::numeric_limits<float>::infinity();
    variant.kernels->gemm(false, false, 7, 9, 5, a.data(), 5, b.data(), 9, c.data(), 9, false);
    for (int i = 0; i < 7; ++i)
      for (int j = 0; j < 9; ++j) {
        const float v = c[static_cast<std::size_t>(i * 9 + j)];
        if (i == 3) CHECK(std::isnan(v));
        else if (j == 8) CHECK(std::isinf(v));
        else CHECK(v == 5.0f);
      }
  }
}

TEST_CASE("gemm: the public functions, float32 and float64") {
  const std::vector<double> a{1, 2, 3, 4, 5, 6}, b{1, 0, 2, 1, 1, 3};
  const std::vector<float> af(a.begin(), a.end()), bf(b.begin(), b.end());
  std::vector<double> c(4, 1.0);
  std::vector<float> cf(4, 1.0f);
  sslcake::kernels::gemm(false, true, 2, 2, 3, a.data(), 3, b.data(), 3, c.data(), 2);
  CHECK(c == std::vector<double>{7, 12, 16, 27});
  sslcake::kernels::gemm(false, true, 2, 2, 3, af.data(), 3, bf.data(), 3, cf.data(), 2, true);
  CHECK(cf == std::vector<float>{8, 13, 17, 28});
}
