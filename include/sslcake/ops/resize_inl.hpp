#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "../core/threads.hpp"
#include "on_device.hpp"
#include "resize.hpp"
#include "shape_ops.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

inline void expect_resizable(const char* where, const Tensor& x, HW size) {
  expect_pictures(where, x);
  if (size.h < 1 || size.w < 1) fail(where, "expected a size of at least 1x1, got ", size);
  if (x.dim(1) < 1 || x.dim(2) < 1) fail(where, "expected pictures with at least one pixel, got ", x.shape());
}

/// bfloat16 on the CPU: computed, and gradients summed, in float32, and rounded once.
inline bool widens(const Tensor& x) { return x.dtype() == DType::bfloat16 && x.device() == Device::cpu; }

/// The source pixel of each target pixel. In float32, as PyTorch computes it: the exact quotient differs for a few sizes.
inline std::vector<std::int64_t> nearest_pixels(std::int64_t from, std::int64_t to) {
  const float scale = static_cast<float>(from) / static_cast<float>(to);
  std::vector<std::int64_t> out(static_cast<std::size_t>(to));
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = std::min(static_cast<std::int64_t>(std::floor(static_cast<float>(i) * scale)), from - 1);
  return out;
}

/// Two source pixels and the weight of the second.
template <class T>
struct Tap {
  std::int64_t low, high;
  T weight;
};
template <class T>
std::vector<Tap<T>> bilinear_taps(std::int64_t from, std::int64_t to) {
  const T scale = static_cast<T>(from) / static_cast<T>(to);
  std::vector<Tap<T>> out(static_cast<std::size_t>(to));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const T at = std::max(scale * (static_cast<T>(i) + T(0.5)) - T(0.5), T(0));
    const auto low = std::min(static_cast<std::int64_t>(at), from - 1);
    out[i] = {low, std::min(low + 1, from - 1), at - static_cast<T>(low)};
  }
  return out;
}

inline kernels::cuda::ResizeShape resize_shape(const Shape& x, HW size) { return {x[0], x[1], x[2], x[3], size.h, size.w}; }

/// Calls body(picture, target row) for all rows, in chunks; `work` is the number of elements of a row.
template <class F>
void for_each_row(std::int64_t pictures, std::int64_t rows, std::int64_t work, F body) {
  parallel_for(pictures * rows, 1 + (1 << 15) / (work + 1), [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) body(i / rows, i % rows);
  });
}

}  // namespace detail

SSLCAKE_INLINE Tensor resize_nearest(const Tensor& x, HW size) {
  detail::expect_resizable("resize_nearest", x, size);
  if (detail::widens(x)) return cast(resize_nearest(cast(x, DType::float32), size), DType::bfloat16);
  const std::int64_t n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3);
  const auto rows = detail::nearest_pixels(h, size.h), columns = detail::nearest_pixels(w, size.w);
  const auto pixel = [h, w, c, rows, columns](std::int64_t picture, std::int64_t p, std::int64_t q) {
    return ((picture * h + rows[static_cast<std::size_t>(p)]) * w + columns[static_cast<std::size_t>(q)]) * c;
  };
  Tensor y(Shape{n, size.h, size.w, c}, x.dtype(), x.device());
  if (detail::on_cuda("resize_nearest", x))
    kernels::cuda::table().shape.resize_nearest(x.dtype(), detail::resize_shape(x.shape(), size), x.address(),
                                                y.mutable_address());
  else dispatch_real(x.dtype(), "resize_nearest", [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.data<T>();
    T* out = y.mutable_data<T>();
    detail::for_each_row(n, size.h, size.w * c, [&](std::int64_t picture, std::int64_t p) {
      for (std::int64_t q = 0; q < size.w; ++q)
        std::copy_n(in + pixel(picture, p, q), c, out + ((picture * size.h + p) * size.w + q) * c);
    });
  });
  return autograd::record("resize_nearest", {x}, y, [shape = x.shape(), size, pixel](autograd::Backward& b) {
    if (detail::on_cuda("resize_nearest", b.grad())) {
      Tensor dx = empty(shape, b.grad().dtype(), b.grad().device());
      kernels::cuda::table().shape.resize_nearest_gradient(dx.dtype(), detail::resize_shape(shape, size), b.grad().address(),
                                                      dx.mutable_address());
      return b.give(0, dx);
    }
    Tensor dx = zeros(shape, b.grad().dtype());  // a source pixel sums the gradients of its copies
    const std::int64_t c = shape[3];
    dispatch_real(dx.dtype(), "resize_nearest", [&](auto zero) {
      using T = decltype(zero);
      const T* dy = b.grad().data<T>();
      T* out = dx.mutable_data<T>();
      parallel_chunks(shape[0], [&](std::int64_t picture) {
        for (std::int64_t p = 0; p < size.h; ++p)
          for (std::int64_t q = 0; q < size.w; ++q) {
            const T* from = dy + ((picture * size.h + p) * size.w + q) * c;
            T* to = out + pixel(picture, p, q);
            for (std::int64_t ch = 0; ch < c; ++ch) to[ch] += from[ch];
          }
      });
    });
    b.give(0, dx);
  });
}

