// Convolutions in groups, depthwise ones among them: a thread per result, straight from the definition. Neighbouring threads have
// neighbouring channels. Left out: any reuse but that of the caches.
#pragma once

#include "../conv_shape.hpp"
#include "instructions.cuh"

namespace sslcake::inline v0::kernels::cuda {

template <class T>
__global__ void __launch_bounds__(256)
grouped_forward(ConvShape s, std::int64_t oh, std::int64_t ow, const T* x, const float* w, const float* bias, T* y) {
  const std::int64_t group_c = s.c / s.groups, group_o = s.o / s.groups, all = s.n * oh * ow * s.o;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += step) {
    const std::int64_t o = i % s.o, position = i / s.o, px = position % ow, py = position / ow % oh, n = position / ow / oh;
    float sum = 0;
    for (std::int64_t kh = 0; kh < s.kh; ++kh) {
      const std::int64_t h = py * s.stride_h - s.pad_h + kh * s.dilation_h;
      if (h < 0 || h >= s.h) continue;
      for (std::int64_t kw = 0; kw < s.kw; ++kw) {
        const std::int64_t v = px * s.stride_w - s.pad_w + kw * s.dilation_w;
        if (v < 0 || v >= s.w) continue;
        const T* pixel = x + ((n * s.h + h) * s.w + v) * s.c + o / group_o * group_c;
        const float* weight = w + ((o * s.kh + kh) * s.kw + kw) * group_c;
        for (std::int64_t c = 0; c < group_c; ++c) sum += widen(pixel[c]) * weight[c];
      }
    }
    y[i] = narrow<T>(bias ? sum + bias[o] : sum);
  }
}

template <class T>
__global__ void __launch_bounds__(256)
grouped_input_grad(ConvShape s, std::int64_t oh, std::int64_t ow, const T* dy, const float* w, T* dx) {
  const std::int64_t group_c = s.c / s.groups, group_o = s.o / s.groups, all = s.n * s.h * s.w * s.c;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += step) {
    const std::int64_t c = i % s.c, pixel = i / s.c, px = pixel % s.w, py = pixel / s.w % s.h, n = pixel / s.w / s.h;
    const std::int64_t first_o = c / group_c * group_o;
    float sum = 0;
    for (std::int64_t kh = 0; kh < s.kh; ++kh) {
      const std::int64_t h = py + s.pad_h - kh * s.dilation_h;  // stride · the output's row
      if (h < 0 || h % s.stride_h != 0 || h / s.stride_h >= oh) continue;
      for (std::int64_t kw = 0; kw < s.kw; ++kw) {
        const std::int64_t v = px + s.pad_w - kw * s.dilation_w;
        if (v < 0 || v % s.stride_w != 0 || v / s.stride_w >= ow) continue;
        const T* from = dy + ((n * oh + h / s.stride_h) * ow + v / s.stride_w) * s.o + first_o;
        const float* weight = w + ((first_o * s.kh + kh) * s.kw + kw) * group_c + c % group_c;
        for (std::int64_t o = 0; o < group_o; ++o) sum += widen(from[o]) * weight[o * s.kh * s.kw * group_c];
      }
    }
    dx[i] = narrow<T>(sum);
  }
}

/// parts (positions / run, KH·KW·C/groups, O): the sums over `run` positions each, float32 over 256 and float64 beyond.
template <class T>
__global__ void __launch_bounds__(256) grouped_weight_parts(ConvShape s, std::int64_t oh, std::int64_t ow, std::int64_t run,
                                                            std::int64_t count, const T* x, const T* dy, float* parts) {
  const std::int64_t group_c = s.c / s.groups, group_o = s.o / s.groups, weights = s.o * s.kh * s.kw * group_c;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count * weights; i += step) {
    const std::int64_t o = i % s.o, c = i / s.o % group_c, tap = i / s.o / group_c % (s.kh * s.kw), part = i / weights;
    const std::int64_t shift_h = tap / s.kw * s.dilation_h - s.pad_h, shift_w = tap % s.kw * s.dilation_w - s.pad_w;
    const std::int64_t begin = part * run, end = begin + run < s.n * oh * ow ? begin + run : s.n * oh * ow;
    std::int64_t px = begin % ow, py = begin / ow % oh, n = begin / ow / oh;
    double sum = 0;
    for (std::int64_t position = begin; position < end;) {
      float few = 0;
      for (const std::int64_t stop = position + 256 < end ? position + 256 : end; position < stop; ++position) {
        const std::int64_t h = py * s.stride_h + shift_h, v = px * s.stride_w + shift_w;
        if (h >= 0 && h < s.h && v >= 0 && v < s.w)
          few += widen(dy[position * s.o + o]) * widen(x[((n * s.h + h) * s.w + v) * s.c + o / group_o * group_c + c]);
        if (++px == ow) {
          px = 0;
          if (++py == oh) py = 0, ++n;
        }
      }
      sum += static_cast<double>(few);
    }
    parts[i] = static_cast<float>(sum);
  }
}

/// dw (O, KH·KW, C/groups) = Σ of the parts, in order.
static __global__ void __launch_bounds__(256)
grouped_weight_sum(std::int64_t outputs, std::int64_t taps_and_channels, std::int64_t count, const float* parts, float* dw) {
  const std::int64_t weights = outputs * taps_and_channels, step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < weights; i += step) {
    double sum = 0;
    for (std::int64_t part = 0; part < count; ++part) sum += static_cast<double>(parts[part * weights + i]);
    dw[i % outputs * taps_and_channels + i / outputs] = static_cast<float>(sum);
  }
}

}  // namespace sslcake::inline v0::kernels::cuda
