// Layers: an op together with the parameters it needs. Names, shapes of parameters and initial values are PyTorch's,
// but for the order of a convolution weight's axes, which files convert (Layout::conv).
#pragma once

#include <vector>

#include "../ops/conv.hpp"
#include "../ops/conv_norm_act.hpp"
#include "../ops/layer_norm.hpp"
#include "../ops/norm.hpp"
#include "module.hpp"

namespace sslcake::inline v0::nn {

/// y = x·wᵀ + b: (...,in) -> (...,out). weight (out,in), bias (out).
class Linear : public Module {
 public:
  Linear() = default;
  Linear(std::int64_t in, std::int64_t out, bool bias = true);
  Tensor forward(const Tensor& x) const;
  const Tensor& weight() const { return tensor(0); }
  Tensor bias() const { return has_bias_ ? tensor(1) : Tensor{}; }

 private:
  bool has_bias_ = false;
};

/// (N,H,W,in) -> (N,OH,OW,out). weight (out,KH,KW,in/groups), bias (out).
///   nn::Conv2d(3, 64, 7, {.stride = 2, .padding = 3})
class Conv2d : public Module {
 public:
  Conv2d() = default;
  Conv2d(std::int64_t in, std::int64_t out, ops::HW kernel, const ops::ConvOptions& options = {}, bool bias = true);
  Tensor forward(const Tensor& x) const;
  const Tensor& weight() const { return tensor(0); }
  Tensor bias() const { return has_bias_ ? tensor(1) : Tensor{}; }
  const ops::ConvOptions& options() const { return options_; }

 private:
  ops::ConvOptions options_;
  bool has_bias_ = false;
};

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;  // weight of the new value
};

/// Batch norm per channel (the last dimension) of (N,C), (N,H,W,C), ... weight, bias, running_mean, running_var (C) and
/// the counter num_batches_tracked, which torchvision's files have.
class BatchNorm : public Module {
 public:
  BatchNorm() = default;
  explicit BatchNorm(std::int64_t channels, const BatchNormOptions& options = {});
  Tensor forward(const Tensor& x) const;
  /// The tensors as the op wants them, in the present mode.
  ops::NormState norm_state() const;

 private:
  BatchNormOptions options_;
};

/// Layer norm over the last dimension, of extent `features`.
class LayerNorm : public Module {
 public:
  LayerNorm() = default;
  explicit LayerNorm(std::int64_t features, double eps = 1e-5);
  /// to_bfloat16: the result is rounded, for layers that compute in bfloat16.
  Tensor forward(const Tensor& x, bool to_bfloat16 = false) const;

 private:
  double eps_ = 1e-5;
};

/// ops::dropout in training mode, the input otherwise; any shape. Errors: p not in [0,1).
class Dropout : public Module {
 public:
  explicit Dropout(double p = 0.5);
  Tensor forward(const Tensor& x) const;

 private:
  double p_;
};

/// Rows of a table: (...) int64 -> (...,features). weight (count,features), normal(0,1) at first.
class Embedding : public Module {
 public:
  Embedding() = default;
  Embedding(std::int64_t count, std::int64_t features);
  Tensor forward(const Tensor& index) const;
  const Tensor& weight() const { return tensor(0); }
};

/// Convolution, batch norm, activation and residual as one op (ops::conv_norm_act): what residual networks consist of.
/// Its children are named `conv` and `bn`; a network that wants other names registers conv() and norm() itself.
class ConvNormAct : public Module {
 public:
  ConvNormAct() = default;
  ConvNormAct(std::int64_t in, std::int64_t out, ops::HW kernel, const ops::ConvOptions& options = {},
              ops::Activation activation = ops::Activation::relu);
  /// activation(bn(conv(x)) + residual).
  Tensor forward(const Tensor& x, const Tensor& residual = {}) const;
  const Conv2d& conv() const { return conv_; }
  const BatchNorm& norm() const { return norm_; }

  /// Multiplies the norm's scale into a copy of the weights, from the present running statistics:
  /// w' = w · gamma/√(var + eps), shift = beta - mean · gamma/√(var + eps). For inference: this handle computes with the
  /// copy from now on, and training it is an error. Parameters and state() stay as they were.
  void fold();

 private:
  Conv2d conv_;
  BatchNorm norm_;
  ops::Activation activation_ = ops::Activation::relu;
  Tensor folded_weight_;
  ops::NormState folded_norm_;
};

struct MLPOptions {
  enum class Norm : std::uint8_t { none, batch, layer };
  Norm norm = Norm::none;  // after every linear layer but the last; batch norm replaces its bias
  bool last_norm = false;  // after the last one too
  ops::Activation activation = ops::Activation::relu;
  double dropout = 0;      // behind every activation
};

/// Linear layers with activations in between: widths {in, hidden..., out}. Children are numbered like the layers of
/// torch.nn.Sequential(Linear, BatchNorm1d, ReLU, ..., Linear), so that the weights load there.
class MLP : public Module {
 public:
  MLP() = default;
  explicit MLP(const std::vector<std::int64_t>& widths, const MLPOptions& options = {});
  Tensor forward(const Tensor& x) const;  // (...,in) -> (...,out); with batch norm (N,in) -> (N,out)

 private:
  MLPOptions options_;
  std::vector<Linear> linear_;
  std::vector<BatchNorm> batch_norm_;
  std::vector<LayerNorm> layer_norm_;
};

/// The head of contrastive methods (SimCLR, arXiv 2002.05709, section 4.2): an MLP, with batch norm behind the hidden
/// layers as in its code, thrown away after pretraining.
class ProjectionHead : public MLP {
 public:
  ProjectionHead() = default;
  explicit ProjectionHead(const std::vector<std::int64_t>& widths, const MLPOptions& options = {.norm = MLPOptions::Norm::batch})
      : MLP(widths, options) {}
};

/// Counts the multiply-adds of linear and convolution layers, and of attention, whose forward runs on this thread while it lives.
class MacCounter {
 public:
  MacCounter();
  ~MacCounter();
  MacCounter(const MacCounter&) = delete;
  MacCounter& operator=(const MacCounter&) = delete;
  std::int64_t total() const;

 private:
  std::int64_t before_;
};

namespace detail {
/// Adds to the count of this thread: for layers that compute without Linear and Conv2d.
void count_macs(std::int64_t n);
}  // namespace detail

}  // namespace sslcake::inline v0::nn

#ifndef SSLCAKE_COMPILED
#include "layers_inl.hpp"
#endif
