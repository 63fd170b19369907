// Reductions on CUDA against sums, maxima and indices found one by one in float64.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>

#include "../../include/sslcake/kernels/cuda/reduce.hpp"
#include "device.hpp"

namespace {

using cuda_test::normal;
using cuda_test::on_gpu;
using cuda_test::OnGpu;
using cuda_test::relative_error;
using sslcake::bfloat16;
using sslcake::DType;

const sslcake::kernels::cuda::Reduce& reduce() {
  static const auto table = [] {
    sslcake::kernels::cuda::Reduce t;
    sslcake::kernels::cuda::install(t);
    return t;
  }();
  return table;
}

struct Lines {
  std::int64_t outer, extent, inner;
  std::size_t results() const { return static_cast<std::size_t>(outer * inner); }
  std::size_t numel() const { return static_cast<std::size_t>(outer * extent * inner); }
  std::size_t at(std::size_t result, std::int64_t r) const {
    const auto o = static_cast<std::int64_t>(result) / inner, i = static_cast<std::int64_t>(result) % inner;
    return static_cast<std::size_t>((o * extent + r) * inner + i);
  }
};
/// Every way to share out the work, at and beside the borders of tiles, packets and pieces.
const std::vector<Lines> shapes = {{1, 1, 1},     {1, 0, 3},      {2, 0, 1},     {7, 3, 1},    {5, 31, 1},     {3, 32, 1},
                                   {3, 33, 1},    {2, 1024, 1},   {2, 1025, 1},  {1, 8191, 1}, {1, 70001, 1},  {3, 9001, 1},
                                   {40, 8193, 1}, {9, 2, 5},      {4, 5, 13},    {1, 257, 3},  {1, 4099, 7},   {2, 300, 8},
                                   {1, 999, 64},  {1, 2000, 130}, {3, 100, 260}, {1, 5000, 4}, {1, 300, 4200}, {2, 3, 50},
                                   {17, 1, 1},    {1, 1, 1000},   {1, 700, 1},   {1, 1, 8},    {6, 70, 4}};

TEST_CASE("sum of an axis") {
  unsigned seed = 1;
  for (const auto& s : shapes) {
    CAPTURE(s.outer);
    CAPTURE(s.extent);
    CAPTURE(s.inner);
    const auto x = normal(s.numel(), seed++, 0.3f);
    std::vector<double> expected(s.results());
    for (std::size_t i = 0; i < expected.size(); ++i)
      for (std::int64_t r = 0; r < s.extent; ++r) expected[i] += static_cast<double>(x[s.at(i, r)]);
    const auto gpu = on_gpu(x);
    const OnGpu<float> y(s.results()), again(s.results());
    reduce().sum(s.outer, s.extent, s.inner, gpu.data(), y.data());
    reduce().sum(s.outer, s.extent, s.inner, gpu.data(), again.data());
    CHECK(relative_error(y.values(), expected) < 1e-6);
    CHECK(y.values() == again.values());
  }
}

TEST_CASE("sum from an address that no packet is aligned to") {
  for (const std::size_t shift : {1, 2, 3}) {
    const auto x = normal(20000 + shift, 77);
    double expected = 0, columns = 0;
    for (std::size_t i = shift; i < x.size(); ++i) expected += static_cast<double>(x[i]);
    for (std::size_t i = shift; i < x.size(); i += 8) columns += static_cast<double>(x[i]);
    const auto gpu = on_gpu(x);
    const OnGpu<float> y(1), sums(8);
    reduce().sum(1, 20000, 1, gpu.data() + shift, y.data());
    reduce().sum(1, 2500, 8, gpu.data() + shift, sums.data());
    CHECK(y.values()[0] == doctest::Approx(expected).epsilon(1e-5));
    CHECK(sums.values()[0] == doctest::Approx(columns).epsilon(1e-5));
  }
}

TEST_CASE("sum whose second half float32 alone would lose: at most one short run is") {
  std::vector<float> x(300000, 1.0f);
  x[0] = 16777216;
  const auto gpu = on_gpu(x);
  const OnGpu<float> y(1);
  reduce().sum(1, 300000, 1, gpu.data(), y.data());
  CHECK(y.values()[0] == doctest::Approx(16777216.0 + 299999).epsilon(2e-5));
}

TEST_CASE("column sums of float32 and bfloat16") {
  const std::vector<std::array<std::int64_t, 2>> sizes = {{1, 1},     {0, 9},     {3, 8},     {100, 1},  {257, 10},
                                                          {3000, 16}, {1001, 72}, {500, 513}, {5, 2056}, {4100, 24}};
  unsigned seed = 100;
  for (const auto& size : sizes) {
    const std::int64_t rows = size[0], columns = size[1];
    CAPTURE(rows);
    CAPTURE(columns);
    const auto x = normal(static_cast<std::size_t>(rows * columns), seed++, -0.2f);
    const auto narrow = cuda_test::rounded(x);
    for (const bool half : {false, true}) {
      std::vector<double> expected(static_cast<std::size_t>(columns));
      for (std::size_t i = 0; i < x.size(); ++i)
        expected[i % static_cast<std::size_t>(columns)] += static_cast<double>(half ? static_cast<float>(narrow[i]) : x[i]);
      const OnGpu<float> sums(expected.size());
      if (half) {
        const auto gpu = on_gpu(narrow);
        reduce().column_sums(DType::bfloat16, rows, columns, gpu.data(), sums.data());
      } else {
        const auto gpu = on_gpu(x);
        reduce().column_sums(DType::float32, rows, columns, gpu.data(), sums.data());
      }
      CHECK(relative_error(sums.values(), expected) < 1e-6);
    }
  }
}

TEST_CASE("largest and smallest of an axis; NaN wins") {
  unsigned seed = 200;
  for (const auto& s : shapes) {
    if (s.extent == 0) continue;
    CAPTURE(s.outer);
    CAPTURE(s.extent);
    CAPTURE(s.inner);
    for (const int sign : {1, -1}) {
      auto x = normal(s.numel(), seed++, -5.0f * static_cast<float>(sign));
      if (s.extent > 2) x[s.at(0, s.extent / 2)] = std::numeric_limits<float>::quiet_NaN();
      const auto gpu = on_gpu(x);
      const OnGpu<float> y(s.results());
      reduce().extreme(sign, s.outer, s.extent, s.inner, gpu.data(), y.data());
      const auto got = y.values();
      bool right = true;
      for (std::size_t i = 0; i < got.size(); ++i) {
        float best = x[s.at(i, 0)];
        for (std::int64_t r = 0; r < s.extent; ++r)
          if (const float v = x[s.at(i, r)]; sign * v > sign * best || v != v) best = v;
        right = right && (best != best ? got[i] != got[i] : got[i] == best);
      }
      CHECK(right);
    }
  }
}

TEST_CASE("argmax: the first of equals, the first NaN") {
  unsigned seed = 300;
  for (const auto& s : shapes) {
    if (s.extent == 0) continue;
    CAPTURE(s.outer);
    CAPTURE(s.extent);
    CAPTURE(s.inner);
    auto x = normal(s.numel(), seed++);
    for (auto& v : x) v = std::round(v * 2);  // many are equal
    if (s.extent > 8)
      for (const auto r : {s.extent / 3, s.extent / 2}) x[s.at(s.results() - 1, r)] = std::numeric_limits<float>::quiet_NaN();
    std::vector<std::int64_t> expected(s.results());
    for (std::size_t i = 0; i < expected.size(); ++i)
      for (std::int64_t r = 1; r < s.extent; ++r) {
        const float top = x[s.at(i, expected[i])], v = x[s.at(i, r)];
        if (v > top || (v != v && top == top)) expected[i] = r;
      }
    const auto wide = on_gpu(x);
    const auto narrow = on_gpu(cuda_test::rounded(x));
    const OnGpu<std::int64_t> y(s.results()), z(s.results());
    reduce().argmax(DType::float32, s.outer, s.extent, s.inner, wide.data(), y.data());
    reduce().argmax(DType::bfloat16, s.outer, s.extent, s.inner, narrow.data(), z.data());
    CHECK(y.values() == expected);
    CHECK(z.values() == expected);
  }
}

TEST_CASE("finite: any infinity or NaN is found, wherever it is") {
  const auto flag_of = [](DType type, std::int64_t n, const void* x) {
    const auto flag = on_gpu(std::vector<int>{0});
    reduce().finite(type, n, x, flag.data());
    return flag.values()[0];
  };
  for (const std::size_t n : {1, 3, 8, 67, 5000})
    for (const std::size_t shift : {0, 1}) {
      auto x = normal(n + shift, 400);
      x.front() = std::numeric_limits<float>::max();
      const auto size = static_cast<std::int64_t>(n);
      const auto gpu = on_gpu(x);
      CHECK(flag_of(DType::float32, size, gpu.data() + shift) == 0);
      x.front() = 1;
      const auto halves = on_gpu(cuda_test::rounded(x));
      CHECK(flag_of(DType::bfloat16, size, halves.data() + shift) == 0);
      for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                              std::numeric_limits<float>::quiet_NaN()})
        for (const std::size_t where : {std::size_t{0}, n / 3, n / 2, n - 1}) {
          auto broken = x;
          broken[shift + where] = bad;
          const auto wide = on_gpu(broken);
          const auto narrow = on_gpu(cuda_test::rounded(broken));
          CHECK(flag_of(DType::float32, size, wide.data() + shift) == 1);
          CHECK(flag_of(DType::bfloat16, size, narrow.data() + shift) == 1);
        }
    }
}

