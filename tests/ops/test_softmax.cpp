#include <cmath>

#include "gradcheck.hpp"
#include "sslcake/ops/softmax.hpp"

using namespace sslcake;
using namespace op_test;

namespace {
void check_along_axes(Tensor (*op)(const Tensor&, int)) {
  for (const Shape& s : std::vector<Shape>{{4, 6}, {3, 5, 7}, {1, 1}, {2, 1, 3}, {0, 3}, {3, 0}})
    for (int axis = -1; axis < s.rank(); ++axis)
      gradcheck([=](const Tensors& x) { return op(x[0], axis); }, {random_input(s, 1, -3, 3)});
}
}  // namespace

OP_CASE("softmax") { check_along_axes(ops::softmax); }
OP_CASE("log_softmax") { check_along_axes(ops::log_softmax); }

TEST_CASE("softmax of extreme logits is finite and sums to one") {
  const Tensor x = from_vector<float>({2, 3}, {1e4f, 0, -1e4f, -1e30f, -1e30f, -1e30f});
  CHECK(ops::softmax(x).to_vector<float>() == std::vector<float>{1, 0, 0, 1.0f / 3, 1.0f / 3, 1.0f / 3});
  const auto y = ops::log_softmax(x).to_vector<float>();
  CHECK(y[0] == 0);
  CHECK(y[1] == -1e4f);
  CHECK(y[3] == doctest::Approx(-std::log(3.0)));
  CHECK(std::isnan(ops::softmax(from_vector<float>({2}, {0, std::nanf("")})).to_vector<float>()[0]));
}

TEST_CASE("softmax refuses wrong axes and types") {
  check_error([] { ops::softmax(zeros({2, 3}), 2); }, {"[softmax]", "(2,3)", "got 2"});
  check_error([] { ops::softmax(zeros({2, 3}, DType::bfloat16)); }, {"[softmax]", "bfloat16"});
  check_error([] { ops::log_softmax(zeros({})); }, {"[log_softmax]", "()"});
}
