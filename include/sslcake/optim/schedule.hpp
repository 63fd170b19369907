// Schedules of the learning rate: pure functions of the step, so that nothing about them needs to be stored or resumed.
//
//   factor(step) = (step + 1) / warm-up                                    while step < warm-up   (arXiv 1706.02677)
//                = 1                                                       constant
//                = gamma^floor((step - warm-up) / period)                  step
//                = final + (1 - final) · ½ (1 + cos(π t)),                 cosine                 (arXiv 1608.03983)
//                  t = (step - warm-up) / (steps - warm-up)
//
// The learning rate of a step is the base rate times the factor. Steps count from 0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "../core/error.hpp"

namespace sslcake::inline v0::optim {

struct Schedule {
  enum class Kind : std::uint8_t { constant, step, cosine };
  Kind kind = Kind::cosine;
  double final_factor = 0;   // cosine: where it ends
  std::int64_t period = 0;   // step: steps between two drops (PyTorch's StepLR); must be set
  double gamma = 0.1;        // step: factor of a drop

  /// The factor of step `step` of `steps`, the first `warmup` of which climb linearly. Beyond the end it stays as at
  /// the end. Errors: warmup > steps, negative numbers, a step schedule without period.
  double factor(std::int64_t step, std::int64_t steps, std::int64_t warmup = 0) const;
  /// "cosine", "step every 100 by 0.1": for logs and for the comparison of configurations.
  std::string str() const;
};

/// "constant", "step" or "cosine"; another name is an error that lists them.
Schedule make_schedule(std::string_view name);

/// ½ cosine from `from` (step 0) to `to` (step `steps`): momentum of averaged copies, weight decay, temperature.
double cosine_between(double from, double to, std::int64_t step, std::int64_t steps);

}  // namespace sslcake::inline v0::optim

#ifndef SSLCAKE_COMPILED
#include "schedule_inl.hpp"
#endif
