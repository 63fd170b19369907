// Reductions of one axis on CUDA: a tensor is (outer, extent, inner), and the axis of `extent` elements goes.
//
// Every result is the same bits in every run: no atomics on floats, partial results are joined in a fixed order. Sums are
// float32 over at most 256 neighbours, and float64 beyond.
#pragma once

#include <cstdint>

#include "../../core/dtype.hpp"

namespace sslcake::inline v0::kernels::cuda {

/// All pointers are to GPU memory.
struct Reduce {
  /// sums (columns) = Σ over the rows of x (rows, columns), float32 or bfloat16. sums is overwritten (0 without rows).
  void (*column_sums)(DType type, std::int64_t rows, std::int64_t columns, const void* x, float* sums) = nullptr;
  /// y (outer, inner) = Σ over the extent of x (outer, extent, inner). y is overwritten (0 for an extent of 0).
  void (*sum)(std::int64_t outer, std::int64_t extent, std::int64_t inner, const float* x, float* y) = nullptr;
  /// y (outer, inner) = the largest (sign = 1) or smallest (sign = −1) over the extent, which is at least 1; NaN wins.
  void (*extreme)(int sign, std::int64_t outer, std::int64_t extent, std::int64_t inner, const float* x, float* y) = nullptr;
  /// y (outer, inner) = index along the extent (at least 1) of the largest element of x, float32 or bfloat16: the first of
  /// equals, the first NaN if there is one.
  void (*argmax)(DType type, std::int64_t outer, std::int64_t extent, std::int64_t inner, const void* x,
                 std::int64_t* y) = nullptr;
  /// *flag = 1 if any of the n elements of x (float32 or bfloat16; elements of integer types never are) is infinite or NaN,
  /// judged by the bits. Otherwise *flag is left as it is: set it to 0 first, and one flag can serve several tensors.
  void (*finite)(DType type, std::int64_t n, const void* x, int* flag) = nullptr;
  /// gram = xᵀx (columns, columns), or without `of_columns` x xᵀ (rows, rows), of x (rows, columns), in float64: of a matrix
  /// whose small singular values matter, float32 would leave noise. For meters; not tuned for speed.
  void (*gram)(std::int64_t rows, std::int64_t columns, bool of_columns, const float* x, double* gram) = nullptr;
};
void install(Reduce& table);  // reduce.cu

}  // namespace sslcake::inline v0::kernels::cuda
