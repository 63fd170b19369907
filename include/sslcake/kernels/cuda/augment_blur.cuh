// The stage of a view (augment.cu) that blurs it with a Gaussian, pixels mirrored at the edges, first down the columns, then
// along the rows.
#pragma once

#include "augment_view.cuh"

namespace sslcake::inline v0::kernels::cuda::view_stages {

constexpr int blur_rows = 8;  // results down a column that one thread sums together
constexpr int blur_weights = 2 * ViewProgram::most_reach + 1 + 2 * blur_rows;

/// Position i mirrored into [0,n) without repeating the edge.
__device__ __forceinline__ int reflect(int i, int n) {
  if (static_cast<unsigned>(i) < static_cast<unsigned>(n)) return i;
  if (n == 1) return 0;
  const int period = 2 * n - 2;
  i = (i % period + period) % period;
  return i < n ? i : period - i;
}

/// Down the columns into lines of shared memory, each with `reach` more pixels at both ends, then along the lines.
__device__ __forceinline__ void blur(const View& view, const Chain& chain, const Work& work, const ViewOperation& operation,
                                     double& sum) {
  const int size = view.size, n = size * size, thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int reach = operation.reach < ViewProgram::most_reach ? operation.reach : ViewProgram::most_reach, taps = 2 * reach + 1;
  const int steps = (taps - 1 + blur_rows + blur_rows - 1) / blur_rows * blur_rows;
  for (int k = thread; k < steps; k += threads) {  // zeros behind them
    const double z = static_cast<double>(k - reach) / static_cast<double>(operation.amount);
    work.weights[k] = k < taps ? static_cast<float>(exp(-0.5 * z * z)) * operation.second : 0.0f;
  }
  const int tile_columns = size < most_tile ? size : most_tile;
  for (int tile_x = 0; tile_x < size; tile_x += tile_columns) {
    const int columns = size - tile_x < tile_columns ? size - tile_x : tile_columns, padded = columns + 2 * reach;
    int most_rows = work.line_numbers / (3 * padded);
    if (most_rows > blur_rows) most_rows = most_rows / blur_rows * blur_rows;
    for (int y = 0; y < size; y += most_rows) {
      const int rows = size - y < most_rows ? size - y : most_rows, sets = (rows + blur_rows - 1) / blur_rows;
      __syncthreads();
      for (int item = thread; item < sets * 3 * padded; item += threads) {
        const int line = item / padded, i = item - line * padded, set = line / 3, c = line - 3 * set;
        const float* in = view.planes + c * n + reflect(tile_x - reach + i, size);
        const int top = y + set * blur_rows - reach;
        // The weight of step s for row r is weights[s - r]: the last eight of them are kept in a ring of registers.
        float mixed[blur_rows] = {}, ring[blur_rows] = {};
        for (int s = 0; s < steps; s += blur_rows) {
#pragma unroll
          for (int u = 0; u < blur_rows; ++u) {
            ring[u] = work.weights[s + u];
            const float value = in[reflect(top + s + u, size) * size];
#pragma unroll
            for (int r = 0; r < blur_rows; ++r) mixed[r] += ring[(u - r + blur_rows) % blur_rows] * value;
          }
        }
#pragma unroll
        for (int r = 0; r < blur_rows; ++r)
          if (set * blur_rows + r < rows) work.lines[((set * blur_rows + r) * 3 + c) * padded + i] = mixed[r];
      }
      __syncthreads();
      for_tile(view, chain, {tile_x, y, columns, rows}, sum, [&](int i, float (&x)[3]) {
        const int row = i / columns;
        const float* in = work.lines + row * 3 * padded + i - row * columns + reach;
        for (int c = 0; c < 3; ++c) x[c] = work.weights[reach] * in[c * padded];
        for (int k = 1; k <= reach; ++k) {
          const float w = work.weights[reach + k];
          for (int c = 0; c < 3; ++c) x[c] += w * (in[c * padded - k] + in[c * padded + k]);
        }
      });
    }
  }
}

}  // namespace sslcake::inline v0::kernels::cuda::view_stages
