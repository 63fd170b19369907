// What the trainer keeps of steps until it knows how they went (internal).
//
// On a GPU the loop runs ahead of the numbers: they are read a few steps later. A loss or gradient that is not finite sets
// a guard there, behind which no optimiser changes anything; the host learns of it when it reads that step.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "../core/clock.hpp"
#include "../core/fetch.hpp"
#include "../core/random.hpp"
#include "../kernels/cuda/table.hpp"
#include "../pretext/task.hpp"

namespace sslcake::inline v0::train::detail {

inline double seconds_since(double start) { return monotonic_seconds() - start; }

/// Something that is not to happen more often than every so many seconds.
struct Pause {
  double seconds, last = -1e300;
  bool due() {
    if (seconds_since(last) < seconds) return false;
    last = monotonic_seconds();
    return true;
  }
};

/// One update by one optimiser.
struct StepResult {
  Fetch numbers{};  // the loss, the guard where there is one, and the metrics that are tensors
  std::vector<pretext::Metric> metrics{};
  double chance = 0, lr;
  std::int64_t step, epoch_step;  // done with it, done before it
  int turn;
  std::uint64_t dropout = stream_position(Purpose::dropout), task = stream_position(Purpose::task);  // before it
  bool guarded = false;

  StepResult(double rate, std::int64_t done, std::int64_t before, int which)
      : lr(rate), step(done), epoch_step(before), turn(which) {}

  /// Begins to fetch the numbers.
  void fetch(const pretext::Outcome& outcome, const Tensor& loss, const Tensor& guard) {
    metrics = outcome.metrics;
    chance = outcome.chance;
    std::vector<Tensor> wanted;
    wanted.reserve(2 + metrics.size());  // and GCC 14 sees that what follows fits
    wanted.push_back(loss);
    guarded = guard.defined();
    if (guarded) wanted.push_back(guard);
    for (const auto& m : metrics)
      if (m.tensor.defined()) wanted.push_back(m.tensor.dtype() == DType::bfloat16 ? m.tensor.to(DType::float32) : m.tensor);
    numbers = Fetch(wanted);
  }
  /// Waits for them. False: the guard was set.
  bool take(double& loss) {
    const auto found = numbers.take();
    std::size_t next = guarded ? 2 : 1;
    loss = found[0];
    for (auto& m : metrics)
      if (m.tensor.defined()) m = {m.name, found[next++]};
    return !guarded || found[1] == 0;
  }
};

/// So many steps may be unread on a GPU.
inline constexpr std::size_t most_in_flight = 4;

/// Sets the guard to `update` if it is 0 and the loss or the norm is not finite.
inline void watch(Tensor& guard, std::int64_t update, const Tensor& loss, const Tensor& squared_norm) {
  if (loss.device() != Device::cuda) fail("fit", "expected a loss on cuda as the parameters, got one on ", loss.device());
  const bool normed = squared_norm.device() == Device::cuda;  // not where no parameter has a gradient
  kernels::cuda::table().optimiser.watch(static_cast<std::int64_t*>(guard.mutable_address()), update,
                                         static_cast<const float*>(loss.address()),
                                         normed ? static_cast<const double*>(squared_norm.address()) : nullptr);
}

/// Running statistics, and what they were before a step: a failed one must not leave its own behind.
class Buffers {
 public:
  void add(const Tensor& buffer) { both_.emplace_back(buffer, buffer.clone()); }
  void keep(const Tensor& guard) {
    if (!guard.defined()) {
      for (auto& [now, before] : both_) copy_into(before, now);
      return;
    }
    std::vector<kernels::cuda::TensorPair> pairs;
    for (auto& [now, before] : both_)
      pairs.push_back({before.mutable_address(), now.address(), static_cast<std::int64_t>(now.bytes())});
    kernels::cuda::table().optimiser.copy_many(pairs.data(), static_cast<int>(pairs.size()),
                                               static_cast<const std::int64_t*>(guard.address()));
  }
  void restore() {
    for (auto& [now, before] : both_) copy_into(now, before);
  }

 private:
  std::vector<std::pair<Tensor, Tensor>> both_;  // now, before
};

}  // namespace sslcake::inline v0::train::detail
