#include <doctest/doctest.h>

#include "formula.hpp"
#include "sslcake/nn/layers.hpp"
#include "sslcake/ops/arithmetic.hpp"
#include "sslcake/ops/pointwise.hpp"
#include "sslcake/ops/reduce.hpp"
#include "sslcake/optim/sgd.hpp"

using namespace sslcake;

namespace {

class Classifier : public nn::Module {
 public:
  Classifier()
      : hidden_(add_child("hidden", nn::Linear(4, 3))),
        norm_(add_child("norm", nn::BatchNorm(3))),
        out_(add_child("out", nn::Linear(3, 2))) {}
  Tensor forward(const Tensor& x) const {
    const ModuleScope scope(name());
    return out_.forward(ops::relu(norm_.forward(hidden_.forward(x))));
  }

 private:
  nn::Linear hidden_;
  nn::BatchNorm norm_;
  nn::Linear out_;
};

/// No base class, only members.
struct Plain {
  Classifier classifier;
  std::vector<nn::Linear> more{nn::Linear(2, 2), nn::Linear(2, 1)};
};

std::vector<std::string> names(const Parameters& parameters) {
  std::vector<std::string> out;
  for (const auto& p : parameters) out.push_back(p.name);
  return out;
}

}  // namespace

TEST_CASE("names and order are those of PyTorch's state_dict") {
  const Classifier c;
  CHECK(names(c.state()) == std::vector<std::string>{"hidden.weight", "hidden.bias", "norm.weight", "norm.bias",
                                                     "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
                                                     "out.weight", "out.bias"});
  CHECK(names(c.parameters()) ==
        std::vector<std::string>{"hidden.weight", "hidden.bias", "norm.weight", "norm.bias", "out.weight", "out.bias"});
  for (const auto& p : c.state()) {
    const bool is_norm = p.name.substr(0, 4) == "norm";
    CHECK(p.buffer == (contains(p.name, "running") || contains(p.name, "num_")));
    CHECK(p.norm_or_bias == ((is_norm && !p.buffer) || ends_with(p.name, "bias")));
    CHECK(p.tensor.requires_grad() == !p.buffer);
  }
}

namespace {

/// One layer under two names.
class Twice : public nn::Module {
 public:
  Twice() : first_(add_child("first", nn::Linear(4, 4, false))), second_(add_child("second", first_)) {}
  Tensor forward(const Tensor& x) const { return second_.forward(ops::relu(first_.forward(x))); }

 private:
  nn::Linear first_, second_;
};

/// A tensor that is kept beside its registration, in one of two ways, or registered alone.
class Mask : public nn::Module {
 public:
  explicit Mask(int way) : kept_(way < 2), mask_(zeros({3})) {
    if (way == 1) mask_.set_requires_grad();
    index_ = add_parameter("mask", kept_ ? mask_ : zeros({3}));
  }
  Tensor forward(const Tensor& x) const { return x + (kept_ ? mask_ : tensor(index_)); }

 private:
  bool kept_;
  Tensor mask_;
  int index_ = 0;
};

/// One tensor under two names.
class Tied : public nn::Module {
 public:
  Tied() { add_parameter("again", tensor(add_parameter("weight", ones({3})))); }
};

}  // namespace

TEST_CASE("a shared layer is one parameter, under its first name; state lists all names") {
  const Twice net;
  CHECK(names(net.parameters()) == std::vector<std::string>{"first.weight"});
  CHECK(names(net.state()) == std::vector<std::string>{"first.weight", "second.weight"});
  optim::SGD sgd(net.parameters(), {.lr = 0.1});
  const auto before = net.parameters()[0].tensor.to_vector<float>();
  backward(ops::sum(net.forward(ones({2, 4}))));
  sgd.step();
  CHECK(net.parameters()[0].tensor.to_vector<float>() != before);
  CHECK(names(nn::clone(net).parameters()) == std::vector<std::string>{"first.weight"});
  const Tied tied, copy = nn::clone(tied);
  CHECK(names(copy.parameters()) == std::vector<std::string>{"weight"});
  CHECK(copy.state()[0].tensor.address() == copy.state()[1].tensor.address());
  CHECK(copy.state()[0].tensor.address() != tied.state()[0].tensor.address());
  CHECK(copy.parameters()[0].tensor.requires_grad());
}

