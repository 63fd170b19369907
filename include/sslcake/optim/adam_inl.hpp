#pragma once

#include <cmath>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "adam.hpp"
#include "parts.hpp"

namespace sslcake::inline v0::optim {

namespace detail {
SSLCAKE_ALWAYS_INLINE float root_of(float x) { return std::sqrt(x); }
/// Compilers leave loops over std::sqrt alone, which might set errno.
SSLCAKE_ALWAYS_INLINE Lanes root_of(Lanes x) {
#if defined(__x86_64__)
  return _mm_sqrt_ps(x);
#else
  for (int k = 0; k < 4; ++k) x[k] = std::sqrt(x[k]);
  return x;
#endif
}
}  // namespace detail

SSLCAKE_INLINE Rule Adam::rule(const AdamOptions& options, bool decoupled) {
  const char* name = decoupled ? "AdamW" : "Adam";
  detail::checked(name, "beta1", options.beta1, 0, 1 - 1e-12);
  detail::checked(name, "beta2", options.beta2, 0, 1 - 1e-12);
  detail::checked(name, "eps", options.eps, 0, 1);
  Rule rule{.name = decoupled ? "adamw" : "adam", .lr = options.lr, .weight_decay = options.weight_decay,
            .decay_norm_and_bias = options.decay_norm_and_bias};
  rule.slots = {"mean", "mean_square"};
  rule.settings = concat("beta1 ", detail::exact(options.beta1), " beta2 ", detail::exact(options.beta2),
                         " eps ", detail::exact(options.eps));
  rule.on_cuda = {.kind = kernels::cuda::OptimiserRule::Kind::adam, .beta1 = static_cast<float>(options.beta1),
                  .beta2 = static_cast<float>(options.beta2), .eps = static_cast<float>(options.eps)};
  rule.item_on_cuda = [options, decoupled](const Update& u, kernels::cuda::OptimiserItem& item) {
    const auto t = static_cast<double>(u.step);
    item.lr = static_cast<float>(u.lr / (1 - std::pow(options.beta1, t)));
    item.root = static_cast<float>(std::sqrt(1 - std::pow(options.beta2, t)));
    item.shrink = static_cast<float>(decoupled ? 1 - u.lr * u.weight_decay : 1);
    item.decay = static_cast<float>(decoupled ? 0 : u.weight_decay);
  };
  rule.update = [options, decoupled](const Update& u) {
    // The bias corrections are constant within a step: they move into the learning rate and one divisor.
    const auto t = static_cast<double>(u.step);
    const auto lr = static_cast<float>(u.lr / (1 - std::pow(options.beta1, t)));
    const auto root = static_cast<float>(std::sqrt(1 - std::pow(options.beta2, t)));
    const auto keep1 = static_cast<float>(1 - options.beta1), beta2 = static_cast<float>(options.beta2);
    const auto keep2 = static_cast<float>(1 - options.beta2), eps = static_cast<float>(options.eps);
    const auto shrink = static_cast<float>(decoupled ? 1 - u.lr * u.weight_decay : 1);
    const auto decay = static_cast<float>(decoupled ? 0 : u.weight_decay);
    detail::for_lanes(
        u.size, [=, weights = u.weights, grads = u.grads, means = u.slots[0], squares = u.slots[1]]<class V>(V, std::int64_t i) {
          V w, g, m, v;
          kernels::load(w, weights + i);
          kernels::load(g, grads + i);
          kernels::load(m, means + i);
          kernels::load(v, squares + i);
          w *= shrink;
          g = g + decay * w;
          m += keep1 * (g - m);
          v = beta2 * v + keep2 * g * g;
          w -= lr * m / (detail::root_of(v) / root + eps);
          kernels::store(m, means + i);
          kernels::store(v, squares + i);
          kernels::store(w, weights + i);
        });
  };
  return rule;
}

}  // namespace sslcake::inline v0::optim
