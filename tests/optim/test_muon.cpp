// Muon's own parts; that it steps as PyTorch's does is seen in test_optimizer.cpp.
#include <doctest/doctest.h>

#include <optional>

#include "reference.hpp"
#include "sslcake/core/random.hpp"
#include "sslcake/core/threads.hpp"
#include "sslcake/optim/muon.hpp"

using namespace sslcake;

namespace {

struct Matrix {
  std::int64_t rows, columns;
  std::vector<double> numbers;
  double& at(std::int64_t i, std::int64_t j) { return numbers[static_cast<std::size_t>(i * columns + j)]; }
  double norm() const {
    double sum = 0;
    for (const double v : numbers) sum += v * v;
    return std::sqrt(sum);
  }
};

Matrix zero(std::int64_t rows, std::int64_t columns) {
  return {rows, columns, std::vector<double>(static_cast<std::size_t>(rows * columns))};
}
Matrix normal(std::int64_t rows, std::int64_t columns) {
  Random random(static_cast<std::uint64_t>(rows * 1000 + columns), Purpose::test);
  return {rows, columns, random_normal({rows, columns}, random).to_vector<double>()};
}
Matrix times(double factor, Matrix x) {
  for (double& v : x.numbers) v *= factor;
  return x;
}
double difference(const Matrix& x, const Matrix& y) {
  Matrix z = x;
  for (std::size_t i = 0; i < z.numbers.size(); ++i) z.numbers[i] -= y.numbers[i];
  return z.norm();
}
Matrix product(Matrix x, Matrix y, bool transpose_y = false) {
  Matrix z = zero(x.rows, transpose_y ? y.rows : y.columns);
  for (std::int64_t i = 0; i < z.rows; ++i)
    for (std::int64_t k = 0; k < x.columns; ++k)
      for (std::int64_t j = 0; j < z.columns; ++j) z.at(i, j) += x.at(i, k) * (transpose_y ? y.at(j, k) : y.at(k, j));
  return z;
}

Matrix orthogonalised(Matrix x, int iterations = 5) {
  std::vector<float> numbers(x.numbers.begin(), x.numbers.end());
  optim::detail::orthogonalise(x.rows, x.columns, iterations, numbers.data());
  x.numbers.assign(numbers.begin(), numbers.end());
  return x;
}

/// The comment of muon.hpp, in float64.
Matrix formula(Matrix x, int iterations) {
  x = times(1 / x.norm(), x);
  for (int i = 0; i < iterations; ++i) {
    const Matrix a = product(x, x, true), square = product(a, a);
    Matrix both = times(-4.7750, a);
    for (std::size_t k = 0; k < both.numbers.size(); ++k) both.numbers[k] += 2.0315 * square.numbers[k];
    const Matrix more = product(both, x);
    for (std::size_t k = 0; k < x.numbers.size(); ++k) x.numbers[k] = 3.4445 * x.numbers[k] + more.numbers[k];
  }
  return x;
}

/// What some steps make of these parameters, by gradients that are functions of the element's number.
std::vector<std::vector<float>> after_steps(const Parameters& all, const optim::MuonOptions& options, int steps) {
  optim::Muon optimizer(all, options);
  for (int step = 0; step < steps; ++step) {
    for (auto p : all) p.tensor.set_grad(gradient(p.tensor, step));
    optimizer.step();
  }
  std::vector<std::vector<float>> out;
  for (const auto& p : all) out.push_back(p.tensor.to_vector<float>());
  return out;
}

}  // namespace

TEST_CASE("orthogonalise: the formula in float64, for wide, tall and square matrices") {
  for (const auto& [rows, columns] : std::vector<std::pair<int, int>>{
           {1, 1}, {2, 1}, {1, 5}, {3, 3}, {5, 7}, {7, 5}, {64, 577}, {577, 64}, {130, 130}, {150, 129}})
    for (const int iterations : {1, 5}) {
      CAPTURE(rows);
      CAPTURE(columns);
      CAPTURE(iterations);
      const Matrix x = normal(rows, columns), expected = formula(x, iterations);
      CHECK(difference(orthogonalised(x, iterations), expected) < 1e-4 * expected.norm());
    }
}

TEST_CASE("orthogonalise: singular values come near 1") {
  for (const bool tall : {false, true}) {
    Matrix x = tall ? zero(40, 20) : zero(20, 40);
    for (std::int64_t i = 0; i < 20; ++i) x.at(i, i) = i == 0 ? 0.11 : 1.0 + static_cast<double>(i);  // 0.002 to 0.37 of the norm
    Matrix y = orthogonalised(x);
    for (std::int64_t i = 0; i < 20; ++i) {
      CHECK(y.at(i, i) > 0.65);
      CHECK(y.at(i, i) < 1.25);
      y.at(i, i) = 0;
    }
    CHECK(y.norm() == 0);
  }
}

