#pragma once

#include <algorithm>
#include <limits>
#include <memory>
#include <type_traits>
#include <vector>

#include "../core/threads.hpp"
#include "on_device.hpp"
#include "pool.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

using kernels::cuda::PoolAxis;

inline PoolAxis sliding_windows(std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                                bool count_padding) {
  return {size, (size + 2 * padding - kernel) / stride + 1, kernel, stride, padding, count_padding};
}
inline PoolAxis adaptive_windows(std::int64_t size, std::int64_t count) { return {size, count}; }

/// One window along one dimension: the pixels [begin, end) within the picture, and the extent that a mean divides by.
struct Window {
  std::int64_t begin, end, extent;
};
using Windows = std::vector<Window>;
inline Windows windows_of(const PoolAxis& axis) {
  Windows out;
  for (std::int64_t i = 0; i < axis.count; ++i) out.push_back({axis.begin(i), axis.end(i), axis.extent(i)});
  return out;
}

/// Checks the options and fills in the stride.
inline PoolOptions pool_options(const char* where, const Tensor& x, PoolOptions o) {
  expect_pictures(where, x);
  if (o.stride.h == 0) o.stride.h = o.kernel.h;
  if (o.stride.w == 0) o.stride.w = o.kernel.w;
  if (o.kernel.h < 1 || o.kernel.w < 1) fail(where, "expected a kernel of at least 1x1, got ", o.kernel);
  if (o.stride.h < 1 || o.stride.w < 1) fail(where, "expected a stride >= 1 (or 0: the kernel's), got ", o.stride);
  constexpr std::int64_t most = 1 << 30;  // areas and places are products of these
  if (o.kernel.h > most || o.kernel.w > most || o.stride.h > most || o.stride.w > most)
    fail(where, "expected a kernel and a stride of at most ", most, ", got ", o.kernel, " and ", o.stride);
  if (o.padding.h < 0 || o.padding.w < 0 || o.padding.h > o.kernel.h / 2 || o.padding.w > o.kernel.w / 2)
    fail(where, "expected a padding of at most half the kernel ", o.kernel, ", got ", o.padding);
  if (x.dim(1) + 2 * o.padding.h < o.kernel.h || x.dim(2) + 2 * o.padding.w < o.kernel.w || x.dim(1) < 1 || x.dim(2) < 1)
    fail(where, "expected pictures at least as large as the kernel ", o.kernel, ", got ", x.shape(), " with padding ", o.padding);
  return o;
}

/// Means over boxes, for each pair of a window of rows and one of columns. Of bfloat16 pictures they are float32.
inline Tensor box_means(const Tensor& x, const PoolAxis& over_rows, const PoolAxis& over_columns) {
  const std::int64_t n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3), oh = over_rows.count, ow = over_columns.count;
  Tensor y(Shape{n, oh, ow, c}, parameter_type(x.dtype()), x.device());
  if (y.numel() == 0) return y;
  if (floats_on_cuda("avg_pool2d", x)) {
    kernels::cuda::table().pool.box_means(x.dtype(), n, c, over_rows, over_columns, x.address(),
                                          static_cast<float*>(y.mutable_address()));
    return y;
  }
  const Windows rows = windows_of(over_rows), columns = windows_of(over_columns);
  dispatch_floating(x.dtype(), "avg_pool2d", [&](auto zero) {
    using S = decltype(zero);
    using T = compute_t<S>;
    const S* in = x.data<S>();
    T* out = y.mutable_data<T>();
    parallel_for(n * oh, 1 + (1 << 15) / (h * w * c / oh + 1), [&](std::int64_t first, std::int64_t last) {
      const Workspace<T> line(c);  // each line of a box is summed on its own: short sums round less
      for (auto i = first; i < last; ++i) {
        const Window& r = rows[static_cast<std::size_t>(i % oh)];
        for (std::int64_t q = 0; q < ow; ++q) {
          const Window& s = columns[static_cast<std::size_t>(q)];
          T* to = out + (i * ow + q) * c;
          std::fill_n(to, c, T(0));
          for (auto row = r.begin; row < r.end; ++row) {
            T* sum = line.data();
            std::fill_n(sum, c, T(0));
            for (auto column = s.begin; column < s.end; ++column) {
              const S* from = in + ((i / oh * h + row) * w + column) * c;
              for (std::int64_t ch = 0; ch < c; ++ch) sum[ch] += static_cast<T>(from[ch]);
            }
            for (std::int64_t ch = 0; ch < c; ++ch) to[ch] += sum[ch];
          }
          const T scale = T(1) / static_cast<T>(r.extent * s.extent);
          for (std::int64_t ch = 0; ch < c; ++ch) to[ch] *= scale;
        }
      }
    });
  });
  return y;
}

