#include <doctest/doctest.h>

#include <sslcake/core/threads.hpp>
#include <sslcake/data/builtin.hpp>
#include <sslcake/nn/encoder.hpp>
#include <sslcake/optim/sgd.hpp>
#include <sslcake/pretext/simclr.hpp>
#include <sslcake/train/trainer.hpp>

using namespace sslcake;

namespace {
/// SimCLR that remembers the loss of every step.
struct Remembering : pretext::SimCLR<nn::AnyEncoder> {
  using SimCLR::SimCLR;
  pretext::Outcome loss(const pretext::Batch& batch) {
    auto outcome = SimCLR::loss(batch);
    losses.push_back(outcome.loss.item());
    return outcome;
  }
  std::vector<double> losses;
};
}  // namespace

TEST_CASE("fifty steps of SimCLR: the same losses bit for bit with one and two threads") {
  const data::Builtin pictures(data::Split::train, 800);
  const int before = threads();
  const auto losses = [&](int n) {
    set_threads(n);
    seed(4);
    Remembering task(nn::make_encoder("cakenet-w16", {.stem = nn::Stem::small}), {.temperature = 0.2f});
    train::Trainer trainer(task, optim::SGD(task.parameters(), {.lr = 0.1, .momentum = 0.9}));
    train::FitOptions o;
    o.epochs = 5;
    o.batch = 80;  // 10 steps an epoch
    o.seed = 4;
    trainer.fit(pictures, o);
    auto all = task.losses;
    CHECK(all.size() == 50);
    for (const auto& p : task.parameters())
      for (const float w : p.tensor.to_vector<float>()) all.push_back(static_cast<double>(w));
    return all;
  };
  const auto one = losses(1), two = losses(2);
  set_threads(before);
  CHECK(one.size() > 50);
  CHECK(one == two);
}
