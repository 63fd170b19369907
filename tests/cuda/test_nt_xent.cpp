// NT-Xent's kernels against the definition in float64, the whole matrix held.
#include <doctest/doctest.h>

#include <cmath>
#include <utility>

#include "../../include/sslcake/kernels/cuda/nt_xent.hpp"
#include "device.hpp"

using namespace cuda_test;
namespace {

struct Result {
  std::vector<float> loss, agreement, dz;
};
Result on_device(std::size_t rows, std::size_t d, double temperature, bool normalize, bool precise, const std::vector<float>& z,
                 float grad) {
  sslcake::kernels::cuda::NtXent table;
  install(table);
  const auto n = static_cast<std::int64_t>(rows), w = static_cast<std::int64_t>(d);
  const auto input = on_gpu(z), g = on_gpu(std::vector<float>{grad});
  const OnGpu<float> v(rows * d), norms(rows), logs(rows), weights(rows), loss(1), agreement(1), dz(rows * d);
  table.scale(n, w, temperature, normalize, input.data(), v.data(), norms.data());
  table.forward(n, w, precise, v.data(), logs.data(), weights.data(), loss.data(), agreement.data());
  table.backward(n, w, precise, temperature, normalize, v.data(), norms.data(), logs.data(), weights.data(), g.data(), dz.data());
  return {loss.values(), agreement.values(), dz.values()};
}

struct Expected {
  double loss = 0, agreement = 0;
  std::vector<double> dz;
};
Expected dense(std::size_t rows, std::size_t d, double temperature, bool normalize, const std::vector<float>& z, double grad) {
  std::vector<double> u(z.begin(), z.end()), norms(rows, 1), s(rows * rows), du(rows * d);
  for (std::size_t i = 0; i < rows && normalize; ++i) {
    double squares = 0;
    for (std::size_t k = 0; k < d; ++k) squares += u[i * d + k] * u[i * d + k];
    norms[i] = std::max(std::sqrt(squares), 1e-12);
    for (std::size_t k = 0; k < d; ++k) u[i * d + k] /= norms[i];
  }
  Expected out;
  out.dz.resize(rows * d);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < rows; ++j) {
      for (std::size_t k = 0; k < d; ++k) s[i * rows + j] += u[i * d + k] * u[j * d + k];
      s[i * rows + j] /= temperature;
    }
  const auto count = static_cast<double>(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    const std::size_t p = (i + rows / 2) % rows;
    double ratio = 0, others = 0;  // Σ exp(s - positive) with and without the partner
    bool first = true;
    for (std::size_t j = 0; j < rows; ++j)
      if (j != i && j != p)
        others += std::exp(s[i * rows + j] - s[i * rows + p]), first = first && s[i * rows + j] < s[i * rows + p];
    ratio = 1 + others;
    out.loss += std::log1p(others) / count;
    out.agreement += first ? 1 / count : 0;
    for (std::size_t j = 0; j < rows; ++j) {
      if (j == i) continue;
      const double w =
          (j == p ? -others / ratio : std::exp(s[i * rows + j] - s[i * rows + p]) / ratio) * grad / count / temperature;
      for (std::size_t k = 0; k < d; ++k) {
        du[i * d + k] += w * u[j * d + k];
        du[j * d + k] += w * u[i * d + k];
      }
    }
  }
  for (std::size_t i = 0; i < rows; ++i) {
    double along = 0;
    for (std::size_t k = 0; k < d; ++k) along += normalize ? u[i * d + k] * du[i * d + k] : 0;
    for (std::size_t k = 0; k < d; ++k) out.dz[i * d + k] = (du[i * d + k] - u[i * d + k] * along) / norms[i];
  }
  return out;
}

/// Partners alike, but for noise.
std::vector<float> embeddings(std::size_t rows, std::size_t d, float noise, unsigned seed, float size = 1) {
  auto z = normal(rows * d, seed);
  const auto own = normal(rows * d, seed + 1, 0, noise);
  for (std::size_t i = rows / 2 * d; i < rows * d; ++i) z[i] = z[i - rows / 2 * d];
  for (std::size_t i = 0; i < rows * d; ++i) z[i] = size * (z[i] + own[i]);
  return z;
}

void compare(std::size_t rows, std::size_t d, double temperature, bool normalize, bool precise, float noise, double tolerance,
             float size = 1) {
  CAPTURE(rows);
  CAPTURE(d);
  CAPTURE(temperature);
  CAPTURE(precise);
  CAPTURE(noise);
  const auto z = embeddings(rows, d, noise, static_cast<unsigned>(rows + d), size);
  const auto found = on_device(rows, d, temperature, normalize, precise, z, 1.7f);
  const auto wanted = dense(rows, d, temperature, normalize, z, 1.7f);
  CHECK(std::fabs(static_cast<double>(found.loss[0]) - wanted.loss) <= tolerance * wanted.loss + 1e-30);
  CHECK(static_cast<double>(found.agreement[0]) == doctest::Approx(wanted.agreement).epsilon(1e-5));
  if (rows > 2) CHECK(relative_error(found.dz, wanted.dz) < tolerance);
}

}  // namespace

TEST_CASE("NT-Xent on the GPU: loss, agreement and gradient are those of the definition") {
  compare(130, 128, 0.5, true, false, 1.0f, 1e-5);
  compare(258, 40, 0.1, true, false, 0.5f, 1e-5);
  compare(66, 17, 0.2, true, false, 1.0f, 1e-5);
  compare(64, 32, 0.07, true, false, 2.0f, 1e-5);
  compare(6, 64, 0.5, true, false, 1.0f, 1e-5);
  compare(4, 1, 0.5, false, false, 1.0f, 1e-5);
}
TEST_CASE("NT-Xent on the GPU: where it is to be precise, or wide") {
  compare(70, 128, 0.02, true, true, 1.0f, 3e-5);
  compare(34, 30, 1.0, false, true, 1.0f, 3e-5, 3.0f);
  compare(66, 300, 0.1, true, false, 1.0f, 1e-5);  // tensor cores cut off when they add
}
TEST_CASE("NT-Xent on the GPU: a loss near 0 keeps its digits, and its gradient too") {
  compare(20, 33, 0.05, true, false, 0.05f, 2e-4);
  compare(20, 33, 0.05, true, true, 0.05f, 3e-5);
}
TEST_CASE("NT-Xent on the GPU: the same bits in every run") {
  for (const bool precise : {false, true}) {
    const auto z = embeddings(140, 40, 1, 7);
    const auto once = on_device(140, 40, 0.1, true, precise, z, 1), again = on_device(140, 40, 0.1, true, precise, z, 1);
    CHECK(once.loss == again.loss);
    CHECK(once.dz == again.dz);
  }
}
TEST_CASE("NT-Xent on the GPU: two rows, rows of zeros, NaN") {
  compare(2, 5, 0.5, true, false, 1.0f, 1e-5);
  std::vector<float> zeros(6 * 3, 0.0f);
  const auto flat = on_device(6, 3, 0.5, true, false, zeros, 1);
  CHECK(static_cast<double>(flat.loss[0]) == doctest::Approx(std::log(5.0)));
  CHECK(flat.agreement[0] == 0);
  auto z = embeddings(20, 9, 1, 3);
  z[10] = std::nanf("");
  CHECK(std::isnan(on_device(20, 9, 0.5, true, false, z, 1).loss[0]));
}
