// Softmax, cross-entropy and unit vectors on CUDA, along one axis of (outer, extent, inner), float32.
//
// Softmax: Bridle 1990; label smoothing: Szegedy et al. 2015, arXiv 1512.00567. No result depends on the order in which
// threads run. Lengths and inner products of vectors are summed in float64, the sums of softmax in float32 per thread.
#pragma once

#include <cstdint>

namespace sslcake::inline v0::kernels::cuda {

/// What cross-entropy needs to know about its rows of logits. A row with target `ignored` counts for nothing; the target of any
/// other must lie in [0, classes): if it does not, the loss is NaN and the gradient 0.
struct CrossEntropyRows {
  std::int64_t rows, classes;
  float smoothing;
  std::int64_t ignored;
};

/// All pointers are to GPU memory; results are overwritten.
struct Losses {
  /// y = eˣ / Σ eˣ, all (outer, extent, inner).
  void (*softmax)(std::int64_t outer, std::int64_t extent, std::int64_t inner, const float* x, float* y) = nullptr;
  /// dx = y (dy − Σ dy y).
  void (*softmax_grad)(std::int64_t outer, std::int64_t extent, std::int64_t inner, const float* y, const float* dy,
                       float* dx) = nullptr;
  /// y = x − log Σ eˣ.
  void (*log_softmax)(std::int64_t outer, std::int64_t extent, std::int64_t inner, const float* x, float* y) = nullptr;
  /// dx = dy − e^y Σ dy.
  void (*log_softmax_grad)(std::int64_t outer, std::int64_t extent, std::int64_t inner, const float* y, const float* dy,
                           float* dx) = nullptr;

  /// losses (rows) = −(1 − s)·w_t·log p_t − (s/C)·Σ_c w_c·log p_c of logits x (rows, classes), s the smoothing. target (rows);
  /// weights (classes), null: all 1.
  void (*cross_entropy)(CrossEntropyRows size, const float* x, const std::int64_t* target, const float* weights,
                        float* losses) = nullptr;
  /// dx (rows, classes) from dy (rows).
  void (*cross_entropy_grad)(CrossEntropyRows size, const float* x, const std::int64_t* target, const float* weights,
                             const float* dy, float* dx) = nullptr;
  /// *divisor = Σ w_t (without weights: how many) of the rows that are not ignored: what the weighted mean divides by.
  void (*cross_entropy_divisor)(CrossEntropyRows size, const std::int64_t* target, const float* weights,
                                float* divisor) = nullptr;

  /// y = x / max(‖x‖, least); norms (outer, inner) = ‖x‖.
  void (*normalize)(std::int64_t outer, std::int64_t extent, std::int64_t inner, float least, const float* x, float* y,
                    float* norms) = nullptr;
  /// dx = (dy − y Σ dy y) / ‖x‖, and dy / least where ‖x‖ < least.
  void (*normalize_grad)(std::int64_t outer, std::int64_t extent, std::int64_t inner, float least, const float* y,
                         const float* dy, const float* norms, float* dx) = nullptr;

  /// *share = of the rows of logits (rows, classes), how many have their largest entry (the first of equals, the first NaN) at
  /// the label, divided by the rows; 0 without rows.
  void (*top1)(std::int64_t rows, std::int64_t classes, const float* logits, const std::int64_t* labels, float* share) = nullptr;
};
void install(Losses& table);  // losses.cu

}  // namespace sslcake::inline v0::kernels::cuda
