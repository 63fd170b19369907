// Folding one axis of (outer, extent, inner) with an associative function: three ways to share the work out, by shape.
//
//   inner = 1    a few lanes, a warp or a block per row of neighbours; few long rows are cut into pieces
//   short, or    a thread per result; neighbouring threads read neighbouring columns
//   many results
//   otherwise    a block per tile of columns, its threads down the rows; long extents are cut into pieces
//
// Pieces leave their partial results in scratch memory, and the same kernels fold those. Which thread reads which element
// depends on sizes and alignment only, so results are the same bits in every run.
#pragma once

#include <cstdint>
#include <type_traits>

#include "instructions.cuh"
#include "launch.cuh"

namespace sslcake::inline v0::kernels::cuda::folding {

/// Σ: short runs in float32, their sums in float64.
struct Sum {
  using Total = double;
  static __device__ __forceinline__ Total nothing() { return 0; }
  template <class T>
  static __device__ __forceinline__ T join(T a, T b) {
    return a + b;
  }
};

/// The largest (sign = 1) or smallest (sign = −1). NaN wins.
template <int sign>
struct Extreme {
  using Total = float;
  static __device__ __forceinline__ Total nothing() { return __uint_as_float(sign > 0 ? 0xff800000u : 0x7f800000u); }
  static __device__ __forceinline__ Total join(Total a, Total b) { return (sign > 0 ? b > a : b < a) || b != b ? b : a; }
};

constexpr int fold_threads = 256;
constexpr int longest_run = 256;  // terms of one float32 sum

template <class S, int width>
struct alignas(sizeof(S) * width) Packet {
  S at[width];
};
using cuda::widen;
/// Partial results are read as they are.
__device__ __forceinline__ double widen(double x) { return x; }
template <class S>
using Run = std::conditional_t<std::is_same_v<S, double>, double, float>;

/// A thread's share of a row: packets of 16 bytes, and single elements before the first aligned address and behind the last.
template <class Op, class S, class Index>
__device__ __forceinline__ typename Op::Total fold_row(const S* x, Index count, int thread, int threads) {
  using Total = typename Op::Total;
  constexpr int width = 16 / static_cast<int>(sizeof(S));
  Index before = static_cast<Index>((16 - reinterpret_cast<std::uintptr_t>(x) % 16) % 16 / sizeof(S));
  if (before > count) before = count;
  const auto* packets = reinterpret_cast<const Packet<S, width>*>(x + before);
  const Index whole = (count - before) / width;
  Total total = Op::nothing();
  for (Index i = thread; i < before; i += threads) total = Op::join(total, static_cast<Total>(widen(x[i])));
  for (Index p = thread; p < whole;) {
    const Index left = (whole - p + threads - 1) / threads;
    const int n = static_cast<int>(left < longest_run / width ? left : longest_run / width);
    Run<S> run = static_cast<Run<S>>(Op::nothing());
#pragma unroll 4
    for (int k = 0; k < n; ++k) {
      const auto packet = packets[p + static_cast<Index>(k) * threads];
      for (int e = 0; e < width; ++e) run = Op::join(run, static_cast<Run<S>>(widen(packet.at[e])));
    }
    total = Op::join(total, static_cast<Total>(run));
    p += static_cast<Index>(n) * threads;
  }
  for (Index i = before + whole * width + thread; i < count; i += threads)
    total = Op::join(total, static_cast<Total>(widen(x[i])));
  return total;
}

/// `lanes` (a power of 2, at most 32) neighbouring threads per row. Short rows: the extent is a small int.
template <class Op, class S, class R>
__global__ void __launch_bounds__(fold_threads)
    fold_rows_by_lanes(std::int64_t rows, std::int64_t extent, int lanes, const S* x, R* y) {
  const int per_block = fold_threads / lanes, thread = static_cast<int>(threadIdx.x);
  for (std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * per_block; first < rows;
       first += static_cast<std::int64_t>(gridDim.x) * per_block) {
    const std::int64_t row = first + thread / lanes;  // lanes without a row take part in the exchange all the same
    auto total = Op::nothing();
    if (row < rows) total = fold_row<Op>(x + row * extent, static_cast<int>(extent), thread % lanes, lanes);
    for (int step = lanes / 2; step > 0; step /= 2) total = Op::join(total, __shfl_xor_sync(0xffffffffu, total, step));
    if (row < rows && thread % lanes == 0) y[row] = static_cast<R>(total);
  }
}

/// A block per piece of `length` neighbours; y (rows, pieces).
template <class Op, class S, class R>
__global__ void __launch_bounds__(fold_threads)
    fold_rows_by_blocks(std::int64_t extent, std::int64_t pieces, std::int64_t length, const S* x, R* y) {
  __shared__ typename Op::Total joined[fold_threads / 32];
  const int thread = static_cast<int>(threadIdx.x);
  const std::int64_t row = blockIdx.x / pieces, begin = blockIdx.x % pieces * length;
  const std::int64_t count = extent - begin < length ? extent - begin : length;
  auto total = fold_row<Op>(x + row * extent + begin, count, thread, fold_threads);
  for (int step = 16; step > 0; step /= 2) total = Op::join(total, __shfl_xor_sync(0xffffffffu, total, step));
  if (thread % 32 == 0) joined[thread / 32] = total;
  __syncthreads();
  if (thread > 0) return;
  for (int warp = 1; warp < fold_threads / 32; ++warp) total = Op::join(total, joined[warp]);
  y[blockIdx.x] = static_cast<R>(total);
}

/// A thread per result.
template <class Op, class S, class R>
__global__ void __launch_bounds__(fold_threads)
    fold_each(std::int64_t results, std::int64_t extent, std::int64_t inner, const S* x, R* y) {
  using Total = typename Op::Total;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * fold_threads + threadIdx.x; i < results;
       i += static_cast<std::int64_t>(gridDim.x) * fold_threads) {
    const S* column = x + i / inner * extent * inner + i % inner;
    Total total = Op::nothing();
    for (std::int64_t r = 0; r < extent; r += longest_run) {
      const int n = static_cast<int>(extent - r < longest_run ? extent - r : longest_run);
      Run<S> run = static_cast<Run<S>>(Op::nothing());
#pragma unroll 8
      for (int k = 0; k < n; ++k) run = Op::join(run, static_cast<Run<S>>(widen(column[(r + k) * inner])));
      total = Op::join(total, static_cast<Total>(run));
    }
    y[i] = static_cast<R>(total);
  }
}

