// Layer normalisation of rows (rows, width) and its gradient (ops/norm.hpp has the equations).
//
// Rows of up to 1024 numbers, a multiple of 4, stay in the registers of one warp: x is read once. The gradient's warps keep the
// sums for dgamma and dbeta in registers too while they walk over the rows; the block adds them up, and a second kernel the
// blocks. Other widths take a block per row, which reads it once per pass.
#include "channel_rows.cuh"
#include "instructions.cuh"
#include "launch.cuh"
#include "norm.hpp"
#include "norm_parts.cuh"

namespace sslcake::inline v0::kernels::cuda::norm_parts {
namespace {

constexpr int warps = threads / 32;

__device__ __forceinline__ void load_four(float (&to)[4], const float* from) { load_floats(to, from); }
__device__ __forceinline__ void load_four(float (&to)[4], const Bf16* from) {
  const uint2 bits = *reinterpret_cast<const uint2*>(from);
  to[0] = widen_low(bits.x), to[1] = widen_high(bits.x), to[2] = widen_low(bits.y), to[3] = widen_high(bits.y);
}
__device__ __forceinline__ void store_four(float* to, const float (&from)[4]) { store_floats(to, from); }
__device__ __forceinline__ void store_four(Bf16* to, const float (&from)[4]) {
  *reinterpret_cast<uint2*>(to) = make_uint2(pack(from[0], from[1]), pack(from[2], from[3]));
}
/// The same where there may be no parameter.
__device__ __forceinline__ void load_parameter(float (&to)[4], const float* from, int column, float otherwise) {
  if (from) load_floats(to, from + column);
  else to[0] = to[1] = to[2] = to[3] = otherwise;
}

/// Calls body(integral_constant K) with K·128 >= width.
template <int K = 1, class Body>
void with_steps(std::int64_t width, Body body) {
  if constexpr (K < 8) {
    if (width > K * 128) return with_steps<K + 1>(width, body);
  }
  body.template operator()<K>();
}

// --- rows in registers: lane l holds columns 128 j + 4 l ... + 3 for j < K --------------------------------------------------
template <class S, int K>
__global__ void __launch_bounds__(threads, K > 6 ? 3 : 4)
    rows_in_registers(std::int64_t rows, int width, const float* x, const float* gamma, const float* beta, float eps, float* mean,
                      float* inverse_deviation, S* y) {
  const int first = static_cast<int>(threadIdx.x) % 32 * 4;
  const float share = 1 / static_cast<float>(width);
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * warps + threadIdx.x / 32; row < rows;
       row += static_cast<std::int64_t>(gridDim.x) * warps) {
    float value[K][4], sum = 0, square = 0;
#pragma unroll
    for (int j = 0; j < K; ++j)
      if (const int c = j * 128 + first; c < width) load_floats(value[j], x + row * width + c);
#pragma unroll
    for (int j = 0; j < K; ++j)
      if (j * 128 + first < width) sum += (value[j][0] + value[j][1]) + (value[j][2] + value[j][3]);
    const float center = warp_sum(sum) * share;
#pragma unroll
    for (int j = 0; j < K; ++j)
      if (j * 128 + first < width) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          value[j][i] -= center;
          square = fmaf(value[j][i], value[j][i], square);
        }
      }
    const float inverse = 1 / sqrtf(warp_sum(square) * share + eps);
    if (first == 0) mean[row] = center, inverse_deviation[row] = inverse;
#pragma unroll
    for (int j = 0; j < K; ++j)
      if (const int c = j * 128 + first; c < width) {
        float scale[4], shift[4];
        load_parameter(scale, gamma, c, 1);
        load_parameter(shift, beta, c, 0);
#pragma unroll
        for (int i = 0; i < 4; ++i) value[j][i] = fmaf(value[j][i] * inverse, scale[i], shift[i]);
        store_four(y + row * width + c, value[j]);
      }
  }
}

