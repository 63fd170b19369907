// A convolution's operands as sources of product_tile.cuh (implicit GEMM): nothing is copied into columns, the windows of the
// pictures are read where they lie (Chetlur et al. 2014, arXiv 1410.0759). Pictures are float32 or bfloat16, one group.
#pragma once

#include "../conv_shape.hpp"
#include "product_tile.cuh"

namespace sslcake::inline v0::kernels::cuda {

/// Which pixels are read: positions lie rows_h by rows_w in every picture, and position (y,x) sees with tap (i,j) the pixel
/// (step_h·y + offset_h + delta_h·i, the same in w) of a picture (h,w,c), or 0 where there is none.
struct PictureWindows {
  int rows_h, rows_w, step_h, step_w, offset_h, offset_w, delta_h, delta_w, taps_h, taps_w, h, w, c;
};

/// Rows: positions. Depth: (tap, channel).
template <class T>
struct PositionsByTaps {
  static constexpr bool along_depth = true;
  const T* data;
  PictureWindows see;
  int rows, depth;
  bool vector;  // c is a multiple of four: four neighbours belong to one tap

  template <int tile_rows, int tile_depth>
  struct Reader {
    using Mine = TilePlace<true, tile_rows, tile_depth>;
    static constexpr int pieces = Mine::pieces;
    const PositionsByTaps& source;
    int first_h[pieces], first_w[pieces], first[pieces];  // the pixel seen with the first tap, which may lie outside
    int depth, tap_h, tap_w, channel;  // the last three only if vector
    __device__ __forceinline__ Reader(const PositionsByTaps& s, std::int64_t, int first_row, int first_depth) : source(s) {
      const Mine mine;
      const PictureWindows& see = s.see;
      depth = first_depth + mine.depth;
      channel = depth % see.c;
      tap_h = depth / see.c / see.taps_w;
      tap_w = depth / see.c % see.taps_w;
      SSLCAKE_UNROLL_ALL
      for (int p = 0; p < pieces; ++p) {
        const int row = first_row + mine.row + Mine::step * p, x = row % see.rows_w, y = row / see.rows_w % see.rows_h;
        first_h[p] = row < s.rows ? y * see.step_h + see.offset_h : -0x40000000;
        first_w[p] = x * see.step_w + see.offset_w;
        first[p] = (row / see.rows_w / see.rows_h * see.h + y * see.step_h + see.offset_h) * see.w + first_w[p];
      }
    }
    __device__ __forceinline__ bool inside(int p, int i, int j) const {
      const PictureWindows& see = source.see;
      return static_cast<unsigned>(first_h[p] + i * see.delta_h) < static_cast<unsigned>(see.h) &&
             static_cast<unsigned>(first_w[p] + j * see.delta_w) < static_cast<unsigned>(see.w);
    }
    __device__ __forceinline__ const T* pixel(int p, int i, int j) const {
      const PictureWindows& see = source.see;
      return source.data + (first[p] + i * see.delta_h * see.w + j * see.delta_w) * static_cast<std::int64_t>(see.c);
    }
    __device__ __forceinline__ float one(int p, int k) const {
      const PictureWindows& see = source.see;
      const int tap = k / see.c, i = tap / see.taps_w, j = tap % see.taps_w;
      return k < source.depth && inside(p, i, j) ? widen(pixel(p, i, j)[k % see.c]) : 0;
    }
    __device__ __forceinline__ float4 load(int p) const {
      if (!source.vector) return make_float4(one(p, depth), one(p, depth + 1), one(p, depth + 2), one(p, depth + 3));
      if (tap_h >= source.see.taps_h || !inside(p, tap_h, tap_w)) return make_float4(0, 0, 0, 0);
      return load4(pixel(p, tap_h, tap_w) + channel);
    }
    __device__ __forceinline__ void advance() {
      depth += tile_depth;
      if (!source.vector) return;
      for (channel += tile_depth; channel >= source.see.c;) {
        channel -= source.see.c;
        if (++tap_w == source.see.taps_w) tap_w = 0, ++tap_h;
      }
    }
  };
};

/// Rows: (tap, channel). Depth: positions.
template <class T>
struct TapsByPositions {
  static constexpr bool along_depth = false;
  const T* data;
  PictureWindows see;
  int rows, depth;
  bool vector;

