#include "fixture.hpp"

#include <cmath>

#include "sslcake/ops/pool.hpp"

using namespace sslcake;
using namespace op_test;
using ops::HW;

namespace {

HW pair(const FixtureCase& c, const char* key) { return {c.integer(key, 0), c.integer(key, 1)}; }

const std::vector<ops::PoolOptions> settings = {
    {.kernel = 1},
    {.kernel = 2, .stride = 1, .padding = 1},
    {.kernel = 3, .stride = 2, .padding = 1},
    {.kernel = {3, 1}, .stride = {1, 2}, .padding = {1, 0}, .count_include_pad = false}};
const std::vector<Shape> shapes = {{2, 4, 6, 2}, {1, 5, 3, 3}, {1, 1, 1, 1}, {0, 4, 4, 2}, {2, 3, 3, 0}};

}  // namespace

OP_CASE("max_pool2d") {
  for (const auto& o : settings)
    for (const auto& s : shapes) gradcheck([&](const Tensors& x) { return ops::max_pool2d(x[0], o); }, {distinct_input(s, 1)});
}

OP_CASE("avg_pool2d") {
  for (const auto& o : settings)
    for (const auto& s : shapes) gradcheck([&](const Tensors& x) { return ops::avg_pool2d(x[0], o); }, {random_input(s, 2)});
}

OP_CASE("adaptive_avg_pool2d") {
  for (const HW size : {HW(1), HW(2), HW(3, 5)})
    for (const auto& s : shapes)
      gradcheck([&](const Tensors& x) { return ops::adaptive_avg_pool2d(x[0], size); }, {random_input(s, 3)});
}

OP_CASE("global_avg_pool") {
  for (const auto& s : shapes) gradcheck([](const Tensors& x) { return ops::global_avg_pool(x[0]); }, {random_input(s, 4)});
}

TEST_CASE("pooling agrees with PyTorch") {
  const auto options = [](const FixtureCase& c) {
    return ops::PoolOptions{pair(c, "kernel"), pair(c, "stride"), pair(c, "padding"),
                            !c.has("count_include_pad") || c.number("count_include_pad") != 0};
  };
  replay("pool", {{"max_pool2d", [&](const FixtureCase& c) { return ops::max_pool2d(c["x"], options(c)); }},
                  {"avg_pool2d", [&](const FixtureCase& c) { return ops::avg_pool2d(c["x"], options(c)); }},
                  {"adaptive_avg_pool2d", [](const FixtureCase& c) { return ops::adaptive_avg_pool2d(c["x"], pair(c, "size")); }},
                  {"global_avg_pool", [](const FixtureCase& c) { return ops::global_avg_pool(c["x"]); }}});
}

TEST_CASE("max pooling sends the gradient of a tie to the first place, and keeps NaN") {
  Tensor x = ones({1, 2, 2, 1}).set_requires_grad();
  backward(ops::max_pool2d(x, {.kernel = 2}), ones({1, 1, 1, 1}));
  CHECK(x.grad().to_vector<float>() == std::vector<float>{1, 0, 0, 0});
  const Tensor with_nan = from_vector<float>({1, 2, 2, 1}, {3, std::nanf(""), 5, 1});
  CHECK(std::isnan(ops::max_pool2d(with_nan, {.kernel = 2}).item()));
  // Padding is never the maximum, whatever is negative.
  const Tensor negative = full({1, 3, 3, 1}, -7);
  for (const float v : ops::max_pool2d(negative, {.kernel = 3, .stride = 1, .padding = 1}).to_vector<float>()) CHECK(v == -7);
}

TEST_CASE("max pooling keeps two bytes per result for its gradient, and nothing without one") {
  const Tensor plain = zeros({8, 32, 32, 16});
  Tensor x = plain.clone();
  x.set_requires_grad();
  const auto before = memory_stats().in_use;
  const Tensor y = ops::max_pool2d(x, {.kernel = 2});
  CHECK(memory_stats().in_use - before <= y.bytes() + y.bytes() / 2 + y.bytes() / 8 + 1024);
  const auto between = memory_stats().in_use;
  const Tensor z = ops::max_pool2d(plain, {.kernel = 2});
  CHECK(memory_stats().in_use - between <= z.bytes() + z.bytes() / 8);
}

TEST_CASE("a mean over many pixels is accurate in float32") {
  Tensor x = full({1, 512, 512, 2}, 0.1);
  for (const float v : ops::global_avg_pool(x).to_vector<float>()) CHECK(v == doctest::Approx(0.1f).epsilon(2e-6));
}

TEST_CASE("pooling says what does not fit") {
  const Tensor x = zeros({1, 4, 4, 2});
  check_error([] { ops::max_pool2d(zeros({4, 4}), {}); }, {"[max_pool2d]", "(N,H,W,C)", "(4,4)"});
  check_error([&] { ops::max_pool2d(x, {.kernel = 5}); }, {"[max_pool2d]", "kernel (5,5)", "(1,4,4,2)"});
  check_error([&] { ops::max_pool2d(x, {.kernel = 2, .padding = 2}); }, {"[max_pool2d]", "half the kernel", "(2,2)"});
  check_error([&] { ops::avg_pool2d(x, {.kernel = 0}); }, {"[avg_pool2d]", "at least 1x1"});
  check_error([&] { ops::avg_pool2d(x, {.kernel = 2, .stride = -1}); }, {"[avg_pool2d]", "stride"});
  check_error([&] { ops::max_pool2d(zeros({0, 300, 300, 1}), {.kernel = 300}); }, {"[max_pool2d]", "65535"});
  // Extents whose products and sums would overflow.
  const std::int64_t huge = std::int64_t{1} << 32;
  check_error([&] { ops::max_pool2d(x, {.kernel = huge, .stride = 1, .padding = huge / 2}); },
              {"[max_pool2d]", "at most", "4294967296"});
  check_error([&] { ops::avg_pool2d(x, {.kernel = 2, .stride = {1, huge}}); }, {"[avg_pool2d]", "at most", "4294967296"});
  check_error([&] { ops::adaptive_avg_pool2d(x, 0); }, {"[adaptive_avg_pool2d]", "at least 1x1", "(0,0)"});
  check_error([&] { ops::adaptive_avg_pool2d(zeros({1, 0, 4, 2}), 1); }, {"[adaptive_avg_pool2d]", "(1,0,4,2)"});
  check_error([&] { ops::global_avg_pool(zeros({1, 0, 4, 2})); }, {"[global_avg_pool]", "at least one pixel"});
  check_error([&] { ops::global_avg_pool(zeros({1, 2, 2, 2}, DType::uint8)); }, {"[global_avg_pool]", "uint8", "cast"});
}
