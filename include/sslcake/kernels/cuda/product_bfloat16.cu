// The bfloat16 matrix product C = A·B^T on tensor cores, float32 sums.
//
// A block computes a tile of C, each of its warps 64x64 of it (or 32x32) in registers. Tiles of A and B with 64 of the reduction
// index, 128 bytes a row, go through a ring in shared memory (tensor_core_loop.cuh). The 16-byte pieces of a row are swizzled,
// piece ^ row % 8, so that the eight rows that one ldmatrix reads lie in different banks. Blocks are numbered in bands of rows
// of tiles: those that run at one time need few different rows of A and of B, which stay in the L2 cache.
//
// Left out: wgmma and the bulk tensor copies of sm_90 (the code runs from sm_80 on), splitting k, other layouts.
#include "product_bfloat16.hpp"

#include "../../core/error.hpp"
#include "tensor_core_loop.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

constexpr int tile_k = 64;

template <int m, int n, int warp_m, int warp_n, int stages_, int blocks_per_multiprocessor>
struct ProductTile {
  static constexpr int tile_m = m, tile_n = n, warp_tile_m = warp_m, warp_tile_n = warp_n, stages = stages_;
  static constexpr int warps_n = n / warp_n, threads = m / warp_m * warps_n * 32, blocks = blocks_per_multiprocessor;
  static constexpr int stage_bytes = (m + n) * tile_k * 2;
};

template <class Tile>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks)
    product_kernel(std::int64_t m, std::int64_t n, std::int64_t k, const Bf16* __restrict__ a, const Bf16* __restrict__ b,
                   Bf16* __restrict__ c) {
  constexpr int band = 16;                         // rows of tiles
  constexpr int rows_at_once = Tile::threads / 8;  // eight threads copy the 128 bytes of a row
  constexpr int copies_a = Tile::tile_m / rows_at_once, copies = (Tile::tile_m + Tile::tile_n) / rows_at_once;
  constexpr int steps = tile_k / 16, copies_of_part = (copies + steps - 2) / (steps - 1);
  constexpr int rows = Tile::warp_tile_m / 16, columns = Tile::warp_tile_n / 8;
  const std::int64_t tiles_m = (m + Tile::tile_m - 1) / Tile::tile_m, tiles_n = (n + Tile::tile_n - 1) / Tile::tile_n;
  const std::int64_t band_first = blockIdx.x / (band * tiles_n) * band, in_band = blockIdx.x - band_first * tiles_n;
  const std::int64_t band_rows = tiles_m - band_first < band ? tiles_m - band_first : band;
  const std::int64_t first_m = (band_first + in_band % band_rows) * Tile::tile_m, first_n = in_band / band_rows * Tile::tile_n;

  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  unsigned char* shared = dynamic_shared();

  // What this thread copies: piece `piece` of every rows_at_once-th row. Rows outside become the last one: what they give is
  // not stored.
  const int piece = thread % 8, row = thread / 8, row_bytes = static_cast<int>(k) * 2;
  int left = static_cast<int>(k) - piece * 8;  // of its row, from its piece in the tile copied next
  const auto* from_a = reinterpret_cast<const unsigned char*>(a + (first_m + row) * k + piece * 8);
  const auto* from_b = reinterpret_cast<const unsigned char*>(b + (first_n + row) * k + piece * 8);
  const int last_a = m - first_m - row < Tile::tile_m ? static_cast<int>(m - first_m - row) - 1 : Tile::tile_m;
  const int last_b = n - first_n - row < Tile::tile_n ? static_cast<int>(n - first_n - row) - 1 : Tile::tile_n;
  const int place = row * 128 + (piece ^ (row % 8)) * 16;
  const auto copy = [&](int slot, int part, bool) {  // behind the last tile nothing is left
    unsigned char* to = shared + slot * Tile::stage_bytes + place;
    const int valid = left > 0 ? 16 : 0;
#pragma unroll
    for (int i = part * copies_of_part; i < (part + 1) * copies_of_part && i < copies; ++i) {
      const bool of_a = i < copies_a;
      const int wanted = (of_a ? i : i - copies_a) * rows_at_once, last = of_a ? last_a : last_b;
      const unsigned char* from = (of_a ? from_a : from_b) + static_cast<std::int64_t>(wanted < last ? wanted : last) * row_bytes;
      cp_async16(to + i * rows_at_once * 128, from, valid);
    }
    if (part == steps - 2) left -= tile_k, from_a += tile_k * 2, from_b += tile_k * 2;
  };

  // What this lane addresses for ldmatrix: A by rows; B (n,k) by rows too, which are the columns of its fragments.
  const int warp_m = warp / Tile::warps_n * Tile::warp_tile_m, warp_n = warp % Tile::warps_n * Tile::warp_tile_n;
  const int row_a = warp_m + lane % 16, row_b = Tile::tile_m + warp_n + lane % 8 + lane / 16 * 8;
  const auto load = [&](Fragments<rows, columns>& f, int slot, int step) {
    const unsigned char* tile = shared + slot * Tile::stage_bytes;
#pragma unroll
    for (int i = 0; i < rows; ++i)
      ldmatrix_x4(f.a[i], tile + (row_a + i * 16) * 128 + ((step * 2 + lane / 16) ^ (lane % 8)) * 16);
#pragma unroll
    for (int j = 0; j < columns; j += 2) {
      std::uint32_t r[4];
      ldmatrix_x4(r, tile + (row_b + j * 8) * 128 + ((step * 2 + lane / 8 % 2) ^ (lane % 8)) * 16);
      f.b[j][0] = r[0], f.b[j][1] = r[1], f.b[j + 1][0] = r[2], f.b[j + 1][1] = r[3];
    }
  };

  float sums[rows][columns][4] = {};
  multiply_tiles<Tile::stages, steps>(static_cast<int>((k + tile_k - 1) / tile_k), copy, load, sums);

  // Through shared memory, each warp in its own part of it, to stores of 16 bytes.
  constexpr int pieces = Tile::warp_tile_n / 8;
  unsigned char* mine = shared + warp * Tile::warp_tile_m * Tile::warp_tile_n * 2;
#pragma unroll
  for (int i = 0; i < rows; ++i)
#pragma unroll
    for (int j = 0; j < columns; ++j)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int r = i * 16 + half * 8 + lane / 4;
        *reinterpret_cast<std::uint32_t*>(mine + (r * pieces + (j ^ (r % pieces))) * 16 + lane % 4 * 4) =
            pack(sums[i][j][half * 2], sums[i][j][half * 2 + 1]);
      }
  __syncwarp();
  const bool whole = n % 8 == 0 && reinterpret_cast<std::uintptr_t>(c) % 16 == 0;
  for (int i = lane; i < Tile::warp_tile_m * pieces; i += 32) {
    const int r = i / pieces, p = i % pieces;
    const std::int64_t at_m = first_m + warp_m + r, at_n = first_n + warp_n + p * 8;
    if (at_m >= m || at_n >= n) continue;
    const unsigned char* from = mine + (r * pieces + (p ^ (r % pieces))) * 16;
    if (whole) {
      *reinterpret_cast<uint4*>(c + at_m * n + at_n) = *reinterpret_cast<const uint4*>(from);
    } else {
      for (int e = 0; e < 8 && at_n + e < n; ++e) c[at_m * n + at_n + e] = reinterpret_cast<const Bf16*>(from)[e];
    }
  }
}

