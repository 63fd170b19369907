#include "fixture.hpp"

#include <cmath>

#include "sslcake/core/threads.hpp"
#include "sslcake/ops/norm.hpp"

using namespace sslcake;
using namespace op_test;

namespace {

Tensor optional(const FixtureCase& c, const char* key) { return c.has(key) ? c[key] : Tensor{}; }

/// Mean, standard deviation of channel c of x (..., C).
std::pair<double, double> moments(const Tensor& x, std::int64_t channel) {
  const auto v = x.to_vector<double>();
  const auto channels = static_cast<std::size_t>(x.dim(-1));
  double sum = 0, square = 0, count = 0;
  for (auto i = static_cast<std::size_t>(channel); i < v.size(); i += channels, ++count) sum += v[i];
  for (auto i = static_cast<std::size_t>(channel); i < v.size(); i += channels)
    square += (v[i] - sum / count) * (v[i] - sum / count);
  return {sum / count, std::sqrt(square / count)};
}

const auto bn = [](bool training) {
  return [=](const Tensors& x) {
    ops::NormState norm;
    norm.training = training;
    if (x.size() > 1) {
      norm.gamma = x[1];
      norm.beta = x[2];
    }
    if (!training) {
      norm.running_mean = full({x[0].dim(-1)}, 0.2, x[0].dtype(), x[0].device());
      norm.running_var = full({x[0].dim(-1)}, 1.7, x[0].dtype(), x[0].device());
    }
    return ops::batch_norm(x[0], norm);
  };
};

}  // namespace

OP_CASE("batch_norm") {
  for (const bool training : {true, false}) {
    for (const Shape& s :
         {Shape{2, 2, 3, 2}, Shape{5, 3}, Shape{3, 1, 3, 1}, Shape{7, 1}, Shape{0, 2, 2, 3}, Shape{2, 2, 2, 0}}) {
      gradcheck(bn(training), {random_input(s, 1)});
      gradcheck(bn(training), {random_input(s, 1), random_input({s.back()}, 2, 0.5, 1.5), random_input({s.back()}, 3)});
    }
  }
  gradcheck(bn(false), {random_input({1, 3}, 4)});  // one row is enough where statistics are given
}

OP_CASE("layer_norm") {
  for (const Shape& s : {Shape{4, 6}, Shape{3, 5}, Shape{1, 7}, Shape{2, 3, 5}, Shape{0, 4}, Shape{3, 0}, Shape{2, 37}}) {
    gradcheck([](const Tensors& x) { return ops::layer_norm(x[0]); }, {random_input(s, 1)});
    gradcheck([](const Tensors& x) { return ops::layer_norm(x[0], x[1], x[2]); },
              {random_input(s, 1), random_input({s.back()}, 2, 0.5, 1.5), random_input({s.back()}, 3)});
  }
  gradcheck([](const Tensors& x) { return ops::layer_norm(x[0], x[1], {}, {.dims = 2, .eps = 1e-6}); },
            {random_input({2, 3, 4}, 4), random_input({3, 4}, 5)});
}

OP_CASE("group_norm") {
  for (const Shape& s : {Shape{2, 2, 3, 4}, Shape{1, 3, 3, 2}, Shape{3, 4}, Shape{0, 2, 2, 4}, Shape{2, 1, 1, 6}}) {
    gradcheck([](const Tensors& x) { return ops::group_norm(x[0], 2); }, {random_input(s, 1)}, {1e-6, 1e-5, 1e-3});
    gradcheck([](const Tensors& x) { return ops::group_norm(x[0], 1, x[1], x[2]); },
              {random_input(s, 1), random_input({s.back()}, 2, 0.5, 1.5), random_input({s.back()}, 3)});
  }
}

OP_CASE("instance_norm") {
  for (const Shape& s : {Shape{2, 2, 3, 4}, Shape{2, 3, 2, 3}, Shape{1, 4, 1, 2}, Shape{0, 2, 2, 3}}) {
    gradcheck([](const Tensors& x) { return ops::instance_norm(x[0]); }, {random_input(s, 1)});
    gradcheck([](const Tensors& x) { return ops::instance_norm(x[0], x[1], x[2]); },
              {random_input(s, 4), random_input({s.back()}, 5, 0.5, 1.5), random_input({s.back()}, 6)});
  }
}

TEST_CASE("normalisation agrees with PyTorch") {
  const std::map<std::string, Replay> here = {
      {"batch_norm",
       [](const FixtureCase& c) {
         ops::NormState norm{c["gamma"], c["beta"], c["running_mean"].clone(), c["running_var"].clone(), arange(1)};
         norm.training = c.number("training") != 0;
         if (norm.training) norm.momentum = c.number("momentum");
         const Tensor y = ops::batch_norm(c["x"], norm);
         if (norm.training) {
           const double tolerance = y.dtype() == DType::float64 ? 1e-9 : 1e-6;  // the file has ten digits
           check_close(norm.running_mean, c["after_mean"], tolerance, tolerance, "running_mean");
           check_close(norm.running_var, c["after_var"], tolerance, tolerance, "running_var");
           CHECK(norm.num_batches_tracked.item() == 1);
         } else {
           CHECK(same_bits(norm.running_mean, c["running_mean"]));
           CHECK(norm.num_batches_tracked.item() == 0);
         }
         return y;
       }},
      {"layer_norm",
       [](const FixtureCase& c) {
         return ops::layer_norm(c["x"], optional(c, "gamma"), optional(c, "beta"), {.dims = static_cast<int>(c.integer("dims"))});
       }},
      {"group_norm",
       [](const FixtureCase& c) {
         return ops::group_norm(c["x"], c.integer("groups"), optional(c, "gamma"), optional(c, "beta"));
       }},
      {"instance_norm",
       [](const FixtureCase& c) { return ops::instance_norm(c["x"], optional(c, "gamma"), optional(c, "beta")); }}};
  replay("norm", here);
}

