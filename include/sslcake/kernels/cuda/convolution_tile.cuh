// A convolution as a matrix product whose left matrix is never stored ("implicit product", as in cuDNN: Chetlur et al. 2014,
// arXiv:1410.0759): C (M,N) = A (M,K) · Bᵀ with M pixels of the result, N channels of it and K = taps x channels of the operand,
//   A[(n,p,q), (u,v,c)] = operand[n, p step_h + u tap_step_h + start_h, q step_w + v tap_step_w + start_w, c], 0 outside.
// A block computes one tile: rows of A are gathered and rows of B copied into a ring of shared-memory stages in the background
// (cp.async), 16 bytes a time, swizzled_in_stage so that neither they nor ldmatrix meet bank conflicts; every warp multiplies its
// part of the tile on tensor cores into float32 registers. The tile leaves through shared memory in rows of 16 bytes, and on the
// way the channels' moments over it are taken.
//
// Left out: Hopper's wgmma and TMA (the kernel runs from sm_80 on), splitting K over blocks.
#pragma once

#include "convolution_moments.cuh"
#include "instructions.cuh"

namespace sslcake::inline v0::kernels::cuda {

/// One implicit product: which pixels of the operand a pixel of the result sums over, and where it goes.
struct PixelMap {
  int height, width, channels;                 // of the operand (N,height,width,channels), channels a multiple of 8
  int taps_h, taps_w, tap_step_h, tap_step_w;  // steps may be negative
  int step_h, step_w, start_h, start_w;
  int rows, rows_h, rows_w;   // the product's rows: (n, p < rows_h, q < rows_w)
  int out_height, out_width;  // they go to the pixels (p out_step_h + out_start_h, q out_step_w + ...)
  int out_step_h, out_step_w, out_start_h, out_start_w;
  int depth, pitch;     // K padded to a multiple of 64; from one row of weights to the next
  const Bf16* weights;  // (N padded to whole tiles, pitch), 0 where padded
};
inline constexpr int maps_per_launch = 4;
struct PixelMaps {
  PixelMap map[maps_per_launch];  // block z works on map z
};

inline constexpr int stage_depth = 64;   // K of one stage: rows of 128 bytes, 8 chunks
inline constexpr int chunk_numbers = 8;  // bfloat16 in 16 bytes
inline constexpr int stage_row_bytes = stage_depth * 2, row_chunks = stage_depth / chunk_numbers;
inline constexpr int stage_steps = stage_depth / 16;

template <int rows_, int columns_, int warp_rows_, int warp_columns_, int stages_, int blocks_>
struct ConvolutionTile {
  static constexpr int rows = rows_, columns = columns_;                      // of the block
  static constexpr int warp_rows = warp_rows_, warp_columns = warp_columns_;  // of a warp
  static constexpr int stages = stages_, blocks = blocks_;                    // blocks: on one multiprocessor
  static constexpr int warps_across = columns / warp_columns, threads = 32 * (rows / warp_rows) * warps_across;
  static constexpr int stage_bytes = (rows + columns) * stage_row_bytes;
  static constexpr int out_pitch = columns + chunk_numbers;  // numbers; the extra ones shift the banks
  static constexpr int out_bytes = rows * out_pitch * 2;
  static constexpr int moment_rows = threads / (columns / 2);  // threads that share a pair of channels
  static constexpr std::size_t shared_bytes = static_cast<std::size_t>(stages) * stage_bytes + rows * sizeof(int4);
  static_assert(out_bytes + moment_rows * columns / 2 * sizeof(float4) <= static_cast<std::size_t>(stages) * stage_bytes);
  static_assert(rows % moment_rows == 0 && threads % row_chunks == 0);
};

/// Where (in bytes) a chunk lies in a stage: eight rows have the same chunk in eight different banks.
__device__ __forceinline__ int swizzled_in_stage(int row, int chunk) {
  return row * stage_row_bytes + ((chunk ^ (row & 7)) << 4);
}

/// What a thread copies of every stage: one chunk of some rows. Steps through K without divisions.
template <class Tile>
struct StageLoader {
  static constexpr int row_step = Tile::threads / row_chunks, row_count = Tile::rows / row_step;
  static_assert(Tile::rows % (2 * row_step) == 0 && Tile::columns % row_step == 0 && row_step % 8 == 0);
  const Bf16* operand;
  const Bf16* weights;        // of this thread's first row, at its chunk
  std::int64_t weights_step;  // to its next row
  int offset;                 // in a stage: first row, swizzled chunk
  int row;                    // the first
  int channel, tap_h, tap_w;  // at this thread's chunk
  int whole, rest;            // stage_depth = whole · channels + rest

