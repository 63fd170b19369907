// Adam (Kingma and Ba 2014, arXiv 1412.6980) and AdamW (Loshchilov and Hutter 2017, arXiv 1711.05101), as in PyTorch:
//
//   Adam:  g ← g + weight_decay · w           AdamW:  w ← w - lr · weight_decay · w
//   m ← β₁ m + (1 - β₁) g                     mean of the gradient
//   v ← β₂ v + (1 - β₂) g²                    mean of its square
//   w ← w - lr · m̂ / (√v̂ + ε),                m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)
//
// The decay of AdamW acts on the weights directly and is not divided by √v̂.
#pragma once

#include "optimizer.hpp"

namespace sslcake::inline v0::optim {

struct AdamOptions {
  double lr = 1e-3;                 // this, the betas and eps: the paper's algorithm 1
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;          // AdamW's default is 0.01, as in PyTorch
  bool decay_norm_and_bias = true;
};
struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
  bool decay_norm_and_bias = true;
};

class Adam : public Optimizer {
 public:
  explicit Adam(const Parameters& parameters, const AdamOptions& options = {}) : Adam(Groups{{parameters}}, options) {}
  explicit Adam(const Groups& groups, const AdamOptions& options = {}) : Optimizer(groups, rule(options, false)) {}
  /// `decoupled`: AdamW.
  static Rule rule(const AdamOptions& options, bool decoupled);
};

class AdamW : public Optimizer {
 public:
  explicit AdamW(const Parameters& parameters, const AdamWOptions& options = {}) : AdamW(Groups{{parameters}}, options) {}
  explicit AdamW(const Groups& groups, const AdamWOptions& o = {})
      : Optimizer(groups, Adam::rule({o.lr, o.beta1, o.beta2, o.eps, o.weight_decay, o.decay_norm_and_bias}, true)) {}
};

}  // namespace sslcake::inline v0::optim

#ifndef SSLCAKE_COMPILED
#include "adam_inl.hpp"
#endif