TEST_CASE("batch norm brings every channel to mean 0 and deviation 1, also far from zero") {
  // A mean a thousand deviations away: sums of squares alone would lose the variance in float32.
  for (const double offset : {0.0, 1000.0}) {
    Tensor x = random_input({16, 5, 5, 6}, 1).to(DType::float32);
    float* p = x.mutable_data<float>();
    for (std::int64_t i = 0; i < x.numel(); ++i) p[i] += static_cast<float>(offset);
    const Tensor y = ops::batch_norm(x, {});
    for (std::int64_t c = 0; c < 6; ++c) {
      const auto [mean, deviation] = moments(y, c);
      CHECK(std::abs(mean) < (offset == 0 ? 1e-5 : 1e-3));
      CHECK(deviation == doctest::Approx(1).epsilon(1e-3));
    }
  }
}

TEST_CASE("batch norm: an empty batch learns nothing, one row is refused, NaN is passed on") {
  ops::NormState norm{{}, {}, zeros({3}), ones({3}), arange(1)};
  CHECK(ops::batch_norm(zeros({0, 4, 4, 3}), norm).shape() == Shape{0, 4, 4, 3});
  CHECK(norm.num_batches_tracked.item() == 0);
  CHECK(norm.running_var.to_vector<float>() == std::vector<float>{1, 1, 1});
  check_error([&] { ops::batch_norm(zeros({1, 3}), norm); }, {"[batch_norm]", "more than one", "(1,3)", "evaluation"});
  norm.training = false;
  CHECK(ops::batch_norm(zeros({1, 3}), norm).numel() == 3);
  Tensor x = random_input({8, 3}, 1).to(DType::float32);
  x.mutable_data<float>()[4] = std::nanf("");
  const auto y = ops::batch_norm(x, {}).to_vector<float>();
  CHECK(std::isnan(y[1]));
  CHECK(!std::isnan(y[0]));
}

TEST_CASE("normalisation gives the same bits for every number of threads") {
  const int before = threads();
  const Tensor x = random_input({33, 9, 7, 24}, 2).to(DType::float32), w = random_input(x.shape(), 3).to(DType::float32);
  std::vector<Tensor> first;
  for (const int n : {1, 2, 5}) {
    set_threads(n);
    std::vector<Tensor> results;
    const std::function<Tensor(const Tensor&, const Tensor&)> norms[] = {
        [](const Tensor& t, const Tensor& g) { return ops::batch_norm(t, {.gamma = g}); },
        [](const Tensor& t, const Tensor& g) { return ops::layer_norm(t, g); },
        [](const Tensor& t, const Tensor& g) { return ops::group_norm(t, 4, g); }};
    for (const auto& norm : norms) {
      Tensor leaf = x.clone(), gamma = ones({24});
      leaf.set_requires_grad();
      gamma.set_requires_grad();
      results.push_back(norm(leaf, gamma));
      backward(results.back(), w);
      results.push_back(leaf.grad());
      results.push_back(gamma.grad());
    }
    if (first.empty()) first = results;
    for (std::size_t i = 0; i < results.size(); ++i)
      CHECK_MESSAGE(same_bits(results[i], first[i]), "result ", i, " with ", n, " threads");
  }
  set_threads(before);
}

TEST_CASE("normalisation says what does not fit") {
  const Tensor x = zeros({2, 4, 4, 6});
  check_error([&] { ops::batch_norm(zeros({4}), {}); }, {"[batch_norm]", "rank >= 2", "(4)"});
  check_error([&] { ops::batch_norm(x, {.gamma = zeros({5})}); }, {"[batch_norm]", "gamma", "(6)", "(5)"});
  check_error([&] { ops::batch_norm(x, {.beta = zeros({6}, DType::float64)}); }, {"[batch_norm]", "beta", "float32", "float64"});
  check_error([&] { ops::batch_norm(x, {.running_mean = zeros({6})}); }, {"[batch_norm]", "both"});
  check_error([&] { ops::batch_norm(x, {.num_batches_tracked = zeros({1})}); }, {"[batch_norm]", "num_batches_tracked", "int64"});
  check_error([&] { ops::batch_norm(x, {.eps = -1}); }, {"[batch_norm]", "eps"});
  check_error([&] { ops::batch_norm(x, {.momentum = 1.5}); }, {"[batch_norm]", "momentum", "1.5"});
  check_error([&] { ops::batch_norm(zeros({2, 4}, DType::int64), {}); }, {"[batch_norm]", "int64"});
  check_error([&] { ops::layer_norm(x, zeros({5})); }, {"[layer_norm]", "gamma", "(6)", "(5)"});
  check_error([&] { ops::layer_norm(x, {}, {}, {.dims = 5}); }, {"[layer_norm]", "1 to 4", "5"});
  check_error([&] { ops::layer_norm(Tensor{}); }, {"[layer_norm]", "undefined"});
  check_error([&] { ops::group_norm(x, 4); }, {"[group_norm]", "groups", "6", "4"});
  check_error([&] { ops::group_norm(zeros({3, 4}), 4); }, {"[group_norm]", "more than one element"});
  check_error([&] { ops::instance_norm(zeros({3, 1, 1, 4})); }, {"[instance_norm]", "more than one element"});
}
