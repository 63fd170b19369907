// Sums, extremes, argmax and the test for numbers that are not finite: reduce.hpp says what each does, fold.cuh how an axis
// is shared out. What is left here is what is no plain fold.
#include "reduce.hpp"

#include "fold.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

using folding::Extreme;
using folding::fold;
using folding::power_of_2;
using folding::Sum;

/// An element that might be the largest: NaN before numbers, large before small, first before last. A total order, so
/// whatever the order in which candidates meet, the same one wins.
struct Candidate {
  float value;
  std::int64_t index;  // below 0: none yet
};
__device__ __forceinline__ Candidate better(Candidate a, Candidate b) {
  if (a.index < 0 || b.index < 0) return a.index < 0 ? b : a;
  const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
  if (nan_a != nan_b) return nan_a ? a : b;
  if (!nan_a && a.value != b.value) return a.value > b.value ? a : b;
  return a.index < b.index ? a : b;
}
__device__ __forceinline__ Candidate better_of_lanes(Candidate mine, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) {
    const Candidate other{__shfl_xor_sync(0xffffffffu, mine.value, step), __shfl_xor_sync(0xffffffffu, mine.index, step)};
    mine = better(mine, other);
  }
  return mine;
}
template <class S>
__device__ Candidate best_of(const S* x, std::int64_t extent, std::int64_t step, int thread, int threads) {
  Candidate best{0, -1};
#pragma unroll 4
  for (std::int64_t r = thread; r < extent; r += threads) best = better(best, {widen(x[r * step]), r});
  return best;
}

template <class S>
__global__ void __launch_bounds__(256)
    argmax_by_lanes(std::int64_t rows, std::int64_t extent, int lanes, const S* x, std::int64_t* y) {
  const int per_block = 256 / lanes, thread = static_cast<int>(threadIdx.x);
  for (std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * per_block; first < rows;
       first += static_cast<std::int64_t>(gridDim.x) * per_block) {
    const std::int64_t row = first + thread / lanes;
    Candidate best{0, -1};
    if (row < rows) best = best_of(x + row * extent, extent, 1, thread % lanes, lanes);
    best = better_of_lanes(best, lanes);
    if (row < rows && thread % lanes == 0) y[row] = best.index;
  }
}

template <class S>
__global__ void __launch_bounds__(256) argmax_by_blocks(std::int64_t extent, std::int64_t inner, const S* x, std::int64_t* y) {
  __shared__ float values[8];
  __shared__ std::int64_t indices[8];
  const int thread = static_cast<int>(threadIdx.x);
  const S* line = x + blockIdx.x / inner * extent * inner + blockIdx.x % inner;
  Candidate best = better_of_lanes(best_of(line, extent, inner, thread, 256), 32);
  if (thread % 32 == 0) values[thread / 32] = best.value, indices[thread / 32] = best.index;
  __syncthreads();
  if (thread > 0) return;
  for (int warp = 1; warp < 8; ++warp) best = better(best, {values[warp], indices[warp]});
  y[blockIdx.x] = best.index;
}

template <class S>
__global__ void __launch_bounds__(256)
    argmax_each(std::int64_t results, std::int64_t extent, std::int64_t inner, const S* x, std::int64_t* y) {
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * 256 + threadIdx.x; i < results;
       i += static_cast<std::int64_t>(gridDim.x) * 256)
    y[i] = best_of(x + i / inner * extent * inner + i % inner, extent, inner, 0, 1).index;
}

template <class S>
void argmax_of(std::int64_t outer, std::int64_t extent, std::int64_t inner, const S* x, std::int64_t* y) {
  const std::int64_t results = outer * inner;
  if (results <= 0) return;
  if (extent > 1024 && (inner == 1 || results < static_cast<std::int64_t>(multiprocessors()) * 64))
    return launch("argmax", argmax_by_blocks<S>, static_cast<unsigned>(results), 256, 0, extent, inner, x, y);
  if (inner > 1) return launch("argmax", argmax_each<S>, striding_blocks(results, 256), 256, 0, results, extent, inner, x, y);
  const int lanes = power_of_2(extent, 32);
  launch("argmax", argmax_by_lanes<S>, striding_blocks(outer, 256 / lanes), 256, 0, outer, extent, lanes, x, y);
}

/// Whether all exponent bits of a number in the word are set: one float32, or either of two bfloat16.
template <class S>
__device__ __forceinline__ bool not_finite(std::uint32_t word) {
  if constexpr (sizeof(S) == 4) return (word & 0x7f800000u) == 0x7f800000u;
  else return (word & 0x7f80u) == 0x7f80u || (word & 0x7f800000u) == 0x7f800000u;
}
__device__ __forceinline__ std::uint32_t bits_of(float x) { return __float_as_uint(x); }
__device__ __forceinline__ std::uint32_t bits_of(Bf16 x) { return x.bits; }

