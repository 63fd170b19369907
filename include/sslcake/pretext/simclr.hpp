// SimCLR (Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations",
// 2020, arXiv 2002.05709).
//
// Every picture is augmented twice. The encoder f and a small projection head g map both views to unit vectors
// z = g(f(x)); each must find its partner among the 2N-1 others of the batch (NT-Xent, eq. 1):
//
//   loss(i,j) = -log  exp(z_i·z_j / T) / Σ_{k≠i} exp(z_i·z_k / T)
//
// The head is thrown away afterwards: h = f(x) carries more than z, from which the loss has removed what the
// augmentations change (section 4.2).
#pragma once

#include "../augment/recipe.hpp"
#include "../nn/encoder.hpp"
#include "../nn/layers.hpp"
#include "../ops/nt_xent.hpp"
#include "task.hpp"

namespace sslcake::inline v0::pretext {

struct SimCLROptions {
  float temperature = 0.5f;       // best value on CIFAR-10 (paper, appendix B.9)
  std::int64_t projection = 128;  // width of z (section 2.3)
  std::int64_t hidden = 0;        // width inside the head; 0: as wide as the encoder's output
  augment::SimclrOptions augmentation = {};
};

template <nn::Encoder E>
class SimCLR {
 public:
  using Options = SimCLROptions;

  /// Trains `encoder` (a shared handle) under a new projection head. Errors: temperature not in (0, 1e6), widths
  /// below 1 (hidden: 0 is the encoder's).
  explicit SimCLR(E encoder, Options options = {})
      : encoder_(std::move(encoder)),
        projection_({encoder_.dim(), options.hidden > 0 ? options.hidden : encoder_.dim(), options.projection}),
        options_(options) {
    if (!(options_.temperature > 0 && options_.temperature < 1e6f))
      fail("SimCLR", "expected a temperature above 0 and below 1e6, got ", options_.temperature);
    if (options_.hidden < 0)
      fail("SimCLR", "expected a hidden width of at least 1, or 0 for the encoder's, got ", options_.hidden);
  }

  /// Two independent draws of the same recipe.
  Views views() const {
    const auto recipe = augment::simclr(options_.augmentation);
    return {{recipe}, {recipe}};
  }

  Modules modules() const { return {part("encoder", encoder_, true), part("projection", projection_)}; }

  Outcome loss(const Batch& batch) {
    if (batch.images.dim(0) < 4)
      fail("SimCLR", "expected a batch of at least 2 pictures, got ", batch.images.dim(0) / 2,
           ": a picture's views are told from those of other pictures, and there are none; use a larger batch");
    // Rows i and i + N of `images` are the two views of picture i.
    const Tensor h = in_module("encoder", [&] { return encoder_.forward(batch.images).pooled; });  // (2N,D)
    const Tensor z = in_module("projection", [&] { return projection_.forward(h); });              // (2N,d)
    const auto result = ops::nt_xent(z, {.temperature = options_.temperature});
    return {result.loss, ops::nt_xent_chance(z.dim(0)), {{"agreement", result.agreement}}, h.detach()};
  }

  std::map<std::string, std::string> settings() const { return {{"temperature", optim::detail::exact(options_.temperature)}}; }
  E encoder() const { return encoder_; }
  Parameters parameters() const { return trained_parameters(modules()); }
  const Options& options() const { return options_; }

 private:
  E encoder_;
  nn::ProjectionHead projection_;
  Options options_;
};

}  // namespace sslcake::inline v0::pretext
