// Attention of bfloat16 on tensor cores, as FlashAttention-2 cuts it (Dao, 2023, arXiv 2307.08691): each warp owns 16 rows, the
// block walks over tiles of the other side, and scores stay in registers, where they are the left side of the next product.
// Backward, one kernel owns queries and makes dq, one owns keys and makes dk and dv: twice the scores, but nothing is added by
// several blocks to one place, so that every run gives the same bits.
#pragma once

#include "attention.hpp"
#include "instructions.cuh"

namespace sslcake::inline v0::kernels::cuda {

template <int width>
struct AttentionTile {
  static constexpr int d = width, pitch = d + 8;                     // of a row in shared memory: no bank conflicts
  static constexpr int most_warps = d <= 64 ? 8 : 4;                 // 16 rows each
  static constexpr int forward_columns = 64, backward_columns = 32;  // of a tile
  __host__ __device__ static constexpr int size(int rows) { return rows * pitch; }  // in bfloat16
};

/// Rows of d bfloat16, `pitch` apart, of one head of one picture.
struct HeadRows {
  const Bf16* data;
  std::int64_t pitch;
};
/// 0, 1, 2: queries, keys, values.
__device__ __forceinline__ std::int64_t head_offset(const AttentionSizes& z, std::int64_t head, int which) {
  return head / z.heads * z.tokens * 3 * z.heads * z.d + (which * z.heads + head % z.heads) * z.d;
}
__device__ __forceinline__ std::int64_t result_offset(const AttentionSizes& z, std::int64_t head) {
  return head / z.heads * z.tokens * z.heads * z.d + head % z.heads * z.d;
}
__device__ __forceinline__ HeadRows part_of(const AttentionSizes& z, std::int64_t head, int which, const Bf16* qkv) {
  return {qkv + head_offset(z, head, which), 3 * z.heads * z.d};
}
__device__ __forceinline__ HeadRows result_of(const AttentionSizes& z, std::int64_t head, const Bf16* y) {
  return {y + result_offset(z, head), z.heads * z.d};
}

/// Starts copying rows first, first + 1, ... to shared memory, zeros beyond the last.
template <class Tile>
__device__ __forceinline__ void copy_head_rows(HeadRows from, std::int64_t first, int count, std::int64_t tokens,
                                               std::uint16_t* to) {
  constexpr int pieces = Tile::d / 8;
  for (int i = static_cast<int>(threadIdx.x); i < count * pieces; i += static_cast<int>(blockDim.x)) {
    const int piece = i % pieces, row = i / pieces;
    const bool there = first + row < tokens;
    cp_async16(to + row * Tile::pitch + piece * 8, from.data + (there ? first + row : 0) * from.pitch + piece * 8,
               there ? 16 : 0);
  }
}

/// 16 rows from `rows`, 16 numbers from k: a left side.
template <class Tile>
__device__ __forceinline__ void left_side(std::uint32_t (&left)[4], const std::uint16_t* rows, int k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  ldmatrix_x4(left, rows + lane % 16 * Tile::pitch + k + lane / 16 * 8);
}

/// s (16, columns) += left · tileᵀ for 16 numbers from k; columns at and beyond `count` are left out, 16 at a time.
template <class Tile, int groups>
__device__ __forceinline__ void add_scores(float (&s)[groups][4], const std::uint32_t (&left)[4], const std::uint16_t* tile,
                                           int k, int count) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int n = 0; n < groups; n += 2)
    if (n * 8 < count) {
      std::uint32_t right[4];
      ldmatrix_x4(right, tile + (n * 8 + lane / 16 * 8 + lane % 8) * Tile::pitch + k + lane / 8 % 2 * 8);
      mma(s[n], left, {right[0], right[1]});
      mma(s[n + 1], left, {right[2], right[3]});
    }
}

/// sum (16, d) += weights (16, columns), rounded to bfloat16, · tile (columns, d).
template <class Tile, int groups>
__device__ __forceinline__ void add_product(float (&sum)[Tile::d / 8][4], const float (&weights)[groups][4],
                                            const std::uint16_t* tile, int count) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int k = 0; k < groups / 2; ++k)
    if (k * 16 < count) {
      std::uint32_t left[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) left[i] = pack(weights[2 * k + i / 2][i % 2 * 2], weights[2 * k + i / 2][i % 2 * 2 + 1]);
#pragma unroll
      for (int n = 0; n < Tile::d / 8; n += 2) {
        std::uint32_t right[4];
        ldmatrix_x4_transposed(right, tile + (k * 16 + lane % 16) * Tile::pitch + n * 8 + lane / 16 * 8);
        mma(sum[n], left, {right[0], right[1]});
        mma(sum[n + 1], left, {right[2], right[3]});
      }
    }
}

