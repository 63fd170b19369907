#pragma once

#include <cmath>

#include "clip.hpp"
#include "lars.hpp"

namespace sslcake::inline v0::optim {

SSLCAKE_INLINE Rule LARS::rule(const LARSOptions& options) {
  detail::checked("LARS", "momentum", options.momentum, 0, 1);
  detail::checked("LARS", "trust_coefficient", options.trust_coefficient, 0, 1e6);
  Rule rule{.name = "lars", .lr = options.lr, .weight_decay = options.weight_decay, .decay_norm_and_bias = options.decay_norm_and_bias};
  rule.slots = {"momentum"};
  rule.settings = concat("momentum ", options.momentum, options.nesterov ? " nesterov" : "", ", trust coefficient ", options.trust_coefficient);
  rule.update = [options](const Update& u) {
    const auto decay = static_cast<float>(u.weight_decay);
    double rate = u.lr;
    if (!u.norm_or_bias) {
      const double w = std::sqrt(detail::sum_chunks(u.size, [&](std::int64_t i) { return double{u.weights[i]} * u.weights[i]; }));
      const double g = std::sqrt(detail::sum_chunks(u.size, [&](std::int64_t i) {
        const double both = double{u.grads[i]} + double{decay} * u.weights[i];
        return both * both;
      }));
      if (w > 0 && g > 0) rate *= options.trust_coefficient * w / g;
    }
    const auto momentum = static_cast<float>(options.momentum), lr = static_cast<float>(rate);
    parallel_for(u.size, 1 << 15, [&](std::int64_t begin, std::int64_t end) {
      float *w = u.weights, *v = u.slots[0];
      for (auto i = begin; i < end; ++i) {
        const float move = lr * (u.grads[i] + decay * w[i]);
        v[i] = momentum * v[i] + move;
        w[i] -= options.nesterov ? momentum * v[i] + move : v[i];
      }
    });
  };
  return rule;
}

}  // namespace sslcake::inline v0::optim
