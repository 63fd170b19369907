// Convolution in bfloat16 on tensor cores, forward and input gradient: what convolution_tile.cuh needs is laid out here, weights
// and maps. 3x3 taps of stride 1 have kernels of their own (convolution_halo.cu), taken where they should be faster. Other types
// and groups, and the weight gradient, go to the files of convolution_parts.hpp.
//
// The input gradient at stride S is S·S products: dx at row i = S p + r sums over the taps k with k D ≡ r + P (mod S) alone,
// which are every S/gcd(D,S)-th one. So no product with the zeros of a widened dy is made. Phases that no tap reaches become 0.
#include "convolution.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "convolution_halo.hpp"
#include "convolution_layout.cuh"
#include "convolution_moments.cuh"
#include "convolution_parts.hpp"
#include "convolution_tile.cuh"
#include "launch.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

constexpr std::int64_t round_up(std::int64_t x, std::int64_t to) { return (x + to - 1) / to * to; }
bool aligned16(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

// --- the tile ---------------------------------------------------------------------------------------------------------
template <class Body>
void with_tile(int index, Body&& body) {
  switch (index) {
    case 0: return body(ConvolutionTile<128, 256, 64, 64, 3, 1>{});
    case 1: return body(ConvolutionTile<256, 128, 64, 64, 3, 1>{});
    case 2: return body(ConvolutionTile<128, 128, 64, 64, 3, 2>{});
    case 3: return body(ConvolutionTile<128, 64, 64, 32, 3, 3>{});
    default: return body(ConvolutionTile<64, 64, 32, 32, 4, 3>{});
  }
}
// Multiply-adds per second where every multiprocessor has its full number of blocks, relative to the first; measured on sm_90.
constexpr double tile_speed[convolution_tiles] = {1, 0.81, 0.83, 0.68, 0.52};
constexpr double halo_speed[convolution_halos] = {0.98, 1.05};
constexpr double tile_overhead = 32;   // what begins and ends a tile, as so much depth
constexpr double lone_exponent = 0.7;  // k of b blocks on a multiprocessor do (k / b)^this of its work

bool fits(int tile) {
  bool room = false;
  with_tile(tile, [&](auto t) { room = t.shared_bytes <= shared_limit(); });
  return room;
}

/// For how long a multiprocessor is busy with `tiles` tiles of which it takes `blocks` at once, in units of a tile's share.
double rounds_for(std::int64_t tiles, int blocks) {
  const auto last = static_cast<double>(tiles % blocks), whole = static_cast<double>(tiles) - last;
  return last > 0 ? whole + last * std::pow(blocks / last, lone_exponent) : whole;
}

/// The product as 3x3 taps on every pixel and its neighbours, forward or in reverse; no pictures where it is none.
HaloShape halo_shape(const std::vector<PixelMap>& maps, int columns) {
  const PixelMap& map = maps[0];
  HaloShape s{};
  if (maps.size() == 1 && map.taps_h == 3 && map.taps_w == 3 && (map.tap_step_h == 1 || map.tap_step_h == -1) &&
      map.tap_step_w == map.tap_step_h && map.start_h == -map.tap_step_h && map.start_w == -map.tap_step_w && map.step_h == 1 &&
      map.step_w == 1 && map.rows_h == map.height && map.rows_w == map.width && map.pitch == 9 * map.channels)
    s.pictures = map.rows / (map.height * map.width);
  s.height = map.height, s.width = map.width, s.channels = map.channels, s.columns = columns;
  s.reversed = map.tap_step_h < 0;
  return s;
}

/// The tile with which the multiprocessors are soonest done, each with whole tiles.
int choose_tile(const std::vector<PixelMap>& maps, int columns, const Bf16* out) {
  const int forced = forced_convolution_tile();
  if (forced >= 0 && forced < convolution_tiles && fits(forced)) return forced;
  const HaloShape shape = halo_shape(maps, columns);
  const auto takes = [&](int kind) { return shape.pictures > 0 && aligned16(out) && halo_takes(kind, shape, shared_limit()); };
  if (forced >= convolution_tiles && takes(forced - convolution_tiles)) return forced;
  int best = convolution_tiles - 1;
  double least = 0;
  for (int i = convolution_tiles - 1; i >= 0; --i)
    with_tile(i, [&](auto tile) {
      if (!fits(i)) return;
      std::int64_t tiles = 0;
      double depth = 0;
      for (const auto& map : maps) {
        const std::int64_t of_map = blocks_for(map.rows, tile.rows) * blocks_for(columns, tile.columns);
        tiles += of_map;
        depth += static_cast<double>(of_map) * (map.depth + tile_overhead);
      }
      const double rounds = rounds_for(blocks_for(tiles, multiprocessors()), tile.blocks);
      const double time = rounds * tile.rows * tile.columns * depth / static_cast<double>(tiles) / tile_speed[i];
      if (i == convolution_tiles - 1 || time < least) best = i, least = time;
    });
  for (int kind = 0; kind < convolution_halos; ++kind)
    if (takes(kind)) {
      const HaloWork work = halo_work(kind, shape, multiprocessors());
      const double time = static_cast<double>(work.rounds) * work.multiply_adds / halo_speed[kind];
      if (time < least) best = convolution_tiles + kind, least = time;
    }
  return best;
}
int columns_of(int tile) {
  if (tile >= convolution_tiles) return chunk_numbers;  // they take whole tiles alone
  int columns = 0;
  with_tile(tile, [&](auto t) { columns = t.columns; });
  return columns;
}

void multiply(int index, const std::vector<PixelMap>& maps, const Bf16* operand, const float* bias, Bf16* out, int columns,
              float* mean = nullptr, float* variance = nullptr) {
  if (index >= convolution_tiles)
    return halo_convolution(index - convolution_tiles, halo_shape(maps, columns), operand, maps[0].weights, bias, out, mean,
                            variance);
  with_tile(index, [&](auto tile) {
    using Tile = decltype(tile);
    const std::int64_t across = blocks_for(columns, Tile::columns), all_down = blocks_for(maps[0].rows, Tile::rows);
    Scratch<float2> moments(mean ? all_down * columns : 0);
    for (std::size_t first = 0; first < maps.size(); first += maps_per_launch) {
      const std::size_t count = std::min<std::size_t>(maps_per_launch, maps.size() - first);
      PixelMaps some{};
      std::int64_t down = 0;
      for (std::size_t i = 0; i < count; ++i) {
        some.map[i] = maps[first + i];
        down = std::max(down, blocks_for(some.map[i].rows, Tile::rows));
      }
      launch("conv2d", implicit_product<Tile>, dim3(static_cast<unsigned>(down * across), 1, static_cast<unsigned>(count)),
             dim3(Tile::threads), Tile::shared_bytes, some, operand, bias, out, columns, static_cast<int>(across),
             columns % chunk_numbers == 0 && aligned16(out) ? 1 : 0, moments.data());
    }
    if (mean)
      launch("conv2d", combine_tiles, dim3(static_cast<unsigned>(blocks_for(columns, combine_channels))), dim3(combine_threads),
             0, moments.data(), nullptr, static_cast<int>(all_down), Tile::rows, static_cast<std::int64_t>(maps[0].rows), columns,
             mean, variance);
  });
}

/// Whether the tensor-core kernels take it: their pixel indices are 32-bit.
bool fits(DType type, const ConvShape& s) {
  constexpr std::int64_t most = std::int64_t{1} << 30;
  const auto pixels = [&](std::int64_t h, std::int64_t w) { return s.n * (h + 1) * (w + 1) + w * s.dilation_h * s.kh; };
  return type == DType::bfloat16 && s.groups == 1 && s.n * s.oh() * s.ow() > 0 && s.c > 0 && s.o > 0 && pixels(s.h, s.w) < most &&
         pixels(s.oh(), s.ow()) < most && s.c * s.taps() < most / 512 && s.o * s.taps() < most / 512;
}

void forward_bfloat16(const ConvShape& s, const void* x, const float* w, const float* bias, void* y, float* mean,
                      float* variance) {
  const bool direct = s.c % chunk_numbers == 0 && aligned16(x), unfolded = !direct && s.kw > 1 && s.c * s.kw <= stage_depth;
  const std::int64_t real = unfolded ? s.kw * s.c : s.c, channels = round_up(real, chunk_numbers),
                     width = unfolded ? s.ow() : s.w;
  const std::int64_t taps_w = unfolded ? 1 : s.kw, depth = round_up(s.kh * taps_w * channels, stage_depth);
  const auto* operand = static_cast<const Bf16*>(x);
  Scratch<Bf16> copy(direct ? 0 : s.n * s.h * width * channels);
  if (!direct) {
    launch("conv2d", unfold, dim3(striding_blocks(s.n * s.h * width * channels / chunk_numbers, 256)), dim3(256), 0, operand,
           copy.data(), s.n * s.h, static_cast<int>(s.w), static_cast<int>(s.c), static_cast<int>(width),
           static_cast<int>(channels), unfolded ? static_cast<int>(s.kw) : 1, unfolded ? static_cast<int>(s.stride_w) : 1,
           unfolded ? static_cast<int>(s.dilation_w) : 1, unfolded ? static_cast<int>(s.pad_w) : 0);
    operand = copy.data();
  }
  PixelMap map{};
  map.height = static_cast<int>(s.h), map.width = static_cast<int>(width), map.channels = static_cast<int>(channels);
  map.taps_h = static_cast<int>(s.kh), map.taps_w = static_cast<int>(taps_w);
  map.tap_step_h = static_cast<int>(s.dilation_h), map.tap_step_w = unfolded ? 1 : static_cast<int>(s.dilation_w);
  map.step_h = static_cast<int>(s.stride_h), map.step_w = unfolded ? 1 : static_cast<int>(s.stride_w);
  map.start_h = -static_cast<int>(s.pad_h), map.start_w = unfolded ? 0 : -static_cast<int>(s.pad_w);
  map.rows = static_cast<int>(s.n * s.oh() * s.ow());
  map.rows_h = map.out_height = static_cast<int>(s.oh()), map.rows_w = map.out_width = static_cast<int>(s.ow());
  map.out_step_h = map.out_step_w = 1;
  map.depth = map.pitch = static_cast<int>(depth);
  std::vector<PixelMap> maps{map};
  const int o = static_cast<int>(s.o), tile = choose_tile(maps, o, static_cast<const Bf16*>(y));
  const std::int64_t rows = round_up(s.o, columns_of(tile));
  Scratch<Bf16> weights(rows * depth);
  launch("conv2d", pack_weights, dim3(striding_blocks(rows * depth, 256)), dim3(256), 0, w, weights.data(), o,
         static_cast<int>(s.kh * taps_w), static_cast<int>(real), static_cast<int>(channels), static_cast<int>(rows),
         static_cast<int>(depth));
  maps[0].weights = weights.data();
  multiply(tile, maps, operand, bias, static_cast<Bf16*>(y), o, mean, variance);
}

void input_grad_bfloat16(const ConvShape& s, const void* dy, const float* w, void* dx) {
  const std::int64_t channels = round_up(s.o, chunk_numbers), oh = s.oh(), ow = s.ow();
  const bool direct = s.o == channels && aligned16(dy);
  const auto* operand = static_cast<const Bf16*>(dy);
  Scratch<Bf16> copy(direct ? 0 : s.n * oh * ow * channels);
  if (!direct) {
    launch("conv2d", unfold, dim3(striding_blocks(s.n * oh * ow * channels / chunk_numbers, 256)), dim3(256), 0, operand,
           copy.data(), s.n * oh, static_cast<int>(ow), static_cast<int>(s.o), static_cast<int>(ow), static_cast<int>(channels),
           1, 1, 1, 0);
    operand = copy.data();
  }
  const PhaseAxis axes[2] = {phase_axis(s.stride_h, s.pad_h, s.dilation_h, s.kh),
                             phase_axis(s.stride_w, s.pad_w, s.dilation_w, s.kw)};
  const std::int64_t most_taps = blocks_for(s.kh, axes[0].tap_step) * blocks_for(s.kw, axes[1].tap_step);
  const std::int64_t pitch = round_up(most_taps * channels, stage_depth);

  std::vector<PixelMap> maps;
  std::vector<std::int64_t> phases;
  for (int r_h = 0; r_h < axes[0].stride && r_h < s.h; ++r_h)
    for (int r_w = 0; r_w < axes[1].stride && r_w < s.w; ++r_w) {
      int taps[2], steps[2], starts[2], rows[2];
      for (int a = 0; a < 2; ++a) {
        const PhaseAxis& axis = axes[a];
        const int r = a == 0 ? r_h : r_w, size = static_cast<int>(a == 0 ? s.h : s.w);
        int first = 0;
        while (first < axis.tap_step && first < axis.kernel && phase_of(axis, first) != r) ++first;
        const bool any = first < axis.tap_step && first < axis.kernel;
        taps[a] = any ? taps_with(axis, first) : 0;
        steps[a] = -(axis.tap_step * axis.dilation / axis.stride);
        starts[a] = any ? (r + axis.pad - first * axis.dilation) / axis.stride : 0;
        rows[a] = (size - r + axis.stride - 1) / axis.stride;
      }
      PixelMap map{};
      map.height = static_cast<int>(oh), map.width = static_cast<int>(ow), map.channels = static_cast<int>(channels);
      map.taps_h = taps[0] * taps[1] == 0 ? 0 : taps[0], map.taps_w = std::max(taps[1], 1);
      map.tap_step_h = steps[0], map.tap_step_w = steps[1];
      map.step_h = map.step_w = 1;
      map.start_h = starts[0], map.start_w = starts[1];
      map.rows = static_cast<int>(s.n) * rows[0] * rows[1], map.rows_h = rows[0], map.rows_w = rows[1];
      map.out_height = static_cast<int>(s.h), map.out_width = static_cast<int>(s.w);
      map.out_step_h = axes[0].stride, map.out_step_w = axes[1].stride;
      map.out_start_h = r_h, map.out_start_w = r_w;
      map.depth = static_cast<int>(round_up(taps[0] * taps[1] * channels, stage_depth));
      map.pitch = static_cast<int>(pitch);
      maps.push_back(map);
    }
  std::stable_sort(maps.begin(), maps.end(),
                   [](const PixelMap& a, const PixelMap& b) { return a.depth > b.depth; });  // long ones first

  const int c = static_cast<int>(s.c), tile = choose_tile(maps, c, static_cast<const Bf16*>(dx));
  const std::int64_t rows = round_up(s.c, columns_of(tile)), size = rows * pitch;
  Scratch<Bf16> weights(s.stride_h * s.stride_w * size);
  check(cudaMemsetAsync(weights.data(), 0, static_cast<std::size_t>(s.stride_h * s.stride_w * size) * sizeof(Bf16), stream()),
        "conv2d");
  launch("conv2d", pack_transposed,
         dim3(static_cast<unsigned>(blocks_for(s.c, 32) * s.taps()), static_cast<unsigned>(blocks_for(s.o, 32))), dim3(32, 8), 0,
         w, weights.data(), axes[0], axes[1], static_cast<int>(s.o), c, static_cast<int>(channels), static_cast<int>(rows),
         static_cast<int>(pitch));
  for (auto& map : maps) map.weights = weights.data() + (map.out_start_h * s.stride_w + map.out_start_w) * size;
  multiply(tile, maps, operand, nullptr, static_cast<Bf16*>(dx), c);
}

void forward(DType type, const ConvShape& s, const void* x, const float* w, const float* bias, void* y) {
  if (fits(type, s)) forward_bfloat16(s, x, w, bias, y, nullptr, nullptr);
  else conv_forward_any(type, s, x, w, bias, y);
}
bool forward_moments(DType type, const ConvShape& s, const void* x, const float* w, void* y, float* mean, float* variance) {
  if (!fits(type, s)) return false;
  forward_bfloat16(s, x, w, nullptr, y, mean, variance);
  return true;
}
void input_grad(DType type, const ConvShape& s, const void* dy, const float* w, void* dx) {
  if (fits(type, s)) input_grad_bfloat16(s, dy, w, dx);
  else conv_input_grad_any(type, s, dy, w, dx);
}
void weight_grad(DType type, const ConvShape& s, const void* x, const void* dy, float* dw) {
  if (type != DType::bfloat16 || !conv_weight_grad_bfloat16(s, x, dy, dw)) conv_weight_grad_any(type, s, x, dy, dw);
}

}  // namespace

int& forced_convolution_tile() {
  static int tile = -1;
  return tile;
}

void install(Convolution& table) {
  table.forward = forward;
  table.forward_moments = forward_moments;
  table.input_grad = input_grad;
  table.weight_grad = weight_grad;
}

}  // namespace sslcake::inline v0::kernels::cuda
