// What a run leaves behind, and how the next one takes it up: beyond the same bits, which test_trainer.cpp checks.
#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <sslcake/kernels/winograd.hpp>
#include <sslcake/nn/layers.hpp>
#include <sslcake/ops/conv_norm_act.hpp>
#include <sslcake/train/checkpoint.hpp>

#include "runs.hpp"

using namespace sslcake;
using namespace toy;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> checkpoints(const Folder& folder) { return train::list_checkpoints(folder.path + "/checkpoint"); }

std::string name_of_step(const std::string& path) { return path.substr(path.rfind('/') + 1); }

void cut(const std::string& path) { fs::resize_file(path, fs::file_size(path) / 2); }

/// A head that is another tensor in every epoch.
struct OtherHeads : Relabel {
  using Relabel::Relabel;
  void before_epoch(const pretext::EpochContext& context) {
    Relabel::before_epoch(context);
    head = nn::Linear(8, 2);
  }
};

/// A head that every epoch makes anew, as DeepCluster does.
struct NewHeads : Relabel {
  using Relabel::Relabel;
  void before_epoch(const pretext::EpochContext& context) {
    Relabel::before_epoch(context);
    const auto fresh = nn::Linear(8, 2).state(), used = head.state();
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      Tensor target = used[i].tensor;
      copy_into(target, fresh[i].tensor);
    }
  }
};

}  // namespace

TEST_CASE("one trainer fits twice: the second run starts from the rate that was asked for") {
  auto task = make_task();
  optim::Optimizer optimizer = optim::make("sgd", task.parameters(), {.lr = 0.01});
  train::Trainer trainer(task, optimizer);
  auto o = options();
  o.average = 0;
  std::vector<double> rates;
  o.progress = [&](const train::Progress& p) { if (p.kind == train::Progress::Kind::epoch) rates.push_back(p.lr); };
  trainer.fit(stripes(72), o);
  CHECK(optimizer.lr() == 0.01);
  const auto first = std::exchange(rates, {});
  trainer.fit(stripes(72), o);
  CHECK(rates == first);

  o.monitor = [](int) -> train::Measurement { throw Error("monitor"); };
  CHECK_THROWS_AS(trainer.fit(stripes(72), o), Error);
  CHECK(optimizer.lr() == 0.01);
}

TEST_CASE("one trainer is stopped and goes on") {
  const Folder folder("same-trainer");
  const auto whole = run(options());
  auto task = make_task();
  train::Trainer trainer(task, optim::make("adamw", task.parameters(), {.lr = 0.01}));
  auto o = options(folder.path);
  int steps = 0;
  o.stop = [&] { return ++steps == 6; };
  CHECK_FALSE(trainer.fit(stripes(72), o).finished);
  o.resume = true;
  CHECK(trainer.fit(stripes(72), o).finished);
  CHECK(weights(task.modules()) == whole.weights);
}

TEST_CASE("a task that makes a new head before every epoch is resumed bit for bit") {
  const auto pictures = stripes(64);
  const auto fit = [&](train::FitOptions o, int stop_after) {
    seed(3);
    NewHeads task(TinyEncoder{}, pictures.size());
    train::Trainer trainer(task, optim::make("sgd", pretext::trained_parameters(task.modules()), {.lr = 0.1}));
    int steps = 0;
    o.stop = [&] { return ++steps == stop_after; };
    trainer.fit(pictures, o);
    return weights(task.modules());
  };
  const auto whole = fit(options(), 0);
  const Folder folder("new-heads");
  fit(options(folder.path), 6);
  auto o = options(folder.path);
  o.resume = true;
  CHECK(fit(o, 0) == whole);
}

TEST_CASE("a task that puts other tensors into its modules is told that nobody would train them") {
  seed(4);
  OtherHeads task(TinyEncoder{}, 72);
  train::Trainer trainer(task, optim::make("sgd", pretext::trained_parameters(task.modules()), {.lr = 0.1}));
  CHECK(contains(message([&] { trainer.fit(stripes(72), options()); }), "expected before_epoch to leave the task its tensors"));
}

TEST_CASE("of a frozen encoder the head is what is trained") {
  seed(4);
  Relabel task(TinyEncoder{}, 72);
  for (auto p : task.encoder.parameters()) p.tensor.set_requires_grad(false);
  const auto before = task.encoder.parameters()[0].tensor.to_vector<float>(),
             head = task.head.parameters()[0].tensor.to_vector<float>();
  train::Trainer trainer(task, optim::make("sgd", pretext::trained_parameters(task.modules()), {.lr = 0.1}));
  trainer.fit(stripes(72), options());
  CHECK(task.encoder.parameters()[0].tensor.to_vector<float>() == before);
  CHECK(task.head.parameters()[0].tensor.to_vector<float>() != head);
}

TEST_CASE("checkpoints at the last step of an epoch: on a stop, and when one is due") {
  const Folder folder("epoch-ends");
  auto o = options(folder.path);
  o.checkpoint_epochs = 0;
  SUBCASE("stopped") {
    CHECK(run(o, 8).result.steps == 8);
    REQUIRE(checkpoints(folder).size() == 1);
    o.resume = true;
    CHECK(run(o).weights == run(options()).weights);
  }
  SUBCASE("after every so many steps") {
    o.checkpoint_steps = 4;  // an epoch's
    run(o, 13);
    REQUIRE(checkpoints(folder).size() == 2);
    CHECK(name_of_step(checkpoints(folder)[1]) == "step-000000012.safetensors");
  }
  SUBCASE("after so many seconds, which are more than an epoch takes") {
    o.batch = 72;
    o.epochs = 6;
    o.checkpoint_seconds = 0.03;
    auto task = make_task();
    train::Trainer trainer(task, optim::make("sgd", task.parameters(), {.lr = 0.01}));
    std::size_t most = 0;
    o.stop = [&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      most = std::max(most, checkpoints(folder).size());
      return false;
    };
    trainer.fit(stripes(72), o);
    CHECK(most > 0);
  }
}

