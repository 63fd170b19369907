#pragma once

#include <algorithm>
#include <vector>

#include "../core/threads.hpp"
#include "../kernels/gemm.hpp"
#include "broadcast.hpp"
#include "conv_pass.hpp"
#include "elementwise.hpp"
#include "matmul.hpp"
#include "on_device.hpp"
#include "reduce.hpp"
#include "shape_ops.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

/// C = op(A)·op(B) on stored matrices whose extents are known from m, n, k and the flags.
struct Product {
  bool transpose_a, transpose_b;
  std::int64_t m, n, k;

  template <class T>
  void run(const T* a, const T* b, T* c, bool accumulate = false) const {
    kernels::gemm(transpose_a, transpose_b, m, n, k, a, std::max<std::int64_t>(1, transpose_a ? m : k), b,
                  std::max<std::int64_t>(1, transpose_b ? k : n), c, std::max<std::int64_t>(1, n), accumulate);
  }
  kernels::cuda::MatrixProduct for_cuda() const {
    return {.transpose_a = transpose_a, .transpose_b = transpose_b, .m = m, .n = n, .k = k,
            .lda = transpose_a ? m : k, .ldb = transpose_b ? k : n, .ldc = n};
  }
  double work() const { return static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k); }
};

inline Shape without_matrix(const Shape& s) {
  Shape out;
  for (int i = 0; i < s.rank() - 2; ++i) out.push_back(s[i]);
  return out;
}

/// How many matrices an operand, whose batch is `own`, moves on along dimension i of the whole batch; 0 where it is repeated.
inline std::int64_t matrix_step(const Shape& batch, const Shape& own, int i) {
  const int mine = i - batch.rank() + own.rank();
  if (mine < 0 || own[mine] == 1) return 0;
  std::int64_t step = 1;
  for (int d = mine + 1; d < own.rank(); ++d) step *= own[d];
  return step;
}

/// Which of the operand's matrices belongs to which matrix of the whole batch.
inline std::vector<std::int64_t> matrix_numbers(const Shape& batch, const Shape& own) {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(batch.numel()));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    auto rest = static_cast<std::int64_t>(i);
    for (int d = batch.rank() - 1; d >= 0; --d) {
      numbers[i] += rest % batch[d] * matrix_step(batch, own, d);
      rest /= batch[d];
    }
  }
  return numbers;
}

/// The dimensions before the matrices of A and B, and what they make together.
struct Batches {
  Shape a, b, all;
};
inline Batches batches_of(const Shape& a, const Shape& b) {
  Batches result{without_matrix(a), without_matrix(b), {}};
  result.all = broadcast("matmul", result.a, result.b).shape;
  return result;
}

/// Calls one(i) for each product of a batch: small ones share the threads, one each; large ones, and all where `in_turn` is
/// wanted (sums, a GPU), come one after the other and use all threads.
template <class One>
void each_product(const Product& p, std::int64_t count, bool in_turn, const One& one) {
  if (in_turn || count == 1 || p.work() > 1e7) {
    for (std::int64_t i = 0; i < count; ++i) one(i);
    return;
  }
  const auto grain = std::max<std::int64_t>(1, static_cast<std::int64_t>(1e5 / std::max(1.0, p.work())));
  parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) one(i);
  });
}

Tensor multiply_narrow(Product p, const Shape& batch, const Tensor& a, const Shape& batch_a, const Tensor& b,
                       const Shape& batch_b, const Shape& shape, const Shape& batch_c);