/// partial (blocks, 2, width): Σ dy·x̂ and Σ dy over the rows of each block.
template <class S, int K>
__global__ void __launch_bounds__(threads, K > 6 ? 1 : 2)
    gradient_in_registers(std::int64_t rows, int width, const S* dy, const float* x, const float* gamma, const float* mean,
                          const float* inverse_deviation, float* dx, float* partial) {
  __shared__ float store[warps / 2][2][K * 128];
  const int warp = static_cast<int>(threadIdx.x) / 32, first = static_cast<int>(threadIdx.x) % 32 * 4;
  const float share = 1 / static_cast<float>(width);
  float gamma_sum[K][4] = {}, beta_sum[K][4] = {};
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * warps + warp; row < rows;
       row += static_cast<std::int64_t>(gridDim.x) * warps) {
    const float center = mean[row], inverse = inverse_deviation[row];
    float normalised[K][4], g[K][4], sum = 0, product = 0;
#pragma unroll
    for (int j = 0; j < K; ++j)
      if (const int c = j * 128 + first; c < width) {
        load_floats(normalised[j], x + row * width + c);
        load_four(g[j], dy + row * width + c);
      }
#pragma unroll
    for (int j = 0; j < K; ++j)
      if (const int c = j * 128 + first; c < width) {
        float scale[4];
        load_parameter(scale, gamma, c, 1);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          normalised[j][i] = (normalised[j][i] - center) * inverse;
          gamma_sum[j][i] = fmaf(g[j][i], normalised[j][i], gamma_sum[j][i]);
          beta_sum[j][i] += g[j][i];
          g[j][i] *= scale[i];
          sum += g[j][i];
          product = fmaf(g[j][i], normalised[j][i], product);
        }
      }
    if (!dx) continue;
    sum = warp_sum(sum) * share;
    product = warp_sum(product) * share;
#pragma unroll
    for (int j = 0; j < K; ++j)
      if (const int c = j * 128 + first; c < width) {
#pragma unroll
        for (int i = 0; i < 4; ++i) g[j][i] = (g[j][i] - sum - normalised[j][i] * product) * inverse;
        store_floats(dx + row * width + c, g[j]);
      }
  }
  if (!partial) return;
  for (int half = warps / 2; half > 0; half /= 2) {
    if (warp >= half && warp < 2 * half) {
#pragma unroll
      for (int j = 0; j < K; ++j) {
        store_floats(&store[warp - half][0][j * 128 + first], gamma_sum[j]);
        store_floats(&store[warp - half][1][j * 128 + first], beta_sum[j]);
      }
    }
    __syncthreads();
    if (warp < half) {
#pragma unroll
      for (int j = 0; j < K; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          gamma_sum[j][i] += store[warp][0][j * 128 + first + i];
          beta_sum[j][i] += store[warp][1][j * 128 + first + i];
        }
    }
    __syncthreads();
  }
  if (warp > 0) return;
  float* to = partial + 2 * static_cast<std::int64_t>(blockIdx.x) * width;
#pragma unroll
  for (int j = 0; j < K; ++j)
    if (const int c = j * 128 + first; c < width) {
      store_floats(to + c, gamma_sum[j]);
      store_floats(to + width + c, beta_sum[j]);
    }
}

// --- any width: a block per row ---------------------------------------------------------------------------------------------
template <class S>
__global__ void __launch_bounds__(threads)
    rows_by_blocks(std::int64_t rows, std::int64_t width, const float* x, const float* gamma, const float* beta, double eps,
                   float* mean, float* inverse_deviation, S* y) {
  __shared__ double scratch[33];
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const float* from = x + row * width;
    const float center =
        static_cast<float>(set_total(width, scratch, [&](std::int64_t i) { return from[i]; }) / static_cast<double>(width));
    const double square = set_total(width, scratch, [&](std::int64_t i) { return (from[i] - center) * (from[i] - center); });
    const float inverse = static_cast<float>(1 / sqrt(square / static_cast<double>(width) + eps));
    if (threadIdx.x == 0) mean[row] = center, inverse_deviation[row] = inverse;
    for (std::int64_t i = threadIdx.x; i < width; i += threads)
      y[row * width + i] = narrow<S>(fmaf((from[i] - center) * inverse, gamma ? gamma[i] : 1.0f, beta ? beta[i] : 0.0f));
  }
}

template <class S>
__global__ void __launch_bounds__(threads)
    input_gradient_by_blocks(std::int64_t rows, std::int64_t width, const S* dy, const float* x, const float* gamma,
                             const float* mean, const float* inverse_deviation, float* dx) {
  __shared__ double scratch[33];
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const float center = mean[row], inverse = inverse_deviation[row];
    const auto g = [&](std::int64_t i) { return widen(dy[row * width + i]) * (gamma ? gamma[i] : 1.0f); };
    const auto normalised = [&](std::int64_t i) { return (x[row * width + i] - center) * inverse; };
    const double share = 1 / static_cast<double>(width);
    const float sum = static_cast<float>(set_total(width, scratch, g) * share);
    const float product =
        static_cast<float>(set_total(width, scratch, [&](std::int64_t i) { return g(i) * normalised(i); }) * share);
    for (std::int64_t i = threadIdx.x; i < width; i += threads)
      dx[row * width + i] = (g(i) - sum - normalised(i) * product) * inverse;
  }
}

