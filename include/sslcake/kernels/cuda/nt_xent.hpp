// NT-Xent (ops/nt_xent.hpp has the equation and the paper) on the GPU: the (2N,2N) similarities are made tile by tile, forward
// and again backward, and never held.
#pragma once

#include <cstdint>

namespace sslcake::inline v0::kernels::cuda {

struct NtXent {
  /// v (rows,d) = z / (norm·√temperature), so that v_i·v_j is the similarity; norms (rows) = max(|z|, 1e-12), or 1 where not
  /// `normalize`. z, v, norms: float32.
  void (*scale)(std::int64_t rows, std::int64_t d, double temperature, bool normalize, const float* z, float* v,
                float* norms) = nullptr;

  /// From v: the mean loss and the agreement (one float32 each), and what the gradient needs of every row (float32 each):
  /// log_sums = log Σ_{k≠i} exp(s_ik), partner_weights = P_i,p(i) - 1. rows even, at least 2.
  /// `precise`: products exact to float32's last places instead of about 2e-6 of |v_i| |v_j|, at half the speed.
  void (*forward)(std::int64_t rows, std::int64_t d, bool precise, const float* v, float* log_sums, float* partner_weights,
                  float* loss, float* agreement) = nullptr;

  /// dz (rows,d) float32 = gradient of the loss with respect to z, times loss_grad[0]. The scratch memory is small beside
  /// (rows,d).
  void (*backward)(std::int64_t rows, std::int64_t d, bool precise, double temperature, bool normalize, const float* v,
                   const float* norms, const float* log_sums, const float* partner_weights, const float* loss_grad,
                   float* dz) = nullptr;
};
void install(NtXent& table);  // nt_xent.cu

}  // namespace sslcake::inline v0::kernels::cuda
