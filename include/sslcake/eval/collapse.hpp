// Collapse meters. A self-supervised loss can fall while the encoder gives (nearly) the same answer to every picture, or
// uses only a few of its dimensions; both show in the features without any label.
//
//   deviation       of each coordinate of z / |z| over the pictures, averaged over the coordinates. 0: all pictures have
//                   one direction; 1/sqrt(D): directions spread evenly (Chen and He 2020, "Exploring Simple Siamese
//                   Representation Learning", arXiv 2011.10566, section 4.1). Features behind a ReLU share a positive
//                   mean and stay below it.
//   effective rank  exp(- sum p log p), p = s / sum s, with s the singular values of the (N,D) matrix: how many
//                   directions the features really use, 1 to min(N,D) (RankMe: Garrido, Balestriero, Najman and LeCun
//                   2022, arXiv 2210.02885; Roy and Vetterli 2007). Like the paper's, the matrix is not centred.
#pragma once

#include <string>
#include <vector>

#include "../core/tensor.hpp"

namespace sslcake::inline v0::eval {

struct CollapseReport {
  double deviation = 0;          // mean over the dimensions
  double healthy_deviation = 0;  // 1/sqrt(D), what evenly spread directions have
  double effective_rank = 0;
  bool warning = false;
  std::string text;  // one line: the meters, and what is wrong if `warning`
};

/// The warning limits are rules of thumb of this library, chosen so that an untrained encoder does not trip them.
struct CollapseOptions {
  double least_deviation = 0.05;  // as a fraction of 1/sqrt(D)
  double least_rank = 1.5;        // of the effective rank, where min(N,D) >= 8
  std::int64_t most_rows = 2048;  // more features than that are thinned out evenly: time is O(min(N,D)³)
};

/// Reads the meters of features (N,D) float32, N >= 2. Errors: other shapes or types, values that are not finite.
CollapseReport collapse(const Tensor& features, const CollapseOptions& options = {});

/// exp of the entropy of the normalised singular values of `matrix` (N,D) float32; 0 for a matrix of zeros.
double effective_rank(const Tensor& matrix);

/// Eigenvalues of a symmetric matrix (n,n), row-major, in ascending order. `matrix` is overwritten. Householder's
/// reduction to tridiagonal form, then the QL iteration with implicit shifts (Golub and Van Loan, "Matrix Computations",
/// section 8.3; Dubrulle, Martin and Wilkinson 1968).
std::vector<double> symmetric_eigenvalues(std::vector<double> matrix, std::int64_t n);

}  // namespace sslcake::inline v0::eval

#ifndef SSLCAKE_COMPILED
#include "collapse_inl.hpp"
#endif