SSLCAKE_INLINE Tensor resize_bilinear(const Tensor& x, HW size) {
  detail::expect_resizable("resize_bilinear", x, size);
  if (detail::widens(x)) return cast(resize_bilinear(cast(x, DType::float32), size), DType::bfloat16);
  const std::int64_t n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3);
  Tensor y(Shape{n, size.h, size.w, c}, x.dtype(), x.device());
  if (detail::on_cuda("resize_bilinear", x))
    kernels::cuda::table().shape.resize_bilinear(x.dtype(), detail::resize_shape(x.shape(), size), x.address(),
                                                 y.mutable_address());
  else dispatch_real(x.dtype(), "resize_bilinear", [&](auto zero) {
    using T = decltype(zero);
    const auto rows = detail::bilinear_taps<T>(h, size.h), columns = detail::bilinear_taps<T>(w, size.w);
    const T* in = x.data<T>();
    T* out = y.mutable_data<T>();
    detail::for_each_row(n, size.h, size.w * c, [&](std::int64_t picture, std::int64_t p) {
      const auto& r = rows[static_cast<std::size_t>(p)];
      const T *above = in + (picture * h + r.low) * w * c, *below = in + (picture * h + r.high) * w * c;
      for (std::int64_t q = 0; q < size.w; ++q) {
        const auto& s = columns[static_cast<std::size_t>(q)];
        T* to = out + ((picture * size.h + p) * size.w + q) * c;
        for (std::int64_t ch = 0; ch < c; ++ch) {
          const T top = (1 - s.weight) * above[s.low * c + ch] + s.weight * above[s.high * c + ch];
          const T bottom = (1 - s.weight) * below[s.low * c + ch] + s.weight * below[s.high * c + ch];
          to[ch] = (1 - r.weight) * top + r.weight * bottom;
        }
      }
    });
  });
  return autograd::record("resize_bilinear", {x}, y, [shape = x.shape(), size](autograd::Backward& b) {
    if (detail::on_cuda("resize_bilinear", b.grad())) {
      Tensor dx = empty(shape, b.grad().dtype(), b.grad().device());
      kernels::cuda::table().shape.resize_bilinear_gradient(dx.dtype(), detail::resize_shape(shape, size), b.grad().address(),
                                                      dx.mutable_address());
      return b.give(0, dx);
    }
    Tensor dx = zeros(shape, b.grad().dtype());  // each of the four pixels gets its share
    const std::int64_t h = shape[1], w = shape[2], c = shape[3];
    dispatch_real(dx.dtype(), "resize_bilinear", [&](auto zero) {
      using T = decltype(zero);
      const auto rows = detail::bilinear_taps<T>(h, size.h), columns = detail::bilinear_taps<T>(w, size.w);
      const T* dy = b.grad().data<T>();
      T* out = dx.mutable_data<T>();
      parallel_chunks(shape[0], [&](std::int64_t picture) {
        for (std::int64_t p = 0; p < size.h; ++p)
          for (std::int64_t q = 0; q < size.w; ++q) {
            const auto& r = rows[static_cast<std::size_t>(p)];
            const auto& s = columns[static_cast<std::size_t>(q)];
            const T* from = dy + ((picture * size.h + p) * size.w + q) * c;
            T *above = out + (picture * h + r.low) * w * c, *below = out + (picture * h + r.high) * w * c;
            for (std::int64_t ch = 0; ch < c; ++ch) {
              above[s.low * c + ch] += (1 - r.weight) * (1 - s.weight) * from[ch];
              above[s.high * c + ch] += (1 - r.weight) * s.weight * from[ch];
              below[s.low * c + ch] += r.weight * (1 - s.weight) * from[ch];
              below[s.high * c + ch] += r.weight * s.weight * from[ch];
            }
          }
      });
    });
    b.give(0, dx);
  });
}

