// Losses and similarities, with PyTorch's definitions. bfloat16 inputs are converted to float32 on entry, so a loss is
// always float32 or float64.
#pragma once

#include "../core/tensor.hpp"

namespace sslcake::inline v0::ops {

/// What becomes of the losses of single elements.
enum class Reduction {
  mean,        // their mean (cross_entropy: weighted by class weights, without ignored rows)
  sum,         // their sum
  none,        // kept: the result has one loss per element (cross_entropy: per row)
  batch_mean,  // their sum over the extent of the first dimension: what the definition of KL divergence asks for
};

struct CrossEntropyOptions {
  double label_smoothing = 0;       // Szegedy et al. 2015, arXiv 1512.00567: this much of the target is spread over all classes
  std::int64_t ignore_index = -100; // rows with this target count for nothing
  Tensor class_weights = {};        // (C), no gradient; undefined: all 1
  Reduction reduction = Reduction::mean;
};
/// −log softmax(logits)[target]. logits: (..., C), any real numbers; target: (...) int64 in [0,C) or ignore_index.
/// Errors: shapes, types, a label_smoothing outside of [0,1], another target; on CUDA that is not noticed: its loss is NaN, its
/// gradient 0.
Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options = {});

/// (x − target)². Both of one shape.
Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);
/// |x − target|.
Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);
/// d²/2 for |d| = |x − target| ≤ delta, delta·(|d| − delta/2) beyond (Huber 1964). Errors: delta not above 0.
Tensor huber_loss(const Tensor& x, const Tensor& target, double delta = 1, Reduction reduction = Reduction::mean);
/// −[w·t·log σ(x) + (1 − t)·log(1 − σ(x))] for logits x and targets t in [0,1]; w, the weight of positives, for all classes.
Tensor bce_with_logits(const Tensor& x, const Tensor& target, double positive_weight = 1, Reduction reduction = Reduction::mean);
/// t·(log t − x) for log-probabilities x and probabilities t; with `log_target`, t is given as its logarithm. The mean, as in
/// PyTorch, is over all elements; batch_mean is the divergence itself.
Tensor kl_div(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean, bool log_target = false);

/// x / max(‖x‖₂, eps) along an axis. float32 and float64.
Tensor normalize(const Tensor& x, int axis = -1, double eps = 1e-12);
/// Σ ab / (max(‖a‖, eps)·max(‖b‖, eps)) along an axis of the common shape; the shapes may broadcast.
Tensor cosine_similarity(const Tensor& a, const Tensor& b, int axis = -1, double eps = 1e-8);

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "losses_inl.hpp"
#endif
