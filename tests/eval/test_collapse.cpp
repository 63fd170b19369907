#include <doctest/doctest.h>

#include <cmath>
#include <sslcake/core/random.hpp>
#include <sslcake/eval/collapse.hpp>

using namespace sslcake;

TEST_CASE("symmetric_eigenvalues: diagonal, known, degenerate and random matrices") {
  CHECK(eval::symmetric_eigenvalues({3, 0, 0, 0, -1, 0, 0, 0, 2}, 3) == std::vector<double>{-1, 2, 3});
  CHECK(eval::symmetric_eigenvalues({}, 0).empty());
  CHECK(eval::symmetric_eigenvalues({5}, 1) == std::vector<double>{5});
  // The path graph's Laplacian-like matrix (2 on the diagonal, -1 beside): 2 - 2 cos(k pi / (n+1)).
  const int n = 9;
  std::vector<double> path(n * n);
  for (int i = 0; i < n; ++i) {
    path[static_cast<std::size_t>(i * n + i)] = 2;
    if (i > 0) path[static_cast<std::size_t>(i * n + i - 1)] = path[static_cast<std::size_t>((i - 1) * n + i)] = -1;
  }
  const auto known = eval::symmetric_eigenvalues(path, n);
  for (int k = 1; k <= n; ++k)
    CHECK(known[static_cast<std::size_t>(k - 1)] ==
          doctest::Approx(2 - 2 * std::cos(k * std::acos(-1.0) / (n + 1))).epsilon(1e-12));
  // All ones: n once, 0 otherwise.
  const auto ones = eval::symmetric_eigenvalues(std::vector<double>(64, 1.0), 8);
  CHECK(ones.back() == doctest::Approx(8));
  CHECK(std::fabs(ones[6]) < 1e-12);
  // A dense one: its trace, and the trace of its square.
  Random random(1, Purpose::test);
  const std::size_t m = 60;
  std::vector<double> dense(m * m);
  double trace = 0, squares = 0;
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j <= i; ++j) dense[i * m + j] = dense[j * m + i] = static_cast<double>(random.normal());
  for (std::size_t i = 0; i < m; ++i) trace += dense[i * m + i];
  for (const double v : dense) squares += v * v;
  for (const double v : eval::symmetric_eigenvalues(dense, 60)) {
    trace -= v;
    squares -= v * v;
  }
  CHECK(std::fabs(trace) < 1e-10);
  CHECK(std::fabs(squares) < 1e-8);
  CHECK_THROWS_AS(eval::symmetric_eigenvalues({1, 2}, 2), Error);
}

TEST_CASE("effective_rank: counts equal orthogonal directions, tall or wide") {
  for (const bool wide : {false, true}) {
    std::vector<float> v(20 * 12);
    for (std::size_t i = 0; i < 5; ++i) v[wide ? i * 20 + i : i * 12 + i] = i % 2 ? -3.0f : 3.0f;
    CHECK(eval::effective_rank(from_vector(wide ? Shape{12, 20} : Shape{20, 12}, v)) == doctest::Approx(5));
  }
  // Two singular values 3 and 1: entropy of (3/4, 1/4).
  CHECK(eval::effective_rank(from_vector<float>({2, 2}, {3, 0, 0, 1})) ==
        doctest::Approx(std::exp(-0.75 * std::log(0.75) - 0.25 * std::log(0.25))));
  CHECK(eval::effective_rank(zeros({4, 4})) == 0);
  CHECK(eval::effective_rank(full({40, 64}, 0.7)) == doctest::Approx(1));
}

TEST_CASE("collapse: directions spread evenly are healthy") {
  Random random(2, Purpose::test);
  const auto report = eval::collapse(random_normal({3000, 64}, random));
  CHECK(report.healthy_deviation == doctest::Approx(0.125));
  CHECK(report.deviation == doctest::Approx(0.125).epsilon(0.02));
  CHECK(report.effective_rank > 60);
  CHECK(report.effective_rank <= 64);
  CHECK_FALSE(report.warning);
}

TEST_CASE("collapse: one point, and one line, are warned of") {
  Random random(3, Purpose::test);
  Tensor point = random_normal({200, 32}, random, 5.0, 1e-3);
  const auto first = eval::collapse(point);
  CHECK(first.deviation < 1e-3);
  CHECK(first.warning);
  CHECK(first.text.find("alike") != std::string::npos);

  // Every row is +v or -v: the deviation is as large as that of healthy features, the rank gives it away.
  std::vector<float> line(200 * 32);
  for (std::size_t i = 0; i < 200; ++i)
    for (std::size_t j = 0; j < 32; ++j) line[i * 32 + j] = i % 2 ? 1.0f : -1.0f;
  const auto second = eval::collapse(from_vector({200, 32}, line));
  CHECK(second.deviation == doctest::Approx(second.healthy_deviation));
  CHECK(second.effective_rank == doctest::Approx(1));
  CHECK(second.warning);
  CHECK(second.text.find("one direction") != std::string::npos);

  CHECK(eval::collapse(zeros({10, 16})).warning);
}

TEST_CASE("collapse: mistakes are named") {
  CHECK_THROWS_WITH_AS(eval::collapse(zeros({1, 8})), doctest::Contains("at least 2"), Error);
  CHECK_THROWS_WITH_AS(eval::collapse(full({3, 8}, HUGE_VAL)), doctest::Contains("finite"), Error);
  CHECK_THROWS_WITH_AS(eval::collapse(zeros({8})), doctest::Contains("(N,D)"), Error);
}
