// Normalisation layers on CUDA: the passes of ../norm.hpp over a matrix (rows, channels) of pictures, and layer and group norm.
// ops/norm.hpp has the equations.
//
// Pictures are float32 or bfloat16; statistics, coefficients and parameters are float32. Sums are float32 over at most a few
// hundred rows per thread and pairwise or float64 from there on, always in the same order.
#pragma once

#include <cstdint>

#include "../../core/dtype.hpp"

namespace sslcake::inline v0::kernels::cuda {

/// What channel_coefficients reads and writes; everything has `channels` numbers. With running statistics or a counter (null:
/// none) it is a training step's: running = (1 - momentum)·running + momentum·batch, the variance unbiased, and ++counter.
struct ChannelCoefficients {
  const float *mean, *variance;       // of the batch, or the running ones
  const float *gamma, *beta;          // null: 1 and 0
  float *running_mean, *running_var;  // both or neither
  std::int64_t* counter;              // one number
  std::int64_t rows;                  // that mean and variance were taken of
  double momentum, eps;
  float* mean_kept;          // a copy of mean, which may be running_mean
  float* inverse_deviation;  // 1 / sqrt(variance + eps)
  float *scale, *shift;      // gamma·inverse_deviation and beta - mean·scale
};

/// Where the ReLU behind the normalisation was open: y > 0 in the result, or z·scale + shift > 0 computed again; with neither
/// there was none.
struct ChannelReluMask {
  const void* result;
  const float *scale, *shift;
};

/// What the sums of channel_grad_sums are made into: with g = dy where the ReLU was open, 0 elsewhere,
///   dgamma = inverse_deviation·Σ g·(z - mean),   dbeta = Σ g,
/// and the coefficients of channel_grad_apply, dz = a·g + b·z + d. Statistics that are not the batch's do not depend on z:
/// b = d = 0.
struct ChannelGradient {
  const float *mean, *inverse_deviation;
  const float* gamma;  // null: 1
  bool of_batch;
  float *dgamma, *dbeta;
  float *a, *b, *d;
};

struct Norm {
  /// mean[c] = Σ_r x[r,c] / rows and variance[c] = Σ_r (x[r,c] - mean[c])² / rows, in one pass. rows >= 1.
  void (*channel_moments)(DType type, std::int64_t rows, std::int64_t channels, const void* x, float* mean,
                          float* variance) = nullptr;
  /// Running statistics and coefficients out of mean and variance, in one small kernel.
  void (*channel_coefficients)(std::int64_t channels, const ChannelCoefficients& arguments) = nullptr;
  /// y = x·scale[c] + shift[c] (+ residual, null: none), then max(0, ·) with `relu`. y may be x or residual.
  void (*channel_affine)(DType type, std::int64_t rows, std::int64_t channels, const void* x, const float* scale,
                         const float* shift, const void* residual, bool relu, void* y) = nullptr;
  /// The gradient's first pass. With a mask by result g is written to `masked`, which may be dy; else `masked` is not touched.
  void (*channel_grad_sums)(DType type, std::int64_t rows, std::int64_t channels, const void* dy, const void* z,
                            const ChannelReluMask& mask, void* masked, const ChannelGradient& gradient) = nullptr;
  /// The second: dz = a[c]·g + b[c]·z + d[c]; no mask by result here (pass the masked gradient as dy), and with one by
  /// recomputing a = scale. dz may be dy or z.
  void (*channel_grad_apply)(DType type, std::int64_t rows, std::int64_t channels, const void* dy, const void* z,
                             const ChannelReluMask& mask, const float* a, const float* b, const float* d, void* dz) = nullptr;

  /// Rows of x (rows, width), float32, to mean 0 and variance 1, then ·gamma (null: 1) + beta (null: 0). y is of type `result`;
  /// mean and inverse_deviation (rows) are kept for the gradient.
  void (*layer_norm)(DType result, std::int64_t rows, std::int64_t width, const float* x, const float* gamma, const float* beta,
                     double eps, float* mean, float* inverse_deviation, void* y) = nullptr;
  /// dy is of type `result`. dx is left out where null, dgamma and dbeta (width) where both are null.
  void (*layer_norm_grad)(DType result, std::int64_t rows, std::int64_t width, const void* dy, const float* x, const float* gamma,
                          const float* mean, const float* inverse_deviation, float* dx, float* dgamma, float* dbeta) = nullptr;

  /// x (pictures, pixels, channels), float32; a set is one picture's group of channels / groups neighbouring channels. mean and
  /// inverse_deviation (pictures, groups) are kept for the gradient.
  void (*group_norm)(std::int64_t pictures, std::int64_t pixels, std::int64_t channels, std::int64_t groups, const float* x,
                     const float* gamma, const float* beta, double eps, float* mean, float* inverse_deviation,
                     float* y) = nullptr;
  /// dx is left out where null; dgamma and dbeta (channels) are not.
  void (*group_norm_grad)(std::int64_t pictures, std::int64_t pixels, std::int64_t channels, std::int64_t groups, const float* dy,
                          const float* x, const float* gamma, const float* mean, const float* inverse_deviation, float* dx,
                          float* dgamma, float* dbeta) = nullptr;
};
void install(Norm& table);  // norm.cu

}  // namespace sslcake::inline v0::kernels::cuda
