#pragma once

#include <algorithm>

#include "../core/storage.hpp"
#include "../core/threads.hpp"
#include "conv2d.hpp"
#include "conv2d_bfloat16.hpp"
#include "conv2d_pairs.hpp"
#include "conv_check.hpp"
#include "cpu/variant.hpp"
#include "winograd.hpp"

namespace sslcake::inline v0::kernels {
namespace detail {

/// Convolutions without a bfloat16 kernel of their own are done by the float32 one, a few images at a time: widened
/// copies of those stay in the cache, and never is there a float32 copy of the whole batch.
class Slices {
 public:
  explicit Slices(const ConvShape& shape) : s_(shape), x_(s_.h * s_.w * s_.c), y_(s_.oh() * s_.ow() * s_.o) {
    constexpr std::int64_t wanted_floats = 2 << 20;
    images_ = std::clamp<std::int64_t>(wanted_floats / std::max<std::int64_t>(x_ + y_, 1), 1, std::max<std::int64_t>(s_.n, 1));
  }
  std::int64_t x() const { return x_; }  // numbers per image
  std::int64_t y() const { return y_; }
  std::int64_t images() const { return images_; }

  /// body(first image, shape of the slice)
  template <class Body>
  void each(Body body) const {
    for (std::int64_t n = 0; n < s_.n; n += images_) {
      ConvShape slice = s_;
      slice.n = std::min(images_, s_.n - n);
      body(n, slice);
    }
  }

 private:
  ConvShape s_;
  std::int64_t x_, y_, images_;
};

inline void widen(std::int64_t count, const bfloat16* from, float* to) {
  const Variant& kernels = variant();
  parallel_for(count, 1 << 15,
               [&](std::int64_t begin, std::int64_t end) { kernels.widen(end - begin, from + begin, to + begin); });
}
inline void narrow(std::int64_t count, const float* from, bfloat16* to) {
  const Variant& kernels = variant();
  parallel_for(count, 1 << 15,
               [&](std::int64_t begin, std::int64_t end) { kernels.narrow(end - begin, from + begin, to + begin); });
}

inline bool bfloat16_winograd(const ConvShape& shape, bool input_grad) {
  return variant().conv2d_winograd_bfloat16 && takes_winograd(shape, input_grad);
}

/// Whether forward pass or input gradient is done on pairs of bfloat16. Groups of few channels leave most of a tile empty.
inline bool takes_pairs(const ConvShape& s, bool input_grad) {
  const std::int64_t source = input_grad ? s.group_o() : s.group_c(), result = input_grad ? s.group_c() : s.group_o();
  const bool any = s.groups == 1 || variant().pairs_of_any_channels || source % 2 == 0;
  const bool enough = s.groups == 1 ? source > 0 : source >= 8 && result >= 8;
  return variant().conv2d_pairs && any && enough;
}

/// y (pixels,O) += bias (O); nothing if that is null.
inline void add_bias(const ConvShape& shape, const float* bias, float* y) {
  if (!bias) return;
  const std::int64_t channels = shape.o, pixels = shape.n * shape.oh() * shape.ow();
  parallel_for(pixels, 1 + (1 << 15) / (channels + 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p)
      for (std::int64_t o = 0; o < channels; ++o) y[p * channels + o] += bias[o];
  });
}

}  // namespace detail

SSLCAKE_INLINE void conv2d_forward(const ConvShape& shape, const bfloat16* x, const float* w, bfloat16* y, const float* bias) {
  detail::check(shape);
  if (!bias && detail::bfloat16_winograd(shape, false))  // a bias behind it would mean to round twice
    return variant().conv2d_winograd_bfloat16(shape, false, x, w, y, nullptr, nullptr, nullptr);
  if (detail::takes_pairs(shape, false)) return detail::forward_pairs(variant(), shape, x, w, bias, y, nullptr, nullptr, nullptr);
  const detail::Slices slices(shape);
  const Workspace<float> wide_x(slices.images() * slices.x()), wide_y(slices.images() * slices.y());
  slices.each([&](std::int64_t n, const ConvShape& slice) {
    detail::widen(slice.n * slices.x(), x + n * slices.x(), wide_x.data());
    conv2d_forward(slice, wide_x.data(), w, wide_y.data());  // by Winograd's transform where that pays
    detail::add_bias(slice, bias, wide_y.data());
    detail::narrow(slice.n * slices.y(), wide_y.data(), y + n * slices.y());
  });
}

