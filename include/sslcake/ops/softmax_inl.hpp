#pragma once

#include <cmath>

#include "elementwise.hpp"
#include "loops.hpp"
#include "on_device.hpp"
#include "softmax.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

/// Runs one of softmax's two directions on CUDA: `from` is the input, or the output and its gradient.
template <class Kernel, class... From>
void softmax_on_cuda(const char* op, Kernel kernel, const Axis& line, Tensor& to, const From&... from) {
  expect_float32_on_cuda(op, to);
  kernel(line.outer, line.extent, line.inner, static_cast<const float*>(from.address())...,
         static_cast<float*>(to.mutable_address()));
}

}  // namespace detail

// dx = y (dy − Σ_j dy_j y_j).
SSLCAKE_INLINE Tensor softmax(const Tensor& x, int axis) {
  detail::check_real("softmax", x);
  const auto line = detail::split_at("softmax", x.shape(), axis);
  Tensor y = empty_like(x);
  if (detail::on_cuda("softmax", x)) detail::softmax_on_cuda("softmax", kernels::cuda::table().losses.softmax, line, y, x);
  else dispatch_real(x.dtype(), "softmax", [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    const auto n = line.extent, step = line.inner;
    if (n > 0)
      detail::for_each_line(line, [=](std::int64_t start, std::int64_t) {
        const T top = detail::largest_of(from + start, n, step);
        T sum = 0;
        for (std::int64_t i = 0; i < n; ++i) sum += to[start + i * step] = std::exp(from[start + i * step] - top);
        for (std::int64_t i = 0; i < n; ++i) to[start + i * step] /= sum;
      });
  });
  return autograd::record("softmax", {x}, y, [sy = autograd::Saved(y), line](autograd::Backward& b) {
    Tensor dx = empty_like(b.grad());
    if (detail::on_cuda("softmax", sy.get(), dx))
      detail::softmax_on_cuda("softmax", kernels::cuda::table().losses.softmax_grad, line, dx, sy.get(), b.grad());
    else dispatch_real(dx.dtype(), "softmax", [&](auto zero) {
      using T = decltype(zero);
      const T *y = sy.get().data<T>(), *dy = b.grad().data<T>();
      T* to = dx.mutable_data<T>();
      const auto n = line.extent, step = line.inner;
      detail::for_each_line(line, [=](std::int64_t start, std::int64_t) {
        T dot = 0;
        for (std::int64_t i = 0; i < n; ++i) dot += dy[start + i * step] * y[start + i * step];
        for (std::int64_t i = 0; i < n; ++i) to[start + i * step] = y[start + i * step] * (dy[start + i * step] - dot);
      });
    });
    b.give(0, dx);
  });
}

// dx = dy − e^y Σ_j dy_j.
SSLCAKE_INLINE Tensor log_softmax(const Tensor& x, int axis) {
  detail::check_real("log_softmax", x);
  const auto line = detail::split_at("log_softmax", x.shape(), axis);
  Tensor y = empty_like(x);
  if (detail::on_cuda("log_softmax", x))
    detail::softmax_on_cuda("log_softmax", kernels::cuda::table().losses.log_softmax, line, y, x);
  else dispatch_real(x.dtype(), "log_softmax", [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    const auto n = line.extent, step = line.inner;
    if (n > 0)
      detail::for_each_line(line, [=](std::int64_t start, std::int64_t) {
        const T top = detail::largest_of(from + start, n, step);
        T sum = 0;
        for (std::int64_t i = 0; i < n; ++i) sum += std::exp(from[start + i * step] - top);
        const T log_sum = std::log(sum);
        for (std::int64_t i = 0; i < n; ++i) to[start + i * step] = from[start + i * step] - top - log_sum;
      });
  });
  return autograd::record("log_softmax", {x}, y, [sy = autograd::Saved(y), line](autograd::Backward& b) {
    Tensor dx = empty_like(b.grad());
    if (detail::on_cuda("log_softmax", sy.get(), dx))
      detail::softmax_on_cuda("log_softmax", kernels::cuda::table().losses.log_softmax_grad, line, dx, sy.get(), b.grad());
    else dispatch_real(dx.dtype(), "log_softmax", [&](auto zero) {
      using T = decltype(zero);
      const T *y = sy.get().data<T>(), *dy = b.grad().data<T>();
      T* to = dx.mutable_data<T>();
      const auto n = line.extent, step = line.inner;
      detail::for_each_line(line, [=](std::int64_t start, std::int64_t) {
        T sum = 0;
        for (std::int64_t i = 0; i < n; ++i) sum += dy[start + i * step];
        for (std::int64_t i = 0; i < n; ++i) to[start + i * step] = dy[start + i * step] - std::exp(y[start + i * step]) * sum;
      });
    });
    b.give(0, dx);
  });
}

}  // namespace sslcake::inline v0::ops
