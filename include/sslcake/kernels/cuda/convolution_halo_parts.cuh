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
  const int pixel = thread / slice_chunks + copy * (Tile::threads / slice_chunks);
  if (pixel >= Tile::patch_pixels) return;
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

/// Which of 64 columns of weights goes to a row of shared memory: such that the columns 8j + 2t and + 1 of the product, which a
/// lane with lane % 4 = t gets, are really lane_column(j, t) and + 1, and every four j make 16 bytes of the result in a row.
__device__ __forceinline__ int lane_column(int j, int t) { return j / 4 * 32 + t * 8 + j % 4 * 2; }
__device__ __forceinline__ int column_of_row(int row) { return lane_column(row / 8, row % 8 / 2) + row % 2; }

/// Moments of two columns of a warp over the tiles so far; which: see HaloMoments::column.
struct HaloMoments {
  float count = 0, mean[2] = {0, 0}, squares[2] = {0, 0};

  __device__ static int column(int lane) {
    return lane_column((lane >> 4 & 1) * 4 + (lane >> 3 & 1) * 2 + (lane >> 2 & 1), lane % 4);
  }
  /// words[pixel][j]: columns lane_column(j, lane%4), +1 of a lane's pixels. `pixels` of them count, the others are as the first.
  __device__ __forceinline__ void add(const std::uint32_t (&words)[8][8], float pixels) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float means[16], sums[16];
    const float share = pixels > 0 ? 1 / pixels : 0.0f;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      // Around the first pixel, which is one of them: so little cancels.
      const float pivot[2] = {widen_low(words[0][j]), widen_high(words[0][j])};
      float sum[2] = {0, 0}, squares_around[2] = {0, 0};
#pragma unroll
      for (int r = 1; r < 8; ++r) {
        const float d = widen_low(words[r][j]) - pivot[0], e = widen_high(words[r][j]) - pivot[1];
        sum[0] += d, squares_around[0] += d * d;
        sum[1] += e, squares_around[1] += e * e;
      }
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const float rest = squares_around[e] - sum[e] * sum[e] * share;
        means[2 * j + e] = pivot[e] + sum[e] * share;
        sums[2 * j + e] = rest < 0 ? 0.0f : rest;  // NaN stays NaN
      }
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

/// Writes a warp's 64 pixels x 64 columns, bias (null: none) added; or adds them, without bias, to the moments too.
template <bool with_moments, class Tile>
__device__ __forceinline__ void finish_warp(const HaloShape& shape, const HaloPlace<Tile>& place, const float (&sums)[4][8][4],
                                            int first_pixel, int first_column, const float* bias, Bf16* result,
                                            HaloMoments& seen) {
  if constexpr (with_moments) bias = nullptr;  // never both
  const int lane = static_cast<int>(threadIdx.x) % 32;
  std::uint32_t words[8][8];  // of the lane: pixel 8r + lane/4, columns lane_column(j, lane%4), +1
  float pixels = 0, shift[8][2] = {};
  if (bias)
#pragma unroll
    for (int j = 0; j < 8; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) shift[j][e] = bias[first_column + lane_column(j, lane % 4) + e];
#pragma unroll
  for (int r = 0; r < 8; ++r) {
    const int pixel = first_pixel + r * 8 + lane / 4, picture = place.picture + pixel / (Tile::height * Tile::width),
              y = place.line + pixel / Tile::width % Tile::height, x = place.column + pixel % Tile::width;
    const bool valid = picture < shape.pictures && y < shape.height && x < shape.width;  // if pixel 0 is not, none is
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const float* pair = &sums[r / 2][j][r % 2 * 2];
      words[r][j] = valid ? pack(pair[0] + shift[j][0], pair[1] + shift[j][1]) : r > 0 ? words[0][j] : 0u;
    }
    if (valid) {
      pixels += 1;
      Bf16* to = result + static_cast<std::int64_t>((picture * shape.height + y) * shape.width + x) * shape.columns +
                 first_column + lane_column(0, lane % 4);
      *reinterpret_cast<uint4*>(to) = make_uint4(words[r][0], words[r][1], words[r][2], words[r][3]);
      *reinterpret_cast<uint4*>(to + lane_column(4, 0)) = make_uint4(words[r][4], words[r][5], words[r][6], words[r][7]);
    }
  }
  if constexpr (with_moments) seen.add(words, pixels);
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
