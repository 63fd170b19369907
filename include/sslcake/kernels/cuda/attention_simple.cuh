// Attention in float32 arithmetic without tensor cores: for float32, for widths that attention_tiles.cuh has no kernel for, and
// for tensors that are not aligned. A warp owns rows, two at a time; of a tile of the other side each lane has one row for the
// scores, and every 32nd number for the sums.
#pragma once

#include "attention_tiles.cuh"

namespace sslcake::inline v0::kernels::cuda {

/// Shared memory: rows of own numbers, then of tiles, `pitch` apart: odd, so that lanes that read one column meet no bank
/// conflicts.
struct SimpleTile {
  static constexpr int warps = 8, rows_per_warp = 2, rows = warps * rows_per_warp, columns = 32;
  __host__ __device__ static constexpr std::int64_t pitch(std::int64_t d) { return d | 1; }
  static constexpr std::size_t shared_bytes(std::int64_t d) {
    return static_cast<std::size_t>(2 * rows * d + 2 * columns * pitch(d)) * 4;
  }
};

template <class S>
__device__ __forceinline__ void widen_rows(const S* from, std::int64_t from_pitch, std::int64_t first, int count,
                                           std::int64_t tokens, std::int64_t d, float* to, std::int64_t to_pitch) {
  for (std::int64_t i = threadIdx.x; i < count * d; i += blockDim.x) {
    const std::int64_t row = i / d, k = i % d;
    to[row * to_pitch + k] = first + row < tokens ? widen(from[(first + row) * from_pitch + k]) : 0.0f;
  }
}

/// sums[r] += Σ_j (the weight of lane j) · row j of the tile; numbers lane, lane + 32, ... of d.
template <int pieces>
__device__ __forceinline__ void add_weighted(float (&sums)[SimpleTile::rows_per_warp][pieces],
                                             const float (&weights)[SimpleTile::rows_per_warp], const float* tile,
                                             std::int64_t pitch, std::int64_t d) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int j = 0; j < SimpleTile::columns; ++j) {
    float w[SimpleTile::rows_per_warp];
#pragma unroll
    for (int r = 0; r < SimpleTile::rows_per_warp; ++r) w[r] = __shfl_sync(0xffffffffu, weights[r], j);
#pragma unroll
    for (int c = 0; c < pieces; ++c)
      if (lane + 32 * c < d) {
        const float x = tile[j * pitch + lane + 32 * c];
#pragma unroll
        for (int r = 0; r < SimpleTile::rows_per_warp; ++r) sums[r][c] += w[r] * x;
      }
  }
}

/// The products of each row of the warp with the lane's row of the tile.
__device__ __forceinline__ void row_products(float (&s)[SimpleTile::rows_per_warp], const float* own, const float* tile,
                                             std::int64_t pitch, std::int64_t d) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (float& x : s) x = 0;
  for (std::int64_t k = 0; k < d; ++k) {
    const float x = tile[lane * pitch + k];
#pragma unroll
    for (int r = 0; r < SimpleTile::rows_per_warp; ++r) s[r] += own[r * d + k] * x;
  }
}

template <int pieces, class S>
__device__ __forceinline__ void write_sums(const float (&sums)[SimpleTile::rows_per_warp][pieces],
                                           const float (&factor)[SimpleTile::rows_per_warp], std::int64_t first,
                                           std::int64_t tokens, std::int64_t d, S* to, std::int64_t pitch) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int r = 0; r < SimpleTile::rows_per_warp; ++r)
#pragma unroll
    for (int c = 0; c < pieces; ++c)
      if (first + r < tokens && lane + 32 * c < d) to[(first + r) * pitch + lane + 32 * c] = narrow<S>(sums[r][c] * factor[r]);
}

