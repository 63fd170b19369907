#pragma once

#include <cmath>

#include "../core/threads.hpp"
#include "adam.hpp"

namespace sslcake::inline v0::optim {

SSLCAKE_INLINE Rule Adam::rule(const AdamOptions& options, bool decoupled) {
  const char* name = decoupled ? "AdamW" : "Adam";
  detail::checked(name, "beta1", options.beta1, 0, 1 - 1e-12);
  detail::checked(name, "beta2", options.beta2, 0, 1 - 1e-12);
  detail::checked(name, "eps", options.eps, 0, 1);
  Rule rule{.name = decoupled ? "adamw" : "adam", .lr = options.lr, .weight_decay = options.weight_decay,
            .decay_norm_and_bias = options.decay_norm_and_bias};
  rule.slots = {"mean", "mean_square"};
  rule.settings = concat("beta1 ", options.beta1, " beta2 ", options.beta2, " eps ", options.eps);
  rule.update = [options, decoupled](const Update& u) {
    // The bias corrections are constant within a step: they move into the learning rate and one divisor.
    const auto t = static_cast<double>(u.step);
    const auto lr = static_cast<float>(u.lr / (1 - std::pow(options.beta1, t)));
    const auto root = static_cast<float>(std::sqrt(1 - std::pow(options.beta2, t)));
    const auto keep1 = static_cast<float>(1 - options.beta1), beta2 = static_cast<float>(options.beta2);
    const auto keep2 = static_cast<float>(1 - options.beta2), eps = static_cast<float>(options.eps);
    const auto shrink = static_cast<float>(decoupled ? 1 - u.lr * u.weight_decay : 1);
    const auto decay = static_cast<float>(decoupled ? 0 : u.weight_decay);
    parallel_for(u.size, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
      float *w = u.weights, *m = u.slots[0], *v = u.slots[1];
      for (auto i = begin; i < end; ++i) {
        const float before = w[i] * shrink;
        const float g = u.grads[i] + decay * before;
        m[i] += keep1 * (g - m[i]);
        v[i] = beta2 * v[i] + keep2 * g * g;
        w[i] = before - lr * m[i] / (std::sqrt(v[i]) / root + eps);
      }
    });
  };
  return rule;
}

}  // namespace sslcake::inline v0::optim
