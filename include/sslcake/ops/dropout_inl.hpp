#pragma once

#include <algorithm>
#include <cmath>

#include "../core/random.hpp"
#include "../core/threads.hpp"
#include "dropout.hpp"
#include "elementwise.hpp"
#include "on_device.hpp"

namespace sslcake::inline v0::ops {
namespace detail {

/// Where the masks of one call come from: element i takes word i % 4 of Philox block i / 4.
struct DropoutMask {
  std::uint32_t key0, key1;
  std::uint64_t call;
  double p;

  /// Kept if a uniform 32-bit word is at least p·2³². p = 1 keeps nothing: 2³² is above every word.
  std::uint64_t limit() const { return static_cast<std::uint64_t>(std::ceil(p * 0x1p32)); }
  double factor() const { return p < 1 ? 1 / (1 - p) : 0; }

  /// to = from·m/(1 − p). The same function for values and for gradients.
  template <class T>
  void apply(const T* from, T* to, std::int64_t n) const {
    using C = compute_t<T>;
    const C scale = static_cast<C>(factor());
    parallel_for((n + 3) / 4, 1 << 12, [&, limit = limit()](std::int64_t begin, std::int64_t end) {
      for (auto block = begin; block < end; ++block) {
        const auto words = sslcake::detail::philox({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                                                    static_cast<std::uint32_t>(call), static_cast<std::uint32_t>(call >> 32)},
                                                   key0, key1);
        for (std::int64_t i = 4 * block, last = std::min(n, 4 * block + 4); i < last; ++i)
          to[i] = words[static_cast<std::size_t>(i % 4)] >= limit ? T(static_cast<C>(from[i]) * scale) : T(C(0));
      }
    });
  }

  Tensor apply(const Tensor& x) const {
    Tensor y = empty_like(x);
    if (on_cuda("dropout", x))
      kernels::cuda::table().shape.dropout(x.dtype(), x.numel(), x.address(), y.mutable_address(), key0, key1, call, limit(),
                                           static_cast<float>(factor()));
    else dispatch_floating(x.dtype(), "dropout", [&](auto zero) {
      using T = decltype(zero);
      apply(x.data<T>(), y.mutable_data<T>(), x.numel());
    });
    return y;
  }
};

}  // namespace detail

// dx = dy·m/(1 − p).
SSLCAKE_INLINE Tensor dropout(const Tensor& x, double p, bool training) {
  detail::check_floating("dropout", x);
  if (!(p >= 0 && p <= 1)) fail("dropout", "expected a probability in [0,1], got ", p);
  if (!training || p == 0) return x;
  Random key(global_seed(), Purpose::dropout);
  detail::DropoutMask mask{key.bits(), key.bits(), next_stream(Purpose::dropout), p};
  return autograd::record("dropout", {x}, mask.apply(x), [mask](autograd::Backward& b) { b.give(0, mask.apply(b.grad())); });
}

}  // namespace sslcake::inline v0::ops
