// The checker checked: a right op passes, ops that are wrong in one way each do not.
#include "gradcheck.hpp"
#include "sslcake/ops/arithmetic.hpp"

using namespace sslcake;
using namespace op_test;
using autograd::Backward;
using autograd::Saved;

namespace {

/// What is wrong with y = x², recorded with the backward function that `make(x)` returns.
std::string problems_with(const std::function<autograd::BackwardFn(const Tensor&)>& make) {
  std::string all;
  const auto square = [&](const Tensors& x) {
    return autograd::record("square", {x[0]}, x[0].detach() * x[0].detach(), make(x[0]));
  };
  for (const auto& p : gradient_problems(square, {random_input({3, 4}, 1)})) all += p + "; ";
  return all;
}

bool mentions(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

}  // namespace

TEST_CASE("gradcheck accepts a right gradient") {
  CHECK(problems_with([](const Tensor& x) { return [s = Saved(x)](Backward& b) { b.give(0, b.grad() * s.get() * 2.0); }; }) ==
        "");
}

TEST_CASE("gradcheck notices what is wrong") {
  CHECK(mentions(
      problems_with([](const Tensor& x) { return [s = Saved(x)](Backward& b) { b.give(0, b.grad() * s.get() * 2.01); }; }),
      "at 12 elements of 12"));
  CHECK(mentions(problems_with([](const Tensor& x) {
    return [s = Saved(x)](Backward& b) {
      Tensor dx = b.grad() * s.get() * 2.0;
      dx.mutable_data<double>()[11] += 0.01;
      b.give(0, dx);
    };
  }), "wrong gradient of input 0 at element 11"));
  CHECK(mentions(problems_with([](const Tensor&) { return [](Backward&) {}; }), "got no gradient"));
  // Kept without Saved: nobody guards it.
  CHECK(mentions(
      problems_with([](const Tensor& x) { return [kept = x.detach()](Backward& b) { b.give(0, b.grad() * kept * 2.0); }; }),
      "after input 0 was changed in place"));
  double noise = 0;
  CHECK(mentions(problems_with([&](const Tensor& x) {
    noise += 1e-9;
    return [s = Saved(x), noise](Backward& b) { b.give(0, b.grad() * s.get() * (2.0 + noise)); };
  }), "a second call gave another gradient"));
}

TEST_CASE("check_close allows what it is told to, same_bits nothing") {
  const Tensor a = from_vector<double>({2}, {1, 2});
  check_close(a, from_vector<double>({2}, {1, 2 + 1e-9}), 1e-9, 0);
  CHECK(same_bits(a, a.clone()));
  CHECK_FALSE(same_bits(a, from_vector<double>({2}, {1, 2 + 1e-15})));
}
