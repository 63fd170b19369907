// NT-Xent, the loss of SimCLR (Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual
// Representations", 2020, arXiv 2002.05709, eq. 1). Of 2N embeddings, i and i + N are two views of one picture; each has
// to find its partner p(i) among all others:
//
//   u_i = z_i / |z_i|,   s_ij = u_i·u_j / temperature,   loss = 1/2N Σ_i ( log Σ_{k≠i} exp(s_ik) - s_i,p(i) )
//
// With P_ij = exp(s_ij - log Σ_{k≠i} exp(s_ik)), the probability that i takes j for its partner, the gradient is
//
//   d loss / d u_i = 1/(2N·temperature) Σ_{j≠i} ( P_ij + P_ji - 2·[j = p(i)] ) u_j
//
// The (2N,2N) matrix is never held: forward and backward make it tile by tile, exactly, in O(N·d) memory. As it is
// symmetric, tiles above the diagonal serve for their mirror images too: 4/2 products of (2N,2N,d) instead of 3. (On CUDA
// each block of rows meets all columns: 3 products, on tensor cores.)
#pragma once

#include "../autograd/tape.hpp"

namespace sslcake::inline v0::ops {

struct NtXentOptions {
  double temperature = 0.5;  // best on CIFAR-10 (paper, appendix B.9); 0.1 on ImageNet (section 5.1)
  bool normalize = true;     // false: s_ij = z_i·z_j / temperature
};

struct NtXentResult {
  Tensor loss;       // one element, mean over all 2N rows
  Tensor agreement;  // one element: how often the partner is more similar than every other row, 0..1; chance: 1/(2N-1)
};

/// z (2N,d), rows i and i+N are partners; float32, float64 or bfloat16 (computed in float32). N >= 1. The same bits for
/// every number of threads. A row of zeros stays zero; as PyTorch's normalize, |z| counts as at least 1e-12. Loss and agreement
/// are on z's device; the agreement is float64, on CUDA float32.
/// Errors: another rank, an odd number of rows, no rows, a temperature not above 0.
NtXentResult nt_xent(const Tensor& z, const NtXentOptions& options = {});

/// The loss where all rows are equally similar, log(2N-1), for `rows` = 2N: what an untrained or collapsed encoder gets.
double nt_xent_chance(std::int64_t rows);

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "nt_xent_inl.hpp"
#endif
