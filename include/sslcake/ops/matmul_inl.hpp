#pragma once

#include <algorithm>
#include <vector>

#include "../core/threads.hpp"
#include "../kernels/gemm.hpp"
#include "broadcast.hpp"
#include "conv_pass.hpp"
#include "elementwise.hpp"
#include "matmul.hpp"
#include "reduce.hpp"

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
  double work() const { return static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k); }
};

/// Which matrix of A and of B makes which matrix of the result.
struct Batches {
  Shape shape;                      // the broadcast dimensions
  std::vector<std::int64_t> a, b;   // matrix numbers, one for each result
  bool repeats_a = false, repeats_b = false;
};

inline Shape without_matrix(const Shape& s) {
  Shape out;
  for (int i = 0; i < s.rank() - 2; ++i) out.push_back(s[i]);
  return out;
}

inline Batches batches_of(const Shape& a, const Shape& b) {
  Batches result;
  const Shape batch_a = without_matrix(a), batch_b = without_matrix(b);
  result.shape = broadcast("matmul", batch_a, batch_b).shape;
  const std::int64_t count = result.shape.numel();
  const auto number = [&](std::int64_t i, const Shape& batch) {
    std::int64_t index = 0, step = 1;
    for (int d = 1; d <= result.shape.rank(); ++d) {
      const std::int64_t at = i % result.shape[-d];
      i /= result.shape[-d];
      if (d <= batch.rank()) {
        if (batch[-d] != 1) index += at * step;
        step *= batch[-d];
      }
    }
    return index;
  };
  for (std::int64_t i = 0; i < count; ++i) {
    result.a.push_back(number(i, batch_a));
    result.b.push_back(number(i, batch_b));
  }
  result.repeats_a = batch_a.numel() != count;
  result.repeats_b = batch_b.numel() != count;
  return result;
}

/// to[to_number[i]] = or += product(a[a_number[i]], b[b_number[i]]) for all i. Small products share the threads, one
/// each; large ones, and those that are summed into the same matrix, come in turn and use all threads themselves.
template <class T>
void run_products(const Product& p, const T* a, const std::vector<std::int64_t>& a_number, const T* b,
                  const std::vector<std::int64_t>& b_number, T* to, const std::vector<std::int64_t>* to_number, bool sums) {
  const auto count = static_cast<std::int64_t>(a_number.size());
  const auto one = [&](std::int64_t i) {
    const auto k = static_cast<std::size_t>(i);
    const std::int64_t target = to_number ? (*to_number)[k] : i;
    p.run(a + a_number[k] * p.m * p.k, b + b_number[k] * p.k * p.n, to + target * p.m * p.n, sums);
  };
  if (sums || count == 1 || p.work() > 1e7) {
    for (std::int64_t i = 0; i < count; ++i) one(i);
  } else {
    const auto grain = std::max<std::int64_t>(1, static_cast<std::int64_t>(1e5 / std::max(1.0, p.work())));
    parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i) one(i);
    });
  }
}

}  // namespace detail

// Y = A·B:    dA = dY·Bᵀ,  dB = Aᵀ·dY; for a transposed operand the same products, transposed.
SSLCAKE_INLINE Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  detail::check_real("matmul", a);
  detail::check_same_type("matmul", a, b);
  if (a.rank() < 2 || b.rank() < 2)
    fail("matmul", "expected at least two dimensions each, got ", a.shape(), " and ", b.shape(), "; use reshape");
  std::int64_t m = a.dim(transpose_a ? -1 : -2);
  const std::int64_t k = a.dim(transpose_a ? -2 : -1), n = b.dim(transpose_b ? -2 : -1);
  if (b.dim(transpose_b ? -1 : -2) != k)
    fail("matmul", "the inner extents differ: ", transpose_a ? "transposed " : "", a.shape(), " times ",
         transpose_b ? "transposed " : "", b.shape());
  auto batches = detail::batches_of(a.shape(), b.shape());
  Shape shape = batches.shape;
  shape.push_back(m);
  shape.push_back(n);
  if (!transpose_a && b.rank() == 2) {  // one matrix for the whole batch: one product with all rows
    m *= static_cast<std::int64_t>(batches.a.size());
    batches = detail::batches_of(Shape{m, k}, b.shape());
  }
  Tensor y(shape, a.dtype());
  dispatch_real(a.dtype(), "matmul", [&](auto zero) {
    using T = decltype(zero);
    detail::run_products(detail::Product{transpose_a, transpose_b, m, n, k}, a.data<T>(), batches.a, b.data<T>(), batches.b,
                         y.mutable_data<T>(), nullptr, false);
  });
  return autograd::record(
      "matmul", {a, b}, y,
      [sa = autograd::Saved(a), sb = autograd::Saved(b), transpose_a, transpose_b, m, n, k,
       batches = std::move(batches)](autograd::Backward& g) {
        const Tensor &a = sa.get(), &b = sb.get(), &dy = g.grad();
        std::vector<std::int64_t> all;
        for (std::size_t i = 0; i < batches.a.size(); ++i) all.push_back(static_cast<std::int64_t>(i));
        dispatch_real(a.dtype(), "matmul", [&](auto zero) {
          using T = decltype(zero);
          if (g.needs(0)) {
            Tensor da = batches.repeats_a ? zeros_like(a) : empty_like(a);
            if (transpose_a) {  // dA (k,m) = op(B) (k,n) · dYᵀ
              detail::run_products(detail::Product{transpose_b, true, k, m, n}, b.data<T>(), batches.b, dy.data<T>(), all,
                                   da.mutable_data<T>(), &batches.a, batches.repeats_a);
            } else {  // dA (m,k) = dY · op(B)ᵀ
              detail::run_products(detail::Product{false, !transpose_b, m, k, n}, dy.data<T>(), all, b.data<T>(), batches.b,
                                   da.mutable_data<T>(), &batches.a, batches.repeats_a);
            }
            g.give(0, da);
          }
          if (g.needs(1)) {
            Tensor db = batches.repeats_b ? zeros_like(b) : empty_like(b);
            if (transpose_b) {  // dB (n,k) = dYᵀ · op(A)
              detail::run_products(detail::Product{true, transpose_a, n, k, m}, dy.data<T>(), all, a.data<T>(), batches.a,
                                   db.mutable_data<T>(), &batches.b, batches.repeats_b);
            } else {  // dB (k,n) = op(A)ᵀ · dY
              detail::run_products(detail::Product{!transpose_a, false, k, n, m}, a.data<T>(), batches.a, dy.data<T>(), all,
                                   db.mutable_data<T>(), &batches.b, batches.repeats_b);
            }
            g.give(1, db);
          }
        });
      });
}

