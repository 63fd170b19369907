#include <doctest/doctest.h>

#include <pthread.h>

#include <cmath>
#include <functional>
#include <limits>
#include <thread>

#include "sslcake/autograd/parameter.hpp"
#include "sslcake/autograd/tape.hpp"
#include "sslcake/core/threads.hpp"

using namespace sslcake;
using autograd::Backward;
using autograd::record;
using autograd::Saved;

namespace {

/// y = a x + b for numbers a, b.
Tensor affine(const Tensor& x, float a, float b = 0) {
  Tensor y = x.clone();
  for (std::int64_t i = 0; i < y.numel(); ++i) y.mutable_data<float>()[i] = a * y.data<float>()[i] + b;
  return record("affine", {x}, y, [a](Backward& g) {
    Tensor dx = g.grad().clone();
    for (std::int64_t i = 0; i < dx.numel(); ++i) dx.mutable_data<float>()[i] *= a;
    g.give(0, dx);
  });
}

/// x y, elementwise.
Tensor product(const Tensor& x, const Tensor& y) {
  const auto times = [](const Tensor& a, const Tensor& b) {
    Tensor c = a.clone();
    for (std::int64_t i = 0; i < c.numel(); ++i) c.mutable_data<float>()[i] *= b.data<float>()[i];
    return c;
  };
  return record("product", {x, y}, times(x, y), [times, sx = Saved(x), sy = Saved(y)](Backward& g) {
    if (g.needs(0)) g.give(0, times(g.grad(), sy.get()));
    if (g.needs(1)) g.give(1, times(g.grad(), sx.get()));
  });
}

/// x + y; hands one and the same gradient tensor to both.
Tensor plus(const Tensor& x, const Tensor& y) {
  Tensor z = x.clone();
  for (std::int64_t i = 0; i < z.numel(); ++i) z.mutable_data<float>()[i] += y.data<float>()[i];
  return record("plus", {x, y}, z, [](Backward& g) {
    g.give(0, g.grad());
    g.give(1, g.grad());
  });
}

Tensor leaf(float value) { return full({1}, value).set_requires_grad(); }

/// Runs f on a thread with a stack of 256 KB, which a few thousand nested calls overflow.
void on_small_stack(std::function<void()> f) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstacksize(&attributes, 256 * 1024) == 0);
  pthread_t thread;
  REQUIRE(pthread_create(
              &thread, &attributes,
              [](void* p) -> void* {
                (*static_cast<std::function<void()>*>(p))();
                return nullptr;
              },
              &f) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
bool mentions(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

}  // namespace

TEST_CASE("gradients of a chain, a fork and a diamond") {
  Tensor x = leaf(3);
  backward(affine(affine(x, 2), 5));
  CHECK(x.grad().item() == 10);
  backward(affine(x, 4));
  CHECK(x.grad().item() == 14);  // added
  x.clear_grad();
  CHECK_FALSE(x.grad().defined());
  affine(x, 2).clear_grad();  // a result has none: nothing to do

  const Tensor a = affine(x, 2), b = affine(x, 3);  // two ways from x to the end
  backward(product(a, b));                          // 6 x²
  CHECK(x.grad().item() == 36);
  x.clear_grad();
  backward(product(x, x));
  CHECK(x.grad().item() == 6);
  x.clear_grad();
  backward(plus(x, plus(x, x)));
  CHECK(x.grad().item() == 3);

  // Diamonds in a row: 2^40 ways, each node visited once.
  x.clear_grad();
  Tensor y = x;
  for (int i = 0; i < 40; ++i) y = plus(y, y);
  backward(y);
  CHECK(x.grad().item() == std::ldexp(1.0, 40));
}

TEST_CASE("a parameter owns its gradient, and what the user holds is not changed behind his back") {
  Tensor x = leaf(1), y = leaf(1);
  backward(plus(x, y));
  x.grad().mutable_data<float>()[0] = 7;
  CHECK(y.grad().item() == 1);
  const Tensor held = x.grad();
  backward(affine(x, 2));
  CHECK(held.item() == 7);
  CHECK(x.grad().item() == 9);

  Tensor seed_grad = ones({1});
  Tensor z = leaf(1);
  backward(z, seed_grad);  // a leaf is its own result
  CHECK(z.grad().item() == 1);
  z.grad().mutable_data<float>()[0] = 5;
  CHECK(seed_grad.item() == 1);
}

TEST_CASE("nothing is recorded without need") {
  Tensor x = leaf(1);
  const Tensor plain = ones({1});
  CHECK_FALSE(affine(plain, 2).requires_grad());
  {
    const NoGrad outer;
    CHECK_FALSE(grad_enabled());
    {
      const NoGrad inner;
    }
    CHECK_FALSE(grad_enabled());
    CHECK_FALSE(affine(x, 2).requires_grad());
    std::thread([] { CHECK(grad_enabled()); }).join();  // per thread
  }
  CHECK(grad_enabled());
  CHECK(affine(x, 2).requires_grad());
  CHECK_FALSE(affine(x, 2).detach().requires_grad());
  const Tensor y = product(x, plain);
  CHECK(y.meta()->node->inputs[0] != nullptr);
  CHECK(y.meta()->node->inputs[1] == nullptr);
}

TEST_CASE("a saved tensor that was changed in place is noticed") {
  Tensor x = leaf(3), y = leaf(4);
  const Tensor z = product(x, y);
  x.mutable_data<float>()[0] = 5;
  const std::string message = message_of([&] { backward(z); });
  CHECK(mentions(message, "changed in place"));
  CHECK(mentions(message, "(1)"));
  // Reading is no change, nor is a change of a copy or of the tensor after the backward pass.
  const Tensor again = product(x, y);
  (void)x.item();
  Tensor copy = x.clone();
  copy.mutable_data<float>()[0] = 0;
  x.clear_grad();
  backward(again);
  CHECK(x.grad().item() == 4);
  // A view shares the counter.
  const Tensor third = product(x, y);
  Tensor view = x.alias({1, 1});
  view.mutable_data<float>()[0] = 1;
  CHECK(mentions(message_of([&] { backward(third); }), "changed in place"));
}

TEST_CASE("the tape is freed as it runs, and a second pass is an error") {
  Tensor x = leaf(3);
  const std::size_t before = memory_stats().in_use;
  {
    Tensor y = product(x, affine(x, 2));
    const Tensor z = affine(y, 2);
    const std::size_t full_tape = memory_stats().in_use;
    backward(z);
    y = Tensor{};
    CHECK(memory_stats().in_use < full_tape);
    CHECK(mentions(message_of([&] { backward(z); }), "freed by an earlier backward pass"));
  }
  x.clear_grad();
  CHECK(memory_stats().in_use == before);
}

TEST_CASE("two results over one shared part: the second pass says what happened") {
  Tensor x = leaf(3);
  const Tensor shared = affine(x, 2);
  const Tensor first = affine(shared, 3), second = affine(shared, 5);
  backward(first);
  CHECK(mentions(message_of([&] { backward(second); }), "run the forward again"));
  CHECK(x.grad().item() == 6);
}

TEST_CASE("a chain of 100,000 nodes: backward, and destruction without backward, on a small stack") {
  const auto chain = [](const Tensor& x) {
    Tensor y = x;
    for (int i = 0; i < 100000; ++i) y = affine(y, 1, 1);
    return y;
  };
  on_small_stack([&] {
    Tensor x = leaf(0);
    const Tensor y = chain(x);
    CHECK(y.item() == 100000);
    backward(y);
    CHECK(x.grad().item() == 1);
  });
  on_small_stack([&] { const Tensor never_run = chain(leaf(0)); });
  on_small_stack([&] {  // branches that join again, and a second owner in the middle
    Tensor x = leaf(0), y = x, held;
    for (int i = 0; i < 50000; ++i) {
      y = plus(affine(y, 0.5f), affine(y, 0.5f));
      if (i == 25000) held = y;
    }
    y = Tensor{};
    CHECK(held.requires_grad());
    backward(held);
    CHECK(x.grad().item() == 1);
  });
}

TEST_CASE("threads build and run graphs over the same parameters' values independently") {
  Tensor values[4];
  std::vector<std::thread> workers;
  for (int t = 0; t < 4; ++t)
    workers.emplace_back([&values, t] {
      Tensor x = leaf(static_cast<float>(t));
      for (int i = 0; i < 50; ++i) backward(product(x, x));
      values[t] = x.grad();
    });
  for (auto& w : workers) w.join();
  for (int t = 0; t < 4; ++t) CHECK(values[t].item() == 100 * t);
}

TEST_CASE("FiniteCheck names the op and the module") {
  const float inf = std::numeric_limits<float>::infinity();
  Tensor x = leaf(1);
  CHECK(all_finite(x));
  CHECK_FALSE(all_finite(full({3}, inf)));
  CHECK_FALSE(all_finite(full({3}, std::nan(""), DType::float64)));
  CHECK_FALSE(all_finite(full({3}, inf, DType::bfloat16)));
  CHECK(all_finite(arange(3)));
  (void)affine(x, inf);  // unnoticed without the check
  const FiniteCheck check;
  const ModuleScope outer("layer1");
  std::string message;
  {
    const ModuleScope inner("conv2");
    message = message_of([&] { affine(x, inf); });
  }
  CHECK(mentions(message, "[affine]"));
  CHECK(mentions(message, "layer1.conv2"));
  const Tensor y = record("poison", {x}, ones({1}), [inf](Backward& b) { b.give(0, full({1}, inf)); });
  message = message_of([&] { backward(y); });
  CHECK(mentions(message, "poison in layer1"));
  CHECK(mentions(message, "not finite"));
}

TEST_CASE("wrong gradients and wrong calls are errors") {
  Tensor x = leaf(1);
  const auto giving = [&](Tensor grad) {
    return message_of([&] { backward(record("broken", {x}, ones({1}), [grad](Backward& b) { b.give(0, grad); })); });
  };
  CHECK(mentions(giving(ones({2})), "broken gave input 0 a gradient of shape (2)"));
  CHECK(mentions(giving(ones({1}, DType::float64)), "float64"));
  CHECK_FALSE(x.grad().defined());
  CHECK(mentions(message_of([&] { backward(ones({1})); }), "nothing was recorded"));
  CHECK(mentions(message_of([&] { backward(Tensor{}); }), "one element"));
  CHECK(mentions(message_of([&] { backward(affine(ones({2}).set_requires_grad(), 2)); }), "mean() or sum()"));
  CHECK(mentions(message_of([&] { backward(affine(x, 2), ones({2})); }), "(2)"));
  CHECK(mentions(message_of([&] { backward(affine(x, 2), ones({1}, DType::float64)); }), "float64"));
  CHECK(mentions(message_of([&] { affine(x, 2).set_requires_grad(); }), "detach"));
  CHECK(mentions(message_of([&] { arange(3).set_requires_grad(); }), "int64"));
  CHECK(mentions(message_of([&] { x.set_grad(ones({2})); }), "(1)"));
  CHECK(mentions(message_of([&] { x.set_grad(ones({1}, DType::float64)); }), "type float32, got (1) and float64"));
}

TEST_CASE("a gradient may be taken over, and is then the only handle where nobody else has it") {
  Tensor x = leaf(2);
  bool alone = false;
  const Tensor y = record("taker", {x}, ones({1}), [&alone](Backward& b) {
    const Tensor g = b.take_grad();
    alone = g.sole_owner();
    b.give(0, g);
  });
  backward(affine(y, 3));
  CHECK(alone);
  CHECK(x.grad().item() == 3);
}

TEST_CASE("parameters forget their gradients together") {
  Tensor w = leaf(1);
  const Parameters parameters{{"layer.weight", w}};
  backward(affine(w, 2));
  CHECK(w.grad().defined());
  clear_grads(parameters);
  CHECK_FALSE(w.grad().defined());
}

TEST_CASE("a backward pass that throws leaves nothing behind for the next one") {
  Tensor x = leaf(3);
  const Tensor shared = affine(x, 2);
  const Tensor broken = record("broken", {shared}, ones({1}), [](Backward&) { fail("broken", "on purpose"); });
  // Twice the shared part is reached before the op that throws is run.
  CHECK(mentions(message_of([&] { backward(plus(affine(broken, 1), affine(shared, 5))); }), "on purpose"));
  CHECK_FALSE(x.grad().defined());
  backward(affine(shared, 1));
  CHECK(x.grad().item() == 2);
}
