// Fine-tuning with few labels: the encoder's weights as a starting point, a new linear head, and a handful of labelled
// pictures per class; beside it the same network from scratch with the same pictures, steps and augmentation. The
// difference is what pretraining was worth (Chen, Kornblith, Norouzi, Hinton 2020, arXiv 2002.05709, section 6).
#pragma once

#include <functional>
#include <vector>

#include "../augment/recipe.hpp"
#include "../data/dataset.hpp"
#include "../nn/encoder.hpp"

namespace sslcake::inline v0::eval {

/// Stochastic gradient descent with Nesterov momentum 0.9, no warm-up, no weight decay, crops and flips only, as in the paper's
/// appendix B.5. The cosine to 0 is this library's, and so are more epochs than the paper's 60: the sets are small.
struct FineTuneOptions {
  std::int64_t labels_per_class = 40;  // this and lr are this library's
  int size = 32;            // side of the pictures
  augment::Normalisation normalisation = {};  // the encoder's
  float smallest_crop = 0.25f;  // share of the area that a training crop keeps at least; milder than in pretraining
  int epochs = 100;         // passes over the labelled pictures
  std::int64_t batch = 64;  // cut to the number of labelled pictures; an epoch leaves out what does not fill one
  double lr = 0.03;
  std::uint64_t seed = 0;
  std::function<void(int epoch, double loss)> progress{};  // after every epoch
  std::function<bool()> stop{};                            // true: leave with an Error
};

struct FineTuneResult {
  double fine_tune = 0, from_scratch = 0;  // accuracy of all test pictures, 0 to 1
  std::int64_t labelled = 0;               // pictures used
};

/// Trains a copy of `pretrained` and a copy of `fresh`, each with a head of its own, on the same few labels, and measures
/// both on `test`. The encoders themselves are left as they are. Errors: a class with too few pictures; missing labels;
/// a loss that is not finite.
FineTuneResult fine_tune(const nn::AnyEncoder& pretrained, const nn::AnyEncoder& fresh, const data::DatasetPtr& train,
                         const data::DatasetPtr& test, const FineTuneOptions& options = {});

/// One half of it: trains `encoder` in place with a new linear head on all of `train`; accuracy on `test`.
double train_classifier(const nn::AnyEncoder& encoder, const data::DatasetPtr& train, const data::DatasetPtr& test,
                        const FineTuneOptions& options = {});

/// Indices of `per_class` items of each class that occurs in `labels`, drawn by the seed, in ascending order. The choice
/// for a class does not depend on the other classes. Errors: a label below 0, a class with fewer items.
std::vector<std::int64_t> balanced_subset(const std::vector<std::int64_t>& labels, std::int64_t per_class,
                                          std::uint64_t seed = 0);

}  // namespace sslcake::inline v0::eval

#ifndef SSLCAKE_COMPILED
#include "fine_tune_inl.hpp"
#endif
