// Training on CUDA: the losses of the CPU, the same bits in every run, checkpoints that go from one device to the other, and
// what happens when a number is not finite or the memory ends.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "sslcake/augment/recipe.hpp"
#include "sslcake/core/fetch.hpp"
#include "sslcake/data/dataset.hpp"
#include "sslcake/eval/knn.hpp"
#include "sslcake/io/json.hpp"
#include "sslcake/kernels/cuda/install.hpp"
#include "sslcake/nn/encoder.hpp"
#include "sslcake/ops/arithmetic.hpp"
#include "sslcake/optim/make.hpp"
#include "sslcake/pretext/rotation.hpp"
#include "sslcake/pretext/simclr.hpp"
#include "sslcake/train/trainer.hpp"

using namespace sslcake;
namespace fs = std::filesystem;

namespace {

bool on_model() { return cuda::description().starts_with("model"); }

/// Stripes of random direction and colour: something that can be learnt.
std::shared_ptr<data::MemoryDataset> stripes(std::int64_t count, int size) {
  Random random(5, Purpose::test);
  std::vector<std::uint8_t> pixels;
  for (std::int64_t i = 0; i < count; ++i) {
    const double angle = 3.14159 * random.uniform(), width = 0.6 + random.uniform(),
                 colour[3] = {random.uniform(), random.uniform(), random.uniform()};
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < size; ++x)
        for (const double c : colour)
          pixels.push_back(
              static_cast<std::uint8_t>(127.5 + 127.5 * c * std::sin(width * (x * std::cos(angle) + y * std::sin(angle)))));
  }
  return std::make_shared<data::MemoryDataset>(std::move(pixels), size, size);
}

struct Run {
  std::vector<double> losses;  // of the steps
  std::vector<float> weights;
  train::FitResult result;
  std::vector<std::string> notes;
};

/// SimCLR that asks for more memory than there is once it has made so many steps.
struct Greedy : pretext::SimCLR<nn::AnyEncoder> {
  using SimCLR::SimCLR;
  int steps_left = -1;
  pretext::Outcome loss(const pretext::Batch& batch) {
    if (steps_left-- == 0) const Tensor huge({std::int64_t{1} << 45}, DType::uint8, batch.images.device());
    return SimCLR::loss(batch);
  }
};

struct Plan {
  Device device = Device::cuda;
  DType precision = DType::float32;
  const char* optimizer = "sgd";
  int epochs = 2;
  double lr = 0.002, clip = 0, average = 0;
  std::string out{};
  int stop_after = 0;
  bool resume = false;
  int memory_ends_after = -1;
};

Run pretrain(const Plan& plan) {
  cuda::install();
  seed(1);
  const int size = 8;
  const auto pictures = stripes(on_model() ? 24 : 200, size);
  auto encoder = nn::make_encoder("cakenet-w8", {.stem = nn::Stem::small});
  Greedy task(encoder, {.temperature = 0.5f, .projection = 16, .augmentation = {.size = size}});
  task.steps_left = plan.memory_ends_after;
  auto optimizer = optim::make(plan.optimizer, task.parameters(), {.lr = plan.lr});
  train::Trainer trainer(task, optimizer);
  train::FitOptions o;
  o.device = plan.device;
  o.precision = plan.precision;
  o.epochs = plan.epochs;
  o.batch = 8;
  o.seed = 3;
  o.clip = plan.clip;
  o.average = plan.average;
  o.out = plan.out;
  o.resume = plan.resume;
  o.workers = 0;
  o.log_steps = 1;
  o.checkpoint_steps = 1;
  Run run;
  int steps = 0;
  o.stop = [&] { return plan.stop_after > 0 && ++steps >= plan.stop_after; };
  o.progress = [&](const train::Progress& p) {
    if (p.kind == train::Progress::Kind::note) run.notes.push_back(p.text);
  };
  run.result = trainer.fit(pictures, o);
  for (const auto& p : task.parameters()) {
    const auto numbers = p.tensor.to_vector<float>();
    run.weights.insert(run.weights.end(), numbers.begin(), numbers.end());
  }
  if (!plan.out.empty()) {
    std::ifstream log(plan.out + "/metrics.jsonl");
    for (std::string line; std::getline(log, line);) {
      const auto json = io::Json::parse(line);
      if (json.at("kind").as_string() == "step") run.losses.push_back(json.at("loss").as_double());
    }
  }
  return run;
}

