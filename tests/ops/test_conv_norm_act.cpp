#include "fixture.hpp"

#include <array>

#include "sslcake/core/threads.hpp"
#include "sslcake/ops/conv_norm_act.hpp"

using namespace sslcake;
using namespace op_test;
using ops::Activation;

namespace {

/// Composed while it lives.
struct Composed {
  bool before = ops::fuse();
  explicit Composed(bool composed = true) { ops::set_fuse(!composed); }
  ~Composed() { ops::set_fuse(before); }
};

constexpr Activation every_activation[] = {Activation::none, Activation::relu, Activation::leaky_relu, Activation::silu,
                                           Activation::gelu};

struct Unit {
  Activation activation;
  bool residual, training;
  ops::ConvOptions conv;
  /// x, weight, gamma, beta (, residual)
  Tensor operator()(const Tensors& x) const {
    ops::NormState norm{x[2], x[3], {}, {}, {}};
    norm.training = training;
    if (!training) {
      norm.running_mean = full({x[1].dim(0)}, 0.1, x[1].dtype(), x[1].device());
      norm.running_var = full({x[1].dim(0)}, 0.6, x[1].dtype(), x[1].device());
    }
    return ops::conv_norm_act(x[0], x[1], norm, activation, residual ? x[4] : Tensor{}, conv);
  }
};

Tensors inputs(const Shape& x, const Shape& w, const Shape& y, bool residual, std::uint64_t key) {
  Tensors out = {random_input(x, key), random_input(w, key + 1), random_input({w[0]}, key + 2, 0.5, 1.5),
                 random_input({w[0]}, key + 3)};
  if (residual) out.push_back(random_input(y, key + 4));
  return out;
}

/// A layer as in a network: everything it returns and changes.
std::vector<Tensor> run_layer(const Shape& x_shape, const Shape& w_shape, const Unit& unit, DType dtype) {
  const auto leaf = [&](const Shape& s, std::uint64_t key, double low = -1) {
    Tensor t = random_input(s, key, low).to(dtype).clone();
    return t.set_requires_grad();
  };
  Tensor x = leaf(x_shape, 1), w = leaf(w_shape, 2);
  ops::NormState norm{leaf({w_shape[0]}, 3, 0.5), leaf({w_shape[0]}, 4), zeros({w_shape[0]}, dtype), ones({w_shape[0]}, dtype),
                      arange(1)};
  norm.training = unit.training;
  const Shape y_shape = ops::conv2d(x.detach(), w.detach(), unit.conv).shape();
  Tensor residual;
  if (unit.residual) residual = leaf(y_shape, 5);
  const Tensor y = ops::conv_norm_act(x, w, norm, unit.activation, residual, unit.conv);
  backward(y, random_input(y_shape, 6).to(dtype));
  return {y,
          x.grad(),
          w.grad(),
          norm.gamma.grad(),
          norm.beta.grad(),
          residual.grad(),
          norm.running_mean,
          norm.running_var,
          norm.num_batches_tracked};
}

constexpr const char* part_names[] = {
    "y", "dx", "dweight", "dgamma", "dbeta", "dresidual", "running_mean", "running_var", "num_batches_tracked"};

}  // namespace

OP_CASE("activate") {
  for (const Activation a : {Activation::relu, Activation::leaky_relu, Activation::silu, Activation::gelu})
    for (const Shape& s : usual_shapes())
      gradcheck([=](const Tensors& x) { return ops::activate(x[0], a); }, {random_input(s, 1, -1, 1, {0})});
}

OP_CASE("conv_norm_act") {
  for (const bool composed : {false, true}) {
    const Composed choice(composed);
    for (const bool training : {true, false})
      for (const bool residual : {false, true}) {
        for (const Activation a : {Activation::none, Activation::relu}) {
          gradcheck(Unit{a, residual, training, {.padding = 1}}, inputs({2, 3, 3, 2}, {2, 3, 3, 2}, {2, 3, 3, 2}, residual, 1));
          gradcheck(Unit{a, residual, training, {}}, inputs({2, 1, 1, 1}, {1, 1, 1, 1}, {2, 1, 1, 1}, residual, 9));
        }
        gradcheck(Unit{Activation::silu, residual, training, {}}, inputs({0, 3, 3, 2}, {2, 1, 1, 2}, {0, 3, 3, 2}, residual, 3));
      }
    gradcheck(Unit{Activation::gelu, true, true, {.stride = 2, .padding = 1, .groups = 3}},
              inputs({1, 5, 3, 3}, {3, 3, 3, 1}, {1, 3, 2, 3}, true, 5));
  }
}

