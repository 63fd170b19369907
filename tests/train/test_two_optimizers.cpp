// Tasks with two optimisers, stepped in turn: what is told of them, and what each is clipped by.
#include <doctest/doctest.h>

#include <fstream>
#include <limits>

#include <sslcake/io/json.hpp>

#include "runs.hpp"

using namespace sslcake;
using namespace toy;

namespace {

train::FitOptions one_epoch(std::int64_t batch) {
  train::FitOptions o;
  o.epochs = 1;
  o.batch = batch;
  return o;
}

/// The second player's loss is not finite.
struct BadSecond : TwoPlayers {
  using TwoPlayers::TwoPlayers;
  pretext::Outcome loss(const pretext::Batch& batch, int turn) {
    auto outcome = TwoPlayers::loss(batch, turn);
    if (turn == 1) outcome.loss = outcome.loss * std::numeric_limits<float>::infinity();
    return outcome;
  }
};

}  // namespace

TEST_CASE("where the second optimiser's loss is not finite, the message says that the first has stepped") {
  seed(3);
  BadSecond task(TinyEncoder{});
  train::Trainer trainer(task);
  const auto text = message([&] { trainer.fit(stripes(16), one_epoch(4)); });
  CHECK(contains(text, "Optimiser 1 has not made the step, those before it have"));
  CHECK_FALSE(contains(text, "The weights are those before"));
}

TEST_CASE("of two players the log tells the first one's loss, in steps as in epochs, and the metrics of both") {
  struct Players : TwoPlayers {
    using TwoPlayers::TwoPlayers;
    pretext::Outcome loss(const pretext::Batch& batch, int turn) {
      auto outcome = TwoPlayers::loss(batch, turn);
      losses.push_back(outcome.loss.item());
      outcome.metrics = {{turn == 0 ? "critic" : "generator", 1.0 + turn}};
      return outcome;
    }
    std::vector<double> losses;
  };
  seed(3);
  Players task(TinyEncoder{});
  const Folder folder("players");
  auto o = one_epoch(4);
  o.out = folder.path;
  o.log_steps = 1;
  train::Trainer trainer(task);
  trainer.fit(stripes(16), o);
  std::ifstream file(folder.path + "/metrics.jsonl");
  std::size_t step = 0;
  double sum = 0;
  for (std::string line; std::getline(file, line); ++step) {
    const auto json = io::Json::parse(line);
    const double wanted = step < 4 ? task.losses.at(2 * step) : sum / 4;
    CHECK(json.at("loss").as_double() == doctest::Approx(wanted).epsilon(1e-4));
    CHECK(json.at("critic").as_double() == 1);
    CHECK(json.at("generator").as_double() == 2);
    sum += wanted;
  }
  CHECK(step == 5);
}

TEST_CASE("one name for a metric of both players is refused") {
  struct Same : TwoPlayers {
    using TwoPlayers::TwoPlayers;
    pretext::Outcome loss(const pretext::Batch& batch, int turn) {
      auto outcome = TwoPlayers::loss(batch, turn);
      outcome.metrics = {{"accuracy", 0.5}};
      return outcome;
    }
  };
  seed(3);
  Same task(TinyEncoder{});
  train::Trainer trainer(task);
  CHECK(contains(message([&] { trainer.fit(stripes(16), one_epoch(4)); }), "got \"accuracy\", which two metrics have"));
}

TEST_CASE("each of two optimisers is clipped by the norm of its own gradients") {
  // The critic's gradient in the generator's turn is large and nobody's.
  struct Steep : TwoPlayers {
    using TwoPlayers::TwoPlayers;
    pretext::Outcome loss(const pretext::Batch& batch, int turn) {
      auto outcome = TwoPlayers::loss(batch, turn);
      if (turn == 1) outcome.loss = outcome.loss + scale * ops::sum(critic.forward(ones({1, 8})));
      return outcome;
    }
    float scale = 0;
  };
  const auto generator = [](float scale) {
    seed(3);
    Steep task(TinyEncoder{});
    task.scale = scale;
    auto o = one_epoch(16);
    o.clip = 0.01;
    train::Trainer trainer(task);
    trainer.fit(stripes(16), o);
    return task.generator.weight().to_vector<float>();
  };
  CHECK(generator(0) == generator(1e4f));
}
