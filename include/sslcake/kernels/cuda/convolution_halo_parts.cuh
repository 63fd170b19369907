// The parts of the convolutions that keep their pixels in shared memory (convolution_halo.cuh): which pixels a block owns, how
// they and the ring around them get there, fragments of them for a tap, and how a warp's 64 pixels x 64 columns leave it.
#pragma once

#include "convolution_halo.hpp"
#include "convolution_moments.cuh"
#include "convolution_tile.cuh"
#include "instructions.cuh"

namespace sslcake::inline v0::kernels::cuda {

inline constexpr int slice_channels = 64, slice_bytes = slice_channels * 2;  // of a pixel or a row of weights in shared memory
inline constexpr int slice_chunks = slice_channels / chunk_numbers;
inline constexpr int warp_pixels = 64, warp_columns = 64, halo_taps = 9;

/// The pixels of a block: `pictures` pictures of at most height x width, or a part of that size of one.
template <int pictures_, int height_, int width_>
struct HaloTile {
  static constexpr int pictures = pictures_, height = height_, width = width_, pixels = pictures * height * width;
  static constexpr int threads = 256;
  static constexpr int patch_height = height + 2, patch_width = width + 2, patch_pixels = pictures * patch_height * patch_width;
  static constexpr int line_bytes = patch_width * slice_bytes, patch_bytes = patch_pixels * slice_bytes;
  static constexpr int copies = (patch_pixels * slice_chunks + threads - 1) / threads;  // of a thread for one patch
  static constexpr bool narrow = width == 4;  // eight neighbours in a tile lie in two lines
  static_assert(pixels % warp_pixels == 0 && (16 % width == 0 || width % 16 == 0));

