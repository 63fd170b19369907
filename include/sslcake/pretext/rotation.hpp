// Rotation prediction (Gidaris, Singh, Komodakis, "Unsupervised Representation Learning by Predicting Image Rotations",
// 2018, arXiv 1803.07728).
//
// Every picture is shown upright and turned by 90, 180 and 270 degrees; the network says which. To know which way is up
// it must recognise what it sees. All four rotations of a picture stand in the same batch (section 3.1 of the paper:
// clearly better than one random rotation).
#pragma once

#include <cmath>

#include "../augment/recipe.hpp"
#include "../nn/encoder.hpp"
#include "../nn/layers.hpp"
#include "../ops/losses.hpp"
#include "../ops/reduce.hpp"
#include "task.hpp"

namespace sslcake::inline v0::pretext {

struct RotationOptions {
  augment::Recipe recipe;  // applied before the turn: no flips or colours that hide which way is up
};

template <nn::Encoder E>
class Rotation {
 public:
  using Options = RotationOptions;
  /// The loss is a mean over views that do not see each other (batch norm aside), so a batch may be cut.
  static constexpr bool couples_batch = false;

  explicit Rotation(E encoder, Options options)
      : encoder_(std::move(encoder)), classifier_(encoder_.dim(), 4), options_(std::move(options)) {}

  /// One draw of the recipe, turned four ways, as in the authors' code: the turn is all that tells the views apart.
  Views views() const {
    Views four;
    for (int turn = 0; turn < 4; ++turn) four.push_back({options_.recipe.rotated90(turn), turn, 0});
    return four;
  }

  Modules modules() const { return {part("encoder", encoder_, true), part("classifier", classifier_)}; }

  Outcome loss(const Batch& batch) {
    const Tensor h = in_module("encoder", [&] { return encoder_.forward(batch.images).pooled; });  // (4N,D)
    const Tensor logits = in_module("classifier", [&] { return classifier_.forward(h); });         // (4N,4)
    return {ops::cross_entropy(logits, batch.view_labels), std::log(4.0),
            {{"accuracy", top1(logits, batch.view_labels)}}, h.detach()};
  }

  E encoder() const { return encoder_; }
  Parameters parameters() const { return trained_parameters(modules()); }

 private:
  E encoder_;
  nn::Linear classifier_;
  Options options_;
};

}  // namespace sslcake::inline v0::pretext
