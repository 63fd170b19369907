// Softmax, cross-entropy, unit vectors and accuracy on CUDA against the definitions in float64.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "../../include/sslcake/kernels/cuda/losses.hpp"
#include "device.hpp"

namespace {

using cuda_test::normal;
using cuda_test::on_gpu;
using cuda_test::OnGpu;
using cuda_test::relative_error;
using sslcake::kernels::cuda::CrossEntropyRows;

const sslcake::kernels::cuda::Losses& losses() {
  static const auto table = [] {
    sslcake::kernels::cuda::Losses t;
    sslcake::kernels::cuda::install(t);
    return t;
  }();
  return table;
}

struct Lines {
  std::int64_t outer, extent, inner;
  std::size_t count() const { return static_cast<std::size_t>(outer * inner); }
  std::size_t numel() const { return static_cast<std::size_t>(outer * extent * inner); }
  std::size_t at(std::size_t line, std::int64_t r) const {
    const auto o = static_cast<std::int64_t>(line) / inner, i = static_cast<std::int64_t>(line) % inner;
    return static_cast<std::size_t>((o * extent + r) * inner + i);
  }
};
const std::vector<Lines> shapes = {{1, 1, 1},    {3, 2, 1},    {9, 10, 1},   {300, 7, 1}, {5, 31, 1},   {33, 33, 1},
                                   {2, 1024, 1}, {3, 1025, 1}, {1, 4099, 1}, {2, 5, 13},  {1, 40, 300}, {2, 1300, 3}};

/// Tries a kernel's result against the reference; twice, the bits must be equal.
template <class Kernel>
void check_against(const std::vector<double>& expected, double tolerance, Kernel&& kernel) {
  const OnGpu<float> y(expected.size()), again(expected.size());
  kernel(y.data());
  kernel(again.data());
  CHECK(relative_error(y.values(), expected) < tolerance);
  CHECK(y.values() == again.values());
}

TEST_CASE("softmax, log_softmax and their gradients") {
  unsigned seed = 1;
  for (const auto& s : shapes) {
    CAPTURE(s.outer);
    CAPTURE(s.extent);
    CAPTURE(s.inner);
    const auto x = normal(s.numel(), seed++, 80, 3), dy = normal(s.numel(), seed++);  // without the maximum off, e^x overflows
    std::vector<double> soft(x.size()), log_soft(x.size()), soft_grad(x.size()), log_grad(x.size());
    for (std::size_t l = 0; l < s.count(); ++l) {
      double top = -1e300, sum = 0, dot = 0, all = 0;
      for (std::int64_t r = 0; r < s.extent; ++r) top = std::max(top, static_cast<double>(x[s.at(l, r)]));
      for (std::int64_t r = 0; r < s.extent; ++r) sum += std::exp(static_cast<double>(x[s.at(l, r)]) - top);
      for (std::int64_t r = 0; r < s.extent; ++r) {
        const auto i = s.at(l, r);
        log_soft[i] = static_cast<double>(x[i]) - top - std::log(sum);
        soft[i] = std::exp(log_soft[i]);
        dot += soft[i] * static_cast<double>(dy[i]);
        all += static_cast<double>(dy[i]);
      }
      for (std::int64_t r = 0; r < s.extent; ++r) {
        const auto i = s.at(l, r);
        soft_grad[i] = soft[i] * (static_cast<double>(dy[i]) - dot);
        log_grad[i] = static_cast<double>(dy[i]) - soft[i] * all;
      }
    }
    const auto gx = on_gpu(x), gdy = on_gpu(dy);
    const auto gsoft = on_gpu(std::vector<float>(soft.begin(), soft.end())),
               glog = on_gpu(std::vector<float>(log_soft.begin(), log_soft.end()));
    const double tolerance = s.extent == 1 ? 1e-5 : 3e-6;
    check_against(soft, tolerance, [&](float* y) { losses().softmax(s.outer, s.extent, s.inner, gx.data(), y); });
    check_against(log_soft, tolerance, [&](float* y) { losses().log_softmax(s.outer, s.extent, s.inner, gx.data(), y); });
    check_against(soft_grad, tolerance,
                  [&](float* dx) { losses().softmax_grad(s.outer, s.extent, s.inner, gsoft.data(), gdy.data(), dx); });
    check_against(log_grad, tolerance,
                  [&](float* dx) { losses().log_softmax_grad(s.outer, s.extent, s.inner, glog.data(), gdy.data(), dx); });
  }
}

TEST_CASE("softmax of infinities and NaN") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const auto x = on_gpu(std::vector<float>{0, -inf, 0, 1, nan, 2, -inf, -inf, -inf, 1, inf, 0});
  const OnGpu<float> y(12);
  losses().softmax(4, 3, 1, x.data(), y.data());
  const auto got = y.values();
  CHECK(got[0] == 0.5f);
  CHECK(got[1] == 0);
  for (std::size_t i = 3; i < 9; ++i) CHECK(got[i] != got[i]);
  CHECK(got[10] != got[10]);
}

