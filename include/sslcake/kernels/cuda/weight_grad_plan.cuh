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

/// How the operands lie in memory. A picture's 3 channels are padded to 4, and the taps of a line to an even number: 16 bytes
/// are then two taps of a pixel, or 8 channels of one.
struct WeightGradLayout {
  explicit WeightGradLayout(const ConvShape& s)
      : pairs(s.c <= 4), o((s.o + 7) / 8 * 8), c(pairs ? 4 : (s.c + 7) / 8 * 8), kw(pairs ? (s.kw + 1) / 2 * 2 : s.kw),
        columns(s.kh * kw * c) {}
  bool pairs;
  std::int64_t o, c, kw, columns;
};

/// The plan with tiles of one kind. `splits` > 0: into about so many parts.
inline WeightGradPlan plan_weight_grad(const ConvShape& s, int kind, std::int64_t splits = 0) {
  // Measured on an H200 (132 multiprocessors): TFLOP/s of the main loop where they are full of blocks of a kind, of one block
  // alone on a multiprocessor as part of that; the start and the end of a block in tiles of pixels; bytes a second of the
  // operands, and of partial sums (written and read), whose second kernel costs 3 µs.
  constexpr double rates[weight_grad_kinds] = {364e12, 399e12, 358e12, 438e12, 380e12, 400e12, 369e12, 250e12};
  constexpr double alone = 0.7, overhead_tiles = 2, memory_rate = 4.3e12, sums_rate = 3.5e12, second_kernel = 3e-6;
  const WeightGradLayout layout(s);
  const std::int64_t pixels = s.n * s.oh() * s.ow(), all_tiles = blocks_for(pixels, tile_pixels), read = s.n * s.h * s.w;
  const double bytes = 2.0 * static_cast<double>((read < pixels * s.taps() ? read : pixels * s.taps()) * layout.c +
                                                 pixels * layout.o);
  WeightGradPlan best;
  with_tile(kind, [&](auto tile) {
    using Tile = decltype(tile);
    const std::int64_t tiles = blocks_for(layout.o, Tile::tile_o) * blocks_for(layout.columns, Tile::tile_columns);
    const double tile_seconds = 2.0 * Tile::tile_o * Tile::tile_columns * tile_pixels * Tile::blocks * 132 / rates[kind];
    for (int each = 1; each <= 4 * Tile::blocks; ++each) {  // blocks for every multiprocessor
      std::int64_t wanted = splits > 0 ? splits : static_cast<std::int64_t>(multiprocessors()) * each / tiles;
      const std::int64_t least = blocks_for(all_tiles, 1024);  // float32 sums of at most 32768 pixels
      wanted = wanted < least ? least : wanted > all_tiles ? all_tiles : wanted;
      const std::int64_t tiles_of_part = blocks_for(all_tiles, wanted), parts = blocks_for(all_tiles, tiles_of_part);
      const std::int64_t most = blocks_for(tiles * parts, multiprocessors()), rest = most % Tile::blocks;
      double rounds = static_cast<double>(most / Tile::blocks);
      if (const double part = static_cast<double>(rest) / Tile::blocks; rest > 0) rounds += part < alone ? alone : part;
      double seconds = rounds * (static_cast<double>(tiles_of_part) + overhead_tiles) * tile_seconds;
      if (seconds < bytes / memory_rate) seconds = bytes / memory_rate;
      if (parts > 1) seconds += second_kernel + static_cast<double>(parts * layout.o * layout.columns) * 8 / sums_rate;
      if (seconds < best.seconds) best = {kind, tiles_of_part, parts, seconds};
    }
  });
  return best;
}

/// The best plan of all kinds; parts = 0 where the shape has groups or more than the kernel can count.
inline WeightGradPlan plan_weight_grad(const ConvShape& s) {
  constexpr std::int64_t limit = 1 << 30, reach_limit = 1 << 28;
  const WeightGradLayout layout(s);
  const std::int64_t oh = s.oh(), ow = s.ow(), pixels = s.n * oh * ow;
  const std::int64_t reach_h = s.stride_h * oh + s.dilation_h * s.kh + s.pad_h,
                     reach_w = s.stride_w * ow + s.dilation_w * layout.kw + s.pad_w;
  WeightGradPlan best;
  if (s.groups != 1 || s.c < 1 || s.o < 1 || pixels < 1 || pixels >= limit || s.n * s.h * s.w >= limit ||
      reach_h >= reach_limit || reach_w >= reach_limit || (reach_h * s.w + reach_w) * layout.c >= limit ||
      layout.o * layout.columns >= limit)
    return best;
  for (int kind = 0; kind < weight_grad_kinds; ++kind)
    if (const auto plan = plan_weight_grad(s, kind); plan.seconds < best.seconds) best = plan;
  return best;
}

/// conv_weight_grad_bfloat16 by a given plan.
void conv_weight_grad_bfloat16(const ConvShape& s, const WeightGradPlan& plan, const void* x, const void* dy, float* dw);

}  // namespace sslcake::inline v0::kernels::cuda
