// The checker checked: ops that are wrong in one way each must fail, a right one must not.
#include "gradcheck.hpp"
#include "sslcake/ops/arithmetic.hpp"

using namespace sslcake;
using namespace op_test;

namespace {

/// y = x², recorded with the given backward function.
Tensor square(const Tensor& x, autograd::BackwardFn backward) {
  return autograd::record("square", {x}, ops::mul(x.detach(), x.detach()), std::move(backward));
}
const Tensors input{random_input({3, 4}, 1)};

}  // namespace

TEST_CASE("gradcheck accepts a right gradient") {
  gradcheck([](const Tensors& x) {
    return square(x[0], [saved = autograd::Saved(x[0])](autograd::Backward& b) { b.give(0, b.grad() * saved.get() * 2.0); });
  }, input);
}

TEST_CASE("gradcheck notices a wrong factor" * doctest::should_fail()) {
  gradcheck([](const Tensors& x) {
    return square(x[0], [saved = autograd::Saved(x[0])](autograd::Backward& b) { b.give(0, b.grad() * saved.get() * 2.01); });
  }, input);
}

TEST_CASE("gradcheck notices one wrong element" * doctest::should_fail()) {
  gradcheck([](const Tensors& x) {
    return square(x[0], [saved = autograd::Saved(x[0])](autograd::Backward& b) {
      Tensor dx = b.grad() * saved.get() * 2.0;
      dx.mutable_data<double>()[11] += 0.01;
      b.give(0, dx);
    });
  }, input);
}

TEST_CASE("gradcheck notices a missing gradient" * doctest::should_fail()) {
  gradcheck([](const Tensors& x) { return square(x[0], [](autograd::Backward&) {}); }, input);
}

TEST_CASE("gradcheck notices a tensor that is kept without Saved" * doctest::should_fail()) {
  gradcheck([](const Tensors& x) {
    return square(x[0], [kept = x[0].detach()](autograd::Backward& b) { b.give(0, b.grad() * kept * 2.0); });
  }, input);
}

TEST_CASE("gradcheck notices a gradient that changes from call to call" * doctest::should_fail()) {
  double noise = 0;
  gradcheck([&](const Tensors& x) {
    noise += 1e-9;
    return square(x[0], [saved = autograd::Saved(x[0]), noise](autograd::Backward& b) { b.give(0, b.grad() * saved.get() * (2.0 + noise)); });
  }, input);
}
