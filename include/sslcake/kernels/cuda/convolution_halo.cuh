// Convolution with 3x3 taps, stride 1 and a padding of 1: the implicit product of convolution_tile.cuh reads every pixel nine
// times, and where it waits for that these kernels do not. The sums are the same,
//   C[(n,p,q), o] = sum over u,v,c of operand[n, p + u - 1, q + v - 1, c] * weights[o, (u,v), c], 0 outside,
// but a block copies its pixels and the ring around them (the "halo"), 64 channels of them, into shared memory once and reads the
// fragments of all nine taps there, each at its own distance. Blocks walk over tiles; the next pixels come in the background
// (cp.async) during the products, and a tile's result leaves from registers without another barrier. Two kernels: one keeps the
// weights of its 64 columns in shared memory, for 64 channels; one has them pass through a ring of stages.
//
// The input gradient is the same with the taps in reverse order. Left out: other kernels and strides.
#pragma once

#include "convolution_halo_parts.cuh"

namespace sslcake::inline v0::kernels::cuda {

template <class Tile>
inline constexpr std::size_t kept_weights_bytes = halo_taps * warp_columns * slice_bytes + 2 * Tile::patch_bytes;

/// 64 channels; a tile is 512 pixels x 64 columns, a warp has 64 of the pixels. Grid: walkers x (columns / 64), blocks of the
/// same tiles next to each other; walker i takes tiles i, i + walkers, ... `bias` (columns) may be null. moments (walkers x
/// warps, columns) and counts (walkers x warps) get the moments over what each warp has seen.
template <class Tile, bool with_moments>
__global__ void __launch_bounds__(Tile::threads, 1)
    halo_product_kept_weights(HaloShape shape, const Bf16* operand, const Bf16* weights, const float* bias, Bf16* result,
                              float2* moments, float* counts) {
  constexpr int tap_bytes = warp_columns * slice_bytes, weight_bytes = halo_taps * tap_bytes;
  static_assert(kept_weights_bytes<Tile> <= 227 * 1024 && Tile::pixels == Tile::threads / 32 * warp_pixels && !Tile::narrow);
  const int groups = shape.columns / warp_columns, first_column = static_cast<int>(blockIdx.x) % groups * warp_columns,
            walker = static_cast<int>(blockIdx.x) / groups, walkers = static_cast<int>(gridDim.x) / groups;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  unsigned char* shared = dynamic_shared();
  for (int i = thread; i < halo_taps * warp_columns * slice_chunks; i += Tile::threads) {
    const int row = i / slice_chunks, chunk = i % slice_chunks, tap = row / warp_columns,
              column = column_of_row(row % warp_columns);
    const int from_tap = shape.reversed ? halo_taps - 1 - tap : tap;
    cp_async16(shared + swizzled_in_stage(row, chunk),
               weights + (static_cast<std::int64_t>(first_column + column) * halo_taps + from_tap) * slice_channels +
                   chunk * chunk_numbers);
  }
  const HaloPlace<Tile> first(shape, walker);
  for (int copy = 0; copy < Tile::copies; ++copy)
    copy_halo(shape, first, slice_channels, 0, operand, copy, shared + weight_bytes);
  cp_async_commit();

  int left[3];
#pragma unroll
  for (int v = 0; v < 3; ++v) left[v] = halo_offset<Tile>(warp * warp_pixels, v);
  const int right = swizzled_in_stage(lane % 8 + lane / 16 * 8, lane / 8 % 2);
  HaloMoments seen;
  int buffer = 0;
  for (int tile = walker; tile < shape.tiles; tile += walkers, buffer ^= 1) {
    const unsigned char* patch = shared + weight_bytes + buffer * Tile::patch_bytes;
    unsigned char* next_patch = shared + weight_bytes + (buffer ^ 1) * Tile::patch_bytes;
    const HaloPlace<Tile> next(shape, tile + walkers);
    float sums[4][8][4];
    clear(sums);
    cp_async_wait<0>();
    __syncthreads();  // this patch is there, and nobody reads the other one any more
    HaloFragments<Tile> parts[2];
    parts[0].load(patch + left[0], shared + right);
#pragma unroll 1
    for (int u = 0; u < 3; ++u) {
      const unsigned char *line = patch + u * Tile::line_bytes, *row = shared + u * 3 * tap_bytes;
      const unsigned char *next_line = u == 2 ? patch : line + Tile::line_bytes,  // behind the last: numbers that nobody uses
          *next_row = u == 2 ? shared : row + 3 * tap_bytes;
      constexpr int steps = 3 * stage_steps, copies = (Tile::copies + 2) / 3;
      static_assert(steps % 2 == 0 && copies <= steps);
#pragma unroll
      for (int k = 0; k < steps; ++k) {
        const int after = (k + 1) % steps, v = after / stage_steps, step = after % stage_steps;
        parts[(k + 1) % 2].load((k + 1 == steps ? next_line : line) + (left[v] ^ step << 5),
                                (k + 1 == steps ? next_row : row) + v * tap_bytes + (right ^ step << 5));
        if (k < copies) copy_halo(shape, next, slice_channels, 0, operand, u * copies + k, next_patch);
        parts[k % 2].multiply(sums);
      }
    }
    cp_async_commit();
    finish_warp<with_moments>(shape, HaloPlace<Tile>(shape, tile), sums, warp * warp_pixels, first_column, bias, result, seen);
  }
  cp_async_wait<0>();
  if constexpr (with_moments)
    leave_moments(seen, shape, walker * (Tile::threads / 32) + warp, first_column, first_column == 0, moments, counts);
}

inline constexpr int ring_columns = 128, ring_stages = 3, ring_stage_bytes = ring_columns * slice_bytes;
template <class Tile>
inline constexpr std::size_t ring_bytes = ring_stages * ring_stage_bytes + 2 * Tile::patch_bytes;

/// Channels in any number of slices of 64; a tile is 256 pixels x 128 columns, a warp has 64 x 64 of it. A stage is one tap of
/// one slice. Grid, moments and counts as above, with columns / 128 and 4 rows of moments for a walker.
template <class Tile, bool with_moments>
__global__ void __launch_bounds__(Tile::threads, 1)
    halo_product_ring(HaloShape shape, const Bf16* operand, const Bf16* weights, const float* bias, Bf16* result, float2* moments,
                      float* counts) {
  static_assert(ring_bytes<Tile> <= 227 * 1024 && Tile::pixels * 2 == Tile::threads / 32 * warp_pixels);
  const int groups = shape.columns / ring_columns, group_column = static_cast<int>(blockIdx.x) % groups * ring_columns,
            walker = static_cast<int>(blockIdx.x) / groups, walkers = static_cast<int>(gridDim.x) / groups;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int first_pixel = warp / 2 * warp_pixels, first_column = group_column + warp % 2 * warp_columns;
  unsigned char *shared = dynamic_shared(), *patches = shared + ring_stages * ring_stage_bytes;

  // Weights of the stage after next: which, and how many are left.
  const int slices = shape.channels / slice_channels, pitch = halo_taps * shape.channels;
  const int tap_step = shape.reversed ? -shape.channels : shape.channels, first_tap = shape.reversed ? pitch - shape.channels : 0;
  constexpr int row_step = Tile::threads / slice_chunks;
  static_assert(row_step == 32);  // column_of_row(a + 32) = column_of_row(a) + 32
  const Bf16* own_weights = weights + static_cast<std::int64_t>(group_column + column_of_row(thread / slice_chunks)) * pitch +
                            thread % slice_chunks * chunk_numbers;
  const int own_offset = swizzled_in_stage(thread / slice_chunks, thread % slice_chunks);
  int copy_tap = 0, copy_slice = 0, copy_tile = walker, writing = 0;
  const auto copy_weights = [&] {
    if (copy_tile < shape.tiles) {
      const Bf16* from = own_weights + first_tap + copy_tap * tap_step + copy_slice * slice_channels;
      unsigned char* to = shared + writing * ring_stage_bytes + own_offset;
#pragma unroll
      for (int i = 0; i < ring_columns / row_step; ++i)
        cp_async16(to + i * row_step * slice_bytes, from + static_cast<std::int64_t>(i * row_step) * pitch);
    }
    writing = writing + 1 == ring_stages ? 0 : writing + 1;
    if (++copy_tap == halo_taps) copy_tap = 0, ++copy_slice;
    if (copy_slice == slices) copy_slice = 0, copy_tile += walkers;
  };
  const HaloPlace<Tile> first(shape, walker);
  for (int copy = 0; copy < Tile::copies; ++copy) copy_halo(shape, first, shape.channels, 0, operand, copy, patches);
  for (int stage = 0; stage < ring_stages - 1; ++stage) {
    copy_weights();
    cp_async_commit();
  }

  int left[3];
#pragma unroll
  for (int v = 0; v < 3; ++v) left[v] = halo_offset<Tile>(first_pixel, v);
  const int right = swizzled_in_stage(warp % 2 * warp_columns + lane % 8 + lane / 16 * 8, lane / 8 % 2);
  HaloMoments seen;
  int buffer = 0, reading = 0;
  cp_async_wait<ring_stages - 2>();
  __syncthreads();
  for (int tile = walker; tile < shape.tiles; tile += walkers) {
    float sums[4][8][4];
    clear(sums);
    HaloFragments<Tile> parts[2];
    parts[0].load(patches + buffer * Tile::patch_bytes + left[0], shared + reading * ring_stage_bytes + right);
#pragma unroll 1
    for (int slice = 0; slice < slices; ++slice) {
      const unsigned char* patch = patches + buffer * Tile::patch_bytes;
      unsigned char* next_patch = patches + (buffer ^ 1) * Tile::patch_bytes;
      const bool last = slice + 1 == slices;
      const HaloPlace<Tile> next(shape, last ? tile + walkers : tile);
      const int next_channel = last ? 0 : (slice + 1) * slice_channels;
#pragma unroll 1
      for (int u = 0; u < 3; ++u) {
        // The next patch comes with the first two taps of every line: so it has arrived two stages later, behind the last.
        constexpr int copies = (Tile::copies + 2) / 3;
        static_assert(ring_stages == 3 && copies <= 6);
        const unsigned char *line = patch + u * Tile::line_bytes, *next_line = u == 2 ? next_patch : line + Tile::line_bytes;
        const int flip = Tile::narrow ? (u & 1) << 6 : 0, next_flip = Tile::narrow && u == 0 ? 1 << 6 : 0;
#pragma unroll
        for (int v = 0; v < 3; ++v)
#pragma unroll
          for (int k = 0; k < stage_steps; ++k) {
            if (k == stage_steps - 1) {  // the next stage is there, and everybody has read all of this one
              cp_async_wait<ring_stages - 2>();
              __syncthreads();
              reading = reading + 1 == ring_stages ? 0 : reading + 1;
            }
            const int step = (k + 1) % stage_steps, tap = k + 1 == stage_steps ? v + 1 : v;
            const unsigned char* row = shared + reading * ring_stage_bytes + (right ^ step << 5);
            parts[(k + 1) % 2].load(
                tap == 3 ? next_line + (left[0] ^ next_flip) : line + (left[tap % 3] ^ flip ^ step << 5), row);
            if (k == 0) copy_weights();
            if (v < 2 && k < 3 && v * 3 + k < copies)
              copy_halo(shape, next, shape.channels, next_channel, operand, u * copies + v * 3 + k, next_patch);
            if (k == stage_steps - 2) cp_async_commit();  // an empty group too: the waits count groups
            parts[k % 2].multiply(sums);
          }
      }
      buffer ^= 1;
    }
    finish_warp<with_moments>(shape, HaloPlace<Tile>(shape, tile), sums, first_pixel, first_column, bias, result, seen);
  }
  cp_async_wait<0>();
  if constexpr (with_moments)
    leave_moments(seen, shape, walker * (Tile::threads / 64) + warp / 2, first_column, first_column == 0, moments, counts);
}

}  // namespace sslcake::inline v0::kernels::cuda
