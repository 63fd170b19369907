// The weight gradient of a convolution in bfloat16, on tensor cores:
//
//   dw[o,u,v,c] = Σ_p dy[p,o] · x[pixel(p,u,v),c]      p = (n, oh, ow),  pixel = (n, oh·stride - pad + u·dilation, ...)
//
// an implicit matrix product (O, pixels) · (pixels, KH·KW·C) in float32: few results, sums of up to millions of terms. Both
// operands lie pixel by pixel, with the index that is summed over as the slow one. Shared memory keeps that layout, in panels of
// 32 pixels x 64 channels (128 bytes a pixel, 16-byte pieces swizzled: piece ^ pixel % 8), and ldmatrix transposes on the
// way to the registers. Nothing is unfolded: eight threads copy the 64 columns of a pixel straight out of x, zeros for padding; a
// thread walks over its pixels by carrying (n, oh, ow) on, without divisions.
//
// The pixels are split among blocks until they fill the GPU. Their partial sums lie side by side, and a second kernel adds them
// in order, in double: the same bits in every run.
//
// Channels that are no multiple of 8 are padded in a copy first. A picture's 3 channels become 4, and a 16-byte piece then has
// two neighbouring taps of a line (of an odd number of taps one more is computed, and dropped in the second kernel).
// Left out: groups other than 1; pictures or batches whose pixels outnumber 2^30 (false: the caller has slower kernels).
#include "convolution_parts.hpp"
#include "tensor_core_loop.cuh"
#include "weight_grad_plan.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

/// What a block needs to know; o, c and kw padded (WeightGradLayout), `columns` = kh·kw·c, results (parts, o, columns).
struct WeightGradTask {
  const Bf16* x;
  const Bf16* dy;
  float* sums;
  int n, h, w, c, o, kw, oh, ow, columns;
  int stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  int further_n, further_oh, further_ow;  // tile_pixels pixels on
  int tiles_o, tiles_columns, tiles_of_part, all_tiles;
};

