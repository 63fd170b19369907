// What a run of the trainer is asked for, and what it answers.
#pragma once

#include <functional>
#include <map>
#include <optional>
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
  std::int64_t batch = 256;           // pictures a step, each in as many views as the task asks for; what fills none is left out
  std::uint64_t seed = global_seed(); // of shuffling and augmentation
  optim::Schedule schedule = {};      // of the learning rate, in steps; default: cosine to 0 (arXiv 1608.03983)
  double warmup_epochs = 0;           // linear: step s of w has (s + 1)/w of the rate
  double clip = 0;                    // largest gradient norm; 0: gradients are left as they are
  std::optional<Device> device{};     // where to train; none: where the first parameter of the task's modules lies
  DType precision = DType::float32;   // of the pictures that the encoder sees and so of its activations; bfloat16 halves them
  double average = 0;                 // decay of an exponential moving average of the weights, for monitors and the end; 0: none
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

/// Errors: options that contradict each other, the task or the number of pictures.
void check_options(const FitOptions& options, std::int64_t pictures, bool couples_batch);

/// What a resume must find unchanged, numbers to their last digit. Threads and kernels may differ; that is said, not refused.
std::map<std::string, std::string> settings_of(const FitOptions& options, std::int64_t pictures, const pretext::Views& views,
                                               const pretext::Optimizers& optimizers,
                                               const std::map<std::string, std::string>& of_task = {});

/// What a recipe is made of, "32 pixels, RandomResizedCrop 0.08 1 0.75 1.3333334, Flip 0.5, mean ...", but for a custom
/// function, which has no text.
std::string text_of(const augment::Recipe& recipe);

}  // namespace detail

}  // namespace sslcake::inline v0::train

#ifndef SSLCAKE_COMPILED
#include "fit_options_inl.hpp"
#endif
