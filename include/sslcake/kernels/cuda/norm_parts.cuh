// What all kernels of normalisation layers share: the second stage of sums over rows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "instructions.cuh"
#include "launch.cuh"
#include "norm.hpp"

namespace sslcake::inline v0::kernels::cuda::norm_parts {

constexpr int threads = 256;

// --- the second stage of sums over rows: partial (count, 2, channels) --------------------------------------------------
// A block sums 8 channels with 32 lanes each: neighbouring threads read one 32-byte sector.
constexpr int total_channels = 8;

/// Σ over the block's lanes of the thread's channel, in every thread. scratch: 64 numbers, free again when it returns.
__device__ inline double lanes_total(double x, double* scratch) {
  const int channel = static_cast<int>(threadIdx.x) % total_channels, warp = static_cast<int>(threadIdx.x) / 32;
  x += __shfl_xor_sync(0xffffffffu, x, 8);
  x += __shfl_xor_sync(0xffffffffu, x, 16);
  if (threadIdx.x % 32 < total_channels) scratch[warp * total_channels + channel] = x;
  __syncthreads();
  double total = 0;
  for (int w = 0; w < threads / 32; ++w) total += scratch[w * total_channels + channel];
  __syncthreads();
  return total;
}

/// Both sums of the thread's channel over all partial ones; threads beyond the last channel get 0.
__device__ inline void total_of(const float* partial, std::int64_t count, std::int64_t channels, std::int64_t channel,
                                double* scratch, double& first, double& second) {
  first = second = 0;
  if (channel < channels)
    for (std::int64_t k = threadIdx.x / total_channels; k < count; k += threads / total_channels) {
      first += static_cast<double>(partial[2 * k * channels + channel]);
      second += static_cast<double>(partial[(2 * k + 1) * channels + channel]);
    }
  first = lanes_total(first, scratch);
  second = lanes_total(second, scratch);
}

/// first[c] = Σ_k partial[k,0,c] and second[c] = Σ_k partial[k,1,c].
template <int = 0>
__global__ void __launch_bounds__(threads)
    add_partial(const float* partial, std::int64_t count, std::int64_t channels, float* first, float* second) {
  __shared__ double scratch[64];
  const std::int64_t channel = static_cast<std::int64_t>(blockIdx.x) * total_channels + threadIdx.x % total_channels;
  double sum, other;
  total_of(partial, count, channels, channel, scratch, sum, other);
  if (channel < channels && threadIdx.x < total_channels) {
    first[channel] = static_cast<float>(sum);
    second[channel] = static_cast<float>(other);
  }
}
inline void total_partial(const char* op, const float* partial, std::int64_t count, std::int64_t channels, float* first,
                          float* second) {
  launch(op, add_partial<>, dim3(static_cast<unsigned>(blocks_for(channels, total_channels))), dim3(threads), 0, partial, count,
         channels, first, second);
}

// --- sums over one set of numbers -------------------------------------------------------------------------------------
/// Σ_i term(i) for i < count, in every thread of the block: float32 over 256 terms of a thread, float64 from there on. scratch:
/// 33 numbers, free again when it returns.
template <class Term>
__device__ __forceinline__ double set_total(std::int64_t count, double* scratch, Term term) {
  double total = 0;
  for (std::int64_t first = threadIdx.x; first < count; first += 256 * threads) {
    float part = 0;
    for (std::int64_t i = first; i < count && i < first + 256 * threads; i += threads) part += term(i);
    total += static_cast<double>(part);
  }
  return block_sum(total, scratch);
}

// What norm.cu installs beside its own.
void install_channel_gradients(Norm& table);
void install_layer_norm(Norm& table);
void install_group_norm(Norm& table);

}  // namespace sslcake::inline v0::kernels::cuda::norm_parts