template <class S>
__global__ void __launch_bounds__(256) finite_kernel(std::int64_t n, const S* x, int* flag) {
  constexpr int width = 16 / static_cast<int>(sizeof(S));
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * 256 + threadIdx.x,
                     threads = static_cast<std::int64_t>(gridDim.x) * 256;
  std::int64_t before = static_cast<std::int64_t>((16 - reinterpret_cast<std::uintptr_t>(x) % 16) % 16 / sizeof(S));
  if (before > n) before = n;
  const std::int64_t whole = (n - before) / width, behind = before + whole * width;
  bool found = false;
  if (thread < before) found = not_finite<S>(bits_of(x[thread]));
  if (thread < n - behind) found = found || not_finite<S>(bits_of(x[behind + thread]));
  const auto* packets = reinterpret_cast<const uint4*>(x + before);
#pragma unroll 4
  for (std::int64_t p = thread; p < whole; p += threads) {
    const uint4 four = packets[p];
    found |= not_finite<S>(four.x);
    found |= not_finite<S>(four.y);
    found |= not_finite<S>(four.z);
    found |= not_finite<S>(four.w);
  }
  if (found) *flag = 1;  // whoever finds one writes the same
}

/// A block per tile of 32x32 products of x[i][k] = x[i·step_i + k·step_k]; a thread has 2x2 of them. Tiles below the diagonal
/// are copied from above it.
__global__ void __launch_bounds__(256)
    gram_kernel(std::int64_t size, std::int64_t depth, std::int64_t step_i, std::int64_t step_k, const float* x, double* gram) {
  if (blockIdx.y < blockIdx.x) return;
  __shared__ float left[16][33], right[16][33];  // [k][i]
  const int thread = static_cast<int>(threadIdx.x), row = thread / 16, column = thread % 16;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.x) * 32,
                     first_column = static_cast<std::int64_t>(blockIdx.y) * 32;
  double sum[2][2] = {};
  for (std::int64_t first = 0; first < depth; first += 16) {
    for (int e = thread; e < 16 * 32; e += 256) {
      const int i = step_i == 1 ? e % 32 : e / 16, k = step_i == 1 ? e / 32 : e % 16;  // neighbours read neighbours
      const bool inside = first + k < depth;
      left[k][i] = inside && first_row + i < size ? x[(first_row + i) * step_i + (first + k) * step_k] : 0;
      right[k][i] = inside && first_column + i < size ? x[(first_column + i) * step_i + (first + k) * step_k] : 0;
    }
    __syncthreads();
    for (int k = 0; k < 16; ++k)
      for (int a = 0; a < 2; ++a)
        for (int b = 0; b < 2; ++b)
          sum[a][b] += static_cast<double>(left[k][row + 16 * a]) * static_cast<double>(right[k][column + 16 * b]);
    __syncthreads();
  }
  for (int a = 0; a < 2; ++a)
    for (int b = 0; b < 2; ++b) {
      const std::int64_t i = first_row + row + 16 * a, j = first_column + column + 16 * b;
      if (i < size && j < size) gram[i * size + j] = sum[a][b];
      if (i < size && j < size && blockIdx.x != blockIdx.y) gram[j * size + i] = sum[a][b];
    }
}

void column_sums(DType type, std::int64_t rows, std::int64_t columns, const void* x, float* sums) {
  if (type == DType::bfloat16) fold<Sum>("column_sums", 1, rows, columns, static_cast<const Bf16*>(x), sums);
  else fold<Sum>("column_sums", 1, rows, columns, static_cast<const float*>(x), sums);
}
void sum(std::int64_t outer, std::int64_t extent, std::int64_t inner, const float* x, float* y) {
  fold<Sum>("sum", outer, extent, inner, x, y);
}
void extreme(int sign, std::int64_t outer, std::int64_t extent, std::int64_t inner, const float* x, float* y) {
  if (sign > 0) fold<Extreme<1>>("max", outer, extent, inner, x, y);
  else fold<Extreme<-1>>("min", outer, extent, inner, x, y);
}
void argmax(DType type, std::int64_t outer, std::int64_t extent, std::int64_t inner, const void* x, std::int64_t* y) {
  if (type == DType::bfloat16) argmax_of(outer, extent, inner, static_cast<const Bf16*>(x), y);
  else argmax_of(outer, extent, inner, static_cast<const float*>(x), y);
}
void finite(DType type, std::int64_t n, const void* x, int* flag) {
  if (n <= 0 || !is_floating(type)) return;
  const unsigned blocks = striding_blocks(n, 256 * 16);
  if (type == DType::bfloat16) launch("all_finite", finite_kernel<Bf16>, blocks, 256, 0, n, static_cast<const Bf16*>(x), flag);
  else launch("all_finite", finite_kernel<float>, blocks, 256, 0, n, static_cast<const float*>(x), flag);
}
void gram(std::int64_t rows, std::int64_t columns, bool of_columns, const float* x, double* gram) {
  const std::int64_t size = of_columns ? columns : rows, depth = of_columns ? rows : columns;
  const auto tiles = static_cast<unsigned>(blocks_for(size, 32));
  if (size <= 0) return;
  launch("gram", gram_kernel, dim3(tiles, tiles), 256, 0, size, depth, of_columns ? std::int64_t{1} : columns,
         of_columns ? columns : std::int64_t{1}, x, gram);
}

}  // namespace

void install(Reduce& table) {
  table.column_sums = column_sums;
  table.sum = sum;
  table.extreme = extreme;
  table.argmax = argmax;
  table.finite = finite;
  table.gram = gram;
}

}  // namespace sslcake::inline v0::kernels::cuda
