// Convolutions with 3x3 taps that keep their pixels in shared memory, as convolution.cu sees them.
#pragma once

#include <cstdint>

#include "../../core/config.hpp"

namespace sslcake::inline v0::kernels::cuda {

struct Bf16;

/// operand (pictures, height, width, channels), result (pictures, height, width, columns), weights (columns, 9 channels); stride
/// and padding are 1.
struct HaloShape {
  int pictures, height, width, channels, columns;
  bool reversed;                        // the taps from the last to the first
  int tiles_down, tiles_across, tiles;  // of a picture; of all: set by the kernels' own tile
};

/// Whether there is such a kernel: `kind` 0 with the weights kept, 1 with a ring of them. Addresses are aligned to 16 bytes.
bool halo_takes(int kind, const HaloShape& shape, std::size_t shared_limit);
/// For how many rounds the multiprocessors are busy with it, and the multiply-adds of a round.
struct HaloWork {
  std::int64_t rounds;
  double multiply_adds;
};
HaloWork halo_work(int kind, const HaloShape& shape, int multiprocessors);
/// result = operand * weights + bias (may be null); or, without bias, mean and variance (columns) of the result too.
void halo_convolution(int kind, const HaloShape& shape, const Bf16* operand, const Bf16* weights, const float* bias, Bf16* result,
                      float* mean, float* variance);

}  // namespace sslcake::inline v0::kernels::cuda
