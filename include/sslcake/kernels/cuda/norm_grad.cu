// The gradient of batch normalisation (and of the ReLU behind it) over pictures (rows, channels): the pass that sums, and the one
// that writes dz. norm.hpp says what each computes, channel_rows.cuh how they are laid out. Both are bound by memory.
//
// Sums are float32 in a thread (at most 256 rows) and pairwise in its block, then float64 block by block in a second kernel,
// which makes the coefficients of the second pass right away. That pass walks upwards: what the first read last is still in the
// cache.
#include "channel_rows.cuh"
#include "instructions.cuh"
#include "launch.cuh"
#include "norm.hpp"
#include "norm_parts.cuh"

namespace sslcake::inline v0::kernels::cuda::norm_parts {
namespace {

constexpr int unroll = 2;
enum class MaskBy { none, result, recomputing };

// --- sums ----------------------------------------------------------------------------------------------------------------
template <class S>
struct SumsArguments {
  const S *dy, *z, *result;
  const float *mean, *scale, *shift;
  S* masked;
};

template <class S, int V, MaskBy by>
__global__ void __launch_bounds__(threads, 3) grad_sums_kernel(std::int64_t rows, std::int64_t channels, std::int64_t tiles,
                                                               int width, int height, const SumsArguments<S> k, float* partial) {
  __shared__ float store[threads / 2 * 2 * V];
  const Place<V, unroll> at(rows, channels, tiles, width, height);
  float sums[2 * V] = {};  // Σ g, then Σ g·(z - mean)
  if (at.active) {
    float mean[V], scale[V], shift[V];
    load_floats(mean, k.mean + at.channel);
    if constexpr (by == MaskBy::recomputing) {
      load_floats(scale, k.scale + at.channel);
      load_floats(shift, k.shift + at.channel);
    }
    const std::int64_t step = height * channels;
    for (std::int64_t tile = blockIdx.y; tile < tiles; tile += gridDim.y) {
      const std::int64_t row = at.row(tile), from = row * channels + at.channel;
      Packet<S, V> gradients[unroll], inputs[unroll], results[by == MaskBy::result ? unroll : 1];
#pragma unroll
      for (int u = 0; u < unroll; ++u)
        if (row + u * height < rows) {
          gradients[u].load(k.dy + from + u * step);
          inputs[u].load(k.z + from + u * step);
          if constexpr (by == MaskBy::result) results[u].load(k.result + from + u * step);
        }
#pragma unroll
      for (int u = 0; u < unroll; ++u)
        if (row + u * height < rows) {
          float g[V], z[V], y[V];
          gradients[u].widen_to(g);
          inputs[u].widen_to(z);
          if constexpr (by == MaskBy::result) results[u].widen_to(y);
#pragma unroll
          for (int i = 0; i < V; ++i) {
            if constexpr (by == MaskBy::recomputing) y[i] = fmaf(z[i], scale[i], shift[i]);
            if constexpr (by != MaskBy::none) g[i] = y[i] > 0 ? g[i] : 0;
            sums[i] += g[i];
            sums[V + i] = fmaf(g[i], z[i] - mean[i], sums[V + i]);
          }
          if constexpr (by == MaskBy::result) Packet<S, V>::store(k.masked + from + u * step, g);
        }
    }
  }
  over_lanes(sums, width, height, at.column, at.lane, store, [](float(&a)[2 * V], const float(&b)[2 * V]) {
#pragma unroll
    for (int i = 0; i < 2 * V; ++i) a[i] += b[i];
  });
  if (at.lane == 0 && at.active) {
    float* to = partial + 2 * static_cast<std::int64_t>(blockIdx.y) * channels + at.channel;
    float first[V], second[V];
#pragma unroll
    for (int i = 0; i < V; ++i) first[i] = sums[i], second[i] = sums[V + i];
    store_floats(to, first);
    store_floats(to + channels, second);
  }
}

__global__ void __launch_bounds__(threads)
    finish_sums(const float* partial, std::int64_t count, std::int64_t rows, std::int64_t channels, const ChannelGradient k) {
  __shared__ double scratch[64];
  const std::int64_t c = static_cast<std::int64_t>(blockIdx.x) * total_channels + threadIdx.x % total_channels;
  double sum, product_sum;
  total_of(partial, count, channels, c, scratch, sum, product_sum);
  if (c >= channels || threadIdx.x >= total_channels) return;
  const double inverse = static_cast<double>(k.inverse_deviation[c]),
               factor = k.gamma ? static_cast<double>(k.gamma[c]) * inverse : inverse;
  const double share = k.of_batch ? factor / static_cast<double>(rows) : 0, b = -share * inverse * inverse * product_sum;
  k.dgamma[c] = static_cast<float>(product_sum * inverse);
  k.dbeta[c] = static_cast<float>(sum);
  k.a[c] = static_cast<float>(factor);
  k.b[c] = static_cast<float>(b);
  k.d[c] = k.of_batch ? static_cast<float>(-share * sum - b * static_cast<double>(k.mean[c])) : 0;
}

template <class S, int V>
void grad_sums_with(std::int64_t rows, std::int64_t channels, const SumsArguments<S>& k, const ChannelGradient& gradient) {
  constexpr const char* op = "channel_grad_sums";
  const Layout n(rows, channels, V, unroll, 3, true);
  const Scratch<float> partial(2 * static_cast<std::int64_t>(n.grid.y) * channels);
  const auto run = [&](auto* kernel) {
    launch(op, kernel, n.grid, dim3(threads), 0, rows, channels, n.tiles, n.width, n.height, k, partial.data());
  };
  if (k.result) run(grad_sums_kernel<S, V, MaskBy::result>);
  else if (k.scale) run(grad_sums_kernel<S, V, MaskBy::recomputing>);
  else run(grad_sums_kernel<S, V, MaskBy::none>);
  launch(op, finish_sums, dim3(static_cast<unsigned>(blocks_for(channels, total_channels))), dim3(threads), 0, partial.data(),
         static_cast<std::int64_t>(n.grid.y), rows, channels, gradient);
}

void channel_grad_sums(DType type, std::int64_t rows, std::int64_t channels, const void* dy, const void* z,
                       const ChannelReluMask& mask, void* masked, const ChannelGradient& gradient) {
  if (rows < 1 || channels < 1) return;
  with_type(type, [&](auto zero) {
    using S = decltype(zero);
    constexpr int V = 16 / static_cast<int>(sizeof(S));
    const SumsArguments<S> k{static_cast<const S*>(dy),
                             static_cast<const S*>(z),
                             static_cast<const S*>(mask.result),
                             gradient.mean,
                             mask.scale,
                             mask.shift,
                             static_cast<S*>(masked)};
    if (channels % V == 0 && all_aligned(dy, z, mask.result, mask.scale, mask.shift, gradient.mean, masked))
      grad_sums_with<S, V>(rows, channels, k, gradient);
    else grad_sums_with<S, 1>(rows, channels, k, gradient);
  });
}

// --- dz ------------------------------------------------------------------------------------------------------------------
template <class S>
struct ApplyArguments {
  const S *dy, *z;
  const float *scale, *shift, *a, *b, *d;
  S* dz;
};

template <class S, int V, bool masks>
__global__ void __launch_bounds__(threads, 3) grad_apply_kernel(std::int64_t rows, std::int64_t channels, std::int64_t tiles,
                                                                int width, int height, const ApplyArguments<S> k) {
  const Place<V, unroll> at(rows, channels, tiles, width, height);
  if (!at.active) return;
  float a[V], b[V], d[V], shift[V];
  load_floats(a, (masks ? k.scale : k.a) + at.channel);  // the same numbers: a register less
  load_floats(b, k.b + at.channel);
  load_floats(d, k.d + at.channel);
  if constexpr (masks) load_floats(shift, k.shift + at.channel);
  const std::int64_t step = height * channels;
  for (std::int64_t tile = tiles - 1 - blockIdx.y; tile >= 0; tile -= gridDim.y) {
    const std::int64_t row = at.row(tile), from = row * channels + at.channel;
    Packet<S, V> gradients[unroll], inputs[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u)
      if (row + u * height < rows) {
        gradients[u].load(k.dy + from + u * step);
        inputs[u].load(k.z + from + u * step);
      }
#pragma unroll
    for (int u = 0; u < unroll; ++u)
      if (row + u * height < rows) {
        float g[V], z[V];
        gradients[u].widen_to(g);
        inputs[u].widen_to(z);
#pragma unroll
        for (int i = 0; i < V; ++i) {
          if constexpr (masks) g[i] = fmaf(z[i], a[i], shift[i]) > 0 ? g[i] : 0;
          g[i] = fmaf(a[i], g[i], fmaf(b[i], z[i], d[i]));
        }
        Packet<S, V>::store(k.dz + from + u * step, g);
      }
  }
}

template <class S, int V>
void grad_apply_with(std::int64_t rows, std::int64_t channels, const ApplyArguments<S>& k) {
  const Layout n(rows, channels, V, unroll, 12, false);
  const auto run = [&](auto* kernel) {
    launch("channel_grad_apply", kernel, n.grid, dim3(threads), 0, rows, channels, n.tiles, n.width, n.height, k);
  };
  if (k.scale) run(grad_apply_kernel<S, V, true>);
  else run(grad_apply_kernel<S, V, false>);
}

void channel_grad_apply(DType type, std::int64_t rows, std::int64_t channels, const void* dy, const void* z,
                        const ChannelReluMask& mask, const float* a, const float* b, const float* d, void* dz) {
  if (rows < 1 || channels < 1) return;
  with_type(type, [&](auto zero) {
    using S = decltype(zero);
    constexpr int V = 16 / static_cast<int>(sizeof(S));
    const ApplyArguments<S> k{static_cast<const S*>(dy), static_cast<const S*>(z), mask.scale, mask.shift, a, b, d,
                              static_cast<S*>(dz)};
    if (channels % V == 0 && all_aligned(dy, z, mask.scale, mask.shift, a, b, d, dz)) grad_apply_with<S, V>(rows, channels, k);
    else grad_apply_with<S, 1>(rows, channels, k);
  });
}

}  // namespace

void install_channel_gradients(Norm& table) {
  table.channel_grad_sums = channel_grad_sums;
  table.channel_grad_apply = channel_grad_apply;
}

}  // namespace sslcake::inline v0::kernels::cuda::norm_parts
