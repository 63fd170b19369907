// Self-attention on the GPU; ops/attention.hpp has the equation. The scores are never held.
#pragma once

#include <cstdint>

#include "../../core/dtype.hpp"

namespace sslcake::inline v0::kernels::cuda {

/// Extents of qkv (batch, tokens, 3·heads·d) and y (batch, tokens, heads·d).
struct AttentionSizes {
  std::int64_t batch, tokens, heads, d;
  /// The widest head that there is a kernel for.
  static constexpr std::int64_t most_d = 256;
};

struct Attention {
  /// y = softmax(q kᵀ scale) v for each head; logs (batch·heads, tokens) float32 = log Σ exp of each row. qkv and y: float32 or
  /// bfloat16. All extents above 0, d <= most_d.
  void (*forward)(DType dtype, AttentionSizes sizes, float scale, const void* qkv, void* y, float* logs) = nullptr;
  /// dqkv from dy, and y and logs as forward wrote them.
  void (*backward)(DType dtype, AttentionSizes sizes, float scale, const void* qkv, const void* y, const void* dy,
                   const float* logs, void* dqkv) = nullptr;
};
void install(Attention& table);  // attention.cu

}  // namespace sslcake::inline v0::kernels::cuda
