// float32 matrix products.
#pragma once

#include <cstdint>

#include "../../core/config.hpp"

namespace sslcake::inline v0::kernels::cuda {

/// One dimension of a batch of products: how far, in elements, one step along it moves in A, B and C. 0: does not move.
struct ProductDim {
  std::int64_t extent = 1, a = 0, b = 0, c = 0;
};

/// C = op(A)·op(B), op(X) = X or its transpose, for a batch of matrices over up to 6 dimensions. A is stored (m,k), or (k,m) if
/// transposed; B (k,n), or (n,k); C (m,n); rows are lda, ldb, ldc elements apart. Along a dimension in which C does not
/// move, products are summed, always in the same order: that is the gradient of an operand that was broadcast.
struct MatrixProduct {
  bool transpose_a = false, transpose_b = false;
  std::int64_t m = 0, n = 0, k = 0, lda = 0, ldb = 0, ldc = 0;
  bool accumulate = false;  // C += instead of C =
  int rank = 0;
  ProductDim dims[6] = {};
};

struct Product {
  /// Overwrites (or with `accumulate` adds to) C. True float32: no rounding to TF32. bias (n) or null: added to every row.
  /// Empty sums write 0 (or the bias).
  void (*gemm)(const MatrixProduct& p, const float* a, const float* b, const float* bias, float* c) = nullptr;
};
void install(Product& table);  // product.cu

}  // namespace sslcake::inline v0::kernels::cuda
