// Views of pictures: crop with an antialiased resize, flip, colour jitter, greyscale, solarise, blur, rotation, cutout,
// normalisation and quarter turns, as augment/ does them on the CPU (there are the definitions and the papers).
//
// A block makes a view from beginning to end. Its colours wait in three planes of float32: in shared memory where the view is
// small, else in scratch memory, of which every resident block has its part and gives it to its next view, so that much of it
// stays in the L2 cache. A view is made in stages: each gathers colours (from the picture, or from other pixels of the planes),
// applies the operations that need no other pixel while they are in registers, and stores them in planes or, normalised, as
// the result. A stage ends where an operation needs other pixels, or where contrast needs the mean of all of them.
//
// Every thread has the same pixels in every run and partial sums are added in a fixed order: the same bits each time.
#include "augment.hpp"

#include "instructions.cuh"
#include "launch.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

using Kind = ViewOperation::Kind;

constexpr int group = 4;                 // pixels that a thread has in registers, 32 apart
constexpr int most_threads = 384;        // two blocks of a multiprocessor have registers for so many
constexpr int most_tile = 512;           // rows and columns whose taps are held at once
constexpr int blur_rows = 8;             // results down a column that one thread sums together
constexpr int blur_weights = 2 * ViewProgram::most_reach + 1 + 2 * blur_rows;

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
__device__ Tap make_tap(int i, int out, int start, int length) {
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

/// Position i mirrored into [0,n) without repeating the edge.
__device__ __forceinline__ int reflect(int i, int n) {
  if (static_cast<unsigned>(i) < static_cast<unsigned>(n)) return i;
  if (n == 1) return 0;
  const int period = 2 * n - 2;
  i = (i % period + period) % period;
  return i < n ? i : period - i;
}

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
__device__ __forceinline__ void for_tile(const View& view, const Chain& chain, const Tile& tile, double& sum, const Gather& gather) {
  const int total = tile.columns * tile.rows, warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
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

/// Working memory of a block, the same for every view.
struct Work {
  Tap *across, *down;  // of a tile
  float* lines;
  int line_numbers;    // how many floats there are
  float* weights;      // of a blur
};

// --- stages -----------------------------------------------------------------------------------------------------------
/// From the picture: rows are mixed into lines of shared memory, as wide as the tile's part of the picture, and their columns
/// into pixels. Where not even one line fits, every pixel is summed by itself.
__device__ __forceinline__ void resize(const View& view, const Chain& chain, const Work& work, const std::uint8_t* bytes, double& sum) {
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

/// Down the columns into lines of shared memory, each with `reach` more pixels at both ends, then along the lines.
__device__ __forceinline__ void blur(const View& view, const Chain& chain, const Work& work, const ViewOperation& operation, double& sum) {
  const int size = view.size, n = size * size, thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int reach = operation.reach < ViewProgram::most_reach ? operation.reach : ViewProgram::most_reach, taps = 2 * reach + 1;
  const int steps = (taps - 1 + blur_rows + blur_rows - 1) / blur_rows * blur_rows;
  for (int k = thread; k < steps; k += threads) {  // zeros behind them
    const double z = static_cast<double>(k - reach) / static_cast<double>(operation.amount);
    work.weights[k] = k < taps ? static_cast<float>(exp(-0.5 * z * z)) * operation.second : 0.0f;
  }
  const int tile_columns = size < most_tile ? size : most_tile;
  for (int tile_x = 0; tile_x < size; tile_x += tile_columns) {
    const int columns = size - tile_x < tile_columns ? size - tile_x : tile_columns, padded = columns + 2 * reach;
    int most_rows = work.line_numbers / (3 * padded);
    if (most_rows > blur_rows) most_rows = most_rows / blur_rows * blur_rows;
    for (int y = 0; y < size; y += most_rows) {
      const int rows = size - y < most_rows ? size - y : most_rows, sets = (rows + blur_rows - 1) / blur_rows;
      __syncthreads();
      for (int item = thread; item < sets * 3 * padded; item += threads) {
        const int line = item / padded, i = item - line * padded, set = line / 3, c = line - 3 * set;
        const float* in = view.planes + c * n + reflect(tile_x - reach + i, size);
        const int top = y + set * blur_rows - reach;
        // The weight of step s for row r is weights[s - r]: the last eight of them are kept in a ring of registers.
        float mixed[blur_rows] = {}, ring[blur_rows] = {};
        for (int s = 0; s < steps; s += blur_rows) {
#pragma unroll
          for (int u = 0; u < blur_rows; ++u) {
            ring[u] = work.weights[s + u];
            const float value = in[reflect(top + s + u, size) * size];
#pragma unroll
            for (int r = 0; r < blur_rows; ++r) mixed[r] += ring[(u - r + blur_rows) % blur_rows] * value;
          }
        }
#pragma unroll
        for (int r = 0; r < blur_rows; ++r)
          if (set * blur_rows + r < rows) work.lines[((set * blur_rows + r) * 3 + c) * padded + i] = mixed[r];
      }
      __syncthreads();
      for_tile(view, chain, {tile_x, y, columns, rows}, sum, [&](int i, float (&x)[3]) {
        const int row = i / columns;
        const float* in = work.lines + row * 3 * padded + i - row * columns + reach;
        for (int c = 0; c < 3; ++c) x[c] = work.weights[reach] * in[c * padded];
        for (int k = 1; k <= reach; ++k) {
          const float w = work.weights[reach + k];
          for (int c = 0; c < 3; ++c) x[c] += w * (in[c * padded - k] + in[c * padded + k]);
        }
      });
    }
  }
}

__device__ __forceinline__ void rotate(const View& view, const Chain& chain, const ViewOperation& operation, double& sum) {
  const int size = view.size, n = size * size;
  const float cosine = operation.amount, sine = operation.second, centre = 0.5f * static_cast<float>(size - 1);
  for_tile(view, chain, {0, 0, size, size}, sum, [&](int i, float (&x)[3]) {
    const int row = i / size;
    const float dx = static_cast<float>(i - row * size) - centre, dy = static_cast<float>(row) - centre;
    const float from_x = centre + cosine * dx - sine * dy, from_y = centre + sine * dx + cosine * dy;
    const float floor_x = floorf(from_x), floor_y = floorf(from_y), u = from_x - floor_x, v = from_y - floor_y;
    const int x0 = static_cast<int>(floor_x), y0 = static_cast<int>(floor_y);
    for (int c = 0; c < 3; ++c) {
      const float* plane = view.planes + c * n;
      const auto value = [&](int px, int py) { return px >= 0 && px < size && py >= 0 && py < size ? plane[py * size + px] : 0.0f; };
      x[c] = (1 - v) * ((1 - u) * value(x0, y0) + u * value(x0 + 1, y0)) +
             v * ((1 - u) * value(x0, y0 + 1) + u * value(x0 + 1, y0 + 1));
    }
  });
}

/// The pixels where they are, or left and right exchanged.
__device__ __forceinline__ void keep(const View& view, const Chain& chain, bool flipped, double& sum) {
  const int size = view.size, n = size * size;
  for_tile(view, chain, {0, 0, size, size}, sum, [&](int i, float (&x)[3]) {
    if (flipped) {
      const int row = i / size;
      i = 2 * row * size + size - 1 - i;
    }
    for (int c = 0; c < 3; ++c) x[c] = view.planes[c * n + i];
  });
}

__device__ __forceinline__ bool moves_pixels(Kind kind) { return kind == Kind::flip || kind == Kind::blur || kind == Kind::rotate; }

__device__ void make_view(View view, const Work& work, const std::uint8_t* bytes, double* sums) {
  const ViewProgram& p = *view.program;
  const int count = p.count < ViewProgram::most_operations ? p.count : ViewProgram::most_operations;
  float mean = 0;
  bool has_mean = false;
  for (int stage = 0, next = 0;; ++stage) {
    const bool moves = stage > 0 && moves_pixels(p.operations[next].kind);
    Chain chain{moves ? next + 1 : next, 0, false, false, mean, moves ? view.others : view.planes};
    for (chain.end = chain.begin; chain.end < count; ++chain.end) {
      const Kind kind = p.operations[chain.end].kind;
      if (moves_pixels(kind) || (kind == Kind::contrast && !(has_mean && chain.end == chain.begin))) break;
    }
    chain.last = chain.end == count;
    chain.wants_sum = !chain.last && p.operations[chain.end].kind == Kind::contrast;
    double sum = 0;
    if (stage == 0) {
      resize(view, chain, work, bytes, sum);
    } else if (moves && p.operations[next].kind == Kind::blur) {
      blur(view, chain, work, p.operations[next], sum);
    } else if (moves && p.operations[next].kind == Kind::rotate) {
      rotate(view, chain, p.operations[next], sum);
    } else {
      keep(view, chain, moves, sum);
    }
    if (chain.last) break;
    has_mean = chain.wants_sum;
    if (has_mean) mean = static_cast<float>(block_sum(sum, sums) / (static_cast<double>(view.size) * static_cast<double>(view.size)));
    __syncthreads();
    if (moves) {
      float* const moved = view.others;
      view.others = view.planes;
      view.planes = moved;
    }
    next = chain.end;
  }
}

/// Blocks take the views one after the other as they get free. planes: (grid,2,3,size,size), or null: shared memory.
__global__ void __launch_bounds__(most_threads, 2)
    views_kernel(std::int64_t count, const std::uint8_t* bytes, const ViewProgram* programs, int size, int line_numbers, float* planes,
                 unsigned* taken, bool narrow, void* images) {
  __shared__ ViewProgram program;
  __shared__ float staging[most_threads / 32 * 96];
  __shared__ float weights[blur_weights];
  __shared__ double sums[33];
  __shared__ std::int64_t number;
  const int thread = static_cast<int>(threadIdx.x), tile = size < most_tile ? size : most_tile;
  const std::int64_t plane_numbers = static_cast<std::int64_t>(3) * size * size;
  Work work;
  work.across = reinterpret_cast<Tap*>(dynamic_shared());
  work.down = work.across + tile;
  work.lines = reinterpret_cast<float*>(work.down + tile);
  work.line_numbers = line_numbers;
  work.weights = weights;
  View view;
  view.program = &program;
  view.size = size;
  view.planes = planes ? planes + 2 * plane_numbers * blockIdx.x : work.lines + line_numbers;
  view.others = view.planes + plane_numbers;
  view.narrow = narrow;
  view.staging = staging + thread / 32 * 96;
  for (;;) {
    __syncthreads();  // nobody is in the view before any more
    if (thread == 0) number = static_cast<std::int64_t>(atomicAdd(taken, 1u));
    __syncthreads();
    if (number >= count) return;
    constexpr int words = sizeof(ViewProgram) / 4;
    static_assert(sizeof(ViewProgram) % 4 == 0);
    const std::uint32_t* from = reinterpret_cast<const std::uint32_t*>(programs + number);
    for (int i = thread; i < words; i += static_cast<int>(blockDim.x)) reinterpret_cast<std::uint32_t*>(&program)[i] = from[i];
    view.image = static_cast<char*>(images) + number * plane_numbers * (narrow ? 2 : 4);
    __syncthreads();
    make_view(view, work, bytes, sums);
  }
}

void views(std::int64_t count, const std::uint8_t* bytes, const ViewProgram* programs, int size, DType out, void* images) {
  if (count < 1) return;
  const std::size_t view_bytes = std::size_t{6} * static_cast<std::size_t>(size) * static_cast<std::size_t>(size) * sizeof(float);
  const bool small = size <= 48;  // two sets of planes leave room for a second block
  const int line_numbers = small ? 4096 : 12288;
  const std::size_t tile = static_cast<std::size_t>(size < most_tile ? size : most_tile);
  const std::size_t shared = 2 * tile * sizeof(Tap) + static_cast<std::size_t>(line_numbers) * sizeof(float) + (small ? view_bytes : 0);
  // Scratch memory for as many views as are in work at a time, but not without limit where views are huge.
  constexpr std::size_t most_bytes = std::size_t{2} << 30;
  std::int64_t blocks = std::int64_t{multiprocessors()} * (small ? 4 : 2);
  if (!small && static_cast<std::size_t>(blocks) * view_bytes > most_bytes) blocks = static_cast<std::int64_t>(most_bytes / view_bytes);
  blocks = blocks < 1 ? 1 : blocks < count ? blocks : count;
  const Scratch<float> planes(small ? 0 : blocks * static_cast<std::int64_t>(view_bytes / sizeof(float)));
  const Scratch<unsigned> taken(1);
  check(cudaMemsetAsync(taken.data(), 0, sizeof(unsigned), stream()), "augment");
  launch("augment", views_kernel, dim3(static_cast<unsigned>(blocks)), dim3(size <= 32 ? 256 : most_threads), shared, count, bytes, programs, size,
         line_numbers, planes.data(), taken.data(), out == DType::bfloat16, images);
}

}  // namespace

void install(Augment& table) { table.views = views; }

}  // namespace sslcake::inline v0::kernels::cuda
