#include "fixture.hpp"

#include <cmath>
#include <utility>

#include "sslcake/core/threads.hpp"
#include "sslcake/ops/nt_xent.hpp"

using namespace sslcake;
using namespace op_test;

namespace {

/// Equation 1 written down element by element in float64, with its gradient with respect to z.
struct Dense {
  double loss = 0, agreement = 0;
  std::vector<double> grad;
};
Dense dense_nt_xent(const Tensor& z, double temperature, bool normalize) {
  const auto n = static_cast<std::size_t>(z.dim(0)), d = static_cast<std::size_t>(z.dim(1));
  std::vector<double> u = z.to_vector<double>(), length(n, 1.0);
  if (normalize)
    for (std::size_t i = 0; i < n; ++i) {
      double square = 0;
      for (std::size_t k = 0; k < d; ++k) square += u[i * d + k] * u[i * d + k];
      length[i] = std::max(std::sqrt(square), 1e-12);
      for (std::size_t k = 0; k < d; ++k) u[i * d + k] /= length[i];
    }
  std::vector<double> s(n * n), p(n * n);  // p: d loss_i / d s_ij
  Dense out;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t k = 0; k < d; ++k) s[i * n + j] += u[i * d + k] * u[j * d + k] / temperature;
    const std::size_t partner = (i + n / 2) % n;
    double most = -1e300, sum = 0;
    bool first = true;
    for (std::size_t j = 0; j < n; ++j)
      if (j != i) most = std::max(most, s[i * n + j]);
    for (std::size_t j = 0; j < n; ++j) {
      if (j == i) continue;
      p[i * n + j] = std::exp(s[i * n + j] - most);
      sum += p[i * n + j];
      if (j != partner && s[i * n + j] >= s[i * n + partner]) first = false;
    }
    double negatives = 0;
    for (std::size_t j = 0; j < n; ++j) {
      p[i * n + j] /= sum;
      if (j != partner) negatives += p[i * n + j];
    }
    p[i * n + partner] = -negatives;  // P - 1, without cancellation
    out.loss += (most + std::log(sum) - s[i * n + partner]) / static_cast<double>(n);
    out.agreement += first ? 1.0 / static_cast<double>(n) : 0.0;
  }
  out.grad.assign(n * d, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    std::vector<double> du(d);
    for (std::size_t j = 0; j < n; ++j) {
      const double weight = i == j ? 0 : p[i * n + j] + p[j * n + i];
      for (std::size_t k = 0; k < d; ++k) du[k] += weight * u[j * d + k] / (temperature * static_cast<double>(n));
    }
    double along = 0;
    for (std::size_t k = 0; k < d && normalize; ++k) along += u[i * d + k] * du[k];
    for (std::size_t k = 0; k < d; ++k) out.grad[i * d + k] = (du[k] - u[i * d + k] * along) / length[i];
  }
  return out;
}

Tensor embeddings(std::int64_t rows, std::int64_t d, std::uint64_t key, double noise = 0.4) {
  Tensor z = random_input({rows, d}, key);  // partners are noisy copies, so that some agree and some do not
  const Tensor other = random_input({rows, d}, key + 1);
  double* p = z.mutable_data<double>();
  for (std::int64_t i = z.numel() / 2; i < z.numel(); ++i) p[i] = p[i - z.numel() / 2] + noise * other.data<double>()[i];
  return z;
}

void compare(const Tensor& z64, const ops::NtXentOptions& options, DType dtype, double tolerance) {
  INFO("rows " << z64.dim(0) << " temperature " << options.temperature << " " << name_of(dtype));
  Tensor z = z64.to(dtype).clone();
  const Dense expected = dense_nt_xent(z, options.temperature, options.normalize);
  z.set_requires_grad();
  const auto result = ops::nt_xent(z, options);
  CHECK(result.loss.dtype() == (dtype == DType::float64 ? DType::float64 : DType::float32));
  CHECK(result.loss.item() == doctest::Approx(expected.loss).epsilon(tolerance));
  backward(result.loss);
  double largest = 0;
  for (const double g : expected.grad) largest = std::max(largest, std::abs(g));
  check_close(z.grad(), from_vector(z.shape(), expected.grad), 0, tolerance * (largest + 1e-12), "gradient");
  if (dtype == DType::float64) CHECK(result.agreement.item() == doctest::Approx(expected.agreement));
}

}  // namespace

OP_CASE("nt_xent") {
  const auto loss = [](double temperature, bool normalize) {
    return [=](const Tensors& x) { return ops::nt_xent(x[0], {temperature, normalize}).loss; };
  };
  for (const Shape& s : {Shape{8, 5}, Shape{6, 3}, Shape{2, 1}, Shape{4, 1}, Shape{4, 0}, Shape{2, 4}}) {
    gradcheck(loss(0.5, true), {random_input(s, 1, 0.2, 1)});
    gradcheck(loss(0.7, false), {random_input(s, 2)});
  }
  gradcheck(loss(0.2, true), {embeddings(70, 3, 3)});  // three blocks of rows
}

TEST_CASE("NT-Xent agrees with PyTorch") {
  replay("nt_xent",
         {{"nt_xent", [](const FixtureCase& c) { return ops::nt_xent(c["z"], {.temperature = c.number("temperature")}).loss; }}});
}