TEST_CASE("cross-entropy: weights, smoothing, ignored rows, targets out of range") {
  unsigned seed = 50;
  for (const auto& size : {std::array<std::int64_t, 2>{1, 1}, {7, 2}, {33, 10}, {5, 33}, {3, 1025}, {2, 3001}})
    for (const double smoothing : {0.0, 0.1})
      for (const bool weighted : {false, true}) {
        const std::int64_t rows = size[0], classes = size[1];
        CAPTURE(rows);
        CAPTURE(classes);
        CAPTURE(smoothing);
        CAPTURE(weighted);
        const auto n = static_cast<std::size_t>(rows), c = static_cast<std::size_t>(classes);
        const auto x = normal(n * c, seed++, 30, 2), dy = normal(n, seed++);
        auto weights = normal(c, seed++, 2, 0.3f);
        std::vector<std::int64_t> target(n);
        for (std::size_t r = 0; r < n; ++r) target[r] = static_cast<std::int64_t>((r * 7 + 3) % c);
        if (n > 4) target[4] = -100;
        std::vector<double> loss(n), dx(n * c);
        double divisor = 0;
        for (std::size_t r = 0; r < n; ++r) {
          if (target[r] == -100) continue;
          const auto t = static_cast<std::size_t>(target[r]);
          const auto w = [&](std::size_t i) { return weighted ? static_cast<double>(weights[i]) : 1.0; };
          double sum = 0, factor = (1 - smoothing) * w(t);
          for (std::size_t i = 0; i < c; ++i) sum += std::exp(static_cast<double>(x[r * c + i]));
          for (std::size_t i = 0; i < c; ++i) factor += smoothing / static_cast<double>(c) * w(i);
          for (std::size_t i = 0; i < c; ++i) {
            const double log_p = static_cast<double>(x[r * c + i]) - std::log(sum);
            const double share = (i == t ? (1 - smoothing) * w(t) : 0) + smoothing / static_cast<double>(c) * w(i);
            loss[r] -= share * log_p;
            dx[r * c + i] = static_cast<double>(dy[r]) * (factor * std::exp(log_p) - share);
          }
          divisor += w(t);
        }
        const CrossEntropyRows size{rows, classes, static_cast<float>(smoothing), -100};
        const auto gx = on_gpu(x), gdy = on_gpu(dy), gw = on_gpu(weights);
        const auto gt = on_gpu(target);
        const float* w = weighted ? gw.data() : nullptr;
        const double tolerance = classes == 1 ? 1e-4 : 1e-5;
        check_against(loss, tolerance, [&](float* y) { losses().cross_entropy(size, gx.data(), gt.data(), w, y); });
        check_against(dx, tolerance,
                      [&](float* y) { losses().cross_entropy_grad(size, gx.data(), gt.data(), w, gdy.data(), y); });
        check_against({divisor}, 1e-6, [&](float* y) { losses().cross_entropy_divisor(size, gt.data(), w, y); });
      }
  const std::int64_t far = std::numeric_limits<std::int64_t>::max();
  const auto x = on_gpu(normal(12, 3)), dy = on_gpu(normal(4, 4));
  const auto target = on_gpu(std::vector<std::int64_t>{3, -1, far, 1});
  const OnGpu<float> loss(4), dx(12);
  losses().cross_entropy({4, 3, 0, -100}, x.data(), target.data(), nullptr, loss.data());
  losses().cross_entropy_grad({4, 3, 0, -100}, x.data(), target.data(), nullptr, dy.data(), dx.data());
  const auto got = loss.values(), slope = dx.values();
  for (std::size_t r = 0; r < 3; ++r) CHECK(got[r] != got[r]);
  CHECK(got[3] > 0);
  for (std::size_t i = 0; i < 9; ++i) CHECK(slope[i] == 0);
  CHECK(slope[10] != 0);
}

