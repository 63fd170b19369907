#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "sslcake/kernels/gelu.hpp"
#include "variants.hpp"

using namespace sslcake;

namespace {
double distribution(double x) { return 0.5 * std::erfc(-x * std::sqrt(0.5)); }
double density(double x) { return std::exp(-0.5 * x * x) * 0.3989422804014327; }
}  // namespace

TEST_CASE("gelu and its gradient are exact to a few units in the last place, also in the lower tail") {
  test::for_each_isa([] {
    double worst = 0, worst_gradient = 0;
    for (int i = -1000; i <= 1000; ++i) {
      const float x = static_cast<float>(i) * 0.0101f, one = 1;
      float y, dx;
      kernels::gelu(1, &x, &y);
      kernels::gelu_grad(1, &x, &one, &dx);
      const double exact = x * distribution(x), slope = distribution(x) + x * density(x);
      // exp(-x²/2) inherits the rounding of x²/2, so the relative error grows with it.
      if (i != 0) worst = test::worse(worst, std::abs(y - exact) / (std::abs(exact) * (1 + 0.25 * static_cast<double>(x * x))));
      worst_gradient = test::worse(worst_gradient, std::abs(dx - slope));
    }
    CHECK(worst < 5e-7);
    CHECK(worst_gradient < 4e-7);
  });
}

TEST_CASE("gelu of runs of every length, in place, and of unusual numbers") {
  test::for_each_isa([] {
    for (std::int64_t n = 0; n <= 40; ++n) {
      std::vector<float> x(static_cast<std::size_t>(n) + 1), y(x.size(), 7), g(x.size(), 7);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.37f * static_cast<float>(i) - 4;
      kernels::gelu(n, x.data(), y.data());
      for (std::size_t i = 0; i < g.size(); ++i) g[i] = 2;
      kernels::gelu_grad(n, x.data(), g.data(), g.data());
      for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
        CHECK(y[i] == doctest::Approx(x[i] * distribution(x[i])).epsilon(1e-5));
        CHECK(g[i] == doctest::Approx(2 * (distribution(x[i]) + x[i] * density(x[i]))).epsilon(1e-4));
      }
      CHECK(y.back() == 7);
      CHECK(g.back() == 2);
    }
    const float inf = std::numeric_limits<float>::infinity();
    std::vector<float> x{0, 100, -100, inf, std::nanf(""), 1e20f, -1e20f}, y(7);
    kernels::gelu(7, x.data(), y.data());
    CHECK(y[0] == 0);
    CHECK(y[1] == 100);
    CHECK(y[2] == 0);
    CHECK(y[3] == inf);
    CHECK(std::isnan(y[4]));
    CHECK(y[5] == 1e20f);
    CHECK(y[6] == 0);
  });
}