/// A thread per column, at most 256 rows; partial as above.
template <class S>
__global__ void __launch_bounds__(threads)
    parameter_gradient_by_columns(std::int64_t rows, std::int64_t width, const S* dy, const float* x, const float* mean,
                                  const float* inverse_deviation, float* partial) {
  const std::int64_t c = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (c >= width) return;
  float gamma_sum = 0, beta_sum = 0;
  for (std::int64_t row = rows * blockIdx.y / gridDim.y; row < rows * (blockIdx.y + 1) / gridDim.y; ++row) {
    const float g = widen(dy[row * width + c]);
    gamma_sum = fmaf(g, (x[row * width + c] - mean[row]) * inverse_deviation[row], gamma_sum);
    beta_sum += g;
  }
  partial[2 * blockIdx.y * width + c] = gamma_sum;
  partial[(2 * static_cast<std::int64_t>(blockIdx.y) + 1) * width + c] = beta_sum;
}

bool fits_registers(std::int64_t width) { return width % 4 == 0 && width <= 1024; }
unsigned one_block_each(std::int64_t rows) { return static_cast<unsigned>(rows < (1 << 20) ? rows : 1 << 20); }

void layer_norm(DType result, std::int64_t rows, std::int64_t width, const float* x, const float* gamma, const float* beta,
                double eps, float* mean, float* inverse_deviation, void* y) {
  if (rows < 1 || width < 1) return;
  with_type(result, [&](auto zero) {
    using S = decltype(zero);
    auto* to = static_cast<S*>(y);
    if (fits_registers(width) && all_aligned(x, gamma, beta, y))
      with_steps(width, [&]<int K>() {
        launch("layer_norm", rows_in_registers<S, K>, dim3(striding_blocks(rows, warps)), dim3(threads), 0, rows,
               static_cast<int>(width), x, gamma, beta, static_cast<float>(eps), mean, inverse_deviation, to);
      });
    else
      launch("layer_norm", rows_by_blocks<S>, dim3(one_block_each(rows)), dim3(threads), 0, rows, width, x, gamma, beta, eps,
             mean, inverse_deviation, to);
  });
}

void layer_norm_grad(DType result, std::int64_t rows, std::int64_t width, const void* dy, const float* x, const float* gamma,
                     const float* mean, const float* inverse_deviation, float* dx, float* dgamma, float* dbeta) {
  constexpr const char* op = "layer_norm_grad";
  if (rows < 1 || width < 1) return;
  with_type(result, [&](auto zero) {
    using S = decltype(zero);
    const auto* from = static_cast<const S*>(dy);
    if (fits_registers(width) && all_aligned(dy, x, gamma, dx)) {
      std::int64_t blocks = striding_blocks(rows, warps, 2);
      if (blocks * warps * 256 < rows) blocks = blocks_for(rows, warps * 256);
      const Scratch<float> partial(dgamma ? 2 * blocks * width : 0);
      with_steps(width, [&]<int K>() {
        launch(op, gradient_in_registers<S, K>, dim3(static_cast<unsigned>(blocks)), dim3(threads), 0, rows,
               static_cast<int>(width), from, x, gamma, mean, inverse_deviation, dx, partial.data());
      });
      if (dgamma) total_partial(op, partial.data(), blocks, width, dgamma, dbeta);
      return;
    }
    if (dx)
      launch(op, input_gradient_by_blocks<S>, dim3(one_block_each(rows)), dim3(threads), 0, rows, width, from, x, gamma, mean,
             inverse_deviation, dx);
    if (!dgamma) return;
    const std::int64_t blocks = blocks_for(rows, 256) < 65535 ? blocks_for(rows, 256) : 65535;
    const Scratch<float> partial(2 * blocks * width);
    launch(op, parameter_gradient_by_columns<S>,
           dim3(static_cast<unsigned>(blocks_for(width, threads)), static_cast<unsigned>(blocks)), dim3(threads), 0, rows, width,
           from, x, mean, inverse_deviation, partial.data());
    total_partial(op, partial.data(), blocks, width, dgamma, dbeta);
  });
}

}  // namespace

void install_layer_norm(Norm& table) {
  table.layer_norm = layer_norm;
  table.layer_norm_grad = layer_norm_grad;
}

}  // namespace sslcake::inline v0::kernels::cuda::norm_parts
