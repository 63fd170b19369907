// The two passes of batch normalisation on tensors (internal), shared by batch_norm and by the fused conv_norm_act:
// statistics, normalise (+ residual, + ReLU), and the gradient of both.
#pragma once

#include <vector>

#include "norm_state.hpp"

namespace sslcake::inline v0::ops::detail {

/// Per channel, in float64.
struct ChannelStatistics {
  std::vector<double> mean, inverse_deviation;
  /// On CUDA instead of them, and never read by the host: float32 (4,C), the rows mean, inverse deviation, scale and shift, the
  /// latter two with the gamma and beta of the layer (z·scale + shift is the normalised z).
  Tensor on_device;
  bool of_batch = true;   // else running ones, which are constants to the gradient
  std::int64_t rows = 0;  // elements per channel
};

/// Whether `norm` takes statistics of the batch.
inline bool wants_batch_statistics(const NormState& norm) { return norm.training || !norm.running_mean.defined(); }
/// Fails unless the tensors of `norm` fit so many channels of this type.
void expect_norm_state(const char* where, const NormState& norm, std::int64_t channels, DType dtype);

/// Per-channel means and biased variances of a batch; empty: not taken yet. On CUDA tensors (C) in float32.
struct ChannelMoments {
  std::vector<double> mean, variance;
  Tensor mean_on_device, variance_on_device;
};

/// The statistics that `norm` asks for: those of z (..., C), which then enter the running ones in training, or the
/// running ones. Fails where a batch has one element per channel: its variance says nothing.
ChannelStatistics channel_statistics(const char* where, const Tensor& z, const NormState& norm, ChannelMoments moments = {});

/// y = gamma·ẑ + beta (+ residual), with `relu` max(0, y). Overwrites z if `in_place`. gamma and beta are the layer's.
Tensor normalise_channels(Tensor z, const ChannelStatistics& statistics, const Tensor& gamma, const Tensor& beta,
                          const Tensor& residual, bool relu, bool in_place);

/// Where the ReLU behind the normalisation was open.
enum class ReluGradient {
  none,         // there was no ReLU
  recomputed,   // computed again from z (there was no residual)
  from_result,  // read off the result y, which is then passed
};
struct ChannelNormGradients {
  Tensor dz, dgamma, dbeta;
  Tensor masked;  // dy behind the ReLU, which is the residual's gradient; only with from_result
};
/// Gradient of normalise_channels; dz is left out unless wanted. z and dy are overwritten where nobody else holds them.
ChannelNormGradients normalise_channels_grad(Tensor dy, Tensor z, const ChannelStatistics& statistics, const Tensor& gamma,
                                             const Tensor& beta, ReluGradient relu, const Tensor& y, bool want_dz);

}  // namespace sslcake::inline v0::ops::detail

#ifndef SSLCAKE_COMPILED
#include "channel_norm_inl.hpp"
#endif
