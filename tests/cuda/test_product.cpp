// kernels/cuda/product.cu against sums in float64.
#include <doctest/doctest.h>

#include "../../include/sslcake/kernels/cuda/product.hpp"
#include "device.hpp"

namespace {

using sslcake::kernels::cuda::MatrixProduct;
using sslcake::kernels::cuda::Product;
using sslcake::kernels::cuda::ProductDim;

const Product& table() { return cuda_test::kernels_of<Product>(); }
std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Elements that a batch reaches in one operand.
std::int64_t reach(const MatrixProduct& p, std::int64_t rows, std::int64_t columns, std::int64_t stride,
                   std::int64_t ProductDim::*step) {
  std::int64_t last = rows > 0 && columns > 0 ? (rows - 1) * stride + columns : 0;
  for (int d = 0; d < p.rank; ++d) last += (p.dims[d].extent - 1) * (p.dims[d].*step);
  return last;
}

void expect_product(const MatrixProduct& p, bool with_bias = false, std::int64_t shift = 0) {
  INFO("m ", p.m, " n ", p.n, " k ", p.k, ", transposed ", p.transpose_a, p.transpose_b, ", accumulate ", p.accumulate,
       ", rank ", p.rank, ", shift ", shift);
  const auto size_a = reach(p, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.lda, &ProductDim::a);
  const auto size_b = reach(p, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.ldb, &ProductDim::b);
  const auto size_c = reach(p, p.m, p.n, p.ldc, &ProductDim::c);
  const auto a = cuda_test::normal(at(size_a + shift), 1), b = cuda_test::normal(at(size_b + shift), 2);
  const auto bias = cuda_test::normal(at(p.n), 3), before = cuda_test::normal(at(size_c + shift), 4);

  std::vector<double> want(before.begin(), before.end());
  std::vector<bool> written(want.size());
  std::int64_t count = 1;
  for (int d = 0; d < p.rank; ++d) count *= p.dims[d].extent;
  for (std::int64_t matrix = 0; matrix < count; ++matrix) {
    std::int64_t from_a = shift, from_b = shift, to = shift, rest = matrix;
    for (int d = p.rank - 1; d >= 0; --d) {
      const std::int64_t i = rest % p.dims[d].extent;
      rest /= p.dims[d].extent;
      from_a += i * p.dims[d].a, from_b += i * p.dims[d].b, to += i * p.dims[d].c;
    }
    for (std::int64_t i = 0; i < p.m; ++i)
      for (std::int64_t j = 0; j < p.n; ++j) {
        const std::size_t c = at(to + i * p.ldc + j);
        if (!written[c]) want[c] = (p.accumulate ? want[c] : 0) + (with_bias ? static_cast<double>(bias[at(j)]) : 0);
        written[c] = true;
        for (std::int64_t k = 0; k < p.k; ++k)
          want[c] += static_cast<double>(a[at(from_a + (p.transpose_a ? k * p.lda + i : i * p.lda + k))]) *
                     static_cast<double>(b[at(from_b + (p.transpose_b ? j * p.ldb + k : k * p.ldb + j))]);
      }
  }

  const auto da = cuda_test::on_gpu(a), db = cuda_test::on_gpu(b), dbias = cuda_test::on_gpu(bias);
  std::vector<float> start = before;
  for (std::size_t i = 0; i < start.size(); ++i)
    if (written[i] && !p.accumulate) start[i] = std::nanf("");
  const auto run = [&] {
    const auto dc = cuda_test::on_gpu(start);
    table().gemm(p, da.data() + shift, db.data() + shift, with_bias ? dbias.data() : nullptr, dc.data() + shift);
    return dc.values();
  };
  const auto got = run();
  CHECK(cuda_test::relative_error(got, want) < 1e-6);
  const auto again = run();
  CHECK((got.empty() || std::memcmp(got.data(), again.data(), got.size() * sizeof(float)) == 0));
}

MatrixProduct dense(std::int64_t m, std::int64_t n, std::int64_t k, bool transpose_a, bool transpose_b) {
  return {.transpose_a = transpose_a, .transpose_b = transpose_b, .m = m, .n = n, .k = k,
          .lda = transpose_a ? m : k, .ldb = transpose_b ? k : n, .ldc = n};
}

}  // namespace

