#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <type_traits>

#include "../core/threads.hpp"
#include "../kernels/gemm.hpp"
#include "../kernels/softmax_tile.hpp"
#include "attention.hpp"
#include "elementwise.hpp"
#include "loops.hpp"
#include "on_device.hpp"
#include "spatial.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

/// Which numbers belong to one head of one picture: rows of `pitch` numbers in qkv, of `width` in y.
struct Heads {
  std::int64_t batch, tokens, heads, d;

  static constexpr std::int64_t rows_at_once = 64;
  std::int64_t count() const { return batch * heads; }
  std::int64_t width() const { return heads * d; }
  std::int64_t pitch() const { return 3 * width(); }
  std::int64_t query(std::int64_t head) const { return head / heads * tokens * pitch() + head % heads * d; }
  std::int64_t key(std::int64_t head) const { return query(head) + width(); }
  std::int64_t value(std::int64_t head) const { return query(head) + 2 * width(); }
  std::int64_t result(std::int64_t head) const { return head / heads * tokens * width() + head % heads * d; }
};

/// Rows of numbers, `pitch` apart.
template <class T>
struct Rows {
  T* data;
  std::int64_t pitch;
  T* at(std::int64_t row) const { return data + row * pitch; }
};

/// Rows of d numbers stored as S to be read, or written, as T: in place, or in a copy.
template <class T, class S>
class HeadRows {
 public:
  HeadRows(S* stored, std::int64_t pitch, std::int64_t tokens, std::int64_t d)
      : stored_{stored, pitch}, tokens_(tokens), d_(d), copy_(in_place ? 0 : tokens * d) {}
  Rows<T> read() const {
    if constexpr (in_place) return {stored_.data, stored_.pitch};
    else {
      for (std::int64_t t = 0; t < tokens_; ++t) widen(stored_.at(t), copy_.data() + t * d_, d_);
      return {copy_.data(), d_};
    }
  }
  Rows<T> write() const {
    if constexpr (in_place) return {stored_.data, stored_.pitch};
    else return {copy_.data(), d_};
  }
  void finish() const {
    if constexpr (!in_place)
      for (std::int64_t t = 0; t < tokens_; ++t) narrow(copy_.data() + t * d_, stored_.at(t), d_);
  }

 private:
  static constexpr bool in_place = std::is_same_v<std::remove_const_t<S>, std::remove_const_t<T>>;
  Rows<S> stored_;
  std::int64_t tokens_, d_;
  Workspace<std::remove_const_t<T>> copy_;
};

/// Calls body(first row, rows) for one block of rows after the other.
template <class Body>
void for_each_block(const Heads& h, const Body& body) {
  for (std::int64_t first = 0; first < h.tokens; first += Heads::rows_at_once)
    body(first, std::min(Heads::rows_at_once, h.tokens - first));
}

/// y = P v, P = softmax(q kᵀ scale); logs (head, row) receives log Σ exp of each row.
template <class S, class T = compute_t<S>>
void attention_values(const Heads& h, T scale, const S* qkv, S* y, T* logs) {
  using In = HeadRows<const T, const S>;
  parallel_chunks(h.count(), [&](std::int64_t head) {
    const In queries(qkv + h.query(head), h.pitch(), h.tokens, h.d), keys(qkv + h.key(head), h.pitch(), h.tokens, h.d),
        values(qkv + h.value(head), h.pitch(), h.tokens, h.d);
    const HeadRows<T, S> results(y + h.result(head), h.width(), h.tokens, h.d);
    const Rows<const T> q = queries.read(), k = keys.read(), v = values.read();
    const Rows<T> out = results.write();
    const Workspace<T> scores(std::min(Heads::rows_at_once, h.tokens) * h.tokens);
    T* s = scores.data();
    for_each_block(h, [&](std::int64_t first, std::int64_t rows) {
      kernels::gemm(false, true, rows, h.tokens, h.d, q.at(first), q.pitch, k.data, k.pitch, s, h.tokens);
      kernels::row_softmax(rows, h.tokens, s, h.tokens, scale, logs + head * h.tokens + first);
      kernels::gemm(false, false, rows, h.d, h.tokens, s, h.tokens, v.data, v.pitch, out.at(first), out.pitch);
    });
    results.finish();
  });
}

