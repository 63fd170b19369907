// Attention: which kernel runs, and with how many rows in a block. attention.hpp says what is computed.
#include "attention.hpp"

#include <algorithm>

#include "attention_simple.cuh"
#include "attention_tiles.cuh"
#include "launch.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

constexpr const char* op = "attention";

/// along (head, row) = y·dy, which is Σ_j P_ij dP_ij. One warp for each.
template <class S>
__global__ void __launch_bounds__(256) along_kernel(AttentionSizes z, const S* y, const S* dy, float* along) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * 8 + threadIdx.x / 32;
  if (at >= z.batch * z.heads * z.tokens) return;
  const std::int64_t head = at / z.tokens, offset = result_offset(z, head) + at % z.tokens * z.heads * z.d;
  float sum = 0;
  for (std::int64_t k = threadIdx.x % 32; k < z.d; k += 32) sum += widen(y[offset + k]) * widen(dy[offset + k]);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) along[at] = sum;
}

/// How the rows of a head are cut: as few blocks as hold them, of as many warps as then are needed.
struct Cut {
  Cut(const AttentionSizes& z, int most_warps) {
    const std::int64_t groups = blocks_for(z.tokens, 16);
    blocks = static_cast<int>(blocks_for(groups, most_warps));
    warps = static_cast<int>(blocks_for(groups, blocks));
    grid = static_cast<unsigned>(z.batch * z.heads * blocks);
  }
  int blocks, warps;
  unsigned grid;
};

/// Calls body(AttentionTile<d>{}) where tensor cores can take it; returns whether they can.
template <class Body>
bool with_tile(DType dtype, const AttentionSizes& z, std::initializer_list<const void*> tensors, const Body& body) {
  if (dtype != DType::bfloat16) return false;
  for (const void* t : tensors)
    if (reinterpret_cast<std::uintptr_t>(t) % 16 != 0) return false;
  switch (z.d) {
    case 32: body(AttentionTile<32>{}); return true;
    case 64: body(AttentionTile<64>{}); return true;
    case 96: body(AttentionTile<96>{}); return true;
    case 128: body(AttentionTile<128>{}); return true;
    default: return false;
  }
}

template <int n>
struct Pieces {
  static constexpr int value = n;
};
/// Calls body(S{}, Pieces<numbers of a lane>{}).
template <class Body>
void with_pieces(DType dtype, const AttentionSizes& z, const Body& body) {
  const auto typed = [&](auto zero) {
    if (z.d <= 32) body(zero, Pieces<1>{});
    else if (z.d <= 64) body(zero, Pieces<2>{});
    else if (z.d <= 128) body(zero, Pieces<4>{});
    else body(zero, Pieces<8>{});
  };
  if (dtype == DType::bfloat16) typed(Bf16{});
  else typed(float{});
}

void forward(DType dtype, AttentionSizes z, float scale, const void* qkv, void* y, float* logs) {
  if (with_tile(dtype, z, {qkv, y}, [&](auto tile) {
        using Tile = decltype(tile);
        const Cut cut(z, Tile::most_warps);
        const std::size_t shared =
            static_cast<std::size_t>(std::max(Tile::size(16 * cut.warps), 4 * Tile::size(Tile::forward_columns))) * 2;
        launch(op, attention_forward_kernel<Tile>, cut.grid, static_cast<unsigned>(32 * cut.warps), shared, z, cut.blocks, scale,
               static_cast<const Bf16*>(qkv), static_cast<Bf16*>(y), logs);
      }))
    return;
  with_pieces(dtype, z, [&](auto zero, auto pieces) {
    using S = decltype(zero);
    const std::int64_t blocks = blocks_for(z.tokens, SimpleTile::rows);
    launch(op, simple_forward_kernel<S, decltype(pieces)::value>, static_cast<unsigned>(z.batch * z.heads * blocks),
           32 * SimpleTile::warps, SimpleTile::shared_bytes(z.d), z, static_cast<int>(blocks), scale, static_cast<const S*>(qkv),
           static_cast<S*>(y), logs);
  });
}

void backward(DType dtype, AttentionSizes z, float scale, const void* qkv, const void* y, const void* dy, const float* logs,
              void* dqkv) {
  const std::int64_t rows = z.batch * z.heads * z.tokens;
  const Scratch<float> along(rows);
  const auto grid = static_cast<unsigned>(blocks_for(rows, 8));
  if (dtype == DType::bfloat16)
    launch(op, along_kernel<Bf16>, grid, 256, 0, z, static_cast<const Bf16*>(y), static_cast<const Bf16*>(dy), along.data());
  else
    launch(op, along_kernel<float>, grid, 256, 0, z, static_cast<const float*>(y), static_cast<const float*>(dy), along.data());

  if (with_tile(dtype, z, {qkv, dy, dqkv}, [&](auto tile) {
        using Tile = decltype(tile);
        const Cut cut(z, Tile::most_warps);
        const std::size_t shared =
            static_cast<std::size_t>(2 * Tile::size(16 * cut.warps) + 4 * Tile::size(Tile::backward_columns)) * 2 +
            static_cast<std::size_t>(4 * Tile::backward_columns) * 4;
        const auto start = [&](auto kernel) {
          launch(op, kernel, cut.grid, static_cast<unsigned>(32 * cut.warps), shared, z, cut.blocks, scale,
                 static_cast<const Bf16*>(qkv), static_cast<const Bf16*>(dy), logs, along.data(), static_cast<Bf16*>(dqkv));
        };
        start(&attention_backward_kernel<Tile, false>);
        start(&attention_backward_kernel<Tile, true>);
      }))
    return;
  with_pieces(dtype, z, [&](auto zero, auto pieces) {
    using S = decltype(zero);
    const std::int64_t blocks = blocks_for(z.tokens, SimpleTile::rows);
    const auto start = [&](auto kernel) {
      launch(op, kernel, static_cast<unsigned>(z.batch * z.heads * blocks), 32 * SimpleTile::warps, SimpleTile::shared_bytes(z.d),
             z, static_cast<int>(blocks), scale, static_cast<const S*>(qkv), static_cast<const S*>(dy), logs, along.data(),
             static_cast<S*>(dqkv));
    };
    start(&simple_backward_kernel<S, decltype(pieces)::value, false>);
    start(&simple_backward_kernel<S, decltype(pieces)::value, true>);
  });
}

}  // namespace

void install(Attention& table) {
  table.forward = forward;
  table.backward = backward;
}

}  // namespace sslcake::inline v0::kernels::cuda
