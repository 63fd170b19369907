// One pass over all parameters: their elements are cut into chunks, a block takes a chunk and finds the parameter that it
// belongs to in the list. What a step needs of a whole parameter first (LARS) or of all (the norm) is summed by chunks and then
// in the order of chunks, so that every run has the same bits.
#include <algorithm>

#include "instructions.cuh"
#include "launch.cuh"
#include "optimiser.hpp"

namespace sslcake::inline v0::kernels::cuda {
namespace {

constexpr int threads = 256;
constexpr std::int64_t chunk = 1 << 14;  // elements

/// The list entry that chunk number `block` belongs to: the last that begins at or before it.
template <class Item>
__device__ int item_of(const Item* items, int count, std::int64_t block) {
  int low = 0, high = count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (items[middle].first_chunk <= block) low = middle;
    else high = middle - 1;
  }
  return low;
}

__device__ bool is_finite_bits(double x) {
  const auto bits = static_cast<unsigned long long>(__double_as_longlong(x));
  return (bits & 0x7ff0000000000000ull) != 0x7ff0000000000000ull;
}
__device__ bool is_finite_bits(float x) { return (__float_as_uint(x) & 0x7f800000u) != 0x7f800000u; }

/// A list on the GPU, its entries numbered by their chunks.
template <class Item>
class List {
 public:
  List(Item* items, int count, std::int64_t per_chunk) : items_(count) {
    std::int64_t chunks = 0;
    for (int i = 0; i < count; ++i) {
      items[i].first_chunk = static_cast<decltype(items[i].first_chunk)>(chunks);
      chunks += std::max<std::int64_t>(1, blocks_for(items[i].size, per_chunk));
    }
    chunks_ = chunks;
    if (count > 0) upload(items_.data(), items, static_cast<std::size_t>(count) * sizeof(Item));
  }
  const Item* data() const { return items_.data(); }
  std::int64_t chunks() const { return chunks_; }

 private:
  Scratch<Item> items_;
  std::int64_t chunks_ = 0;
};

// --- LARS: the squares of weights and gradients of each parameter ----------------------------------------------------
__global__ void lars_partial_sums(const OptimiserItem* items, int count, double2* partial) {
  __shared__ double scratch[33];
  const OptimiserItem item = items[item_of(items, count, blockIdx.x)];
  const std::int64_t begin = (blockIdx.x - item.first_chunk) * chunk, end = begin + chunk < item.size ? begin + chunk : item.size;
  double weights = 0, grads = 0;
  if (item.adapts && item.weights)
    for (std::int64_t i = begin + threadIdx.x; i < end; i += threads) {
      const double w = item.weights[i], g = static_cast<double>(item.grads[i]) + static_cast<double>(item.decay) * w;
      weights += w * w;
      grads += g * g;
    }
  weights = block_sum(weights, scratch);
  grads = block_sum(grads, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = {weights, grads};
}
__global__ void lars_rates(const OptimiserItem* items, int count, std::int64_t chunks, const double2* partial, float trust, float* rates) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= count) return;
  const std::int64_t end = i + 1 < count ? items[i + 1].first_chunk : chunks;
  double weights = 0, grads = 0;
  for (std::int64_t c = items[i].first_chunk; c < end; ++c) {
    weights += partial[c].x;
    grads += partial[c].y;
  }
  double rate = items[i].lr;
  if (weights > 0 && grads > 0) rate *= static_cast<double>(trust) * sqrt(weights) / sqrt(grads);
  rates[i] = static_cast<float>(rate);
}

__device__ void update(const OptimiserRule& rule, const OptimiserItem& item, float lr, std::int64_t i) {
  float w = item.weights[i], g = item.grads[i];
  if (rule.kind == OptimiserRule::Kind::sgd) {
    g += item.decay * w;
    if (item.slots[0]) {
      const float v = rule.momentum * item.slots[0][i] + g;
      item.slots[0][i] = v;
      g = rule.nesterov ? g + rule.momentum * v : v;
    }
    w -= lr * g;
  } else if (rule.kind == OptimiserRule::Kind::adam) {
    w *= item.shrink;
    g += item.decay * w;
    const float m = item.slots[0][i] + (1 - rule.beta1) * (g - item.slots[0][i]);
    const float v = rule.beta2 * item.slots[1][i] + (1 - rule.beta2) * g * g;
    item.slots[0][i] = m;
    item.slots[1][i] = v;
    w -= lr * m / (sqrtf(v) / item.root + rule.eps);
  } else {
    const float move = lr * (g + item.decay * w), v = rule.momentum * item.slots[0][i] + move;
    item.slots[0][i] = v;
    w -= rule.nesterov ? rule.momentum * v + move : v;
  }
  item.weights[i] = w;
}

__global__ void step_kernel(OptimiserRule rule, const OptimiserItem* items, int count, const float* rates, const std::int64_t* guard) {
  if (guard && *guard != 0) return;
  const int number = item_of(items, count, blockIdx.x);
  const OptimiserItem item = items[number];
  if (!item.weights) return;
  const float lr = rates ? rates[number] : item.lr;
  const std::int64_t begin = (blockIdx.x - item.first_chunk) * chunk, end = begin + chunk < item.size ? begin + chunk : item.size;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += threads) update(rule, item, lr, i);
}

