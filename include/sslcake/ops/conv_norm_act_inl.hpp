#pragma once

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "arithmetic.hpp"
#include "channel_norm.hpp"
#include "conv_norm_act.hpp"
#include "conv_pass.hpp"
#include "pointwise.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

inline std::atomic<bool>& fuse_switch() {
  static std::atomic<bool> on = [] {
    const char* wanted = std::getenv("SSLCAKE_FUSE");
    return !(wanted && std::strcmp(wanted, "0") == 0);
  }();
  return on;
}

/// The convolution's result and what makes the unit's out of it, where there is no residual.
struct NormUnit {
  Tensor z;
  ChannelStatistics statistics;
  autograd::Saved gamma, beta;
  bool relu;

  Tensor result() const {
    if (!z.defined()) fail("conv_norm_act", "the tape was freed by an earlier backward pass; run the forward again");
    return normalise_channels(z, statistics, gamma.get(), beta.get(), {}, relu, false);
  }
};

/// The fused node: activation none or ReLU.
inline Tensor conv_norm_relu(const kernels::ConvShape& shape, const Tensor& x, const Tensor& weight, const NormState& norm,
                             bool relu, const Tensor& residual) {
  const bool recording = autograd::will_record({x, weight, norm.gamma, norm.beta, residual});
  ChannelMoments moments;
  Tensor z;
  if (!wants_batch_statistics(norm)) z = conv_forward(shape, x, weight);
  else if (!on_cuda("conv_norm_act", x, weight))
    z = conv_forward_moments(shape, x, weight, norm.running_mean, moments.mean, moments.variance);
  else if (!conv_forward_moments_on_device(shape, x, weight, z, moments.mean_on_device, moments.variance_on_device))
    z = conv_forward(shape, x, weight);
  ChannelStatistics statistics = channel_statistics("conv_norm_act", z, norm, std::move(moments));
  Tensor y = normalise_channels(z, statistics, norm.gamma, norm.beta, residual, relu, !recording);
  if (!recording) return autograd::record("conv_norm_act", {}, y, nullptr);

  const ReluGradient mask = !relu                ? ReluGradient::none
                            : residual.defined() ? ReluGradient::from_result
                                                 : ReluGradient::recomputed;
  const auto unit = std::make_shared<NormUnit>(
      NormUnit{std::move(z), std::move(statistics), autograd::Saved(norm.gamma), autograd::Saved(norm.beta), relu});
  autograd::Saved sx, sw, sy;
  if (weight.requires_grad()) sx = autograd::Saved(x);
  if (x.requires_grad()) sw = autograd::Saved(weight);
  if (mask == ReluGradient::from_result) sy = autograd::Saved(y);
  auto gradient = [shape, unit, mask, sx, sw, sy](autograd::Backward& b) {
    Tensor dy = b.take_grad();
    if (mask != ReluGradient::from_result) b.give(4, dy);  // the residual is added behind everything but the ReLU
    // z belongs to this unit alone, which overwrites it: all who needed the result have had it.
    auto grads = normalise_channels_grad(std::move(dy), std::move(unit->z), unit->statistics, unit->gamma.get(), unit->beta.get(),
                                         mask, sy.get(), b.needs(0) || b.needs(1));
    b.give(2, std::move(grads.dgamma));
    b.give(3, std::move(grads.dbeta));
    if (mask == ReluGradient::from_result) b.give(4, std::move(grads.masked));
    if (b.needs(1)) b.give(1, conv_weight_grad(shape, sx.get(), grads.dz));
    if (b.needs(0)) b.give(0, conv_input_grad(shape, grads.dz, sw.get()));
  };
  y = autograd::record("conv_norm_act", {x, weight, norm.gamma, norm.beta, residual}, y, std::move(gradient));
  // z is kept for the gradient, and y follows from it. (With a residual it would take more passes than it is worth.)
  if (!residual.defined()) autograd::set_recipe(y, [unit] { return unit->result(); });
  return y;
}

}  // namespace detail

SSLCAKE_INLINE bool fuse() { return detail::fuse_switch().load(std::memory_order_relaxed); }
SSLCAKE_INLINE void set_fuse(bool on) { detail::fuse_switch().store(on, std::memory_order_relaxed); }

SSLCAKE_INLINE Tensor activate(const Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::none: return x;
    case Activation::relu: return relu(x);
    case Activation::leaky_relu: return leaky_relu(x);
    case Activation::silu: return silu(x);
    case Activation::gelu: return gelu(x);
  }
  fail("activate", "expected an activation, got number ", static_cast<int>(activation));
}

SSLCAKE_INLINE Tensor conv_norm_act(const Tensor& x, const Tensor& weight, const NormState& norm, Activation activation,
                                    const Tensor& residual, const ConvOptions& options) {
  constexpr const char* op = "conv_norm_act";
  const auto shape = detail::conv_shape(op, x, weight, options);
  const Shape result{shape.n, shape.oh(), shape.ow(), shape.o};
  detail::expect_norm_state(op, norm, shape.o, detail::parameter_type(x.dtype()));
  if (residual.defined()) detail::expect_operand(op, "residual", residual, result, x.dtype());

  if (!fuse()) {
    Tensor y = batch_norm(conv2d(x, weight, options), norm);
    if (residual.defined()) y = add(y, residual);
    return activate(y, activation);
  }
  const bool inside = activation == Activation::none || activation == Activation::relu;
  const Tensor y = detail::conv_norm_relu(shape, x, weight, norm, activation == Activation::relu, residual);
  return inside ? y : activate(y, activation);
}

}  // namespace sslcake::inline v0::ops