SSLCAKE_INLINE Tensor pixel_shuffle(const Tensor& x, std::int64_t r) {
  detail::expect_pictures("pixel_shuffle", x);
  if (r < 1 || r > 32768) fail("pixel_shuffle", "expected a factor r >= 1 and at most 32768, got ", r);
  if (x.dim(3) % (r * r) != 0) fail("pixel_shuffle", "expected channels divisible by r*r = ", r * r, ", got ", x.shape());
  const std::int64_t n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3) / (r * r);
  // Calls move(offset among the pixels, offset among the channels) for every element: forward reads the second and
  // writes the first, backward the other way round.
  const auto shuffle = [n, h, w, c, r](auto move) {
    detail::for_each_row(n, h * r, w * r * c, [&](std::int64_t picture, std::int64_t p) {
      for (std::int64_t q = 0; q < w * r; ++q)
        for (std::int64_t ch = 0; ch < c; ++ch)
          move(((picture * h * r + p) * w * r + q) * c + ch,
               (((picture * h + p / r) * w + q / r) * c + ch) * r * r + p % r * r + q % r);
    });
  };
  // The same as permuting: (n,h,w,c,r,r) to (n,h,r,w,r,c), the last but one of which is the row of a pixel.
  const auto permuted = [n, h, w, c, r](const Tensor& from, Tensor& to, bool backward) {
    const std::int64_t line = c * r * r;  // a pixel of x
    kernels::cuda::PermutePlan plan = backward
        ? kernels::cuda::PermutePlan{6, {n, h, w, c, r, r}, {h * w * line, w * line, r * c, 1, w * r * c, c}}
        : kernels::cuda::PermutePlan{6, {n, h, r, w, r, c}, {h * w * line, w * line, r, line, 1, r * r}};
    kernels::cuda::table().shape.permute(size_of(from.dtype()), plan, from.address(), to.mutable_address());
  };
  Tensor y(Shape{n, h * r, w * r, c}, x.dtype(), x.device());
  if (detail::on_cuda("pixel_shuffle", x)) permuted(x, y, false);
  else dispatch_floating(x.dtype(), "pixel_shuffle", [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.data<T>();
    T* out = y.mutable_data<T>();
    shuffle([&](std::int64_t pixel, std::int64_t channel) { out[pixel] = in[channel]; });
  });
  return autograd::record("pixel_shuffle", {x}, y, [shape = x.shape(), shuffle, permuted](autograd::Backward& b) {
    Tensor dx(shape, b.grad().dtype(), b.grad().device());
    if (detail::on_cuda("pixel_shuffle", b.grad())) permuted(b.grad(), dx, true);
    else dispatch_floating(dx.dtype(), "pixel_shuffle", [&](auto zero) {
      using T = decltype(zero);
      const T* dy = b.grad().data<T>();
      T* out = dx.mutable_data<T>();
      shuffle([&](std::int64_t pixel, std::int64_t channel) { out[channel] = dy[pixel]; });
    });
    b.give(0, dx);
  });
}

}  // namespace sslcake::inline v0::ops
