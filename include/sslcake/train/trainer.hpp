// The training loop.
//
//   auto trainer = train::Trainer{task, optim::SGD{task.parameters(), {.lr = 0.06, .momentum = 0.9}}};
//   trainer.fit(photos, {.epochs = 100, .batch = 256, .out = "runs/first"});
//
// With an output folder it writes metrics.jsonl and checkpoint/, and `resume` continues a run bit for bit: weights,
// optimiser, schedule, averages, random state and the position in the epoch. Only the task's concept and the optimiser's
// interface are known here; the loop itself is not a template.
#pragma once

#include <functional>
#include <memory>

#include "../pretext/task.hpp"
#include "fit_options.hpp"

namespace sslcake::inline v0::train {

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
  std::function<pretext::Modules()> modules_now;
  std::map<std::string, std::string> settings;  // of the task
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

  /// Runs the task over the data set; afterwards the optimiser has its learning rate again, and, unless an error
  /// came out, modules are in evaluation mode. Errors: a batch larger than the data set; a parameter of the optimiser that no
  /// module of the task has; a metric that is named like a field of the log; a loss or gradient that is not finite (the message
  /// names the op and the module that made the first such value; the weights are those before the step; of several optimisers,
  /// before that one's); a checkpoint of another configuration; an output folder that holds a run when `resume` is off. An error
  /// of the monitor comes out after the epoch is saved.
  FitResult fit(const data::Dataset& dataset, const FitOptions& options = {}) {
    detail::TaskHandle handle;
    handle.views = task_->views();
    handle.modules = task_->modules();
    handle.modules_now = [this] { return task_->modules(); };
    if constexpr (pretext::HasSettings<T>) handle.settings = task_->settings();
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