  /// Where in the patch a pixel's tap (0,0) is. patch_pixel(a + 16 i) = patch_pixel(a) + patch_pixel(16 i) for a % 64 < 16.
  __host__ __device__ static constexpr int patch_pixel(int pixel) {
    return (pixel / (height * width) * patch_height + pixel / width % height) * patch_width + pixel % width;
  }
  /// By what the chunks of a pixel of the patch are swizzled, so that eight neighbours of a tile have the same chunk in eight
  /// different banks. The same in every line, or (narrow) every other one.
  __device__ static int key(int line, int column) { return (narrow ? column + line * 4 : column) & 7; }
};

/// Where a tile begins.
template <class Tile>
struct HaloPlace {
  int picture, line = 0, column = 0;
  __device__ HaloPlace(const HaloShape& shape, int tile) : picture(tile * Tile::pictures) {
    if constexpr (Tile::pictures == 1) {
      const int per_picture = shape.tiles_down * shape.tiles_across;
      picture = tile / per_picture;
      const int rest = tile - picture * per_picture;
      line = rest / shape.tiles_across * Tile::height;
      column = rest % shape.tiles_across * Tile::width;
    }
  }
};

/// Starts a thread's `copy`-th copy of 64 of the channels of a tile's patch. What lies outside the picture, or in pictures past
/// the last, becomes 0.
template <class Tile>
__device__ __forceinline__ void copy_halo(const HaloShape& shape, const HaloPlace<Tile>& place, int channels, int first_channel,
                                          const Bf16* operand, int copy, unsigned char* patch) {
  constexpr int per_picture = Tile::patch_height * Tile::patch_width;
  const int thread = static_cast<int>(threadIdx.x), chunk = thread % slice_chunks;
  int pixel = thread / slice_chunks + copy * (Tile::threads / slice_chunks);
  pixel = pixel < Tile::patch_pixels ? pixel : Tile::patch_pixels - 1;  // the last once more: cheaper than a branch
  const int p = Tile::pictures == 1 ? 0 : pixel / per_picture, in_picture = pixel - p * per_picture,
            r = in_picture / Tile::patch_width, c = in_picture - r * Tile::patch_width;
  const int picture = place.picture + p, line = place.line + r - 1, column = place.column + c - 1;
  const bool inside = picture < shape.pictures && static_cast<unsigned>(line) < static_cast<unsigned>(shape.height) &&
                      static_cast<unsigned>(column) < static_cast<unsigned>(shape.width);
  const std::int64_t at = static_cast<std::int64_t>((picture * shape.height + line) * shape.width + column) * channels +
                          first_channel + chunk * chunk_numbers;
  cp_async16(patch + pixel * slice_bytes + ((chunk ^ Tile::key(r, c)) << 4), inside ? operand + at : operand, inside ? 16 : 0);
}

/// Where in the patch a lane reads its row of the fragments of tap (0,v): the first 16 channels; others by ^ (step << 5).
template <class Tile>
__device__ __forceinline__ int halo_offset(int first_pixel, int v) {
  const int lane = static_cast<int>(threadIdx.x) % 32, row = lane % 16;
  return (Tile::patch_pixel(first_pixel + row) + v) * slice_bytes +
         (((lane / 16) ^ Tile::key(row / Tile::width, row % Tile::width + v)) << 4);
}

/// Fragments of one step of 16 channels of a tap: 64 pixels, 64 columns.
template <class Tile>
struct HaloFragments {
  std::uint32_t a[4][4], b[4][4];
  __device__ __forceinline__ void load(const unsigned char* left, const unsigned char* right) {
#pragma unroll
    for (int i = 0; i < 4; ++i) ldmatrix_x4(a[i], left + Tile::patch_pixel(16 * i) * slice_bytes);
#pragma unroll
    for (int j = 0; j < 4; ++j) ldmatrix_x4(b[j], right + j * 16 * slice_bytes);
  }
  __device__ __forceinline__ void multiply(float (&sums)[4][8][4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const std::uint32_t first[2] = {b[j][0], b[j][1]}, second[2] = {b[j][2], b[j][3]};
        mma(sums[i][2 * j], a[i], first);
        mma(sums[i][2 * j + 1], a[i], second);
      }
  }
};
__device__ __forceinline__ void clear(float (&sums)[4][8][4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 8; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) sums[i][j][e] = 0;
}

/// Four lanes with four words each exchange them: word j of lane t becomes word t of lane j.
__device__ __forceinline__ void transpose_in_four(std::uint32_t* words, int lane) {
  const bool odd = lane & 1, high = lane & 2;
#pragma unroll
  for (int j = 0; j < 4; j += 2) {
    const std::uint32_t other = __shfl_xor_sync(0xffffffffu, odd ? words[j] : words[j + 1], 1);
    if (odd) words[j] = other;
    else words[j + 1] = other;
  }
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    const std::uint32_t other = __shfl_xor_sync(0xffffffffu, high ? words[j] : words[j + 2], 2);
    if (high) words[j] = other;
    else words[j + 2] = other;
  }
}

/// Moments of two columns of a warp over the tiles so far; which: see HaloMoments::column.
struct HaloMoments {
  float count = 0, mean[2] = {0, 0}, squares[2] = {0, 0};

  __device__ static int column(int lane) {
    return (lane >> 4 & 1) * 32 + (lane >> 3 & 1) * 16 + (lane >> 2 & 1) * 8 + lane % 4 * 2;
  }
  /// words[pixel][j]: columns 8j + 2(lane%4), +1 of a lane's pixels, 0 where keep is 0 and else 1.
  __device__ __forceinline__ void add(const std::uint32_t (&words)[8][8], const float (&keep)[8]) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float pixels = 0, means[16], sums[16];
#pragma unroll
    for (int r = 0; r < 8; ++r) pixels += keep[r];
    const float share = pixels > 0 ? 1 / pixels : 0.0f;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      float low = 0, high = 0, squares_low = 0, squares_high = 0;
#pragma unroll
      for (int r = 0; r < 8; ++r) low += widen_low(words[r][j]), high += widen_high(words[r][j]);
      low *= share, high *= share;
#pragma unroll
      for (int r = 0; r < 8; ++r) {
        const float d = (widen_low(words[r][j]) - low) * keep[r], e = (widen_high(words[r][j]) - high) * keep[r];
        squares_low += d * d;
        squares_high += e * e;
      }
      means[2 * j] = low, means[2 * j + 1] = high, sums[2 * j] = squares_low, sums[2 * j + 1] = squares_high;
    }
    // The eight lanes of a column combine theirs, each step with half of the columns left to a lane.