void step(const OptimiserRule& rule, OptimiserItem* items, int count, const std::int64_t* guard) {
  const List<OptimiserItem> list(items, count, chunk);
  if (list.chunks() == 0) return;
  const auto grid = static_cast<unsigned>(list.chunks());
  const bool lars = rule.kind == OptimiserRule::Kind::lars;
  const Scratch<double2> partial(lars ? list.chunks() : 0);
  const Scratch<float> rates(lars ? count : 0);
  if (lars) {
    launch("lars", lars_partial_sums, grid, threads, 0, list.data(), count, partial.data());
    launch("lars", lars_rates, static_cast<unsigned>(blocks_for(count, 64)), 64, 0, list.data(), count, list.chunks(), partial.data(), rule.trust, rates.data());
  }
  launch("optimiser", step_kernel, grid, threads, 0, rule, list.data(), count, rates.data(), guard);
}

// --- the norm of all gradients, and its limit --------------------------------------------------------------------------
__global__ void square_partial_sums(const TensorPair* items, int count, double* partial) {
  __shared__ double scratch[33];
  const TensorPair item = items[item_of(items, count, blockIdx.x)];
  const auto* x = static_cast<const float*>(item.from);
  const std::int64_t begin = (blockIdx.x - item.first_chunk) * chunk, end = begin + chunk < item.size ? begin + chunk : item.size;
  double sum = 0;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += threads) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}
__global__ void add_partial_sums(std::int64_t count, const double* partial, double* sum) {
  __shared__ double scratch[33];
  double mine = 0;
  for (std::int64_t i = threadIdx.x; i < count; i += threads) mine += partial[i];
  mine = block_sum(mine, scratch);
  if (threadIdx.x == 0) *sum = mine;
}
void sum_of_squares(TensorPair* items, int count, double* sum) {
  const List<TensorPair> list(items, count, chunk);
  const Scratch<double> partial(list.chunks());
  if (list.chunks() > 0)
    launch("grad_norm", square_partial_sums, static_cast<unsigned>(list.chunks()), threads, 0, list.data(), count, partial.data());
  launch("grad_norm", add_partial_sums, 1, threads, 0, list.chunks(), partial.data(), sum);
}

__global__ void clip_kernel(const TensorPair* items, int count, const double* sum, double limit) {
  const double norm = sqrt(*sum);
  if (!(norm > limit) || !is_finite_bits(norm)) return;
  const auto factor = static_cast<float>(limit / (norm + 1e-6));
  const TensorPair item = items[item_of(items, count, blockIdx.x)];
  auto* x = static_cast<float*>(item.to);
  const std::int64_t begin = (blockIdx.x - item.first_chunk) * chunk, end = begin + chunk < item.size ? begin + chunk : item.size;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += threads) x[i] *= factor;
}
void clip(TensorPair* items, int count, const double* sum, double limit) {
  const List<TensorPair> list(items, count, chunk);
  if (list.chunks() > 0) launch("clip_grad_norm", clip_kernel, static_cast<unsigned>(list.chunks()), threads, 0, list.data(), count, sum, limit);
}

// --- averages and copies -----------------------------------------------------------------------------------------------
__global__ void average_kernel(const TensorPair* items, int count, float keep) {
  const TensorPair item = items[item_of(items, count, blockIdx.x)];
  auto* to = static_cast<float*>(item.to);
  const auto* from = static_cast<const float*>(item.from);
  const std::int64_t begin = (blockIdx.x - item.first_chunk) * chunk, end = begin + chunk < item.size ? begin + chunk : item.size;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += threads) to[i] += keep * (from[i] - to[i]);
}
void average(TensorPair* items, int count, float keep) {
  const List<TensorPair> list(items, count, chunk);
  if (list.chunks() > 0) launch("ema_update", average_kernel, static_cast<unsigned>(list.chunks()), threads, 0, list.data(), count, keep);
}

__global__ void copy_kernel(const TensorPair* items, int count, const std::int64_t* guard) {
  if (guard && *guard != 0) return;
  const TensorPair item = items[item_of(items, count, blockIdx.x)];
  auto* to = static_cast<unsigned char*>(item.to);
  const auto* from = static_cast<const unsigned char*>(item.from);
  const std::int64_t begin = (blockIdx.x - item.first_chunk) * chunk, end = begin + chunk < item.size ? begin + chunk : item.size;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += threads) to[i] = from[i];
}
void copy_many(TensorPair* items, int count, const std::int64_t* guard) {
  const List<TensorPair> list(items, count, chunk);
  if (list.chunks() > 0) launch("copy", copy_kernel, static_cast<unsigned>(list.chunks()), threads, 0, list.data(), count, guard);
}

__global__ void watch_kernel(std::int64_t* guard, std::int64_t number, const float* loss, const double* sum) {
  const bool fine = (!loss || is_finite_bits(*loss)) && (!sum || is_finite_bits(*sum));
  if (!fine && *guard == 0) *guard = number;
}
void watch(std::int64_t* guard, std::int64_t number, const float* loss, const double* sum) {
  launch("fit", watch_kernel, 1, 1, 0, guard, number, loss, sum);
}

}  // namespace

void install(Optimiser& table) { table = {step, sum_of_squares, clip, average, copy_many, watch}; }

}  // namespace sslcake::inline v0::kernels::cuda
