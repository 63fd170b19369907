// The step as one pass over parts of all parameters: against plain loops over single elements, and against itself on other
// numbers of threads.
#include <doctest/doctest.h>

#include <atomic>
#include <functional>

#include "reference.hpp"
#include "sslcake/core/threads.hpp"
#include "sslcake/optim/adam.hpp"
#include "sslcake/optim/clip.hpp"
#include "sslcake/optim/ema.hpp"
#include "sslcake/optim/lars.hpp"
#include "sslcake/optim/make.hpp"
#include "sslcake/optim/sgd.hpp"

using namespace sslcake;

namespace {

// With fused multiply-adds a compiler may round vectors and single numbers differently.
#if defined(__FMA__) || !defined(__x86_64__)
constexpr double tolerance = 1e-5;
#else
constexpr double tolerance = 0;
#endif

/// Sizes around the width of a vector and the borders of the parts; every fourth parameter has no gradient, some no decay.
Parameters many() {
  Parameters all;
  for (const std::int64_t n : {1, 3, 4, 5, 64, 0, 1000, 16384, 16385, 40001, 7, 8, 200003, 2})
    all.push_back(start("p" + std::to_string(all.size()), {n}, n % 2 == 1));
  return all;
}
bool idle(std::size_t k) { return k % 4 == 3; }

void one_step(optim::Optimizer& optimizer, int step) {
  const auto all = optimizer.parameters();
  for (std::size_t k = 0; k < all.size(); ++k) {
    Tensor w = all[k].tensor;
    if (!idle(k)) w.set_grad(gradient(w, step));
  }
  optimizer.step();
}

std::vector<std::vector<float>> numbers(const Parameters& all) {
  std::vector<std::vector<float>> out;
  for (const auto& p : all) out.push_back(p.tensor.to_vector<float>());
  return out;
}

/// One element: its weight, gradient and state, and the number of the step.
using Element = std::function<void(float& w, float g, float& first, float& second, int step, bool norm_or_bias)>;

/// Three steps of the optimiser on one and on two threads, and of `element` on every number.
void compare(const std::function<optim::Optimizer(const Parameters&)>& make, const Element& element) {
  std::vector<std::vector<float>> results[2];
  for (int run = 0; run < 2; ++run) {
    set_threads(run + 1);
    const Parameters all = many();
    auto optimizer = make(all);
    for (int step = 0; step < 3; ++step) one_step(optimizer, step);
    results[run] = numbers(all);
  }
  set_threads(0);
  CHECK(results[0] == results[1]);

  const Parameters all = many();
  std::vector<std::vector<float>> first, second;
  for (const auto& p : all) first.emplace_back(static_cast<std::size_t>(p.tensor.numel())), second.push_back(first.back());
  for (int step = 0; step < 3; ++step)
    for (std::size_t k = 0; k < all.size(); ++k) {
      if (idle(k)) continue;
      Tensor w = all[k].tensor;
      const Tensor g = gradient(w, step);
      float* weights = w.mutable_data<float>();
      for (std::size_t i = 0; i < first[k].size(); ++i)
        element(weights[i], g.data<float>()[i], first[k][i], second[k][i], step + 1, all[k].norm_or_bias);
    }
  const auto expected = numbers(all);
  for (std::size_t k = 0; k < all.size(); ++k) {
    CAPTURE(k);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < expected[k].size(); ++i)
      wrong += std::abs(double{results[0][k][i]} - double{expected[k][i]}) > tolerance;
    CHECK(wrong == 0);
  }
}

}  // namespace

TEST_CASE("SGD: the same bits as element by element") {
  for (const float momentum : {0.0f, 0.9f})
    for (const bool nesterov : {false, true}) {
      if (nesterov && momentum == 0) continue;
      CAPTURE(momentum);
      CAPTURE(nesterov);
      compare(
          [&](const Parameters& p) {
            return optim::SGD(
                p, {.lr = 0.05, .momentum = momentum, .nesterov = nesterov, .weight_decay = 0.01, .decay_norm_and_bias = false});
          },
          [&](float& w, float g, float& v, float&, int, bool norm_or_bias) {
            g = g + (norm_or_bias ? 0.0f : 0.01f) * w;
            v = momentum * v + g;
            w -= 0.05f * (nesterov ? g + momentum * v : v);
          });
    }
}

