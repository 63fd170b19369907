#include <functional>

#include "fixture.hpp"
#include "sslcake/ops/arithmetic.hpp"
#include "sslcake/ops/sum_to.hpp"
#include "sslcake/ops/broadcast.hpp"
#include "sslcake/ops/elementwise.hpp"

using namespace sslcake;
using namespace op_test;

namespace {

using Binary = Tensor (*)(const Tensor&, const Tensor&);

const std::vector<std::pair<Shape, Shape>>& shape_pairs() {
  static const std::vector<std::pair<Shape, Shape>> pairs = {
    {{4, 6}, {4, 6}}, {{3, 5, 7}, {7}}, {{7}, {3, 5, 7}}, {{4, 3}, {4, 1}}, {{3, 5}, {}}, {{}, {3, 5}}, {{}, {}}, {{1, 1}, {1}},
    {{3, 1, 4}, {2, 1}}, {{2, 1, 3, 1}, {1, 5, 1, 2}}, {{0, 3}, {3}}, {{0, 3}, {0, 3}}, {{2, 0}, {2, 1}}, {{3, 0}, {}},
  };
  return pairs;
}

void check_binary(Binary op) {
  for (const auto& [a, b] : shape_pairs())
    gradcheck([&](const Tensors& x) { return op(x[0], x[1]); }, {random_input(a, 1), random_input(b, 2, 0.5, 2)});
}

/// Element i of the result by the definition of broadcasting, index by index.
double naive(const Tensor& a, const Tensor& b, const Shape& shape, std::int64_t i,
             const std::function<double(double, double)>& f) {
  std::int64_t at_a = 0, at_b = 0, step_a = 1, step_b = 1;
  for (int d = 1; d <= shape.rank(); ++d) {
    const std::int64_t index = i % shape[-d];
    i /= shape[-d];
    if (d <= a.rank()) { at_a += (a.dim(-d) == 1 ? 0 : index) * step_a; step_a *= a.dim(-d); }
    if (d <= b.rank()) { at_b += (b.dim(-d) == 1 ? 0 : index) * step_b; step_b *= b.dim(-d); }
  }
  return f(a.data<double>()[at_a], b.data<double>()[at_b]);
}

}  // namespace

OP_CASE("add") { check_binary(static_cast<Binary>(ops::add)); }
OP_CASE("sub") { check_binary(static_cast<Binary>(ops::sub)); }
OP_CASE("mul") { check_binary(static_cast<Binary>(ops::mul)); }
OP_CASE("div") { check_binary(static_cast<Binary>(ops::div)); }

#define NUMBER_CASE(name, expression)     \
  OP_CASE(name) {                         \
    for (const Shape& s : usual_shapes()) \
      gradcheck(                          \
          [](const Tensors& t) {          \
            const Tensor& x = t[0];       \
            return expression;            \
          },                              \
          {random_input(s, 3, 0.5, 2)});  \
  }
NUMBER_CASE("add_number", 0.5 + x + 1.5 - 0.25)
NUMBER_CASE("mul_number", 3.0 * x * 0.7)
NUMBER_CASE("div_number", x / 0.7)
NUMBER_CASE("number_sub", 0.7 - x)
NUMBER_CASE("number_div", 0.7 / x)
NUMBER_CASE("neg", -x)

TEST_CASE("arithmetic agrees with PyTorch") {
  const auto of = [](Binary op) -> Replay { return [op](const FixtureCase& c) { return op(c["a"], c["b"]); }; };
  replay("arithmetic", {{"add", of(ops::add)}, {"sub", of(ops::sub)}, {"mul", of(ops::mul)}, {"div", of(ops::div)}});
}

TEST_CASE("an operand used twice gets both gradients") {
  gradcheck([](const Tensors& x) { return x[0] * x[0] + x[0] / (x[0] + 3.0); }, {random_input({3, 4}, 5)});
  gradcheck([](const Tensors& x) { return x[0] + x[0]; }, {random_input({3, 4}, 5)});
}