/// Calls body(picture, its sums in T) for pictures of `size` zeros each, which are `out` itself where S holds T, and else kept in
/// T until a picture is complete: many small terms would vanish in a bfloat16 sum.
template <class S, class Body>
void sum_pictures(std::int64_t pictures, std::int64_t size, S* out, Body body) {
  using T = compute_t<S>;
  parallel_chunks(pictures, [&](std::int64_t n) {
    if constexpr (std::is_same_v<S, T>) {
      body(n, out + n * size);
    } else {
      const Workspace<T> sums(size);
      std::fill_n(sums.data(), size, T(0));
      body(n, sums.data());
      for (std::int64_t i = 0; i < size; ++i) out[n * size + i] = S(sums[i]);
    }
  });
}

/// The transpose: every pixel of a box gets the box's gradient, divided by the area. One picture after the other on
/// each thread, since boxes of one picture may overlap.
inline Tensor box_means_grad(const Tensor& dy, const Shape& x, DType type, const PoolAxis& over_rows,
                             const PoolAxis& over_columns) {
  const std::int64_t h = x[1], w = x[2], c = x[3], oh = over_rows.count, ow = over_columns.count;
  if (on_cuda("avg_pool2d", dy)) {
    Tensor dx = empty(x, type, dy.device());
    kernels::cuda::table().pool.box_means_gradient(type, x[0], c, over_rows, over_columns,
                                                   static_cast<const float*>(dy.address()), dx.mutable_address());
    return dx;
  }
  const Windows rows = windows_of(over_rows), columns = windows_of(over_columns);
  Tensor dx = zeros(x, type);
  if (dx.numel() == 0 || dy.numel() == 0) return dx;
  dispatch_floating(type, "avg_pool2d", [&](auto zero) {
    using S = decltype(zero);
    using T = compute_t<S>;
    const T* in = dy.data<T>();
    sum_pictures(x[0], h * w * c, dx.mutable_data<S>(), [&](std::int64_t n, T* out) {
      for (std::int64_t p = 0; p < oh; ++p)
        for (std::int64_t q = 0; q < ow; ++q) {
          const Window &r = rows[static_cast<std::size_t>(p)], &s = columns[static_cast<std::size_t>(q)];
          const T* from = in + ((n * oh + p) * ow + q) * c;
          const T scale = T(1) / static_cast<T>(r.extent * s.extent);
          for (auto row = r.begin; row < r.end; ++row)
            for (auto column = s.begin; column < s.end; ++column) {
              T* to = out + (row * w + column) * c;
              for (std::int64_t ch = 0; ch < c; ++ch) to[ch] += from[ch] * scale;
            }
        }
    });
  });
  return dx;
}

/// The largest value of a window and where it stands, counted in row-major order within the unclipped window.
/// `place` has T's width so that the loop over channels becomes vector code.
template <class S, class T, class Place>
void window_maximum(const S* image, std::int64_t w, std::int64_t c, const Window& r, const Window& s, std::int64_t kernel_w,
                    std::int64_t skipped, T* best, Place* place) {
  bool first = true;
  for (auto row = r.begin; row < r.end; ++row)
    for (auto column = s.begin; column < s.end; ++column) {
      const S* from = image + (row * w + column) * c;
      const auto here = static_cast<Place>(skipped + (row - r.begin) * kernel_w + column - s.begin);
      if (first) {
        for (std::int64_t ch = 0; ch < c; ++ch) best[ch] = static_cast<T>(from[ch]);
        std::fill_n(place, c, here);
        first = false;
        continue;
      }
      for (std::int64_t ch = 0; ch < c; ++ch) {
        const T v = static_cast<T>(from[ch]);
        const bool better = (v > best[ch]) | (v != v);
        best[ch] = better ? v : best[ch];
        place[ch] = better ? here : place[ch];
      }
    }
}