TEST_CASE("the fused unit agrees with PyTorch, fused and composed") {
  for (const bool composed : {false, true}) {
    const Composed choice(composed);
    for (const DType dtype : {DType::float64, DType::float32}) {
      const double tolerance = dtype == DType::float64 ? 1e-10 : 2e-5;
      int cases = 0;
      for (auto& c : load_fixtures("conv_norm_act")) {
        ++cases;
        for (auto& [key, t] : c.tensors) {
          t = t.to(dtype).clone();
          if (c.gradients.count(key)) t.set_requires_grad();
        }
        ops::NormState norm{c["gamma"], c["beta"], {}, {}, {}};
        norm.training = c.number("training") != 0;
        if (!norm.training) {
          norm.running_mean = c["running_mean"];
          norm.running_var = c["running_var"];
        }
        const Tensor y = ops::conv_norm_act(c["x"], c["w"], norm, static_cast<Activation>(c.integer("activation")),
                                            c.has("residual") ? c["residual"] : Tensor{}, {.stride = 2, .padding = 1});
        check_close(y, c.output, tolerance, 4 * tolerance, c.name);
        backward(y, c.weight.to(dtype));
        for (const auto& [key, expected] : c.gradients)
          check_close(c[key].grad(), expected, tolerance, 10 * tolerance, c.name + " gradient of " + key);
      }
      CHECK(cases >= 11);
    }
  }
}

TEST_CASE("fused and composed units are equal: result, gradients, running statistics") {
  struct Layer {
    Shape x, w;
    ops::ConvOptions conv;
  };
  const std::array<Layer, 4> layers = {
      Layer{{4, 8, 8, 16}, {16, 3, 3, 16}, {.padding = 1}}, Layer{{3, 9, 7, 5}, {7, 3, 3, 5}, {.stride = 2, .padding = 1}},
      Layer{{2, 6, 6, 8}, {40, 1, 1, 8}, {}}, Layer{{5, 4, 4, 12}, {12, 3, 3, 1}, {.padding = 1, .groups = 12}}};
  for (const Layer& layer : layers)
    for (const Activation a : every_activation)
      for (const bool residual : {false, true})
        for (const bool training : {false, true})
          for (const DType dtype : {DType::float32, DType::float64}) {
            const Shape &x = layer.x, &w = layer.w;
            INFO("x " << x.str() << " w " << w.str() << " " << name_of(a) << " residual " << residual << " training " << training
                      << " " << name_of(dtype));
            const Unit unit{a, residual, training, layer.conv};
            const auto fused = run_layer(x, w, unit, dtype);
            const Composed choice;
            const auto composed = run_layer(x, w, unit, dtype);
            for (std::size_t i = 0; i < fused.size(); ++i) {
              if (!fused[i].defined()) {
                CHECK(!composed[i].defined());
                continue;
              }
              double largest = 1;
              for (const double v : composed[i].to_vector<double>()) largest = std::max(largest, std::abs(v));
              const double tolerance = dtype == DType::float64 ? 1e-12 : 5e-6;
              check_close(fused[i], composed[i], 0, tolerance * largest, part_names[i]);
            }
          }
}

TEST_CASE("the fused unit gives the same bits for every number of threads") {
  const int before = threads();
  for (const bool residual : {false, true}) {
    std::vector<Tensor> first;
    for (const int n : {1, 2, 5}) {
      set_threads(n);
      const auto parts =
          run_layer({16, 16, 16, 24}, {24, 3, 3, 24}, {Activation::relu, residual, true, {.padding = 1}}, DType::float32);
      if (first.empty()) first = parts;
      for (std::size_t i = 0; i < parts.size(); ++i)
        CHECK_MESSAGE(same_bits(parts[i], first[i]), part_names[i], " with ", n, " threads");
    }
  }
  set_threads(before);
}

