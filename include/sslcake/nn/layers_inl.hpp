#pragma once

#include <cmath>

#include "../ops/dropout.hpp"
#include "../ops/embedding.hpp"
#include "../ops/matmul.hpp"
#include "init.hpp"
#include "layers.hpp"

namespace sslcake::inline v0::nn {
namespace detail {

inline std::int64_t& mac_count() {
  static thread_local std::int64_t count = 0;
  return count;
}

SSLCAKE_INLINE void count_macs(std::int64_t n) { mac_count() += n; }

inline void expect_positive(const char* where, std::int64_t in, std::int64_t out) {
  if (in < 1 || out < 1) fail(where, "expected at least one input and output, got ", in, " and ", out);
}

}  // namespace detail

SSLCAKE_INLINE MacCounter::MacCounter() : before_(detail::mac_count()) {}
SSLCAKE_INLINE MacCounter::~MacCounter() = default;
SSLCAKE_INLINE std::int64_t MacCounter::total() const { return detail::mac_count() - before_; }

// --- Linear ---------------------------------------------------------------------------------------------------------
SSLCAKE_INLINE Linear::Linear(std::int64_t in, std::int64_t out, bool bias) : has_bias_(bias) {
  detail::expect_positive("Linear", in, out);
  add_parameter("weight", init::default_uniform({out, in}, in));
  if (bias) add_parameter("bias", init::default_uniform({out}, in), Layout::plain, true);
}
SSLCAKE_INLINE Tensor Linear::forward(const Tensor& x) const {
  const ModuleScope scope(name());
  detail::count_macs(x.numel() * weight().dim(0));
  return ops::linear(x, weight(), bias());
}

// --- Conv2d ---------------------------------------------------------------------------------------------------------
SSLCAKE_INLINE Conv2d::Conv2d(std::int64_t in, std::int64_t out, ops::HW kernel, const ops::ConvOptions& options, bool bias)
    : options_(options), has_bias_(bias) {
  detail::expect_positive("Conv2d", in, out);
  if (options.groups < 1 || in % options.groups || out % options.groups)
    fail("Conv2d", "expected groups that divide ", in, " and ", out, " channels, got ", options.groups);
  if (kernel.h < 1 || kernel.w < 1) fail("Conv2d", "expected a kernel of at least 1, got ", kernel);
  const std::int64_t inputs = in / options.groups, fan_in = inputs * kernel.h * kernel.w;
  add_parameter("weight", init::default_uniform({out, kernel.h, kernel.w, inputs}, fan_in), Layout::conv);
  if (bias) add_parameter("bias", init::default_uniform({out}, fan_in), Layout::plain, true);
}
SSLCAKE_INLINE Tensor Conv2d::forward(const Tensor& x) const {
  const ModuleScope scope(name());
  Tensor y = ops::conv2d(x, weight(), bias(), options_);
  detail::count_macs(y.numel() * weight().shape().span(1, 4));
  return y;
}

// --- norms ----------------------------------------------------------------------------------------------------------
SSLCAKE_INLINE BatchNorm::BatchNorm(std::int64_t channels, const BatchNormOptions& options) : options_(options) {
  detail::expect_positive("BatchNorm", channels, channels);
  add_parameter("weight", ones({channels}), Layout::plain, true);
  add_parameter("bias", zeros({channels}), Layout::plain, true);
  add_buffer("running_mean", zeros({channels}));
  add_buffer("running_var", ones({channels}));
  add_buffer("num_batches_tracked", zeros({}, DType::int64));
}
SSLCAKE_INLINE ops::NormState BatchNorm::norm_state() const {
  return {tensor(0), tensor(1), tensor(2), tensor(3), tensor(4), options_.eps, options_.momentum, training()};
}
SSLCAKE_INLINE Tensor BatchNorm::forward(const Tensor& x) const {
  const ModuleScope scope(name());
  return ops::batch_norm(x, norm_state());
}

SSLCAKE_INLINE LayerNorm::LayerNorm(std::int64_t features, double eps) : eps_(eps) {
  detail::expect_positive("LayerNorm", features, features);
  add_parameter("weight", ones({features}), Layout::plain, true);
  add_parameter("bias", zeros({features}), Layout::plain, true);
}
SSLCAKE_INLINE Tensor LayerNorm::forward(const Tensor& x, bool to_bfloat16) const {
  const ModuleScope scope(name());
  return ops::layer_norm(x, tensor(0), tensor(1), {.dims = 1, .eps = eps_, .to_bfloat16 = to_bfloat16});
}

// --- Dropout, Embedding ---------------------------------------------------------------------------------------------
SSLCAKE_INLINE Dropout::Dropout(double p) : p_(p) {
  if (!(p >= 0 && p < 1)) fail("Dropout", "expected a probability in [0,1), got ", p);
}
SSLCAKE_INLINE Tensor Dropout::forward(const Tensor& x) const {
  const ModuleScope scope(name());
  return ops::dropout(x, p_, training());
}

SSLCAKE_INLINE Embedding::Embedding(std::int64_t count, std::int64_t features) {
  detail::expect_positive("Embedding", count, features);
  add_parameter("weight", init::normal({count, features}, 1));
}
SSLCAKE_INLINE Tensor Embedding::forward(const Tensor& index) const {
  const ModuleScope scope(name());
  return ops::embedding(index, weight());
}

// --- ConvNormAct ----------------------------------------------------------------------------------------------------
SSLCAKE_INLINE ConvNormAct::ConvNormAct(std::int64_t in, std::int64_t out, ops::HW kernel, const ops::ConvOptions& options,
                                        ops::Activation activation)
    : conv_(add_child("conv", Conv2d(in, out, kernel, options, false))),  // the norm's shift takes the bias's place
      norm_(add_child("bn", BatchNorm(out))), activation_(activation) {}

SSLCAKE_INLINE Tensor ConvNormAct::forward(const Tensor& x, const Tensor& residual) const {
  const ModuleScope scope(name()), inner(conv_.name());
  const bool folded = folded_weight_.defined();
  if (folded && norm_.training())
    fail("ConvNormAct", "this network's batch norm is folded for inference; train the one that it was cloned from");
  Tensor y = ops::conv_norm_act(x, folded ? folded_weight_ : conv_.weight(), folded ? folded_norm_ : norm_.norm_state(),
                                activation_, residual, conv_.options());
  detail::count_macs(y.numel() * conv_.weight().shape().span(1, 4));
  return y;
}

SSLCAKE_INLINE void ConvNormAct::fold() {
  const ops::NormState norm = norm_.norm_state();
  const Tensor& weight = conv_.weight();
  const std::int64_t out = weight.dim(0), inputs = weight.shape().span(1, 4);
  const Device device = weight.device();
  const Tensor gamma = norm.gamma.to(Device::cpu), beta = norm.beta.to(Device::cpu), mean = norm.running_mean.to(Device::cpu),
               variance = norm.running_var.to(Device::cpu);
  folded_weight_ = weight.to(Device::cpu).clone();
  folded_norm_.beta = zeros({out});
  folded_norm_.running_mean = zeros({out});
  folded_norm_.running_var = ones({out});
  folded_norm_.eps = 0;
  folded_norm_.training = false;
  float* w = folded_weight_.mutable_data<float>();
  float* shift = folded_norm_.beta.mutable_data<float>();
  for (std::int64_t o = 0; o < out; ++o) {
    const double scale = gamma.data<float>()[o] / std::sqrt(variance.data<float>()[o] + norm.eps);
    for (std::int64_t i = 0; i < inputs; ++i) w[o * inputs + i] = static_cast<float>(w[o * inputs + i] * scale);
    shift[o] = static_cast<float>(beta.data<float>()[o] - mean.data<float>()[o] * scale);
  }
  for (Tensor* t : {&folded_weight_, &folded_norm_.beta, &folded_norm_.running_mean, &folded_norm_.running_var})
    t->move_to(device);
}

// --- MLP ------------------------------------------------------------------------------------------------------------
SSLCAKE_INLINE MLP::MLP(const std::vector<std::int64_t>& widths, const MLPOptions& options) : options_(options) {
  if (widths.size() < 2) fail("MLP", "expected at least two widths, {in, out}, got ", widths.size());
  if (!(options.dropout >= 0 && options.dropout < 1))
    fail("MLP", "expected a dropout probability in [0,1), got ", options.dropout);
  int number = 0;
  for (std::size_t i = 1; i < widths.size(); ++i) {
    const bool last = i + 1 == widths.size(), normed = options.norm != MLPOptions::Norm::none && (!last || options.last_norm);
    const bool bias = !(normed && options.norm == MLPOptions::Norm::batch);
    linear_.push_back(add_child(std::to_string(number++), Linear(widths[i - 1], widths[i], bias)));
    if (normed && options.norm == MLPOptions::Norm::batch)
      batch_norm_.push_back(add_child(std::to_string(number++), BatchNorm(widths[i])));
    if (normed && options.norm == MLPOptions::Norm::layer)
      layer_norm_.push_back(add_child(std::to_string(number++), LayerNorm(widths[i])));
    number += !last ? 1 + (options.dropout > 0) : 0;  // activation and dropout have no parameters but a number in Sequential
  }
}

SSLCAKE_INLINE Tensor MLP::forward(const Tensor& x) const {
  if (linear_.empty()) fail("MLP", "expected layers, got none: it was made without widths");
  const ModuleScope scope(name());
  Tensor h = x;
  for (std::size_t i = 0; i < linear_.size(); ++i) {
    h = linear_[i].forward(h);
    if (i < batch_norm_.size()) h = batch_norm_[i].forward(h);
    if (i < layer_norm_.size()) h = layer_norm_[i].forward(h);
    if (i + 1 == linear_.size()) break;
    h = ops::activate(h, options_.activation);
    if (options_.dropout > 0) h = ops::dropout(h, options_.dropout, training());
  }
  return h;
}

}  // namespace sslcake::inline v0::nn
