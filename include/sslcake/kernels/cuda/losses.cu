// losses.hpp says what each function does, lines.cuh who works on a line. Elements are read again for every thing that is
// found about a line: the second time from the caches.
#include "losses.hpp"

#include "lines.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

using folding::for_lines;

/// The largest of a line and Σ e^(x − largest). All −∞: NaN, as everywhere.
struct LogSum {
  float top, sum;
};
template <class Team>
__device__ __forceinline__ LogSum log_sum_of(const Team& team, const float* x) {
  const float top = team.largest([&](std::int64_t i) { return x[team.at(i)]; });
  return {top, team.sum([&](std::int64_t i) { return expf(x[team.at(i)] - top); })};
}

struct Softmax {
  const float* x;
  float* y;
  template <class Team>
  __device__ void operator()(const Team& team, std::int64_t) const {
    const LogSum found = log_sum_of(team, x);
    team.each([&](std::int64_t i) { y[team.at(i)] = expf(x[team.at(i)] - found.top) / found.sum; });
  }
};
struct SoftmaxGrad {
  const float *y, *dy;
  float* dx;
  template <class Team>
  __device__ void operator()(const Team& team, std::int64_t) const {
    const float dot = team.sum([&](std::int64_t i) { return dy[team.at(i)] * y[team.at(i)]; });
    team.each([&](std::int64_t i) { dx[team.at(i)] = y[team.at(i)] * (dy[team.at(i)] - dot); });
  }
};
struct LogSoftmax {
  const float* x;
  float* y;
  template <class Team>
  __device__ void operator()(const Team& team, std::int64_t) const {
    const LogSum found = log_sum_of(team, x);
    const float log_sum = logf(found.sum);
    team.each([&](std::int64_t i) { y[team.at(i)] = x[team.at(i)] - found.top - log_sum; });
  }
};
struct LogSoftmaxGrad {
  const float *y, *dy;
  float* dx;
  template <class Team>
  __device__ void operator()(const Team& team, std::int64_t) const {
    const float sum = team.sum([&](std::int64_t i) { return dy[team.at(i)]; });
    team.each([&](std::int64_t i) { dx[team.at(i)] = dy[team.at(i)] - expf(y[team.at(i)]) * sum; });
  }
};

/// The target of a row, and what holds of it.
struct Target {
  std::int64_t index;
  bool counts, valid;
  float weight;
};
__device__ __forceinline__ Target target_of(const CrossEntropyRows& size, const std::int64_t* target, const float* weights,
                                            std::int64_t row) {
  const std::int64_t index = target[row];
  const bool valid = index >= 0 && index < size.classes;
  return {index, index != size.ignored, valid, weights && valid ? weights[index] : 1.0f};
}

struct CrossEntropy {
  CrossEntropyRows size;
  const float* x;
  const std::int64_t* target;
  const float* weights;
  float* losses;
  template <class Team>
  __device__ void operator()(const Team& team, std::int64_t row) const {
    const LogSum found = log_sum_of(team, x);
    const float log_sum = logf(found.sum) + found.top, s = size.smoothing;
    float all = 0;
    if (s > 0) all = team.sum([&](std::int64_t c) { return (weights ? weights[c] : 1.0f) * (log_sum - x[team.at(c)]); });
    if (!team.first()) return;
    const Target t = target_of(size, target, weights, row);
    if (!t.counts) losses[row] = 0;
    else if (!t.valid) losses[row] = __uint_as_float(0x7fc00000u);
    else
      losses[row] =
          (1 - s) * t.weight * (log_sum - x[team.at(t.index)]) + (s > 0 ? s / static_cast<float>(size.classes) * all : 0);
  }
};

// scale·(a·p_c − (1 − s)·w_t·[c = t] − (s/C)·w_c), a the sum of what is subtracted.
struct CrossEntropyGrad {
  CrossEntropyRows size;
  const float* x;
  const std::int64_t* target;
  const float *weights, *dy;
  float* dx;
  template <class Team>
  __device__ void operator()(const Team& team, std::int64_t row) const {
    const LogSum found = log_sum_of(team, x);
    const float s = size.smoothing, spread = s / static_cast<float>(size.classes);
    float all_weights = static_cast<float>(size.classes);
    if (weights && s > 0) all_weights = team.sum([&](std::int64_t c) { return weights[c]; });
    const Target t = target_of(size, target, weights, row);
    const float scale = dy[row], on_target = (1 - s) * t.weight, factor = (on_target + spread * all_weights) / found.sum;
    const bool counts = t.counts && t.valid;
    team.each([&](std::int64_t c) {
      float slope = factor * expf(x[team.at(c)] - found.top) - spread * (weights ? weights[c] : 1.0f);
      if (c == t.index) slope -= on_target;
      dx[team.at(c)] = counts ? scale * slope : 0;
    });
  }
};

__global__ void __launch_bounds__(1024)
    divisor_kernel(CrossEntropyRows size, const std::int64_t* target, const float* weights, float* divisor) {
  __shared__ double scratch[33];
  double sum = 0;
#pragma unroll 4
  for (std::int64_t row = threadIdx.x; row < size.rows; row += 1024) {
    const Target t = target_of(size, target, weights, row);
    if (t.counts) sum += static_cast<double>(t.weight);
  }
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) *divisor = static_cast<float>(sum);
}