TEST_CASE("a checkpoint that cannot be read is not one of the two that are kept") {
  const Folder folder("keeps");
  run(options(folder.path), 9);
  const auto found = checkpoints(folder);
  REQUIRE(found.size() == 2);  // after steps 9 and 8
  cut(found[0]);
  fs::rename(found[0], folder.path + "/checkpoint/step-000000014.safetensors");
  auto o = options(folder.path);
  o.resume = true;
  run(o, 2);  // the steps 9 and 10
  REQUIRE(checkpoints(folder).size() == 2);
  CHECK(name_of_step(checkpoints(folder)[0]) == "step-000000010.safetensors");
  CHECK(name_of_step(checkpoints(folder)[1]) == "step-000000008.safetensors");
}

TEST_CASE("where no checkpoint can be read, the message says what to do") {
  const Folder folder("none-whole");
  run(options(folder.path), 9);
  for (const auto& path : checkpoints(folder)) cut(path);
  auto o = options(folder.path);
  o.resume = true;
  const auto text = message([&] { run(o); });
  CHECK(contains(text, "put a copy in its place, or begin again in another output folder"));
  for (const auto& path : checkpoints(folder)) CHECK(contains(text, path));
}

TEST_CASE("checkpoints that cannot be listed are not taken for none") {
  const Folder folder("no-list");
  fs::create_directories(folder.path);
  std::ofstream(folder.path + "/checkpoint") << "a file in its place";
  auto o = options(folder.path);
  o.resume = true;
  CHECK(contains(message([&] { run(o); }), "cannot list the checkpoints in " + folder.path + "/checkpoint"));
  CHECK(train::list_checkpoints(folder.path + "/missing").empty());
}

TEST_CASE("settings that change the result are compared to the last digit") {
  const Folder folder("settings");
  const auto pictures = stripes(72);
  using Grouping = optim::Groups (*)(const Parameters&);
  float temperature = 0.2f;
  const auto begin = [&](Grouping groups, double lr, float smallest_crop, std::uint64_t global, bool resume) {
    seed(3);
    Task task(TinyEncoder{},
              {.temperature = temperature, .projection = 4, .augmentation = {.size = 8, .smallest_crop = smallest_crop}});
    seed(global);
    train::Trainer trainer(task, optim::make("sgd", groups(task.parameters()), {.lr = lr}));
    auto o = options(folder.path);
    o.resume = resume;
    o.stop = [] { return true; };
    return message([&] { trainer.fit(pictures, o); });
  };
  const auto one = [](const Parameters& p) { return optim::Groups{{p}}; };
  const auto slow = [](const Parameters& p) { return optim::Groups{{{p[0]}, 0.1}, {Parameters(p.begin() + 1, p.end())}}; };
  CHECK(begin(one, 0.12345678, 0.08f, 3, false).empty());
  CHECK(begin(one, 0.12345678, 0.08f, 3, true).empty());
  CHECK(contains(begin(one, 0.1234571, 0.08f, 3, true), "learning rate 0.12345678, now it is sgd"));
  CHECK(contains(begin(slow, 0.12345678, 0.08f, 3, true), "1 from encoder.weight on: rate times 0.1, weight decay 0"));
  CHECK(contains(begin(one, 0.12345678, 0.09f, 3, true), "RandomResizedCrop 0.09 1 0.75 1.3333334"));
  CHECK(contains(begin(one, 0.12345678, 0.08f, 4, true), "global_seed: the run began with 3, now it is 4"));
  temperature = 0.05f;
  CHECK(contains(begin(one, 0.12345678, 0.08f, 3, true), "temperature: the run began with 0.2, now it is 0.05"));
}

TEST_CASE("a resume without Winograd's products, or without fused layers, says so") {
  const Folder folder("rounding");
  run(options(folder.path), 3);
  const auto checkpoint = train::load_checkpoint(checkpoints(folder).at(0));
  const auto state = [](bool on) { return on ? "on" : "off"; };
  const bool winograd = kernels::winograd(), fuse = ops::fuse();
  kernels::set_winograd(!winograd);
  ops::set_fuse(!fuse);
  const auto text = train::changed_surroundings(checkpoint);
  kernels::set_winograd(winograd);
  ops::set_fuse(fuse);
  CHECK(text == concat("; no longer bit for bit: fusion ", state(fuse), " before and ", state(!fuse), " now, winograd ",
                       state(winograd), " before and ", state(!winograd), " now"));
}

TEST_CASE("a monitor that fails does so after the epoch is saved, and leaves the weights in their place") {
  const auto whole = run(options());
  const Folder folder("monitor");
  auto o = options(folder.path);
  o.checkpoint_epochs = 0;
  o.monitor_every = 2;
  o.monitor = [](int) -> train::Measurement { throw Error("no such picture"); };
  CHECK(contains(message([&] { run(o); }), "no such picture"));
  REQUIRE(checkpoints(folder).size() == 1);
  CHECK(name_of_step(checkpoints(folder)[0]) == "step-000000008.safetensors");
  o.monitor = {};
  o.resume = true;
  CHECK(run(o).weights == whole.weights);
}
