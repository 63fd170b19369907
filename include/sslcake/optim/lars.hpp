// LARS: layer-wise adaptive rates for large batches (You, Gitman, Ginsburg 2017, arXiv 1708.03888), in the form that
// SimCLR trains with (arXiv 2002.05709):
//
//   g ← g + weight_decay · w
//   r = trust_coefficient · ‖w‖ / ‖g‖     for weights (1 if a norm is 0)
//   v ← momentum · v + r · lr · g
//   w ← w - v                             (Nesterov: w - momentum · v - r · lr · g)
//
// Biases and the scales and shifts of norms have neither decay (unless their group has its own) nor the ratio r: r = 1. Unlike
// in sgd.hpp the learning rate is inside of v. The original paper divides by ‖g‖ + weight_decay ‖w‖, each norm taken before
// they are added.
#pragma once

#include "optimizer.hpp"

namespace sslcake::inline v0::optim {

struct LARSOptions {
  double lr = 0.3;                   // SimCLR: 0.3 · batch / 256
  double momentum = 0.9;              // 0 to 1; nesterov needs more than 0
  bool nesterov = false;
  double weight_decay = 1e-6;        // SimCLR, pretraining
  double trust_coefficient = 0.001;  // eta of the paper; 0.001 in SimCLR's code
  bool decay_norm_and_bias = false;
};

class LARS : public Optimizer {
 public:
  explicit LARS(const Parameters& parameters, const LARSOptions& options = {}) : LARS(Groups{{parameters}}, options) {}
  explicit LARS(const Groups& groups, const LARSOptions& options = {}) : Optimizer(groups, rule(options)) {}
  static Rule rule(const LARSOptions& options);
};

}  // namespace sslcake::inline v0::optim

#ifndef SSLCAKE_COMPILED
#include "lars_inl.hpp"
#endif