template <class Tile, bool pairs>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks) weight_grad_kernel(const WeightGradTask task) {
  constexpr int rows_at_once = Tile::threads / 8, rows_of_thread = tile_pixels / rows_at_once;
  constexpr int rows = Tile::warp_tile_o / 16, columns = Tile::warp_tile_columns / 8;
  const int tiles_of_result = task.tiles_o * task.tiles_columns;
  const int part = static_cast<int>(blockIdx.x) / tiles_of_result, tile = static_cast<int>(blockIdx.x) % tiles_of_result;
  const int first_o = tile % task.tiles_o * Tile::tile_o, first_column = tile / task.tiles_o * Tile::tile_columns;
  const int first_tile = part * task.tiles_of_part;
  const int tiles = task.all_tiles - first_tile < task.tiles_of_part ? task.all_tiles - first_tile : task.tiles_of_part;

  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  unsigned char* shared = dynamic_shared();

  // What this thread copies: piece `piece` of every panel, at rows_of_thread pixels.
  const int piece = thread % 8, row = thread / 8;
  int at_n[rows_of_thread], at_oh[rows_of_thread], at_ow[rows_of_thread];
#pragma unroll
  for (int r = 0; r < rows_of_thread; ++r) {
    const std::int64_t pixel = static_cast<std::int64_t>(first_tile) * tile_pixels + row + r * rows_at_once;
    const std::int64_t line = pixel / task.ow;
    at_ow[r] = static_cast<int>(pixel - line * task.ow);
    at_n[r] = static_cast<int>(line / task.oh);
    at_oh[r] = static_cast<int>(line - static_cast<std::int64_t>(at_n[r]) * task.oh);
  }
  const Bf16* from_dy = task.dy + (static_cast<std::int64_t>(first_tile) * tile_pixels + row) * task.o;
  int channel[Tile::panels_o];  // those outside become the last ones: what they give is not stored
#pragma unroll
  for (int panel = 0; panel < Tile::panels_o; ++panel) {
    const int o = first_o + panel * panel_columns + piece * 8;
    channel[panel] = o < task.o ? o : task.o - 8;
  }
  int tap_h[Tile::panels_x], tap_w[Tile::panels_x], tap_offset[Tile::panels_x];  // from a pixel's (oh·stride, ow·stride)
#pragma unroll
  for (int panel = 0; panel < Tile::panels_x; ++panel) {
    const int column = first_column + panel * panel_columns + piece * 8;
    const int tap = column / task.c;
    tap_h[panel] = tap / task.kw * task.dilation_h - task.pad_h;
    tap_w[panel] = tap % task.kw * task.dilation_w - task.pad_w;
    tap_offset[panel] = (tap_h[panel] * task.w + tap_w[panel]) * task.c + column - tap * task.c;
    if (column >= task.columns) tap_h[panel] = -0x40000000;  // in no picture
  }
  const int place = row * 128 + (piece ^ (row % 8)) * 16;
  const auto copy = [&](int slot, int, bool wanted) {
    unsigned char* to = shared + slot * Tile::stage_bytes + place;
#pragma unroll
    for (int r = 0; r < rows_of_thread; ++r) {
      const bool there = wanted && at_n[r] < task.n;
#pragma unroll
      for (int panel = 0; panel < Tile::panels_o; ++panel)
        cp_async16(to + panel * panel_bytes + r * rows_at_once * 128,
                   from_dy + static_cast<std::int64_t>(r * rows_at_once) * task.o + channel[panel], there ? 16 : 0);
      const int h = there ? at_oh[r] * task.stride_h : -0x20000000, w = at_ow[r] * task.stride_w;
      const Bf16* from_x = task.x + (static_cast<std::int64_t>(at_n[r] * task.h + h) * task.w + w) * task.c;
#pragma unroll
      for (int panel = 0; panel < Tile::panels_x; ++panel) {
        unsigned char* piece_to = to + (Tile::panels_o + panel) * panel_bytes + r * rows_at_once * 128;
        const Bf16* piece_from = from_x + tap_offset[panel];
        const bool line_valid = static_cast<unsigned>(h + tap_h[panel]) < static_cast<unsigned>(task.h);
        const auto valid = [&](int further) {
          return line_valid && static_cast<unsigned>(w + tap_w[panel] + further) < static_cast<unsigned>(task.w);
        };
        if constexpr (pairs) {
          cp_async8(piece_to, piece_from, valid(0) ? 8 : 0);
          cp_async8(piece_to + 8, piece_from + task.dilation_w * 4, valid(task.dilation_w) ? 8 : 0);
        } else {
          cp_async16_cached(piece_to, piece_from, valid(0) ? 16 : 0);
        }
      }
      at_ow[r] += task.further_ow;
      at_oh[r] += task.further_oh;
      at_n[r] += task.further_n;
      if (at_ow[r] >= task.ow) at_ow[r] -= task.ow, ++at_oh[r];
      if (at_oh[r] >= task.oh) at_oh[r] -= task.oh, ++at_n[r];
    }
    from_dy += static_cast<std::int64_t>(tile_pixels) * task.o;
  };

  // Where this lane's rows for ldmatrix lie: pixels lane % 8 (and 8 further) of step 0.
  constexpr int warps_columns = Tile::tile_columns / Tile::warp_tile_columns;
  const int warp_o = warp / warps_columns * Tile::warp_tile_o, warp_column = warp % warps_columns * Tile::warp_tile_columns;
  const auto address = [&](int pixel, int column) {
    return column / panel_columns * panel_bytes + pixel * 128 + (column / 8 % 8 ^ pixel % 8) * 16;
  };
  int address_o[rows], address_x[columns / 2];
#pragma unroll
  for (int i = 0; i < rows; ++i) address_o[i] = address(lane % 8 + lane / 16 * 8, warp_o + i * 16 + lane / 8 % 2 * 8);
#pragma unroll
  for (int j = 0; j < columns / 2; ++j)
    address_x[j] = address(lane % 8 + lane / 8 % 2 * 8, warp_column + j * 16 + lane / 16 * 8) + Tile::panels_o * panel_bytes;
  const auto load = [&](Fragments<rows, columns>& f, int slot, int step) {
    const unsigned char* at = shared + slot * Tile::stage_bytes + step * 16 * 128;
#pragma unroll
    for (int i = 0; i < rows; ++i) ldmatrix_x4_transposed(f.a[i], at + address_o[i]);
#pragma unroll
    for (int j = 0; j < columns / 2; ++j) {
      std::uint32_t r[4];
      ldmatrix_x4_transposed(r, at + address_x[j]);
      f.b[2 * j][0] = r[0], f.b[2 * j][1] = r[1], f.b[2 * j + 1][0] = r[2], f.b[2 * j + 1][1] = r[3];
    }
  };

  float sums[rows][columns][4] = {};
  multiply_tiles<Tile::stages, tile_pixels / 16>(tiles, copy, load, sums);

  float* to = task.sums + static_cast<std::int64_t>(part) * task.o * task.columns;
#pragma unroll
  for (int i = 0; i < rows; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int o = first_o + warp_o + i * 16 + half * 8 + lane / 4;
#pragma unroll
      for (int j = 0; j < columns; ++j) {
        const int column = first_column + warp_column + j * 8 + lane % 4 * 2;
        if (o < task.o && column < task.columns)
          *reinterpret_cast<float2*>(to + static_cast<std::int64_t>(o) * task.columns + column) =
              make_float2(sums[i][j][half * 2], sums[i][j][half * 2 + 1]);
      }
    }
}