/// Writes 16 rows, those below `tokens`, times factor[h] for the rows in the upper and lower half.
template <class Tile>
__device__ __forceinline__ void write_rows(const float (&sum)[Tile::d / 8][4], const float (&factor)[2], std::int64_t first,
                                           std::int64_t tokens, Bf16* to, std::int64_t pitch) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const std::int64_t row = first + lane / 4 + 8 * h;
    if (row >= tokens) continue;
#pragma unroll
    for (int n = 0; n < Tile::d / 8; ++n)
      *reinterpret_cast<std::uint32_t*>(to + row * pitch + n * 8 + lane % 4 * 2) =
          pack(sum[n][2 * h] * factor[h], sum[n][2 * h + 1] * factor[h]);
  }
}

/// Blocks are numbered head by head, `blocks` for each.
template <class Tile>
__global__ void __launch_bounds__(32 * Tile::most_warps)
    attention_forward_kernel(AttentionSizes z, int blocks, float scale, const Bf16* qkv, Bf16* y, float* logs) {
  constexpr int columns = Tile::forward_columns, groups = columns / 8, steps = Tile::d / 16, tile_size = Tile::size(columns);
  auto* shared = reinterpret_cast<std::uint16_t*>(dynamic_shared());  // two of (keys, values), in which the queries lie at first
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t head = blockIdx.x / static_cast<unsigned>(blocks);
  const int rows = static_cast<int>(blockDim.x) / 2;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.x % static_cast<unsigned>(blocks)) * rows;
  const HeadRows keys = part_of(z, head, 1, qkv), values = part_of(z, head, 2, qkv);

  copy_head_rows<Tile>(part_of(z, head, 0, qkv), first_row, rows, z.tokens, shared);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  std::uint32_t queries[steps][4];
#pragma unroll
  for (int k = 0; k < steps; ++k) left_side<Tile>(queries[k], shared + warp * Tile::size(16), k * 16);
  __syncthreads();

  const auto copy_tile = [&](std::int64_t first, int stage) {
    copy_head_rows<Tile>(keys, first, columns, z.tokens, shared + stage * 2 * tile_size);
    copy_head_rows<Tile>(values, first, columns, z.tokens, shared + (stage * 2 + 1) * tile_size);
  };
  float out[Tile::d / 8][4] = {}, most[2] = {-1e29f, -1e29f}, sum[2] = {};
  copy_tile(0, 0);
  cp_async_commit();
  int stage = 0;
  for (std::int64_t first = 0; first < z.tokens; first += columns, stage = 1 - stage) {
    if (first + columns < z.tokens) copy_tile(first + columns, 1 - stage);
    cp_async_commit();
    cp_async_wait<1>();
    __syncthreads();
    const int count = static_cast<int>(z.tokens - first < columns ? z.tokens - first : columns);
    float s[groups][4] = {};
#pragma unroll
    for (int k = 0; k < steps; ++k) add_scores<Tile>(s, queries[k], shared + stage * 2 * tile_size, k * 16, count);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float now = most[h], part = 0;
#pragma unroll
      for (int n = 0; n < groups; ++n)
#pragma unroll
        for (int i = 2 * h; i < 2 * h + 2; ++i) {
          s[n][i] = n * 8 + lane % 4 * 2 + i % 2 < count ? s[n][i] * scale : -1e30f;
          now = fmaxf(now, s[n][i]);
        }
      for (int step = 1; step < 4; step *= 2) now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, step));
      const float before = __expf(most[h] - now);
      most[h] = now;
#pragma unroll
      for (int n = 0; n < groups; ++n)
#pragma unroll
        for (int i = 2 * h; i < 2 * h + 2; ++i) part += s[n][i] = __expf(s[n][i] - now);
      sum[h] = sum[h] * before + part;
#pragma unroll
      for (int n = 0; n < Tile::d / 8; ++n) out[n][2 * h] *= before, out[n][2 * h + 1] *= before;
    }
    add_product<Tile>(out, s, shared + (stage * 2 + 1) * tile_size, count);
    __syncthreads();
  }
  float factor[2];
  for (int h = 0; h < 2; ++h) {
    for (int step = 1; step < 4; step *= 2) sum[h] += __shfl_xor_sync(0xffffffffu, sum[h], step);
    factor[h] = 1 / sum[h];
    const std::int64_t row = first_row + warp * 16 + lane / 4 + 8 * h;
    if (lane % 4 == 0 && row < z.tokens) logs[head * z.tokens + row] = most[h] + logf(sum[h]);
  }
  write_rows<Tile>(out, factor, first_row + warp * 16, z.tokens, y + result_offset(z, head), z.heads * z.d);
}