/// A block per (outer, piece of the extent, tile of lanes·width columns); `lanes` is a power of 2. y (outer, pieces, inner).
template <class Op, class S, class R, int width>
__global__ void __launch_bounds__(fold_threads)
    fold_columns(std::int64_t extent, std::int64_t inner, std::int64_t pieces, std::int64_t tiles, int lanes, const S* x, R* y) {
  using Total = typename Op::Total;
  __shared__ Total joined[width][fold_threads];
  const int thread = static_cast<int>(threadIdx.x), row_lane = thread / lanes, row_lanes = fold_threads / lanes;
  const std::int64_t piece = blockIdx.x / tiles % pieces, o = blockIdx.x / tiles / pieces;
  const std::int64_t column = (blockIdx.x % tiles * lanes + thread % lanes) * width;
  const std::int64_t begin = extent * piece / pieces, end = extent * (piece + 1) / pieces;
  Total total[width];
  for (int e = 0; e < width; ++e) total[e] = Op::nothing();
  if (column < inner) {
    const S* from = x + o * extent * inner + column;
    for (std::int64_t r = begin + row_lane; r < end;) {
      const std::int64_t left = (end - r + row_lanes - 1) / row_lanes;
      const int n = static_cast<int>(left < longest_run ? left : longest_run);
      Run<S> run[width];
      for (int e = 0; e < width; ++e) run[e] = static_cast<Run<S>>(Op::nothing());
#pragma unroll 4
      for (int k = 0; k < n; ++k) {
        const auto packet =
            *reinterpret_cast<const Packet<S, width>*>(from + (r + static_cast<std::int64_t>(k) * row_lanes) * inner);
        for (int e = 0; e < width; ++e) run[e] = Op::join(run[e], static_cast<Run<S>>(widen(packet.at[e])));
      }
      for (int e = 0; e < width; ++e) total[e] = Op::join(total[e], static_cast<Total>(run[e]));
      r += static_cast<std::int64_t>(n) * row_lanes;
    }
  }
  for (int e = 0; e < width; ++e) joined[e][thread] = total[e];
  __syncthreads();
  for (int half = row_lanes / 2; half > 0; half /= 2) {
    if (row_lane < half)
      for (int e = 0; e < width; ++e) joined[e][thread] = Op::join(joined[e][thread], joined[e][thread + half * lanes]);
    __syncthreads();
  }
  if (row_lane == 0 && column < inner)
    for (int e = 0; e < width; ++e) y[(o * pieces + piece) * inner + column + e] = static_cast<R>(joined[e][thread]);
}