TEST_CASE("cuda product: transposes, sizes beside those of tiles, accumulation and bias") {
  const std::int64_t sizes[][3] = {{1, 1, 1},       {3, 5, 7},     {64, 64, 16},  {65, 63, 17}, {128, 128, 32},
                                   {129, 127, 9}, {131, 64, 40}, {40, 132, 24}, {17, 200, 1}};
  for (const auto& [m, n, k] : sizes)
    for (int flags = 0; flags < 4; ++flags) {
      auto p = dense(m, n, k, (flags & 1) != 0, (flags & 2) != 0);
      expect_product(p);
      p.accumulate = true;
      expect_product(p, true, flags % 2);
    }
}

TEST_CASE("cuda product: large tiles in all four layouts") {
  for (int flags = 0; flags < 4; ++flags) expect_product(dense(260, 140, 36, (flags & 1) != 0, (flags & 2) != 0), true);
}

TEST_CASE("cuda product: rows apart from each other, and starts that are not aligned") {
  for (int flags = 0; flags < 4; ++flags) {
    auto p = dense(37, 70, 21, (flags & 1) != 0, (flags & 2) != 0);
    p.lda += 3, p.ldb += 5, p.ldc += 2;
    expect_product(p, true, 1);
    p = dense(68, 72, 20, (flags & 1) != 0, (flags & 2) != 0);
    p.lda += 4, p.ldb += 8, p.ldc += 4;
    expect_product(p, false, 0);
    expect_product(p, false, 4);
  }
}

TEST_CASE("cuda product: a long inner extent is split") {
  expect_product(dense(10, 33, 3001, true, false));
  expect_product(dense(10, 33, 3001, false, true), true);
  auto p = dense(70, 66, 1030, true, false);
  p.accumulate = true;
  expect_product(p);
  expect_product(dense(2, 3, 20000, false, true));
}

TEST_CASE("cuda product: batches, broadcast and summed") {
  auto p = dense(9, 11, 13, false, false);
  p.rank = 1;
  p.dims[0] = {.extent = 5, .a = 9 * 13, .b = 13 * 11, .c = 9 * 11};
  expect_product(p, true);
  p.rank = 3;  // B is the same along the first and the last, A along the second
  p.dims[0] = {.extent = 2, .a = 3 * 9 * 13, .b = 0, .c = 6 * 3 * 9 * 11};
  p.dims[1] = {.extent = 6, .a = 0, .b = 13 * 11, .c = 3 * 9 * 11};
  p.dims[2] = {.extent = 3, .a = 9 * 13, .b = 0, .c = 9 * 11};
  expect_product(p);
  p.dims[0] = {.extent = 2, .a = 3 * 9 * 13, .b = 5 * 13 * 11, .c = 3 * 9 * 11};  // C is summed along the second
  p.dims[1] = {.extent = 5, .a = 6 * 9 * 13, .b = 13 * 11, .c = 0};
  p.dims[2] = {.extent = 3, .a = 9 * 13, .b = 0, .c = 9 * 11};
  expect_product(p);
  p.accumulate = true;
  expect_product(p);
  p.rank = 2;  // all are summed
  p.dims[0] = {.extent = 7, .a = 9 * 13, .b = 0, .c = 0};
  p.dims[1] = {.extent = 3, .a = 0, .b = 13 * 11, .c = 0};
  expect_product(p);
}

TEST_CASE("cuda product: what is empty writes zeros or nothing") {
  expect_product(dense(5, 6, 0, false, false));
  expect_product(dense(5, 6, 0, true, true), true);
  expect_product(dense(0, 6, 4, false, false));
  expect_product(dense(5, 0, 4, false, true));
  auto p = dense(5, 6, 4, false, false);
  p.rank = 1;
  p.dims[0] = {.extent = 0, .a = 20, .b = 24, .c = 0};  // a sum over no matrix
  const auto c = cuda_test::OnGpu<float>(30);
  table().gemm(p, nullptr, nullptr, nullptr, c.data());
  for (const float x : c.values()) CHECK(x == 0);
  p.dims[0].c = 30;
  table().gemm(p, nullptr, nullptr, nullptr, nullptr);
}
