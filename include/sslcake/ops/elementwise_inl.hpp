#pragma once

#include <algorithm>

#include "elementwise.hpp"
#include "loops.hpp"
#include "on_device.hpp"

namespace sslcake::inline v0::ops::detail {

SSLCAKE_INLINE void check_floating(const char* op, const Tensor& x) {
  if (!x.defined()) fail(op, "expected a tensor, got an undefined one");
  if (!is_floating(x.dtype())) fail(op, "expected a floating-point tensor, got ", x.dtype(), "; convert it with ops::cast");
}
SSLCAKE_INLINE void check_real(const char* op, const Tensor& x) {
  if (!x.defined()) fail(op, "expected a tensor, got an undefined one");
  if (x.dtype() != DType::float32 && x.dtype() != DType::float64)
    fail(op, "expected a float32 or float64 tensor, got ", x.dtype(), "; convert it with ops::cast");
}
SSLCAKE_INLINE void check_same_type(const char* op, const Tensor& a, const Tensor& b) {
  check_floating(op, a);
  check_floating(op, b);
  if (a.dtype() != b.dtype())
    fail(op, "expected two tensors of one type, got ", a.dtype(), " and ", b.dtype(), "; convert one with ops::cast");
}

inline Tensor unary_forward(const char* op, const Tensor& x, Constants c, const UnaryLoops& loops) {
  Tensor y = empty_like(x);
  if (on_cuda(op, x)) {
    kernels::cuda::table().elementwise.unary_value(loops.id, x.dtype(), x.numel(), x.address(), y.mutable_address(), c.a, c.b);
    return y;
  }
  void* to = y.mutable_raw();
  parallel_for(x.numel(), elementwise_grain, [&](std::int64_t begin, std::int64_t end) {
    switch (x.dtype()) {
      case DType::float32: return loops.value32(x.data<float>() + begin, static_cast<float*>(to) + begin, end - begin, c);
      case DType::float64: return loops.value64(x.data<double>() + begin, static_cast<double*>(to) + begin, end - begin, c);
      default: break;
    }
    float wide[widened_block], result[widened_block];
    for (auto i = begin; i < end; i += widened_block) {
      const auto n = std::min(widened_block, end - i);
      widen(x.data<bfloat16>() + i, wide, n);
      loops.value32(wide, result, n, c);
      narrow(result, static_cast<bfloat16*>(to) + i, n);
    }
  });
  return y;
}

inline Tensor unary_backward(const char* op, const Tensor& kept, const Tensor& dy, Constants c, const UnaryLoops& loops) {
  Tensor dx = empty_like(dy);
  if (on_cuda(op, kept, dy)) {
    kernels::cuda::table().elementwise.unary_gradient(loops.id, dy.dtype(), dy.numel(), kept.address(), dy.address(),
                                                      dx.mutable_address(), c.a, c.b);
    return dx;
  }
  void* to = dx.mutable_raw();
  parallel_for(dy.numel(), elementwise_grain, [&](std::int64_t begin, std::int64_t end) {
    const auto n = end - begin;
    switch (dy.dtype()) {
      case DType::float32:
        return loops.gradient32(kept.data<float>() + begin, dy.data<float>() + begin, static_cast<float*>(to) + begin, n, c);
      case DType::float64:
        return loops.gradient64(kept.data<double>() + begin, dy.data<double>() + begin, static_cast<double*>(to) + begin, n, c);
      default: break;
    }
    float wide[widened_block], wide_dy[widened_block], result[widened_block];
    for (auto i = begin; i < end; i += widened_block) {
      const auto m = std::min(widened_block, end - i);
      widen(kept.data<bfloat16>() + i, wide, m);
      widen(dy.data<bfloat16>() + i, wide_dy, m);
      loops.gradient32(wide, wide_dy, result, m, c);
      narrow(result, static_cast<bfloat16*>(to) + i, m);
    }
  });
  return dx;
}

SSLCAKE_INLINE Tensor unary_op(const char* op, const Tensor& x, Keep keep, Constants c, const UnaryLoops& loops) {
  check_floating(op, x);
  Tensor y = unary_forward(op, x, c, loops);
  const auto kept = keep == Keep::nothing ? autograd::Saved() : autograd::Saved(keep == Keep::input ? x : y);
  return autograd::record(op, {x}, y, [op, kept, c, &loops](autograd::Backward& b) {
    // A gradient that needs neither input nor result gets dy in its place, unread.
    b.give(0, unary_backward(op, kept.defined() ? kept.get() : b.grad(), b.grad(), c, loops));
  });
}

SSLCAKE_INLINE Tensor pair_op(const char* op, const Tensor& x, const Tensor& t, Constants c, const PairLoops& loops) {
  check_real(op, x);
  check_same_type(op, x, t);
  if (!(x.shape() == t.shape())) fail(op, "expected two tensors of one shape, got ", x.shape(), " and ", t.shape());
  Tensor y = empty_like(x);
  const bool cuda = on_cuda(op, x, t);
  if (cuda) {
    kernels::cuda::table().elementwise.pair_value(loops.id, x.dtype(), x.numel(), x.address(), t.address(), y.mutable_address(),
                                                  c.a, c.b);
  } else {
    void* to = y.mutable_raw();
    parallel_for(x.numel(), elementwise_grain, [&](std::int64_t begin, std::int64_t end) {
      const auto n = end - begin;
      if (x.dtype() == DType::float32)
        loops.value32(x.data<float>() + begin, t.data<float>() + begin, static_cast<float*>(to) + begin, n, c);
      else
        loops.value64(x.data<double>() + begin, t.data<double>() + begin, static_cast<double*>(to) + begin, n, c);
    });
  }
  return autograd::record(
      op, {x, t}, y, [op, sx = autograd::Saved(x), st = autograd::Saved(t), c, &loops](autograd::Backward& b) {
        const Tensor &x = sx.get(), &t = st.get(), &dy = b.grad();
        for (int which = 0; which < 2; ++which) {
          if (!b.needs(which)) continue;
          Tensor dx = empty_like(dy);
          if (on_cuda(op, x, t, dy)) {
            kernels::cuda::table().elementwise.pair_gradient(loops.id, which, dy.dtype(), dy.numel(), x.address(), t.address(),
                                                             dy.address(), dx.mutable_address(), c.a, c.b);
            b.give(which, dx);
            continue;
          }
          void* to = dx.mutable_raw();
          parallel_for(dy.numel(), elementwise_grain, [&](std::int64_t begin, std::int64_t end) {
            const auto n = end - begin;
            if (dy.dtype() == DType::float32)
              loops.gradient32[which](x.data<float>() + begin, t.data<float>() + begin, dy.data<float>() + begin,
                                      static_cast<float*>(to) + begin, n, c);
            else
              loops.gradient64[which](x.data<double>() + begin, t.data<double>() + begin, dy.data<double>() + begin,
                                      static_cast<double*>(to) + begin, n, c);
          });
          b.give(which, dx);
        }
      });
}

}  // namespace sslcake::inline v0::ops::detail
