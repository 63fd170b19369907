// A matrix product C (m,n) = A (m,k) · Bᵀ (n,k) in float32 on the ordinary arithmetic units, for operands that are read through
// an interface (product_operands.cuh): stored matrices or windows of pictures.
//
// A block of 256 threads makes a tile of C, 64·MI by 64·NI, a thread 4·MI by 4·NI numbers of it. Tiles of A and B 8 or 16 deep
// pass through shared memory, two buffers of each: while one is multiplied, the next is on its way to registers.
// Where there are too few tiles to fill the GPU, k is split over blocks, and a second kernel adds up the parts in order.
#pragma once

#include <cstdint>

#include "../../core/error.hpp"
#include "launch.cuh"
#include "product.hpp"
#include "product_operands.cuh"

namespace sslcake::inline v0::kernels::cuda {

/// Extents and how the work is dealt out: depth comes in `pieces` of `chunk`, pieces × repeats are the units, of which each
/// split takes `units_per_split`.
struct ProductPlan {
  int m = 0, n = 0, k = 0;
  int chunk = 16, pieces = 1;
  std::int64_t batch = 1, repeats = 1, splits = 1, units_per_split = 1;
  int rank = 0, sum_rank = 0;
  ProductDim dims[6] = {}, sum_dims[6] = {};  // those in which C moves, and those that are summed over
};

/// A thread's piece into the tile, which is kept depth by row.
template <bool along_depth, int tile_rows, int tile_depth, int pitch>
__device__ __forceinline__ void put_piece(float (&tile)[tile_depth][pitch], int p, const float4& x) {
  using Mine = TilePlace<along_depth, tile_rows, tile_depth>;
  const Mine mine;
  if constexpr (along_depth) {
    const int row = mine.row + Mine::step * p;
    tile[mine.depth][row] = x.x;
    tile[mine.depth + 1][row] = x.y;
    tile[mine.depth + 2][row] = x.z;
    tile[mine.depth + 3][row] = x.w;
  } else {
    store4(&tile[mine.depth + Mine::step * p][mine.row], x);
  }
}

// A warp's lanes lie 4 by 8 over 16·MI rows and 32·NI columns: a fragment of A is read as 4, one of B as 8 different float4.
template <int MI, int NI, class A, class B, class Result>
__global__ void __launch_bounds__(tile_threads, 2) product_tiles(ProductPlan plan, A a, B b, Result to, float* parts) {
  constexpr int tile_m = 64 * MI, tile_n = 64 * NI, tile_depth = MI * NI == 4 ? 8 : 16;  // registers for no more
  constexpr int pieces_a = tile_m * tile_depth / 4 / tile_threads, pieces_b = tile_n * tile_depth / 4 / tile_threads;
  __align__(16) __shared__ float tile_a[2][tile_depth][tile_m + 4];
  __align__(16) __shared__ float tile_b[2][tile_depth][tile_n + 4];
  const int columns = (plan.n + tile_n - 1) / tile_n, rows = (plan.m + tile_m - 1) / tile_m;
  std::int64_t block = blockIdx.x;
  const int first_n = static_cast<int>(block % columns) * tile_n;
  block /= columns;
  const int first_m = static_cast<int>(block % rows) * tile_m;
  block /= rows;
  const std::int64_t split = block % plan.splits, batch = block / plan.splits;
  std::int64_t offset_a = 0, offset_b = 0, offset_c = 0, rest = batch;
  for (int d = plan.rank - 1; d >= 0; --d) {
    const std::int64_t i = rest % plan.dims[d].extent;
    rest /= plan.dims[d].extent;
    offset_a += i * plan.dims[d].a, offset_b += i * plan.dims[d].b, offset_c += i * plan.dims[d].c;
  }

  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int row = warp / 2 * 16 * MI + lane / 8 * 4, column = warp % 2 * 32 * NI + lane % 8 * 4;
  float sum[4 * MI][4 * NI] = {};
  const std::int64_t units = plan.repeats * plan.pieces, first_unit = split * plan.units_per_split;
  const std::int64_t last_unit = first_unit + plan.units_per_split < units ? first_unit + plan.units_per_split : units;
  for (std::int64_t unit = first_unit; unit < last_unit; ++unit) {
    const int begin = static_cast<int>(unit % plan.pieces) * plan.chunk;
    const int end = plan.k - begin < plan.chunk ? plan.k : begin + plan.chunk;
    if (end <= begin) continue;
    std::int64_t from_a = offset_a, from_b = offset_b;
    rest = unit / plan.pieces;
    for (int d = plan.sum_rank - 1; d >= 0; --d) {
      const std::int64_t i = rest % plan.sum_dims[d].extent;
      rest /= plan.sum_dims[d].extent;
      from_a += i * plan.sum_dims[d].a, from_b += i * plan.sum_dims[d].b;
    }
    typename A::template Reader<tile_m, tile_depth> reader_a(a, from_a, first_m, begin);
    typename B::template Reader<tile_n, tile_depth> reader_b(b, from_b, first_n, begin);
    float4 next_a[pieces_a], next_b[pieces_b];
    const auto fetch = [&] {
      SSLCAKE_UNROLL_ALL
      for (int p = 0; p < pieces_a; ++p) next_a[p] = reader_a.load(p);
      SSLCAKE_UNROLL_ALL
      for (int p = 0; p < pieces_b; ++p) next_b[p] = reader_b.load(p);
    };
    const auto keep = [&](int buffer) {
      SSLCAKE_UNROLL_ALL
      for (int p = 0; p < pieces_a; ++p) put_piece<A::along_depth, tile_m>(tile_a[buffer], p, next_a[p]);
      SSLCAKE_UNROLL_ALL
      for (int p = 0; p < pieces_b; ++p) put_piece<B::along_depth, tile_n>(tile_b[buffer], p, next_b[p]);
    };
    fetch();
    __syncthreads();  // the last unit has been multiplied
    keep(0);
    __syncthreads();
    const int steps = (end - begin + tile_depth - 1) / tile_depth;
    for (int step = 0; step < steps; ++step) {
      const int buffer = step % 2;
      if (step + 1 < steps) {
        reader_a.advance();
        reader_b.advance();
        fetch();
      }
      SSLCAKE_UNROLL_ALL
      for (int k = 0; k < tile_depth; ++k) {
        float x[4 * MI], y[4 * NI];
        SSLCAKE_UNROLL_ALL
        for (int i = 0; i < MI; ++i) {
          const float4 four = load4(&tile_a[buffer][k][row + 16 * i]);
          x[4 * i] = four.x, x[4 * i + 1] = four.y, x[4 * i + 2] = four.z, x[4 * i + 3] = four.w;
        }
        SSLCAKE_UNROLL_ALL
        for (int j = 0; j < NI; ++j) {
          const float4 four = load4(&tile_b[buffer][k][column + 32 * j]);
          y[4 * j] = four.x, y[4 * j + 1] = four.y, y[4 * j + 2] = four.z, y[4 * j + 3] = four.w;
        }
        SSLCAKE_UNROLL_ALL
        for (int i = 0; i < 4 * MI; ++i) {
          SSLCAKE_UNROLL_ALL
          for (int j = 0; j < 4 * NI; ++j) sum[i][j] += x[i] * y[j];
        }
      }
      if (step + 1 < steps) keep(1 - buffer);
      __syncthreads();
    }
  }

  const StoredRows<float> part{parts + (batch * plan.splits + split) * plan.m * plan.n, plan.n, nullptr, false, plan.n % 4 == 0};
  SSLCAKE_UNROLL_ALL
  for (int i = 0; i < 4 * MI; ++i) {
    const int r = first_m + row + i / 4 * 16 + i % 4;
    if (r >= plan.m) continue;
    const std::int64_t at = parts ? part.row(r) : offset_c + to.row(r);
    SSLCAKE_UNROLL_ALL
    for (int j = 0; j < NI; ++j) {
      const float4 four = make_float4(sum[i][4 * j], sum[i][4 * j + 1], sum[i][4 * j + 2], sum[i][4 * j + 3]);
      if (parts) put(part, at, first_n + column + 32 * j, plan.n, four);
      else put(to, at, first_n + column + 32 * j, plan.n, four);
    }
  }
}

/// Σ over the splits, in order and in float64.
template <class Result>
__global__ void __launch_bounds__(256) add_splits(ProductPlan plan, const float* parts, Result to) {
  const std::int64_t matrix = static_cast<std::int64_t>(plan.m) * plan.n, all = plan.batch * matrix;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += step) {
    std::int64_t batch = i / matrix, offset = 0;
    const std::int64_t within = i % matrix;
    const float* from = parts + batch * plan.splits * matrix + within;
    double sum = 0;
    SSLCAKE_UNROLL_ALL
    for (std::int64_t s = 0; s < plan.splits; ++s) sum += static_cast<double>(from[s * matrix]);
    for (int d = plan.rank - 1; d >= 0; --d) {
      offset += batch % plan.dims[d].extent * plan.dims[d].c;
      batch /= plan.dims[d].extent;
    }
    const int column = static_cast<int>(within % plan.n);
    auto* at = to.data + offset + to.row(static_cast<int>(within / plan.n)) + column;
    if (to.bias) sum += static_cast<double>(to.bias[column]);
    if (to.accumulate) sum += static_cast<double>(widen(*at));
    *at = narrow<typename Result::Number>(static_cast<float>(sum));
  }
}