/// The places are kept in a tensor of two bytes for each result.
inline Tensor max_pool2d_on_cuda(const Tensor& x, const kernels::cuda::PoolShape& s) {
  Tensor y(Shape{s.n, s.oh, s.ow, s.c}, x.dtype(), x.device()), places;
  if (autograd::will_record({x})) places = empty(Shape{y.numel(), 2}, DType::uint8, x.device());
  kernels::cuda::table().pool.max_pool2d(x.dtype(), s, x.address(), y.mutable_address(),
                                         static_cast<std::uint16_t*>(places.mutable_address()));
  return autograd::record("max_pool2d", {x}, y, [s, shape = x.shape(), places](autograd::Backward& b) {
    Tensor dx = empty(shape, b.grad().dtype(), b.grad().device());
    kernels::cuda::table().pool.max_pool2d_gradient(dx.dtype(), s, b.grad().address(),
                                                    static_cast<const std::uint16_t*>(places.address()), dx.mutable_address());
    b.give(0, dx);
  });
}

}  // namespace detail

SSLCAKE_INLINE Tensor max_pool2d(const Tensor& x, const PoolOptions& wanted) {
  const PoolOptions o = detail::pool_options("max_pool2d", x, wanted);
  if (o.kernel.h * o.kernel.w > 65535) fail("max_pool2d", "expected a kernel of at most 65535 pixels, got ", o.kernel);
  const auto over_rows = detail::sliding_windows(x.dim(1), o.kernel.h, o.stride.h, o.padding.h, true);
  const auto over_columns = detail::sliding_windows(x.dim(2), o.kernel.w, o.stride.w, o.padding.w, true);
  const std::int64_t n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3), oh = over_rows.count, ow = over_columns.count;
  if (detail::on_cuda("max_pool2d", x))
    return detail::max_pool2d_on_cuda(
        x, {n, h, w, c, oh, ow, o.kernel.h, o.kernel.w, o.stride.h, o.stride.w, o.padding.h, o.padding.w});
  const auto rows = detail::windows_of(over_rows), columns = detail::windows_of(over_columns);
  Tensor y(Shape{n, oh, ow, c}, x.dtype());
  // Where each maximum stands: two bytes per result, so that neither x nor y need be kept.
  const auto places = std::make_shared<Workspace<std::uint16_t>>(autograd::will_record({x}) ? y.numel() : 0);
  const bool keep = places->size() > 0;
  const auto place_of = [&](std::int64_t p, std::int64_t q) {  // of the first pixel within the picture
    const auto above = rows[static_cast<std::size_t>(p)].begin - (p * o.stride.h - o.padding.h);
    return above * o.kernel.w + columns[static_cast<std::size_t>(q)].begin - (q * o.stride.w - o.padding.w);
  };
  if (y.numel() > 0)
    dispatch_floating(x.dtype(), "max_pool2d", [&](auto zero) {
      using S = decltype(zero);
      using T = compute_t<S>;
      using Place = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
      const S* in = x.data<S>();
      S* out = y.mutable_data<S>();
      parallel_for(n * oh, 1 + (1 << 15) / (h * w * c / oh + 1), [&](std::int64_t first, std::int64_t last) {
        const Workspace<Place> place(c);
        const Workspace<T> best(c);
        for (auto i = first; i < last; ++i)
          for (std::int64_t q = 0; q < ow; ++q) {
            const auto at = (i * ow + q) * c;
            detail::window_maximum(in + i / oh * h * w * c, w, c, rows[static_cast<std::size_t>(i % oh)],
                                   columns[static_cast<std::size_t>(q)], o.kernel.w, place_of(i % oh, q), best.data(),
                                   place.data());
            for (std::int64_t ch = 0; ch < c; ++ch) out[at + ch] = S(best[ch]);
            if (keep)
              for (std::int64_t ch = 0; ch < c; ++ch) (*places)[at + ch] = static_cast<std::uint16_t>(place[ch]);
          }
      });
    });
  return autograd::record("max_pool2d", {x}, y, [o, shape = x.shape(), oh, ow, places](autograd::Backward& b) {
    Tensor dx = zeros(shape, b.grad().dtype());
    const std::int64_t h = shape[1], w = shape[2], c = shape[3];
    if (b.grad().numel() > 0)
      dispatch_floating(dx.dtype(), "max_pool2d", [&](auto zero) {
        using S = decltype(zero);
        using T = compute_t<S>;
        const S* dy = b.grad().data<S>();
        detail::sum_pictures(shape[0], h * w * c, dx.mutable_data<S>(), [&](std::int64_t n, T* out) {
          for (std::int64_t p = 0; p < oh; ++p)
            for (std::int64_t q = 0; q < ow; ++q)
              for (std::int64_t ch = 0; ch < c; ++ch) {
                const auto at = ((n * oh + p) * ow + q) * c + ch;
                const std::int64_t place = (*places)[at];
                const auto row = p * o.stride.h - o.padding.h + place / o.kernel.w;
                const auto column = q * o.stride.w - o.padding.w + place % o.kernel.w;
                out[(row * w + column) * c + ch] += static_cast<T>(dy[at]);
              }
        });
      });
    b.give(0, dx);
  });
}

