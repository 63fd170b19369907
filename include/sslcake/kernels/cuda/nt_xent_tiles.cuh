// The tiles of NT-Xent's similarity matrix v·vᵀ, on tensor cores. A float32 is the sum of two or three bfloat16,
//
//   x = x0 + x1 (+ x2),    x·y ≈ Σ_{a+b < parts} x_a·y_b,
//
// (Henry, Tang, Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations", 2019,
// arXiv 1904.06376): three products with two parts are wrong by about 2^-17, six with three parts no more than float32 is.
//
// A block owns some rows of v and walks over all columns, each warp 16 rows, as FlashAttention-2 does (Dao, 2023, arXiv
// 2307.08691): what it makes of a tile stays in registers, where the result of one product is the left side of the next.
#pragma once

#include "instructions.cuh"

namespace sslcake::inline v0::kernels::cuda {

/// Few parts, one panel of at most 128 numbers, own rows in registers, the next tile on its way; or three parts, any width.
template <int panel_width, bool precise_>
struct SimilarityShape {
  static constexpr bool precise = precise_;
  static constexpr int panel = panel_width;      // of the width of v, at a time
  static constexpr int parts = precise ? 3 : 2;  // of a float32
  static constexpr int warps = precise ? 4 : 8;
  static constexpr int threads = 32 * warps, rows = 16 * warps;  // of a block
  static constexpr int columns = precise ? 32 : 64;              // of a tile
  static constexpr int pitch = panel + 8;                        // of a row in shared memory, in bfloat16: no bank conflicts
  static constexpr int tile = parts * columns * pitch;           // bfloat16
  static constexpr int own = parts * rows * pitch;
  // own rows | tile | logarithms; or two of (tile | logarithms), in which the own rows lie at first.
  static constexpr int stages = precise ? 1 : 2;
  static constexpr std::size_t shared_bytes =
      (static_cast<std::size_t>(precise ? own : 0) + static_cast<std::size_t>(stages) * tile) * 2 +
      static_cast<std::size_t>(stages) * columns * 4;
  static_assert(precise || own <= 2 * tile);
};

struct SimilarityArguments {
  const Bf16* split;  // (parts, padded, width): v, zero beyond its rows and its width
  std::int64_t rows, padded;
  int panels;           // width / panel
  int tiles_per_chunk;  // blockIdx.y: which columns
  // forward: (chunks, rows), and (rows)
  float *max, *sum, *positive;
  // backward
  const float *log_sums, *partner_weights;  // (rows)
  float* dv;                                // (chunks, rows, d)
  std::int64_t d;
};

inline constexpr float absent_similarity = -1e30f, least_maximum = -1e29f;  // as kernels/softmax_tile.hpp

__device__ __forceinline__ float nt_xent_exp(float x, bool precise) { return precise ? expf(x) : __expf(x); }

/// Starts copying `count` rows of all parts of a panel into shared memory (parts, count, pitch).
template <class Shape, int count>
__device__ __forceinline__ void copy_rows(const SimilarityArguments& a, std::int64_t first, int panel, std::uint16_t* to) {
  constexpr int pieces = Shape::panel / 8, all = Shape::parts * count * pieces;
  const std::int64_t width = static_cast<std::int64_t>(a.panels) * Shape::panel;
  for (int i = static_cast<int>(threadIdx.x); i < all; i += Shape::threads) {
    const int piece = i % pieces, row = i / pieces % count, part = i / pieces / count;
    cp_async16(to + (part * count + row) * Shape::pitch + piece * 8,
               a.split + (part * a.padded + first + row) * width + panel * Shape::panel + piece * 8);
  }
}

/// The 16 rows of this warp as left sides: left[part] is (16,16) from column k.
template <class Shape>
__device__ __forceinline__ void load_left(std::uint32_t (&left)[Shape::parts][4], const std::uint16_t* own, int k) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int p = 0; p < Shape::parts; ++p)
    ldmatrix_x4(left[p], own + (p * Shape::rows + warp * 16 + lane % 16) * Shape::pitch + k + lane / 16 * 8);
}

/// s[n] (16,8) += left · tileᵀ for 16 numbers from k of all columns.
template <class Shape>
__device__ __forceinline__ void add_similarities(float (&s)[Shape::columns / 8][4], const std::uint32_t (&left)[Shape::parts][4],
                                                 const std::uint16_t* tile, int k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int n = 0; n < Shape::columns / 8; n += 2) {
    std::uint32_t right[Shape::parts][4];
#pragma unroll
    for (int p = 0; p < Shape::parts; ++p)
      ldmatrix_x4(right[p], tile + (p * Shape::columns + n * 8 + lane / 16 * 8 + lane % 8) * Shape::pitch + k + lane / 8 % 2 * 8);
#pragma unroll
    for (int sum = Shape::parts - 1; sum >= 0; --sum)  // small products first
#pragma unroll
      for (int p = 0; p <= sum; ++p) {
        mma(s[n], left[p], {right[sum - p][0], right[sum - p][1]});
        mma(s[n + 1], left[p], {right[sum - p][2], right[sum - p][3]});
      }
  }
}