SSLCAKE_INLINE void conv2d_forward_sums(const ConvShape& shape, const bfloat16* x, const float* w, bfloat16* y,
                                        const float* center, double* sum, double* sum_sq) {
  detail::check(shape);
  if (detail::bfloat16_winograd(shape, false))
    return variant().conv2d_winograd_bfloat16(shape, false, x, w, y, center, sum, sum_sq);
  if (detail::takes_pairs(shape, false)) return detail::forward_pairs(variant(), shape, x, w, nullptr, y, center, sum, sum_sq);
  const detail::Slices slices(shape);
  const Workspace<float> wide_x(slices.images() * slices.x()), wide_y(slices.images() * slices.y());
  const Workspace<double> first(shape.o), second(shape.o);
  std::fill_n(sum, shape.o, 0.0);
  std::fill_n(sum_sq, shape.o, 0.0);
  slices.each([&](std::int64_t n, const ConvShape& slice) {
    detail::widen(slice.n * slices.x(), x + n * slices.x(), wide_x.data());
    variant().conv2d_forward_sums(slice, wide_x.data(), w, wide_y.data(), center, first.data(), second.data());
    detail::narrow(slice.n * slices.y(), wide_y.data(), y + n * slices.y());
    for (std::int64_t o = 0; o < shape.o; ++o) sum[o] += first[o], sum_sq[o] += second[o];
  });
}

SSLCAKE_INLINE void conv2d_input_grad(const ConvShape& shape, const bfloat16* dy, const float* w, bfloat16* dx) {
  detail::check(shape);
  if (detail::bfloat16_winograd(shape, true))
    return variant().conv2d_winograd_bfloat16(shape, true, dy, w, dx, nullptr, nullptr, nullptr);
  if (detail::takes_pairs(shape, true)) return detail::input_grad_pairs(variant(), shape, dy, w, dx);
  const detail::Slices slices(shape);
  const Workspace<float> wide_x(slices.images() * slices.x()), wide_y(slices.images() * slices.y());
  slices.each([&](std::int64_t n, const ConvShape& slice) {
    detail::widen(slice.n * slices.y(), dy + n * slices.y(), wide_y.data());
    variant().conv2d_input_grad(slice, wide_y.data(), w, wide_x.data());
    detail::narrow(slice.n * slices.x(), wide_x.data(), dx + n * slices.x());
  });
}

SSLCAKE_INLINE void conv2d_weight_grad(const ConvShape& shape, const bfloat16* x, const bfloat16* dy, float* dw) {
  detail::check(shape);
  if (detail::bfloat16_winograd(shape, false)) return variant().conv2d_winograd_weight_grad_bfloat16(shape, x, dy, dw);
  if (variant().conv2d_weight_grad_pairs && (shape.groups == 1 || (shape.group_c() >= 8 && shape.group_o() >= 8)))
    return detail::weight_grad_pairs(variant(), shape, x, dy, dw);
  const detail::Slices slices(shape);
  const std::int64_t count = shape.o * shape.taps() * shape.group_c();
  const Workspace<float> wide_x(slices.images() * slices.x()), wide_y(slices.images() * slices.y()), part(count);
  std::fill_n(dw, count, 0.0f);
  slices.each([&](std::int64_t n, const ConvShape& slice) {
    detail::widen(slice.n * slices.x(), x + n * slices.x(), wide_x.data());
    detail::widen(slice.n * slices.y(), dy + n * slices.y(), wide_y.data());
    variant().conv2d_weight_grad(slice, wide_x.data(), wide_y.data(), part.data());
    for (std::int64_t i = 0; i < count; ++i) dw[i] += part[i];
  });
}

}  // namespace sslcake::inline v0::kernels