TEST_CASE("NT-Xent equals the dense formula") {
  // 2N below, at and above the tile's size, with odd numbers of blocks and a last block that is not full.
  for (const std::int64_t rows : {2, 4, 30, 32, 34, 64, 66, 96, 130, 258}) {
    for (const double temperature : {0.07, 0.5, 2.0}) {
      const Tensor z = embeddings(rows, 16, static_cast<std::uint64_t>(rows));
      compare(z, {temperature, true}, DType::float64, 1e-10);
      compare(z, {temperature, true}, DType::float32, 2e-5);
      compare(z, {temperature, false}, DType::float64, 1e-10);
      compare(z, {temperature, false}, DType::float32, 2e-5);
    }
  }
}

TEST_CASE("NT-Xent stays exact where exponentials overflow or vanish") {
  // Similarities of ±1/temperature = ±500, and unnormalised ones of several hundred: exp of either is beyond float32.
  compare(embeddings(66, 8, 1), {0.002, true}, DType::float64, 1e-9);
  compare(embeddings(66, 8, 1), {0.002, true}, DType::float32, 2e-4);
  Tensor large = embeddings(40, 8, 2);
  for (std::int64_t i = 0; i < large.numel(); ++i) large.mutable_data<double>()[i] *= 20;
  compare(large, {1.0, false}, DType::float64, 1e-9);
  compare(large, {1.0, false}, DType::float32, 2e-4);
}

TEST_CASE("NT-Xent of bfloat16 embeddings is computed in float32") {
  compare(embeddings(34, 8, 5).to(DType::bfloat16), {0.5, true}, DType::bfloat16, 8e-3);
}

TEST_CASE("NT-Xent knows its own extremes") {
  CHECK(ops::nt_xent_chance(512) == doctest::Approx(std::log(511.0)));
  // All rows alike: chance, exactly, and nobody's partner stands out.
  const auto collapsed = ops::nt_xent(ones({64, 4}), {.temperature = 0.1});
  CHECK(collapsed.loss.item() == doctest::Approx(ops::nt_xent_chance(64)).epsilon(1e-5));
  CHECK(collapsed.agreement.item() == 0);
  // Partners alike, all else orthogonal.
  Tensor apart = zeros({8, 4}, DType::float64);
  for (std::int64_t i = 0; i < 8; ++i) apart.mutable_data<double>()[i * 4 + i % 4] = 3;
  const auto best = ops::nt_xent(apart, {.temperature = 0.1});
  CHECK(best.agreement.item() == 1);
  CHECK(best.loss.item() == doctest::Approx(std::log1p(6 * std::exp(-10.0))).epsilon(1e-9));
  // One pair: its partner is the only choice. Rows of zeros have no direction and stay at 0/1e-12.
  CHECK(ops::nt_xent(random_input({2, 5}, 1)).loss.item() == doctest::Approx(0.0));
  CHECK(ops::nt_xent(zeros({6, 3}, DType::float64)).loss.item() == doctest::Approx(std::log(5.0)));
}

TEST_CASE("NT-Xent passes NaN on") {
  for (const std::int64_t rows : {4, 100}) {
    Tensor z = random_input({rows, 9}, 1).to(DType::float32);
    z.mutable_data<float>()[10] = std::nanf("");
    CHECK(std::isnan(ops::nt_xent(z).loss.item()));
  }
}

TEST_CASE("NT-Xent gives the same bits for every number of threads") {
  const int before = threads();
  const Tensor z = embeddings(600, 24, 9).to(DType::float32);
  std::vector<Tensor> losses, grads;
  for (const int n : {1, 2, 3, 7}) {
    set_threads(n);
    Tensor x = z.clone();
    x.set_requires_grad();
    losses.push_back(ops::nt_xent(x).loss);
    backward(losses.back());
    grads.push_back(x.grad());
  }
  set_threads(before);
  for (std::size_t i = 1; i < losses.size(); ++i) {
    CHECK(same_bits(losses[i], losses[0]));
    CHECK(same_bits(grads[i], grads[0]));
  }
}

TEST_CASE("NT-Xent never holds the matrix") {
  constexpr std::int64_t rows = 4096, d = 16;
  Tensor z = embeddings(rows, d, 3).to(DType::float32);
  z.set_requires_grad();
  const auto before = memory_stats().in_use;
  reset_peak_memory();
  const auto result = ops::nt_xent(z);
  backward(result.loss);
  const auto used = memory_stats().peak - before;
  CHECK(used < 4u << 20);                          // tiles of 256 KB per thread, and a few (2N,d)
  CHECK(used < sizeof(float) * rows * rows / 16);  // the matrix would be 64 MB
  CHECK(result.loss.item() > 0);
  CHECK(result.loss.item() < ops::nt_xent_chance(rows));
}

TEST_CASE("NT-Xent refuses what it cannot mean") {
  check_error([] { ops::nt_xent(zeros({5, 2})); }, {"[nt_xent]", "even", "(5,2)"});
  check_error([] { ops::nt_xent(zeros({0, 2})); }, {"[nt_xent]", "even"});
  check_error([] { ops::nt_xent(zeros({4})); }, {"[nt_xent]", "(2N,d)", "(4)"});
  check_error([] { ops::nt_xent(Tensor{}); }, {"[nt_xent]", "undefined"});
  check_error([] { ops::nt_xent(zeros({4, 2}, DType::int64)); }, {"[nt_xent]", "int64"});
  check_error([] { ops::nt_xent(zeros({4, 2}), {.temperature = 0}); }, {"[nt_xent]", "temperature", "0"});
  check_error([] { ops::nt_xent(zeros({4, 2}), {.temperature = std::nan("")}); }, {"[nt_xent]", "temperature"});
  check_error([] { ops::nt_xent_chance(1); }, {"nt_xent_chance"});
}