  template <int tile_rows, int tile_depth>
  struct Reader {
    using Mine = TilePlace<false, tile_rows, tile_depth>;
    static constexpr int pieces = Mine::pieces;
    const TapsByPositions& source;
    int picture[pieces], y[pieces], x[pieces];
    int row, depth;
    __device__ __forceinline__ Reader(const TapsByPositions& s, std::int64_t, int first_row, int first_depth) : source(s) {
      const Mine mine;
      row = first_row + mine.row;
      depth = first_depth + mine.depth;
      SSLCAKE_UNROLL_ALL
      for (int p = 0; p < pieces; ++p) {
        const int position = depth + p * Mine::step;
        x[p] = position % s.see.rows_w;
        y[p] = position / s.see.rows_w % s.see.rows_h;
        picture[p] = position / s.see.rows_w / s.see.rows_h;
      }
    }
    /// Where row r's pixel lies, or −1.
    __device__ __forceinline__ std::int64_t place(int p, int r) const {
      const PictureWindows& see = source.see;
      const int tap = r / see.c, channel = r % see.c;
      const int h = y[p] * see.step_h + see.offset_h + tap / see.taps_w * see.delta_h;
      const int w = x[p] * see.step_w + see.offset_w + tap % see.taps_w * see.delta_w;
      const bool inside_h = static_cast<unsigned>(h) < static_cast<unsigned>(see.h);
      const bool inside_w = static_cast<unsigned>(w) < static_cast<unsigned>(see.w);
      return inside_h && inside_w ? ((picture[p] * see.h + h) * see.w + w) * static_cast<std::int64_t>(see.c) + channel : -1;
    }
    __device__ __forceinline__ float one(int p, int r) const {
      if (r >= source.rows) return 0;
      const std::int64_t at = place(p, r);
      return at >= 0 ? widen(source.data[at]) : 0;
    }
    __device__ __forceinline__ float4 load(int p) const {
      if (row >= source.rows || depth + p * Mine::step >= source.depth) return make_float4(0, 0, 0, 0);
      if (!source.vector) return make_float4(one(p, row), one(p, row + 1), one(p, row + 2), one(p, row + 3));
      const std::int64_t at = place(p, row);
      return at >= 0 ? load4(source.data + at) : make_float4(0, 0, 0, 0);
    }
    __device__ __forceinline__ void advance() {
      depth += tile_depth;
      SSLCAKE_UNROLL_ALL
      for (int p = 0; p < pieces; ++p)
        for (x[p] += tile_depth; x[p] >= source.see.rows_w;) {
          x[p] -= source.see.rows_w;
          if (++y[p] == source.see.rows_h) y[p] = 0, ++picture[p];
        }
    }
  };
};

/// A weight (O,KH,KW,C) for the gradient of its input. Rows: input channels. Depth: (tap, output channel), of the taps
/// first + step·i, in both directions, taps_w of them in a row.
struct ChannelsByTaps {
  static constexpr bool along_depth = false;
  const float* data;
  std::int64_t stride_o;
  int kw, first_h, first_w, step_h, step_w, taps_w, c, o;
  int depth;
  bool vector;

  template <int tile_rows, int tile_depth>
  struct Reader {
    using Mine = TilePlace<false, tile_rows, tile_depth>;
    static constexpr int pieces = Mine::pieces;
    const ChannelsByTaps& source;
    int row, depth;
    int tap[pieces], output[pieces];
    __device__ __forceinline__ Reader(const ChannelsByTaps& s, std::int64_t, int first_row, int first_depth) : source(s) {
      const Mine mine;
      row = first_row + mine.row;
      depth = first_depth + mine.depth;
      SSLCAKE_UNROLL_ALL
      for (int p = 0; p < pieces; ++p) {
        const int k = depth + p * Mine::step;
        tap[p] = k / s.o;
        output[p] = k % s.o;
      }
    }
    __device__ __forceinline__ float4 load(int p) const {
      const auto& s = source;
      if (row >= s.c || depth + p * Mine::step >= s.depth) return make_float4(0, 0, 0, 0);
      const int stored = (s.first_h + s.step_h * (tap[p] / s.taps_w)) * s.kw + s.first_w + s.step_w * (tap[p] % s.taps_w);
      const float* from = s.data + output[p] * s.stride_o + stored * static_cast<std::int64_t>(s.c) + row;
      return s.vector ? load4(from) : load_some(from, s.c - row);
    }
    __device__ __forceinline__ void advance() {
      depth += tile_depth;
      SSLCAKE_UNROLL_ALL
      for (int p = 0; p < pieces; ++p)
        for (output[p] += tile_depth; output[p] >= source.o;) output[p] -= source.o, ++tap[p];
    }
  };
};

/// Every stride-th pixel of pictures (h,w,c), from pixel (first_h, first_w) on, rows_h by rows_w of them, as rows of a result.
template <class T>
struct EveryPixel {
  using Number = T;
  T* data;
  int rows_h, rows_w, first_h, first_w, stride_h, stride_w, h, w, c;
  const float* bias;
  bool accumulate, vector;
  __device__ __forceinline__ std::int64_t row(int r) const {
    const int x = r % rows_w, y = r / rows_w % rows_h;
    return ((static_cast<std::int64_t>(r / rows_w / rows_h) * h + first_h + y * stride_h) * w + first_w + x * stride_w) * c;
  }
};

}  // namespace sslcake::inline v0::kernels::cuda
