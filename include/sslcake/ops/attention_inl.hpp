#pragma once

#include <algorithm>
#include <cmath>
#include <memory>

#include "../core/threads.hpp"
#include "../kernels/gemm.hpp"
#include "../kernels/softmax_tile.hpp"
#include "attention.hpp"
#include "elementwise.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

/// Where the numbers of one head of one picture lie: rows of `pitch` numbers in qkv, of `width` in y.
struct Heads {
  std::int64_t batch, tokens, heads, d;

  static constexpr std::int64_t rows_at_once = 64;
  std::int64_t count() const { return batch * heads; }
  std::int64_t blocks() const { return (tokens + rows_at_once - 1) / rows_at_once; }
  std::int64_t width() const { return heads * d; }
  std::int64_t pitch() const { return 3 * width(); }
  template <class T>
  T* query(T* qkv, std::int64_t head) const { return qkv + head / heads * tokens * pitch() + head % heads * d; }
  template <class T>
  T* key(T* qkv, std::int64_t head) const { return query(qkv, head) + width(); }
  template <class T>
  T* value(T* qkv, std::int64_t head) const { return query(qkv, head) + 2 * width(); }
  template <class T>
  T* result(T* y, std::int64_t head) const { return y + head / heads * tokens * width() + head % heads * d; }
};

/// Calls body(first row, rows) for one block of rows after the other.
template <class Body>
void for_each_block(const Heads& h, const Body& body) {
  for (std::int64_t first = 0; first < h.tokens; first += Heads::rows_at_once) body(first, std::min(Heads::rows_at_once, h.tokens - first));
}

/// y = P v, P = softmax(q kᵀ scale); logs (head, row) receives log Σ exp of each row.
template <class T>
void attention_values(const Heads& h, T scale, const T* qkv, T* y, T* logs) {
  parallel_chunks(h.count() * h.blocks(), [&](std::int64_t part) {
    const std::int64_t head = part / h.blocks(), first = part % h.blocks() * Heads::rows_at_once,
                       rows = std::min(Heads::rows_at_once, h.tokens - first);
    const Workspace<T> scores(rows * h.tokens);
    T* s = scores.data();
    kernels::gemm(false, true, rows, h.tokens, h.d, h.query(qkv, head) + first * h.pitch(), h.pitch(), h.key(qkv, head), h.pitch(), s, h.tokens);
    kernels::row_softmax(rows, h.tokens, s, h.tokens, scale, logs + head * h.tokens + first);
    kernels::gemm(false, false, rows, h.d, h.tokens, s, h.tokens, h.value(qkv, head), h.pitch(), h.result(y, head) + first * h.width(), h.width());
  });
}

/// With dP = dy vᵀ and dS = P (dP - Σ_j P dP) scale for every row:  dq = dS k,  dk = dSᵀ q,  dv = Pᵀ dy.
template <class T>
void attention_gradient(const Heads& h, T scale, const T* qkv, const T* dy, const T* logs, T* dqkv) {
  parallel_chunks(h.count(), [&](std::int64_t head) {
    const std::int64_t most = std::min(Heads::rows_at_once, h.tokens);
    const Workspace<T> probabilities(most * h.tokens), gradients(most * h.tokens);
    T *p = probabilities.data(), *g = gradients.data();
    for_each_block(h, [&](std::int64_t first, std::int64_t rows) {
      const T* q = h.query(qkv, head) + first * h.pitch();
      const T* out = h.result(dy, head) + first * h.width();
      const bool add = first > 0;
      kernels::gemm(false, true, rows, h.tokens, h.d, q, h.pitch(), h.key(qkv, head), h.pitch(), p, h.tokens);
      kernels::row_softmax_again(rows, h.tokens, p, h.tokens, scale, logs + head * h.tokens + first);
      kernels::gemm(false, true, rows, h.tokens, h.d, out, h.width(), h.value(qkv, head), h.pitch(), g, h.tokens);
      kernels::gemm(true, false, h.tokens, h.d, rows, p, h.tokens, out, h.width(), h.value(dqkv, head), h.pitch(), add);
      for (std::int64_t i = 0; i < rows; ++i) {
        T *prob = p + i * h.tokens, *grad = g + i * h.tokens;
        T along[8] = {};
        std::int64_t j = 0;
        for (; j + 8 <= h.tokens; j += 8)
          for (int k = 0; k < 8; ++k) along[k] += prob[j + k] * grad[j + k];
        for (; j < h.tokens; ++j) along[0] += prob[j] * grad[j];
        T sum = 0;
        for (const T a : along) sum += a;
        for (j = 0; j < h.tokens; ++j) grad[j] = prob[j] * (grad[j] - sum) * scale;
      }
      kernels::gemm(false, false, rows, h.d, h.tokens, g, h.tokens, h.key(qkv, head), h.pitch(), h.query(dqkv, head) + first * h.pitch(), h.pitch());
      kernels::gemm(true, false, h.tokens, h.d, rows, g, h.tokens, q, h.pitch(), h.key(dqkv, head), h.pitch(), add);
    });
  });
}

}  // namespace detail

SSLCAKE_INLINE Tensor attention(const Tensor& qkv, std::int64_t heads) {
  constexpr const char* op = "attention";
  detail::check_real(op, qkv);
  if (qkv.rank() != 3) fail(op, "expected queries, keys and values (N,T,3·D), got ", qkv.shape());
  if (heads < 1 || qkv.dim(2) % (3 * heads) != 0)
    fail(op, "expected a last extent of 3 x ", heads, " heads x their size, got ", qkv.shape());
  const detail::Heads h{qkv.dim(0), qkv.dim(1), heads, qkv.dim(2) / (3 * heads)};
  Tensor y(Shape{h.batch, h.tokens, h.width()}, qkv.dtype());
  Tensor logs(Shape{h.count(), h.tokens}, qkv.dtype());
  const double scale = h.d > 0 ? 1 / std::sqrt(static_cast<double>(h.d)) : 1;
  if (y.numel() > 0)
    dispatch_real(qkv.dtype(), op, [&](auto zero) {
      using T = decltype(zero);
      detail::attention_values<T>(h, static_cast<T>(scale), qkv.data<T>(), y.mutable_data<T>(), logs.mutable_data<T>());
    });
  return autograd::record("attention", {qkv}, y, [saved = autograd::Saved(qkv), logs, h, scale](autograd::Backward& b) {
    const Tensor& qkv = saved.get();
    Tensor dqkv = empty_like(qkv);
    if (dqkv.numel() > 0)
      dispatch_real(qkv.dtype(), "attention", [&](auto zero) {
        using T = decltype(zero);
        detail::attention_gradient<T>(h, static_cast<T>(scale), qkv.data<T>(), b.grad().data<T>(), logs.data<T>(), dqkv.mutable_data<T>());
      });
    b.give(0, dqkv);
  });
}

}  // namespace sslcake::inline v0::ops