TEST_CASE("the fused unit keeps one activation, and none without a tape") {
  const Tensor plain = random_input({8, 16, 16, 32}, 1).to(DType::float32);
  Tensor x = plain.clone(), w = random_input({32, 1, 1, 32}, 2).to(DType::float32);
  w.set_requires_grad();
  const std::size_t activation = plain.bytes(), slack = activation / 8;
  for (const bool recording : {true, false}) {
    std::unique_ptr<NoGrad> none = recording ? nullptr : std::make_unique<NoGrad>();
    const auto before = memory_stats().in_use;
    Tensor y = ops::conv_norm_act(x, w, {}, Activation::relu);
    CHECK(memory_stats().in_use - before <= (recording ? 2 : 1) * activation + slack);  // y, and z where there is a backward pass
    if (!recording) continue;
    const Tensor dy = plain.clone();
    const auto held = memory_stats().in_use;
    reset_peak_memory();
    backward(y, dy);  // dz takes z's place; x wants no gradient
    CHECK(memory_stats().peak - held <= activation + slack);
  }
}

TEST_CASE("the fused unit says what does not fit") {
  const Tensor x = zeros({2, 4, 4, 3}), w = zeros({5, 3, 3, 3});
  for (const bool composed : {false, true}) {
    const Composed choice(composed);
    check_error([&] { ops::conv_norm_act(x, zeros({5, 3, 3, 4}), {}); }, {"[conv_norm_act]", "C/groups = 3", "(5,3,3,4)"});
    check_error([&] { ops::conv_norm_act(x, w, {.gamma = zeros({3})}); }, {"[conv_norm_act]", "gamma", "(5)", "(3)"});
    check_error(
        [&] {
          ops::conv_norm_act(x, w, {}, Activation::relu, zeros({2, 4, 4, 5}));
        },
        {"[conv_norm_act]", "residual", "(2,2,2,5)", "(2,4,4,5)"});
    check_error([&] { ops::conv_norm_act(zeros({1, 3, 3, 3}), w, {}); }, {"more than one element", "(1,1,1,5)"});
  }
  check_error([&] { ops::activate(x, static_cast<Activation>(77)); }, {"[activate]", "77"});
}

TEST_CASE("a result that was changed in place before it was saved is kept, not made again") {
  const Tensor x = random_input({2, 6, 6, 4}, 1), w = random_input({4, 3, 3, 4}, 2), other = random_input({2, 6, 6, 4}, 3);
  Tensor gradients[2];
  for (const bool again : {false, true}) {
    autograd::set_recompute(again);
    Tensor first = w.clone(), second = w.clone();
    first.set_requires_grad();
    second.set_requires_grad();
    Tensor y = ops::conv_norm_act(x, first, {}, Activation::relu, {}, {.padding = 1});
    copy_into(y, other);
    backward(ops::conv2d(y, second, {.padding = 1}), other);
    gradients[again] = second.grad();
  }
  CHECK(same_bits(gradients[0], gradients[1]));
}

TEST_CASE("in training the result depends on the batch alone, not on running statistics that went wrong") {
  const Unit unit{Activation::relu, false, true, {.padding = 1}};
  const auto with_mean = [&](float mean) {
    const Tensor x = random_input({4, 5, 5, 8}, 1).to(DType::float32), w = random_input({8, 3, 3, 8}, 2).to(DType::float32);
    ops::NormState norm{ones({8}), zeros({8}), full({8}, mean), ones({8}), arange(1)};
    norm.training = true;
    return ops::conv_norm_act(x, w, norm, unit.activation, Tensor{}, unit.conv).to_vector<float>();
  };
  const auto wanted = with_mean(0);
  for (const float wrong : {std::nanf(""), INFINITY, 1e30f, -1e19f}) {
    const auto got = with_mean(wrong);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(wanted[i]).epsilon(1e-3));
  }
}
