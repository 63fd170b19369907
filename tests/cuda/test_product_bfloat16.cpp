// The bfloat16 matrix product: every tile, sizes that fit none, rows that start anywhere.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "../../include/sslcake/kernels/cuda/product_bfloat16.hpp"
#include "device.hpp"

namespace {

using sslcake::bfloat16;

void check_product(std::int64_t m, std::int64_t n, std::int64_t k, std::size_t shift_a = 0, std::size_t shift_c = 0) {
  CAPTURE(m);
  CAPTURE(n);
  CAPTURE(k);
  CAPTURE(shift_a);
  CAPTURE(shift_c);
  const auto seed = static_cast<unsigned>(m * 31 + n * 7 + k);
  const auto a = cuda_test::rounded(cuda_test::normal(static_cast<std::size_t>(m * k) + shift_a, seed));
  const auto b = cuda_test::rounded(cuda_test::normal(static_cast<std::size_t>(n * k), seed + 1));
  const auto count = static_cast<std::size_t>(m * n);
  const auto on_a = cuda_test::on_gpu(a), on_b = cuda_test::on_gpu(b);
  const cuda_test::OnGpu<bfloat16> on_c(count + shift_c + 8);
  sslcake::kernels::cuda::gemm_bfloat16(m, n, k, on_a.data() + shift_a, on_b.data(), on_c.data() + shift_c);
  const auto all = cuda_test::widened(on_c.values());
  const std::vector<float> got(all.begin() + static_cast<std::ptrdiff_t>(shift_c),
                               all.begin() + static_cast<std::ptrdiff_t>(shift_c + count));
  const auto wide_a = cuda_test::widened(a), wide_b = cuda_test::widened(b);
  std::vector<double> expected(count);
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t l = 0; l < k; ++l)
        sum += static_cast<double>(wide_a[shift_a + static_cast<std::size_t>(i * k + l)]) *
               static_cast<double>(wide_b[static_cast<std::size_t>(j * k + l)]);
      expected[static_cast<std::size_t>(i * n + j)] = sum;
    }
  double worst = 0;  // beyond half a unit of bfloat16 and the float32 sum's own error
  for (std::size_t i = 0; i < count; ++i) {
    const double e = std::abs(static_cast<double>(got[i]) - expected[i]) - std::abs(expected[i]) / 256;
    worst = e <= worst ? worst : e;  // NaN is worse than anything
  }
  CHECK(worst < 1e-4 * std::sqrt(static_cast<double>(k) + 1));
  CHECK(cuda_test::relative_error(got, expected) < 3e-3);
  for (std::size_t i = 0; i < shift_c; ++i) CHECK(std::isnan(all[i]));  // nothing outside was written
  for (std::size_t i = shift_c + count; i < all.size(); ++i) CHECK(std::isnan(all[i]));
}

}  // namespace

TEST_CASE("cuda: bfloat16 product, small tiles") {
  check_product(1, 1, 1);
  check_product(1, 1, 8);
  check_product(3, 65, 40);
  check_product(64, 64, 64);
  check_product(63, 7, 129);
  check_product(17, 127, 200);
}
TEST_CASE("cuda: bfloat16 product, medium tiles") {
  check_product(129, 200, 72);
  check_product(256, 255, 33);
}
TEST_CASE("cuda: bfloat16 product, large tiles") {
  check_product(256, 512, 64);
  check_product(257, 264, 328);  // more tiles than the ring holds
  check_product(2177, 9, 24);    // more than one band of rows of tiles
}
TEST_CASE("cuda: bfloat16 product, rows that start anywhere") {
  check_product(33, 40, 24, 1);
  check_product(33, 40, 24, 0, 3);
  check_product(5, 41, 16, 3, 1);
}
TEST_CASE("cuda: bfloat16 product, nothing to add") {
  const cuda_test::OnGpu<bfloat16> a(8), b(8), c(12);
  sslcake::kernels::cuda::gemm_bfloat16(3, 4, 0, a.data(), b.data(), c.data());
  for (const float x : cuda_test::widened(c.values())) CHECK(x == 0);
  sslcake::kernels::cuda::gemm_bfloat16(0, 4, 8, a.data(), b.data(), c.data());
}