TEST_CASE("Gram matrices of columns and of rows") {
  for (const auto& shape : {std::array<std::int64_t, 2>{1, 1}, {70, 33}, {33, 70}, {5, 64}}) {
    const std::int64_t rows = shape[0], columns = shape[1];
    const auto x = normal(static_cast<std::size_t>(rows * columns), 500, 3);
    const auto gpu = on_gpu(x);
    for (const bool of_columns : {true, false}) {
      const auto size = of_columns ? columns : rows, depth = of_columns ? rows : columns;
      std::vector<double> expected(static_cast<std::size_t>(size * size));
      const auto at = [&](std::int64_t i, std::int64_t k) {
        return static_cast<double>(x[static_cast<std::size_t>(of_columns ? k * columns + i : i * columns + k)]);
      };
      for (std::int64_t i = 0; i < size; ++i)
        for (std::int64_t j = 0; j < size; ++j)
          for (std::int64_t k = 0; k < depth; ++k) expected[static_cast<std::size_t>(i * size + j)] += at(i, k) * at(j, k);
      const OnGpu<double> gram(expected.size());
      reduce().gram(rows, columns, of_columns, gpu.data(), gram.data());
      CHECK(relative_error(gram.values(), expected) < 1e-14);
    }
  }
}

}  // namespace
