// What a task may hand to the trainer, and what the trainer tells of it.
#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <thread>

#include <sslcake/data/dataset.hpp>
#include <sslcake/io/json.hpp>

#include "runs.hpp"

using namespace sslcake;
using namespace toy;

namespace {

/// One view a picture, one number a picture to learn; what it tells is what the test wants.
struct Telling {
  using Metrics = std::vector<pretext::Metric>;
  static constexpr bool couples_batch = false;
  TinyEncoder encoder;
  std::function<std::vector<pretext::Metric>(const pretext::Batch&)> metrics = [](const auto&) { return Metrics{}; };
  DType embedding = DType::float32;

  pretext::Views views() const { return {{augment::evaluation(8)}}; }
  pretext::Modules modules() const { return {pretext::part("encoder", encoder, true)}; }
  pretext::Outcome loss(const pretext::Batch& batch) {
    const Tensor h = encoder.forward(batch.images).pooled;
    return {ops::mean(h * h), 0, metrics(batch), ops::cast(h.detach(), embedding)};
  }
  Parameters parameters() const { return pretext::trained_parameters(modules()); }
};

struct Told {
  std::vector<train::Progress> epochs;
  std::string error;
};

Told fit(Telling& task, train::FitOptions o) {
  Told told;
  o.progress = [&](const train::Progress& p) { if (p.kind == train::Progress::Kind::epoch) told.epochs.push_back(p); };
  train::Trainer trainer(task, optim::make("sgd", task.parameters(), {.lr = 0.01}));
  told.error = message([&] { trainer.fit(stripes(16), o); });
  return told;
}

train::FitOptions short_run(std::int64_t batch, int accumulate = 1) {
  train::FitOptions o;
  o.epochs = 2;
  o.batch = batch;
  o.accumulate = accumulate;
  return o;
}

double metric(const train::Progress& p, const std::string& name) {
  for (const auto& m : p.metrics)
    if (m.name == name) return m.value;
  return std::nan("");
}

/// The loss is finite where its gradient is not: the root of 0.
struct SteepAtZero : Telling {
  pretext::Outcome loss(const pretext::Batch& batch) {
    const Tensor h = encoder.forward(batch.images).pooled;
    return {pretext::in_module("root", [&] { return ops::mean(ops::sqrt(h - h)); }), 0, {}, {}};
  }
};

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

TEST_CASE("an optimiser of parameters that no module has is refused") {
  Telling task;
  auto parameters = task.parameters();
  nn::Linear outside(8, 2);
  for (auto p : outside.parameters()) {
    p.name = "outside." + p.name;
    parameters.push_back(p);
  }
  train::Trainer trainer(task, optim::make("sgd", parameters, {.lr = 0.01}));
  CHECK(contains(message([&] { trainer.fit(stripes(16), short_run(4)); }), "modules() have, got outside."));
}

TEST_CASE("collapse meters: one picture has none, pieces have them together, any real type will do") {
  Telling task;
  CHECK(std::isnan(metric(fit(task, short_run(1)).epochs.at(0), "deviation")));
  CHECK(metric(fit(task, short_run(4, 4)).epochs.at(0), "effective_rank") > 0);
  for (const auto type : {DType::float64, DType::bfloat16}) {
    task.embedding = type;
    const auto told = fit(task, short_run(4));
    CHECK(told.error.empty());
    CHECK(metric(told.epochs.at(1), "deviation") > 0);
  }
}

TEST_CASE("accumulation: metrics are those of the whole batch, and pieces know their place") {
  std::vector<std::int64_t> epochs, numbers;
  Telling task;
  task.metrics = [&](const pretext::Batch& batch) {
    epochs.push_back(batch.epoch);
    numbers.push_back(batch.number);
    double sum = 0;
    for (const auto i : batch.indices) sum += static_cast<double>(i);
    return std::vector<pretext::Metric>{{"mean_index", sum / static_cast<double>(batch.indices.size())}};
  };
  const auto told = fit(task, short_run(8, 4));
  CHECK(metric(told.epochs.at(0), "mean_index") == doctest::Approx(7.5));  // every picture once
  CHECK(epochs == std::vector<std::int64_t>{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1});
  CHECK(numbers == std::vector<std::int64_t>{0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1});
}

TEST_CASE("the names of metrics: escaped in the log; two of one name, and the log's own, are refused") {
  Telling task;
  const Folder folder("names");
  const std::string strange = "share \"of\" a\\b\n";
  task.metrics = [&](const auto&) { return std::vector<pretext::Metric>{{strange, 0.5}}; };
  auto o = short_run(4);
  o.out = folder.path;
  o.log_steps = 1;
  CHECK(fit(task, o).error.empty());
  std::ifstream file(folder.path + "/metrics.jsonl");
  int lines = 0;
  for (std::string line; std::getline(file, line); ++lines) CHECK(io::Json::parse(line).at(strange).as_double() == 0.5);
  CHECK(lines == 10);

  for (const char* taken : {"loss", "deviation", "waited", "kind"}) {
    task.metrics = [&](const auto&) { return std::vector<pretext::Metric>{{"mine", 1}, {taken, 0.5}}; };
    CHECK(contains(fit(task, short_run(4)).error, concat("got \"", taken, "\", which the trainer writes itself")));
  }
  task.metrics = [&](const auto&) { return std::vector<pretext::Metric>{{"twice", 1}, {"twice", 2}}; };
  CHECK(contains(fit(task, short_run(4)).error, "got \"twice\", which two metrics of the task have"));
}

TEST_CASE("the seconds that an epoch waited are its own") {
  const auto pictures = stripes(8);
  const data::FunctionDataset slow(8, [&](std::int64_t i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return pictures.image(i);
  });
  Telling task;
  train::Trainer trainer(task, optim::make("sgd", task.parameters(), {.lr = 0.01}));
  auto o = short_run(8);
  o.epochs = 8;
  o.workers = 0;
  double waited = 0, seconds = 0;
  o.progress = [&](const train::Progress& p) {
    if (p.kind != train::Progress::Kind::epoch) return;
    waited += p.waited;
    seconds = p.seconds;
  };
  // Every epoch reads anew: what is in memory, as a cache would be, is read without a wait.
  struct Uncached : data::Dataset {
    explicit Uncached(const data::Dataset& d) : inner(d) {}
    const data::Dataset& inner;
    std::int64_t size() const override { return inner.size(); }
    image::Image image(std::int64_t i) const override { return inner.image(i); }
    bool in_memory() const override { return true; }
  };
  trainer.fit(Uncached(slow), o);
  CHECK(waited > 0);
  CHECK(waited <= seconds);
}

TEST_CASE("a gradient that is not finite stops the run with the name of its op") {
  SteepAtZero task;
  train::Trainer trainer(task, optim::make("sgd", task.parameters(), {.lr = 0.01}));
  const auto before = weights(task.modules());
  const auto text = message([&] { trainer.fit(stripes(16), short_run(4)); });
  CHECK(contains(text, "loss 0. "));
  CHECK(contains(text, "of sqrt in root is not finite"));
  CHECK(contains(text, "The weights are those before the step"));
  CHECK(weights(task.modules()) == before);
}

TEST_CASE("where the second optimiser's loss is not finite, the message says that the first has stepped") {
  seed(3);
  BadSecond task(TinyEncoder{});
  train::Trainer trainer(task);
  const auto text = message([&] { trainer.fit(stripes(16), short_run(4)); });
  CHECK(contains(text, "Optimiser 1 has not made the step, those before it have"));
  CHECK_FALSE(contains(text, "The weights are those before"));
}
