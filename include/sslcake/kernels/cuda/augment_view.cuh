// A view while it is made (augment.cu): what all stages share. The operations that need no other pixel, applied to pixels in
// registers; the end of a stage, which stores them in planes or, normalised and turned, as the result; the loop over a tile.
#pragma once

#include "augment.hpp"
#include "instructions.cuh"

namespace sslcake::inline v0::kernels::cuda::view_stages {

using Kind = ViewOperation::Kind;

constexpr int group = 4;           // pixels that a thread has in registers, 32 apart
constexpr int most_threads = 384;  // two blocks of a multiprocessor have registers for so many
constexpr int most_tile = 512;     // rows and columns whose taps are held at once

// --- operations on one pixel ----------------------------------------------------------------------------------------
__device__ __forceinline__ float luma(const float (&x)[3]) { return 0.299f * x[0] + 0.587f * x[1] + 0.114f * x[2]; }

/// v - chroma · clamp(2 - distance), the distance that of the hue h, around the circle, from the channel's opposite.
__device__ __forceinline__ float channel_of_hue(float h, float opposite, float v, float chroma) {
  const float from = h - opposite;
  const float nearest = fminf(fabsf(from), fminf(fabsf(from + 6), fabsf(from - 6)));
  return v - chroma * __saturatef(2 - nearest);
}
__device__ __forceinline__ void turn_hue(float (&x)[3], float sixths) {
  const float v = fmaxf(x[0], fmaxf(x[1], x[2])), chroma = v - fminf(x[0], fminf(x[1], x[2]));
  const float per = 1.0f / fmaxf(chroma, 1e-12f);
  const float h = (v == x[0] ? (x[1] - x[2]) * per : v == x[1] ? 2 + (x[2] - x[0]) * per : 4 + (x[0] - x[1]) * per) + sixths;
  x[0] = channel_of_hue(h, 3, v, chroma);
  x[1] = channel_of_hue(h, 5, v, chroma);
  x[2] = channel_of_hue(h, 1, v, chroma);
}

/// What all threads of the block agree on while they make a view.
struct View {
  const ViewProgram* program;  // in shared memory
  int size;
  float* planes;               // the colours, (3,size,size)
  float* others;               // where a stage that moves pixels puts them
  void* image;                 // the result
  bool narrow;                 // the result is bfloat16
  float* staging;              // 96 floats of this warp's own
};

/// Operations [begin,end) are carried out at the end of a stage.
struct Chain {
  int begin, end;
  bool last;       // nothing comes after it
  bool wants_sum;  // of the lumas of what it stores
  float mean;      // for a contrast, which can only be the first
  float* to;
};

/// A part of the view.
struct Tile {
  int x, y, columns, rows;
};
/// The number of the tile's pixel i in the view.
__device__ __forceinline__ int pixel_of(const Tile& tile, int size, int i) {
  if (tile.columns == size) return tile.y * size + i;
  const int row = i / tile.columns;
  return (tile.y + row) * size + tile.x + i - row * tile.columns;
}

__device__ __forceinline__ void apply(const View& view, const ViewOperation& operation, float mean, const int (&pixel)[group],
                                      float (&x)[group][3]) {
  const float a = operation.amount;
  switch (operation.kind) {
    case Kind::brightness:
    case Kind::contrast: {
      const float shift = operation.kind == Kind::contrast ? mean * (1 - a) : 0.0f;
      for (int j = 0; j < group; ++j)
        for (int c = 0; c < 3; ++c) x[j][c] = __saturatef(x[j][c] * a + shift);
      break;
    }
    case Kind::saturation:
      for (int j = 0; j < group; ++j) {
        const float shift = luma(x[j]) * (1 - a);
        for (int c = 0; c < 3; ++c) x[j][c] = __saturatef(x[j][c] * a + shift);
      }
      break;
    case Kind::hue:
      for (int j = 0; j < group; ++j) turn_hue(x[j], a);
      break;
    case Kind::greyscale:
      for (int j = 0; j < group; ++j) x[j][0] = x[j][1] = x[j][2] = luma(x[j]);
      break;
    case Kind::solarise:
      for (int j = 0; j < group; ++j)
        for (int c = 0; c < 3; ++c) x[j][c] = x[j][c] >= a ? 1 - x[j][c] : x[j][c];
      break;
    case Kind::cutout: {
      const ViewProgram& p = *view.program;
      for (int j = 0; j < group; ++j) {
        const int row = pixel[j] / view.size, column = pixel[j] - row * view.size;
        if (column < p.cutout[0] || row < p.cutout[1] || column >= p.cutout[2] || row >= p.cutout[3]) continue;
        for (int c = 0; c < 3; ++c) x[j][c] = p.mean[c];
      }
      break;
    }
    default: break;  // those that move pixels begin a stage
  }
}

/// Where pixel (row, column) is after the quarter turns.
__device__ __forceinline__ int turned(int pixel, int size, int turns) {
  const int row = pixel / size, column = pixel - row * size, last = size - 1;
  if (turns == 0) return pixel;
  if (turns == 1) return (last - column) * size + row;
  return turns == 2 ? (last - row) * size + last - column : column * size + last - row;
}

/// 32 neighbouring pixels of the result, of which the warp has one a lane and `count` count: through shared memory, so that
/// neighbouring lanes store neighbouring numbers.
__device__ __forceinline__ void store_row(const View& view, const float (&x)[3], int first_pixel, int count) {
  const int lane = static_cast<int>(threadIdx.x) % 32, numbers = 3 * count;
  __syncwarp();
  for (int c = 0; c < 3; ++c) view.staging[3 * lane + c] = x[c];
  __syncwarp();
  const std::int64_t start = static_cast<std::int64_t>(first_pixel) * 3;
  if (!view.narrow) {
    float* out = static_cast<float*>(view.image) + start;
    for (int k = lane; k < numbers; k += 32) out[k] = view.staging[k];
    return;
  }
  std::uint16_t* out = static_cast<std::uint16_t*>(view.image) + start;
  if (reinterpret_cast<std::uintptr_t>(out) % 4 == 0) {
    for (int k = 2 * lane; k + 1 < numbers; k += 64)
      *reinterpret_cast<std::uint32_t*>(out + k) = pack(view.staging[k], view.staging[k + 1]);
    if (numbers % 2 && lane == 0) out[numbers - 1] = narrow_bits(view.staging[numbers - 1]);
  } else {
    for (int k = lane; k < numbers; k += 32) out[k] = narrow_bits(view.staging[k]);
  }
}

/// The end of a stage for pixels base + 32 j + lane of a tile, whose colours are x; returns their sum of lumas if wanted. All
/// lanes of the warp come together.
__device__ __forceinline__ float finish(const View& view, const Chain& chain, const Tile& tile, int base, float (&x)[group][3]) {
  const int total = tile.columns * tile.rows, lane = static_cast<int>(threadIdx.x) % 32, size = view.size;
  const ViewProgram& p = *view.program;
  int pixel[group];
  for (int j = 0; j < group; ++j) {
    const int i = base + 32 * j + lane;
    pixel[j] = pixel_of(tile, size, i < total ? i : total - 1);
  }
  for (int k = chain.begin; k < chain.end; ++k) apply(view, p.operations[k], chain.mean, pixel, x);
  float sum = 0;
  if (chain.wants_sum)
    for (int j = 0; j < group; ++j) sum += base + 32 * j + lane < total ? luma(x[j]) : 0.0f;
  if (!chain.last) {
    const int n = size * size;
    for (int j = 0; j < group; ++j)
      if (base + 32 * j + lane < total)
        for (int c = 0; c < 3; ++c) chain.to[c * n + pixel[j]] = x[j][c];
    return sum;
  }
  for (int j = 0; j < group; ++j)
    for (int c = 0; c < 3; ++c) x[j][c] = x[j][c] * p.scale[c] + p.shift[c];
  if (p.quarter_turns == 0 && tile.columns == size) {
    for (int j = 0; j < group; ++j) {
      const int left = total - base - 32 * j;
      if (left > 0) store_row(view, x[j], tile.y * size + base + 32 * j, left < 32 ? left : 32);
    }
    return sum;
  }
  for (int j = 0; j < group; ++j) {
    if (base + 32 * j + lane >= total) continue;
    const std::int64_t to = static_cast<std::int64_t>(turned(pixel[j], size, p.quarter_turns)) * 3;
    for (int c = 0; c < 3; ++c) {
      if (view.narrow) static_cast<std::uint16_t*>(view.image)[to + c] = narrow_bits(x[j][c]);
      else static_cast<float*>(view.image)[to + c] = x[j][c];
    }
  }
  return sum;
}

/// Runs gather(i, colours) for every pixel i of the tile and finishes them. Adds the sum of lumas to `sum`.
template <class Gather>
__device__ __forceinline__ void for_tile(const View& view, const Chain& chain, const Tile& tile, double& sum,
                                         const Gather& gather) {
  const int total = tile.columns * tile.rows, thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  for (int base = warp * 32 * group; base < total; base += static_cast<int>(blockDim.x) * group) {
    float x[group][3];
    for (int j = 0; j < group; ++j) {
      const int i = base + 32 * j + lane;
      gather(i < total ? i : total - 1, x[j]);
    }
    const float lumas = finish(view, chain, tile, base, x);
    if (chain.wants_sum) sum += static_cast<double>(lumas);
  }
}

/// One result of the resize along one axis (augment_resize.cuh).
struct Tap;

/// Working memory of a block, the same for every view.
struct Work {
  Tap *across, *down;  // of a tile
  float* lines;
  int line_numbers;    // how many floats there are
  float* weights;      // of a blur
};

}  // namespace sslcake::inline v0::kernels::cuda::view_stages