template <class Tile>
std::int64_t tiles_of(std::int64_t m, std::int64_t n) {
  return blocks_for(m, Tile::tile_m) * blocks_for(n, Tile::tile_n);
}

/// Whether there are tiles for every multiprocessor, and their stages have room in shared memory.
template <class Tile>
bool suits(std::int64_t m, std::int64_t n) {
  return tiles_of<Tile>(m, n) >= multiprocessors() && std::size_t{Tile::stages * Tile::stage_bytes} <= shared_limit();
}

template <class Tile>
void start(std::int64_t m, std::int64_t n, std::int64_t k, const Bf16* a, const Bf16* b, Bf16* c) {
  launch("gemm_bfloat16", product_kernel<Tile>, static_cast<unsigned>(tiles_of<Tile>(m, n)), Tile::threads,
         static_cast<std::size_t>(Tile::stages * Tile::stage_bytes), m, n, k, a, b, c);
}

using LargeTile = ProductTile<128, 256, 64, 64, 4, 1>;   // 192 KiB of shared memory
using MediumTile = ProductTile<128, 128, 64, 64, 3, 2>;  // 96 KiB
using SmallTile = ProductTile<64, 64, 32, 32, 4, 3>;     // 64 KiB

}  // namespace

void gemm_bfloat16(std::int64_t m, std::int64_t n, std::int64_t k, const void* a, const void* b_transposed, void* c) {
  if (m < 1 || n < 1) return;
  if (k >= 1 << 29) fail("gemm_bfloat16", "expected k below 2^29, got ", k);
  const AlignedRows rows_a("gemm_bfloat16", m, k, a), rows_b("gemm_bfloat16", n, k, b_transposed);
  auto* out = static_cast<Bf16*>(c);
  if (suits<LargeTile>(m, n)) start<LargeTile>(m, n, rows_a.width(), rows_a.data(), rows_b.data(), out);
  else if (suits<MediumTile>(m, n)) start<MediumTile>(m, n, rows_a.width(), rows_a.data(), rows_b.data(), out);
  else start<SmallTile>(m, n, rows_a.width(), rows_a.data(), rows_b.data(), out);
}

}  // namespace sslcake::inline v0::kernels::cuda