/// C of `shape`: for every matrix of `batch` the product of its A and its B, summed where several have the same C.
inline Tensor multiply(const Product& p, const Shape& batch, const Tensor& a, const Shape& batch_a, const Tensor& b,
                       const Shape& batch_b, const Shape& shape, const Shape& batch_c) {
  if (a.dtype() == DType::bfloat16) return multiply_narrow(p, batch, a, batch_a, b, batch_b, shape, batch_c);
  if (floats_on_cuda("matmul", a, b)) {
    Tensor c(shape, a.dtype(), a.device());
    auto product = p.for_cuda();
    for (int d = 0; d < batch.rank(); ++d)
      product.dims[product.rank++] = {.extent = batch[d], .a = matrix_step(batch, batch_a, d) * p.m * p.k,
                                      .b = matrix_step(batch, batch_b, d) * p.k * p.n,
                                      .c = matrix_step(batch, batch_c, d) * p.m * p.n};
    kernels::cuda::table().product.gemm(product, device_floats(a), device_floats(b), nullptr, device_floats(c));
    return c;
  }
  const bool sums = batch_c.numel() != batch.numel();
  Tensor c = sums ? zeros(shape, a.dtype()) : Tensor(shape, a.dtype());
  dispatch_real(a.dtype(), "matmul", [&](auto zero) {
    using T = decltype(zero);
    const auto in_a = matrix_numbers(batch, batch_a), in_b = matrix_numbers(batch, batch_b);
    const auto in_c = matrix_numbers(batch, batch_c);
    const auto count = static_cast<std::int64_t>(in_a.size());
    const T *from_a = a.data<T>(), *from_b = b.data<T>();
    T* to = c.mutable_data<T>();
    each_product(p, count, sums, [&](std::int64_t number) {
      const auto i = static_cast<std::size_t>(number);
      p.run(from_a + in_a[i] * p.m * p.k, from_b + in_b[i] * p.k * p.n, to + in_c[i] * p.m * p.n, sums);
    });
  });
  return c;
}

}  // namespace detail

// Y = A·B:    dA = dY·Bᵀ,  dB = Aᵀ·dY; for a transposed operand the same products, transposed.
SSLCAKE_INLINE Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  detail::check_floating("matmul", a);
  detail::check_same_type("matmul", a, b);
  if (a.rank() < 2 || b.rank() < 2)
    fail("matmul", "expected at least two dimensions each, got ", a.shape(), " and ", b.shape(), "; use reshape");
  std::int64_t m = a.dim(transpose_a ? -1 : -2);
  const std::int64_t k = a.dim(transpose_a ? -2 : -1), n = b.dim(transpose_b ? -2 : -1);
  if (b.dim(transpose_b ? -1 : -2) != k)
    fail("matmul", "the inner extents differ: ", transpose_a ? "transposed " : "", a.shape(), " times ",
         transpose_b ? "transposed " : "", b.shape());
  auto batches = detail::batches_of(a.shape(), b.shape());
  Shape shape = batches.all;
  shape.push_back(m);
  shape.push_back(n);
  if (!transpose_a && b.rank() == 2) {  // one matrix for the whole batch: one product with all rows
    m *= batches.all.numel();
    batches = {};
  }
  const detail::Product product{transpose_a, transpose_b, m, n, k};
  const Tensor y = detail::multiply(product, batches.all, a, batches.a, b, batches.b, shape, batches.all);
  return autograd::record(
      "matmul", {a, b}, y,
      [sa = autograd::Saved(a), sb = autograd::Saved(b), transpose_a, transpose_b, m, n, k, batches](autograd::Backward& g) {
        const Tensor &a = sa.get(), &b = sb.get(), &dy = g.grad();
        const auto& [in_a, in_b, all] = batches;
        if (g.needs(0)) {
          if (transpose_a)  // dA (k,m) = op(B) (k,n) · dYᵀ
            g.give(0, detail::multiply({transpose_b, true, k, m, n}, all, b, in_b, dy, all, a.shape(), in_a));
          else  // dA (m,k) = dY · op(B)ᵀ
            g.give(0, detail::multiply({false, !transpose_b, m, k, n}, all, dy, all, b, in_b, a.shape(), in_a));
        }
        if (g.needs(1)) {
          if (transpose_b)  // dB (n,k) = dYᵀ · op(A)
            g.give(1, detail::multiply({true, transpose_a, n, k, m}, all, dy, all, a, in_a, b.shape(), in_b));
          else  // dB (k,n) = op(A)ᵀ · dY
            g.give(1, detail::multiply({!transpose_a, false, k, n, m}, all, a, in_a, dy, all, b.shape(), in_b));
        }
      });
}

