#include <cmath>
#include <limits>

#include "fixture.hpp"
#include "sslcake/ops/elementwise.hpp"
#include "sslcake/ops/pointwise.hpp"

using namespace sslcake;
using namespace op_test;

namespace {
void check_unary(Tensor (*op)(const Tensor&), double low, double high, const std::vector<double>& kinks = {}) {
  for (const Shape& s : usual_shapes())
    gradcheck([&](const Tensors& x) { return op(x[0]); }, {random_input(s, 1, low, high, kinks)});
}
}  // namespace

OP_CASE("relu") { check_unary(ops::relu, -1, 1, {0}); }
OP_CASE("gelu") { check_unary(ops::gelu, -4, 4); }
OP_CASE("silu") { check_unary(ops::silu, -5, 5); }
OP_CASE("tanh") { check_unary(ops::tanh, -3, 3); }
OP_CASE("sigmoid") { check_unary(ops::sigmoid, -5, 5); }
OP_CASE("exp") { check_unary(ops::exp, -2, 2); }
OP_CASE("log") { check_unary(ops::log, 0.1, 3); }
OP_CASE("sqrt") { check_unary(ops::sqrt, 0.1, 3); }
OP_CASE("abs") { check_unary(ops::abs, -1, 1, {0}); }
OP_CASE("leaky_relu") { check_unary([](const Tensor& x) { return ops::leaky_relu(x, 0.2); }, -1, 1, {0}); }
OP_CASE("elu") { check_unary([](const Tensor& x) { return ops::elu(x, 0.7); }, -3, 3, {0}); }
OP_CASE("softplus") { check_unary([](const Tensor& x) { return ops::softplus(x, 1.5); }, -4, 4); }
OP_CASE("clamp") { check_unary([](const Tensor& x) { return ops::clamp(x, -0.5, 0.3); }, -1, 1, {-0.5, 0.3}); }
OP_CASE("pow") {
  check_unary([](const Tensor& x) { return ops::pow(x, 2); }, -1, 1);
  check_unary([](const Tensor& x) { return ops::pow(x, -1.5); }, 0.3, 2);
  check_unary([](const Tensor& x) { return ops::pow(x, 0); }, -1, 1);
}

TEST_CASE("pointwise functions agree with PyTorch") {
  const auto of = [](Tensor (*op)(const Tensor&)) -> Replay { return [op](const FixtureCase& c) { return op(c["x"]); }; };
  replay("pointwise",
         {
             {"relu", of(ops::relu)},
             {"gelu", of(ops::gelu)},
             {"silu", of(ops::silu)},
             {"tanh", of(ops::tanh)},
             {"sigmoid", of(ops::sigmoid)},
             {"exp", of(ops::exp)},
             {"log", of(ops::log)},
             {"sqrt", of(ops::sqrt)},
             {"abs", of(ops::abs)},
             {"leaky_relu", [](const FixtureCase& c) { return ops::leaky_relu(c["x"], c.number("negative_slope")); }},
             {"elu", [](const FixtureCase& c) { return ops::elu(c["x"], c.number("alpha")); }},
             {"softplus", [](const FixtureCase& c) { return ops::softplus(c["x"], c.number("beta")); }},
             {"clamp", [](const FixtureCase& c) { return ops::clamp(c["x"], c.number("low"), c.number("high")); }},
             {"pow", [](const FixtureCase& c) { return ops::pow(c["x"], c.number("exponent")); }},
         });
}

TEST_CASE("pointwise functions neither overflow nor lose NaN") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const Tensor x = from_vector<float>({5}, {-1000, -30, 0, 30, 1000});
  CHECK(ops::sigmoid(x).to_vector<double>() == std::vector<double>{0, std::exp(-30.0f) / (1 + std::exp(-30.0f)), 0.5, 1, 1});
  CHECK(ops::softplus(x).to_vector<double>()[4] == 1000);
  CHECK(ops::softplus(x).to_vector<double>()[0] == 0);
  CHECK(ops::softplus(x).to_vector<double>()[1] == doctest::Approx(std::exp(-30.0)));
  CHECK(all_finite(ops::silu(x)));
  CHECK(all_finite(ops::gelu(x)));
  CHECK(std::isnan(ops::relu(from_vector<double>({1}, {nan})).item()));
  CHECK(std::isnan(ops::clamp(from_vector<double>({1}, {nan}), -1, 1).item()));
  CHECK(ops::relu(from_vector<double>({1}, {inf})).item() == inf);
  CHECK(std::isnan(ops::log(from_vector<double>({1}, {-1.0})).item()));
}

TEST_CASE("pointwise functions of large tensors: every chunk is computed, in bfloat16 too") {
  const std::int64_t n = 100003;  // several chunks and a rest
  Random random(1, Purpose::test);
  const Tensor x = random_uniform({n}, random, -3, 3);
  const auto y = ops::tanh(x).to_vector<float>(), from = x.to_vector<float>();
  bool right = true;
  for (std::size_t i = 0; i < from.size(); ++i) right &= y[i] == std::tanh(from[i]);
  CHECK(right);

  Tensor half = x.to(DType::bfloat16);
  half.set_requires_grad();
  const Tensor z = ops::tanh(half);
  CHECK(z.dtype() == DType::bfloat16);
  backward(z, ones(z.shape(), DType::bfloat16));
  const auto result = z.to_vector<float>(), grad = half.grad().to_vector<float>(), rounded = half.to_vector<float>();
  CHECK(half.grad().dtype() == DType::bfloat16);
  right = true;
  for (std::size_t i = 0; i < result.size(); ++i) {
    right &= bfloat16(result[i]) == bfloat16(std::tanh(rounded[i]));
    right &= bfloat16(grad[i]) == bfloat16(1 - result[i] * result[i]);
  }
  CHECK(right);
}

TEST_CASE("pointwise functions refuse what they cannot do") {
  check_error([] { ops::relu(zeros({2}, DType::int64)); }, {"[relu]", "floating-point", "int64", "cast"});
  check_error([] { ops::gelu(Tensor{}); }, {"[gelu]", "undefined"});
  check_error([] { ops::clamp(zeros({2}), 1, 0); }, {"[clamp]", "low <= high", "1 and 0"});
  check_error([] { ops::clamp(zeros({2}), std::nan(""), 0); }, {"[clamp]"});
  check_error([] { ops::softplus(zeros({2}), 0); }, {"[softplus]", "beta > 0"});
}