TEST_CASE("orthogonalise: the length of a matrix does not matter, but what is almost nothing stays so") {
  const Matrix x = normal(6, 9), y = orthogonalised(x);
  CHECK(difference(orthogonalised(times(1e-6, x)), y) < 1e-4);
  CHECK(difference(orthogonalised(times(1e18, x)), y) < 1e-4);
  CHECK(orthogonalised(times(1e-18, x)).norm() < 1e-6);
  CHECK(orthogonalised(times(1e-40, x)).norm() < 1e-6);  // not NaN
  CHECK(orthogonalised(zero(6, 9)).norm() == 0);
}

TEST_CASE("Muon: a layer whose gradient ends comes to rest") {
  const Parameter w = start("w", {3, 4});
  optim::Muon optimizer(Parameters{w}, {.weight_decay = 0});
  Tensor(w.tensor).set_grad(gradient(w.tensor, 0));
  optimizer.step();
  Tensor(w.tensor).set_grad(zeros({3, 4}));
  for (int step = 0; step < 1000; ++step) optimizer.step();
  const auto rest = w.tensor.to_vector<float>();
  for (int step = 0; step < 2000; ++step) optimizer.step();  // the momentum sinks below what float32 can invert
  CHECK(w.tensor.to_vector<float>() == rest);
}

TEST_CASE("Muon: what is not a matrix has its own rate, and decays where it is told to") {
  const auto moved = [](const optim::MuonOptions& options, std::optional<double> decay = {}) {
    const Parameter b = start("b", {5}, true);
    optim::Muon optimizer(optim::Groups{{{b}, 1, decay}}, options);
    Tensor(b.tensor).set_grad(full({5}, 1));
    optimizer.step();
    return b.tensor.to_vector<float>()[0];  // it was cos(0) = 1, and the first step of Nesterov's is (1 + momentum) g
  };
  CHECK(moved({.lr = 0.01, .momentum = 0.5}) == doctest::Approx(1 - 5 * 0.01 * 1.5));
  CHECK(moved({.lr = 0.01, .momentum = 0.5, .others = 2}) == doctest::Approx(1 - 2 * 0.01 * 1.5));
  CHECK(moved({.lr = 0.01, .momentum = 0.5, .decay_norm_and_bias = true}) == doctest::Approx(1 - 0.01 * 0.1 - 5 * 0.01 * 1.5));
  CHECK(moved({.lr = 0.01, .momentum = 0.5}, 0.3) == doctest::Approx(1 - 0.01 * 0.3 - 5 * 0.01 * 1.5));
}

TEST_CASE("Muon: a convolution is the matrix of its output channels; other shapes are no matrices") {
  const optim::MuonOptions options{.lr = 0.1};
  const auto flat = after_steps({start("w", {6, 36})}, options, 3);
  CHECK(after_steps({start("w", {6, 3, 3, 4})}, options, 3) == flat);
  const auto plain = after_steps({start("w", {216})}, options, 3);
  CHECK(plain != flat);
  CHECK(after_steps({start("w", {1, 6, 36})}, options, 3) == plain);   // positions of a transformer
  CHECK(after_steps({start("w", {1, 216})}, options, 3) == plain);     // one row has no other directions
  CHECK(after_steps({start("w", {0, 5}), start("v", {216})}, options, 3)[1] == plain[0]);
}

TEST_CASE("Muon: the same bits for every number of threads") {
  std::vector<std::vector<float>> results[2];
  for (int run = 0; run < 2; ++run) {
    set_threads(run + 1);
    results[run] = after_steps({start("a", {70, 500}), start("b", {40001}, true), start("c", {300, 7})}, {}, 3);
  }
  set_threads(0);
  CHECK(results[0] == results[1]);
}

TEST_CASE("Muon: without a gradient direction only the decay is left") {
  const Parameter w = start("w", {3, 4});
  const auto before = w.tensor.to_vector<float>();
  optim::Muon optimizer(Parameters{w}, {.lr = 0.5, .weight_decay = 0.1});
  Tensor(w.tensor).set_grad(zeros({3, 4}));
  optimizer.step();
  const auto after = w.tensor.to_vector<float>();
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(after[i] == doctest::Approx(0.95 * before[i]));
}

TEST_CASE("Muon: options that make no sense are refused") {
  const Parameters p{start("w", {3, 4})};
  CHECK_THROWS_WITH_AS(optim::Muon(p, {.iterations = 0}), doctest::Contains("1 to 100 iterations"), Error);
  CHECK_THROWS_WITH_AS(optim::Muon(p, {.momentum = 0}), doctest::Contains("nesterov"), Error);
  CHECK_THROWS_WITH_AS(optim::Muon(p, {.others = -1}), doctest::Contains("others"), Error);
}
