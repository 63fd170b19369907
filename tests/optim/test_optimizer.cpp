#include <doctest/doctest.h>

#include <functional>
#include <limits>

#include "reference.hpp"
#include "sslcake/core/threads.hpp"
#include "sslcake/optim/adam.hpp"
#include "sslcake/optim/lars.hpp"
#include "sslcake/optim/make.hpp"
#include "sslcake/optim/muon.hpp"
#include "sslcake/optim/sgd.hpp"

using namespace sslcake;

namespace {

Parameters two(const Shape& weight = {3, 4}) { return {start("weight", weight), start("bias", {5}, true)}; }

optim::Groups groups(const Parameters& p) { return {{{p[0]}}, {{p[1]}, 0.2, 0.0}}; }

void one_step(optim::Optimizer& optimizer, int step) {
  for (auto p : optimizer.parameters()) p.tensor.set_grad(gradient(p.tensor, step));
  optimizer.step();
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Eight steps against the reference (float32 here, float64 there).
void compare(const std::string& name, const std::function<optim::Optimizer(const Parameters&)>& make,
             const Shape& weight = {3, 4}) {
  CAPTURE(name);
  const Parameters p = two(weight);
  auto optimizer = make(p);
  int step = 0;
  for (const auto& expected : reference(name)) {
    CAPTURE(step);
    one_step(optimizer, step++);
    check_close(p, expected, 2e-6);
  }
  CHECK(step == 8);
}

}  // namespace

TEST_CASE("SGD, step by step as in PyTorch") {
  using optim::SGD;
  compare("sgd", [](const Parameters& p) { return SGD(p, {.lr = 0.05}); });
  compare("sgd-decay", [](const Parameters& p) { return SGD(p, {.lr = 0.05, .weight_decay = 0.1}); });
  compare("sgd-momentum", [](const Parameters& p) { return SGD(p, {.lr = 0.05, .momentum = 0.9, .weight_decay = 0.1}); });
  compare("sgd-nesterov",
          [](const Parameters& p) { return SGD(p, {.lr = 0.05, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1}); });
  compare("sgd-groups", [](const Parameters& p) { return SGD(groups(p), {.lr = 0.05, .momentum = 0.9, .weight_decay = 0.1}); });
}

TEST_CASE("Adam and AdamW, step by step as in PyTorch") {
  compare("adam", [](const Parameters& p) { return optim::Adam(p, {.lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6}); });
  compare("adam-decay", [](const Parameters& p) { return optim::Adam(p, {.lr = 0.05, .weight_decay = 0.1}); });
  compare("adamw", [](const Parameters& p) { return optim::AdamW(p, {.lr = 0.05, .weight_decay = 0.1}); });
  compare("adamw-groups", [](const Parameters& p) { return optim::AdamW(groups(p), {.lr = 0.05, .weight_decay = 0.1}); });
}

TEST_CASE("LARS: weights are scaled and decayed, biases neither, as computed with NumPy") {
  using optim::LARS;
  compare("lars", [](const Parameters& p) {
    return LARS(p, {.lr = 0.3, .momentum = 0.9, .weight_decay = 0.01, .trust_coefficient = 0.02});
  });
  compare("lars-nesterov", [](const Parameters& p) {
    return LARS(p, {.lr = 0.3, .momentum = 0.8, .nesterov = true, .weight_decay = 0.01, .trust_coefficient = 0.02});
  });
  compare("lars-plain",
          [](const Parameters& p) { return LARS(p, {.lr = 0.3, .momentum = 0, .weight_decay = 0, .trust_coefficient = 0.02}); });
}

TEST_CASE("Muon: a weight steps as by PyTorch's Muon, a bias as by SGD") {
  using optim::Muon;
  compare("muon", [](const Parameters& p) { return Muon(p, {.lr = 0.02, .momentum = 0.95, .weight_decay = 0.1}); });
  compare("muon-tall", [](const Parameters& p) { return Muon(p, {.lr = 0.02, .momentum = 0.95, .weight_decay = 0}); }, {4, 3});
  compare("muon-plain", [](const Parameters& p) {
    return Muon(p, {.lr = 0.05, .momentum = 0, .nesterov = false, .weight_decay = 0.1});
  });
  compare("muon", [](const Parameters& p) {
    return optim::make("muon", p, {.lr = 0.02, .momentum = 0.95, .weight_decay = 0.1, .nesterov = true});
  });
}

TEST_CASE("LARS: a weight or gradient of norm 0 gets the plain rate") {
  Parameter zero = start("weight", {4});
  zero.tensor = zeros({4});
  zero.tensor.set_requires_grad();
  optim::LARS optimizer(Parameters{zero}, {.lr = 0.5, .momentum = 0, .weight_decay = 0});
  zero.tensor.set_grad(ones({4}));
  optimizer.step();
  CHECK(zero.tensor.to_vector<float>() == std::vector<float>(4, -0.5f));
  zero.tensor.set_grad(zeros({4}));
  optimizer.step();
  CHECK(zero.tensor.to_vector<float>() == std::vector<float>(4, -0.5f));
}

TEST_CASE("a changed learning rate acts at once") {
  const Parameters p = two();
  optim::SGD optimizer(p, {.lr = 0.05, .momentum = 0.9});
  int step = 0;
  for (const auto& expected : reference("sgd-changing-lr")) {
    optimizer.set_lr(0.05 / (1 + step));
    CHECK(optimizer.lr() == 0.05 / (1 + step));
    one_step(optimizer, step++);
    check_close(p, expected, 2e-6);
  }
}

TEST_CASE("make: the same optimisers by name") {
  compare("sgd-nesterov", [](const Parameters& p) {
    return optim::make("sgd", p, {.lr = 0.05, .momentum = 0.9, .weight_decay = 0.1, .nesterov = true});
  });
  compare("adam",
          [](const Parameters& p) { return optim::make("adam", p, {.lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6}); });
  compare("adamw-groups", [](const Parameters& p) { return optim::make("adamw", groups(p), {.lr = 0.05, .weight_decay = 0.1}); });
  compare("lars", [](const Parameters& p) {
    return optim::make("lars", p, {.lr = 0.3, .weight_decay = 0.01, .trust_coefficient = 0.02});
  });
  CHECK(optim::make("adamw", two()).str() == "adamw, beta1 0.9 beta2 0.999 eps 1e-08, weight decay 0.01, 2 parameters");
  CHECK(contains(message_of([] { optim::make("adagrad", two()); }), "expected sgd, adam, adamw, lars or muon, got \"adagrad\""));
  CHECK(contains(message_of([] { optim::make("adam", two(), {.momentum = 0.9}); }), "adam has no option momentum"));
  CHECK(
      contains(message_of([] { optim::make("sgd", two(), {.trust_coefficient = 0.1}); }), "sgd has no option trust_coefficient"));
}

TEST_CASE("an optimiser's text tells what steps otherwise: groups, and numbers to their last digit") {
  const Parameters p = two();
  const auto text = [&](optim::Groups groups, double momentum = 0.9) { return optim::SGD(groups, {.momentum = momentum}).str(); };
  const auto plain = text({{p}});
  CHECK(plain == "sgd, momentum 0.9, weight decay 0, 2 parameters");
  CHECK(text({{{p[0]}}, {{p[1]}}}) == plain);
  CHECK(text({{{p[0]}}, {{p[1]}, 0.1}}) == plain + "; 1 from " + p[1].name + " on: rate times 0.1, weight decay 0");
  CHECK(text({{{p[0]}, 1, 0.05}, {{p[1]}}}) == plain + "; 1 from " + p[0].name + " on: rate times 1, weight decay 0.05");
  CHECK(text({{p}}, 0.12345678) != text({{p}}, 0.1234571));
  CHECK(optim::detail::exact(0.0005) == "0.0005");  // as six digits say it
  CHECK(optim::detail::exact(1.0f / 3) == "0.33333334");
}

TEST_CASE("norms and biases can be spared from decay") {
  const Parameters p = two();
  optim::SGD optimizer(p, {.lr = 0.5, .weight_decay = 0.1, .decay_norm_and_bias = false});
  for (auto q : p) q.tensor.set_grad(zeros_like(q.tensor));
  optimizer.step();
  CHECK(p[0].tensor.data<float>()[0] == doctest::Approx(0.95));
  CHECK(p[1].tensor.data<float>()[0] == 1.0f);
}

TEST_CASE("parameters without gradient stay, and count their own steps") {
  const Parameters p = two();
  optim::Adam optimizer(p, {.lr = 0.1});
  Tensor weight = p[0].tensor, bias = p[1].tensor;
  weight.set_grad(ones(weight.shape()));
  optimizer.step();
  CHECK(bias.data<float>()[0] == 1.0f);
  CHECK(weight.data<float>()[0] == doctest::Approx(0.9));  // Adam's first step is lr
  weight.set_grad(ones(weight.shape()));
  bias.set_grad(ones(bias.shape()));
  optimizer.step();
  CHECK(bias.data<float>()[0] == doctest::Approx(0.9));  // its first
  optimizer.zero_grad();
  CHECK_FALSE(weight.grad().defined());
  CHECK_FALSE(bias.grad().defined());
}

TEST_CASE("a state that is saved and loaded continues bit for bit") {
  for (const char* name : {"sgd", "adam", "adamw", "lars", "muon"}) {
    CAPTURE(name);
    optim::Options options{.lr = 0.05};
    if (std::string(name) == "sgd") options.momentum = 0.9;
    const Parameters p = two();
    auto whole = optim::make(name, p, options);
    for (int step = 0; step < 6; ++step) one_step(whole, step);

    const Parameters q = two();
    StateDict saved, weights;
    {
      auto first = optim::make(name, q, options);
      for (int step = 0; step < 3; ++step) one_step(first, step);
      for (const auto& s : first.state()) saved.emplace_back(s.name, s.tensor.clone());
    }
    options.lr = 0.7;  // the state knows better
    auto second = optim::make(name, q, options);
    second.load_state(saved);
    CHECK(second.lr() == 0.05);
    for (int step = 3; step < 6; ++step) one_step(second, step);
    for (int k = 0; k < 2; ++k)
      CHECK(q[static_cast<std::size_t>(k)].tensor.to_vector<float>() == p[static_cast<std::size_t>(k)].tensor.to_vector<float>());
  }
  auto optimizer = optim::make("adam", two());
  const std::string message = message_of([&] {
    optimizer.load_state({{"lr", scalar(1)}, {"weight.mean", ones({2})}, {"x", ones({1})}});
  });
  CHECK(contains(message, "weight.mean: expected (3,4), got (2)"));
  CHECK(contains(message, "missing: bias.mean_square (5)"));
  CHECK(contains(message, "unexpected: x (1)"));
  CHECK(optimizer.lr() == 1e-3);
}

TEST_CASE("the same bits for any number of threads") {
  for (const char* name : {"sgd", "adamw", "lars"}) {  // Muon: test_muon.cpp
    std::vector<float> results[2];
    for (int run = 0; run < 2; ++run) {
      set_threads(run == 0 ? 1 : 4);
      const Parameters p{start("weight", {300, 333})};
      auto optimizer = optim::make(name, p, {.lr = 0.05, .weight_decay = 0.01});
      for (int step = 0; step < 2; ++step) one_step(optimizer, step);
      results[run] = p[0].tensor.to_vector<float>();
    }
    set_threads(0);
    CHECK(results[0] == results[1]);
  }
}

TEST_CASE("a rule of one's own") {
  const Parameters p = two();
  optim::Optimizer sign(optim::Groups{{p}}, {.name = "sign", .lr = 0.25, .update = [](const optim::Update& u) {
                                               for (std::int64_t i = 0; i < u.size; ++i)
                                                 u.weights[i] -= static_cast<float>(u.lr) * (u.grads[i] > 0 ? 1.0f : -1.0f);
                                             }});
  one_step(sign, 0);
  CHECK(p[0].tensor.data<float>()[0] == 0.75f);
}

TEST_CASE("a rule that treats matrices as such: measure and update see the others only") {
  const Parameters p{start("weight", {3, 4}),     start("kernel", {2, 1, 1, 5}), start("bias", {5}, true),
                     start("scale", {2, 3}, true), start("token", {1, 1, 5}),     start("row", {1, 4})};
  std::vector<std::int64_t> matrices, others, measured;
  set_threads(1);
  optim::Optimizer seen(optim::Groups{{{p[0]}, 0.5}, {{p.begin() + 1, p.end()}}},
                        {.name = "seen", .lr = 0.25,
                         .update =
                             [&](const optim::Update& u) {
                               others.push_back(u.size);
                               CHECK(u.rows == 0);
                             },
                         .measure = [&](const optim::Update& u) -> std::array<double, 2> {
                           measured.push_back(u.size);
                           return {};
                         },
                         .matrix = [&](const optim::Update& u) {
                           matrices.insert(matrices.end(), {u.rows, u.size});
                           CHECK(u.lr == (u.size == 12 ? 0.125 : 0.25));
                         }});
  one_step(seen, 0);
  set_threads(0);
  CHECK(matrices == std::vector<std::int64_t>{3, 12, 2, 10});
  CHECK(others == std::vector<std::int64_t>{5, 6, 5, 4});
  CHECK(measured == others);
}

TEST_CASE("what is refused") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (const double bad : {nan, inf, -inf, -0.1}) {
    CAPTURE(bad);
    CHECK(contains(message_of([&] { optim::SGD(two(), {.lr = bad}); }), "[sgd] expected lr"));
    CHECK(contains(message_of([&] { optim::SGD(two(), {.momentum = bad}); }), "expected momentum"));
    CHECK(contains(message_of([&] { optim::SGD(two(), {.weight_decay = bad}); }), "expected weight decay"));
    CHECK(contains(message_of([&] { optim::Adam(two(), {.beta1 = bad}); }), "expected beta1"));
    CHECK(contains(message_of([&] { optim::AdamW(two(), {.beta2 = bad}); }), "expected beta2"));
    CHECK(contains(message_of([&] { optim::Adam(two(), {.eps = bad}); }), "expected eps"));
    CHECK(contains(message_of([&] { optim::LARS(two(), {.trust_coefficient = bad}); }), "expected trust_coefficient"));
    CHECK(contains(message_of([&] { optim::SGD(two()).set_lr(bad); }), "expected lr"));
    CHECK(contains(message_of([&] { optim::SGD(optim::Groups{{two(), bad}}); }), "expected lr_scale"));
  }
  CHECK(contains(message_of([] { optim::Adam(two(), {.beta1 = 1}); }), "expected beta1"));
  CHECK(contains(message_of([] { optim::SGD(two(), {.nesterov = true}); }), "momentum above 0 with nesterov"));
  CHECK(contains(message_of([] { optim::LARS(two(), {.momentum = 0, .nesterov = true}); }), "momentum above 0 with nesterov"));
  CHECK(contains(message_of([] { optim::Optimizer({{two()}}, {.name = "mine", .lr = 1}); }),
                 "[mine] expected a rule with an update"));
  CHECK(contains(message_of([] { optim::SGD(Parameters{}); }), "at least one parameter"));
  Parameters p = two();
  CHECK(contains(message_of([&] { optim::SGD(Parameters{p[0], p[0]}); }), "two parameters are named weight"));
  Parameter again = p[0];
  again.name = "other";
  CHECK(contains(message_of([&] { optim::SGD(Parameters{p[0], again}); }), "parameter other was given twice"));
  Parameter frozen = start("frozen", {2});
  frozen.tensor.set_requires_grad(false);
  CHECK(contains(message_of([&] { optim::SGD(Parameters{frozen}); }), "frozen takes no gradient"));
  Parameter wide;
  wide.name = "wide";
  wide.tensor = ones({2}, DType::float64);
  wide.tensor.set_requires_grad();
  CHECK(contains(message_of([&] { optim::SGD(Parameters{wide}); }), "expected float32 parameters, got wide of type float64"));
  Parameter buffer = p[0];
  buffer.buffer = true;
  CHECK(optim::SGD(Parameters{buffer, p[1]}).parameters().size() == 1);
}