SSLCAKE_INLINE Tensor avg_pool2d(const Tensor& x, const PoolOptions& wanted) {
  const PoolOptions o = detail::pool_options("avg_pool2d", x, wanted);
  const auto rows = detail::sliding_windows(x.dim(1), o.kernel.h, o.stride.h, o.padding.h, o.count_include_pad);
  const auto columns = detail::sliding_windows(x.dim(2), o.kernel.w, o.stride.w, o.padding.w, o.count_include_pad);
  return autograd::record("avg_pool2d", {x}, detail::box_means(x, rows, columns),
                          [shape = x.shape(), type = x.dtype(), rows, columns](autograd::Backward& b) {
                            b.give(0, detail::box_means_grad(b.grad(), shape, type, rows, columns));
                          });
}

SSLCAKE_INLINE Tensor adaptive_avg_pool2d(const Tensor& x, HW size) {
  constexpr const char* op = "adaptive_avg_pool2d";
  detail::expect_pictures(op, x);
  if (size.h < 1 || size.w < 1) fail(op, "expected a size of at least 1x1, got ", size);
  if (x.dim(1) < 1 || x.dim(2) < 1) fail(op, "expected pictures with at least one pixel, got ", x.shape());
  const auto rows = detail::adaptive_windows(x.dim(1), size.h), columns = detail::adaptive_windows(x.dim(2), size.w);
  return autograd::record("adaptive_avg_pool2d", {x}, detail::box_means(x, rows, columns),
                          [shape = x.shape(), type = x.dtype(), rows, columns](autograd::Backward& b) {
                            b.give(0, detail::box_means_grad(b.grad(), shape, type, rows, columns));
                          });
}

SSLCAKE_INLINE Tensor global_avg_pool(const Tensor& x) {
  detail::expect_pictures("global_avg_pool", x);
  if (x.dim(1) < 1 || x.dim(2) < 1) fail("global_avg_pool", "expected pictures with at least one pixel, got ", x.shape());
  const auto rows = detail::adaptive_windows(x.dim(1), 1), columns = detail::adaptive_windows(x.dim(2), 1);
  const Tensor y = detail::box_means(x, rows, columns).alias(Shape{x.dim(0), x.dim(3)});
  return autograd::record("global_avg_pool", {x}, y, [shape = x.shape(), type = x.dtype(), rows, columns](autograd::Backward& b) {
    b.give(0, detail::box_means_grad(b.grad(), shape, type, rows, columns));
  });
}

}  // namespace sslcake::inline v0::ops
