// Muon: momentum, orthogonalised (Jordan, Jin, Boza, You, Cesista, Newhouse, Bernstein, "Muon: An optimizer for hidden layers in
// neural networks", 2024). The weight of a linear layer or a convolution is a matrix of (out) x (all the rest):
//
//   V ← momentum · V + G,   U = G + momentum · V      (without Nesterov: U = V)
//   O ≈ A Bᵀ, where U = A S Bᵀ is the singular value decomposition
//   W ← (1 - lr · weight_decay) · W - lr · √max(1, rows/columns) · O
//
// A gradient is mostly a few directions; O takes all of them by the same length. It is found without a decomposition, by a few
// steps of Newton and Schulz, which bring the singular values of X = U/max(‖U‖, 1e-7) near 1 and leave A and B alone:
//
//   X ← a X + (b X Xᵀ + c (X Xᵀ)²) X,   a, b, c = 3.4445, -4.7750, 2.0315
//
// For a matrix of m x n, m <= n, a step costs 2 m² n + m³ multiply-adds an iteration: for all of ResNet-18 0.94 s on two cores of
// an AMD EPYC (Zen 3), where SGD takes 9 ms (bench/optimiser 3).
//
// Everything else (norms, biases, class tokens, positions, matrices of one row) is trained by SGD with the same momentum, and
// decays by lr · weight_decay, too, where it decays. The authors leave first and last layers to another optimiser; here they are
// matrices like others. A table of embeddings is not, for its rows have nothing to do with each other: give it to another one.
#pragma once

#include "optimizer.hpp"

namespace sslcake::inline v0::optim {

struct MuonOptions {
  double lr = 0.02;             // Jordan's
  double momentum = 0.95;       // Jordan's; 0 to 1, nesterov needs more than 0
  bool nesterov = true;
  double weight_decay = 0.1;    // as in AdamW: at this rate a weight is forgotten in 1/(lr · weight_decay) = 500 steps
  double others = 5;            // times lr: the rate of what is not a matrix
  int iterations = 5;           // of Newton and Schulz, 1 to 100
  bool decay_norm_and_bias = false;
};

/// On the CPU only.
class Muon : public Optimizer {
 public:
  explicit Muon(const Parameters& parameters, const MuonOptions& options = {}) : Muon(Groups{{parameters}}, options) {}
  explicit Muon(const Groups& groups, const MuonOptions& options = {}) : Optimizer(groups, rule(options)) {}
  static Rule rule(const MuonOptions& options);
};

namespace detail {
/// X (rows,columns) becomes its nearest half-orthogonal matrix, roughly: five iterations bring singular values from 0.002 ‖X‖ on
/// to 0.65 to 1.25. ‖X‖ counts as at least 1e-7, as in PyTorch's Muon. The same bits for every number of threads.
void orthogonalise(std::int64_t rows, std::int64_t columns, int iterations, float* x);
}  // namespace detail

}  // namespace sslcake::inline v0::optim

#ifndef SSLCAKE_COMPILED
#include "muon_inl.hpp"
#endif