/// With P = exp(scale·q kᵀ - logs), dP = dy vᵀ and dS = P (dP - along):  dq = scale·dS k; or, where the block owns keys,
/// dk = scale·dSᵀ q and dv = Pᵀ dy. along (head, row) = y·dy.
template <class Tile, bool owns_keys>
__global__ void __launch_bounds__(32 * Tile::most_warps)
    attention_backward_kernel(AttentionSizes z, int blocks, float scale, const Bf16* qkv, const Bf16* dy, const float* logs,
                              const float* along, Bf16* dqkv) {
  constexpr int columns = Tile::backward_columns, groups = columns / 8, tile_size = Tile::size(columns);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t head = blockIdx.x / static_cast<unsigned>(blocks);
  const int rows = static_cast<int>(blockDim.x) / 2;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.x % static_cast<unsigned>(blocks)) * rows;
  auto* own_first = reinterpret_cast<std::uint16_t*>(dynamic_shared());
  std::uint16_t *own_second = own_first + Tile::size(rows), *tiles = own_second + Tile::size(rows);
  auto* of_columns = reinterpret_cast<float*>(tiles + 4 * tile_size);  // two of (logs, along)

  const HeadRows queries = part_of(z, head, 0, qkv), keys = part_of(z, head, 1, qkv), values = part_of(z, head, 2, qkv),
                 gradients = result_of(z, head, dy);
  copy_head_rows<Tile>(owns_keys ? keys : queries, first_row, rows, z.tokens, own_first);
  copy_head_rows<Tile>(owns_keys ? values : gradients, first_row, rows, z.tokens, own_second);
  own_first += warp * Tile::size(16);
  own_second += warp * Tile::size(16);
  float log[2] = {}, row_along[2] = {};
  if constexpr (!owns_keys)
    for (int h = 0; h < 2; ++h)
      if (const std::int64_t row = first_row + warp * 16 + lane / 4 + 8 * h; row < z.tokens)
        log[h] = logs[head * z.tokens + row], row_along[h] = along[head * z.tokens + row];

  const auto copy_tile = [&](std::int64_t first, int stage) {
    copy_head_rows<Tile>(owns_keys ? queries : keys, first, columns, z.tokens, tiles + stage * 2 * tile_size);
    copy_head_rows<Tile>(owns_keys ? gradients : values, first, columns, z.tokens, tiles + (stage * 2 + 1) * tile_size);
    if constexpr (owns_keys) {
      for (int i = static_cast<int>(threadIdx.x); i < columns; i += static_cast<int>(blockDim.x)) {
        const bool there = first + i < z.tokens;
        const std::int64_t at = head * z.tokens + (there ? first + i : 0);
        cp_async4(of_columns + stage * 2 * columns + i, logs + at, there ? 4 : 0);
        cp_async4(of_columns + (stage * 2 + 1) * columns + i, along + at, there ? 4 : 0);
      }
    }
  };
  float first_sum[Tile::d / 8][4] = {}, second_sum[owns_keys ? Tile::d / 8 : 1][4] = {};
  copy_tile(0, 0);
  cp_async_commit();
  int stage = 0;
  for (std::int64_t first = 0; first < z.tokens; first += columns, stage = 1 - stage) {
    if (first + columns < z.tokens) copy_tile(first + columns, 1 - stage);
    cp_async_commit();
    cp_async_wait<1>();
    __syncthreads();
    const int count = static_cast<int>(z.tokens - first < columns ? z.tokens - first : columns);
    const std::uint16_t *tile_first = tiles + stage * 2 * tile_size, *tile_second = tile_first + tile_size;
    const float *column_logs = of_columns + stage * 2 * columns, *column_along = column_logs + columns;
    float p[groups][4] = {}, g[groups][4] = {};
#pragma unroll
    for (int k = 0; k < Tile::d / 16; ++k) {
      std::uint32_t left[4];
      left_side<Tile>(left, own_first, k * 16);
      add_scores<Tile>(p, left, tile_first, k * 16, count);
      left_side<Tile>(left, own_second, k * 16);
      add_scores<Tile>(g, left, tile_second, k * 16, count);
    }
#pragma unroll
    for (int n = 0; n < groups; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int column = n * 8 + lane % 4 * 2 + i % 2;
        p[n][i] = column < count ? __expf(p[n][i] * scale - (owns_keys ? column_logs[column] : log[i / 2])) : 0.0f;
        g[n][i] = p[n][i] * (g[n][i] - (owns_keys ? column_along[column] : row_along[i / 2]));
      }
    add_product<Tile>(first_sum, g, tile_first, count);
    if constexpr (owns_keys) add_product<Tile>(second_sum, p, tile_second, count);
    __syncthreads();
  }
  const float scales[2] = {scale, scale};
  const std::int64_t row = first_row + warp * 16, pitch = 3 * z.heads * z.d;
  write_rows<Tile>(first_sum, scales, row, z.tokens, dqkv + head_offset(z, head, owns_keys ? 1 : 0), pitch);
  if constexpr (owns_keys) {
    const float ones[2] = {1, 1};
    write_rows<Tile>(second_sum, ones, row, z.tokens, dqkv + head_offset(z, head, 2), pitch);
  }
}

}  // namespace sslcake::inline v0::kernels::cuda
