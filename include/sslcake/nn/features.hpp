// What an encoder gives, and what a class must have to be one.
#pragma once

#include <concepts>
#include <vector>

#include "../autograd/parameter.hpp"

namespace sslcake::inline v0::nn {

struct Features {
  std::vector<Tensor> stages;  // (N,H,W,C), early to late: what probes look at
  Tensor pooled;               // (N,D), the picture as one vector
};

/// An encoder maps pictures (N,H,W,3) to features. It needs no base class; whoever has these members is one.
template <class E>
concept Encoder = requires(E encoder, const E& same, const Tensor& images) {
  { encoder.forward(images) } -> std::same_as<Features>;
  { same.dim() } -> std::convertible_to<std::int64_t>;                 // D
  { same.stage_dims() } -> std::convertible_to<std::vector<std::int64_t>>;  // C of every stage
  { same.state() } -> std::same_as<Parameters>;                        // parameters and buffers
  { same.parameters() } -> std::same_as<Parameters>;
  encoder.train(true);
};

}  // namespace sslcake::inline v0::nn