TEST_CASE("normalize and its gradient; short vectors") {
  unsigned seed = 90;
  const float least = 0.5f;
  for (const auto& s : shapes) {
    CAPTURE(s.outer);
    CAPTURE(s.extent);
    CAPTURE(s.inner);
    auto x = normal(s.numel(), seed++);
    const auto dy = normal(s.numel(), seed++);
    for (std::int64_t r = 0; r < s.extent; ++r) x[s.at(s.count() - 1, r)] *= 1e-3f, x[s.at(s.count() / 2, r)] = 0;
    if (s.count() > 2)
      for (std::int64_t r = 0; r < s.extent; ++r) x[s.at(0, r)] *= 1e25f;  // the squares overflow a float
    std::vector<double> y(x.size()), norms(s.count()), dx(x.size());
    for (std::size_t l = 0; l < s.count(); ++l) {
      double squares = 0, dot = 0;
      for (std::int64_t r = 0; r < s.extent; ++r)
        squares += static_cast<double>(x[s.at(l, r)]) * static_cast<double>(x[s.at(l, r)]);
      norms[l] = std::sqrt(squares);
      const double divisor = std::max(norms[l], static_cast<double>(least));
      for (std::int64_t r = 0; r < s.extent; ++r) {
        const auto i = s.at(l, r);
        y[i] = static_cast<double>(x[i]) / divisor;
        dot += y[i] * static_cast<double>(dy[i]);
      }
      for (std::int64_t r = 0; r < s.extent; ++r) {
        const auto i = s.at(l, r);
        dx[i] = (static_cast<double>(dy[i]) - (norms[l] < static_cast<double>(least) ? 0 : y[i] * dot)) / divisor;
      }
    }
    const auto gx = on_gpu(x), gdy = on_gpu(dy), gy = on_gpu(std::vector<float>(y.begin(), y.end()));
    const OnGpu<float> n(s.count());
    check_against(y, 1e-6, [&](float* to) { losses().normalize(s.outer, s.extent, s.inner, least, gx.data(), to, n.data()); });
    CHECK(relative_error(n.values(), norms) < 1e-6);
    check_against(dx, 3e-6, [&](float* to) {
      losses().normalize_grad(s.outer, s.extent, s.inner, least, gy.data(), gdy.data(), n.data(), to);
    });
  }
}

TEST_CASE("share of rows whose largest logit is the label's: the first of equals") {
  unsigned seed = 130;
  for (const auto& size : {std::array<std::int64_t, 2>{0, 3}, {1, 1}, {7, 2}, {100, 10}, {300, 33}, {33, 100}}) {
    const std::int64_t rows = size[0], classes = size[1];
    CAPTURE(rows);
    CAPTURE(classes);
    const auto n = static_cast<std::size_t>(rows), c = static_cast<std::size_t>(classes);
    auto x = normal(n * c, seed++);
    for (auto& v : x) v = std::round(v * 2);  // many are equal
    std::vector<std::int64_t> labels(n);
    std::int64_t right = 0;
    for (std::size_t r = 0; r < n; ++r) {
      const auto row = x.begin() + static_cast<std::ptrdiff_t>(r * c);
      const auto best = std::max_element(row, row + static_cast<std::ptrdiff_t>(c)) - row;
      labels[r] = r % 3 == 0 ? best : r % 3 == 1 ? static_cast<std::int64_t>(r % c) : r % 2 ? -1 : classes;
      right += labels[r] == best;
    }
    const auto gx = on_gpu(x);
    const auto gl = on_gpu(labels);
    const OnGpu<float> share(1);
    losses().top1(rows, classes, gx.data(), gl.data(), share.data());
    CHECK(share.values()[0] == doctest::Approx(rows ? static_cast<double>(right) / static_cast<double>(rows) : 0.0));
  }
}

}  // namespace
