#include <doctest/doctest.h>

#include <sslcake/data/builtin.hpp>
#include <sslcake/nn/cakenet.hpp>
#include <sslcake/optim/sgd.hpp>
#include <sslcake/pretext/simclr.hpp>
#include <sslcake/train/trainer.hpp>

#include <algorithm>
#include <cmath>

#include "../worse.hpp"

using namespace sslcake;

namespace {

std::vector<double> losses(DType precision) {
  seed(5);
  pretext::SimCLR task(nn::cakenet({.width = 16}), {.temperature = 0.2f, .augmentation = {.size = 32}});
  optim::SGD optimizer(task.parameters(), {.lr = 0.05, .momentum = 0.9, .weight_decay = 5e-4});
  std::vector<double> all;
  train::FitOptions o;
  o.epochs = 40;
  o.batch = 64;
  o.seed = 3;
  o.warmup_epochs = 2;
  o.precision = precision;
  o.progress = [&](const train::Progress& p) {
    if (p.kind == train::Progress::Kind::epoch) all.push_back(p.loss);
  };
  train::Trainer trainer(task, optimizer);
  CHECK(trainer.fit(data::Builtin(data::Split::train, 320), o).steps == 200);
  return all;
}

}  // namespace

TEST_CASE("200 steps in bfloat16 follow those in float32") {
  const auto single = losses(DType::float32), half = losses(DType::bfloat16);
  REQUIRE(single.size() == 40);
  REQUIRE(half.size() == 40);
  double apart = 0;
  for (std::size_t i = 0; i < single.size(); ++i) apart = test::worse(apart, std::abs(single[i] - half[i]));
  MESSAGE("loss from " << single.front() << " to " << single.back() << " in float32, to " << half.back()
                       << " in bfloat16; at most " << apart << " apart");
  CHECK(single.back() < single.front() - 0.5);
  CHECK(apart < 0.2);
  CHECK(apart > 0);  // it is another arithmetic
}
