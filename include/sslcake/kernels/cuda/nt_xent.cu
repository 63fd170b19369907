// The kernels of NT-Xent; nt_xent.hpp says what each computes, nt_xent_tiles.cuh how products are made.
//
// Forward, every row keeps the largest similarity so far and the sum of exponentials below it (Milakov and Gimelshein, 2018,
// arXiv 1805.02867), the partner apart. Backward, P_ij and P_ji both follow from s_ij and the two rows' logarithms, so that each
// block needs only its own rows' gradients: nothing is added by several blocks to one place. Where there are few rows, columns
// are cut into chunks, whose results are added in order.
#include "nt_xent.hpp"

#include <algorithm>

#include "launch.cuh"
#include "nt_xent_tiles.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

/// One warp for each row.
__global__ void __launch_bounds__(128)
    scale_kernel(std::int64_t rows, std::int64_t d, float root, bool normalize, const float* z, float* v, float* norms) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * 4 + threadIdx.x / 32;
  if (row >= rows) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float largest = 0, squares = 0;  // beside the largest, squares neither overflow nor vanish
  for (std::int64_t k = lane; k < d; k += 32) largest = fmaxf(largest, fabsf(z[row * d + k]));
  largest = warp_max(largest);
  const float unit = largest > 0 ? largest : 1;
  for (std::int64_t k = lane; k < d; k += 32) {
    const float x = z[row * d + k] / unit;
    squares += x * x;
  }
  const float length = unit * sqrtf(warp_sum(squares)), norm = normalize ? (length < 1e-12f ? 1e-12f : length) : 1.0f;
  for (std::int64_t k = lane; k < d; k += 32) v[row * d + k] = z[row * d + k] / norm * root;
  if (lane == 0) norms[row] = norm;
}

/// split (parts, padded, width) of v (rows, d).
__global__ void __launch_bounds__(256) split_kernel(std::int64_t rows, std::int64_t d, std::int64_t padded, std::int64_t width,
                                                    int parts, const float* v, Bf16* split) {
  const std::int64_t count = padded * width, stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
    const std::int64_t row = i / width, k = i % width;
    float rest = row < rows && k < d ? v[row * d + k] : 0;
    for (int p = 0; p < parts; ++p) {
      const Bf16 part = narrow<Bf16>(rest);
      split[p * count + i] = part;
      rest -= widen(part);
    }
  }
}

/// What each row knows, from its chunks; and of each block's rows the sum of losses and how many partners were found.
__global__ void __launch_bounds__(256)
    rows_kernel(std::int64_t rows, int chunks, const float* max, const float* sum, const float* positives, float* log_sums,
                float* partner_weights, double* losses, double* found) {
  __shared__ double scratch[33];
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  double loss = 0, agreed = 0;
  if (row < rows) {
    float most = max[row];
    for (int c = 1; c < chunks; ++c) most = fmaxf(most, max[c * rows + row]);
    double all = 0;
    for (int c = 0; c < chunks; ++c)
      all += static_cast<double>(sum[c * rows + row]) * exp(static_cast<double>(max[c * rows + row]) - static_cast<double>(most));
    // log Σ exp(s) - positive, where the sum runs over the negatives and the positive; near 0 without cancellation.
    const double positive = static_cast<double>(positives[row]), ahead = positive - static_cast<double>(most);
    loss = ahead > 0 ? log1p(all * exp(-ahead)) : log(all + exp(ahead)) - ahead;
    log_sums[row] = static_cast<float>(positive + loss);
    partner_weights[row] = static_cast<float>(expm1(-loss));
    agreed = positives[row] > most ? 1 : 0;
  }
  const double block_loss = block_sum(loss, scratch), block_agreed = block_sum(agreed, scratch);
  if (threadIdx.x == 0) losses[blockIdx.x] = block_loss, found[blockIdx.x] = block_agreed;
}

__global__ void __launch_bounds__(256) means_kernel(std::int64_t rows, std::int64_t blocks, const double* losses,
                                                    const double* found, float* loss, float* agreement) {
  __shared__ double scratch[33];
  double mine = 0, agreed = 0;
  for (std::int64_t i = threadIdx.x; i < blocks; i += blockDim.x) mine += losses[i], agreed += found[i];
  mine = block_sum(mine, scratch);
  agreed = block_sum(agreed, scratch);
  if (threadIdx.x == 0) {
    *loss = static_cast<float>(mine / static_cast<double>(rows));
    *agreement = static_cast<float>(agreed / static_cast<double>(rows));
  }
}

/// dz from dv, (chunks, rows, d), in place where that is dz: divided by √temperature and, behind a normalisation,
/// dz = (du - u (u·du)) / |z|, all times loss_grad / 2N. One warp for each row.
__global__ void __launch_bounds__(128)
    unscale_kernel(std::int64_t rows, std::int64_t d, int chunks, float temperature, float root, bool normalize, const float* v,
                   const float* norms, const float* loss_grad, const float* dv, float* dz) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * 4 + threadIdx.x / 32;
  if (row >= rows) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float along = 0;  // v·dv = u·du
  for (std::int64_t k = lane; k < d; k += 32) {
    float x = dv[row * d + k];
    for (int c = 1; c < chunks; ++c) x += dv[(c * rows + row) * d + k];
    dz[row * d + k] = x;
    along += v[row * d + k] * x;
  }
  const float norm = norms[row];
  const float back = normalize && norm > 1e-12f ? warp_sum(along) * temperature : 0;
  const float scale = static_cast<float>(static_cast<double>(*loss_grad) / static_cast<double>(rows)) / norm * root;
  for (std::int64_t k = lane; k < d; k += 32) dz[row * d + k] = (dz[row * d + k] - v[row * d + k] * back) * scale;
}

