#pragma once

#include <algorithm>

#include "../core/threads.hpp"
#include "ema.hpp"
#include "optimizer.hpp"

namespace sslcake::inline v0::optim {

SSLCAKE_INLINE void ema_update(const Parameters& average, const Parameters& weights, double decay) {
  detail::checked("ema_update", "decay", decay, 0, 1);
  if (average.size() != weights.size()) fail("ema_update", "expected as many tensors in both lists, got ", average.size(), " and ", weights.size());
  for (std::size_t k = 0; k < average.size(); ++k) {
    const auto &a = average[k], &w = weights[k];
    if (a.name != w.name || !(a.tensor.shape() == w.tensor.shape()) || a.tensor.dtype() != w.tensor.dtype())
      fail("ema_update", "expected equal names, shapes and types, got ", a.name, " ", a.tensor.shape(), " and ", w.name, " ", w.tensor.shape());
    Tensor target = a.tensor;
    if (a.buffer || w.tensor.dtype() != DType::float32) {
      copy_into(target, w.tensor);
      continue;
    }
    float* to = target.mutable_data<float>();
    const float* from = w.tensor.data<float>();
    const auto part = static_cast<float>(1 - decay);
    parallel_for(target.numel(), 1 << 15, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i) to[i] += part * (from[i] - to[i]);
    });
  }
}

SSLCAKE_INLINE Ema::Ema(const Parameters& state, double decay) : weights_(state), average_(state) {
  set_decay(decay);
  for (auto& p : average_) p.tensor = p.tensor.clone();
}

SSLCAKE_INLINE void Ema::set_decay(double decay) { decay_ = detail::checked("Ema", "decay", decay, 0, 1); }

SSLCAKE_INLINE void Ema::swap() {
  for (std::size_t k = 0; k < weights_.size(); ++k) {
    Tensor w = weights_[k].tensor, a = average_[k].tensor;
    if (w.bytes() == 0) continue;
    auto* p = static_cast<unsigned char*>(w.mutable_raw());
    std::swap_ranges(p, p + w.bytes(), static_cast<unsigned char*>(a.mutable_raw()));
  }
}

}  // namespace sslcake::inline v0::optim
