// One pass over all parameters: their elements are cut into chunks, a block takes a chunk and finds the parameter that it
// belongs to in the list. What a step needs of a whole parameter first (LARS) or of all (the norm) is summed by chunks and then
// in a fixed order, so that every run has the same bits.
//
// All of it is limited by memory. Threads take four neighbouring elements (16 bytes) where the parameter's addresses allow.
#include <algorithm>

#include "instructions.cuh"
#include "launch.cuh"
#include "optimiser.hpp"

namespace sslcake::inline v0::kernels::cuda {
namespace {

constexpr int threads = 256;
constexpr int chunk = 1 << 12;             // elements
constexpr int bytes_of_chunk = chunk * 4;  // where sizes are in bytes

/// The list entry that chunk number `block` belongs to: the last that begins at or before it. A warp asks at 32 places at once.
template <class Item>
__device__ int item_of(const Item* items, int count, std::int64_t block) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int low = 0, entries = count;
  while (entries > 1) {
    const int step = (entries + 31) / 32;
    const bool before = lane * step < entries && items[low + lane * step].first_chunk <= block;
    const int further = (__popc(__ballot_sync(0xffffffffu, before)) - 1) * step;
    low += further;
    entries = entries - further < step ? entries - further : step;
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
  unsigned grid() const { return static_cast<unsigned>(chunks_); }

 private:
  Scratch<Item> items_;
  std::int64_t chunks_ = 0;
};

// --- elements, one or four at a time -----------------------------------------------------------------------------------
template <int n>
struct Numbers {
  static constexpr int count = n;
  float at[n];
};
template <int n>
__device__ __forceinline__ Numbers<n> load(const float* p, std::int64_t i) {
  if constexpr (n == 4) {
    const float4 four = *reinterpret_cast<const float4*>(p + i);
    return {four.x, four.y, four.z, four.w};
  } else {
    return {p[i]};
  }
}
template <int n>
__device__ __forceinline__ void store(float* p, std::int64_t i, const Numbers<n>& x) {
  if constexpr (n == 4) *reinterpret_cast<float4*>(p + i) = make_float4(x.at[0], x.at[1], x.at[2], x.at[3]);
  else p[i] = x.at[0];
}

/// Whether all of them may be read 16 bytes at a time; a null pointer is not in the way.
template <class... P>
__device__ __forceinline__ bool in_fours(const P*... pointers) {
  return (... && (reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0));
}

/// Calls body(i, Numbers<n>{}) for this thread's elements i .. i+n-1 of chunk `number` of `size` elements.
template <class Body>
__device__ __forceinline__ void for_chunk(std::int64_t number, std::int64_t size, bool fours, const Body& body) {
  const std::int64_t begin = number * chunk, end = begin + chunk < size ? begin + chunk : size;
  const int thread = static_cast<int>(threadIdx.x);
  std::int64_t left = begin;
  if (fours) {
#pragma unroll 2
    for (std::int64_t i = begin + 4 * thread; i + 3 < end; i += 4 * threads) body(i, Numbers<4>{});
    left = end - (end - begin) % 4;
  }
  for (std::int64_t i = left + thread; i < end; i += threads) body(i, Numbers<1>{});
}

// --- LARS: the squares of weights and gradients of each parameter ----------------------------------------------------
__global__ void lars_partial_sums(const OptimiserItem* items, int count, double2* partial) {
  __shared__ double scratch[33];
  const OptimiserItem item = items[item_of(items, count, blockIdx.x)];
  double weights = 0, grads = 0;
  if (item.adapts && item.weights)
    for_chunk(blockIdx.x - item.first_chunk, item.size, in_fours(item.weights, item.grads), [&](std::int64_t i, auto several) {
      constexpr int n = decltype(several)::count;
      const auto w = load<n>(item.weights, i), g = load<n>(item.grads, i);
      for (int e = 0; e < n; ++e) {
        const double weight = w.at[e], grad = static_cast<double>(g.at[e]) + static_cast<double>(item.decay) * weight;
        weights += weight * weight;
        grads += grad * grad;
      }
    });
  weights = block_sum(weights, scratch);
  grads = block_sum(grads, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = {weights, grads};
}
/// A warp for each parameter.
__global__ void lars_rates(const OptimiserItem* items, int count, std::int64_t chunks, const double2* partial, float trust,
                           float* rates) {
  const int i = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / 32), lane = static_cast<int>(threadIdx.x) % 32;
  if (i >= count) return;
  const std::int64_t end = i + 1 < count ? items[i + 1].first_chunk : chunks;
  double weights = 0, grads = 0;
  for (std::int64_t c = items[i].first_chunk + lane; c < end; c += 32) {
    weights += partial[c].x;
    grads += partial[c].y;
  }
  weights = warp_sum(weights);
  grads = warp_sum(grads);
  double rate = items[i].lr;
  if (weights > 0 && grads > 0) rate *= static_cast<double>(trust) * sqrt(weights) / sqrt(grads);
  if (lane == 0) rates[i] = static_cast<float>(rate);
}

// --- the step ------------------------------------------------------------------------------------------------------------
/// One element: weight w, gradient g, and what the rule remembers of it.
template <OptimiserRule::Kind kind>
__device__ __forceinline__ void update(const OptimiserRule& rule, const OptimiserItem& item, float lr, float& w, float g,
                                       float& first, float& second) {
  if constexpr (kind == OptimiserRule::Kind::sgd) {
    g += item.decay * w;
    if (item.slots[0]) {
      first = rule.momentum * first + g;
      g = rule.nesterov ? g + rule.momentum * first : first;
    }
    w -= lr * g;
  } else if constexpr (kind == OptimiserRule::Kind::adam) {
    w *= item.shrink;
    g += item.decay * w;
    first += (1 - rule.beta1) * (g - first);
    second = rule.beta2 * second + (1 - rule.beta2) * g * g;
    w -= lr * first / (sqrtf(second) / item.root + rule.eps);
  } else {
    const float move = lr * (g + item.decay * w);
    first = rule.momentum * first + move;
    w -= rule.nesterov ? rule.momentum * first + move : first;
  }
}

template <OptimiserRule::Kind kind>
__global__ void __launch_bounds__(threads) step_kernel(OptimiserRule rule, const OptimiserItem* items, int count,
                                                       const float* rates, const std::int64_t* guard) {
  if (guard && *guard != 0) return;
  const int number = item_of(items, count, blockIdx.x);
  const OptimiserItem item = items[number];
  if (!item.weights) return;
  const float lr = rates ? rates[number] : item.lr;
  constexpr bool adam = kind == OptimiserRule::Kind::adam;
  const bool fours = in_fours(item.weights, item.grads, item.slots[0], item.slots[1]);
  for_chunk(blockIdx.x - item.first_chunk, item.size, fours, [&](std::int64_t i, auto several) {
    constexpr int n = decltype(several)::count;
    auto w = load<n>(item.weights, i), first = several, second = several;
    const auto g = load<n>(item.grads, i);
    if (item.slots[0]) first = load<n>(item.slots[0], i);
    if constexpr (adam) second = load<n>(item.slots[1], i);
    for (int e = 0; e < n; ++e) update<kind>(rule, item, lr, w.at[e], g.at[e], first.at[e], second.at[e]);
    store(item.weights, i, w);
    if (item.slots[0]) store(item.slots[0], i, first);
    if constexpr (adam) store(item.slots[1], i, second);
  });
}

void step(const OptimiserRule& rule, OptimiserItem* items, int count, const std::int64_t* guard) {
  using Kind = OptimiserRule::Kind;
  const List<OptimiserItem> list(items, count, chunk);
  if (list.chunks() == 0) return;
  const bool lars = rule.kind == Kind::lars;
  const Scratch<double2> partial(lars ? list.chunks() : 0);
  const Scratch<float> rates(lars ? count : 0);
  if (lars) {
    launch("lars", lars_partial_sums, list.grid(), threads, 0, list.data(), count, partial.data());
    launch("lars", lars_rates, static_cast<unsigned>(blocks_for(count, 4)), 128, 0, list.data(), count, list.chunks(),
           partial.data(), rule.trust, rates.data());
  }
  const auto kernel = rule.kind == Kind::sgd    ? step_kernel<Kind::sgd>
                      : rule.kind == Kind::adam ? step_kernel<Kind::adam>
                                                : step_kernel<Kind::lars>;
  launch("optimiser", kernel, list.grid(), threads, 0, rule, list.data(), count, rates.data(), guard);
}

// --- the norm of all gradients, and its limit --------------------------------------------------------------------------
__global__ void square_partial_sums(const TensorPair* items, int count, double* partial) {
  __shared__ double scratch[33];
  const TensorPair item = items[item_of(items, count, blockIdx.x)];
  const auto* from = static_cast<const float*>(item.from);
  double sum = 0;
  for_chunk(blockIdx.x - item.first_chunk, item.size, in_fours(from), [&](std::int64_t i, auto several) {
    constexpr int n = decltype(several)::count;
    const auto x = load<n>(from, i);
    for (int e = 0; e < n; ++e) sum += static_cast<double>(x.at[e]) * static_cast<double>(x.at[e]);
  });
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}
constexpr int adding_threads = 1024;
__global__ void __launch_bounds__(adding_threads) add_partial_sums(std::int64_t count, const double* partial, double* sum) {
  __shared__ double scratch[33];
  double mine = 0;
#pragma unroll 4
  for (std::int64_t i = threadIdx.x; i < count; i += adding_threads) mine += partial[i];
  mine = block_sum(mine, scratch);
  if (threadIdx.x == 0) *sum = mine;
}
void sum_of_squares(TensorPair* items, int count, double* sum) {
  const List<TensorPair> list(items, count, chunk);
  const Scratch<double> partial(list.chunks());
  if (list.chunks() > 0)
    launch("grad_norm", square_partial_sums, list.grid(), threads, 0, list.data(), count, partial.data());
  launch("grad_norm", add_partial_sums, 1, adding_threads, 0, list.chunks(), partial.data(), sum);
}

__global__ void clip_kernel(const TensorPair* items, int count, const double* sum, double limit) {
  const double norm = sqrt(*sum);
  if (!(norm > limit) || !is_finite_bits(norm)) return;
  const auto factor = static_cast<float>(limit / (norm + 1e-6));
  const TensorPair item = items[item_of(items, count, blockIdx.x)];
  auto* to = static_cast<float*>(item.to);
  for_chunk(blockIdx.x - item.first_chunk, item.size, in_fours(to), [&](std::int64_t i, auto several) {
    constexpr int n = decltype(several)::count;
    auto x = load<n>(to, i);
    for (int e = 0; e < n; ++e) x.at[e] *= factor;
    store(to, i, x);
  });
}
void clip(TensorPair* items, int count, const double* sum, double limit) {
  const List<TensorPair> list(items, count, chunk);
  if (list.chunks() > 0) launch("clip_grad_norm", clip_kernel, list.grid(), threads, 0, list.data(), count, sum, limit);
}

// --- averages and copies -----------------------------------------------------------------------------------------------
__global__ void average_kernel(const TensorPair* items, int count, float keep) {
  const TensorPair item = items[item_of(items, count, blockIdx.x)];
  auto* to = static_cast<float*>(item.to);
  const auto* from = static_cast<const float*>(item.from);
  for_chunk(blockIdx.x - item.first_chunk, item.size, in_fours(to, from), [&](std::int64_t i, auto several) {
    constexpr int n = decltype(several)::count;
    auto x = load<n>(to, i);
    const auto y = load<n>(from, i);
    for (int e = 0; e < n; ++e) x.at[e] += keep * (y.at[e] - x.at[e]);
    store(to, i, x);
  });
}
void average(TensorPair* items, int count, float keep) {
  const List<TensorPair> list(items, count, chunk);
  if (list.chunks() > 0) launch("ema_update", average_kernel, list.grid(), threads, 0, list.data(), count, keep);
}

__global__ void copy_kernel(const TensorPair* items, int count, const std::int64_t* guard) {
  if (guard && *guard != 0) return;
  const TensorPair item = items[item_of(items, count, blockIdx.x)];
  const std::int64_t begin = (blockIdx.x - item.first_chunk) * bytes_of_chunk;
  const int size = static_cast<int>(item.size - begin < bytes_of_chunk ? item.size - begin : bytes_of_chunk);
  auto* to = static_cast<unsigned char*>(item.to) + begin;
  const auto* from = static_cast<const unsigned char*>(item.from) + begin;
  const int thread = static_cast<int>(threadIdx.x), wide = in_fours(to, from) ? size / 16 : 0;
#pragma unroll 4
  for (int i = thread; i < wide; i += threads) reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(from)[i];
  for (int i = wide * 16 + thread; i < size; i += threads) to[i] = from[i];
}
void copy_many(TensorPair* items, int count, const std::int64_t* guard) {
  const List<TensorPair> list(items, count, bytes_of_chunk);
  if (list.chunks() > 0) launch("copy", copy_kernel, list.grid(), threads, 0, list.data(), count, guard);
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
