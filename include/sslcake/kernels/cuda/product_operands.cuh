// The operands and results of product_tile.cuh: how they are read in pieces of a tile, how results are written.
//
// Both operands are seen as rows × depth: a row of A makes a row of C, a row of B a column. A source has
//   along_depth               whether numbers next to each other in memory follow the depth (else the rows)
//   Reader<tile_rows, tile_depth>(source, offset, first_row, first_depth)
//   .load(piece)              this thread's piece of the tile, 4 numbers along depth or rows; 0 outside of the operand
//   .advance()                to the next tile_depth
// with pieces laid out as in TilePlace. Results have row(r) (where the row starts), and take numbers through put().
#pragma once

#include <cstdint>

#include "instructions.cuh"

#ifdef __CUDACC__
#define SSLCAKE_UNROLL_ALL _Pragma("unroll")
#else
#define SSLCAKE_UNROLL_ALL
#endif

namespace sslcake::inline v0::kernels::cuda {

inline constexpr int tile_threads = 256;

__device__ __forceinline__ float4 load4(const float* from) { return *reinterpret_cast<const float4*>(from); }
__device__ __forceinline__ float4 load4(const Bf16* from) {
  const uint2 words = *reinterpret_cast<const uint2*>(from);
  return make_float4(widen_low(words.x), widen_high(words.x), widen_low(words.y), widen_high(words.y));
}
/// The first `count` (at least 1) of four numbers, then 0.
template <class T>
__device__ __forceinline__ float4 load_some(const T* from, int count) {
  return make_float4(widen(from[0]), count > 1 ? widen(from[1]) : 0, count > 2 ? widen(from[2]) : 0,
                     count > 3 ? widen(from[3]) : 0);
}
__device__ __forceinline__ void store4(float* to, const float4& x) { *reinterpret_cast<float4*>(to) = x; }
__device__ __forceinline__ void store4(Bf16* to, const float4& x) {
  *reinterpret_cast<uint2*>(to) = make_uint2(pack(x.x, x.y), pack(x.z, x.w));
}
/// Whether load4 and store4 may be used at multiples of four of `stride`.
template <class T>
bool fours(const T* data, std::int64_t stride) {
  return reinterpret_cast<std::uintptr_t>(data) % (4 * sizeof(T)) == 0 && stride % 4 == 0;
}

/// Which numbers of a tile a thread brings: along_depth, rows row + step·piece, depths depth .. depth+3; else rows row .. row+3,
/// depth depth + step·piece.
template <bool along_depth, int tile_rows, int tile_depth>
struct TilePlace {
  static constexpr int pieces = tile_rows * tile_depth / 4 / tile_threads;
  static constexpr int step = 4 * tile_threads / (along_depth ? tile_depth : tile_rows);
  int row, depth;
  __device__ __forceinline__ TilePlace() {
    const int t = static_cast<int>(threadIdx.x);
    row = along_depth ? t / (tile_depth / 4) : t % (tile_rows / 4) * 4;
    depth = along_depth ? t % (tile_depth / 4) * 4 : t / (tile_rows / 4);
  }
};

/// Rows × depth at data[row · stride + depth].
template <class T>
struct RowMajor {
  static constexpr bool along_depth = true;
  const T* data;
  std::int64_t stride;
  int rows, depth;
  bool vector;  // rows start at multiples of four

  template <int tile_rows, int tile_depth>
  struct Reader {
    using Mine = TilePlace<true, tile_rows, tile_depth>;
    const RowMajor& source;
    std::int64_t offset;
    int row, depth;
    __device__ __forceinline__ Reader(const RowMajor& s, std::int64_t start, int first_row, int first_depth)
        : source(s), offset(start) {
      const Mine mine;
      row = first_row + mine.row;
      depth = first_depth + mine.depth;
    }
    __device__ __forceinline__ float4 load(int p) const {
      const int r = row + Mine::step * p;
      if (r >= source.rows || depth >= source.depth) return make_float4(0, 0, 0, 0);
      const T* from = source.data + offset + r * source.stride + depth;
      if (source.vector && depth + 4 <= source.depth) return load4(from);
      return load_some(from, source.depth - depth);
    }
    __device__ __forceinline__ void advance() { depth += tile_depth; }
  };
};

/// Rows × depth at data[depth · stride + row].
template <class T>
struct ColumnMajor {
  static constexpr bool along_depth = false;
  const T* data;
  std::int64_t stride;
  int rows, depth;
  bool vector;

  template <int tile_rows, int tile_depth>
  struct Reader {
    using Mine = TilePlace<false, tile_rows, tile_depth>;
    const ColumnMajor& source;
    std::int64_t at;
    int row, depth;
    __device__ __forceinline__ Reader(const ColumnMajor& s, std::int64_t offset, int first_row, int first_depth) : source(s) {
      const Mine mine;
      row = first_row + mine.row;
      depth = first_depth + mine.depth;
      at = offset + depth * s.stride + row;
    }
    __device__ __forceinline__ float4 load(int p) const {
      const int step = p * Mine::step;
      if (row >= source.rows || depth + step >= source.depth) return make_float4(0, 0, 0, 0);
      const T* from = source.data + at + step * source.stride;
      if (source.vector && row + 4 <= source.rows) return load4(from);
      return load_some(from, source.rows - row);
    }
    __device__ __forceinline__ void advance() { depth += tile_depth, at += tile_depth * source.stride; }
  };
};

/// A stored result, rows `stride` apart.
template <class T>
struct StoredRows {
  using Number = T;
  T* data;
  std::int64_t stride;
  const float* bias;
  bool accumulate, vector;
  __device__ __forceinline__ std::int64_t row(int r) const { return r * stride; }
};

/// The numbers x of columns column .. column+3, as far as there are n, of the row that starts at `row`.
template <class Result>
__device__ __forceinline__ void put(const Result& to, std::int64_t row, int column, int n, float4 x) {
  if (column >= n) return;
  auto* at = to.data + row + column;
  float v[4] = {x.x, x.y, x.z, x.w};
  const int count = n - column < 4 ? n - column : 4;
  SSLCAKE_UNROLL_ALL
  for (int j = 0; j < 4; ++j)
    if (j < count) {
      if (to.bias) v[j] += to.bias[column + j];
      if (to.accumulate) v[j] += widen(at[j]);
    }
  if (to.vector && count == 4) {
    store4(at, make_float4(v[0], v[1], v[2], v[3]));
  } else {
    SSLCAKE_UNROLL_ALL
    for (int j = 0; j < 4; ++j)
      if (j < count) at[j] = narrow<typename Result::Number>(v[j]);
  }
}

}  // namespace sslcake::inline v0::kernels::cuda
