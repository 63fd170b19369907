// Batch normalisation's passes over pictures (rows, channels), forward: moments, coefficients, scale and shift. norm.hpp says
// what each computes, channel_rows.cuh how the passes are laid out. All are bound by memory.
//
// Moments: one of each kind per thread, of x - the thread's first row, combined pairwise in the block, then block by block in
// float64 in a second kernel, both as by Chan, Golub and LeVeque ("Updating formulae and a pairwise algorithm for computing
// sample variances", 1979), so that nothing cancels.
//
// Scale and shift walk upwards: whoever read or wrote the rows before ended with the last ones, which are still in the L2 cache.
#include "norm.hpp"

#include "channel_rows.cuh"
#include "instructions.cuh"
#include "launch.cuh"
#include "norm_parts.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace norm_parts {
namespace {

constexpr int moments_unroll = 4;
constexpr int affine_unroll = 4, residual_unroll = 2;

// --- moments -----------------------------------------------------------------------------------------------------------
template <class S, int V>
__global__ void __launch_bounds__(threads, 4) moments_kernel(std::int64_t rows, std::int64_t channels, std::int64_t tiles,
                                                             int width, int height, const S* __restrict__ x, float* partial) {
  constexpr int unroll = moments_unroll;
  __shared__ float store[threads / 2 * (2 * V + 1)];
  const Place<V, unroll> at(rows, channels, tiles, width, height);
  float origin[V] = {}, sum[V] = {}, square[V] = {};  // of x - origin: the thread's first row
  float count = 0;
  if (at.active) {
    if (const std::int64_t first = at.row(blockIdx.y); first < rows) {
      Packet<S, V> packet;
      packet.load(x + first * channels + at.channel);
      packet.widen_to(origin);
    }
    for (std::int64_t tile = blockIdx.y; tile < tiles; tile += gridDim.y) {
      const std::int64_t row = at.row(tile);
      const S* from = x + row * channels + at.channel;
      Packet<S, V> packets[unroll];
#pragma unroll
      for (int u = 0; u < unroll; ++u)
        if (row + u * height < rows) packets[u].load(from + u * height * channels);
#pragma unroll
      for (int u = 0; u < unroll; ++u)
        if (row + u * height < rows) {
          float value[V];
          packets[u].widen_to(value);
          count += 1;
#pragma unroll
          for (int i = 0; i < V; ++i) {
            const float off = value[i] - origin[i];
            sum[i] += off;
            square[i] = fmaf(off, off, square[i]);
          }
        }
    }
  }
  float mine[2 * V + 1];  // means, sums of squared deviations, and of how many rows
  mine[2 * V] = count;
  const float share = count > 0 ? 1 / count : 0;
#pragma unroll
  for (int i = 0; i < V; ++i) {
    const float shift = sum[i] * share;
    mine[i] = origin[i] + shift;
    mine[V + i] = square[i] - shift * sum[i];
    if (mine[V + i] < 0) mine[V + i] = 0;
  }
  over_lanes(mine, width, height, at.column, at.lane, store, [](float(&a)[2 * V + 1], const float(&b)[2 * V + 1]) {
    const float both = a[2 * V] + b[2 * V], weight = both > 0 ? b[2 * V] / both : 0;
#pragma unroll
    for (int i = 0; i < V; ++i) {
      const float apart = b[i] - a[i];
      if (b[2 * V] == 0) continue;
      a[i] = fmaf(apart, weight, a[i]);
      a[V + i] += fmaf(apart * apart, a[2 * V] * weight, b[V + i]);
    }
    a[2 * V] = both;
  });
  if (at.lane == 0 && at.active) {
    float* to = partial + 2 * static_cast<std::int64_t>(blockIdx.y) * channels + at.channel;
    float means[V], squares[V];
#pragma unroll
    for (int i = 0; i < V; ++i) means[i] = mine[i], squares[i] = mine[V + i];
    store_floats(to, means);
    store_floats(to + channels, squares);
  }
}

__global__ void __launch_bounds__(threads)
    finish_moments(const float* partial, std::int64_t rows, std::int64_t channels, std::int64_t tiles, std::int64_t tile_rows,
                   std::int64_t blocks, float* mean, float* variance) {
  __shared__ double scratch[64];
  const std::int64_t channel = static_cast<std::int64_t>(blockIdx.x) * total_channels + threadIdx.x % total_channels;
  const std::int64_t first = threadIdx.x / total_channels, step = threads / total_channels;
  const double share = 1 / static_cast<double>(rows);
  double sum = 0, square = 0;
  if (channel < channels)
    for (std::int64_t k = first; k < blocks; k += step)
      sum += static_cast<double>(rows_of_block(rows, tiles, tile_rows, k, blocks)) *
             static_cast<double>(partial[2 * k * channels + channel]);
  const double center = lanes_total(sum, scratch) * share;
  if (channel < channels)
    for (std::int64_t k = first; k < blocks; k += step) {
      const double apart = static_cast<double>(partial[2 * k * channels + channel]) - center;
      square += static_cast<double>(partial[(2 * k + 1) * channels + channel]) +
                static_cast<double>(rows_of_block(rows, tiles, tile_rows, k, blocks)) * apart * apart;
    }
  square = lanes_total(square, scratch) * share;
  if (channel < channels && threadIdx.x < total_channels) {
    mean[channel] = static_cast<float>(center);
    variance[channel] = static_cast<float>(square);
  }
}

template <class S, int V>
void moments_with(std::int64_t rows, std::int64_t channels, const S* x, float* mean, float* variance) {
  const Layout n(rows, channels, V, moments_unroll, 4, true);
  const std::int64_t blocks = n.grid.y;
  const Scratch<float> partial(2 * blocks * channels);
  launch("channel_moments", moments_kernel<S, V>, n.grid, dim3(threads), 0, rows, channels, n.tiles, n.width, n.height, x,
         partial.data());
  launch("channel_moments", finish_moments, dim3(static_cast<unsigned>(blocks_for(channels, total_channels))), dim3(threads), 0,
         partial.data(), rows, channels, n.tiles, static_cast<std::int64_t>(n.height) * moments_unroll, blocks, mean, variance);
}

void channel_moments(DType type, std::int64_t rows, std::int64_t channels, const void* x, float* mean, float* variance) {
  if (rows < 1 || channels < 1) return;
  with_type(type, [&](auto zero) {
    using S = decltype(zero);
    constexpr int V = 16 / static_cast<int>(sizeof(S));
    if (channels % V == 0 && aligned(x)) moments_with<S, V>(rows, channels, static_cast<const S*>(x), mean, variance);
    else moments_with<S, 1>(rows, channels, static_cast<const S*>(x), mean, variance);
  });
}

// --- coefficients --------------------------------------------------------------------------------------------------------
__global__ void __launch_bounds__(threads) coefficients_kernel(std::int64_t channels, const ChannelCoefficients k) {
  const std::int64_t c = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (c == 0 && k.counter) ++*k.counter;
  if (c >= channels) return;
  const double mean = static_cast<double>(k.mean[c]), variance = static_cast<double>(k.variance[c]);
  const double inverse = 1 / sqrt(variance + k.eps), scale = k.gamma ? static_cast<double>(k.gamma[c]) * inverse : inverse;
  k.mean_kept[c] = k.mean[c];
  k.inverse_deviation[c] = static_cast<float>(inverse);
  k.scale[c] = static_cast<float>(scale);
  k.shift[c] = static_cast<float>((k.beta ? static_cast<double>(k.beta[c]) : 0.0) - mean * scale);
  if (k.running_mean) {
    const double unbiased = variance * (static_cast<double>(k.rows) / static_cast<double>(k.rows - 1));
    k.running_mean[c] = static_cast<float>((1 - k.momentum) * static_cast<double>(k.running_mean[c]) + k.momentum * mean);
    k.running_var[c] = static_cast<float>((1 - k.momentum) * static_cast<double>(k.running_var[c]) + k.momentum * unbiased);
  }
}

void channel_coefficients(std::int64_t channels, const ChannelCoefficients& arguments) {
  if (channels < 1) return;
  launch("channel_coefficients", coefficients_kernel, dim3(static_cast<unsigned>(blocks_for(channels, threads))), dim3(threads),
         0, channels, arguments);
}

// --- y = x·scale + shift (+ residual) -----------------------------------------------------------------------------------
template <class S, int V, bool relu, bool with_residual>
__global__ void __launch_bounds__(threads, 4)
    affine_kernel(std::int64_t rows, std::int64_t channels, std::int64_t tiles, int width, int height, const S* x,
                  const float* scale, const float* shift, const S* residual, S* y) {
  constexpr int unroll = with_residual ? residual_unroll : affine_unroll;
  const Place<V, unroll> at(rows, channels, tiles, width, height);
  if (!at.active) return;
  float a[V], b[V];
  load_floats(a, scale + at.channel);
  load_floats(b, shift + at.channel);
  for (std::int64_t tile = tiles - 1 - blockIdx.y; tile >= 0; tile -= gridDim.y) {
    const std::int64_t row = at.row(tile), from = row * channels + at.channel, step = height * channels;
    Packet<S, V> packets[unroll], more[with_residual ? unroll : 1];
#pragma unroll
    for (int u = 0; u < unroll; ++u)
      if (row + u * height < rows) {
        packets[u].load(x + from + u * step);
        if constexpr (with_residual) more[u].load(residual + from + u * step);
      }
#pragma unroll
    for (int u = 0; u < unroll; ++u)
      if (row + u * height < rows) {
        float value[V], added[V];
        packets[u].widen_to(value);
        if constexpr (with_residual) more[u].widen_to(added);
#pragma unroll
        for (int i = 0; i < V; ++i) {
          value[i] = fmaf(value[i], a[i], b[i]);
          if constexpr (with_residual) value[i] += added[i];
          if constexpr (relu) value[i] = value[i] < 0 ? 0 : value[i];  // NaN stays NaN
        }
        Packet<S, V>::store(y + from + u * step, value);
      }
  }
}

template <class S, int V>
void affine_with(std::int64_t rows, std::int64_t channels, const S* x, const float* scale, const float* shift, const S* residual,
                 bool relu, S* y) {
  const Layout n(rows, channels, V, residual ? residual_unroll : affine_unroll, 12, false);
  const auto run = [&](auto* kernel) {
    launch("channel_affine", kernel, n.grid, dim3(threads), 0, rows, channels, n.tiles, n.width, n.height, x, scale, shift,
           residual, y);
  };
  if (residual) relu ? run(affine_kernel<S, V, true, true>) : run(affine_kernel<S, V, false, true>);
  else relu ? run(affine_kernel<S, V, true, false>) : run(affine_kernel<S, V, false, false>);
}

void channel_affine(DType type, std::int64_t rows, std::int64_t channels, const void* x, const float* scale, const float* shift,
                    const void* residual, bool relu, void* y) {
  if (rows < 1 || channels < 1) return;
  with_type(type, [&](auto zero) {
    using S = decltype(zero);
    constexpr int V = 16 / static_cast<int>(sizeof(S));
    const auto *from = static_cast<const S*>(x), *more = static_cast<const S*>(residual);
    if (channels % V == 0 && all_aligned(x, scale, shift, residual, y))
      affine_with<S, V>(rows, channels, from, scale, shift, more, relu, static_cast<S*>(y));
    else affine_with<S, 1>(rows, channels, from, scale, shift, more, relu, static_cast<S*>(y));
  });
}

}  // namespace
}  // namespace norm_parts

void install(Norm& table) {
  table.channel_moments = norm_parts::channel_moments;
  table.channel_coefficients = norm_parts::channel_coefficients;
  table.channel_affine = norm_parts::channel_affine;
  norm_parts::install_channel_gradients(table);
  norm_parts::install_layer_norm(table);
  norm_parts::install_group_norm(table);
}

}  // namespace sslcake::inline v0::kernels::cuda
