// What a task may hand to the trainer, and what the trainer tells of it.
#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include <sslcake/data/dataset.hpp>
#include <sslcake/io/json.hpp>
#include <sslcake/train/checkpoint.hpp>

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

/// Its head is the encoder's convolution under a second name.
struct Tied : Telling {
  pretext::Modules modules() const { return {pretext::part("encoder", encoder, true), pretext::part("head", encoder.conv)}; }
  Parameters parameters() const { return pretext::trained_parameters({pretext::part("encoder", encoder, true)}); }
};

/// Draws from the task's stream, and from a buffer that its forward pass moves; at the third step something is not finite.
struct Drawing : Telling {
  struct Counter : nn::Module {
    Counter() { add_buffer("count", zeros({1})); }
    Tensor count() const { return tensor(0); }
  } counter;
  std::vector<std::uint64_t> streams;
  std::vector<float> counts;

  pretext::Modules modules() const { return {pretext::part("encoder", encoder, true), pretext::part("counter", counter)}; }
  pretext::Outcome loss(const pretext::Batch& batch) {
    streams.push_back(next_stream(Purpose::task));
    Tensor count = counter.count();
    counts.push_back(count.mutable_data<float>()[0]++);
    const Tensor h = encoder.forward(batch.images).pooled;
    return {counts.back() == 2 ? ops::mean(ops::log(h - h - 1.0)) : ops::mean(h * h), 0, {}, {}};
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
  CHECK(contains(fit(task, short_run(4)).error, "got \"twice\", which two metrics have"));
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

TEST_CASE(
    "a metric that is told in some steps only is the mean of those, in the order in which metrics came, also after a resume") {
  const auto run = [](const std::string& out, int stop) {
    Telling task;
    int step = 0;
    if (stop == 0 && !out.empty()) step = 2;
    task.metrics = [&](const auto&) {
      std::vector<pretext::Metric> told;
      if (step % 2 == 0) told.push_back({"zebra", 0.5});
      told.push_back({"ant", static_cast<double>(step++)});
      return told;
    };
    auto o = short_run(4);
    o.epochs = 1;
    o.out = out;
    o.resume = !out.empty() && stop == 0;
    int steps = 0;
    o.stop = [&] { return ++steps == stop; };
    return fit(task, o);
  };
  const Folder folder("some_steps");
  CHECK(run(folder.path, 2).error.empty());
  for (const auto& told : {run("", 0), run(folder.path, 0)}) {
    REQUIRE(told.epochs.size() == 1);
    const auto& metrics = told.epochs[0].metrics;
    REQUIRE(metrics.size() >= 2);
    CHECK(metrics[0].name == "zebra");
    CHECK(metrics[0].value == 0.5);
    CHECK(metrics[1].name == "ant");
    CHECK(metrics[1].value == 1.5);
  }
}

TEST_CASE("a monitor's metric with a name that is taken stops the run, after the epoch was saved") {
  for (const char* name : {"loss", "mine"}) {
    Telling task;
    task.metrics = [](const auto&) { return std::vector<pretext::Metric>{{"mine", 1}}; };
    const Folder folder("taken");
    auto o = short_run(4);
    o.out = folder.path;
    o.monitor_every = 1;
    o.monitor = [&](int) { return train::Measurement{{{name, 0.5}}, {}}; };
    CHECK(contains(fit(task, o).error, concat("got \"", name, "\", which")));
    CHECK(train::list_checkpoints(folder.path + "/checkpoint").size() == 1);
    std::ifstream file(folder.path + "/metrics.jsonl");
    for (std::string line; std::getline(file, line);) CHECK_NOTHROW(io::Json::parse(line));
  }
}

TEST_CASE("an embedding that cannot be measured stops the run, after the epoch was saved") {
  struct Wrong : Telling {
    pretext::Outcome loss(const pretext::Batch& batch) {
      auto outcome = Telling::loss(batch);
      outcome.embedding = full(outcome.embedding.shape(), std::nan(""));
      return outcome;
    }
  } task;
  const Folder folder("embedding");
  auto o = short_run(4);
  o.out = folder.path;
  train::Trainer trainer(task, optim::make("sgd", task.parameters(), {.lr = 0.01}));
  CHECK(message([&] { trainer.fit(stripes(16), o); }) != "");
  CHECK(train::list_checkpoints(folder.path + "/checkpoint").size() == 1);
}

TEST_CASE("tied weights are clipped and averaged once") {
  const auto train = [](auto make) {
    seed(3);
    auto task = make();
    auto o = short_run(4);
    o.clip = 1e-3;
    o.average = 0.5;
    o.monitor_every = 1;
    o.monitor = [](int) { return train::Measurement{}; };
    train::Trainer trainer(task, optim::make("sgd", task.parameters(), {.lr = 0.01}));
    trainer.fit(stripes(16), o);
    return task.encoder.conv.weight().template to_vector<float>();
  };
  CHECK(train([] { return Tied{}; }) == train([] { return Telling{}; }));
}

TEST_CASE("two tensors of one name in a checkpoint are refused before the first step") {
  struct Twice : Telling {
    pretext::Modules modules() const {
      return {pretext::part("encoder", encoder, true), pretext::part("encoder", other)};
    }
    TinyEncoder other;
  } task;
  const Folder folder("twice");
  auto o = short_run(4);
  o.out = folder.path;
  train::Trainer trainer(task,
                         optim::make("sgd", pretext::trained_parameters({pretext::part("encoder", task.encoder)}), {.lr = 0.01}));
  CHECK(contains(message([&] { trainer.fit(stripes(16), o); }), "two that a checkpoint would call model.encoder."));
}

TEST_CASE("what a schedule or a setting has wrong is said before the first step") {
  Telling task;
  auto o = short_run(4);
  o.warmup_epochs = 1;
  o.schedule = optim::make_schedule("step");  // without a period
  CHECK(contains(fit(task, o).error, "period >= 1"));
  const Folder folder("wrong");
  o = short_run(4);
  o.out = folder.path;
  o.settings["data"] = "folder:caf\xe9";
  CHECK(contains(fit(task, o).error, "expected settings in UTF-8"));
}

TEST_CASE("the first culprit is looked for from the state before the step") {
  seed(3);
  Drawing task;
  train::Trainer trainer(task, optim::make("sgd", task.parameters(), {.lr = 0.01}));
  const auto text = message([&] { trainer.fit(stripes(16), short_run(4)); });
  CHECK(contains(text, "[log] the first result that is not finite"));
  CHECK(task.counts == std::vector<float>{0, 1, 2, 2});
  REQUIRE(task.streams.size() == 4);
  CHECK(task.streams[3] == task.streams[2]);
  CHECK(task.counter.count().data<float>()[0] == 2);
}

TEST_CASE("only the run's own files count as checkpoints, and what a kill left half written goes") {
  namespace fs = std::filesystem;
  const Folder folder("own_files");
  const auto checkpoints = folder.path + "/checkpoint";
  run(options(folder.path), 3);
  for (const char* name : {"step-best.safetensors", "step-000000001-keep.safetensors"})
    fs::copy(train::list_checkpoints(checkpoints).at(0), checkpoints + "/" + name);
  std::ofstream(checkpoints + "/step-000000002.safetensors.tmp") << "half";
  auto o = options(folder.path);
  o.resume = true;
  const auto whole = run(options());
  CHECK(run(o).weights == whole.weights);
  CHECK(fs::exists(checkpoints + "/step-best.safetensors"));
  CHECK(fs::exists(checkpoints + "/step-000000001-keep.safetensors"));
  CHECK_FALSE(fs::exists(checkpoints + "/step-000000002.safetensors.tmp"));
  CHECK(train::list_checkpoints(checkpoints).size() == 2);
}