struct Folder {
  std::string path;
  explicit Folder(const std::string& name)
      : path((fs::temp_directory_path() / ("sslcake-cuda-" + name + "-" + std::to_string(std::rand()))).string()) {
    fs::remove_all(path);
  }
  ~Folder() { fs::remove_all(path); }
};

}  // namespace

TEST_CASE("the losses of a run on CUDA are those of the CPU") {
  for (const DType precision : {DType::float32, DType::bfloat16}) {
    const Folder here("here"), there("there");
    // Two epochs: 6 steps on the model, 50 on a GPU.
    const auto cpu = pretrain({.device = Device::cpu, .precision = precision, .out = here.path});
    const auto gpu = pretrain({.precision = precision, .out = there.path});
    REQUIRE(cpu.losses.size() == gpu.losses.size());
    REQUIRE(gpu.losses.size() >= 6);
    // The first step sees the same weights; later ones see what rounding has made of them, more of it with every step.
    const double first = precision == DType::float32 ? 2e-5 : 2e-2, later = precision == DType::float32 ? 1e-2 : 5e-2;
    for (std::size_t i = 0; i < cpu.losses.size(); ++i) {
      CAPTURE(i);
      CHECK(gpu.losses[i] == doctest::Approx(cpu.losses[i]).epsilon(i == 0 ? first : later));
    }
  }
}

TEST_CASE("two runs on CUDA have the same bits, and so has one that was stopped and resumed") {
  for (const char* optimizer : {"sgd", "adamw", "lars"}) {
    CAPTURE(optimizer);
    const Plan plan{.precision = DType::bfloat16, .optimizer = optimizer, .lr = 0.01, .clip = 1, .average = 0.9};
    const auto whole = pretrain(plan), again = pretrain(plan);
    CHECK(whole.weights == again.weights);
    if (on_model() && std::string(optimizer) != "lars") continue;
    const Folder folder("resumed");
    auto part = plan;
    part.out = folder.path;
    part.stop_after = 2;
    CHECK_FALSE(pretrain(part).result.finished);
    part.stop_after = 0;
    part.resume = true;
    const auto resumed = pretrain(part);
    CHECK(resumed.result.finished);
    CHECK(resumed.weights == whole.weights);
  }
}

TEST_CASE("where the memory ends within a step, the error says so, and the run goes on from its last checkpoint") {
  const auto whole = pretrain({});
  const Folder folder("memory");
  try {
    pretrain({.out = folder.path, .memory_ends_after = 4});
    FAIL("expected an Error");
  } catch (const Error& e) {
    const std::string text = e.what();
    CAPTURE(text);
    CHECK(text.find("35184372088832 bytes") != std::string::npos);
    CHECK(text.find("are free") != std::string::npos);
  }
  const auto rest = pretrain({.out = folder.path, .resume = true});
  REQUIRE(rest.notes.size() >= 1);
  CHECK(rest.notes[0].find("step 4") != std::string::npos);
  CHECK(rest.weights == whole.weights);
}

