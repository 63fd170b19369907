// Which of the kernels of convolution_halo.cuh takes a shape, and how it is started.
#include "convolution_halo.hpp"

#include <algorithm>

#include "convolution_halo.cuh"
#include "convolution_moments.cuh"
#include "launch.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

/// body(tile): the one for pictures of this size. Those of several pictures have room for whole ones alone.
template <class Body>
void with_halo_tile(int kind, const HaloShape& shape, Body&& body) {
  const int size = std::max(shape.height, shape.width);
  if (kind == 0) body(HaloTile<1, 16, 32>{});
  else if (size > 8) body(HaloTile<1, 16, 16>{});
  else if (size > 4) body(HaloTile<4, 8, 8>{});
  else body(HaloTile<16, 4, 4>{});
}
int columns_of(int kind) { return kind == 0 ? warp_columns : ring_columns; }
template <class Tile>
constexpr std::size_t shared_bytes(int kind) { return kind == 0 ? kept_weights_bytes<Tile> : ring_bytes<Tile>; }

template <class Tile>
HaloShape tiled(HaloShape s) {
  s.tiles_down = Tile::pictures > 1 ? 1 : static_cast<int>(blocks_for(s.height, Tile::height));
  s.tiles_across = Tile::pictures > 1 ? 1 : static_cast<int>(blocks_for(s.width, Tile::width));
  s.tiles = static_cast<int>(blocks_for(s.pictures, Tile::pictures)) * s.tiles_down * s.tiles_across;
  return s;
}

}  // namespace

bool halo_takes(int kind, const HaloShape& shape, std::size_t shared_limit) {
  bool room = false;
  with_halo_tile(kind, shape, [&](auto tile) { room = shared_bytes<decltype(tile)>(kind) <= shared_limit; });
  return room && shape.columns % columns_of(kind) == 0 &&
         (kind == 0 ? shape.channels == slice_channels : shape.channels % slice_channels == 0);
}

HaloWork halo_work(int kind, const HaloShape& shape, int multiprocessors) {
  HaloWork work{};
  with_halo_tile(kind, shape, [&](auto tile) {
    using Tile = decltype(tile);
    const int groups = shape.columns / columns_of(kind), walkers = std::max(multiprocessors / groups, 1);
    work.rounds = blocks_for(tiled<Tile>(shape).tiles, walkers) * blocks_for(groups, multiprocessors);
    work.multiply_adds = static_cast<double>(Tile::pixels) * columns_of(kind) * halo_taps * shape.channels;
  });
  return work;
}

void halo_convolution(int kind, const HaloShape& any, const Bf16* operand, const Bf16* weights, const float* bias, Bf16* result,
                      float* mean, float* variance) {
  const int groups = any.columns / columns_of(kind);
  with_halo_tile(kind, any, [&](auto tile) {
    using Tile = decltype(tile);
    const HaloShape shape = tiled<Tile>(any);
    const int walkers = std::min(shape.tiles, std::max(multiprocessors() / groups, 1)),
              entries = walkers * (Tile::pixels / warp_pixels);
    Scratch<float2> moments(mean ? std::int64_t{entries} * shape.columns : 0);
    Scratch<float> counts(mean ? entries : 0);
    const auto start = [&](auto* kernel) {
      launch("conv2d", kernel, dim3(static_cast<unsigned>(walkers * groups)), dim3(Tile::threads), shared_bytes<Tile>(kind),
             shape, operand, weights, bias, result, moments.data(), counts.data());
    };
    if constexpr (Tile::pixels == Tile::threads / 32 * warp_pixels)
      start(mean ? halo_product_kept_weights<Tile, true> : halo_product_kept_weights<Tile, false>);
    else
      start(mean ? halo_product_ring<Tile, true> : halo_product_ring<Tile, false>);
    if (mean)
      launch("conv2d", combine_tiles, dim3(static_cast<unsigned>(blocks_for(shape.columns, combine_channels))),
             dim3(combine_threads), 0, moments.data(), counts.data(), entries, 0,
             std::int64_t{shape.pictures} * shape.height * shape.width, shape.columns, mean, variance);
  });
}

}  // namespace sslcake::inline v0::kernels::cuda
