// Optimisers on the GPU: each function is one or two kernels over all parameters at once. What it works on is told by lists in
// the host's memory, which are copied to the GPU.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../../core/config.hpp"

namespace sslcake::inline v0::kernels::cuda {

/// One parameter of a step. The equations are in optim/sgd.hpp, adam.hpp, lars.hpp.
struct OptimiserItem {
  float* weights = nullptr;
  const float* grads = nullptr;
  float* slots[2] = {};
  std::int64_t size = 0;
  float lr = 0;      // Adam: divided by 1 - beta1^t
  float decay = 0;   // added to the gradient as decay * weight
  float shrink = 1;  // AdamW: the weights are multiplied by it first
  float root = 1;    // Adam: sqrt(1 - beta2^t)
  std::int32_t adapts = 0;  // LARS: the rate is scaled by the norms
  std::int32_t first_chunk = 0;  // filled in by the backend
};

struct OptimiserRule {
  enum class Kind : std::int32_t { none, sgd, adam, lars };
  Kind kind = Kind::none;
  float momentum = 0, beta1 = 0, beta2 = 0, eps = 0, trust = 0;
  bool nesterov = false;
};

/// Numbers that are read, and numbers that are written, one list entry for each tensor.
struct TensorPair {
  void* to = nullptr;
  const void* from = nullptr;
  std::int64_t size = 0;  // elements, or bytes where the function says so
  std::int64_t first_chunk = 0;  // filled in by the backend
};

struct Optimiser {
  /// One step. Nothing is changed where `guard` (on the GPU, may be null) is not 0.
  void (*step)(const OptimiserRule& rule, OptimiserItem* items, int count, const std::int64_t* guard) = nullptr;
  /// *sum = the sum of the squares of all `from` (float32), in double; the same bits in every run.
  void (*sum_of_squares)(TensorPair* items, int count, double* sum) = nullptr;
  /// to *= limit / (norm + 1e-6) where norm = sqrt(*sum) is above the limit and finite (float32).
  void (*clip)(TensorPair* items, int count, const double* sum, double limit) = nullptr;
  /// to += keep * (from - to) (float32).
  void (*average)(TensorPair* items, int count, float keep) = nullptr;
  /// Copies sizes in bytes, unless `guard` (may be null) is not 0.
  void (*copy_many)(TensorPair* items, int count, const std::int64_t* guard) = nullptr;
  /// Sets *guard to `number` if it is 0 and *loss or the norm sqrt(*sum) is not finite. loss may be null.
  void (*watch)(std::int64_t* guard, std::int64_t number, const float* loss, const double* sum) = nullptr;
};
void install(Optimiser& table);  // optimiser.cu

}  // namespace sslcake::inline v0::kernels::cuda
