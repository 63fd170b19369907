// Optimisers, norms and averages on CUDA against the CPU's.
#include <doctest/doctest.h>

#include <cmath>

#include "sslcake/core/random.hpp"
#include "sslcake/kernels/cuda/install.hpp"
#include "sslcake/optim/clip.hpp"
#include "sslcake/optim/ema.hpp"
#include "sslcake/optim/make.hpp"

using namespace sslcake;

namespace {

Parameters parameters(Device device, std::uint64_t key) {
  Random random(key, Purpose::test);
  Parameters out;
  for (const auto& shape : {Shape{40, 511}, Shape{1}, Shape{0}, Shape{33000}, Shape{7}}) {
    Parameter p;
    p.name = concat("p", out.size());
    p.tensor = random_normal(shape, random).to(device);
    p.tensor.set_requires_grad();
    p.norm_or_bias = shape.numel() == 7;
    out.push_back(p);
  }
  return out;
}
void give_gradients(Parameters& parameters, std::uint64_t key) {
  Random random(key, Purpose::test);
  for (auto& p : parameters) p.tensor.set_grad(random_normal(p.tensor.shape(), random).to(p.tensor.device()));
}
double distance(const Tensor& a, const Tensor& b) {
  const auto p = a.to_vector<double>(), q = b.to_vector<double>();
  double worst = 0;
  for (std::size_t i = 0; i < p.size(); ++i) worst = std::fmax(worst, std::fabs(p[i] - q[i]) / (1 + std::fabs(q[i])));
  return worst;
}

}  // namespace

TEST_CASE("a few steps on CUDA are those of the CPU") {
  cuda::install();
  for (const char* name : {"sgd", "adam", "adamw", "lars"}) {
    CAPTURE(name);
    optim::Options how{.lr = 0.1, .weight_decay = 0.01};
    if (name == std::string("sgd") || name == std::string("lars")) how.momentum = 0.9, how.nesterov = true;
    auto here = parameters(Device::cpu, 1), there = parameters(Device::cuda, 1);
    auto cpu = optim::make(name, here, how), gpu = optim::make(name, there, how);
    for (std::uint64_t step = 0; step < 3; ++step) {
      give_gradients(here, 10 + step);
      give_gradients(there, 10 + step);
      cpu.step();
      gpu.step();
    }
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(distance(there[i].tensor, here[i].tensor) < 1e-5);
    const auto a = gpu.state(), b = cpu.state();
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(distance(a[i].tensor, b[i].tensor) < 1e-5);
  }
}

TEST_CASE("nothing moves while the guard is set") {
  cuda::install();
  auto there = parameters(Device::cuda, 1);
  const auto before = there[0].tensor.to_vector<float>();
  auto gpu = optim::make("sgd", there, {.lr = 0.1});
  give_gradients(there, 2);
  gpu.step(full({}, 3, DType::int64, Device::cuda));
  CHECK(there[0].tensor.to_vector<float>() == before);
  gpu.step(zeros({}, DType::int64, Device::cuda));
  CHECK(there[0].tensor.to_vector<float>() != before);
}

TEST_CASE("norm, clipping and averages") {
  cuda::install();
  auto here = parameters(Device::cpu, 4), there = parameters(Device::cuda, 4);
  give_gradients(here, 5);
  give_gradients(there, 5);
  CHECK(optim::grad_norm(there) == doctest::Approx(optim::grad_norm(here)).epsilon(1e-7));
  CHECK(optim::clip_grad_norm(there, 2.5) == doctest::Approx(optim::clip_grad_norm(here, 2.5)).epsilon(1e-7));
  CHECK(optim::grad_norm(there) == doctest::Approx(2.5).epsilon(1e-5));
  for (std::size_t i = 0; i < here.size(); ++i) CHECK(distance(there[i].tensor.grad(), here[i].tensor.grad()) < 1e-6);

  optim::Ema a(here, 0.9), b(there, 0.9);
  for (auto* some : {&here, &there})
    for (auto& p : *some) copy_into(p.tensor, full(p.tensor.shape(), 3, DType::float32));
  a.update();
  b.update();
  b.swap();
  for (std::size_t i = 0; i < here.size(); ++i) CHECK(distance(there[i].tensor, a.state()[i].tensor) < 1e-6);
}

TEST_CASE("a rule of one's own has no kernel there, and says so") {
  cuda::install();
  auto there = parameters(Device::cuda, 1);
  optim::Optimizer mine({{there}}, {.name = "mine", .lr = 0.1, .update = [](const optim::Update&) {}});
  give_gradients(there, 2);
  CHECK_THROWS_WITH_AS(mine.step(), doctest::Contains("[mine]"), Error);
}