template <class S, int pieces>
__global__ void __launch_bounds__(32 * SimpleTile::warps)
    simple_forward_kernel(AttentionSizes z, int blocks, float scale, const S* qkv, S* y, float* logs) {
  constexpr int rows = SimpleTile::rows_per_warp, columns = SimpleTile::columns;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t head = blockIdx.x / static_cast<unsigned>(blocks), d = z.d, pitch = SimpleTile::pitch(d),
                     qkv_pitch = 3 * z.heads * d;
  const std::int64_t block_row = static_cast<std::int64_t>(blockIdx.x % static_cast<unsigned>(blocks)) * SimpleTile::rows;
  auto* own = reinterpret_cast<float*>(dynamic_shared());
  float *keys = own + SimpleTile::rows * d, *values = keys + columns * pitch;
  widen_rows(qkv + head_offset(z, head, 0), qkv_pitch, block_row, SimpleTile::rows, z.tokens, d, own, d);

  float out[rows][pieces] = {}, most[rows], sum[rows] = {};
  for (float& m : most) m = -1e29f;
  for (std::int64_t first = 0; first < z.tokens; first += columns) {
    __syncthreads();
    widen_rows(qkv + head_offset(z, head, 1), qkv_pitch, first, columns, z.tokens, d, keys, pitch);
    widen_rows(qkv + head_offset(z, head, 2), qkv_pitch, first, columns, z.tokens, d, values, pitch);
    __syncthreads();
    float s[rows];
    row_products(s, own + warp * rows * d, keys, pitch, d);
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      s[r] = first + lane < z.tokens ? s[r] * scale : -1e30f;
      const float now = fmaxf(most[r], warp_max(s[r])), before = expf(most[r] - now);
      s[r] = expf(s[r] - now);
      sum[r] = sum[r] * before + s[r];
      most[r] = now;
#pragma unroll
      for (int c = 0; c < pieces; ++c) out[r][c] *= before;
    }
    add_weighted(out, s, values, pitch, d);
  }
  float factor[rows];
  for (int r = 0; r < rows; ++r) {
    const float all = warp_sum(sum[r]);
    factor[r] = 1 / all;
    const std::int64_t row = block_row + warp * rows + r;
    if (lane == 0 && row < z.tokens) logs[head * z.tokens + row] = most[r] + logf(all);
  }
  write_sums(out, factor, block_row + warp * rows, z.tokens, d, y + result_offset(z, head), z.heads * d);
}

/// As attention_backward_kernel.
template <class S, int pieces, bool owns_keys>
__global__ void __launch_bounds__(32 * SimpleTile::warps)
    simple_backward_kernel(AttentionSizes z, int blocks, float scale, const S* qkv, const S* dy, const float* logs,
                           const float* along, S* dqkv) {
  constexpr int rows = SimpleTile::rows_per_warp, columns = SimpleTile::columns;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t head = blockIdx.x / static_cast<unsigned>(blocks), d = z.d, pitch = SimpleTile::pitch(d);
  const std::int64_t qkv_pitch = 3 * z.heads * d, dy_pitch = z.heads * d;
  const std::int64_t block_row = static_cast<std::int64_t>(blockIdx.x % static_cast<unsigned>(blocks)) * SimpleTile::rows;
  auto* own_first = reinterpret_cast<float*>(dynamic_shared());
  float *own_second = own_first + SimpleTile::rows * d, *tile_first = own_second + SimpleTile::rows * d,
        *tile_second = tile_first + columns * pitch;
  const S *queries = qkv + head_offset(z, head, 0), *keys = qkv + head_offset(z, head, 1),
          *values = qkv + head_offset(z, head, 2), *gradients = dy + result_offset(z, head);
  widen_rows(owns_keys ? keys : queries, qkv_pitch, block_row, SimpleTile::rows, z.tokens, d, own_first, d);
  widen_rows(owns_keys ? values : gradients, owns_keys ? qkv_pitch : dy_pitch, block_row, SimpleTile::rows, z.tokens, d,
             own_second, d);
  const std::int64_t first_row = block_row + warp * rows;

  float first_sum[rows][pieces] = {}, second_sum[rows][pieces] = {};
  for (std::int64_t first = 0; first < z.tokens; first += columns) {
    __syncthreads();
    widen_rows(owns_keys ? queries : keys, qkv_pitch, first, columns, z.tokens, d, tile_first, pitch);
    widen_rows(owns_keys ? gradients : values, owns_keys ? dy_pitch : qkv_pitch, first, columns, z.tokens, d, tile_second, pitch);
    __syncthreads();
    float p[rows], g[rows];
    row_products(p, own_first + warp * rows * d, tile_first, pitch, d);
    row_products(g, own_second + warp * rows * d, tile_second, pitch, d);
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      const bool there = first + lane < z.tokens && first_row + r < z.tokens;
      const std::int64_t query = head * z.tokens + (owns_keys ? first + lane : first_row + r);
      p[r] = there ? expf(p[r] * scale - logs[query]) : 0.0f;
      g[r] = there ? p[r] * (g[r] - along[query]) : 0.0f;
    }
    add_weighted(first_sum, g, tile_first, pitch, d);
    if constexpr (owns_keys) add_weighted(second_sum, p, tile_second, pitch, d);
  }
  float scales[rows], ones[rows];
  for (int r = 0; r < rows; ++r) scales[r] = scale, ones[r] = 1;
  write_sums(first_sum, scales, first_row, z.tokens, d, dqkv + head_offset(z, head, owns_keys ? 1 : 0), qkv_pitch);
  if constexpr (owns_keys) write_sums(second_sum, ones, first_row, z.tokens, d, dqkv + head_offset(z, head, 2), qkv_pitch);
}

}  // namespace sslcake::inline v0::kernels::cuda
