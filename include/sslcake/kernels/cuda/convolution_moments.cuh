// Moments of the channels of a product's result, without sums of squares that cancel: every tile has the mean and the squared
// deviations from it of its own rows, and a second kernel combines the tiles, always in the same order.
#pragma once

#include "instructions.cuh"

namespace sslcake::inline v0::kernels::cuda {

/// x, but from 0 to `most`.
__device__ __forceinline__ int clamped(int x, int most) { return x < 0 ? 0 : x < most ? x : most; }

/// Mean and Σ(x - mean)² of two sets together (Chan, Golub & LeVeque 1979).
__device__ __forceinline__ void combine_moments(float& count, float& mean, float& squares, float other_count, float other_mean,
                                                float other_squares) {
  if (other_count <= 0) return;
  const float all = count + other_count, difference = other_mean - mean, part = other_count / all;
  mean += difference * part;
  squares += other_squares + difference * difference * count * part;
  count = all;
}

/// moments[tile row][channel] = {mean, Σ(x - mean)²} over the valid rows of the tile at `out`. `scratch` lies in shared memory.
template <class Tile>
__device__ void tile_moments(const Bf16* out, float4* scratch, int valid_rows, int first_column, int columns, float2* moments) {
  constexpr int words = Tile::columns / 2, height = Tile::rows / Tile::moment_rows;
  const int word = static_cast<int>(threadIdx.x) % words, part = static_cast<int>(threadIdx.x) / words;
  const int count = clamped(valid_rows - part * height, height);
  std::uint32_t values[height];
  float sum[2] = {0, 0}, mean[2] = {0, 0}, squares[2] = {0, 0};
  const Bf16* from = out + part * height * Tile::out_pitch + 2 * word;
#pragma unroll
  for (int r = 0; r < height; ++r) {
    values[r] = r < count ? *reinterpret_cast<const std::uint32_t*>(from + r * Tile::out_pitch) : 0u;
    sum[0] += widen_low(values[r]);
    sum[1] += widen_high(values[r]);
  }
  if (count > 0) mean[0] = sum[0] / static_cast<float>(count), mean[1] = sum[1] / static_cast<float>(count);
#pragma unroll
  for (int r = 0; r < height; ++r)
    if (r < count) {
      const float low = widen_low(values[r]) - mean[0], high = widen_high(values[r]) - mean[1];
      squares[0] += low * low;
      squares[1] += high * high;
    }
  scratch[part * words + word] = make_float4(mean[0], squares[0], mean[1], squares[1]);
  __syncthreads();
  if (part != 0) return;
  float counts[2] = {static_cast<float>(count), static_cast<float>(count)};
  for (int other = 1; other < Tile::moment_rows; ++other) {
    const float4 more = scratch[other * words + word];
    const float rows = static_cast<float>(clamped(valid_rows - other * height, height));
    combine_moments(counts[0], mean[0], squares[0], rows, more.x, more.y);
    combine_moments(counts[1], mean[1], squares[1], rows, more.z, more.w);
  }
  for (int e = 0; e < 2; ++e)
    if (const int column = first_column + 2 * word + e; column < columns) moments[column] = make_float2(mean[e], squares[e]);
}

inline constexpr int combine_channels = 4, combine_threads = 1024;
/// Mean and biased variance of every channel from those of the tiles (tiles, channels), the sums in double around the first
/// tile's mean. Tiles have `tile_rows` rows, the last what is left; or, unless it is null, as many as `counts` (tiles) says. A
/// block takes 4 channels.
static __global__ void combine_tiles(const float2* tiles_moments, const float* counts, int tiles, int tile_rows,
                                     std::int64_t rows, int channels, float* mean, float* variance) {
  __shared__ double partial[combine_threads / 32][combine_channels][3];
  const int thread = static_cast<int>(threadIdx.x), slot = thread % combine_channels;
  const int channel = static_cast<int>(blockIdx.x) * combine_channels + slot;
  double sums[3] = {0, 0, 0}, center = 0;  // Σ n d, Σ n d², Σ squares
  if (channel < channels) {
    center = static_cast<double>(tiles_moments[channel].x);
#pragma unroll 4
    for (int t = thread / combine_channels; t < tiles; t += combine_threads / combine_channels) {
      const float2 m = tiles_moments[static_cast<std::int64_t>(t) * channels + channel];
      const std::int64_t left = rows - static_cast<std::int64_t>(t) * tile_rows;
      const double count = counts ? static_cast<double>(counts[t]) : static_cast<double>(left < tile_rows ? left : tile_rows),
                   d = static_cast<double>(m.x) - center;
      sums[0] += count * d;
      sums[1] += count * d * d;
      sums[2] += static_cast<double>(m.y);
    }
  }
  for (int step = combine_channels; step < 32; step *= 2)
    for (int e = 0; e < 3; ++e) sums[e] += __shfl_xor_sync(0xffffffffu, sums[e], step);
  if (thread % 32 < combine_channels)
    for (int e = 0; e < 3; ++e) partial[thread / 32][slot][e] = sums[e];
  __syncthreads();
  if (thread >= combine_channels || channel >= channels) return;
  double all[3] = {0, 0, 0};
  for (int warp = 0; warp < combine_threads / 32; ++warp)
    for (int e = 0; e < 3; ++e) all[e] += partial[warp][slot][e];
  const double count = static_cast<double>(rows), shift = all[0] / count, spread = (all[2] + all[1] - all[0] * shift) / count;
  mean[channel] = static_cast<float>(center + shift);
  variance[channel] = static_cast<float>(spread < 0 ? 0.0 : spread);  // NaN stays NaN
}

}  // namespace sslcake::inline v0::kernels::cuda
