// Group normalisation of pictures (pictures, pixels, channels), float32, and its gradient (ops/norm.hpp has the equations). A
// block takes one set, that is one picture's group of neighbouring channels, and reads it once per pass; nothing here is tuned.
#include "instructions.cuh"
#include "launch.cuh"
#include "norm.hpp"
#include "norm_parts.cuh"

namespace sslcake::inline v0::kernels::cuda::norm_parts {
namespace {

struct Sets {
  std::int64_t pictures, pixels, channels, groups;
  __device__ __host__ std::int64_t width() const { return channels / groups; }
  __device__ __host__ std::int64_t size() const { return pixels * width(); }
  /// Where the i-th number of a set lies, and its channel.
  __device__ std::int64_t channel(std::int64_t set, std::int64_t i) const { return set % groups * width() + i % width(); }
  __device__ std::int64_t at(std::int64_t set, std::int64_t i) const {
    return (set / groups * pixels + i / width()) * channels + channel(set, i);
  }
};

__global__ void __launch_bounds__(threads) group_norm_kernel(const Sets n, const float* x, const float* gamma, const float* beta,
                                                             double eps, float* mean, float* inverse_deviation, float* y) {
  __shared__ double scratch[33];
  for (std::int64_t set = blockIdx.x; set < n.pictures * n.groups; set += gridDim.x) {
    const double share = 1 / static_cast<double>(n.size());
    const float center =
        static_cast<float>(set_total(n.size(), scratch, [&](std::int64_t i) { return x[n.at(set, i)]; }) * share);
    const double square = set_total(n.size(), scratch, [&](std::int64_t i) {
      const float off = x[n.at(set, i)] - center;
      return off * off;
    });
    const float inverse = static_cast<float>(1 / sqrt(square * share + eps));
    if (threadIdx.x == 0) mean[set] = center, inverse_deviation[set] = inverse;
    for (std::int64_t i = threadIdx.x; i < n.size(); i += threads) {
      const std::int64_t c = n.channel(set, i), to = n.at(set, i);
      y[to] = fmaf((x[to] - center) * inverse, gamma ? gamma[c] : 1.0f, beta ? beta[c] : 0.0f);
    }
  }
}

/// partial (pictures, 2, channels): Σ dy·x̂ and Σ dy over a picture's pixels, 8 channels with 32 lanes each per block.
__global__ void __launch_bounds__(threads) picture_sums(const Sets n, const float* dy, const float* x, const float* mean,
                                                        const float* inverse_deviation, float* partial) {
  __shared__ double scratch[64];
  const std::int64_t columns = (n.channels + total_channels - 1) / total_channels;
  for (std::int64_t task = blockIdx.x; task < n.pictures * columns; task += gridDim.x) {
    const std::int64_t picture = task / columns, c = task % columns * total_channels + threadIdx.x % total_channels;
    double gamma_sum = 0, beta_sum = 0;
    if (c < n.channels) {
      const std::int64_t set = picture * n.groups + c / n.width();
      const float center = mean[set], inverse = inverse_deviation[set];
      for (std::int64_t p = threadIdx.x / total_channels; p < n.pixels; p += threads / total_channels) {
        const std::int64_t from = (picture * n.pixels + p) * n.channels + c;
        gamma_sum += static_cast<double>(dy[from] * ((x[from] - center) * inverse));
        beta_sum += static_cast<double>(dy[from]);
      }
    }
    gamma_sum = lanes_total(gamma_sum, scratch);
    beta_sum = lanes_total(beta_sum, scratch);
    if (c < n.channels && threadIdx.x < total_channels) {
      partial[2 * picture * n.channels + c] = static_cast<float>(gamma_sum);
      partial[(2 * picture + 1) * n.channels + c] = static_cast<float>(beta_sum);
    }
  }
}

__global__ void __launch_bounds__(threads)
    input_gradient(const Sets n, const float* dy, const float* x, const float* gamma, const float* mean,
                   const float* inverse_deviation, const float* partial, float* dx) {
  __shared__ double scratch[33];
  for (std::int64_t set = blockIdx.x; set < n.pictures * n.groups; set += gridDim.x) {
    const float *gamma_sum = partial + 2 * (set / n.groups) * n.channels + set % n.groups * n.width(),
                *beta_sum = gamma_sum + n.channels;
    const auto factor = [&](std::int64_t i) { return gamma ? gamma[n.channel(set, i)] : 1.0f; };
    const double share = 1 / static_cast<double>(n.size());
    const float product =
        static_cast<float>(set_total(n.width(), scratch, [&](std::int64_t i) { return factor(i) * gamma_sum[i]; }) * share);
    const float sum =
        static_cast<float>(set_total(n.width(), scratch, [&](std::int64_t i) { return factor(i) * beta_sum[i]; }) * share);
    const float center = mean[set], inverse = inverse_deviation[set];
    for (std::int64_t i = threadIdx.x; i < n.size(); i += threads) {
      const std::int64_t to = n.at(set, i);
      dx[to] = (factor(i) * dy[to] - sum - (x[to] - center) * inverse * product) * inverse;
    }
  }
}

unsigned blocks_of(std::int64_t tasks) { return static_cast<unsigned>(tasks < (1 << 20) ? tasks : 1 << 20); }

void group_norm(std::int64_t pictures, std::int64_t pixels, std::int64_t channels, std::int64_t groups, const float* x,
                const float* gamma, const float* beta, double eps, float* mean, float* inverse_deviation, float* y) {
  if (pictures * pixels * channels < 1) return;
  launch("group_norm", group_norm_kernel, dim3(blocks_of(pictures * groups)), dim3(threads), 0,
         Sets{pictures, pixels, channels, groups}, x, gamma, beta, eps, mean, inverse_deviation, y);
}

void group_norm_grad(std::int64_t pictures, std::int64_t pixels, std::int64_t channels, std::int64_t groups, const float* dy,
                     const float* x, const float* gamma, const float* mean, const float* inverse_deviation, float* dx,
                     float* dgamma, float* dbeta) {
  constexpr const char* op = "group_norm_grad";
  if (pictures * pixels * channels < 1) return;
  const Sets n{pictures, pixels, channels, groups};
  const Scratch<float> partial(2 * pictures * channels);
  launch(op, picture_sums, dim3(blocks_of(pictures * blocks_for(channels, total_channels))), dim3(threads), 0, n, dy, x, mean,
         inverse_deviation, partial.data());
  total_partial(op, partial.data(), pictures, channels, dgamma, dbeta);
  if (dx)
    launch(op, input_gradient, dim3(blocks_of(pictures * groups)), dim3(threads), 0, n, dy, x, gamma, mean, inverse_deviation,
           partial.data(), dx);
}

}  // namespace

void install_group_norm(Norm& table) {
  table.group_norm = group_norm;
  table.group_norm_grad = group_norm_grad;
}

}  // namespace sslcake::inline v0::kernels::cuda::norm_parts
