// From a data set to feature matrices: what every measurement starts from.
//
//   auto train = eval::extract(encoder, dataset, augment::evaluation(32));
//   auto probe = eval::linear_probe(train.features, train.labels, ...);
//
// The encoder runs in evaluation mode (batch norm with its running statistics; measuring in training mode is a classic
// mistake that lets the pictures of a batch leak into each other's features) and without a tape.
#pragma once

#include <functional>
#include <vector>

#include "../augment/recipe.hpp"
#include "../core/tensor.hpp"
#include "../data/dataset.hpp"
#include "../nn/features.hpp"

namespace sslcake::inline v0::eval {

struct FeatureSet {
  Tensor features;                    // (N,D) float32
  std::vector<Tensor> stages;         // (N,D_s) each, averaged over the picture; empty unless asked for
  Tensor labels;                      // (N) int64, -1 where the data set has none
  std::vector<std::int64_t> indices;  // (N) which pictures these are: all but the unreadable ones, in order
};

struct ExtractOptions {
  std::int64_t batch = 256;
  bool stages = false;
  DType precision = DType::float32;  // of the pictures, where the encoder is on a GPU
};

/// Features of every readable picture, in the order of the data set. `forward` maps (N,H,W,3), made on `device`, to features,
/// which stay where they are made; the labels are the host's. Errors: no readable picture.
FeatureSet extract_with(const std::function<nn::Features(const Tensor&)>& forward, const data::DatasetPtr& dataset,
                        const augment::Recipe& recipe, const ExtractOptions& options = {}, Device device = Device::cpu);

/// The same with an encoder, on the device where its parameters are, and whose training mode is restored afterwards (an encoder
/// that cannot tell whether it is in training mode, having no `training()`, is put back into it).
template <nn::Encoder E>
FeatureSet extract(E encoder, const data::DatasetPtr& dataset, const augment::Recipe& recipe,
                   const ExtractOptions& options = {}) {
  bool training = true;
  if constexpr (requires { { encoder.training() } -> std::convertible_to<bool>; }) training = encoder.training();
  struct Restore {  // also when an exception passes
    E& encoder;
    bool training;
    ~Restore() { encoder.train(training); }
  } restore{encoder, training};
  encoder.train(false);
  return extract_with([&](const Tensor& images) { return encoder.forward(images); }, dataset, recipe, options,
                      device_of(encoder.parameters()));
}

/// Raw pixels as features, the baseline that an encoder has to beat: pictures at `size` x `size`, each colour channel
/// with mean 0 and deviation 1 over the train pictures, flattened to (N, size·size·3). They end up on `device`.
struct PixelSets {
  FeatureSet train, test;
};
PixelSets pixels(const data::DatasetPtr& train, const data::DatasetPtr& test, int size, Device device = Device::cpu);

}  // namespace sslcake::inline v0::eval

#ifndef SSLCAKE_COMPILED
#include "features_inl.hpp"
#endif