/// The least power of 2 from n on, at most `most`.
inline int power_of_2(std::int64_t n, int most) {
  int p = 1;
  while (p < most && p < n) p *= 2;
  return p;
}

template <class Op, class S>
void fold_rows(const char* op, std::int64_t rows, std::int64_t extent, const S* x, float* y) {
  using Total = typename Op::Total;
  if (extent <= 1024) {
    const int lanes = power_of_2(extent, 32);
    return launch(op, fold_rows_by_lanes<Op, S, float>, striding_blocks(rows, fold_threads / lanes), fold_threads, 0, rows,
                  extent, lanes, x, y);
  }
  const std::int64_t full = static_cast<std::int64_t>(multiprocessors()) * 8;
  std::int64_t pieces = rows * 4 >= full ? 1 : full / rows;
  if (pieces > extent / 4096) pieces = extent / 4096;
  std::int64_t length = extent;
  if (pieces > 1) length = blocks_for(blocks_for(extent, pieces), 1024) * 1024;
  pieces = blocks_for(extent, length);
  const auto blocks = static_cast<unsigned>(rows * pieces);
  if (pieces == 1) return launch(op, fold_rows_by_blocks<Op, S, float>, blocks, fold_threads, 0, extent, pieces, length, x, y);
  const Scratch<Total> partial(rows * pieces);
  launch(op, fold_rows_by_blocks<Op, S, Total>, blocks, fold_threads, 0, extent, pieces, length, x, partial.data());
  fold_rows<Op, Total>(op, rows, pieces, partial.data(), y);
}

template <class Op, class S, int width>
void fold_in_tiles(const char* op, std::int64_t outer, std::int64_t extent, std::int64_t inner, const S* x, float* y) {
  using Total = typename Op::Total;
  const int lanes = power_of_2(blocks_for(inner, width), 32), row_lanes = fold_threads / lanes;
  const std::int64_t tiles = blocks_for(inner, lanes * width), full = static_cast<std::int64_t>(multiprocessors()) * 8;
  std::int64_t pieces = full / (outer * tiles), most = extent / (row_lanes * 8);
  if (pieces > most) pieces = most;
  if (pieces <= 1)
    return launch(op, fold_columns<Op, S, float, width>, static_cast<unsigned>(outer * tiles), fold_threads, 0, extent, inner,
                  std::int64_t{1}, tiles, lanes, x, y);
  const Scratch<Total> partial(outer * pieces * inner);
  launch(op, fold_columns<Op, S, Total, width>, static_cast<unsigned>(outer * tiles * pieces), fold_threads, 0, extent, inner,
         pieces, tiles, lanes, x, partial.data());
  // Few columns per block, so that many threads share the pieces of each.
  const int few = power_of_2(inner, 4);
  const std::int64_t few_tiles = blocks_for(inner, few);
  launch(op, fold_columns<Op, Total, float, 1>, static_cast<unsigned>(outer * few_tiles), fold_threads, 0, pieces, inner,
         std::int64_t{1}, few_tiles, few, partial.data(), y);
}

/// y (outer, inner) = x (outer, extent, inner), its axis in the middle folded.
template <class Op, class S>
void fold(const char* op, std::int64_t outer, std::int64_t extent, std::int64_t inner, const S* x, float* y) {
  if (outer <= 0 || inner <= 0) return;
  const std::int64_t results = outer * inner;
  if constexpr (std::is_same_v<S, float>)
    if (inner == 1) return fold_rows<Op, S>(op, outer, extent, x, y);
  if (extent * inner <= 256 || extent <= 4 || (inner >= 16 && results >= static_cast<std::int64_t>(multiprocessors()) * 1024))
    return launch(op, fold_each<Op, S, float>, striding_blocks(results, fold_threads), fold_threads, 0, results, extent, inner, x,
                  y);
  constexpr int width = 16 / static_cast<int>(sizeof(S));
  if (inner % width == 0 && reinterpret_cast<std::uintptr_t>(x) % 16 == 0)
    fold_in_tiles<Op, S, width>(op, outer, extent, inner, x, y);
  else fold_in_tiles<Op, S, 1>(op, outer, extent, inner, x, y);
}

}  // namespace sslcake::inline v0::kernels::cuda::folding