/// With dP = dy vᵀ and dS = P (dP - Σ_j P dP) scale for every row:  dq = dS k,  dk = dSᵀ q,  dv = Pᵀ dy.
template <class S, class T = compute_t<S>>
void attention_gradient(const Heads& h, T scale, const S* qkv, const S* dy, const T* logs, S* dqkv) {
  using In = HeadRows<const T, const S>;
  using Out = HeadRows<T, S>;
  parallel_chunks(h.count(), [&](std::int64_t head) {
    const std::int64_t most = std::min(Heads::rows_at_once, h.tokens);
    const In queries(qkv + h.query(head), h.pitch(), h.tokens, h.d), keys(qkv + h.key(head), h.pitch(), h.tokens, h.d),
        values(qkv + h.value(head), h.pitch(), h.tokens, h.d), gradients(dy + h.result(head), h.width(), h.tokens, h.d);
    const Out query_grad(dqkv + h.query(head), h.pitch(), h.tokens, h.d), key_grad(dqkv + h.key(head), h.pitch(), h.tokens, h.d),
        value_grad(dqkv + h.value(head), h.pitch(), h.tokens, h.d);
    const Rows<const T> q = queries.read(), k = keys.read(), v = values.read(), out = gradients.read();
    const Rows<T> dq = query_grad.write(), dk = key_grad.write(), dv = value_grad.write();
    const Workspace<T> probabilities(most * h.tokens), slopes(most * h.tokens);
    T *p = probabilities.data(), *g = slopes.data();
    for_each_block(h, [&](std::int64_t first, std::int64_t rows) {
      const bool add = first > 0;
      kernels::gemm(false, true, rows, h.tokens, h.d, q.at(first), q.pitch, k.data, k.pitch, p, h.tokens);
      kernels::row_softmax_again(rows, h.tokens, p, h.tokens, scale, logs + head * h.tokens + first);
      kernels::gemm(false, true, rows, h.tokens, h.d, out.at(first), out.pitch, v.data, v.pitch, g, h.tokens);
      kernels::gemm(true, false, h.tokens, h.d, rows, p, h.tokens, out.at(first), out.pitch, dv.data, dv.pitch, add);
      for (std::int64_t i = 0; i < rows; ++i) {
        T *prob = p + i * h.tokens, *grad = g + i * h.tokens;
        T along[8] = {}, ones[8] = {};
        std::int64_t j = 0;
        for (; j + 8 <= h.tokens; j += 8)
          for (int l = 0; l < 8; ++l) along[l] += prob[j + l] * grad[j + l], ones[l] += prob[j + l];
        for (; j < h.tokens; ++j) along[0] += prob[j] * grad[j], ones[0] += prob[j];
        T sum = 0, one = 0;
        for (int l = 0; l < 8; ++l) sum += along[l], one += ones[l];
        sum /= one;  // made again, probabilities sum to 1 only as well as a rounded logarithm allows, and the mean must be theirs
        for (j = 0; j < h.tokens; ++j) grad[j] = prob[j] * (grad[j] - sum) * scale;
      }
      kernels::gemm(false, false, rows, h.d, h.tokens, g, h.tokens, k.data, k.pitch, dq.at(first), dq.pitch);
      kernels::gemm(true, false, h.tokens, h.d, rows, g, h.tokens, q.at(first), q.pitch, dk.data, dk.pitch, add);
    });
    query_grad.finish();
    key_grad.finish();
    value_grad.finish();
  });
}

inline kernels::cuda::AttentionSizes attention_sizes(const char* op, const Heads& h, const Tensor& qkv) {
  expect_floats_on_cuda(op, qkv);
  if (h.d > kernels::cuda::AttentionSizes::most_d)
    fail(op, "expected heads of at most ", kernels::cuda::AttentionSizes::most_d, " numbers on cuda, got ", h.d);
  return {h.batch, h.tokens, h.heads, h.d};
}

}  // namespace detail

SSLCAKE_INLINE Tensor attention(const Tensor& qkv, std::int64_t heads) {
  constexpr const char* op = "attention";
  detail::check_floating(op, qkv);
  if (qkv.rank() != 3) fail(op, "expected queries, keys and values (N,T,3·D), got ", qkv.shape());
  if (heads < 1 || qkv.dim(2) % (3 * heads) != 0)
    fail(op, "expected a last extent of 3 x ", heads, " heads x their size, got ", qkv.shape());
  const detail::Heads h{qkv.dim(0), qkv.dim(1), heads, qkv.dim(2) / (3 * heads)};
  const bool cuda = detail::on_cuda(op, qkv);
  Tensor y(Shape{h.batch, h.tokens, h.width()}, qkv.dtype(), qkv.device());
  Tensor logs(Shape{h.count(), h.tokens}, detail::parameter_type(qkv.dtype()), qkv.device());
  const double scale = h.d > 0 ? 1 / std::sqrt(static_cast<double>(h.d)) : 1;
  if (y.numel() > 0 && cuda)
    kernels::cuda::table().attention.forward(qkv.dtype(), detail::attention_sizes(op, h, qkv), static_cast<float>(scale),
                                             qkv.address(), y.mutable_address(), static_cast<float*>(logs.mutable_address()));
  else if (y.numel() > 0)
    dispatch_floating(qkv.dtype(), op, [&](auto zero) {
      using S = decltype(zero);
      using T = compute_t<S>;
      detail::attention_values(h, static_cast<T>(scale), qkv.data<S>(), y.mutable_data<S>(), logs.mutable_data<T>());
    });
  // CUDA's backward starts from y, which the layer that y goes to keeps anyway.
  const autograd::Saved result = cuda ? autograd::Saved(y) : autograd::Saved();
  return autograd::record("attention", {qkv}, y, [saved = autograd::Saved(qkv), result, logs, h, scale](autograd::Backward& b) {
    const Tensor& qkv = saved.get();
    Tensor dqkv = empty_like(qkv);
    if (dqkv.numel() > 0 && detail::on_cuda("attention", qkv, b.grad()))
      kernels::cuda::table().attention.backward(
          qkv.dtype(), detail::attention_sizes("attention", h, qkv), static_cast<float>(scale), qkv.address(),
          result.get().address(), b.grad().address(), static_cast<const float*>(logs.address()), dqkv.mutable_address());
    else if (dqkv.numel() > 0)
      dispatch_floating(qkv.dtype(), "attention", [&](auto zero) {
        using S = decltype(zero);
        using T = compute_t<S>;
        detail::attention_gradient(h, static_cast<T>(scale), qkv.data<S>(), b.grad().data<S>(), logs.data<T>(),
                                   dqkv.mutable_data<S>());
      });
    b.give(0, dqkv);
  });
}

}  // namespace sslcake::inline v0::ops