#pragma unroll
    for (int level = 0; level < 3; ++level) {
      const int step = 16 >> level, kept = 8 >> level;
      const bool upper = lane & step;
      const float others = __shfl_xor_sync(0xffffffffu, pixels, step), all = pixels + others;
      const float part = all > 0 ? others / all : 0.0f, weight = pixels * part;
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        if (k >= kept) break;
        const float other_mean = __shfl_xor_sync(0xffffffffu, upper ? means[k] : means[k + kept], step);
        const float other_sums = __shfl_xor_sync(0xffffffffu, upper ? sums[k] : sums[k + kept], step);
        const float own = upper ? means[k + kept] : means[k], difference = other_mean - own;
        means[k] = own + difference * part;
        sums[k] = (upper ? sums[k + kept] : sums[k]) + other_sums + difference * difference * weight;
      }
      pixels = all;
    }
    float before = count;
    combine_moments(before, mean[0], squares[0], pixels, means[0], sums[0]);
    combine_moments(count, mean[1], squares[1], pixels, means[1], sums[1]);
  }
};

/// Writes a warp's 64 pixels x 64 columns, bias (null: none) added, and adds them to the moments.
template <bool with_moments, class Tile>
__device__ __forceinline__ void finish_warp(const HaloShape& shape, const HaloPlace<Tile>& place, const float (&sums)[4][8][4],
                                            int first_pixel, int first_column, const float* bias, Bf16* result,
                                            HaloMoments& seen) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  std::uint32_t words[8][8];  // of the lane: pixel 8r + lane/4, columns 8j + 2(lane%4), +1
  float keep[8], shift[8][2] = {};
  if (bias)
#pragma unroll
    for (int j = 0; j < 8; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) shift[j][e] = bias[first_column + j * 8 + lane % 4 * 2 + e];
#pragma unroll
  for (int r = 0; r < 8; ++r) {
    const int pixel = first_pixel + r * 8 + lane / 4, picture = place.picture + pixel / (Tile::height * Tile::width),
              y = place.line + pixel / Tile::width % Tile::height, x = place.column + pixel % Tile::width;
    const bool valid = picture < shape.pictures && y < shape.height && x < shape.width;
    keep[r] = valid ? 1.0f : 0.0f;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const float* pair = &sums[r / 2][j][r % 2 * 2];
      words[r][j] = valid ? pack(pair[0] + shift[j][0], pair[1] + shift[j][1]) : 0u;
    }
    std::uint32_t turned[8];  // columns 8 (lane%4) ... and 32 + 8 (lane%4) ...
#pragma unroll
    for (int j = 0; j < 8; ++j) turned[j] = words[r][j];
    transpose_in_four(turned, lane);
    transpose_in_four(turned + 4, lane);
    if (valid) {
      Bf16* to = result + static_cast<std::int64_t>((picture * shape.height + y) * shape.width + x) * shape.columns +
                 first_column + lane % 4 * chunk_numbers;
      *reinterpret_cast<uint4*>(to) = make_uint4(turned[0], turned[1], turned[2], turned[3]);
      *reinterpret_cast<uint4*>(to + 32) = make_uint4(turned[4], turned[5], turned[6], turned[7]);
    }
  }
  if constexpr (with_moments) seen.add(words, keep);
}

/// Leaves a warp's moments as row `entry` of (entries, columns), and its count if `first`.
__device__ __forceinline__ void leave_moments(const HaloMoments& seen, const HaloShape& shape, int entry, int first_column,
                                              bool first, float2* moments, float* counts) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float2* to = moments + static_cast<std::int64_t>(entry) * shape.columns + first_column + HaloMoments::column(lane);
  for (int e = 0; e < 2; ++e) to[e] = make_float2(seen.mean[e], seen.squares[e]);
  if (first && lane == 0) counts[entry] = seen.count;
}

}  // namespace sslcake::inline v0::kernels::cuda