namespace detail {

/// A linear layer's rows as pictures of one pixel: what a 1x1 convolution does to bfloat16 is what is wanted here.
inline kernels::ConvShape rows_as_pixels(std::int64_t rows, std::int64_t in, std::int64_t out) {
  return {.n = rows, .h = 1, .w = 1, .c = in, .o = out};
}

/// y (rows,out) = x (rows,in)·weightᵀ, weight (out,in), + bias.
inline void linear_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y, std::int64_t rows,
                           std::int64_t in, std::int64_t out) {
  const Product product{false, true, rows, out, in};
  if (floats_on_cuda("linear", x, weight)) {
    const auto& table = kernels::cuda::table();
    const float *w = device_floats(weight), *row = bias.defined() ? device_floats(bias) : nullptr;
    if (x.dtype() == DType::float32) table.product.gemm(product.for_cuda(), device_floats(x), w, row, device_floats(y));
    else table.convolution.forward(x.dtype(), rows_as_pixels(rows, in, out), x.address(), w, row, y.mutable_address());
  } else if (x.dtype() == DType::bfloat16) {
    kernels::conv2d_forward(rows_as_pixels(rows, in, out), x.data<bfloat16>(), weight.data<float>(), y.mutable_data<bfloat16>(),
                            bias.data<float>());
  } else {
    dispatch_real(x.dtype(), "linear", [&](auto zero) {
      using T = decltype(zero);
      T* to = y.mutable_data<T>();
      if (bias.defined())
        parallel_for(rows, 1 + (1 << 15) / (out + 1), [&](std::int64_t begin, std::int64_t end) {
          for (auto r = begin; r < end; ++r) std::copy_n(bias.data<T>(), out, to + r * out);
        });
      product.run(x.data<T>(), weight.data<T>(), to, bias.defined());
    });
  }
}

/// dx (rows,in) = dy (rows,out)·weight.
inline void linear_input_grad(const Tensor& weight, const Tensor& dy, Tensor& dx, std::int64_t rows, std::int64_t in,
                              std::int64_t out) {
  const Product product{false, false, rows, in, out};
  if (floats_on_cuda("linear", dy, weight)) {
    const auto& table = kernels::cuda::table();
    const float* w = device_floats(weight);
    if (dy.dtype() == DType::float32) table.product.gemm(product.for_cuda(), device_floats(dy), w, nullptr, device_floats(dx));
    else table.convolution.input_grad(dy.dtype(), rows_as_pixels(rows, in, out), dy.address(), w, dx.mutable_address());
  } else if (dy.dtype() == DType::bfloat16) {
    kernels::conv2d_input_grad(rows_as_pixels(rows, in, out), dy.data<bfloat16>(), weight.data<float>(),
                               dx.mutable_data<bfloat16>());
  } else {
    dispatch_real(dy.dtype(), "linear", [&](auto zero) {
      using T = decltype(zero);
      product.run(dy.data<T>(), weight.data<T>(), dx.mutable_data<T>());
    });
  }
}

/// dw (out,in) = dyᵀ·x.
inline void linear_weight_grad(const Tensor& x, const Tensor& dy, Tensor& dw, std::int64_t rows, std::int64_t in,
                               std::int64_t out) {
  const Product product{true, false, out, in, rows};
  if (floats_on_cuda("linear", x, dy)) {
    const auto& table = kernels::cuda::table();
    float* to = device_floats(dw);
    if (x.dtype() == DType::float32) table.product.gemm(product.for_cuda(), device_floats(dy), device_floats(x), nullptr, to);
    else table.convolution.weight_grad(x.dtype(), rows_as_pixels(rows, in, out), x.address(), dy.address(), to);
  } else if (x.dtype() == DType::bfloat16) {
    kernels::conv2d_weight_grad(rows_as_pixels(rows, in, out), x.data<bfloat16>(), dy.data<bfloat16>(), dw.mutable_data<float>());
  } else {
    dispatch_real(x.dtype(), "linear", [&](auto zero) {
      using T = decltype(zero);
      product.run(dy.data<T>(), x.data<T>(), dw.mutable_data<T>());
    });
  }
}

