// Short runs of the toy tasks, and what the trainer's tests ask of them.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <sslcake/optim/make.hpp>
#include <sslcake/pretext/simclr.hpp>
#include <sslcake/train/trainer.hpp>

#include "toy_tasks.hpp"

namespace toy {

struct Folder {
  std::string path;
  explicit Folder(const std::string& name) : path((std::filesystem::temp_directory_path() / ("sslcake_train_" + name)).string()) {
    std::filesystem::remove_all(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

using Task = pretext::SimCLR<toy::TinyEncoder>;

inline Task make_task() {
  seed(3);
  return Task(toy::TinyEncoder{}, {.temperature = 0.2f, .projection = 4, .augmentation = {.size = 8}});
}

inline std::vector<float> weights(const pretext::Modules& modules) {
  std::vector<float> all;
  for (const auto& p : pretext::all_state(modules)) {
    const auto some = p.tensor.to_vector<float>();
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

inline train::FitOptions options(const std::string& out = "") {
  train::FitOptions o;
  o.epochs = 4;
  o.batch = 16;
  o.seed = 7;
  o.warmup_epochs = 1;
  o.average = 0.9;
  o.out = out;
  o.log_steps = 1;
  return o;
}

struct Trained {
  std::vector<float> weights;
  std::vector<double> losses;
  train::FitResult result;
};

/// Trains from the same start. `stop_after` > 0 ends the run after so many steps; `resume` continues it.
inline Trained run(train::FitOptions o, int stop_after = 0, const char* optimizer = "adamw") {
  const auto pictures = toy::stripes(72);  // 4 steps an epoch, 8 pictures are left over
  auto task = make_task();
  train::Trainer trainer(task, optim::make(optimizer, task.parameters(), {.lr = 0.01}));
  Trained t;
  int steps = 0;
  o.stop = [&] { return ++steps == stop_after; };
  o.progress = [&](const train::Progress& p) { if (p.kind == train::Progress::Kind::epoch) t.losses.push_back(p.loss); };
  t.result = trainer.fit(pictures, o);
  t.weights = weights(task.modules());
  return t;
}

inline std::string message(const std::function<void()>& f) {
  try { f(); } catch (const Error& e) { return e.what(); }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace toy
