// Stochastic gradient descent with momentum (Polyak 1964; Sutskever, Martens, Dahl, Hinton 2013), as in PyTorch:
//
//   g ← g + weight_decay · w
//   v ← momentum · v + g
//   w ← w - lr · v                      plain momentum
//   w ← w - lr · (g + momentum · v)     Nesterov
//
// The learning rate is outside of v, so that a changed rate acts at once on all of it.
#pragma once

#include "optimizer.hpp"

namespace sslcake::inline v0::optim {

struct SGDOptions {
  double lr = 0.1;      // no paper's: choose it
  double momentum = 0;  // 0 to 1; nesterov needs more than 0
  bool nesterov = false;
  double weight_decay = 0;
  bool decay_norm_and_bias = true;  // as in PyTorch; false spares scales and shifts of norms, and biases (arXiv 1812.01187)
};

class SGD : public Optimizer {
 public:
  explicit SGD(const Parameters& parameters, const SGDOptions& options = {}) : SGD(Groups{{parameters}}, options) {}
  explicit SGD(const Groups& groups, const SGDOptions& options = {}) : Optimizer(groups, rule(options)) {}
  static Rule rule(const SGDOptions& options);
};

}  // namespace sslcake::inline v0::optim

#ifndef SSLCAKE_COMPILED
#include "sgd_inl.hpp"
#endif