struct Normalise {
  float least;
  const float* x;
  float *y, *norms;
  template <class Team>
  __device__ void operator()(const Team& team, std::int64_t line) const {
    const double squares = team.sum([&](std::int64_t i) {  // the square of a float neither over- nor underflows here
      const double v = static_cast<double>(x[team.at(i)]);
      return v * v;
    });
    const float length = static_cast<float>(sqrt(squares)), divisor = length < least ? least : length;
    if (team.first()) norms[line] = length;
    team.each([&](std::int64_t i) { y[team.at(i)] = x[team.at(i)] / divisor; });
  }
};
struct NormaliseGrad {
  float least;
  const float *y, *dy, *norms;
  float* dx;
  template <class Team>
  __device__ void operator()(const Team& team, std::int64_t line) const {
    const double dot =
        team.sum([&](std::int64_t i) { return static_cast<double>(dy[team.at(i)]) * static_cast<double>(y[team.at(i)]); });
    const float length = norms[line], along = length >= least ? static_cast<float>(dot) : 0,
                divisor = length < least ? least : length;
    team.each([&](std::int64_t i) { dx[team.at(i)] = (dy[team.at(i)] - y[team.at(i)] * along) / divisor; });
  }
};

/// A warp per row in turn; hits (blocks) counts those of each block.
__global__ void __launch_bounds__(256)
    top1_kernel(std::int64_t rows, std::int64_t classes, const float* logits, const std::int64_t* labels, int* hits) {
  __shared__ int scratch[33];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  int mine = 0;
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * 8 + warp; row < rows;
       row += static_cast<std::int64_t>(gridDim.x) * 8) {
    const float* x = logits + row * classes;
    const std::int64_t label = labels[row];
    const bool valid = label >= 0 && label < classes;
    const float wanted = valid ? x[label] : 0.0f;
    // The label wins unless another entry is larger, or as large and before it; NaN is larger than any number.
    bool beaten = !valid;
    for (std::int64_t c = lane; c < classes; c += 32) {
      const float other = x[c];
      const bool nan = other != other, wanted_nan = wanted != wanted;
      const bool larger = nan ? !wanted_nan : !wanted_nan && other > wanted, equal = nan ? wanted_nan : other == wanted;
      beaten = beaten || larger || (equal && c < label);
    }
    mine += !__any_sync(0xffffffffu, beaten);
  }
  const int all = block_sum(lane == 0 ? mine : 0, scratch);
  if (threadIdx.x == 0) hits[blockIdx.x] = all;
}
__global__ void __launch_bounds__(256) share_kernel(std::int64_t rows, int blocks, const int* hits, float* share) {
  __shared__ double scratch[33];
  double mine = 0;
  for (int b = static_cast<int>(threadIdx.x); b < blocks; b += 256) mine += hits[b];
  mine = block_sum(mine, scratch);
  if (threadIdx.x == 0) *share = rows > 0 ? static_cast<float>(mine / static_cast<double>(rows)) : 0.0f;
}

void softmax(std::int64_t outer, std::int64_t extent, std::int64_t inner, const float* x, float* y) {
  for_lines("softmax", outer, extent, inner, Softmax{x, y});
}
void softmax_grad(std::int64_t outer, std::int64_t extent, std::int64_t inner, const float* y, const float* dy, float* dx) {
  for_lines("softmax", outer, extent, inner, SoftmaxGrad{y, dy, dx});
}
void log_softmax(std::int64_t outer, std::int64_t extent, std::int64_t inner, const float* x, float* y) {
  for_lines("log_softmax", outer, extent, inner, LogSoftmax{x, y});
}
void log_softmax_grad(std::int64_t outer, std::int64_t extent, std::int64_t inner, const float* y, const float* dy, float* dx) {
  for_lines("log_softmax", outer, extent, inner, LogSoftmaxGrad{y, dy, dx});
}
void cross_entropy(CrossEntropyRows size, const float* x, const std::int64_t* target, const float* weights, float* losses) {
  for_lines("cross_entropy", size.rows, size.classes, 1, CrossEntropy{size, x, target, weights, losses});
}
void cross_entropy_grad(CrossEntropyRows size, const float* x, const std::int64_t* target, const float* weights, const float* dy,
                        float* dx) {
  for_lines("cross_entropy", size.rows, size.classes, 1, CrossEntropyGrad{size, x, target, weights, dy, dx});
}
void cross_entropy_divisor(CrossEntropyRows size, const std::int64_t* target, const float* weights, float* divisor) {
  launch("cross_entropy", divisor_kernel, 1, 1024, 0, size, target, weights, divisor);
}
void normalize(std::int64_t outer, std::int64_t extent, std::int64_t inner, float least, const float* x, float* y, float* norms) {
  for_lines("normalize", outer, extent, inner, Normalise{least, x, y, norms});
}
void normalize_grad(std::int64_t outer, std::int64_t extent, std::int64_t inner, float least, const float* y, const float* dy,
                    const float* norms, float* dx) {
  for_lines("normalize", outer, extent, inner, NormaliseGrad{least, y, dy, norms, dx});
}
void top1(std::int64_t rows, std::int64_t classes, const float* logits, const std::int64_t* labels, float* share) {
  const unsigned blocks = striding_blocks(rows, 8);
  const Scratch<int> hits(blocks);
  launch("accuracy", top1_kernel, blocks, 256, 0, rows, classes, logits, labels, hits.data());
  launch("accuracy", share_kernel, 1, 256, 0, rows, static_cast<int>(blocks), hits.data(), share);
}

}  // namespace

void install(Losses& table) {
  table.softmax = softmax;
  table.softmax_grad = softmax_grad;
  table.log_softmax = log_softmax;
  table.log_softmax_grad = log_softmax_grad;
  table.cross_entropy = cross_entropy;
  table.cross_entropy_grad = cross_entropy_grad;
  table.cross_entropy_divisor = cross_entropy_divisor;
  table.normalize = normalize;
  table.normalize_grad = normalize_grad;
  table.top1 = top1;
}

}  // namespace sslcake::inline v0::kernels::cuda
