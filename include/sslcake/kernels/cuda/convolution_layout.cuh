// How operands and weights of a convolution are laid out for its tiles (convolution_tile.cuh).
//
// Operands of few or odd channels are copied first: every pixel becomes the KW pixels under a row of the kernel, side by side
// (an "unfolded" row, so that 3x3x3 makes K = 3 · 16 instead of 9 · 8), or just gets zeros up to a multiple of 8 channels.
// Weights become a bfloat16 matrix with K along its rows, for the input gradient one per phase.
#pragma once

#include <numeric>

#include "convolution_tile.cuh"

namespace sslcake::inline v0::kernels::cuda {

/// out (N,H,Q,channels): the pixels (h, q step + v dilation - pad), v < taps, side by side, then zeros. A thread writes 16 bytes.
static __global__ void unfold(const Bf16* x, Bf16* out, std::int64_t lines, int width, int c, int out_width, int channels,
                              int taps, int step, int dilation, int pad) {
  const int chunks = channels / chunk_numbers;
  const std::int64_t all = lines * out_width * chunks, stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += stride) {
    const std::int64_t pixel = i / chunks, line = pixel / out_width;
    const int q = static_cast<int>(pixel - line * out_width);
    int index = static_cast<int>(i - pixel * chunks) * chunk_numbers, tap = index / c;
    index -= tap * c;
    std::uint32_t words[4] = {0, 0, 0, 0};
#pragma unroll
    for (int e = 0; e < chunk_numbers; ++e) {
      const int column = q * step + tap * dilation - pad;
      if (tap < taps && column >= 0 && column < width)
        words[e / 2] |= static_cast<std::uint32_t>(x[(line * width + column) * c + index].bits) << (e % 2 * 16);
      if (++index == c) index = 0, ++tap;
    }
    *reinterpret_cast<uint4*>(out + i * chunk_numbers) = make_uint4(words[0], words[1], words[2], words[3]);
  }
}

/// out (rows, depth) = w (o, taps, real) rounded, each tap widened to `channels`; zeros elsewhere.
static __global__ void pack_weights(const float* w, Bf16* out, int o, int taps, int real, int channels, int rows, int depth) {
  const std::int64_t all = static_cast<std::int64_t>(rows) * depth, stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += stride) {
    const int row = static_cast<int>(i / depth), k = static_cast<int>(i - static_cast<std::int64_t>(row) * depth),
              tap = k / channels;
    const int channel = k - tap * channels;
    const bool real_one = row < o && tap < taps && channel < real;
    out[i] = narrow<Bf16>(real_one ? w[(static_cast<std::int64_t>(row) * taps + tap) * real + channel] : 0.0f);
  }
}

/// One axis of the input gradient: which taps reach which phase.
struct PhaseAxis {
  int stride, pad, dilation, kernel, tap_step;  // tap_step = stride / gcd(dilation, stride)
};
inline PhaseAxis phase_axis(std::int64_t stride, std::int64_t pad, std::int64_t dilation, std::int64_t kernel) {
  return {static_cast<int>(stride), static_cast<int>(pad), static_cast<int>(dilation), static_cast<int>(kernel),
          static_cast<int>(stride / std::gcd(dilation, stride))};
}
__host__ __device__ inline int phase_of(const PhaseAxis& axis, int tap) {
  const int r = (tap * axis.dilation - axis.pad) % axis.stride;
  return r < 0 ? r + axis.stride : r;
}
/// How many taps go with this one.
__host__ __device__ inline int taps_with(const PhaseAxis& axis, int tap) {
  return (axis.kernel - tap % axis.tap_step + axis.tap_step - 1) / axis.tap_step;
}

/// out[phase][channel][tap of the phase][o] = w (o,KH,KW,c) rounded. Blocks of 32x8 threads turn 32x32 numbers of a tap.
static __global__ void pack_transposed(const float* w, Bf16* out, PhaseAxis h, PhaseAxis wide, int o, int c, int channels,
                                       int rows, int pitch) {
  __shared__ float tile[32][33];
  const int taps = h.kernel * wide.kernel, tap = static_cast<int>(blockIdx.x) % taps,
            first_c = static_cast<int>(blockIdx.x) / taps * 32;
  const int first_o = static_cast<int>(blockIdx.y) * 32, x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  for (int i = y; i < 32; i += 8)
    if (first_o + i < o && first_c + x < c)
      tile[i][x] = w[(static_cast<std::int64_t>(first_o + i) * taps + tap) * c + first_c + x];
  __syncthreads();
  const int kh = tap / wide.kernel, kw = tap % wide.kernel;
  const std::int64_t phase = static_cast<std::int64_t>(phase_of(h, kh)) * wide.stride + phase_of(wide, kw);
  const int in_phase = kh / h.tap_step * taps_with(wide, kw) + kw / wide.tap_step;
  for (int i = y; i < 32; i += 8)
    if (first_c + i < c && first_o + x < o)
      out[(phase * rows + first_c + i) * pitch + in_phase * channels + first_o + x] = narrow<Bf16>(tile[x][i]);
}

}  // namespace sslcake::inline v0::kernels::cuda
