#include <doctest/doctest.h>

#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include <sslcake/core/threads.hpp>
#include <sslcake/kernels/cpu/isa.hpp>
#include <sslcake/optim/make.hpp>
#include <sslcake/pretext/simclr.hpp>
#include <sslcake/train/checkpoint.hpp>
#include <sslcake/train/trainer.hpp>

#include "runs.hpp"

using namespace sslcake;
using namespace toy;
namespace fs = std::filesystem;

namespace {

/// While it lives, no file grows beyond so many bytes: write() fails as on a full disk.
struct SmallFiles {
  rlimit before{};
  void (*handler)(int) = std::signal(SIGXFSZ, SIG_IGN);
  explicit SmallFiles(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit now{bytes, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~SmallFiles() {
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
  }
};

}  // namespace

TEST_CASE("a run stopped after any step and resumed ends with the same bits") {
  const auto whole = run(options());
  CHECK(whole.result.finished);
  CHECK(whole.result.steps == 16);
  for (const int stop : {1, 3, 4, 5, 10, 15}) {
    const Folder folder("resume");
    const auto first = run(options(folder.path), stop);
    CHECK_FALSE(first.result.finished);
    CHECK(first.result.steps == stop);
    auto o = options(folder.path);
    o.resume = true;
    const auto second = run(o);
    CHECK(second.result.finished);
    CHECK(second.weights == whole.weights);
    CHECK(second.losses.back() == whole.losses.back());
  }
}

TEST_CASE("a resume with other kernels goes on and says so") {
  const auto before = kernels::isa();
  const auto other = before == kernels::Isa::portable ? kernels::Isa::reference : kernels::Isa::portable;
  const Folder folder("kernels");
  run(options(folder.path), 3);
  const auto notes = [&] {
    std::string all;
    auto task = make_task();
    train::Trainer trainer(task, optim::make("adamw", task.parameters(), {.lr = 0.01}));
    auto o = options(folder.path);
    o.resume = true;
    o.stop = [] { return true; };
    o.progress = [&](const train::Progress& p) { if (p.kind == train::Progress::Kind::note) all += p.text + "\n"; };
    trainer.fit(toy::stripes(72), o);
    return all;
  };
  CHECK_FALSE(contains(notes(), "no longer bit for bit"));
  kernels::set_isa(other);
  const auto text = notes();
  kernels::set_isa(before);
  CHECK(contains(text, concat("; no longer bit for bit: kernels ", name_of(before), " before and ", name_of(other), " now")));
}

TEST_CASE("a resume says what of its surroundings has changed") {
  const Folder folder("surroundings");
  run(options(folder.path), 3);
  const auto path = train::list_checkpoints(folder.path + "/checkpoint").front();
  auto checkpoint = train::load_checkpoint(path);
  for (const auto& [key, value] : train::surroundings()) CHECK(checkpoint.facts.at(key) == value);
  CHECK(train::changed_surroundings(checkpoint).empty());
  checkpoint.facts["jpeg_decoder"] = "another";
  const auto now = train::surroundings().at("jpeg_decoder");
  CHECK(train::changed_surroundings(checkpoint) == "; no longer bit for bit: jpeg_decoder another before and " + now + " now");
  checkpoint.facts.erase("jpeg_decoder");  // written by a version that did not say
  CHECK(train::changed_surroundings(checkpoint).empty());
}

TEST_CASE("resuming twice, with every optimiser") {
  for (const char* optimizer : {"sgd", "adam", "lars", "muon"}) {
    const auto whole = run(options(), 0, optimizer);
    const Folder folder("optimizers");
    run(options(folder.path), 3, optimizer);
    auto o = options(folder.path);
    o.resume = true;
    run(o, 6, optimizer);
    CHECK(run(o, 0, optimizer).weights == whole.weights);
  }
}

TEST_CASE("the same losses and weights with one, two and three threads") {
  const int before = threads();
  set_threads(1);
  const auto one = run(options());
  for (const int n : {2, 3}) {
    set_threads(n);
    const auto many = run(options());
    CHECK(many.weights == one.weights);
    CHECK(many.losses == one.losses);
  }
  set_threads(before);
}

TEST_CASE("the log has a line for every step and epoch, and a resume cuts what did not happen") {
  const Folder folder("log");
  auto o = options(folder.path);
  o.checkpoint_steps = 2;
  run(o, 7);
  {  // as if the process had died after step 8 was logged and before a checkpoint held it
    std::ofstream(folder.path + "/metrics.jsonl", std::ios::app) << "{\"kind\":\"step\",\"step\":8}\n{\"kind\":\"st";
  }
  o.resume = true;
  run(o);
  std::ifstream file(folder.path + "/metrics.jsonl");
  std::string line;
  int steps = 0, epochs = 0;
  while (std::getline(file, line)) {
    CHECK(line.front() == '{');
    CHECK(line.back() == '}');
    steps += contains(line, "\"kind\":\"step\"");
    epochs += contains(line, "\"kind\":\"epoch\"");
    if (contains(line, "\"kind\":\"step\"")) CHECK(contains(line, concat("\"step\":", steps, ",")));
  }
  CHECK(steps == 16);
  CHECK(epochs == 4);
  CHECK(train::list_checkpoints(folder.path + "/checkpoint").size() == 2);
}

TEST_CASE("a damaged newest checkpoint gives way to the one before it") {
  const Folder folder("damaged");
  const auto whole = run(options());
  auto o = options(folder.path);
  run(o, 9);
  const auto found = train::list_checkpoints(folder.path + "/checkpoint");
  REQUIRE(found.size() == 2);
  SUBCASE("cut off") { fs::resize_file(found[0], fs::file_size(found[0]) / 2); }
  SUBCASE("one bit is another") {
    std::fstream file(found[0], std::ios::binary | std::ios::in | std::ios::out);
    const auto place = static_cast<std::streamoff>(fs::file_size(found[0])) - 9;  // among the numbers
    file.seekg(place);
    const int byte = file.get();
    file.seekp(place);
    file.put(static_cast<char>(byte ^ 0x40));
    file.close();
    CHECK_THROWS_WITH_AS(train::load_checkpoint(found[0]), doctest::Contains("have another checksum"), Error);
  }
  o.resume = true;
  CHECK(run(o).weights == whole.weights);
}

TEST_CASE("mistakes get one clear message") {
  const Folder folder("mistakes");
  auto o = options(folder.path);
  run(o, 5);
  CHECK(contains(message([&] { run(options(folder.path)); }), "holds checkpoints of an earlier run"));
  o.resume = true;
  o.batch = 8;
  o.epochs = 5;
  const auto text = message([&] { run(o); });
  CHECK(contains(text, "batch: the run began with 16, now it is 8"));
  CHECK(contains(text, "epochs: the run began with 4, now it is 5"));
  o = options();
  o.batch = 100;
  CHECK(contains(message([&] { run(o); }), "no larger than the data set (72 pictures), got 100"));
  o = options();
  o.accumulate = 2;
  CHECK(contains(message([&] { run(o); }), "fewer negatives"));
  o = options();
  o.warmup_epochs = 5;
  CHECK(contains(message([&] { run(o); }), "at most all 4 epochs, got 5"));
  o = options();
  o.resume = true;
  CHECK(contains(message([&] { run(o); }), "output folder"));
}

TEST_CASE("a checkpoint of another format number is refused by name") {
  const Folder folder("format");
  run(options(folder.path), 2);
  const auto path = train::list_checkpoints(folder.path + "/checkpoint").at(0);
  std::string bytes;
  {
    std::ifstream in(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  const std::string was = concat("\"checkpoint_format\":\"", train::checkpoint_format, '"');
  REQUIRE(contains(bytes, was));
  bytes[bytes.find(was) + was.size() - 2] = '9';
  std::ofstream(path, std::ios::binary) << bytes;
  auto o = options(folder.path);
  o.resume = true;
  CHECK(contains(message([&] { run(o); }), "has checkpoint format 9"));
}

TEST_CASE("a loss that is not finite names the op and the module, and leaves the weights") {
  const auto pictures = toy::stripes(32);
  auto task = make_task();
  train::Trainer trainer(task, optim::make("sgd", task.parameters(), {.lr = 0.01}));
  auto modules = task.modules();
  auto weight = pretext::all_state(modules)[0].tensor;  // encoder.weight
  // So large that the convolution overflows, though every weight is finite.
  for (std::int64_t i = 0; i < weight.numel(); ++i) weight.mutable_data<float>()[i] = 3e38f;
  const auto before = weights(modules);
  auto o = options();
  o.batch = 8;
  const auto text = message([&] { trainer.fit(pictures, o); });
  CHECK(contains(text, "not finite"));
  CHECK(contains(text, "[conv2d]"));
  CHECK(contains(text, "module encoder"));
  CHECK_FALSE(contains(text, "loss 0."));
  CHECK_FALSE(contains(text, "checkpoint"));  // there is none

  // With a folder: a checkpoint is promised where there is one.
  const Folder folder("not-finite");
  o.out = folder.path;
  CHECK_FALSE(contains(message([&] { trainer.fit(pictures, o); }), "checkpoint"));
  CHECK(weights(modules) == before);
}

TEST_CASE("accumulation in pieces gives the gradient of the whole batch where the loss allows it") {
  const auto pictures = toy::stripes(64);
  const auto train_with = [&](int pieces) {
    seed(3);
    toy::Relabel task(toy::TinyEncoder{}, pictures.size());
    train::Trainer trainer(task, optim::make("sgd", pretext::trained_parameters(task.modules()), {.lr = 0.1}));
    auto o = options();
    o.average = 0;
    o.accumulate = pieces;
    trainer.fit(pictures, o);
    return weights(task.modules());
  };
  const auto one = train_with(1), four = train_with(4);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(four[i] == doctest::Approx(one[i]).epsilon(1e-4));
}

TEST_CASE("hooks: a task that relabels its data between epochs, resumed inside an epoch") {
  const auto pictures = toy::stripes(64);
  const auto fit = [&](train::FitOptions o, int stop_after) {
    seed(3);
    toy::Relabel task(toy::TinyEncoder{}, pictures.size());
    train::Trainer trainer(task, optim::make("sgd", pretext::trained_parameters(task.modules()), {.lr = 0.1}));
    int steps = 0;
    o.stop = [&] { return ++steps == stop_after; };
    trainer.fit(pictures, o);
    return std::pair(weights(task.modules()), task.relabelled);
  };
  const auto whole = fit(options(), 0);
  CHECK(whole.second == 4);
  const Folder folder("relabel");
  fit(options(folder.path), 6);
  auto o = options(folder.path);
  o.resume = true;
  CHECK(fit(o, 0).first == whole.first);
}

TEST_CASE("hooks: a task with two optimisers stepped in turn") {
  const auto pictures = toy::stripes(32);
  seed(3);
  toy::TwoPlayers task(toy::TinyEncoder{});
  train::Trainer trainer(task);
  const auto before = weights(task.modules());
  auto o = options();
  o.epochs = 2;
  trainer.fit(pictures, o);
  CHECK(task.turns == std::vector<int>{0, 1, 0, 1, 0, 1, 0, 1});
  const auto after = weights(task.modules());
  CHECK(after != before);
}

TEST_CASE("a disk that fills up while saving leaves the checkpoints before it whole") {
  const Folder folder("full");
  const auto whole = run(options());
  run(options(folder.path), 3);
  const auto before = train::list_checkpoints(folder.path + "/checkpoint");
  auto o = options(folder.path);
  o.resume = true;
  {
    const SmallFiles limit(4096);  // enough for the log, too little for a checkpoint
    const auto text = message([&] { run(o); });
    CHECK(contains(text, ".safetensors: the file would exceed the size limit"));
  }
  CHECK(train::list_checkpoints(folder.path + "/checkpoint") == before);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder.path + "/checkpoint")) ++files;
  CHECK(files == before.size());  // no half of one either
  CHECK(run(o).weights == whole.weights);
}

TEST_CASE("an encoder that gives the same to every picture is warned of") {
  const auto pictures = toy::stripes(32);
  const auto warnings = [&](auto task) {
    std::string all;
    train::Trainer trainer(task, optim::make("sgd", pretext::trained_parameters(task.modules()), {.lr = 0.01}));
    auto o = options();
    o.progress = [&](const train::Progress& p) { if (p.kind == train::Progress::Kind::warning) all += train::format(p); };
    trainer.fit(pictures, o);
    return all;
  };
  CHECK(contains(warnings(toy::Collapsed{}), "warning: "));
  CHECK(warnings(make_task()) == "");
}

TEST_CASE("a loss of any size is told as it is") {
  train::Progress p;
  p.kind = train::Progress::Kind::epoch;
  p.loss = 4.5e15;
  CHECK(contains(train::format(p), "loss 4.5e+15"));
  p.loss = 1234.5678;
  CHECK(contains(train::format(p), "loss 1234.568"));
}