TEST_CASE("a run that began on one device goes on on the other, and says so") {
  for (const Device first : {Device::cpu, Device::cuda}) {
    const Folder folder("moved");
    Plan plan{.device = first, .out = folder.path, .stop_after = 2};
    CHECK_FALSE(pretrain(plan).result.finished);
    plan.device = first == Device::cpu ? Device::cuda : Device::cpu;
    plan.stop_after = 0;
    plan.resume = true;
    const auto rest = pretrain(plan);
    CHECK(rest.result.finished);
    REQUIRE(!rest.notes.empty());
    CHECK(rest.notes[0].find(concat("device ", first, " before and ", plan.device, " now")) != std::string::npos);
    const Folder other("whole");
    const auto whole = pretrain({.device = Device::cpu, .out = other.path});
    REQUIRE(rest.losses.size() == whole.losses.size());
    CHECK(rest.losses.back() == doctest::Approx(whole.losses.back()).epsilon(2e-2));
  }
}

TEST_CASE("a loss that is not finite stops the run with the op's name") {
  const auto message = [](Device device) -> std::string {
    try {
      pretrain({.device = device, .optimizer = "sgd", .epochs = 4, .lr = 1e25});
    } catch (const Error& e) { return e.what(); }
    return "";
  };
  const auto text = message(Device::cuda);
  CAPTURE(text);
  CHECK(text.find("not finite") != std::string::npos);
  CHECK(text.find("First: [") != std::string::npos);
  CHECK(text.find("learning rate") != std::string::npos);
}

TEST_CASE(
    "the error names the parameter that was not finite, whichever step noticed, and the weights are those before the step") {
  cuda::install();
  seed(1);
  const auto pictures = stripes(16, 8);
  auto encoder = nn::make_encoder("cakenet-w8", {.stem = nn::Stem::small});
  pretext::SimCLR task(encoder, {.projection = 16, .augmentation = {.size = 8}});
  auto parameters = task.parameters();
  copy_into(parameters[0].tensor, full(parameters[0].tensor.shape(), std::numeric_limits<double>::quiet_NaN()));
  const auto others = [&] {
    std::vector<float> all;
    for (std::size_t i = 1; i < parameters.size(); ++i)
      for (const float v : parameters[i].tensor.to(Device::cpu).to_vector<float>()) all.push_back(v);
    return all;
  };
  const auto before = others();
  train::Trainer trainer(task, optim::make("sgd", parameters, {.lr = 0.1}));
  train::FitOptions o;
  o.device = Device::cuda;
  o.batch = 8;
  o.epochs = 3;
  o.workers = 0;
  CHECK_THROWS_WITH_AS(trainer.fit(pictures, o), doctest::Contains(parameters[0].name.c_str()), Error);
  CHECK(others() == before);
}

TEST_CASE("rotation trains on CUDA, in pieces too") {
  cuda::install();
  seed(1);
  auto encoder = nn::make_encoder("cakenet-w8", {.stem = nn::Stem::small});
  pretext::Rotation task(encoder, {.recipe = augment::Recipe(8).then(augment::RandomResizedCrop{}).then(augment::Flip{})});
  train::Trainer trainer(task, optim::make("sgd", task.parameters(), {.lr = 0.05}));
  train::FitOptions o;
  o.device = Device::cuda;
  o.batch = 4;
  o.accumulate = 2;
  o.epochs = 1;
  o.workers = 0;
  const auto result = trainer.fit(stripes(8, 8), o);
  CHECK(result.finished);
  CHECK(result.loss == doctest::Approx(std::log(4.0)).epsilon(0.5));
}

TEST_CASE("numbers that are fetched arrive in order") {
  cuda::install();
  Fetch fetch({scalar(1.5, DType::float32, Device::cuda), scalar(2.5), scalar(-7, DType::int64, Device::cuda),
               scalar(0.25, DType::float64)});
  CHECK(fetch.take() == std::vector<double>{1.5, 2.5, -7, 0.25});
}

TEST_CASE("an op without a kernel says which device and what to do") {
  cuda::install();
  const Tensor t = zeros({3}, DType::float32, Device::cuda);
  CHECK_THROWS_WITH_AS(t.data<float>(), doctest::Contains("on cuda"), Error);
  CHECK_THROWS_WITH_AS(ops::add(t, zeros({3})), doctest::Contains("[add]"), Error);
}
