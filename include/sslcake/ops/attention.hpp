// Self-attention with several heads (Vaswani et al., "Attention is all you need", 2017, arXiv 1706.03762, section 3.2).
#pragma once

#include "../autograd/tape.hpp"

namespace sslcake::inline v0::ops {

/// qkv: (N,T,3·D), queries, keys and values of T tokens side by side as one linear layer gives them, each cut into
/// `heads` pieces of d = D/heads numbers; y: (N,T,D), where for each head
///
///   y = softmax(q kᵀ / √d) v.
///
/// The (T,T) scores are never held: 64 rows at a time are, per thread, forward and again backward (Dao et al., "FlashAttention",
/// 2022, arXiv 2205.14135, keep as little). What is kept for the gradient is qkv and one number per row and head;
/// on CUDA y too. float32, float64, and bfloat16 (computed in float32). Errors: another rank, a last extent that is not
/// 3 x heads x something; on CUDA float64, or heads of more than 256 numbers.
Tensor attention(const Tensor& qkv, std::int64_t heads);

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "attention_inl.hpp"
#endif