inline int product_extent(const char* op, std::int64_t extent) {
  if (extent > 0x7fffff00) fail(op, "expected extents below 2^31 on cuda, got ", extent);
  return static_cast<int>(extent);
}

/// Carries out a plan, whose m, n, k, repeats, batch and dims are set. Chooses tile and splits.
template <class A, class B, class Result>
void run_product(const char* op, ProductPlan plan, const A& a, const B& b, const Result& to) {
  if (plan.m == 0 || plan.n == 0 || plan.batch == 0) return;
  const std::int64_t processors = multiprocessors(), results = plan.batch * plan.m * plan.n;
  constexpr std::int64_t shortest = 128, longest = 8192;  // depth that a split is worth; that is summed without a break
  const auto tiles = [&](int mi, int ni) { return plan.batch * blocks_for(plan.m, 64 * mi) * blocks_for(plan.n, 64 * ni); };
  const std::int64_t most_splits = plan.repeats > 1 ? plan.repeats : blocks_for(plan.k, shortest) > 1 ? plan.k / shortest : 1;
  int mi = plan.m > 64 ? 2 : 1, ni = plan.n > 64 ? 2 : 1;
  if (tiles(mi, ni) * most_splits < processors) mi = ni = 1;
  std::int64_t splits = tiles(mi, ni) <= processors ? 2 * processors / tiles(mi, ni) : 1;
  splits = splits < most_splits ? splits : most_splits;
  if (plan.repeats > 1) {
    plan.chunk = static_cast<int>(blocks_for(plan.k, 16) * 16);
    plan.units_per_split = blocks_for(plan.repeats, splits);
    plan.splits = blocks_for(plan.repeats, plan.units_per_split);
  } else {
    if (const auto wanted = blocks_for(plan.k, longest); wanted > splits && wanted * results <= (16 << 20)) splits = wanted;
    plan.chunk = static_cast<int>(blocks_for(blocks_for(plan.k, splits), 16) * 16);
    plan.pieces = plan.k > 0 ? static_cast<int>(blocks_for(plan.k, plan.chunk)) : 1;
    plan.splits = plan.pieces;
  }
  const std::int64_t blocks = tiles(mi, ni) * plan.splits;
  if (blocks > 0x7fffffff) fail(op, "too large for one launch: ", blocks, " tiles");
  const Scratch<float> parts(plan.splits > 1 ? plan.splits * results : 0);
  const dim3 grid(static_cast<unsigned>(blocks));
  const auto start = [&](auto kernel) { launch(op, kernel, grid, dim3(tile_threads), 0, plan, a, b, to, parts.data()); };
  if (mi == 2 && ni == 2) start(product_tiles<2, 2, A, B, Result>);
  else if (mi == 2) start(product_tiles<2, 1, A, B, Result>);
  else if (ni == 2) start(product_tiles<1, 2, A, B, Result>);
  else start(product_tiles<1, 1, A, B, Result>);
  if (plan.splits > 1) launch(op, add_splits<Result>, dim3(striding_blocks(results, 256)), dim3(256), 0, plan, parts.data(), to);
}

}  // namespace sslcake::inline v0::kernels::cuda
