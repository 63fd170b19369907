#pragma once

#include "parts.hpp"
#include "sgd.hpp"

namespace sslcake::inline v0::optim {

SSLCAKE_INLINE Rule SGD::rule(const SGDOptions& options) {
  detail::checked("SGD", "momentum", options.momentum, 0, 1);
  if (options.nesterov && options.momentum == 0) fail("SGD", "expected momentum above 0 with nesterov, got 0");
  Rule rule{
      .name = "sgd", .lr = options.lr, .weight_decay = options.weight_decay, .decay_norm_and_bias = options.decay_norm_and_bias};
  if (options.momentum > 0) {
    rule.slots = {"momentum"};
    rule.settings = concat("momentum ", detail::exact(options.momentum), options.nesterov ? " nesterov" : "");
  }
  rule.on_cuda = {.kind = kernels::cuda::OptimiserRule::Kind::sgd,
                  .momentum = static_cast<float>(options.momentum),
                  .nesterov = options.nesterov};
  rule.item_on_cuda = [](const Update& u, kernels::cuda::OptimiserItem& item) {
    item.lr = static_cast<float>(u.lr);
    item.decay = static_cast<float>(u.weight_decay);
  };
  rule.update = [momentum = static_cast<float>(options.momentum), nesterov = options.nesterov](const Update& u) {
    const auto lr = static_cast<float>(u.lr), decay = static_cast<float>(u.weight_decay);
    detail::for_lanes(u.size, [=, weights = u.weights, grads = u.grads, velocity = u.slots[0]]<class V>(V, std::int64_t i) {
      V w, g, v;
      kernels::load(w, weights + i);
      kernels::load(g, grads + i);
      g = g + decay * w;
      if (velocity) {
        kernels::load(v, velocity + i);
        v = momentum * v + g;
        kernels::store(v, velocity + i);
        g = nesterov ? g + momentum * v : v;
      }
      w -= lr * g;
      kernels::store(w, weights + i);
    });
  };
  return rule;
}

}  // namespace sslcake::inline v0::optim
