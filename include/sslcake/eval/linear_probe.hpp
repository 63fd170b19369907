// The linear probe: how well do the features separate the classes with nothing but a plane between any two of them?
// Softmax regression on frozen features,
//
//   minimise  mean of -log softmax(W z + b)[label] + weight decay,    z = (feature - mean) / deviation,
//
// with mean and deviation per dimension from the training features: without that, one learning rate cannot suit both
// the early stages (small numbers) and the late ones (Alain and Bengio 2016, arXiv 1610.01644, probe every layer).
// The problem is convex and starts at W = 0, so there is no luck in it; the seed orders the mini-batches.
#pragma once

#include <vector>

#include "../core/tensor.hpp"

namespace sslcake::inline v0::eval {

/// Adam with a cosine to 0; learning rate, batch and decay as in the probe of W-MSE (Ermolov, Siarohin, Sangineto, Sebe
/// 2020, arXiv 2007.06346, and its code), whose 500 epochs are more than the cosine needs.
struct ProbeOptions {
  int epochs = 100;
  std::int64_t batch = 1000;  // cut to a tenth of the training features: fewer than ten steps an epoch end far from the optimum.
                              // An epoch leaves out what does not fill a batch
  double lr = 1e-2;
  double weight_decay = 5e-6;
  std::uint64_t seed = 0;
};

struct ProbeResult {
  double accuracy = 0;        // of the test features, after the last epoch, 0 to 1
  double train_accuracy = 0;
  Tensor weight, bias;        // (C,D), (C): of the standardised features
};

/// Trains a probe on `train` (N,D) float32 with labels (N) int64 in [0,C), C the largest label + 1, and measures it on
/// `test` (M,D). A test label that training lacks is never predicted and counts as wrong. Errors: shapes, types, labels
/// below 0, features that are not finite.
ProbeResult linear_probe(const Tensor& train, const Tensor& train_labels, const Tensor& test, const Tensor& test_labels,
                         const ProbeOptions& options = {});

/// Both matrices with each column shifted and scaled by the mean and deviation that it has in `train` (N,D). A constant
/// column becomes 0.
struct Standardised {
  Tensor train, test;
};
Standardised standardise(const Tensor& train, const Tensor& test);

}  // namespace sslcake::inline v0::eval

#ifndef SSLCAKE_COMPILED
#include "linear_probe_inl.hpp"
#endif
