#include <cmath>
#include <limits>

#include "fixture.hpp"
#include "sslcake/core/threads.hpp"
#include "sslcake/ops/reduce.hpp"

using namespace sslcake;
using namespace op_test;

namespace {

using Reduce = Tensor (*)(const Tensor&, const std::vector<int>&, bool);

struct Case {
  Shape shape;
  std::vector<int> axes;
};
const std::vector<Case>& reduce_cases() {
  static const std::vector<Case> cases = {
      {{4, 6}, {}},           {{4, 6}, {0}}, {{4, 6}, {-1}}, {{3, 5, 7}, {0, 2}}, {{3, 5, 7}, {1}},       {{3, 5, 7}, {1, 2}},
      {{3, 5, 7}, {2, 0, 1}}, {{1, 1}, {0}}, {{}, {}},       {{5, 1, 3}, {1}},    {{2, 3, 2, 3}, {0, 2}}, {{2, 3, 2, 3}, {1, 3}},
      {{0, 3}, {1}},
  };
  return cases;
}

void check_reduce(Reduce op, bool distinct, bool nothing) {
  for (const auto& c : reduce_cases())
    for (const bool keep : {false, true})
      gradcheck([&](const Tensors& x) { return op(x[0], c.axes, keep); },
                {distinct ? distinct_input(c.shape, 1) : random_input(c.shape, 1)});
  if (nothing) gradcheck([&](const Tensors& x) { return op(x[0], {0}, false); }, {random_input({0, 3})});
}

Tensor plain_variance(const Tensor& x, const std::vector<int>& axes, bool keep) { return ops::variance(x, axes, keep, 0); }

Replay of(Reduce op) {
  return [op](const FixtureCase& c) { return op(c["x"], c.integers("axes"), c.number("keep") != 0); };
}

}  // namespace

OP_CASE("sum") { check_reduce(ops::sum, false, true); }
OP_CASE("mean") { check_reduce(ops::mean, false, false); }
OP_CASE("max") { check_reduce(ops::max, true, false); }
OP_CASE("min") { check_reduce(ops::min, true, false); }
OP_CASE("variance") {
  check_reduce(plain_variance, false, false);
  gradcheck([](const Tensors& x) { return ops::variance(x[0], {0, 2}); }, {random_input({3, 2, 5})});
}

TEST_CASE("reductions agree with PyTorch") {
  replay("reduce", {{"sum", of(ops::sum)}, {"mean", of(ops::mean)}, {"max", of(ops::max)}, {"min", of(ops::min)},
    {"variance", [](const FixtureCase& c) { return ops::variance(c["x"], c.integers("axes"), true, c.number("correction")); }}});
}

TEST_CASE("reductions over nothing and of NaN") {
  CHECK(ops::sum(zeros({0, 3})).item() == 0);
  CHECK(ops::sum(zeros({2, 0}), {1}).to_vector<double>() == std::vector<double>{0, 0});
  CHECK(std::isnan(ops::mean(zeros({0})).item()));
  const float nan = std::nanf("");
  CHECK(std::isnan(ops::max(from_vector<float>({3}, {1, nan, 2})).item()));
  CHECK(std::isnan(ops::min(from_vector<float>({3}, {nan, 1, 2})).item()));
  CHECK(ops::argmax(from_vector<float>({4}, {1, nan, 2, nan})).item() == 1);
  check_error([] { ops::max(zeros({2, 0}), {1}); }, {"[max]", "(2,0)"});
  check_error([] { ops::argmax(zeros({2, 0})); }, {"[argmax]", "(2,0)"});
}

TEST_CASE("an infinite maximum passes its gradient on") {
  Tensor x = from_vector<float>({3}, {1, std::numeric_limits<float>::infinity(), 2});
  x.set_requires_grad();
  backward(ops::max(x));
  CHECK(x.grad().to_vector<double>() == std::vector<double>{0, 1, 0});
}

TEST_CASE("argmax: the first of equals, along any axis") {
  const Tensor x = from_vector<float>({2, 3}, {1, 5, 5, 7, 2, 6});
  CHECK(ops::argmax(x).to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 0});
  CHECK(ops::argmax(x, 0).to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 0, 1});
  CHECK(ops::argmax(x, 0, true).shape() == Shape{1, 3});
  CHECK(ops::argmax(x.to(DType::bfloat16)).to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 0});
}

TEST_CASE("sums over random shapes and axes equal a plain loop") {
  Random random(3, Purpose::test);
  for (int round = 0; round < 200; ++round) {
    Shape shape;
    std::vector<int> axes;
    const int rank = 1 + static_cast<int>(random.below(5));
    for (int d = 0; d < rank; ++d) {
      shape.push_back(random.below(5));
      if (random.chance(0.5f)) axes.push_back(random.chance(0.5f) ? d : d - rank);
    }
    const Tensor x = random_input(shape, 9);
    const Tensor y = ops::sum(x, axes, true);
    std::vector<double> expected(static_cast<std::size_t>(y.numel()));
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      std::int64_t at = 0, step = 1, rest = i;
      for (int d = rank - 1; d >= 0; --d) {
        if (y.dim(d) == shape[d]) { at += rest % shape[d] * step; step *= shape[d]; }  // an extent of 1 adds nothing either way
        rest /= shape[d];
      }
      expected[static_cast<std::size_t>(at)] += x.data<double>()[i];
    }
    INFO("shape " << shape.str());
    check_close(y.alias({y.numel()}), from_vector<double>({y.numel()}, expected), 1e-12, 1e-12, "sum");
  }
}

TEST_CASE("large sums are accurate, and the same for any number of threads") {
  Random random(3, Purpose::test);
  for (const auto& [shape, axes] :
       std::vector<Case>{{{1 << 18}, {}}, {{3001, 65}, {0}}, {{65, 3001}, {1}}, {{5, 4001, 7}, {1}}, {{200, 31, 9}, {1}}}) {
    const Tensor x = random_uniform(shape, random, 0, 1);
    const int before = threads();
    set_threads(1);
    const Tensor y = ops::sum(x, axes), v = ops::variance(x, axes);
    set_threads(3);
    CHECK(same_bits(ops::sum(x, axes), y));
    CHECK(same_bits(ops::variance(x, axes), v));
    set_threads(before);
    const Tensor precise = ops::sum(x.to(DType::float64), axes);
    check_close(y, precise, 5e-7, 0, "float32 against float64");
  }
}

TEST_CASE("the sum, the largest and the smallest of one number have a memory of their own") {
  const Tensor x = scalar(3);
  for (const auto& y : {ops::sum(x), ops::max(x), ops::min(x), ops::mean(x)}) {
    CHECK(y.item() == 3);
    CHECK_FALSE(y.shares_storage_with(x));
  }
}

TEST_CASE("reductions refuse wrong axes and types") {
  check_error([] { ops::sum(zeros({2, 3}), {2}); }, {"[sum]", "(2,3)", "got 2"});
  check_error([] { ops::mean(zeros({2, 3}), {0, -2}); }, {"[mean]", "once", "-2"});
  check_error([] { ops::sum(zeros({2}, DType::int64)); }, {"[sum]", "int64"});
  check_error([] { ops::max(Tensor{}); }, {"[max]", "undefined"});
}
