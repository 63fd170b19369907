// How the passes over pictures (rows, channels) are laid out over threads (norm.cu, norm_grad.cu).
//
// A thread keeps one group of V neighbouring channels (16 bytes) for good, so that what belongs to channels stays in its
// registers, and walks down the rows, `unroll` at a time, whose loads are under way together (fewer where several matrices are
// read: a row of each takes registers). A block is `width` groups wide and 256 / width rows high; blocks take tiles of `unroll`
// such heights in turn.
#pragma once

#include <cstddef>
#include <cstdint>

#include "instructions.cuh"
#include "launch.cuh"
#include "norm_parts.cuh"

namespace sslcake::inline v0::kernels::cuda::norm_parts {

/// V numbers of type S as they lie in memory: 16 bytes, or one number.
template <class S, int V>
struct Packet {
  static_assert(V * sizeof(S) == 16);
  uint4 bits;
  __device__ __forceinline__ void load(const S* from) { bits = *reinterpret_cast<const uint4*>(from); }
  __device__ __forceinline__ void clear() { bits = make_uint4(0, 0, 0, 0); }
  __device__ __forceinline__ void widen_to(float (&to)[V]) const {
    const std::uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (V == 4) to[i] = __uint_as_float(words[i]);
      else to[2 * i] = widen_low(words[i]), to[2 * i + 1] = widen_high(words[i]);
    }
  }
  static __device__ __forceinline__ void store(S* to, const float (&from)[V]) {
    if constexpr (V == 4) *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
    else
      *reinterpret_cast<uint4*>(to) =
          make_uint4(pack(from[0], from[1]), pack(from[2], from[3]), pack(from[4], from[5]), pack(from[6], from[7]));
  }
};
template <class S>
struct Packet<S, 1> {
  S bits;
  __device__ __forceinline__ void load(const S* from) { bits = *from; }
  __device__ __forceinline__ void clear() { bits = S{}; }
  __device__ __forceinline__ void widen_to(float (&to)[1]) const { to[0] = widen(bits); }
  static __device__ __forceinline__ void store(S* to, const float (&from)[1]) { *to = narrow<S>(from[0]); }
};

/// V floats that lie aligned where V > 1.
template <int V>
__device__ __forceinline__ void load_floats(float (&to)[V], const float* from) {
  if constexpr (V == 1) to[0] = from[0];
  else {
#pragma unroll
    for (int i = 0; i < V; i += 4) {
      const float4 four = *reinterpret_cast<const float4*>(from + i);
      to[i] = four.x, to[i + 1] = four.y, to[i + 2] = four.z, to[i + 3] = four.w;
    }
  }
}
template <int V>
__device__ __forceinline__ void store_floats(float* to, const float (&from)[V]) {
  if constexpr (V == 1) to[0] = from[0];
  else {
#pragma unroll
    for (int i = 0; i < V; i += 4)
      *reinterpret_cast<float4*>(to + i) = make_float4(from[i], from[i + 1], from[i + 2], from[i + 3]);
  }
}

inline bool aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }
template <class... Pointers>
bool all_aligned(Pointers... pointers) {
  return (aligned(pointers) && ...);
}

/// Calls body(S{}) with the element type of the GPU. Ops have checked it.
template <class Body>
void with_type(DType type, Body body) {
  if (type == DType::bfloat16) body(Bf16{});
  else body(float{});
}

struct Layout {
  std::int64_t rows, channels;
  int width, height;  // groups and rows of a block
  std::int64_t tiles;
  dim3 grid;

  /// As many row blocks as fill the GPU `waves` blocks deep, and, for sums, as keep a thread below 256 rows.
  Layout(std::int64_t row_count, std::int64_t channel_count, int vector, int unroll, int waves, bool sums)
      : rows(row_count), channels(channel_count) {
    const std::int64_t groups = channels / vector, columns = blocks_for(groups, 32);
    width = static_cast<int>(blocks_for(groups, columns));
    height = threads / width;
    tiles = blocks_for(rows, static_cast<std::int64_t>(height) * unroll);
    std::int64_t blocks = blocks_for(static_cast<std::int64_t>(multiprocessors()) * waves, columns);
    if (sums && blocks * (256 / unroll) < tiles) blocks = blocks_for(tiles, 256 / unroll);
    blocks = blocks < tiles ? blocks : tiles;
    grid = dim3(static_cast<unsigned>(columns), static_cast<unsigned>(blocks < 65535 ? blocks : 65535));
  }
};

/// A thread's place: its first channel, and its rows tile by tile.
template <int V, int unroll>
struct Place {
  std::int64_t rows, channels, tiles, channel;
  int width, height, column, lane;
  bool active;

  __device__ __forceinline__ Place(std::int64_t row_count, std::int64_t channel_count, std::int64_t tile_count, int width_,
                                   int height_)
      : rows(row_count), channels(channel_count), tiles(tile_count), width(width_), height(height_) {
    column = static_cast<int>(threadIdx.x) % width;
    lane = static_cast<int>(threadIdx.x) / width;
    channel = (static_cast<std::int64_t>(blockIdx.x) * width + column) * V;
    active = lane < height && channel < channels;
  }
  __device__ __forceinline__ std::int64_t row(std::int64_t tile) const { return tile * height * unroll + lane; }
};

/// Rows of the tiles block, block + step, ... : the last tile may be short.
__device__ __forceinline__ std::int64_t rows_of_block(std::int64_t rows, std::int64_t tiles, std::int64_t tile_rows,
                                                      std::int64_t block, std::int64_t step) {
  const std::int64_t mine = (tiles - 1 - block) / step + 1;
  return mine * tile_rows - ((tiles - 1) % step == block ? tiles * tile_rows - rows : 0);
}

/// Pairwise over the lanes of a block: combine(lane + span's numbers, lane's own). Lane 0 ends up with the result. N numbers per
/// thread; `store` holds threads / 2 · N floats.
template <int N, class Combine>
__device__ __forceinline__ void over_lanes(float (&mine)[N], int width, int height, int column, int lane, float* store,
                                           Combine combine) {
  int span = 1;
  while (span < height) span *= 2;
  for (span /= 2; span > 0; span /= 2) {
    if (lane >= span && lane < height && lane < 2 * span) {
#pragma unroll
      for (int i = 0; i < N; ++i) store[i * (threads / 2) + (lane - span) * width + column] = mine[i];
    }
    __syncthreads();
    if (lane < span && lane + span < height) {
      float other[N];
#pragma unroll
      for (int i = 0; i < N; ++i) other[i] = store[i * (threads / 2) + lane * width + column];
      combine(mine, other);
    }
    __syncthreads();
  }
}

}  // namespace sslcake::inline v0::kernels::cuda::norm_parts
