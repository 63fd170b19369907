// Exponential moving average of weights (Polyak averaging): average ← decay · average + (1 - decay) · weights.
// The average of a run is usually a better network than its last step (Tarvainen and Valpola 2017, arXiv 1703.01780),
// and methods with a teacher (MoCo, BYOL, DINO) learn from one. Buffers, such as running statistics, are copied: averaged
// weights are measured with the statistics that the last weights left, which are a moving average already.
#pragma once

#include "../autograd/parameter.hpp"

namespace sslcake::inline v0::optim {

/// Moves `average` towards `weights`: lists of equal length whose tensors have equal names, shapes and types
/// (`nn::clone(m).state()` and `m.state()`). Errors: they do not, or a decay outside of [0, 1].
void ema_update(const Parameters& average, const Parameters& weights, double decay);

/// The average of one network's weights beside the network.
class Ema {
 public:
  /// Starts as a copy. `state`: parameters and buffers, e.g. `encoder.state()`; 0.99 to 0.9999 are usual for the decay.
  Ema(const Parameters& state, double decay);

  void update() { ema_update(average_, weights_, decay_); }
  void set_decay(double decay);
  /// Exchanges the numbers of network and average: to measure the average; a second call puts all back.
  void swap();
  /// The averaged tensors: handles, named as the network's.
  const Parameters& state() const { return average_; }

 private:
  Parameters weights_, average_;
  double decay_;
};

}  // namespace sslcake::inline v0::optim

#ifndef SSLCAKE_COMPILED
#include "ema_inl.hpp"
#endif
