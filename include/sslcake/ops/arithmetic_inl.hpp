#pragma once

#include "arithmetic.hpp"
#include "broadcast.hpp"
#include "elementwise.hpp"
#include "loops.hpp"
#include "on_device.hpp"
#include "shape_ops.hpp"
#include "sum_to.hpp"

namespace sslcake::inline v0::ops {

namespace detail {

/// float32 + bfloat16 of the same shape: a residual sum that keeps its precision.
inline Tensor add_widened(const Tensor& a, const Tensor& b) {
  Tensor y = empty_like(a);
  if (on_cuda("add", a, b)) {
    kernels::cuda::table().elementwise.add_widened(a.numel(), static_cast<const float*>(a.address()), b.address(),
                                                   static_cast<float*>(y.mutable_address()));
    return y;
  }
  float* to = y.mutable_data<float>();
  parallel_for(a.numel(), elementwise_grain, [&](std::int64_t begin, std::int64_t end) {
    const float* from = a.data<float>();
    float wide[widened_block];
    for (auto i = begin; i < end; i += widened_block) {
      const auto n = std::min(widened_block, end - i);
      widen(b.data<bfloat16>() + i, wide, n);
      for (std::int64_t j = 0; j < n; ++j) to[i + j] = from[i + j] + wide[j];
    }
  });
  return y;
}

}  // namespace detail

// y = a + b: dy goes to both, summed over what was repeated.
SSLCAKE_INLINE Tensor add(const Tensor& a, const Tensor& b) {
  const auto widens = [](const Tensor& wide, const Tensor& narrow) {
    return wide.defined() && narrow.defined() && wide.dtype() == DType::float32 && narrow.dtype() == DType::bfloat16 &&
           wide.shape() == narrow.shape();
  };
  if (widens(b, a)) return add(b, a);
  if (widens(a, b))
    return autograd::record("add", {a, b}, detail::add_widened(a, b), [](autograd::Backward& g) {
      if (g.needs(0)) g.give(0, g.grad());
      if (g.needs(1)) g.give(1, cast(g.grad(), DType::bfloat16));
    });
  return autograd::record("add", {a, b}, detail::arithmetic(detail::Arithmetic::add, "add", a, b),
                          [sa = a.shape(), sb = b.shape()](autograd::Backward& g) {
    if (g.needs(0)) g.give(0, detail::sum_to(g.grad(), sa));
    if (g.needs(1)) g.give(1, detail::sum_to(g.grad(), sb));
  });
}

// y = a − b: da = dy, db = −dy.
SSLCAKE_INLINE Tensor sub(const Tensor& a, const Tensor& b) {
  return autograd::record("sub", {a, b}, detail::arithmetic(detail::Arithmetic::sub, "sub", a, b),
                          [sa = a.shape(), sb = b.shape()](autograd::Backward& g) {
    if (g.needs(0)) g.give(0, detail::sum_to(g.grad(), sa));
    if (g.needs(1)) g.give(1, neg(detail::sum_to(g.grad(), sb)));
  });
}

// y = a b: da = dy b, db = dy a.
SSLCAKE_INLINE Tensor mul(const Tensor& a, const Tensor& b) {
  using detail::Arithmetic;
  return autograd::record("mul", {a, b}, detail::arithmetic(Arithmetic::mul, "mul", a, b),
                          [sa = autograd::Saved(a), sb = autograd::Saved(b)](autograd::Backward& g) {
    const Tensor &a = sa.get(), &b = sb.get();
    if (g.needs(0)) g.give(0, detail::sum_to(detail::arithmetic(Arithmetic::mul, "mul", g.grad(), b), a.shape()));
    if (g.needs(1)) g.give(1, detail::sum_to(detail::arithmetic(Arithmetic::mul, "mul", g.grad(), a), b.shape()));
  });
}

// y = a / b: da = dy / b, db = −dy a / b² = −da y.
SSLCAKE_INLINE Tensor div(const Tensor& a, const Tensor& b) {
  using detail::Arithmetic;
  Tensor y = detail::arithmetic(Arithmetic::div, "div", a, b);
  return autograd::record("div", {a, b}, y,
                          [shape = a.shape(), sb = autograd::Saved(b), sy = autograd::Saved(y)](autograd::Backward& g) {
    const Tensor& b = sb.get();
    const Tensor da = detail::arithmetic(Arithmetic::div, "div", g.grad(), b);
    if (g.needs(0)) g.give(0, detail::sum_to(da, shape));
    if (g.needs(1)) g.give(1, neg(detail::sum_to(detail::arithmetic(Arithmetic::mul, "div", da, sy.get()), b.shape())));
  });
}

SSLCAKE_INLINE Tensor add(const Tensor& a, double b) {
  return detail::unary<kernels::functions::AddNumber>("add_number", a, {b});
}

SSLCAKE_INLINE Tensor mul(const Tensor& a, double b) {
  return detail::unary<kernels::functions::MulNumber>("mul_number", a, {b});
}

SSLCAKE_INLINE Tensor div(const Tensor& a, double b) {
  return detail::unary<kernels::functions::DivNumber>("div_number", a, {b});
}

SSLCAKE_INLINE Tensor sub(const Tensor& a, double b) { return add(a, -b); }

SSLCAKE_INLINE Tensor sub(double a, const Tensor& b) {
  return detail::unary<kernels::functions::NumberSub>("number_sub", b, {a});
}

SSLCAKE_INLINE Tensor div(double a, const Tensor& b) {
  return detail::unary<kernels::functions::NumberDiv>("number_div", b, {a});
}

SSLCAKE_INLINE Tensor neg(const Tensor& x) { return detail::unary<kernels::functions::Neg>("neg", x); }

}  // namespace sslcake::inline v0::ops