/// multiply() of bfloat16: a linear layer's three products are all there are, its weight being B in float32, and the gradient
/// of its weight leaving as float32. Sums over several matrices are made in float32 and rounded once.
inline Tensor multiply_narrow(Product p, const Shape& batch, const Tensor& a, const Shape& batch_a, const Tensor& b,
                              const Shape& batch_b, const Shape& shape, const Shape& batch_c) {
  const bool sums = batch_c.numel() != batch.numel();
  if (sums)
    return multiply(p, batch, a.to(DType::float32), batch_a, b.to(DType::float32), batch_b, shape, batch_c).to(DType::bfloat16);
  if (shape.numel() == 0 || p.k == 0) return zeros(shape, DType::bfloat16, a.device());
  if (p.transpose_a && p.transpose_b) {
    p.transpose_a = false;
    return multiply_narrow(p, batch, transpose(a.detach(), -1, -2), batch_a, b, batch_b, shape, batch_c);
  }
  Tensor c(shape, p.transpose_a ? DType::float32 : DType::bfloat16, a.device());
  const Tensor factor = p.transpose_a ? b : b.to(DType::float32);
  const auto in_a = matrix_numbers(batch, batch_a), in_b = matrix_numbers(batch, batch_b);
  const auto matrix = [](const Tensor& all, std::int64_t size, std::int64_t i) {
    return all.alias({all.numel() / size, size}).rows(i, i + 1);
  };
  const auto one = [&](std::int64_t number) {
    const auto i = static_cast<std::size_t>(number);
    const Tensor left = matrix(a, p.m * p.k, in_a[i]), right = matrix(factor, p.k * p.n, in_b[i]);
    Tensor to = matrix(c, p.m * p.n, number);
    if (p.transpose_a) linear_weight_grad(right, left, to, p.k, p.n, p.m);
    else if (p.transpose_b) linear_forward(left, right, {}, to, p.m, p.k, p.n);
    else linear_input_grad(right, left, to, p.m, p.n, p.k);
  };
  each_product(p, static_cast<std::int64_t>(in_a.size()), a.device() == Device::cuda, one);
  return c.to(DType::bfloat16);
}

}  // namespace detail

// dx = dy·w,  dw = dyᵀ·x,  db = Σ over rows of dy.
SSLCAKE_INLINE Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  detail::check_floating("linear", x);
  detail::check_real("linear", weight);
  if (x.rank() < 1 || weight.rank() != 2 || x.dim(-1) != weight.dim(1))
    fail("linear", "expected x (...,in) and weight (out,in), got ", x.shape(), " and ", weight.shape());
  const std::int64_t in = weight.dim(1), out = weight.dim(0), rows = x.shape().span(0, x.rank() - 1);
  const DType type = detail::parameter_type(x.dtype());
  if (weight.dtype() != type)
    fail("linear", "expected weight of type ", type, " for an input of type ", x.dtype(), ", got ", weight.dtype());
  if (bias.defined()) {
    detail::expect_operand("linear", "bias", bias, Shape{out}, type);
    detail::expect_one_device("linear", x, bias);
  }
  Shape shape = x.shape();
  shape[-1] = out;
  Tensor y(shape, x.dtype(), x.device());
  detail::linear_forward(x, weight, bias, y, rows, in, out);
  std::vector<Tensor> inputs{x, weight};
  if (bias.defined()) inputs.push_back(bias);
  return autograd::record("linear", inputs, y, [sx = autograd::Saved(x), sw = autograd::Saved(weight), rows, in, out,
                                                biased = bias.defined()](autograd::Backward& b) {
    const Tensor &x = sx.get(), &weight = sw.get(), &dy = b.grad();
    if (b.needs(0)) {
      Tensor dx = empty_like(x);
      detail::linear_input_grad(weight, dy, dx, rows, in, out);
      b.give(0, dx);
    }
    if (b.needs(1)) {
      Tensor dw = empty_like(weight);
      detail::linear_weight_grad(x, dy, dw, rows, in, out);
      b.give(1, dw);
    }
    if (biased && b.needs(2)) b.give(2, detail::bias_grad(dy));
  });
}

}  // namespace sslcake::inline v0::ops
