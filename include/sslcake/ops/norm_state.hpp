// The tensors and constants of a batch norm layer.
#pragma once

#include "../core/tensor.hpp"

namespace sslcake::inline v0::ops {

/// What a batch norm layer owns. All tensors have shape (C) and the input's type (float32 for bfloat16 inputs), except for the
/// counter (int64, one element); each may be undefined: without gamma and beta they are 1 and 0, without running statistics those
/// of the batch serve in evaluation too. The handles are shared: training updates the caller's running statistics in place.
struct NormState {
  Tensor gamma = {}, beta = {};
  Tensor running_mean = {}, running_var = {};  // the variance unbiased (divided by n - 1), as PyTorch's
  Tensor num_batches_tracked = {};
  double eps = 1e-5;      // PyTorch's default
  double momentum = 0.1;  // weight of the new value: running = 0.9·running + 0.1·batch (PyTorch's default)
  bool training = true;   // statistics of the batch, else the running ones
};

}  // namespace sslcake::inline v0::ops