TEST_CASE("Adam and AdamW: the same bits as element by element") {
  for (const bool decoupled : {false, true}) {
    CAPTURE(decoupled);
    compare(
        [&](const Parameters& p) -> optim::Optimizer {
          if (decoupled) return optim::AdamW(p, {.lr = 0.05, .weight_decay = 0.01});
          return optim::Adam(p, {.lr = 0.05, .weight_decay = 0.01});
        },
        [&](float& w, float g, float& m, float& v, int step, bool) {
          const auto lr = static_cast<float>(0.05 / (1 - std::pow(0.9, step)));
          const auto root = static_cast<float>(std::sqrt(1 - std::pow(0.999, step)));
          const float before = w * (decoupled ? static_cast<float>(1 - 0.05 * 0.01) : 1.0f);
          g = g + (decoupled ? 0.0f : 0.01f) * before;
          m += static_cast<float>(1 - 0.9) * (g - m);
          v = 0.999f * v + static_cast<float>(1 - 0.999) * g * g;
          w = before - lr * m / (std::sqrt(v) / root + 1e-8f);
        });
  }
}

TEST_CASE("LARS, norm, clipping and average: the same bits for any number of threads") {
  std::vector<std::vector<float>> results[2];
  double norms[2];
  for (int run = 0; run < 2; ++run) {
    set_threads(run + 1);
    const Parameters all = many();
    optim::Ema average(all, 0.9);
    optim::LARS optimizer(all, {.lr = 0.5, .weight_decay = 0.01});
    for (int step = 0; step < 3; ++step) {
      one_step(optimizer, step);
      average.update();
    }
    norms[run] = optim::clip_grad_norm(all, 0.5);
    CHECK(optim::grad_norm(all) == doctest::Approx(0.5).epsilon(1e-5));
    results[run] = numbers(all);
    for (const auto& more : numbers(average.state())) results[run].push_back(more);
    for (const auto& p : all)
      if (p.tensor.grad().defined()) results[run].push_back(p.tensor.grad().to_vector<float>());
  }
  set_threads(0);
  CHECK(norms[0] == norms[1]);
  CHECK(results[0] == results[1]);
}

TEST_CASE("a rule of one's own sees every element once, and sums of whole parameters") {
  const Parameters all = many();
  std::atomic<std::int64_t> seen = 0;
  optim::Rule rule{.name = "mean", .lr = 1};
  rule.slots = {"calls"};
  rule.measure = [](const optim::Update& u) -> std::array<double, 2> {
    double sum = 0;
    for (std::int64_t i = 0; i < u.size; ++i) sum += u.grads[i];
    return {sum, static_cast<double>(u.size)};
  };
  rule.update = [&seen](const optim::Update& u) {
    seen += u.size;
    for (std::int64_t i = 0; i < u.size; ++i) {
      u.weights[i] = static_cast<float>(u.sums[0] / u.sums[1]);
      u.slots[0][i] += 1;
    }
  };
  optim::Optimizer mean(optim::Groups{{all}}, rule);
  one_step(mean, 0);
  std::int64_t total = 0;
  const auto state = mean.state();  // lr, steps, then one slot per parameter
  for (std::size_t k = 0; k < all.size(); ++k) {
    CAPTURE(k);
    const Tensor& w = all[k].tensor;
    const auto calls = state[2 + k].tensor.to_vector<float>();
    CHECK(calls == std::vector<float>(calls.size(), idle(k) ? 0.0f : 1.0f));
    if (idle(k) || w.numel() == 0) continue;
    total += w.numel();
    double sum = 0;
    for (const float g : w.grad().to_vector<float>()) sum += double{g};
    CHECK(w.data<float>()[w.numel() - 1] == doctest::Approx(sum / static_cast<double>(w.numel())));
  }
  CHECK(seen == total);
}
