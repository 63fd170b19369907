// The training loop.
//
//   auto trainer = train::Trainer{task, optim::SGD{task.parameters(), {.lr = 0.06f, .momentum = 0.9f}}};
//   trainer.fit(photos, {.epochs = 100, .batch = 256, .out = "runs/first"});
//
// With an output folder it writes metrics.jsonl and checkpoint/, and `resume` continues a run bit for bit: weights,
// optimiser, schedule, averages, random state and the position in the epoch. Only the task's concept and the optimiser's
// interface are known here; the loop itself is not a template.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../optim/schedule.hpp"
#include "../pretext/task.hpp"
#include "progress.hpp"

namespace sslcake::inline v0::train {

/// What a monitor found: numbers for the log, and warnings for the user.
struct Measurement {
  std::vector<pretext::Metric> metrics;
  std::vector<std::string> warnings;
};

struct FitOptions {
  int epochs = 100;
  std::int64_t batch = 256;           // pictures a step; every picture gives as many views as the task asks for
  std::uint64_t seed = global_seed(); // of shuffling and augmentation
  optim::Schedule schedule = {};      // of the learning rate, in steps; default: cosine to 0 (arXiv 1608.03983)
  double warmup_epochs = 0;           // linear from 0
  double clip = 0;                    // largest gradient norm; 0: gradients are left as they are
  DType precision = DType::float32;   // of the pictures that the encoder sees and so of its activations; bfloat16 halves their memory
  double average = 0;                 // decay of an exponential moving average of the weights; 0: none. Monitors and the end use it
  int accumulate = 1;                 // pieces that a batch is cut into; refused where the loss couples the batch
  int workers = -1;                   // loader threads; -1: as many as compute; 0: the batch is made between two steps
  std::string out{};                  // folder for metrics.jsonl and checkpoint/; empty: nothing is written
  bool resume = false;                // continue from the newest checkpoint in `out`
  int checkpoint_epochs = 1;          // a checkpoint after every so many epochs; 0: none but the last
  double checkpoint_seconds = 300;    // and inside an epoch after so many seconds; 0: never
  std::int64_t checkpoint_steps = 0;  // and after every so many steps; 0: never
  std::int64_t log_steps = 20;        // a line in metrics.jsonl every so many steps
  std::function<Measurement(int epoch)> monitor{};  // called after every `monitor_every` epochs and after the last
  int monitor_every = 5;
  ProgressSink progress{};            // called about once a second and after every epoch
  std::function<bool()> stop{};       // asked after every step; true: save a checkpoint and return
  std::map<std::string, std::string> settings{};  // more facts that a resume must find unchanged (the encoder's name...)
};

struct FitResult {
  bool finished = false;  // false: `stop` asked for an early end
  std::int64_t steps = 0;
  double seconds = 0;     // over all resumes
  double loss = 0;        // mean of the last epoch
  std::vector<pretext::Metric> metrics;  // the last measurement of the monitor
};

namespace detail {

/// A task with its type erased.
struct TaskHandle {
  pretext::Views views;
  pretext::Modules modules;
  std::function<pretext::Outcome(const pretext::Batch&, int turn)> loss;
  pretext::Optimizers optimizers;  // stepped in turn
  bool couples_batch = true;
  std::function<void(const pretext::EpochContext&)> before_epoch;
  std::function<void(const pretext::StepContext&)> after_step;
  std::function<Parameters()> state;
};

FitResult fit(TaskHandle& task, const data::Dataset& dataset, const FitOptions& options);

}  // namespace detail

template <pretext::Task T>
class Trainer {
 public:
  /// `task` must outlive the trainer.
  Trainer(T& task, optim::Optimizer optimizer) : task_(&task), optimizers_{std::move(optimizer)} {}
  /// For a task that brings its own optimisers.
  explicit Trainer(T& task) requires pretext::HasOptimizers<T> : task_(&task), optimizers_(task.optimizers()) {}

  /// Runs the task over the data set. Errors: a batch larger than the data set; a loss or gradient that is not finite
  /// (the message names the op and the module that made the first such value; the weights are those before the step);
  /// a checkpoint of another configuration; an output folder that holds a run when `resume` is off.
  FitResult fit(const data::Dataset& dataset, const FitOptions& options = {}) {
    detail::TaskHandle handle;
    handle.views = task_->views();
    handle.modules = task_->modules();
    handle.optimizers = optimizers_;
    handle.couples_batch = pretext::couples_batch<T>();
    handle.loss = [this](const pretext::Batch& batch, int turn) -> pretext::Outcome {
      if constexpr (requires { task_->loss(batch, turn); }) return task_->loss(batch, turn);
      else return task_->loss(batch);
    };
    if constexpr (pretext::HasBeforeEpoch<T>) handle.before_epoch = [this](const auto& c) { task_->before_epoch(c); };
    if constexpr (pretext::HasAfterStep<T>) handle.after_step = [this](const auto& c) { task_->after_step(c); };
    if constexpr (pretext::HasState<T>) handle.state = [this] { return task_->state(); };
    return detail::fit(handle, dataset, options);
  }
  FitResult fit(const std::shared_ptr<data::Dataset>& dataset, const FitOptions& options = {}) { return fit(*dataset, options); }

  T& task() { return *task_; }

 private:
  T* task_;
  pretext::Optimizers optimizers_;
};

}  // namespace sslcake::inline v0::train

#ifndef SSLCAKE_COMPILED
#include "trainer_inl.hpp"
#endif
