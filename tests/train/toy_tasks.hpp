// Small tasks on 8x8 pictures that train in milliseconds: the trainer's tests run on them.
#pragma once

#include <sslcake/augment/recipe.hpp>
#include <sslcake/nn/layers.hpp>
#include <sslcake/ops/arithmetic.hpp>
#include <sslcake/ops/losses.hpp>
#include <sslcake/ops/pointwise.hpp>
#include <sslcake/ops/pool.hpp>
#include <sslcake/ops/reduce.hpp>
#include <sslcake/ops/shape_ops.hpp>
#include <sslcake/optim/make.hpp>
#include <sslcake/pretext/task.hpp>

#include <algorithm>

namespace toy {

using namespace sslcake;

/// n pictures of one of two textures: vertical or horizontal stripes of random colours.
inline data::MemoryDataset stripes(std::int64_t n) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < n; ++i) {
    Random random(5, Purpose::test, 0, static_cast<std::uint64_t>(i));
    const bool vertical = random.chance(0.5f);
    std::uint8_t colour[2][3];
    for (auto& c : colour)
      for (auto& v : c) v = static_cast<std::uint8_t>(random.below(256));
    for (int y = 0; y < 8; ++y)
      for (int x = 0; x < 8; ++x)
        for (int c = 0; c < 3; ++c) pixels.push_back(colour[(vertical ? x : y) / 2 % 2][c]);
    labels.push_back(vertical);
  }
  return data::MemoryDataset(std::move(pixels), 8, 8, std::move(labels), {"horizontal", "vertical"});
}

/// An encoder without any base class of the library's: what a user may bring.
struct TinyEncoder {
  nn::Conv2d conv{3, 8, 3, {.padding = 1}};
  nn::Features forward(const Tensor& x) const {
    const Tensor y = ops::relu(conv.forward(x));
    return {{y}, ops::global_avg_pool(y)};
  }
  std::int64_t dim() const { return 8; }
  std::vector<std::int64_t> stage_dims() const { return {8}; }
  Parameters state() const { return conv.state(); }
  Parameters parameters() const { return conv.parameters(); }
  void train(bool = true) {}
};

/// What it learns does not matter: its embeddings, as told to the trainer, are one point.
struct Collapsed {
  TinyEncoder encoder;
  pretext::Views views() const { return {{augment::evaluation(8)}}; }
  pretext::Modules modules() const { return {pretext::part("encoder", encoder, true)}; }
  pretext::Outcome loss(const pretext::Batch& batch) {
    const Tensor h = encoder.forward(batch.images).pooled;
    return {ops::mean(h * h), 0, {}, full(h.shape(), 0.5)};
  }
};

/// Predicts, from the picture, a label that the task itself gave it: DeepCluster's shape in miniature. Between epochs it
/// runs over the data and relabels it (here: by whether the red mean is above the data set's median).
class Relabel {
 public:
  static constexpr bool couples_batch = false;
  explicit Relabel(TinyEncoder e, std::int64_t pictures) : encoder(e), labels(zeros({pictures}, DType::int64)) {}

  pretext::Views views() const { return {{augment::evaluation(8)}}; }
  pretext::Modules modules() const { return {pretext::part("encoder", encoder, true), pretext::part("head", head)}; }
  pretext::Outcome loss(const pretext::Batch& batch) {
    Tensor target(Shape{static_cast<std::int64_t>(batch.indices.size())}, DType::int64);
    for (std::size_t i = 0; i < batch.indices.size(); ++i)
      target.mutable_data<std::int64_t>()[i] = labels.data<std::int64_t>()[batch.indices[i]];
    const auto features = encoder.forward(batch.images);
    return {ops::cross_entropy(head.forward(features.pooled), target), 0.693, {}, features.pooled.detach()};
  }
  void before_epoch(const pretext::EpochContext& context) {
    ++relabelled;
    std::vector<double> red;
    for (std::int64_t i = 0; i < context.dataset->size(); ++i) {
      const auto picture = context.dataset->image(i);
      double sum = 0;
      for (std::size_t p = 0; p < picture.pixels.size(); p += 3) sum += picture.pixels[p];
      red.push_back(sum);
    }
    auto sorted = red;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 0; i < red.size(); ++i) labels.mutable_data<std::int64_t>()[i] = red[i] > sorted[sorted.size() / 2];
  }
  Parameters state() const { return {{"labels", labels}}; }

  TinyEncoder encoder;
  nn::Linear head{8, 2};
  Tensor labels;  // (pictures): survives a resume in the middle of an epoch through state()
  int relabelled = 0;
};

/// Two networks with opposite aims and an optimiser each, stepped in turn: a GAN's shape in miniature. The generator
/// learns one colour; the critic tells it from the mean colours of the pictures.
class TwoPlayers {
 public:
  explicit TwoPlayers(TinyEncoder e) : encoder(e) {}

  pretext::Views views() const { return {{augment::evaluation(8)}}; }
  pretext::Modules modules() const {
    return {pretext::part("encoder", encoder, true), pretext::part("critic", critic), pretext::part("generator", generator)};
  }
  pretext::Outcome loss(const pretext::Batch& batch, int turn) {
    turns.push_back(turn);
    const std::int64_t n = batch.images.dim(0);
    const Tensor noise = ones({n, 1});
    const Tensor fake = generator.forward(noise);  // (N,8)
    const Tensor on_fake = critic.forward(fake);   // (N,1)
    if (turn == 1) return {ops::bce_with_logits(on_fake, ones({n, 1})), 0, {}, {}};
    const Tensor real = encoder.forward(batch.images).pooled;
    return {ops::bce_with_logits(critic.forward(real), ones({n, 1})) + ops::bce_with_logits(on_fake, zeros({n, 1})), 0, {}, {}};
  }
  pretext::Optimizers optimizers() {
    auto critics = pretext::trained_parameters({pretext::part("encoder", encoder), pretext::part("critic", critic)});
    return {optim::make("sgd", critics, {.lr = 0.05}), optim::make("adam", generator.parameters(), {.lr = 0.01})};
  }

  TinyEncoder encoder;
  nn::Linear critic{8, 1}, generator{1, 8};
  std::vector<int> turns;
};

}  // namespace toy