/// dv[n] (16,8) += w · tile, w (16, columns) given as accumulators. Each tile is summed by itself first: tensor cores cut off
/// what does not fit in the accumulator instead of rounding it, which over thousands of tiles would add up.
template <class Shape>
__device__ __forceinline__ void add_gradient(float (&dv)[Shape::panel / 8][4], const float (&w)[Shape::columns / 8][4],
                                             const std::uint16_t* tile) {
  constexpr int steps = Shape::columns / 16;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  std::uint32_t left[steps][Shape::parts][4];
#pragma unroll
  for (int k = 0; k < steps; ++k)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float low = w[2 * k + i / 2][i % 2 * 2], high = w[2 * k + i / 2][i % 2 * 2 + 1];
#pragma unroll
      for (int p = 0; p < Shape::parts; ++p) {
        left[k][p][i] = pack(low, high);
        low -= widen_low(left[k][p][i]);
        high -= widen_high(left[k][p][i]);
      }
    }
#pragma unroll
  for (int n = 0; n < Shape::panel / 8; n += 2) {
    float sums[2][4] = {};
#pragma unroll
    for (int k = 0; k < steps; ++k) {
      std::uint32_t right[Shape::parts][4];
#pragma unroll
      for (int p = 0; p < Shape::parts; ++p)
        ldmatrix_x4_transposed(right[p], tile + (p * Shape::columns + k * 16 + lane % 16) * Shape::pitch + n * 8 + lane / 16 * 8);
#pragma unroll
      for (int sum = Shape::parts - 1; sum >= 0; --sum)
#pragma unroll
        for (int p = 0; p <= sum; ++p) {
          mma(sums[0], left[k][p], {right[sum - p][0], right[sum - p][1]});
          mma(sums[1], left[k][p], {right[sum - p][2], right[sum - p][3]});
        }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int i = 0; i < 4; ++i) dv[n + half][i] += sums[half][i];
  }
}

