#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "../autograd/tape.hpp"
#include "../core/threads.hpp"
#include "axis.hpp"
#include "loops.hpp"
#include "on_device.hpp"
#include "shape_ops.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

/// `rows` pieces of `bytes` bytes from one place to another on the same device, each with its own distance between pieces.
inline void copy_rows(bool cuda, const char* from, std::size_t from_step, char* to, std::size_t to_step, std::size_t bytes,
                      std::int64_t rows) {
  if (bytes == 0 || rows == 0) return;
  if (cuda) return kernels::cuda::table().shape.copy_rows(from, from_step, to, to_step, bytes, rows);
  parallel_for(rows, items_per_chunk(static_cast<std::int64_t>(bytes), 1 << 16),
               [&](std::int64_t begin, std::int64_t end) {
                 for (auto r = static_cast<std::size_t>(begin); r < static_cast<std::size_t>(end); ++r)
                   std::memcpy(to + r * to_step, from + r * from_step, bytes);
               });
}

/// Copies the part [begin, begin + length) of `whole` along an axis into `part`, or `part` into it.
inline void copy_part(const char* op, const Tensor& whole, Axis axis, std::int64_t begin, std::int64_t length, Tensor& part) {
  const std::size_t entry = static_cast<std::size_t>(axis.inner) * size_of(whole.dtype());
  if (part.numel() == 0) return;
  const char* from = static_cast<const char*>(whole.address()) + static_cast<std::size_t>(begin) * entry;
  copy_rows(on_cuda(op, whole, part), from, static_cast<std::size_t>(axis.extent) * entry,
            static_cast<char*>(part.mutable_address()), static_cast<std::size_t>(length) * entry,
            static_cast<std::size_t>(length) * entry, axis.outer);
}
inline void copy_part_into(const char* op, Tensor& whole, Axis axis, std::int64_t begin, std::int64_t length,
                           const Tensor& part) {
  const std::size_t entry = static_cast<std::size_t>(axis.inner) * size_of(whole.dtype());
  const bool cuda = on_cuda(op, whole, part);
  if (part.numel() == 0) return;
  copy_rows(cuda, static_cast<const char*>(part.address()), static_cast<std::size_t>(length) * entry,
            static_cast<char*>(whole.mutable_address()) + static_cast<std::size_t>(begin) * entry,
            static_cast<std::size_t>(axis.extent) * entry, static_cast<std::size_t>(length) * entry, axis.outer);
}

inline Tensor slice_plain(const Tensor& x, int axis, std::int64_t begin, std::int64_t end) {
  const Axis a = split_at("slice", x.shape(), axis);
  Shape shape = x.shape();
  shape[axis] = end - begin;
  Tensor y(shape, x.dtype(), x.device());
  copy_part("slice", x, a, begin, end - begin, y);
  return y;
}

/// Elements of one size, whatever they mean, in permuted order: the innermost loop walks along the result.
template <class Word>
void permute_words(const Word* from, Word* to, const Shape& shape, const std::array<std::int64_t, Shape::capacity>& step) {
  const int last = shape.rank() - 1;
  const std::int64_t length = shape[last], inner = step[static_cast<std::size_t>(last)];
  parallel_for(shape.span(0, last), items_per_chunk(length),
               [&](std::int64_t begin, std::int64_t end) {
                 for (auto row = begin; row < end; ++row) {
                   std::int64_t rest = row, offset = 0;
                   for (int d = last - 1; d >= 0; --d) {
                     offset += rest % shape[d] * step[static_cast<std::size_t>(d)];
                     rest /= shape[d];
                   }
                   const Word* source = from + offset;
                   Word* target = to + row * length;
                   if (inner == 1) std::copy_n(source, length, target);
                   else
                     for (std::int64_t i = 0; i < length; ++i) target[i] = source[i * inner];
                 }
               });
}

inline Tensor permute_plain(const Tensor& x, const std::vector<int>& axes) {
  Shape shape;
  std::array<std::int64_t, Shape::capacity> step{};
  for (const int axis : axes) {
    step[static_cast<std::size_t>(shape.rank())] = x.shape().span(axis + 1, x.rank());
    shape.push_back(x.dim(axis));
  }
  if (x.rank() == 0) return x.detach();
  Tensor y(shape, x.dtype(), x.device());
  if (y.numel() == 0) return y;
  if (on_cuda("permute", x)) {
    kernels::cuda::PermutePlan plan;
    plan.rank = shape.rank();
    for (int d = 0; d < plan.rank; ++d) {
      plan.extent[d] = shape[d];
      plan.step[d] = step[static_cast<std::size_t>(d)];
    }
    kernels::cuda::table().shape.permute(size_of(x.dtype()), plan, x.address(), y.mutable_address());
    return y;
  }
  void* to = y.mutable_raw();
  switch (size_of(x.dtype())) {
    case 8: permute_words(static_cast<const std::uint64_t*>(x.raw()), static_cast<std::uint64_t*>(to), shape, step); break;
    case 4: permute_words(static_cast<const std::uint32_t*>(x.raw()), static_cast<std::uint32_t*>(to), shape, step); break;
    case 2: permute_words(static_cast<const std::uint16_t*>(x.raw()), static_cast<std::uint16_t*>(to), shape, step); break;
    default: permute_words(static_cast<const std::uint8_t*>(x.raw()), static_cast<std::uint8_t*>(to), shape, step); break;
  }
  return y;
}

}  // namespace detail

