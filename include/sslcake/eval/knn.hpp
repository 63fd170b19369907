// Nearest neighbours by cosine similarity, and the classifier made of them: the quickest honest answer to "what do
// these features know?", because nothing is trained on them.
//
//   sim(q, b) = <q, b> / (|q| |b|)                               similarity of two feature vectors
//   vote(c)   = sum over the k nearest b with label c of exp(sim(q, b) / T)
//
// The weighted vote is that of Wu, Xiong, Yu and Lin 2018, "Unsupervised Feature Learning via Non-Parametric Instance
// Discrimination" (arXiv 1805.01978, section 3.4: k = 200). The similarity matrix is never held as a whole: it is
// computed tile by tile, and each query keeps its best k so far.
#pragma once

#include "../core/tensor.hpp"

namespace sslcake::inline v0::eval {

/// The k most similar rows of a base for each query, most similar first; equal similarities in order of the index.
struct Neighbours {
  Tensor indices;       // (Q,k) int64, rows of the base
  Tensor similarities;  // (Q,k) float32, in [-1, 1]
};

/// Finds the `k` rows of `base` (N,D) most similar to each row of `queries` (Q,D); fewer where the base has fewer. A row
/// of zeros has similarity 0 to everything. With `skip_same_index`, query i never finds row i (the base is the queries). The
/// result is on the features' device.
/// Errors: types other than float32, other ranks or widths, k < 1, features that are not finite; on CUDA, k > 7168.
Neighbours nearest(const Tensor& queries, const Tensor& base, std::int64_t k, bool skip_same_index = false);

/// Defaults are the protocol of arXiv 1805.01978, but for its temperature, 0.07: 0.1 is that of lightly's benchmarks.
struct KnnOptions {
  std::int64_t k = 200;
  float temperature = 0.1f;  // 0: every neighbour has one vote
};

/// The class of each query (Q) int64 by the vote of its neighbours, whose labels are `base_labels` (N) int64, >= 0.
/// A tie goes to the class whose nearest member is nearer. Tensors may be on any device; votes are counted, and returned, on the
/// CPU. Errors: a temperature below 0, a negative label.
Tensor knn_vote(const Neighbours& neighbours, const Tensor& base_labels, float temperature);

/// The fraction of `test` rows (Q,D) whose class the neighbours in `train` (N,D) name rightly, 0 to 1.
double knn_accuracy(const Tensor& train, const Tensor& train_labels, const Tensor& test, const Tensor& test_labels,
                    const KnnOptions& options = {});

/// The fraction of equal entries of two (N) int64 tensors, on any devices, 0 to 1. Errors: none, or unequal numbers of them.
double accuracy(const Tensor& predicted, const Tensor& labels);

}  // namespace sslcake::inline v0::eval

#ifndef SSLCAKE_COMPILED
#include "knn_inl.hpp"
#endif
