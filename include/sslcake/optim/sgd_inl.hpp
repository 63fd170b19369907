#pragma once

#include "../core/threads.hpp"
#include "sgd.hpp"

namespace sslcake::inline v0::optim {

SSLCAKE_INLINE Rule SGD::rule(const SGDOptions& options) {
  detail::checked("SGD", "momentum", options.momentum, 0, 1);
  if (options.nesterov && options.momentum == 0) fail("SGD", "expected momentum above 0 with nesterov, got 0");
  Rule rule{.name = "sgd", .lr = options.lr, .weight_decay = options.weight_decay, .decay_norm_and_bias = options.decay_norm_and_bias};
  if (options.momentum > 0) {
    rule.slots = {"momentum"};
    rule.settings = concat("momentum ", options.momentum, options.nesterov ? " nesterov" : "");
  }
  rule.update = [momentum = static_cast<float>(options.momentum), nesterov = options.nesterov](const Update& u) {
    const auto lr = static_cast<float>(u.lr), decay = static_cast<float>(u.weight_decay);
    parallel_for(u.size, 1 << 15, [&](std::int64_t begin, std::int64_t end) {
      float* w = u.weights;
      float* v = u.slots[0];
      for (auto i = begin; i < end; ++i) {
        float g = u.grads[i] + decay * w[i];
        if (v) {
          v[i] = momentum * v[i] + g;
          g = nesterov ? g + momentum * v[i] : v[i];
        }
        w[i] -= lr * g;
      }
    });
  };
  return rule;
}

}  // namespace sslcake::inline v0::optim
