#pragma once

#include <algorithm>

#include "broadcast.hpp"
#include "elementwise.hpp"
#include "loops.hpp"
#include "on_device.hpp"

namespace sslcake::inline v0::ops::detail {

SSLCAKE_INLINE Broadcast broadcast(const char* op, const Shape& a, const Shape& b) {
  Broadcast result;
  const int rank = std::max(a.rank(), b.rank());
  // Steps along the aligned dimensions, and the merged dimensions collected from the last to the first.
  std::array<std::int64_t, Shape::capacity> extents{}, merged{}, steps_a{}, steps_b{};
  std::int64_t size_a = 1, size_b = 1;
  int count = 0;
  for (int i = 1; i <= rank; ++i) {
    const std::int64_t ea = i <= a.rank() ? a[-i] : 1, eb = i <= b.rank() ? b[-i] : 1;
    if (ea != eb && ea != 1 && eb != 1)
      fail(op, "shapes ", a, " and ", b, " do not fit: dimension ", -i, " is ", ea, " and ", eb, ", expected equal extents or 1");
    const std::int64_t e = ea == 1 ? eb : ea;
    extents[static_cast<std::size_t>(rank - i)] = e;
    if (e != 1) {
      const std::int64_t sa = ea == 1 ? 0 : size_a, sb = eb == 1 ? 0 : size_b;
      const auto last = static_cast<std::size_t>(count - 1);
      if (count > 0 && sa == steps_a[last] * merged[last] && sb == steps_b[last] * merged[last]) {
        merged[last] *= e;  // both operands walk on through memory (or stand still): one longer dimension
      } else {
        const auto next = static_cast<std::size_t>(count++);
        merged[next] = e;
        steps_a[next] = sa;
        steps_b[next] = sb;
      }
    }
    size_a *= ea;
    size_b *= eb;
  }
  for (int i = 0; i < rank; ++i) result.shape.push_back(extents[static_cast<std::size_t>(i)]);
  result.rank = count;
  for (int i = 0; i < count; ++i) {
    const auto to = static_cast<std::size_t>(i), from = static_cast<std::size_t>(count - 1 - i);
    result.extent[to] = merged[from];
    result.step_a[to] = steps_a[from];
    result.step_b[to] = steps_b[from];
  }
  return result;
}

// Innermost loops: each operand's step is 0 or 1.
template <class F, class T>
void arithmetic_row(const T* __restrict a, std::int64_t step_a, const T* __restrict b, std::int64_t step_b, T* __restrict y,
                    std::int64_t n) {
  if (step_a == 0) {
    const T value = *a;
    for (std::int64_t i = 0; i < n; ++i) y[i] = F::value(value, b[i]);
  } else if (step_b == 0) {
    const T value = *b;
    for (std::int64_t i = 0; i < n; ++i) y[i] = F::value(a[i], value);
  } else {
    for (std::int64_t i = 0; i < n; ++i) y[i] = F::value(a[i], b[i]);
  }
}

template <class T>
using ArithmeticRow = void (*)(const T*, std::int64_t, const T*, std::int64_t, T*, std::int64_t);

template <class T>
ArithmeticRow<T> arithmetic_row_of(Arithmetic kind) {
  switch (kind) {
    case Arithmetic::add: return arithmetic_row<kernels::functions::Add, T>;
    case Arithmetic::sub: return arithmetic_row<kernels::functions::Sub, T>;
    case Arithmetic::mul: return arithmetic_row<kernels::functions::Mul, T>;
    case Arithmetic::div: return arithmetic_row<kernels::functions::Div, T>;
    default: return arithmetic_row<kernels::functions::Equal, T>;
  }
}

/// bfloat16: the same rows on blocks widened to float.
inline void arithmetic_row_bfloat16(ArithmeticRow<float> row, const bfloat16* a, std::int64_t step_a, const bfloat16* b,
                                    std::int64_t step_b, bfloat16* y, std::int64_t n) {
  float wide_a[widened_block], wide_b[widened_block], result[widened_block];
  for (std::int64_t i = 0; i < n; i += widened_block) {
    const auto m = std::min(widened_block, n - i);
    widen(a + i * step_a, wide_a, step_a ? m : 1);
    widen(b + i * step_b, wide_b, step_b ? m : 1);
    row(wide_a, step_a, wide_b, step_b, result, m);
    narrow(result, y + i, m);
  }
}

/// Calls row(offset_a, offset_b, offset_y, length) for the pieces of rows that make up elements [begin, end) of the result.
template <class Row>
void for_each_row(const Broadcast& p, std::int64_t begin, std::int64_t end, Row&& row) {
  const int last = p.rank - 1;
  const std::int64_t length = last < 0 ? 1 : p.extent[static_cast<std::size_t>(last)];
  const std::int64_t inner_a = last < 0 ? 1 : p.step_a[static_cast<std::size_t>(last)];
  const std::int64_t inner_b = last < 0 ? 1 : p.step_b[static_cast<std::size_t>(last)];
  // Where the row of element `begin` starts: its index in every outer dimension.
  std::array<std::int64_t, Shape::capacity> index{};
  std::int64_t a = 0, b = 0, rest = begin / length, column = begin % length;
  for (int d = last - 1; d >= 0; --d) {
    const auto k = static_cast<std::size_t>(d);
    index[k] = rest % p.extent[k];
    rest /= p.extent[k];
    a += index[k] * p.step_a[k];
    b += index[k] * p.step_b[k];
  }
  for (auto i = begin; i < end;) {
    const auto n = std::min(length - column, end - i);
    row(a + column * inner_a, b + column * inner_b, i, n);
    i += n;
    column = 0;
    for (int d = last - 1; d >= 0; --d) {  // the next row
      const auto k = static_cast<std::size_t>(d);
      a += p.step_a[k];
      b += p.step_b[k];
      if (++index[k] < p.extent[k]) break;
      a -= p.step_a[k] * p.extent[k];
      b -= p.step_b[k] * p.extent[k];
      index[k] = 0;
    }
  }
}

inline kernels::cuda::BroadcastPlan plan_for_cuda(const Broadcast& p) {
  kernels::cuda::BroadcastPlan plan;
  plan.rank = p.rank;
  std::copy_n(p.extent.begin(), p.rank, plan.extent);
  std::copy_n(p.step_a.begin(), p.rank, plan.step_a);
  std::copy_n(p.step_b.begin(), p.rank, plan.step_b);
  return plan;
}

SSLCAKE_INLINE Tensor arithmetic(Arithmetic kind, const char* op, const Tensor& a, const Tensor& b) {
  check_same_type(op, a, b);
  const Broadcast plan = broadcast(op, a.shape(), b.shape());
  const bool cuda = on_cuda(op, a, b);
  Tensor y(plan.shape, a.dtype(), a.device());
  if (cuda) {
    kernels::cuda::table().elementwise.arithmetic(static_cast<int>(kind), a.dtype(), plan_for_cuda(plan), a.address(),
                                                  b.address(), y.mutable_address());
    return y;
  }
  void* to = y.mutable_raw();
  const std::int64_t step_a = plan.rank ? plan.step_a[static_cast<std::size_t>(plan.rank - 1)] : 1;
  const std::int64_t step_b = plan.rank ? plan.step_b[static_cast<std::size_t>(plan.rank - 1)] : 1;
  parallel_for(y.numel(), elementwise_grain, [&](std::int64_t begin, std::int64_t end) {
    for_each_row(plan, begin, end, [&](std::int64_t ia, std::int64_t ib, std::int64_t iy, std::int64_t n) {
      switch (a.dtype()) {
        case DType::float32:
          return arithmetic_row_of<float>(kind)(a.data<float>() + ia, step_a, b.data<float>() + ib, step_b,
                                                static_cast<float*>(to) + iy, n);
        case DType::float64:
          return arithmetic_row_of<double>(kind)(a.data<double>() + ia, step_a, b.data<double>() + ib, step_b,
                                                 static_cast<double*>(to) + iy, n);
        default:
          return arithmetic_row_bfloat16(arithmetic_row_of<float>(kind), a.data<bfloat16>() + ia, step_a, b.data<bfloat16>() + ib,
                                         step_b, static_cast<bfloat16*>(to) + iy, n);
      }
    });
  });
  return y;
}

SSLCAKE_INLINE Tensor repeat_to(const Tensor& t, const Shape& shape) {
  Tensor y(shape, t.dtype(), t.device());
  const Broadcast plan = broadcast("repeat_to", shape, t.shape());
  if (on_cuda("repeat_to", t)) {
    kernels::cuda::table().elementwise.repeat_to(t.dtype(), plan_for_cuda(plan), t.address(), y.mutable_address());
    return y;
  }
  const bool fill = plan.rank > 0 && plan.step_b[static_cast<std::size_t>(plan.rank - 1)] == 0;
  dispatch_real(t.dtype(), "repeat_to", [&](auto zero) {
    using T = decltype(zero);
    const T* from = t.data<T>();
    T* to = y.mutable_data<T>();
    parallel_for(y.numel(), elementwise_grain, [&](std::int64_t begin, std::int64_t end) {
      for_each_row(plan, begin, end, [&](std::int64_t, std::int64_t at, std::int64_t i, std::int64_t n) {
        if (fill) std::fill_n(to + i, n, from[at]);
        else std::copy_n(from + at, n, to + i);
      });
    });
  });
  return y;
}

}  // namespace sslcake::inline v0::ops::detail