TEST_CASE("broadcasting over random shapes equals a plain index loop") {
  Random random(7, Purpose::test);
  for (int round = 0; round < 300; ++round) {
    Shape a, b;
    const int rank = static_cast<int>(random.below(6)), skip_a = static_cast<int>(random.below(3)),
              skip_b = skip_a ? 0 : static_cast<int>(random.below(3));
    for (int d = 0; d < rank; ++d) {
      const std::int64_t e = random.chance(0.03f) ? 0 : 1 + random.below(5);
      const auto kind = random.below(4);
      if (d >= skip_a) a.push_back(kind == 1 ? 1 : e);
      if (d >= skip_b) b.push_back(kind == 2 ? 1 : e);
    }
    const Tensor x = random_input(a, 11), y = random_input(b, 12, 0.5, 2);
    INFO("shapes " << a.str() << " " << b.str());
    const Tensor sum = x + y, quotient = x / y;
    const Shape& shape = sum.shape();
    REQUIRE(shape.rank() == std::max(a.rank(), b.rank()));
    const Tensor as_float = ops::mul(x.to(DType::float32), y.to(DType::float32));
    bool right = true;
    for (std::int64_t i = 0; i < sum.numel(); ++i) {
      right &= sum.data<double>()[i] == naive(x, y, shape, i, [](double p, double q) { return p + q; });
      right &= quotient.data<double>()[i] == naive(x, y, shape, i, [](double p, double q) { return p / q; });
      right &= as_float.data<float>()[i] == static_cast<float>(naive(x, y, shape, i, [](double p, double q) {
                 return static_cast<float>(p) * static_cast<float>(q);
               }));
    }
    CHECK(right);
    // sum_to is the transpose of broadcasting: Σ over the result of w·broadcast(x) = Σ over x of sum_to(w)·x.
    const Tensor w = random_input(shape, 13), folded = ops::detail::sum_to(w, a);
    CHECK(folded.shape() == a);
    double left = 0, right_side = 0;
    for (std::int64_t i = 0; i < w.numel(); ++i)
      left += w.data<double>()[i] * naive(x, y, shape, i, [](double p, double) { return p; });
    for (std::int64_t i = 0; i < folded.numel(); ++i) right_side += folded.data<double>()[i] * x.data<double>()[i];
    CHECK(std::abs(left - right_side) < 1e-10);
  }
}

TEST_CASE("neighbouring dimensions are merged: the loops see as few as possible") {
  using ops::detail::broadcast;
  CHECK(broadcast("test", {8, 32, 32, 64}, {8, 32, 32, 64}).rank == 1);
  CHECK(broadcast("test", {8, 32, 32, 64}, {64}).rank == 2);
  CHECK(broadcast("test", {8, 32, 32, 64}, {}).rank == 1);
  CHECK(broadcast("test", {8, 32, 32, 64}, {8, 1, 1, 64}).rank == 3);
  CHECK(broadcast("test", {1, 1}, {}).rank == 0);
}

TEST_CASE("large operands: all chunks are computed, in bfloat16 too") {
  Random random(1, Purpose::test);
  const Tensor a = random_uniform({701, 65}, random, -1, 1), b = random_uniform({65}, random, -1, 1),
               c = random_uniform({701, 1}, random, -1, 1);
  const auto y = ((a + b) * c).to_vector<float>();
  const auto half = (a.to(DType::bfloat16) + b.to(DType::bfloat16)).to_vector<float>();
  bool right = true;
  for (std::size_t i = 0; i < 701; ++i)
    for (std::size_t j = 0; j < 65; ++j) {
      const float p = a.data<float>()[i * 65 + j], q = b.data<float>()[j];
      right &= y[i * 65 + j] == (p + q) * c.data<float>()[i];
      right &=
          half[i * 65 + j] == static_cast<float>(bfloat16(static_cast<float>(bfloat16(p)) + static_cast<float>(bfloat16(q))));
    }
  CHECK(right);
}

TEST_CASE("arithmetic refuses what does not fit") {
  check_error([] { zeros({2, 3}) + zeros({4, 3}); }, {"[add]", "(2,3)", "(4,3)", "dimension -2"});
  check_error([] { zeros({2}) * zeros({2}, DType::float64); }, {"[mul]", "one type", "float32", "float64", "cast"});
  check_error([] { zeros({2}, DType::int64) / zeros({2}, DType::int64); }, {"[div]", "int64"});
  check_error([] { zeros({2}) - Tensor{}; }, {"[sub]", "undefined"});
}
