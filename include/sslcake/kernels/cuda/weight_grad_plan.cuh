// How the work of weight_grad.cu is cut: which tile of the result a block computes, and into how many parts the sums over the
// pixels are split. Chosen by an estimate of the time.
#pragma once

#include "../conv_shape.hpp"
#include "launch.cuh"

namespace sslcake::inline v0::kernels::cuda {

inline constexpr int tile_pixels = 32, panel_columns = 64, panel_bytes = tile_pixels * panel_columns * 2;

/// A block's tile: output channels x columns of (kh,kw,c); each warp's; threads; blocks that share a multiprocessor.
template <int o, int columns, int warp_o, int warp_columns, int threads_, int blocks_>
struct WeightGradTile {
  static constexpr int tile_o = o, tile_columns = columns, warp_tile_o = warp_o, warp_tile_columns = warp_columns;
  static constexpr int threads = threads_, blocks = blocks_, stages = 4;
  static constexpr int panels_o = o / panel_columns, panels_x = columns / panel_columns;
  static constexpr int stage_bytes = (panels_o + panels_x) * panel_bytes;
  static_assert(o % panel_columns == 0 && columns % panel_columns == 0 &&
                (o / warp_o) * (columns / warp_columns) * 32 == threads);
};

inline constexpr int weight_grad_kinds = 8;
/// f(the tile of that kind).
template <class F>
void with_tile(int kind, F&& f) {
  switch (kind) {
    case 0: return f(WeightGradTile<128, 256, 64, 64, 256, 1>{});
    case 1: return f(WeightGradTile<256, 128, 64, 64, 256, 1>{});
    case 2: return f(WeightGradTile<128, 192, 64, 48, 256, 1>{});
    case 3: return f(WeightGradTile<128, 128, 64, 64, 128, 2>{});
    case 4: return f(WeightGradTile<64, 256, 64, 64, 128, 2>{});
    case 5: return f(WeightGradTile<256, 64, 64, 64, 128, 2>{});
    case 6: return f(WeightGradTile<64, 192, 64, 48, 128, 2>{});
    default: return f(WeightGradTile<64, 64, 32, 32, 128, 4>{});
  }
}

struct WeightGradPlan {
  int kind = 0;
  std::int64_t tiles_of_part = 0, parts = 0;  // tiles of tile_pixels pixels; parts 0: not a shape for this kernel
  double seconds = 1e30;                      // estimated
};

/// The plan with tiles of one kind. `splits` > 0: into about so many parts.
inline WeightGradPlan plan_weight_grad(const ConvShape& s, int kind, std::int64_t splits = 0) {
  // Measured against this, kinds differ; partial sums are written and read at some 3 TB/s, a block costs as much as a dozen
  // tiles of pixels before its first product and after its last, the second kernel 3 µs.
  constexpr double efficiency[weight_grad_kinds] = {1, 1, 0.92, 0.9, 0.8, 0.8, 0.8, 0.45}, rate = 450e12, overhead_tiles = 12;
  const std::int64_t o = (s.o + 7) / 8 * 8, columns = s.taps() * ((s.c + 7) / 8 * 8),
                     all_tiles = blocks_for(s.n * s.oh() * s.ow(), tile_pixels);
  WeightGradPlan best;
  with_tile(kind, [&](auto tile) {
    using Tile = decltype(tile);
    const std::int64_t slots = static_cast<std::int64_t>(multiprocessors()) * Tile::blocks;
    const std::int64_t tiles = blocks_for(o, Tile::tile_o) * blocks_for(columns, Tile::tile_columns);
    const double tile_seconds =
        2.0 * Tile::tile_o * Tile::tile_columns * tile_pixels * Tile::blocks * 132 / (rate * efficiency[kind]);
    for (int waves = 1; waves <= 4; ++waves) {
      std::int64_t wanted = splits > 0 ? splits : waves * slots / tiles;
      const std::int64_t least = blocks_for(all_tiles, 1024);  // float32 sums of at most 32768 pixels
      wanted = wanted < least ? least : wanted > all_tiles ? all_tiles : wanted;
      const std::int64_t tiles_of_part = blocks_for(all_tiles, wanted), parts = blocks_for(all_tiles, tiles_of_part);
      double seconds = static_cast<double>(blocks_for(tiles * parts, slots)) *
                       (static_cast<double>(tiles_of_part) + overhead_tiles) * tile_seconds;
      if (parts > 1) seconds += 3e-6 + static_cast<double>(parts * o * columns) * 8 / 3e12;
      if (seconds < best.seconds) best = {kind, tiles_of_part, parts, seconds};
    }
  });
  return best;
}

/// The best plan of all kinds; parts = 0 where the shape has groups or more than the kernel can count.
inline WeightGradPlan plan_weight_grad(const ConvShape& s) {
  constexpr std::int64_t limit = 1 << 30, reach_limit = 1 << 28;
  const std::int64_t c = (s.c + 7) / 8 * 8, oh = s.oh(), ow = s.ow(), pixels = s.n * oh * ow;
  const std::int64_t reach_h = s.stride_h * oh + s.dilation_h * s.kh + s.pad_h,
                     reach_w = s.stride_w * ow + s.dilation_w * s.kw + s.pad_w;
  WeightGradPlan best;
  if (s.groups != 1 || s.c < 1 || s.o < 1 || pixels < 1 || pixels >= limit || s.n * s.h * s.w >= limit ||
      reach_h >= reach_limit || reach_w >= reach_limit || (reach_h * s.w + reach_w) * c >= limit ||
      (s.o + 7) / 8 * 8 * s.taps() * c >= limit)
    return best;
  for (int kind = 0; kind < weight_grad_kinds; ++kind)
    if (const auto plan = plan_weight_grad(s, kind); plan.seconds < best.seconds) best = plan;
  return best;
}

/// conv_weight_grad_bfloat16 by a given plan.
void conv_weight_grad_bfloat16(const ConvShape& s, const WeightGradPlan& plan, const void* x, const void* dy, float* dw);

}  // namespace sslcake::inline v0::kernels::cuda
