// The stage of a view (augment.cu) that cuts it out of the picture and resizes it with a triangle filter as wide as the scale
// (image/resample.hpp), first down the columns, then along the rows.
#pragma once

#include "augment_view.cuh"

namespace sslcake::inline v0::kernels::cuda::view_stages {

/// One result of the resize along one axis: it mixes source pixels first .. first + count - 1, the t-th with weight
/// max(0, 1 - |offset + t| / support) · share (see image/resample.hpp).
struct Tap {
  int first, count;
  float offset, share;
};
__device__ __forceinline__ float weight_of(const Tap& tap, int t, float per_support) {
  const float w = 1 - fabsf(tap.offset + static_cast<float>(t)) * per_support;
  return w > 0 ? w * tap.share : 0.0f;
}

/// The tap of result i of `out`, from `length` pixels that begin at `start`.
__device__ inline Tap make_tap(int i, int out, int start, int length) {
  const double scale = static_cast<double>(length) / out, support = scale > 1 ? scale : 1.0, per_support = 1 / support;
  const double centre = (i + 0.5) * scale;
  int low = static_cast<int>(centre - support + 0.5), high = static_cast<int>(centre + support + 0.5);
  low = low > 0 ? low : 0;
  high = high < length ? high : length;
  const auto triangle = [&](int j) {
    const double w = 1 - fabs(j + 0.5 - centre) * per_support;
    return w > 0 ? w : 0.0;
  };
  while (high - low > 1 && triangle(low) == 0) ++low;
  while (high - low > 1 && triangle(high - 1) == 0) --high;
  double sum = 0;
  for (int j = low; j < high; ++j) sum += triangle(j);
  return {start + low, high - low, static_cast<float>(low + 0.5 - centre), static_cast<float>(1 / sum)};
}

/// From the picture: rows are mixed into lines of shared memory, as wide as the tile's part of the picture, and their columns
/// into pixels. Where not even one line fits, every pixel is summed by itself.
__device__ __forceinline__ void resize(const View& view, const Chain& chain, const Work& work, const std::uint8_t* bytes,
                                       double& sum) {
  const ViewProgram& p = *view.program;
  const int size = view.size, thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int warp = thread / 32, lane = thread % 32, warps = threads / 32;
  const std::uint8_t* picture = bytes + p.offset;
  const std::int64_t row_bytes = static_cast<std::int64_t>(p.width) * 3;
  const float across_scale = static_cast<float>(p.crop_width) / static_cast<float>(size);
  const float down_scale = static_cast<float>(p.crop_height) / static_cast<float>(size);
  const float per_across = across_scale > 1 ? 1 / across_scale : 1, per_down = down_scale > 1 ? 1 / down_scale : 1;
  constexpr float byte_scale = 1.0f / 255.0f;

  int tile_columns = size < most_tile ? size : most_tile;
  const auto span_fits = [&](int columns) {
    const float span = static_cast<float>(columns) * across_scale + 2 * (across_scale > 1 ? across_scale : 1) + 3;
    return 3 * fminf(span, static_cast<float>(p.crop_width)) <= static_cast<float>(work.line_numbers);
  };
  while (tile_columns > 1 && !span_fits(tile_columns)) tile_columns = (tile_columns + 1) / 2;
  const bool lines_fit = span_fits(tile_columns);
  if (!lines_fit) tile_columns = size < most_tile ? size : most_tile;

  for (int tile_y = 0; tile_y < size; tile_y += most_tile)
    for (int tile_x = 0; tile_x < size; tile_x += tile_columns) {
      const int columns = size - tile_x < tile_columns ? size - tile_x : tile_columns;
      const int rows_here = size - tile_y < most_tile ? size - tile_y : most_tile;
      for (int i = thread; i < columns + rows_here; i += threads) {
        if (i < columns) {
          const int x = tile_x + i;
          work.across[i] = make_tap(p.mirrored ? size - 1 - x : x, size, p.crop_x, p.crop_width);
        } else {
          work.down[i - columns] = make_tap(tile_y + i - columns, size, p.crop_y, p.crop_height);
        }
      }
      __syncthreads();
      if (!lines_fit) {
        for_tile(view, chain, {tile_x, tile_y, columns, rows_here}, sum, [&](int i, float (&x)[3]) {
          const int row = i / columns;
          const Tap down = work.down[row], across = work.across[i - row * columns];
          x[0] = x[1] = x[2] = 0;
          for (int t = 0; t < across.count; ++t) {
            float mixed[3] = {0, 0, 0};
            for (int s = 0; s < down.count; ++s) {
              const float w = weight_of(down, s, per_down) * byte_scale;
              const std::uint8_t* in = picture + (down.first + s) * row_bytes + (across.first + t) * 3;
              for (int c = 0; c < 3; ++c) mixed[c] += w * static_cast<float>(in[c]);
            }
            const float w = weight_of(across, t, per_across);
            for (int c = 0; c < 3; ++c) x[c] += w * mixed[c];
          }
        });
        __syncthreads();
        continue;
      }
      const Tap left = work.across[p.mirrored ? columns - 1 : 0], right = work.across[p.mirrored ? 0 : columns - 1];
      const int span_start = left.first, span = (right.first + right.count - left.first) * 3;  // numbers of a line
      const int most_rows = work.line_numbers / span;
      const int chunks = (span + 32 * group - 1) / (32 * group);
      for (int y = 0; y < rows_here; y += most_rows) {
        const int rows = rows_here - y < most_rows ? rows_here - y : most_rows;
        for (int item = warp; item < rows * chunks; item += warps) {
          const int row = item / chunks, k = (item - row * chunks) * 32 * group + lane;
          const Tap down = work.down[y + row];
          const std::uint8_t* in = picture + down.first * row_bytes + span_start * 3;
          int at[group];
          float mixed[group] = {};
          for (int j = 0; j < group; ++j) at[j] = k + 32 * j < span ? k + 32 * j : span - 1;
          for (int t = 0; t < down.count; ++t, in += row_bytes) {
            const float w = weight_of(down, t, per_down) * byte_scale;
            for (int j = 0; j < group; ++j) mixed[j] += w * static_cast<float>(in[at[j]]);
          }
          for (int j = 0; j < group; ++j)
            if (k + 32 * j < span) work.lines[row * span + k + 32 * j] = mixed[j];
        }
        __syncthreads();
        for_tile(view, chain, {tile_x, tile_y + y, columns, rows}, sum, [&](int i, float (&x)[3]) {
          const int row = i / columns;
          const Tap across = work.across[i - row * columns];
          const float* in = work.lines + row * span + (across.first - span_start) * 3;
          x[0] = x[1] = x[2] = 0;
          for (int t = 0; t < across.count; ++t, in += 3) {
            const float w = weight_of(across, t, per_across);
            for (int c = 0; c < 3; ++c) x[c] += w * in[c];
          }
        });
        __syncthreads();
      }
    }
}

}  // namespace sslcake::inline v0::kernels::cuda::view_stages
