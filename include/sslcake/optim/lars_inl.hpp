#pragma once

#include <cmath>

#include "lars.hpp"
#include "parts.hpp"

namespace sslcake::inline v0::optim {

SSLCAKE_INLINE Rule LARS::rule(const LARSOptions& options) {
  detail::checked("LARS", "momentum", options.momentum, 0, 1);
  if (options.nesterov && options.momentum == 0) fail("LARS", "expected momentum above 0 with nesterov, got 0");
  detail::checked("LARS", "trust_coefficient", options.trust_coefficient, 0, 1e6);
  Rule rule{
      .name = "lars", .lr = options.lr, .weight_decay = options.weight_decay, .decay_norm_and_bias = options.decay_norm_and_bias};
  rule.slots = {"momentum"};
  rule.settings = concat("momentum ", detail::exact(options.momentum), options.nesterov ? " nesterov" : "",
                         ", trust coefficient ", detail::exact(options.trust_coefficient));
  // ‖w‖² and ‖g‖², the gradient with its decay.
  rule.measure = [](const Update& u) -> std::array<double, 2> {
    if (u.norm_or_bias) return {};
    const double decay = static_cast<float>(u.weight_decay);
    return {detail::sum_lanes(u.size, [w = u.weights](std::int64_t i) { return double{w[i]} * w[i]; }),
            detail::sum_lanes(u.size, [w = u.weights, g = u.grads, decay](std::int64_t i) {
              const double both = g[i] + decay * w[i];
              return both * both;
            })};
  };
  rule.on_cuda = {.kind = kernels::cuda::OptimiserRule::Kind::lars, .momentum = static_cast<float>(options.momentum),
                  .trust = static_cast<float>(options.trust_coefficient), .nesterov = options.nesterov};
  rule.item_on_cuda = [](const Update& u, kernels::cuda::OptimiserItem& item) {
    item.lr = static_cast<float>(u.lr);
    item.decay = static_cast<float>(u.weight_decay);
    item.adapts = !u.norm_or_bias;
  };
  rule.update = [options](const Update& u) {
    double rate = u.lr;
    if (u.sums[0] > 0 && u.sums[1] > 0) rate *= options.trust_coefficient * std::sqrt(u.sums[0]) / std::sqrt(u.sums[1]);
    const auto momentum = static_cast<float>(options.momentum), lr = static_cast<float>(rate),
               decay = static_cast<float>(u.weight_decay);
    detail::for_lanes(u.size, [=, nesterov = options.nesterov, weights = u.weights, grads = u.grads,
                               velocity = u.slots[0]]<class V>(V, std::int64_t i) {
      V w, g, v;
      kernels::load(w, weights + i);
      kernels::load(g, grads + i);
      kernels::load(v, velocity + i);
      const V move = lr * (g + decay * w);
      v = momentum * v + move;
      w -= nesterov ? momentum * v + move : v;
      kernels::store(v, velocity + i);
      kernels::store(w, weights + i);
    });
  };
  return rule;
}

}  // namespace sslcake::inline v0::optim