  __device__ StageLoader(const PixelMap& map, const Bf16* from, int first_column) : operand(from) {
    const int thread = static_cast<int>(threadIdx.x), chunk = thread % row_chunks;
    row = thread / row_chunks;
    offset = swizzled_in_stage(row, chunk);
    weights = map.weights + static_cast<std::int64_t>(first_column + row) * map.pitch + chunk * chunk_numbers;
    weights_step = static_cast<std::int64_t>(row_step) * map.pitch;
    const int k = chunk * chunk_numbers, tap = k / map.channels;
    channel = k - tap * map.channels;
    tap_h = tap / map.taps_w;
    tap_w = tap - tap_h * map.taps_w;
    whole = stage_depth / map.channels;
    rest = stage_depth - whole * map.channels;
  }
  /// Starts the copies of one of three parts of the next stage: half of A, the other half, B.
  /// pixels[row]: {pixel of tap (0,0), its row, its column, pixel of the result}
  __device__ __forceinline__ void load(int part, const PixelMap& map, const int4* pixels, unsigned char* stage) {
    if (part < 2) load_half(part, map, pixels, stage + offset);
    else load_weights(map, stage + offset + Tile::rows * stage_row_bytes);
  }

 private:
  __device__ __forceinline__ void load_half(int half, const PixelMap& map, const int4* pixels, unsigned char* to) const {
    const int h = tap_h * map.tap_step_h, w = tap_w * map.tap_step_w, shift = h * map.width + w;
    const bool inside = tap_h < map.taps_h;
    const Bf16* from = operand + channel;
#pragma unroll
    for (int n = 0; n < row_count / 2; ++n) {
      const int i = half * (row_count / 2) + n;
      const int4 pixel = pixels[row + i * row_step];
      const bool valid = inside && static_cast<unsigned>(pixel.y + h) < static_cast<unsigned>(map.height) &&
                         static_cast<unsigned>(pixel.z + w) < static_cast<unsigned>(map.width);
      const std::int64_t at = static_cast<std::int64_t>(pixel.x + shift) * map.channels;
      cp_async16_cached(to + i * row_step * stage_row_bytes, valid ? from + at : operand, valid ? 16 : 0);
    }
  }
  __device__ __forceinline__ void load_weights(const PixelMap& map, unsigned char* to) {
    const Bf16* from = weights;
#pragma unroll
    for (int i = 0; i < Tile::columns / row_step; ++i) {
      cp_async16(to + i * row_step * stage_row_bytes, from);
      from += weights_step;
    }
    weights += stage_depth;
    channel += rest;
    tap_w += whole;
    if (channel >= map.channels) channel -= map.channels, ++tap_w;
    while (tap_w >= map.taps_w) tap_w -= map.taps_w, ++tap_h;
  }
};

/// Fragments of one step of 16 in K for a warp.
template <class Tile>
struct ConvolutionFragments {
  static constexpr int down = Tile::warp_rows / 16, across = Tile::warp_columns / 16;
  std::uint32_t a[down][4], b[across][4];  // b: of two matrices of 8 columns each

  __device__ __forceinline__ void load(const unsigned char* stage, int first_row, int first_column, int step) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const unsigned char* left = stage + swizzled_in_stage(first_row + lane % 16, step * 2 + lane / 16);
    const unsigned char* right =
        stage + swizzled_in_stage(Tile::rows + first_column + lane % 8 + lane / 16 * 8, step * 2 + lane / 8 % 2);
#pragma unroll
    for (int i = 0; i < down; ++i) ldmatrix_x4(a[i], left + i * 16 * stage_row_bytes);
#pragma unroll
    for (int j = 0; j < across; ++j) ldmatrix_x4(b[j], right + j * 16 * stage_row_bytes);
  }
  __device__ __forceinline__ void multiply(float (&sums)[down][2 * across][4]) const {
#pragma unroll
    for (int i = 0; i < down; ++i)
#pragma unroll
      for (int j = 0; j < across; ++j) {
        const std::uint32_t first[2] = {b[j][0], b[j][1]}, second[2] = {b[j][2], b[j][3]};
        mma(sums[i][2 * j], a[i], first);
        mma(sums[i][2 * j + 1], a[i], second);
      }
  }
};