/// How the sums (parts, o, kh, padded_kw, padded_c) become dw (o, kh, kw, c).
struct AddTask {
  int parts, groups;                // groups of threads that share the parts of a result: a power of two up to 32
  std::int64_t part_size, units;    // numbers of a part; fours of numbers that are wanted
  int kw, padded_kw, c, padded_c;
  bool whole;                       // four neighbours are stored at once
};
constexpr int add_threads = 256;

/// dw = Σ over the parts, in double: each group of threads takes every groups-th part, then the groups are added in pairs.
__global__ void __launch_bounds__(add_threads)
    add_parts(const AddTask task, const float* __restrict__ sums, float* __restrict__ dw) {
  __shared__ double others[4][add_threads];
  const int thread = static_cast<int>(threadIdx.x), lanes = add_threads / task.groups, group = thread / lanes;
  const std::int64_t unit = static_cast<std::int64_t>(blockIdx.x) * lanes + thread % lanes;
  double sum[4] = {};
  if (unit < task.units) {
    const float* from = sums + unit * 4;
#pragma unroll 8
    for (int part = group; part < task.parts; part += task.groups) {
      const float4 four = *reinterpret_cast<const float4*>(from + part * task.part_size);
      sum[0] += static_cast<double>(four.x), sum[1] += static_cast<double>(four.y);
      sum[2] += static_cast<double>(four.z), sum[3] += static_cast<double>(four.w);
    }
  }
  for (int step = task.groups / 2; step > 0; step /= 2) {
    if (group >= step)
      for (int e = 0; e < 4; ++e) others[e][thread] = sum[e];
    __syncthreads();
    if (group < step)
      for (int e = 0; e < 4; ++e) sum[e] += others[e][thread + step * lanes];
    __syncthreads();
  }
  if (group > 0 || unit >= task.units) return;
  const std::int64_t tap = unit * 4 / task.padded_c, line = tap / task.padded_kw;
  const int channel = static_cast<int>(unit * 4 - tap * task.padded_c), v = static_cast<int>(tap - line * task.padded_kw);
  if (v >= task.kw) return;
  float* to = dw + (line * task.kw + v) * task.c + channel;
  if (task.whole) {
    *reinterpret_cast<float4*>(to) = make_float4(static_cast<float>(sum[0]), static_cast<float>(sum[1]),
                                                 static_cast<float>(sum[2]), static_cast<float>(sum[3]));
  } else {
    for (int e = 0; e < 4 && channel + e < task.c; ++e) to[e] = static_cast<float>(sum[e]);
  }
}

