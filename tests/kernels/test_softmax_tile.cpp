#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "sslcake/core/random.hpp"
#include "sslcake/kernels/cpu/isa.hpp"
#include "sslcake/kernels/softmax_tile.hpp"
#include "variants.hpp"

using namespace sslcake;

namespace {

/// exp(x) as the kernels compute it, read off tile_weights: exp(x - 0) + exp(absent).
float kernel_exp(float x) {
  std::vector<float> s(16, x);
  const float row = 0;
  const std::vector<float> columns(16, 1e30f);
  kernels::tile_weights<float>(1, 16, s.data(), 16, &row, columns.data());
  return s[3];
}

}  // namespace

TEST_CASE("the exponential of every variant is exact to two units in the last place") {
  test::for_each_isa([] {
    double worst = 0;
    for (float x = -86.99f; x <= 1; x += 0.00371f) {
      const double exact = std::exp(static_cast<double>(x));
      worst = test::worse(worst, std::abs(static_cast<double>(kernel_exp(x)) - exact) / exact);
    }
    CHECK(worst < 2.4e-7);
    CHECK(kernel_exp(0) == 1);
    CHECK(kernel_exp(-1e30f) == 0);
    CHECK(kernel_exp(-200) == 0);
    CHECK(kernel_exp(-std::numeric_limits<float>::infinity()) == 0);
    CHECK(std::isnan(kernel_exp(std::nanf(""))));
  });
}

TEST_CASE("maxima, sums and weights of a tile") {
  test::for_each_isa([] {
    for (const std::int64_t columns : {0, 1, 7, 16, 33}) {
      constexpr std::int64_t rows = 5;
      const std::int64_t stride = columns + 3;  // rows begin at any address, and so do the columns' numbers below
      Random random(0, Purpose::test, 0, static_cast<std::uint64_t>(columns));
      std::vector<float> s(static_cast<std::size_t>(rows * stride), 1e9f);  // what lies between the rows must not be seen
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < columns; ++j) s[static_cast<std::size_t>(i * stride + j)] = random.uniform(-20, 20);
      s[0] = static_cast<float>(kernels::absent_similarity);
      const auto at = [&](std::int64_t i, std::int64_t j) {
        return static_cast<double>(s[static_cast<std::size_t>(i * stride + j)]);
      };
      const auto least = static_cast<float>(kernels::least_maximum);
      std::vector<float> row_max(rows, least), columns_max(static_cast<std::size_t>(columns + 1), least), row_sum(rows, 1.0f),
          columns_sum(static_cast<std::size_t>(columns + 1), 2.0f);
      float *column_max = columns_max.data() + 1, *column_sum = columns_sum.data() + 1;
      kernels::tile_maxima(rows, columns, s.data(), stride, row_max.data(), column_max);
      kernels::tile_sums(rows, columns, s.data(), stride, row_max.data(), column_max, row_sum.data(), column_sum);
      CHECK(columns_max[0] == least);
      CHECK(columns_sum[0] == 2);
      for (std::int64_t i = 0; i < rows; ++i) {
        double most = kernels::least_maximum, sum = 1;
        for (std::int64_t j = 0; j < columns; ++j) most = std::max(most, at(i, j));
        for (std::int64_t j = 0; j < columns; ++j) sum += std::exp(at(i, j) - most);
        CHECK(row_max[static_cast<std::size_t>(i)] == static_cast<float>(most));
        CHECK(row_sum[static_cast<std::size_t>(i)] == doctest::Approx(sum).epsilon(1e-6));
      }
      for (std::int64_t j = 0; j < columns; ++j) {
        double most = kernels::least_maximum, sum = 2;
        for (std::int64_t i = 0; i < rows; ++i) most = std::max(most, at(i, j));
        for (std::int64_t i = 0; i < rows; ++i) sum += std::exp(at(i, j) - most);
        CHECK(column_max[j] == static_cast<float>(most));
        CHECK(column_sum[j] == doctest::Approx(sum).epsilon(1e-6));
      }
      auto w = s;
      kernels::tile_weights(rows, columns, w.data(), stride, row_max.data(), column_max);
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < columns; ++j) {
          const double expected = std::exp(at(i, j) - static_cast<double>(row_max[static_cast<std::size_t>(i)])) +
                                  std::exp(at(i, j) - static_cast<double>(column_max[j]));
          CHECK(w[static_cast<std::size_t>(i * stride + j)] == doctest::Approx(expected).epsilon(1e-6));
        }
      CHECK(w[static_cast<std::size_t>(stride - 1)] == 1e9f);
    }
  });
}

TEST_CASE("a tile without rows changes nothing") {
  test::for_each_isa([] {
    std::vector<float> maxima(20, 3.0f), sums(20, 2.0f);
    kernels::tile_maxima<float>(0, 20, nullptr, 20, nullptr, maxima.data());
    kernels::tile_sums<float>(0, 20, nullptr, 20, nullptr, maxima.data(), nullptr, sums.data());
    kernels::tile_weights<float>(0, 20, nullptr, 20, nullptr, maxima.data());
    kernels::row_softmax<float>(0, 20, nullptr, 20, 1.0f, nullptr);
    kernels::row_softmax_again<float>(0, 20, nullptr, 20, 1.0f, nullptr);
    CHECK(maxima == std::vector<float>(20, 3.0f));
    CHECK(sums == std::vector<float>(20, 2.0f));
  });
}

TEST_CASE("the softmax of rows, and the same from its logarithms") {
  test::for_each_isa([] {
    for (const std::int64_t columns : {1, 5, 16, 37, 197}) {
      constexpr std::int64_t rows = 4;
      const std::int64_t stride = columns + 2;  // rows begin at any address
      Random random(0, Purpose::test, 1, static_cast<std::uint64_t>(columns));
      std::vector<float> s(static_cast<std::size_t>(rows * stride), 1e9f), logs(rows);
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < columns; ++j) s[static_cast<std::size_t>(i * stride + j)] = 20 * random.normal();
      const auto before = s;
      auto again = s;
      kernels::row_softmax<float>(rows, columns, s.data(), stride, 0.7f, logs.data());
      kernels::row_softmax_again<float>(rows, columns, again.data(), stride, 0.7f, logs.data());
      for (std::int64_t i = 0; i < rows; ++i) {
        double sum = 0, total = 0;
        for (std::int64_t j = 0; j < columns; ++j)
          sum += std::exp(0.7 * static_cast<double>(before[static_cast<std::size_t>(i * stride + j)]));
        CHECK(logs[static_cast<std::size_t>(i)] == doctest::Approx(std::log(sum)).epsilon(1e-6));
        for (std::int64_t j = 0; j < stride; ++j) {
          const auto at = static_cast<std::size_t>(i * stride + j);
          const double exact = std::exp(0.7 * static_cast<double>(before[at])) / sum;
          if (j >= columns) CHECK(s[at] == 1e9f);
          else {
            CHECK(std::abs(s[at] - exact) <= 1.5e-5 * exact + 1e-37);
            CHECK(std::abs(again[at] - exact) <= 1.5e-5 * exact + 1e-37);
            total += s[at];
          }
        }
        CHECK(total == doctest::Approx(1).epsilon(1e-6));
      }
    }
    std::vector<float> nan{1, std::nanf(""), 2};
    float log;
    kernels::row_softmax<float>(1, 3, nan.data(), 3, 1.0f, &log);
    CHECK(std::isnan(log));
    CHECK(std::isnan(nan[0]));
  });
}
