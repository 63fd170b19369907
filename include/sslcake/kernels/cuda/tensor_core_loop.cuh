// What the tiled products on tensor cores share: the main loop, which hides both latencies, and rows padded to 16 bytes.
//
//   global memory --cp.async--> a ring of `stages` tiles in shared memory --ldmatrix--> two sets of fragments --mma--> sums
//
// While the warps multiply one step of 16 they load the fragments of the next; while they multiply one tile the copies of
// stages - 1 further ones are under way. One barrier a tile. The pattern is that of CUTLASS's multistage kernels (sm_80).
#pragma once

#include <type_traits>

#include "instructions.cuh"
#include "launch.cuh"

namespace sslcake::inline v0::kernels::cuda {

/// Operands of one step of 16 for a warp tile of 16·rows x 8·columns.
template <int rows, int columns>
struct Fragments {
  std::uint32_t a[rows][4];
  std::uint32_t b[columns][2];
};

/// c += Σ over `tiles` tiles of A·B, each of `steps` (even) steps of 16.
///   copy(slot, part, wanted): starts the copies of one of steps - 1 parts of the next tile into a slot of the ring; called
///                             tile by tile, the parts in order. Not wanted: behind the last tile; it may copy zeros then,
///                             which is better than a branch, across which the compiler moves nothing
///   load(fragments, slot, step)
/// The ring may be overwritten when it returns.
template <int stages, int steps, int rows, int columns, class Copy, class Load>
__device__ __forceinline__ void multiply_tiles(int tiles, Copy&& copy, Load&& load, float (&c)[rows][columns][4]) {
  static_assert(steps % 2 == 0 && stages >= 3);
#pragma unroll
  for (int tile = 0; tile < stages - 1; ++tile) {
#pragma unroll
    for (int part = 0; part < steps - 1; ++part) copy(tile, part, tile < tiles);
    cp_async_commit();  // an empty group too: the waits count groups
  }
  cp_async_wait<stages - 2>();
  __syncthreads();
  Fragments<rows, columns> fragments[2];
  load(fragments[0], 0, 0);
  int from = 0, to = stages - 1;
  for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int step = 0; step < steps; ++step) {
      if (step == steps - 1) {  // the next tile has arrived, and nobody needs this one's shared memory any more
        cp_async_wait<stages - 2>();
        __syncthreads();
        from = from + 1 == stages ? 0 : from + 1;
      }
      load(fragments[(step + 1) % 2], from, (step + 1) % steps);  // behind the last tile: numbers that nobody uses
      if (step < steps - 1) {
        copy(to, step, tile + stages - 1 < tiles);
        if (step == steps - 2) {
          cp_async_commit();
          to = to + 1 == stages ? 0 : to + 1;
        }
      }
      const auto& now = fragments[step % 2];
#pragma unroll
      for (int i = 0; i < rows; ++i)
#pragma unroll
        for (int j = 0; j < columns; ++j) {
          const int there = i % 2 ? columns - 1 - j : j;  // back and forth: one operand stays the same at every turn
          mma(c[i][there], now.a[i], now.b[there]);
        }
    }
  }
  cp_async_wait<0>();
  __syncthreads();
}

/// to (rows, pieces of so many bfloat16 as a Piece has) = from (rows, width), with zeros behind each row.
template <class Piece>
__global__ void pad_rows(std::int64_t rows, int width, int pieces, const Bf16* __restrict__ from, Piece* __restrict__ to) {
  constexpr int numbers = sizeof(Piece) / 2;
  const std::int64_t all = rows * pieces, stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += stride) {
    const std::int64_t row = pieces == 1 ? i : i / pieces;
    const int first = static_cast<int>(i - row * pieces) * numbers;
    std::uint32_t words[numbers / 2] = {};
#pragma unroll
    for (int e = 0; e < numbers; ++e)
      if (first + e < width) words[e / 2] |= static_cast<std::uint32_t>(from[row * width + first + e].bits) << (e % 2 * 16);
    if constexpr (numbers == 8) to[i] = {words[0], words[1], words[2], words[3]};
    else to[i] = {words[0], words[1]};
  }
}

inline bool aligned16(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

/// Rows of `width` bfloat16 behind each other that begin at an address aligned to 16 bytes, the width a multiple of `multiple`
/// (8 or 4): the caller's own where they are like that, else a padded copy.
class AlignedRows {
 public:
  AlignedRows(const char* op, std::int64_t rows, std::int64_t width, const void* data, std::int64_t multiple = 8)
      : width_((width + multiple - 1) / multiple * multiple),
        copied_(width_ != width || !aligned16(data)),
        copy_(copied_ ? rows * width_ : 0),
        data_(copied_ ? copy_.data() : static_cast<const Bf16*>(data)) {
    if (!copied_ || rows * width_ == 0) return;
    const auto copy = [&](auto* to) {
      const std::int64_t pieces = width_ / multiple;
      launch(op, pad_rows<std::remove_pointer_t<decltype(to)>>, striding_blocks(rows * pieces, 256, 16), 256, 0, rows,
             static_cast<int>(width), static_cast<int>(pieces), static_cast<const Bf16*>(data), to);
    };
    if (multiple == 8) copy(reinterpret_cast<uint4*>(copy_.data()));
    else copy(reinterpret_cast<uint2*>(copy_.data()));
  }
  const Bf16* data() const { return data_; }
  std::int64_t width() const { return width_; }

 private:
  std::int64_t width_;
  bool copied_;
  Scratch<Bf16> copy_;
  const Bf16* data_;
};

}  // namespace sslcake::inline v0::kernels::cuda
