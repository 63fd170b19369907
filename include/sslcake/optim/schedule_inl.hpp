#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

#include "optimizer.hpp"
#include "schedule.hpp"

namespace sslcake::inline v0::optim {

SSLCAKE_INLINE double cosine_between(double from, double to, std::int64_t step, std::int64_t steps) {
  if (step < 0 || steps < 0) fail("cosine_between", "expected steps >= 0, got step ", step, " of ", steps);
  if (step >= steps) return to;
  const double t = static_cast<double>(step) / static_cast<double>(steps);
  return to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * t));
}

SSLCAKE_INLINE double Schedule::factor(std::int64_t step, std::int64_t steps, std::int64_t warmup) const {
  if (step < 0 || warmup < 0 || steps < warmup)
    fail("Schedule", "expected step >= 0 and 0 <= warm-up <= steps, got step ", step, ", warm-up ", warmup, " and ", steps,
         " steps");
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
  switch (kind) {
    case Kind::constant: return 1;
    case Kind::step:
      if (period < 1 || !(gamma >= 0))
        fail("Schedule", "expected a step schedule with period >= 1 and gamma >= 0, got ", period, " and ", gamma);
      return std::pow(gamma, static_cast<double>((std::min(step, std::max(steps - 1, warmup)) - warmup) / period));
    case Kind::cosine: return cosine_between(1, final_factor, step - warmup, steps - warmup);
  }
  return 1;
}

SSLCAKE_INLINE std::string Schedule::str() const {
  switch (kind) {
    case Kind::constant: return "constant";
    case Kind::step: return concat("step every ", period, " by ", detail::exact(gamma));
    case Kind::cosine: return final_factor == 0 ? std::string("cosine") : concat("cosine to ", detail::exact(final_factor));
  }
  return "?";
}

SSLCAKE_INLINE Schedule make_schedule(std::string_view name) {
  if (name == "constant") return {.kind = Schedule::Kind::constant};
  if (name == "step") return {.kind = Schedule::Kind::step};
  if (name == "cosine") return {.kind = Schedule::Kind::cosine};
  fail("make_schedule", "expected constant, step or cosine, got \"", name, "\"");
}

}  // namespace sslcake::inline v0::optim