TEST_CASE("a tensor that is registered and kept gets its gradient, or is refused") {
  CHECK_THROWS_WITH_AS(Mask(0), doctest::Contains("through which no gradient would flow"), Error);
  for (const int way : {1, 2}) {
    const Mask net(way);
    backward(ops::sum(net.forward(ones({2, 3}))));
    CHECK(net.parameters()[0].tensor.grad().to_vector<float>() == std::vector<float>{2, 2, 2});
  }
  const Mask net(2), copy = nn::clone(net);
  backward(ops::sum(copy.forward(ones({2, 3}))));
  CHECK(copy.parameters()[0].tensor.grad().defined());
  CHECK_FALSE(net.parameters()[0].tensor.grad().defined());
}

TEST_CASE("layers that were made without sizes say so") {
  CHECK_THROWS_WITH_AS(nn::Linear().forward(ones({2, 3})), doctest::Contains("made without its sizes"), Error);
  CHECK_THROWS_AS(nn::Conv2d().forward(ones({1, 4, 4, 3})), Error);
  CHECK_THROWS_AS(nn::BatchNorm().forward(ones({2, 3})), Error);
  CHECK_THROWS_WITH_AS(nn::MLP().forward(ones({2, 3})), doctest::Contains("without widths"), Error);
}

TEST_CASE("a copy shares its numbers and its mode, a clone does not") {
  const Classifier a;
  const Classifier shared = a;
  Plain plain{a};
  const Plain own = nn::clone(plain);
  const Classifier cloned = nn::clone(a);
  Tensor weight = a.parameters()[0].tensor;
  const float before = weight.data<float>()[0];
  weight.mutable_data<float>()[0] = 42;
  CHECK(shared.parameters()[0].tensor.data<float>()[0] == 42);
  CHECK(plain.classifier.parameters()[0].tensor.data<float>()[0] == 42);
  CHECK(cloned.parameters()[0].tensor.data<float>()[0] == before);
  CHECK(own.classifier.parameters()[0].tensor.data<float>()[0] == before);
  CHECK(cloned.parameters()[0].tensor.requires_grad());
  // The members that compute are those that are listed: changing the listed numbers changes the result.
  const Tensor x = hashed_tensor({5, 4}, 1);
  cloned.eval();
  const auto y = cloned.forward(x).to_vector<float>();
  Tensor bias = cloned.parameters().back().tensor;
  bias.mutable_data<float>()[1] += 1;
  CHECK(cloned.forward(x).to_vector<float>()[1] == doctest::Approx(y[1] + 1));
  // Mode belongs to the shared state.
  shared.eval();
  CHECK_FALSE(a.training());
  CHECK(nn::clone(a).training() == false);
  a.train();
  CHECK(shared.training());
  CHECK_FALSE(cloned.training());
  // Ordinary copies after a clone share again.
  const Classifier again = a;
  again.parameters()[0].tensor.mutable_data<float>()[0] = 7;
  CHECK(a.parameters()[0].tensor.data<float>()[0] == 7);
}

TEST_CASE("clone copies statistics, and later training of one leaves the other") {
  const Classifier a;
  const Tensor x = hashed_tensor({16, 4}, 2);
  a.forward(x);
  const Classifier b = nn::clone(a);
  CHECK(find(io::to_state_dict(b.state()), "norm.num_batches_tracked")->item() == 1);
  a.forward(x);
  CHECK(find(io::to_state_dict(a.state()), "norm.num_batches_tracked")->item() == 2);
  CHECK(find(io::to_state_dict(b.state()), "norm.num_batches_tracked")->item() == 1);
}

TEST_CASE("load_state lists every mismatch at once") {
  const Classifier a, b;
  b.load_state(io::to_state_dict(a.state()));
  for (std::size_t i = 0; i < a.state().size(); ++i)
    CHECK(a.state()[i].tensor.to_vector<double>() == b.state()[i].tensor.to_vector<double>());
  StateDict wrong = io::to_state_dict(a.state());
  wrong[0].second = ones({3, 5});
  wrong[1].first = "hidden.bogus";
  const std::string message = message_of([&] { b.load_state(wrong); });
  CHECK(contains(message, "hidden.weight: expected (3,4), got (3,5)"));
  CHECK(contains(message, "missing: hidden.bias (3)"));
  CHECK(contains(message, "unexpected: hidden.bogus (3)"));
}

