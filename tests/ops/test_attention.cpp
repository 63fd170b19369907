#include <cmath>

#include "fixture.hpp"
#include "sslcake/ops/arithmetic.hpp"
#include "sslcake/ops/attention.hpp"
#include "sslcake/ops/matmul.hpp"
#include "sslcake/ops/shape_ops.hpp"
#include "sslcake/ops/softmax.hpp"

using namespace sslcake;
using namespace op_test;

namespace {
/// The same from plain ops, with the whole score matrix.
Tensor composed(const Tensor& qkv, std::int64_t heads) {
  const auto n = qkv.dim(0), t = qkv.dim(1), d = qkv.dim(2) / (3 * heads);
  const Tensor parts = ops::permute(ops::reshape(qkv, {n, t, 3, heads, d}), {2, 0, 3, 1, 4});  // (3,N,heads,T,d)
  const auto part = [&](std::int64_t i) { return ops::reshape(ops::slice(parts, 0, i, i + 1), {n, heads, t, d}); };
  const Tensor p = ops::softmax(ops::mul(ops::matmul(part(0), part(1), false, true), 1 / std::sqrt(static_cast<double>(d))), -1);
  return ops::reshape(ops::permute(ops::matmul(p, part(2)), {0, 2, 1, 3}), {n, t, heads * d});
}
}  // namespace

OP_CASE("attention") {
  struct Case { Shape shape; std::int64_t heads; };
  for (const auto& c : std::vector<Case>{
           {{2, 5, 24}, 2}, {{1, 7, 27}, 3}, {{3, 4, 6}, 1}, {{1, 1, 3}, 1}, {{0, 4, 6}, 2}, {{2, 0, 6}, 1}, {{1, 70, 6}, 1}})
    gradcheck([heads = c.heads](const Tensors& x) { return ops::attention(x[0], heads); }, {random_input(c.shape, 1, -2, 2)});
}

TEST_CASE("attention agrees with PyTorch") {
  replay("attention", {{"attention", [](const FixtureCase& c) { return ops::attention(c["qkv"], c.integer("heads")); }}});
}

TEST_CASE("attention in pieces is attention with the whole score matrix, forward and backward") {
  for (const std::int64_t tokens : {1, 63, 64, 65, 130, 197}) {
    CAPTURE(tokens);
    const auto run = [&](auto op) {
      Tensor x = random_input({2, tokens, 3 * 2 * 8}, 3, -2, 2);
      x.set_requires_grad(true);
      const Tensor y = op(x, 2);
      backward(y, random_input(y.shape(), 4));
      return std::pair(y, x.grad());
    };
    const auto [y, dx] = run(ops::attention);
    const auto [expected, expected_dx] = run(composed);
    check_close(y, expected, 1e-12, 1e-12, "y");
    check_close(dx, expected_dx, 1e-11, 1e-11, "dqkv");
  }
}

TEST_CASE("float32 attention follows float64, also where scores are large") {
  for (const double range : {1.0, 30.0}) {
    const Tensor wide = random_input({2, 77, 3 * 3 * 16}, 5, -range, range);
    const auto run = [&](DType dtype) {
      Tensor x = wide.to(dtype).clone();
      x.set_requires_grad(true);
      const Tensor y = ops::attention(x, 3);
      backward(y, random_input(y.shape(), 6).to(dtype));
      return std::pair(y.to(DType::float64), x.grad().to(DType::float64));
    };
    const auto [y, dx] = run(DType::float32);
    const auto [expected, expected_dx] = run(DType::float64);
    // A score is a sum of products of up to range², rounded to float32; its error moves y by as much as range times that.
    check_close(y, expected, 1e-4, 2e-5 + 4e-6 * range * range, "y");
    check_close(dx, expected_dx, 1e-3, 1e-4 * range * range, "dqkv");
  }
}

TEST_CASE("attention refuses what cannot be cut into heads") {
  check_error([] { ops::attention(zeros({2, 5, 20}), 2); }, {"[attention]", "3 x 2 heads", "(2,5,20)"});
  check_error([] { ops::attention(zeros({5, 24}), 2); }, {"[attention]", "(N,T,3·D)", "(5,24)"});
  check_error([] { ops::attention(zeros({2, 5, 24}), 0); }, {"[attention]", "3 x 0 heads"});
  check_error([] { ops::attention(zeros({2, 5, 24}, DType::int64), 2); }, {"[attention]", "int64"});
}
