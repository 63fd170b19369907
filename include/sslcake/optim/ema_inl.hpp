#pragma once

#include <algorithm>
#include <map>
#include <set>

#include "../kernels/cuda/table.hpp"
#include "ema.hpp"
#include "optimizer.hpp"
#include "parts.hpp"

namespace sslcake::inline v0::optim {

SSLCAKE_INLINE void ema_update(const Parameters& average, const Parameters& weights, double decay) {
  detail::checked("ema_update", "decay", decay, 0, 1);
  if (average.size() != weights.size())
    fail("ema_update", "expected as many tensors in both lists, got ", average.size(), " and ", weights.size());
  for (std::size_t k = 0; k < average.size(); ++k) {
    const auto &a = average[k], &w = weights[k];
    if (a.name != w.name || !(a.tensor.shape() == w.tensor.shape()) || a.tensor.dtype() != w.tensor.dtype())
      fail("ema_update", "expected equal names, shapes and types, got ", a.name, " ", a.tensor.shape(), " and ", w.name, " ",
           w.tensor.shape());
  }
  std::vector<std::int64_t> sizes;
  std::vector<std::pair<float*, const float*>> moved;
  std::vector<kernels::cuda::TensorPair> on_cuda;
  std::set<const void*> seen;  // shared layers have several names, and move once
  for (std::size_t k = 0; k < average.size(); ++k) {
    Tensor target = average[k].tensor;
    const Tensor& source = weights[k].tensor;
    target.move_to(source.device());
    if (target.numel() > 0 && !seen.insert(target.address()).second) continue;
    if (average[k].buffer || !is_floating(source.dtype())) {
      copy_into(target, source);
      continue;
    }
    if (source.dtype() != DType::float32) {
      dispatch_floating(source.dtype(), "ema_update", [&](auto zero) {
        using S = decltype(zero);
        using T = compute_t<S>;
        S* a = target.mutable_data<S>();
        const S* w = source.data<S>();
        for (std::int64_t i = 0; i < target.numel(); ++i)
          a[i] = S(static_cast<T>(a[i]) + static_cast<T>(1 - decay) * (static_cast<T>(w[i]) - static_cast<T>(a[i])));
      });
      continue;
    }
    if (source.device() == Device::cuda) {
      on_cuda.push_back({target.mutable_address(), source.address(), target.numel()});
      continue;
    }
    sizes.push_back(target.numel());
    moved.emplace_back(target.mutable_data<float>(), source.data<float>());
  }
  const auto keep = static_cast<float>(1 - decay);
  if (!on_cuda.empty()) kernels::cuda::table().optimiser.average(on_cuda.data(), static_cast<int>(on_cuda.size()), keep);
  detail::for_parts(detail::cut(sizes), [&](const detail::Part& part, std::size_t) {
    const auto [to, from] = moved[part.item];
    detail::for_lanes(part.size(), [keep, to = to + part.begin, from = from + part.begin]<class V>(V, std::int64_t i) {
      V a, w;
      kernels::load(a, to + i);
      kernels::load(w, from + i);
      a += keep * (w - a);
      kernels::store(a, to + i);
    });
  });
}

SSLCAKE_INLINE Ema::Ema(const Parameters& state, double decay) : weights_(state), average_(state) {
  set_decay(decay);
  std::map<const void*, Tensor> copies;  // shared ones stay shared
  for (auto& p : average_) {
    Tensor& copy = copies[p.tensor.address()];
    if (!copy.defined() || p.tensor.numel() == 0) copy = p.tensor.clone();
    p.tensor = copy;
  }
}

SSLCAKE_INLINE void Ema::set_decay(double decay) { decay_ = detail::checked("Ema", "decay", decay, 0, 1); }

SSLCAKE_INLINE void Ema::swap() {
  std::set<const void*> seen;
  for (std::size_t k = 0; k < weights_.size(); ++k) {
    Tensor w = weights_[k].tensor, a = average_[k].tensor;
    if (w.bytes() == 0 || !seen.insert(w.address()).second) continue;
    if (w.device() != Device::cpu || a.device() != Device::cpu) {
      const Tensor before = w.clone();
      copy_into(w, a);
      copy_into(a, before);
      continue;
    }
    auto* p = static_cast<unsigned char*>(w.mutable_raw());
    std::swap_ranges(p, p + w.bytes(), static_cast<unsigned char*>(a.mutable_raw()));
  }
}

}  // namespace sslcake::inline v0::optim