template <class Tile>
void start(WeightGradTask task, const WeightGradPlan& plan, bool pairs) {
  task.tiles_o = static_cast<int>(blocks_for(task.o, Tile::tile_o));
  task.tiles_columns = static_cast<int>(blocks_for(task.columns, Tile::tile_columns));
  launch("conv2d: weight gradient", pairs ? weight_grad_kernel<Tile, true> : weight_grad_kernel<Tile, false>,
         static_cast<unsigned>(plan.parts * task.tiles_o * task.tiles_columns), Tile::threads,
         static_cast<std::size_t>(Tile::stages * Tile::stage_bytes), task);
}

}  // namespace

void conv_weight_grad_bfloat16(const ConvShape& s, const WeightGradPlan& plan, const void* x, const void* dy, float* dw) {
  const char* op = "conv2d: weight gradient";
  const std::int64_t oh = s.oh(), ow = s.ow(), pixels = s.n * oh * ow;
  const WeightGradLayout layout(s);
  const AlignedRows rows_x(op, s.n * s.h * s.w, s.c, x, layout.pairs ? 4 : 8), rows_dy(op, pixels, s.o, dy);
  const bool whole_lines = layout.c == s.c && layout.kw == s.kw;
  const bool direct = plan.parts == 1 && whole_lines && layout.o == s.o && aligned16(dw);
  const Scratch<float> sums(direct ? 0 : plan.parts * layout.o * layout.columns);

  WeightGradTask task{};
  task.x = rows_x.data(), task.dy = rows_dy.data(), task.sums = direct ? dw : sums.data();
  const auto whole = [](std::int64_t i) { return static_cast<int>(i); };
  task.n = whole(s.n), task.h = whole(s.h), task.w = whole(s.w), task.c = whole(layout.c), task.o = whole(layout.o);
  task.kw = whole(layout.kw), task.oh = whole(oh), task.ow = whole(ow), task.columns = whole(layout.columns);
  task.stride_h = whole(s.stride_h), task.stride_w = whole(s.stride_w), task.pad_h = whole(s.pad_h), task.pad_w = whole(s.pad_w);
  task.dilation_h = whole(s.dilation_h), task.dilation_w = whole(s.dilation_w);
  task.further_n = whole(tile_pixels / (oh * ow));
  task.further_oh = whole(tile_pixels % (oh * ow) / ow), task.further_ow = whole(tile_pixels % (oh * ow) % ow);
  task.tiles_of_part = whole(plan.tiles_of_part), task.all_tiles = whole(blocks_for(pixels, tile_pixels));
  with_tile(plan.kind, [&](auto tile) { start<decltype(tile)>(task, plan, layout.pairs); });
  if (direct) return;
  AddTask add{};
  add.parts = whole(plan.parts), add.groups = 1, add.part_size = layout.o * layout.columns, add.units = s.o * layout.columns / 4;
  add.kw = whole(s.kw), add.padded_kw = whole(layout.kw), add.c = whole(s.c), add.padded_c = whole(layout.c);
  add.whole = layout.c == s.c && aligned16(dw);
  // Where results are few, more threads share one, as long as each has some parts.
  while (add.groups < 32 && add.groups * 8 <= add.parts && add.units * add.groups < multiprocessors() * 1024) add.groups *= 2;
  const auto blocks = static_cast<unsigned>(blocks_for(add.units, add_threads / add.groups));
  launch(op, add_parts, blocks, add_threads, 0, add, sums.data(), dw);
}

bool conv_weight_grad_bfloat16(const ConvShape& s, const void* x, const void* dy, float* dw) {
  const WeightGradPlan plan = plan_weight_grad(s);
  if (plan.parts < 1) return false;
  conv_weight_grad_bfloat16(s, plan, x, dy, dw);
  return true;
}

}  // namespace sslcake::inline v0::kernels::cuda