SSLCAKE_INLINE Tensor reshape(const Tensor& x, const Shape& shape) {
  detail::check_defined("reshape", x);
  if (shape.numel() != x.numel())
    fail("reshape", "expected a shape of ", x.numel(), " elements as in ", x.shape(), ", got ", shape);
  return autograd::record("reshape", {x}, x.alias(shape),
                          [before = x.shape()](autograd::Backward& b) { b.give(0, b.grad().alias(before)); });
}

SSLCAKE_INLINE Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> wanted) {
  detail::check_defined("reshape", x);
  Shape shape;
  int open = -1;
  for (const std::int64_t extent : wanted) {
    if (extent == -1 && open < 0) open = shape.rank();
    else if (extent < 0) fail("reshape", "expected extents >= 0 and at most one -1, got ", extent, " at position ", shape.rank());
    shape.push_back(extent == -1 ? 1 : extent);
  }
  if (open >= 0) {
    const std::int64_t others = shape.numel();
    if (others == 0 || x.numel() % others != 0)
      fail("reshape", "the extent -1 at position ", open, " does not follow: ", x.numel(), " elements of ", x.shape(), " over ",
           others);
    shape[open] = x.numel() / others;
  }
  return reshape(x, shape);
}

SSLCAKE_INLINE Tensor flatten(const Tensor& x, int first) {
  detail::check_defined("flatten", x);
  if (x.rank() == 0) return reshape(x, Shape{1});
  first = x.shape().axis(first, "flatten");
  Shape shape;
  for (int i = 0; i < first; ++i) shape.push_back(x.dim(i));
  shape.push_back(x.shape().span(first, x.rank()));
  return reshape(x, shape);
}

// The gradient goes back by the inverse permutation.
SSLCAKE_INLINE Tensor permute(const Tensor& x, const std::vector<int>& wanted) {
  detail::check_defined("permute", x);
  if (static_cast<int>(wanted.size()) != x.rank())
    fail("permute", "expected ", x.rank(), " axes for shape ", x.shape(), ", got ", wanted.size());
  std::vector<int> axes, inverse(wanted.size(), -1);
  for (const int axis : wanted) {
    axes.push_back(x.shape().axis(axis, "permute"));
    int& from = inverse[static_cast<std::size_t>(axes.back())];
    if (from >= 0) fail("permute", "expected each axis once, got ", axis, " twice");
    from = static_cast<int>(axes.size()) - 1;
  }
  return autograd::record("permute", {x}, detail::permute_plain(x, axes),
                          [inverse](autograd::Backward& b) { b.give(0, detail::permute_plain(b.grad(), inverse)); });
}

SSLCAKE_INLINE Tensor transpose(const Tensor& x, int axis_a, int axis_b) {
  detail::check_defined("transpose", x);
  std::vector<int> axes;
  for (int i = 0; i < x.rank(); ++i) axes.push_back(i);
  std::swap(axes[static_cast<std::size_t>(x.shape().axis(axis_a, "transpose"))],
            axes[static_cast<std::size_t>(x.shape().axis(axis_b, "transpose"))]);
  return permute(x, axes);
}

// Each input's gradient is its part of dy.
SSLCAKE_INLINE Tensor concat(const std::vector<Tensor>& tensors, int axis) {
  if (tensors.empty()) fail("concat", "expected at least one tensor");
  for (const auto& t : tensors) detail::check_defined("concat", t);
  axis = tensors[0].shape().axis(axis, "concat");
  Shape shape = tensors[0].shape();
  shape[axis] = 0;
  for (const auto& t : tensors) {
    if (t.dtype() != tensors[0].dtype())
      fail("concat", "expected tensors of one type, got ", tensors[0].dtype(), " and ", t.dtype());
    bool fits = t.rank() == shape.rank();
    for (int i = 0; fits && i < shape.rank(); ++i) fits = i == axis || t.dim(i) == shape[i];
    if (!fits)
      fail("concat", "expected shapes that agree except in axis ", axis, ", got ", tensors[0].shape(), " and ", t.shape());
    shape[axis] += t.dim(axis);
  }
  Tensor y(shape, tensors[0].dtype(), tensors[0].device());
  const auto whole = detail::split_at("concat", shape, axis);
  std::vector<std::int64_t> begins;
  std::int64_t begin = 0;
  for (const auto& t : tensors) {
    detail::copy_part_into("concat", y, whole, begin, t.dim(axis), t);
    begins.push_back(begin);
    begin += t.dim(axis);
  }
  begins.push_back(begin);
  return autograd::record("concat", tensors, y, [axis, begins](autograd::Backward& b) {
    for (std::size_t i = 0; i + 1 < begins.size(); ++i)
      if (b.needs(static_cast<int>(i)))
        b.give(static_cast<int>(i), detail::slice_plain(b.grad(), axis, begins[i], begins[i + 1]));
  });
}

