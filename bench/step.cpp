// One training step of SimCLR, timed; bench/peers/step_torch.py does the same in PyTorch. Up to 64 pixels residual
// networks have the 3x3 stem.
// The pictures are random numbers: only the step is measured. Prints one line of JSON: `idle` is the share of the threads'
// time in which they did not run, `asked` how often the system was asked for memory; both of the steps that count. With
// --scaling 1 steps on one thread take turns with those, and `scaling` is how many times as long their median is. With
// --loader 1 a step begins with fetching its views, of pictures of the builtin set, from a loader, as training does;
// `waited` is the share of the time that it waited for them.
//
// usage: step [--batch 64] [--size 32] [--threads 2] [--warmup 2] [--steps 5] [--bfloat16 0] [--encoder resnet18] [--scaling 0]
//             [--loader 0]
#include <sslcake/core/storage.hpp>
#include <sslcake/core/threads.hpp>
#include <sslcake/data/builtin.hpp>
#include <sslcake/data/loader.hpp>
#include <sslcake/nn/encoder.hpp>
#include <sslcake/ops/shape_ops.hpp>
#include <sslcake/optim/sgd.hpp>
#include <sslcake/pretext/simclr.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "machine.hpp"

namespace ssl = sslcake;

int main(int count, char** arguments) try {
  std::map<std::string, int> options = {{"--batch", 64}, {"--size", 32},    {"--threads", 2}, {"--warmup", 2},
                                        {"--steps", 5},  {"--bfloat16", 0}, {"--scaling", 0}, {"--loader", 0}};
  const std::set<std::string> switches = {"--bfloat16", "--scaling", "--loader"};  // may be 0
  std::string name = "resnet18";
  for (int i = 1; i < count; i += 2) {
    if (arguments[i] == std::string("--encoder") && i + 1 < count) {
      name = arguments[i + 1];
      continue;
    }
    const auto at = options.find(arguments[i]);
    if (at == options.end() || i + 1 == count || std::atoi(arguments[i + 1]) < (switches.count(at->first) ? 0 : 1)) {
      std::fprintf(stderr, "expected an option such as --batch 64, got %s\n", arguments[i]);
      return 2;
    }
    at->second = std::atoi(arguments[i + 1]);
  }
  ssl::set_threads(options["--threads"]);
  ssl::seed(0);

  const auto encoder = ssl::nn::make_encoder(
      name, {.stem = options["--size"] <= 64 ? ssl::nn::Stem::small : ssl::nn::Stem::imagenet, .image_size = options["--size"]});
  ssl::pretext::SimCLR task(encoder, {.augmentation = {.size = options["--size"]}});
  ssl::optim::SGD optimizer(task.parameters(), {.lr = 0.06, .momentum = 0.9, .weight_decay = 5e-4});
  ssl::Random random(0, ssl::Purpose::test);
  ssl::data::Batch batch;
  const std::int64_t views = 2 * options["--batch"];
  batch.images = ssl::random_normal({views, options["--size"], options["--size"], 3}, random);
  if (options["--bfloat16"]) batch.images = ssl::ops::cast(batch.images, ssl::DType::bfloat16);
  batch.views = 2;
  for (const auto& part : task.modules()) part.train(true);

  std::optional<ssl::data::Loader> loader;
  if (options["--loader"]) {
    const std::int64_t pictures = std::int64_t{10} * options["--batch"];
    loader.emplace(std::make_shared<ssl::data::Builtin>(ssl::data::Split::train, pictures, options["--size"]), task.views(),
                   ssl::data::LoaderOptions{.batch = options["--batch"]});
    while (loader->next(batch)) {}  // draws the pictures, which the loader keeps
  }
  std::int64_t epoch = 0;
  const auto fetch = [&] {
    while (!loader->next(batch)) loader->start(++epoch);
    if (options["--bfloat16"]) batch.images = ssl::ops::cast(batch.images, ssl::DType::bfloat16);
  };

  const auto processor_seconds = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  };
  double loss = 0;
  const auto timed_step = [&] {
    return 1000 * bench::seconds([&] {
      if (loader) fetch();
      optimizer.zero_grad();
      const auto outcome = task.loss(batch);
      ssl::backward(outcome.loss);
      optimizer.step();
      loss = outcome.loss.item();
    });
  };
  std::vector<double> milliseconds, alone;
  double processor = 0, elapsed = 0, waited = 0;
  std::uint64_t asked = 0;
  for (int step = 0; step < options["--warmup"] + options["--steps"]; ++step) {
    const bool counts = step >= options["--warmup"];
    if (options["--scaling"]) {
      ssl::set_threads(1);
      const double time = timed_step();
      if (counts) alone.push_back(time);
      ssl::set_threads(options["--threads"]);
    }
    const double processor_before = processor_seconds();
    const auto asked_before = ssl::memory_stats().from_system;
    const double waited_before = loader ? loader->waited() : 0;
    const double time = timed_step();
    if (!counts) continue;
    if (loader) waited += loader->waited() - waited_before;
    milliseconds.push_back(time);
    elapsed += time / 1000;
    processor += processor_seconds() - processor_before;
    asked += ssl::memory_stats().from_system - asked_before;
  }
  const double idle = std::max(0.0, 1 - processor / (elapsed * options["--threads"]));
  const double median = bench::median(milliseconds);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "{\"program\": \"sslcake %s %s\", \"ms_per_step\": %.2f, \"fastest_ms\": %.2f, \"views_per_s\": %.2f, \"peak_mib\": %.1f, "
      "\"idle\": %.3f, \"asked\": %llu, \"loss\": %.5f",
      SSLCAKE_VERSION_STRING, options["--bfloat16"] ? "bfloat16" : "float32", median,
      *std::min_element(milliseconds.begin(), milliseconds.end()), 1000 * static_cast<double>(views) / median,
      static_cast<double>(usage.ru_maxrss) / 1024, idle, static_cast<unsigned long long>(asked), loss);
  if (options["--scaling"])
    std::printf(", \"ms_one_thread\": %.2f, \"scaling\": %.3f", bench::median(alone), bench::median(alone) / median);
  if (loader) std::printf(", \"waited\": %.3f", waited / elapsed);
  std::printf("}\n");
} catch (const ssl::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