float root_of(double temperature) { return static_cast<float>(1 / std::sqrt(temperature)); }

/// Calls body(Shape{}) with the shape for this width.
template <class Body>
void with_shape(std::int64_t d, bool precise, const Body& body) {
  if (precise || d > 128) body(SimilarityShape<128, true>{});
  else if (d > 64) body(SimilarityShape<128, false>{});
  else if (d > 32) body(SimilarityShape<64, false>{});
  else body(SimilarityShape<32, false>{});
}

/// Into how many chunks columns are cut: as many as give every multiprocessor two blocks.
template <class Shape>
int chunks_of(std::int64_t rows) {
  const std::int64_t row_blocks = blocks_for(rows, Shape::rows), tiles = blocks_for(rows, Shape::columns);
  const std::int64_t wanted = std::clamp<std::int64_t>(2 * multiprocessors() / row_blocks, 1, tiles);
  return static_cast<int>(blocks_for(tiles, blocks_for(tiles, wanted)));
}

/// v in parts, and the arguments and the grid that forward and backward share.
template <class Shape>
struct Tiles {
  Tiles(std::int64_t rows, std::int64_t d, const float* v)
      : chunks(chunks_of<Shape>(rows)),
        padded(blocks_for(rows, 128) * 128),
        panels(static_cast<int>(std::max<std::int64_t>(blocks_for(d, Shape::panel), 1))),
        split(Shape::parts * padded * panels * Shape::panel),
        grid(static_cast<unsigned>(blocks_for(rows, Shape::rows)), static_cast<unsigned>(chunks), 1) {
    const std::int64_t width = static_cast<std::int64_t>(panels) * Shape::panel;
    launch("nt_xent", split_kernel, striding_blocks(padded * width, 256 * 4), 256, 0, rows, d, padded, width, Shape::parts, v,
           split.data());
    arguments.split = split.data();
    arguments.rows = rows;
    arguments.padded = padded;
    arguments.panels = panels;
    arguments.tiles_per_chunk = static_cast<int>(blocks_for(blocks_for(rows, Shape::columns), chunks));
    arguments.d = d;
  }
  int chunks;
  std::int64_t padded;
  int panels;
  Scratch<Bf16> split;
  dim3 grid;
  SimilarityArguments arguments{};
};

void scale(std::int64_t rows, std::int64_t d, double temperature, bool normalize, const float* z, float* v, float* norms) {
  launch("nt_xent", scale_kernel, static_cast<unsigned>(blocks_for(rows, 4)), 128, 0, rows, d, root_of(temperature), normalize, z,
         v, norms);
}

void forward(std::int64_t rows, std::int64_t d, bool precise, const float* v, float* log_sums, float* partner_weights,
             float* loss, float* agreement) {
  with_shape(d, precise, [&](auto shape) {
    using Shape = decltype(shape);
    Tiles<Shape> tiles(rows, d, v);
    const Scratch<float> max(tiles.chunks * rows), sum(tiles.chunks * rows), positive(rows);
    tiles.arguments.max = max.data();
    tiles.arguments.sum = sum.data();
    tiles.arguments.positive = positive.data();
    launch("nt_xent", tiles_kernel<Shape, false>, tiles.grid, Shape::threads, Shape::shared_bytes, tiles.arguments);
    const std::int64_t blocks = blocks_for(rows, 256);
    const Scratch<double> losses(blocks), found(blocks);
    launch("nt_xent", rows_kernel, static_cast<unsigned>(blocks), 256, 0, rows, tiles.chunks, max.data(), sum.data(),
           positive.data(), log_sums, partner_weights, losses.data(), found.data());
    launch("nt_xent", means_kernel, 1, 256, 0, rows, blocks, losses.data(), found.data(), loss, agreement);
  });
}

void backward(std::int64_t rows, std::int64_t d, bool precise, double temperature, bool normalize, const float* v,
              const float* norms, const float* log_sums, const float* partner_weights, const float* loss_grad, float* dz) {
  with_shape(d, precise, [&](auto shape) {
    using Shape = decltype(shape);
    Tiles<Shape> tiles(rows, d, v);
    const Scratch<float> partial(tiles.chunks > 1 ? tiles.chunks * rows * d : 0);
    tiles.grid.z = static_cast<unsigned>(tiles.panels);
    tiles.arguments.log_sums = log_sums;
    tiles.arguments.partner_weights = partner_weights;
    tiles.arguments.dv = tiles.chunks > 1 ? partial.data() : dz;
    launch("nt_xent", tiles_kernel<Shape, true>, tiles.grid, Shape::threads, Shape::shared_bytes, tiles.arguments);
    launch("nt_xent", unscale_kernel, static_cast<unsigned>(blocks_for(rows, 4)), 128, 0, rows, d, tiles.chunks,
           static_cast<float>(temperature), root_of(temperature), normalize, v, norms, loss_grad, tiles.arguments.dv, dz);
  });
}

}  // namespace

void install(NtXent& table) {
  table.scale = scale;
  table.forward = forward;
  table.backward = backward;
}

}  // namespace sslcake::inline v0::kernels::cuda
