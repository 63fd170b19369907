// Convolutions of any shape on the ordinary arithmetic units: all float32 ones, and bfloat16 ones whose shape tensor cores do not
// take. With one group they are products (convolution_any.cuh), otherwise convolution_grouped.cuh does them.
#include <numeric>

#include "convolution_any.cuh"
#include "convolution_grouped.cuh"
#include "convolution_parts.hpp"

namespace sslcake::inline v0::kernels::cuda {
namespace {

int extent(std::int64_t value) { return product_extent("conv2d", value); }

/// Offsets within one picture, and pixel numbers, are 32 bits wide.
void expect_extents(const ConvShape& s) {
  extent(s.n * s.h * s.w);
  extent(s.n * s.oh() * s.ow());
  extent((s.h + 2 * s.pad_h + s.dilation_h * s.kh) * (s.w + 2 * s.pad_w + s.dilation_w * s.kw) * (s.c > s.o ? s.c : s.o));
}

template <class Body>
void dispatch(DType type, Body&& body) {
  if (type == DType::float32) body(float{});
  else if (type == DType::bfloat16) body(Bf16{});
  else fail("conv2d", "expected float32 or bfloat16 on cuda, got ", type);
}

PictureWindows windows_of_input(const ConvShape& s) {
  return {.rows_h = extent(s.oh()), .rows_w = extent(s.ow()), .step_h = extent(s.stride_h), .step_w = extent(s.stride_w),
          .offset_h = -extent(s.pad_h), .offset_w = -extent(s.pad_w),
          .delta_h = extent(s.dilation_h), .delta_w = extent(s.dilation_w), .taps_h = extent(s.kh), .taps_w = extent(s.kw),
          .h = extent(s.h), .w = extent(s.w), .c = extent(s.c)};
}

ProductPlan product(std::int64_t m, std::int64_t n, std::int64_t k) {
  ProductPlan plan;
  plan.m = extent(m), plan.n = extent(n), plan.k = extent(k);
  return plan;
}

/// y (positions, O) = x (positions, taps · C) · wᵀ.
template <class T>
void forward(const ConvShape& s, const T* x, const float* w, const float* bias, T* y) {
  const auto plan = product(s.n * s.oh() * s.ow(), s.o, s.taps() * s.c);
  const PositionsByTaps<T> pictures{x, windows_of_input(s), plan.m, plan.k, fours(x, s.c)};
  const RowMajor<float> weights{w, plan.k, plan.n, plan.k, fours(w, plan.k)};
  run_product("conv2d", plan, pictures, weights, StoredRows<T>{y, s.o, bias, false, fours(y, s.o)});
}

/// The input's rows (or columns) r, r + stride, ... and the taps through which they are seen: first, first + step, ...
struct Residue {
  int rows, first, step, taps;
  int offset, delta;  // output seen by row y through tap i: y + offset + delta·i
};
Residue residue(std::int64_t r, std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                std::int64_t dilation) {
  const std::int64_t common = std::gcd(stride, dilation), step = stride / common;
  std::int64_t first = 0;
  while (first < step && first < kernel && (r + pad - first * dilation) % stride != 0) ++first;
  const bool any = first < step && first < kernel;
  return {extent(blocks_for(size - r, stride)), extent(first), extent(step), extent(any ? blocks_for(kernel - first, step) : 0),
          any ? static_cast<int>((r + pad - first * dilation) / stride) : 0, -extent(dilation / common)};
}

// Every stride-th pixel of dx is seen through the same taps: one product for each of stride_h · stride_w such sets, with no term
// that is 0 because of the stride.
/// dx (pixels, C) = dy (pixels, taps · O) · w (taps · O, C).
template <class T>
void input_grad(const ConvShape& s, const T* dy, const float* w, T* dx) {
  if (s.n * s.h * s.w * s.c == 0) return;
  for (std::int64_t rh = 0; rh < s.stride_h && rh < s.h; ++rh)
    for (std::int64_t rw = 0; rw < s.stride_w && rw < s.w; ++rw) {
      const Residue a = residue(rh, s.h, s.kh, s.stride_h, s.pad_h, s.dilation_h);
      const Residue b = residue(rw, s.w, s.kw, s.stride_w, s.pad_w, s.dilation_w);
      const auto plan = product(s.n * a.rows * b.rows, s.c, std::int64_t{a.taps} * b.taps * s.o);
      const PictureWindows see{.rows_h = a.rows, .rows_w = b.rows, .step_h = 1, .step_w = 1,
                               .offset_h = a.offset, .offset_w = b.offset, .delta_h = a.delta, .delta_w = b.delta,
                               .taps_h = a.taps, .taps_w = b.taps, .h = extent(s.oh()), .w = extent(s.ow()), .c = extent(s.o)};
      const PositionsByTaps<T> pictures{dy, see, plan.m, plan.k, fours(dy, s.o)};
      const ChannelsByTaps weights{w, s.taps() * s.c, extent(s.kw), a.first, b.first, a.step, b.step, b.taps, plan.n,
                                   extent(s.o), plan.k, fours(w, s.c)};
      const EveryPixel<T> to{dx, a.rows, b.rows, extent(rh), extent(rw), extent(s.stride_h), extent(s.stride_w),
                             extent(s.h), extent(s.w), plan.n, nullptr, false, fours(dx, s.c)};
      run_product("conv2d", plan, pictures, weights, to);
    }
}

/// dw (O, taps · C) = dyᵀ (O, positions) · x (positions, taps · C).
template <class T>
void weight_grad(const ConvShape& s, const T* x, const T* dy, float* dw) {
  const auto plan = product(s.o, s.taps() * s.c, s.n * s.oh() * s.ow());
  const ColumnMajor<T> gradients{dy, s.o, plan.m, plan.k, fours(dy, s.o)};
  const TapsByPositions<T> pictures{x, windows_of_input(s), plan.n, plan.k, fours(x, s.c)};
  run_product("conv2d", plan, gradients, pictures, StoredRows<float>{dw, plan.n, nullptr, false, fours(dw, plan.n)});
}

dim3 grid_for(std::int64_t results) { return dim3(striding_blocks(results, 256, 64)); }

template <class T>
void grouped_weight_grad(const ConvShape& s, const T* x, const T* dy, float* dw) {
  const std::int64_t weights = s.o * s.taps() * s.group_c(), positions = s.n * s.oh() * s.ow();
  if (weights == 0) return;
  const std::int64_t most = (std::int64_t{1} << 22) / weights + 1;  // threads are plenty by then
  const std::int64_t wanted = positions ? blocks_for(positions, 64) : 1;
  const std::int64_t run = blocks_for(positions, wanted < most ? wanted : most);
  const std::int64_t count = run ? blocks_for(positions, run) : 0;
  const Scratch<float> parts(count * weights);
  const dim3 grid = grid_for(count * weights);
  if (count) launch("conv2d", grouped_weight_parts<T>, grid, dim3(256), 0, s, s.oh(), s.ow(), run, count, x, dy, parts.data());
  launch("conv2d", grouped_weight_sum, grid_for(weights), dim3(256), 0, s.o, s.taps() * s.group_c(), count, parts.data(), dw);
}

}  // namespace

void conv_forward_any(DType type, const ConvShape& s, const void* x, const float* w, const float* bias, void* y) {
  expect_extents(s);
  dispatch(type, [&](auto zero) {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(x);
    T* to = static_cast<T*>(y);
    if (s.groups == 1) return forward(s, from, w, bias, to);
    const std::int64_t oh = s.oh(), ow = s.ow(), results = s.n * oh * ow * s.o;
    if (results) launch("conv2d", grouped_forward<T>, grid_for(results), dim3(256), 0, s, oh, ow, from, w, bias, to);
  });
}

void conv_input_grad_any(DType type, const ConvShape& s, const void* dy, const float* w, void* dx) {
  expect_extents(s);
  dispatch(type, [&](auto zero) {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(dy);
    T* to = static_cast<T*>(dx);
    if (s.groups == 1) return input_grad(s, from, w, to);
    const std::int64_t results = s.n * s.h * s.w * s.c;
    if (results) launch("conv2d", grouped_input_grad<T>, grid_for(results), dim3(256), 0, s, s.oh(), s.ow(), from, w, to);
  });
}

void conv_weight_grad_any(DType type, const ConvShape& s, const void* x, const void* dy, float* dw) {
  expect_extents(s);
  dispatch(type, [&](auto zero) {
    using T = decltype(zero);
    if (s.groups == 1) weight_grad(s, static_cast<const T*>(x), static_cast<const T*>(dy), dw);
    else grouped_weight_grad(s, static_cast<const T*>(x), static_cast<const T*>(dy), dw);
  });
}

}  // namespace sslcake::inline v0::kernels::cuda