namespace detail {

/// A linear layer's rows as pictures of one pixel: what a 1x1 convolution does to bfloat16 is what is wanted here.
inline kernels::ConvShape rows_as_pixels(std::int64_t rows, std::int64_t in, std::int64_t out) {
  return {.n = rows, .h = 1, .w = 1, .c = in, .o = out};
}

inline Tensor linear_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, std::int64_t rows, std::int64_t in, std::int64_t out) {
  Shape shape = x.shape();
  shape[-1] = out;
  Tensor y(shape, x.dtype());
  if (x.dtype() == DType::bfloat16) {
    kernels::conv2d_forward(rows_as_pixels(rows, in, out), x.data<bfloat16>(), weight.data<float>(), y.mutable_data<bfloat16>(), bias.data<float>());
    return y;
  }
  dispatch_real(x.dtype(), "linear", [&](auto zero) {
    using T = decltype(zero);
    T* to = y.mutable_data<T>();
    if (bias.defined())
      for (std::int64_t r = 0; r < rows; ++r) std::copy_n(bias.data<T>(), out, to + r * out);
    Product{false, true, rows, out, in}.run(x.data<T>(), weight.data<T>(), to, bias.defined());
  });
  return y;
}

inline Tensor linear_input_grad(const Tensor& x, const Tensor& weight, const Tensor& dy, std::int64_t rows, std::int64_t in, std::int64_t out) {
  Tensor dx = empty_like(x);
  if (x.dtype() == DType::bfloat16)
    kernels::conv2d_input_grad(rows_as_pixels(rows, in, out), dy.data<bfloat16>(), weight.data<float>(), dx.mutable_data<bfloat16>());
  else
    dispatch_real(x.dtype(), "linear", [&](auto zero) {
      using T = decltype(zero);
      Product{false, false, rows, in, out}.run(dy.data<T>(), weight.data<T>(), dx.mutable_data<T>());
    });
  return dx;
}

inline Tensor linear_weight_grad(const Tensor& x, const Tensor& weight, const Tensor& dy, std::int64_t rows, std::int64_t in, std::int64_t out) {
  Tensor dw = empty_like(weight);
  if (x.dtype() == DType::bfloat16)
    kernels::conv2d_weight_grad(rows_as_pixels(rows, in, out), x.data<bfloat16>(), dy.data<bfloat16>(), dw.mutable_data<float>());
  else
    dispatch_real(x.dtype(), "linear", [&](auto zero) {
      using T = decltype(zero);
      Product{true, false, out, in, rows}.run(dy.data<T>(), x.data<T>(), dw.mutable_data<T>());
    });
  return dw;
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
  if (weight.dtype() != type) fail("linear", "expected weight of type ", type, " for an input of type ", x.dtype(), ", got ", weight.dtype());
  if (bias.defined()) detail::expect_operand("linear", "bias", bias, Shape{out}, type);
  const Tensor y = detail::linear_forward(x, weight, bias, rows, in, out);
  std::vector<Tensor> inputs{x, weight};
  if (bias.defined()) inputs.push_back(bias);
  return autograd::record("linear", inputs, y, [sx = autograd::Saved(x), sw = autograd::Saved(weight), rows, in, out,
                                                biased = bias.defined()](autograd::Backward& b) {
    const Tensor &x = sx.get(), &weight = sw.get(), &dy = b.grad();
    if (b.needs(0)) b.give(0, detail::linear_input_grad(x, weight, dy, rows, in, out));
    if (b.needs(1)) b.give(1, detail::linear_weight_grad(x, weight, dy, rows, in, out));
    if (biased && b.needs(2)) b.give(2, detail::bias_grad(dy));
  });
}

}  // namespace sslcake::inline v0::ops
