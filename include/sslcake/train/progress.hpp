// What the trainer tells while it runs. The library prints nothing: a program attaches a sink and decides.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "../pretext/task.hpp"

namespace sslcake::inline v0::train {

struct Progress {
  enum class Kind { step, epoch, note, warning };
  Kind kind = Kind::step;
  int epoch = 0, epochs = 0;              // epoch counts from 1
  std::int64_t step = 0, steps = 0;       // done so far in the run, planned in the run
  std::int64_t epoch_step = 0, epoch_steps = 0;
  double loss = 0, chance = 0;            // of the step; for Kind::epoch the mean over the epoch
  double lr = 0;
  double images_per_second = 0;           // pictures (not views), over the last seconds
  double seconds = 0, seconds_left = 0;   // spent in the run (over all resumes), expected to remain
  double waited = 0;                      // seconds of this epoch that the trainer waited for the loader
  std::vector<pretext::Metric> metrics;
  std::string text;                       // notes and warnings
};

using ProgressSink = std::function<void(const Progress&)>;

/// One line: "epoch 3/20  step 120/195  loss 4.871 (chance 6.234)  agreement 0.31  912 images/s  12:31 left".
std::string format(const Progress& progress);
/// 75 s -> "1:15", 3725 s -> "1:02:05".
std::string format_seconds(double seconds);

}  // namespace sslcake::inline v0::train

#ifndef SSLCAKE_COMPILED
#include "progress_inl.hpp"
#endif