/// A block's rows against its chunk of columns: maxima and sums, or the gradient with respect to v.
template <class Shape, bool backward>
__global__ void __launch_bounds__(Shape::threads, 1) tiles_kernel(SimilarityArguments a) {
  constexpr int groups = Shape::columns / 8, steps = Shape::panel / 16;
  auto* shared = reinterpret_cast<std::uint16_t*>(dynamic_shared());
  std::uint16_t* tiles = shared + (Shape::precise ? Shape::own : 0);
  auto* logs = reinterpret_cast<float*>(tiles + Shape::stages * Shape::tile);  // (stages, columns)
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t block_row = static_cast<std::int64_t>(blockIdx.x) * Shape::rows, pairs = a.rows / 2;
  const std::int64_t row[2] = {block_row + warp * 16 + lane / 4, block_row + warp * 16 + lane / 4 + 8};
  std::int64_t partner[2];
  for (int h = 0; h < 2; ++h) partner[h] = row[h] < pairs ? row[h] + pairs : row[h] - pairs;

  std::uint32_t kept[Shape::precise ? 1 : steps][Shape::parts][4];
  if constexpr (!Shape::precise) {
    copy_rows<Shape, Shape::rows>(a, block_row, 0, tiles);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
#pragma unroll
    for (int k = 0; k < steps; ++k) load_left<Shape>(kept[k], tiles, k * 16);
    __syncthreads();
  }

  float most[2] = {least_maximum, least_maximum}, sum[2] = {};  // forward
  float log_sum[2] = {}, partner_weight[2] = {};                // backward
  float dv[backward ? Shape::panel / 8 : 1][4] = {};
  if constexpr (backward)
    for (int h = 0; h < 2; ++h)
      if (row[h] < a.rows)
        log_sum[h] = a.log_sums[row[h]], partner_weight[h] = a.partner_weights[row[h]] + a.partner_weights[partner[h]];

  const std::int64_t all = (a.rows + Shape::columns - 1) / Shape::columns;
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.y) * a.tiles_per_chunk;
  const std::int64_t end = begin + a.tiles_per_chunk < all ? begin + a.tiles_per_chunk : all;
  // The panel whose gradient this block makes comes last, and is there when it is needed.
  const auto panel_of = [&](int step) { return static_cast<int>(blockIdx.z + 1 + static_cast<unsigned>(step)) % a.panels; };
  const auto copy_tile = [&](std::int64_t tile, int panel, int stage) {
    copy_rows<Shape, Shape::columns>(a, tile * Shape::columns, panel, tiles + stage * Shape::tile);
    if constexpr (backward)
      if (threadIdx.x < static_cast<unsigned>(Shape::columns)) {
        const std::int64_t column = tile * Shape::columns + threadIdx.x;
        cp_async4(logs + stage * Shape::columns + threadIdx.x, a.log_sums + (column < a.rows ? column : 0),
                  column < a.rows ? 4 : 0);
      }
  };

  if constexpr (!Shape::precise) {
    if (begin < end) copy_tile(begin, 0, 0);
    cp_async_commit();
  }
  for (std::int64_t t = begin; t < end; ++t) {
    float s[groups][4] = {};
    int stage = 0;
    if constexpr (Shape::precise) {
      for (int step = 0; step < a.panels; ++step) {
        __syncthreads();
        if (a.panels > 1 || t == begin) copy_rows<Shape, Shape::rows>(a, block_row, panel_of(step), shared);
        copy_tile(t, panel_of(step), 0);
        cp_async_commit();
        cp_async_wait<0>();
        __syncthreads();
        for (int k = 0; k < steps; ++k) {
          std::uint32_t left[Shape::parts][4];
          load_left<Shape>(left, shared, k * 16);
          add_similarities<Shape>(s, left, tiles, k * 16);
        }
      }
    } else {
      stage = static_cast<int>(t - begin) % 2;
      if (t + 1 < end) copy_tile(t + 1, 0, 1 - stage);
      cp_async_commit();
      cp_async_wait<1>();
      __syncthreads();
#pragma unroll
      for (int k = 0; k < steps; ++k) add_similarities<Shape>(s, kept[k], tiles + stage * Shape::tile, k * 16);
    }

    // Whether this tile holds something that is no negative: the diagonal, partners, or what lies beyond the last column.
    const std::int64_t first = t * Shape::columns, last = first + Shape::columns;
    const auto meets = [&](std::int64_t at) { return first < at + Shape::rows && last > at; };
    const bool special = last > a.rows || meets(block_row) || meets(block_row + pairs) || meets(block_row - pairs);
    if constexpr (!backward) {
      if (special)
        for (int n = 0; n < groups; ++n)
          for (int i = 0; i < 4; ++i) {
            const std::int64_t column = first + n * 8 + lane % 4 * 2 + i % 2;
            if (column == partner[i / 2] && row[i / 2] < a.rows) a.positive[row[i / 2]] = s[n][i];
            if (column == partner[i / 2] || column == row[i / 2] || column >= a.rows) s[n][i] = absent_similarity;
          }
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float now = most[h], part = 0;
#pragma unroll
        for (int n = 0; n < groups; ++n) now = fmaxf(now, fmaxf(s[n][2 * h], s[n][2 * h + 1]));
#pragma unroll
        for (int n = 0; n < groups; ++n)
          part += nt_xent_exp(s[n][2 * h] - now, Shape::precise) + nt_xent_exp(s[n][2 * h + 1] - now, Shape::precise);
        sum[h] = sum[h] * nt_xent_exp(most[h] - now, Shape::precise) + part;
        most[h] = now;
      }
    } else {
      const float* column_logs = logs + stage * Shape::columns + lane % 4 * 2;
#pragma unroll
      for (int n = 0; n < groups; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          s[n][i] = nt_xent_exp(s[n][i] - log_sum[i / 2], Shape::precise) +
                    nt_xent_exp(s[n][i] - column_logs[n * 8 + i % 2], Shape::precise);
      if (special)
#pragma unroll
        for (int n = 0; n < groups; ++n)
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const std::int64_t column = first + n * 8 + lane % 4 * 2 + i % 2;
            if (column == partner[i / 2]) s[n][i] = partner_weight[i / 2];
            if (column == row[i / 2] || column >= a.rows) s[n][i] = 0;
          }
      add_gradient<Shape>(dv, s, tiles + stage * Shape::tile);
    }
    if constexpr (!Shape::precise) __syncthreads();
  }

  const std::int64_t chunk_row = static_cast<std::int64_t>(blockIdx.y) * a.rows;
  if constexpr (!backward) {
    for (int h = 0; h < 2; ++h) {
      for (int step = 1; step < 4; step *= 2) {  // four lanes share a row
        const float other = __shfl_xor_sync(0xffffffffu, most[h], step), other_sum = __shfl_xor_sync(0xffffffffu, sum[h], step);
        const float now = fmaxf(most[h], other);
        sum[h] = sum[h] * expf(most[h] - now) + other_sum * expf(other - now);
        most[h] = now;
      }
      if (lane % 4 == 0 && row[h] < a.rows) a.max[chunk_row + row[h]] = most[h], a.sum[chunk_row + row[h]] = sum[h];
    }
  } else {
#pragma unroll
    for (int n = 0; n < Shape::panel / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const std::int64_t k = static_cast<std::int64_t>(blockIdx.z) * Shape::panel + n * 8 + lane % 4 * 2 + i % 2;
        if (row[i / 2] < a.rows && k < a.d) a.dv[(chunk_row + row[i / 2]) * a.d + k] = dv[n][i];
      }
  }
}

}  // namespace sslcake::inline v0::kernels::cuda