SSLCAKE_INLINE Tensor stack(const std::vector<Tensor>& tensors, int axis) {
  if (tensors.empty()) fail("stack", "expected at least one tensor");
  detail::check_defined("stack", tensors[0]);
  Shape shape = Shape::ones(tensors[0].rank() + 1);
  axis = shape.axis(axis, "stack");
  for (int i = 0; i < tensors[0].rank(); ++i) shape[i < axis ? i : i + 1] = tensors[0].dim(i);
  std::vector<Tensor> parts;
  for (const auto& t : tensors) {
    detail::check_defined("stack", t);
    if (!(t.shape() == tensors[0].shape()))
      fail("stack", "expected tensors of one shape, got ", tensors[0].shape(), " and ", t.shape());
    parts.push_back(reshape(t, shape));
  }
  return concat(parts, axis);
}

// dx is zero outside of the part.
SSLCAKE_INLINE Tensor slice(const Tensor& x, int axis, std::int64_t begin, std::int64_t end) {
  detail::check_defined("slice", x);
  axis = x.shape().axis(axis, "slice");
  const std::int64_t extent = x.dim(axis), first = begin < 0 ? begin + extent : begin, last = end < 0 ? end + extent : end;
  if (first < 0 || last < first || last > extent)
    fail("slice", "expected 0 <= begin <= end <= ", extent, " along axis ", axis, " of shape ", x.shape(), ", got [", begin, ",",
         end, ")");
  Tensor y = axis == 0 ? x.rows(first, last) : detail::slice_plain(x, axis, first, last);
  return autograd::record("slice", {x}, y, [shape = x.shape(), axis, first, last](autograd::Backward& b) {
    Tensor dx = zeros(shape, b.grad().dtype(), b.grad().device());
    detail::copy_part_into("slice", dx, detail::split_at("slice", shape, axis), first, last - first, b.grad());
    b.give(0, dx);
  });
}

// One dimension after the other; most paddings touch one or two. The gradient cuts the middle out again.
SSLCAKE_INLINE Tensor pad(const Tensor& x, const std::vector<std::pair<std::int64_t, std::int64_t>>& amounts, double value) {
  detail::check_defined("pad", x);
  if (static_cast<int>(amounts.size()) != x.rank())
    fail("pad", "expected ", x.rank(), " pairs for shape ", x.shape(), ", got ", amounts.size());
  Tensor y = x.detach();
  for (int axis = 0; axis < x.rank(); ++axis) {
    const auto [before, after] = amounts[static_cast<std::size_t>(axis)];
    if (before < 0 || after < 0)
      fail("pad", "expected amounts >= 0, got ", before, " and ", after, " for axis ", axis, "; ops::slice cuts");
    if (before == 0 && after == 0) continue;
    Shape shape = y.shape();
    shape[axis] += before + after;
    Tensor wider = full(shape, value, x.dtype(), x.device());
    detail::copy_part_into("pad", wider, detail::split_at("pad", shape, axis), before, y.dim(axis), y);
    y = wider;
  }
  return autograd::record("pad", {x}, y, [shape = x.shape(), amounts](autograd::Backward& b) {
    Tensor dx = b.grad();
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const auto before = amounts[static_cast<std::size_t>(axis)].first;
      if (dx.dim(axis) != shape[axis]) dx = detail::slice_plain(dx, axis, before, before + shape[axis]);
    }
    b.give(0, dx);
  });
}

namespace detail {

/// x in another type; between float32 and bfloat16 by the kernels' loops.
inline Tensor converted(const Tensor& x, DType dtype) {
  const bool narrows = x.dtype() == DType::float32 && dtype == DType::bfloat16;
  if (x.device() == Device::cuda || (!narrows && !(x.dtype() == DType::bfloat16 && dtype == DType::float32))) return x.to(dtype);
  Tensor y(x.shape(), dtype);
  void* to = y.mutable_raw();
  parallel_for(x.numel(), elementwise_grain, [&](std::int64_t begin, std::int64_t end) {
    if (narrows) narrow(x.data<float>() + begin, static_cast<bfloat16*>(to) + begin, end - begin);
    else widen(x.data<bfloat16>() + begin, static_cast<float*>(to) + begin, end - begin);
  });
  return y;
}

}  // namespace detail

// dx = dy, converted back.
SSLCAKE_INLINE Tensor cast(const Tensor& x, DType dtype) {
  detail::check_defined("cast", x);
  if (x.dtype() == dtype) return x;
  Tensor y = detail::converted(x, dtype);
  if (!is_floating(dtype)) return y;  // steps have no gradient
  return autograd::record("cast", {x}, y,
                          [before = x.dtype()](autograd::Backward& b) { b.give(0, detail::converted(b.grad(), before)); });
}

}  // namespace sslcake::inline v0::ops