TEST_CASE("gradients reach every parameter, and none that is frozen") {
  const Classifier a;
  backward(ops::sum(ops::mul(a.forward(hashed_tensor({6, 4}, 3)), hashed_tensor({6, 2}, 4))));
  for (const auto& p : a.parameters()) {
    CAPTURE(p.name);
    REQUIRE(p.tensor.grad().defined());
    double most = 0;
    for (const double g : p.tensor.grad().to_vector<double>()) most = std::max(most, std::abs(g));
    if (p.name != "hidden.bias") CHECK(most > 1e-4);  // batch norm behind it removes its effect
  }
  clear_grads(a.parameters());
  a.set_requires_grad(false);
  const Tensor y = a.forward(hashed_tensor({6, 4}, 3));
  CHECK_FALSE(y.requires_grad());
  a.set_requires_grad(true);
  CHECK(a.forward(hashed_tensor({6, 4}, 3)).requires_grad());
}

TEST_CASE("a value that is not finite is reported with the module's name") {
  const Classifier a;
  Tensor weight = find(io::to_state_dict(a.state()), "out.weight") ? a.parameters()[4].tensor : Tensor{};
  weight.mutable_data<float>()[0] = NAN;
  const FiniteCheck check;
  CHECK(contains(message_of([&] { a.forward(hashed_tensor({6, 4}, 3)); }), "out"));
}

TEST_CASE("what is refused") {
  struct Bad : nn::Module {
    explicit Bad(int kind) {
      add_parameter("w", ones({1}));
      if (kind == 0) add_parameter("w", ones({1}));
      if (kind == 1) add_child("a.b", nn::Linear(1, 1));
      if (kind == 2) add_child("a", nn::Linear(1, 1)), add_child("a", nn::Linear(1, 1));
      if (kind == 3) add_parameter("i", arange(3));
    }
  };
  CHECK(contains(message_of([] { Bad(0); }), "two tensors of one module are named \"w\""));
  CHECK(contains(message_of([] { Bad(1); }), "without dots"));
  CHECK(contains(message_of([] { Bad(2); }), "two children of one module are named \"a\""));
  CHECK(contains(message_of([] { Bad(3); }), "floating-point"));
}

TEST_CASE("frozen parameters stand still, and go on where they stopped once they thaw") {
  const Classifier a;
  optim::SGD sgd(a.parameters(), {.lr = 0.1, .momentum = 0});
  const auto numbers = [&] {
    std::vector<double> all;
    for (const auto& p : a.parameters())
      for (const double v : p.tensor.to_vector<double>()) all.push_back(v);
    return all;
  };
  const auto step = [&](bool clear) {
    const Tensor y = a.forward(hashed_tensor({6, 4}, 3));
    if (y.requires_grad()) backward(ops::sum(ops::mul(y, hashed_tensor({6, 2}, 4))));
    sgd.step();
    if (clear) clear_grads(a.parameters());
  };
  const auto start = numbers();
  step(false);
  const auto moved = numbers();
  CHECK(moved != start);
  a.set_requires_grad(false);  // its gradients go, too
  for (const auto& p : a.parameters()) CHECK_FALSE(p.tensor.grad().defined());
  step(true);
  CHECK(numbers() == moved);
  a.set_requires_grad(true);
  step(true);
  CHECK(numbers() != moved);
  for (const auto& p : sgd.parameters()) CHECK_FALSE(p.tensor.grad().defined());  // cleared through other handles

  // Frozen between the passes: nothing arrives.
  const Tensor loss = ops::sum(ops::mul(a.forward(hashed_tensor({6, 4}, 3)), hashed_tensor({6, 2}, 4)));
  a.set_requires_grad(false);
  backward(loss);
  for (const auto& p : a.parameters()) CHECK_FALSE(p.tensor.grad().defined());
}

TEST_CASE("a module keeps the name that each parent gave it") {
  struct Holder : nn::Module {
    Holder(const std::string& name, const nn::Linear& layer) { add_child(name, layer); }
    void also(const std::string& name, const nn::Linear& layer) { add_child(name, layer); }
  };
  const nn::Linear layer(2, 1);
  Holder first("backbone", layer);
  const Holder second("body", layer);
  CHECK(names(first.state()) == std::vector<std::string>{"backbone.weight", "backbone.bias"});
  CHECK(names(second.state()) == std::vector<std::string>{"body.weight", "body.bias"});
  first.also("twin", layer);
  CHECK(names(first.state()) == std::vector<std::string>{"backbone.weight", "backbone.bias", "twin.weight", "twin.bias"});
}