/// Grid (tiles down x tiles across, those across next to each other; 1; maps). `bias` (columns) and `moments` (tiles down,
/// columns) may be null. `wide`: rows of `out` may be written in 16 bytes.
template <class Tile>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks)
    implicit_product(const __grid_constant__ PixelMaps maps, const Bf16* operand, const float* bias, Bf16* result, int columns,
                     int tiles_across, int wide, float2* moments) {
  const PixelMap& map = maps.map[blockIdx.z];
  const int tile_row = static_cast<int>(blockIdx.x) / tiles_across,
            first_column = (static_cast<int>(blockIdx.x) % tiles_across) * Tile::columns;
  if (tile_row > (map.rows - 1) / Tile::rows) return;  // maps of one launch differ in rows
  const int first_row = tile_row * Tile::rows;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  unsigned char* shared = dynamic_shared();
  int4* pixels = reinterpret_cast<int4*>(shared + Tile::stages * Tile::stage_bytes);
  for (int r = thread; r < Tile::rows; r += Tile::threads) {
    int4 pixel = make_int4(0, -(1 << 30), 0, -1);  // outside whatever the tap
    if (first_row + r < map.rows) {
      const unsigned index = static_cast<unsigned>(first_row + r), line = index / static_cast<unsigned>(map.rows_w);
      const int q = static_cast<int>(index - line * static_cast<unsigned>(map.rows_w));
      const int image = static_cast<int>(line / static_cast<unsigned>(map.rows_h)),
                p = static_cast<int>(line) - image * map.rows_h;
      pixel.y = p * map.step_h + map.start_h;
      pixel.z = q * map.step_w + map.start_w;
      pixel.x = (image * map.height + pixel.y) * map.width + pixel.z;
      pixel.w =
          (image * map.out_height + p * map.out_step_h + map.out_start_h) * map.out_width + q * map.out_step_w + map.out_start_w;
    }
    pixels[r] = pixel;
  }
  __syncthreads();

  StageLoader<Tile> loader(map, operand, first_column);
  const int steps = map.depth / stage_depth;
#pragma unroll
  for (int s = 0; s < Tile::stages - 1; ++s) {
    if (s < steps)
      for (int part = 0; part < 3; ++part) loader.load(part, map, pixels, shared + s * Tile::stage_bytes);
    cp_async_commit();
  }
  using Part = ConvolutionFragments<Tile>;
  float sums[Part::down][2 * Part::across][4];
#pragma unroll
  for (int i = 0; i < Part::down; ++i)
#pragma unroll
    for (int j = 0; j < 2 * Part::across; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) sums[i][j][e] = 0;
  const int warp_row = warp / Tile::warps_across * Tile::warp_rows, warp_column = warp % Tile::warps_across * Tile::warp_columns;
  Part parts[2];
  cp_async_wait<Tile::stages - 2>();
  __syncthreads();
  parts[0].load(shared, warp_row, warp_column, 0);
  int reading = 0, writing = Tile::stages - 1;
  for (int step = 0; step < steps; ++step) {
    const bool more = step + Tile::stages - 1 < steps;
#pragma unroll
    for (int k = 0; k < stage_steps; ++k) {
      if (k == stage_steps - 1) {  // the next stage is there, and everybody has read all of this one: it may be written again
        cp_async_wait<Tile::stages - 2>();
        __syncthreads();
        reading = reading + 1 == Tile::stages ? 0 : reading + 1;
      }
      // Fragments one step ahead; behind the last stage numbers that nobody uses.
      parts[(k + 1) % 2].load(shared + reading * Tile::stage_bytes, warp_row, warp_column, (k + 1) % stage_steps);
      if (k < 3 && more) loader.load(k, map, pixels, shared + writing * Tile::stage_bytes);
      if (k == 2) {
        cp_async_commit();  // an empty group too: the waits count groups
        writing = writing + 1 == Tile::stages ? 0 : writing + 1;
      }
      parts[k % 2].multiply(sums);
    }
  }
  cp_async_wait<0>();
  __syncthreads();

  Bf16* out = reinterpret_cast<Bf16*>(shared);
#pragma unroll
  for (int j = 0; j < 2 * Part::across; ++j) {
    const int column = warp_column + j * 8 + lane % 4 * 2;
    float low = 0, high = 0;
    if (bias) {
      if (first_column + column < columns) low = bias[first_column + column];
      if (first_column + column + 1 < columns) high = bias[first_column + column + 1];
    }
#pragma unroll
    for (int i = 0; i < Part::down; ++i) {
      const int row = warp_row + i * 16 + lane / 4;
      *reinterpret_cast<std::uint32_t*>(out + row * Tile::out_pitch + column) = pack(sums[i][j][0] + low, sums[i][j][1] + high);
      *reinterpret_cast<std::uint32_t*>(out + (row + 8) * Tile::out_pitch + column) =
          pack(sums[i][j][2] + low, sums[i][j][3] + high);
    }
  }
  __syncthreads();
  constexpr int chunks = Tile::columns / chunk_numbers;
#pragma unroll 4
  for (int i = thread; i < Tile::rows * chunks; i += Tile::threads) {
    const int row = i / chunks, column = i % chunks * chunk_numbers, pixel = pixels[row].w;
    const int count = clamped(columns - first_column - column, chunk_numbers);
    if (pixel < 0 || count == 0) continue;
    const Bf16* from = out + row * Tile::out_pitch + column;
    Bf16* to = result + static_cast<std::int64_t>(pixel) * columns + first_column + column;
    if (wide) *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(from);
    else
      for (int e = 0; e < count; ++e) to[e] = from[e];
  }
  if (moments)
    tile_moments<Tile>(out, reinterpret_cast<float4*>(shared + Tile::out_bytes), map.rows - first_row, first_column, columns,
                       moments + static_cast<std::int64_t>(tile_row) * columns);
}

}  // namespace sslcake::inline v0::kernels::cuda
