#include <doctest/doctest.h>

#include "reference.hpp"
#include "sslcake/optim/ema.hpp"

using namespace sslcake;

TEST_CASE("the average, step by step as PyTorch's") {
  Parameters p{start("weight", {2, 3}), start("bias", {2})};
  optim::Ema average(p, 0.9);
  int step = 0;
  for (const auto& expected : reference("average")) {
    for (auto& q : p) {
      const Tensor g = gradient(q.tensor, step);
      for (std::int64_t i = 0; i < g.numel(); ++i) q.tensor.mutable_data<float>()[i] -= 0.1f * g.data<float>()[i];
    }
    average.update();
    check_close(average.state(), expected, 1e-6);
    ++step;
  }
  CHECK(step == 8);
}

TEST_CASE("swap exchanges network and average, and back; buffers are copied") {
  Parameter weight = start("weight", {3});
  Parameter count;
  count.name = "count";
  count.tensor = zeros({}, DType::int64);
  count.buffer = true;
  optim::Ema average({weight, count}, 0.5);
  weight.tensor.mutable_data<float>()[0] = 3;  // was 1
  count.tensor.mutable_data<std::int64_t>()[0] = 7;
  average.update();
  CHECK(average.state()[0].tensor.data<float>()[0] == 2);
  CHECK(average.state()[1].tensor.item() == 7);
  average.swap();
  CHECK(weight.tensor.data<float>()[0] == 2);
  CHECK(average.state()[0].tensor.data<float>()[0] == 3);
  average.swap();
  CHECK(weight.tensor.data<float>()[0] == 3);
  CHECK_FALSE(average.state()[0].tensor.requires_grad());
}

TEST_CASE("a tensor of two names moves once, and is exchanged once") {
  const Tensor shared = full({3}, 1);
  const Parameters weights{{"a", shared}, {"b", shared}};
  const Tensor teacher = zeros({3});
  optim::ema_update({{"a", teacher}, {"b", teacher}}, weights, 0.75);
  CHECK(teacher.to_vector<float>() == std::vector<float>(3, 0.25f));

  optim::Ema average(weights, 0.5);
  Tensor moved = shared;
  copy_into(moved, full({3}, 3));
  average.update();
  CHECK(average.state()[1].tensor.to_vector<float>() == std::vector<float>(3, 2));
  average.swap();
  CHECK(shared.to_vector<float>() == std::vector<float>(3, 2));
  average.swap();
  CHECK(shared.to_vector<float>() == std::vector<float>(3, 3));
}

TEST_CASE("what is refused") {
  const Parameters p{start("weight", {3})}, other{start("bias", {3})}, more{start("weight", {4})};
  CHECK_THROWS_AS(optim::Ema(p, 1.5), Error);
  CHECK_THROWS_AS(optim::Ema(p, -0.1), Error);
  CHECK_THROWS_AS(optim::ema_update(p, {}, 0.5), Error);
  CHECK_THROWS_AS(optim::ema_update(p, other, 0.5), Error);
  CHECK_THROWS_AS(optim::ema_update(p, more, 0.5), Error);
}

TEST_CASE("weights of other types are averaged as well") {
  for (const auto type : {DType::float64, DType::bfloat16}) {
    Parameter average, weight;
    average.name = weight.name = "w";
    average.tensor = zeros({3}, type);
    weight.tensor = ones({3}, type);
    optim::ema_update({average}, {weight}, 0.75);
    CHECK(average.tensor.to(DType::float32).to_vector<float>() == std::vector<float>{0.25f, 0.25f, 0.25f});
  }
}
