#include "fixture.hpp"
#include "sslcake/core/threads.hpp"
#include "sslcake/ops/embedding.hpp"
#include "sslcake/ops/matmul.hpp"

using namespace sslcake;
using namespace op_test;

namespace {
struct Operands {
  Shape batch_a, batch_b;
  std::int64_t m, n, k;
};
Tensor operand(const Shape& batch, std::int64_t rows, std::int64_t columns, bool transposed, std::uint64_t key) {
  Shape s = batch;
  s.push_back(transposed ? columns : rows);
  s.push_back(transposed ? rows : columns);
  return random_input(s, key);
}
}  // namespace

OP_CASE("matmul") {
  for (const auto& o : std::vector<Operands>{{{}, {}, 4, 6, 2},
                                             {{}, {}, 3, 5, 7},
                                             {{}, {}, 1, 1, 1},
                                             {{2}, {2}, 3, 2, 4},
                                             {{2}, {}, 3, 2, 4},
                                             {{}, {3}, 1, 2, 3},
                                             {{2, 1}, {3}, 2, 1, 2},
                                             {{1}, {1}, 2, 2, 2},
                                             {{}, {}, 0, 3, 2},
                                             {{}, {}, 2, 3, 0},
                                             {{0}, {}, 2, 2, 3},
                                             {{0}, {1}, 2, 2, 3}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        gradcheck([=](const Tensors& x) { return ops::matmul(x[0], x[1], ta, tb); },
                  {operand(o.batch_a, o.m, o.k, ta, 1), operand(o.batch_b, o.k, o.n, tb, 2)});
}

OP_CASE("linear") {
  for (const auto& [shape, out] : std::vector<std::pair<Shape, std::int64_t>>{
           {{4, 6}, 2}, {{3, 5, 7}, 3}, {{1, 1}, 1}, {{3}, 2}, {{0, 3}, 2}, {{2, 0}, 3}}) {
    const std::int64_t in = shape.back();
    gradcheck([](const Tensors& x) { return ops::linear(x[0], x[1], x[2]); },
              {random_input(shape, 1), random_input({out, in}, 2), random_input({out}, 3)});
    gradcheck([](const Tensors& x) { return ops::linear(x[0], x[1]); }, {random_input(shape, 1), random_input({out, in}, 2)});
  }
}

TEST_CASE("products and lookups agree with PyTorch") {
  replay(
      "matmul",
      {
          {"matmul",
           [](const FixtureCase& c) {
             return ops::matmul(c["a"], c["b"], c.number("transpose_a") != 0, c.number("transpose_b") != 0);
           }},
          {"embedding", [](const FixtureCase& c) { return ops::embedding(c["index"], c["weight"]); }},
          {"linear", [](const FixtureCase& c) { return ops::linear(c["x"], c["weight"], c.has("bias") ? c["bias"] : Tensor{}); }},
      });
}

TEST_CASE("many small products in parallel: the same bits for any number of threads") {
  Random random(2, Purpose::test);
  Tensor a = random_uniform({37, 9, 16}, random, -1, 1), b = random_uniform({37, 11, 16}, random, -1, 1);
  const int before = threads();
  Tensor results[2], grads[2];
  for (const int i : {0, 1}) {
    set_threads(i ? 3 : 1);
    Tensor x = a.clone();
    x.set_requires_grad();
    results[i] = ops::matmul(x, b, false, true);
    backward(results[i], ones(results[i].shape()));
    grads[i] = x.grad();
  }
  set_threads(before);
  CHECK(same_bits(results[0], results[1]));
  CHECK(same_bits(grads[0], grads[1]));
  double expected = 0;
  for (int k = 0; k < 16; ++k)
    expected += static_cast<double>(a.data<float>()[(20 * 9 + 3) * 16 + k]) * b.data<float>()[(20 * 11 + 5) * 16 + k];
  CHECK(results[0].data<float>()[(20 * 9 + 3) * 11 + 5] == doctest::Approx(expected).epsilon(1e-5));
}

TEST_CASE("products refuse what does not fit") {
  check_error([] { ops::matmul(zeros({2, 3}), zeros({2, 3})); }, {"[matmul]", "(2,3)", "inner extents"});
  check_error([] { ops::matmul(zeros({2, 3}), zeros({3, 2}), true); }, {"[matmul]", "transposed (2,3)"});
  check_error([] { ops::matmul(zeros({3}), zeros({3, 2})); }, {"[matmul]", "two dimensions", "(3)"});
  check_error([] { ops::matmul(zeros({2, 2, 3}), zeros({4, 3, 2})); }, {"[matmul]", "(2)", "(4)"});
  check_error([] { ops::matmul(zeros({2, 3}), zeros({3, 2}, DType::float64)); }, {"[matmul]", "one type"});
  check_error([] { ops::matmul(zeros({2, 3}, DType::int64), zeros({3, 2}, DType::int64)); }, {"[matmul]", "int64"});
  check_error([] { ops::linear(zeros({2, 3}), zeros({3, 2})); }, {"[linear]", "(2,3)", "(3,2)", "(out,in)"});
  check_error([] { ops::linear(zeros({2, 3}), zeros({4, 3}), zeros({3})); }, {"[linear]", "bias of shape (4)", "(3)"});
}
