// Selection of the best k; neighbours.hpp says what is computed.
//
// A block reads one row of similarities. What is better than the bar, the k-th best so far, is appended to a list in shared
// memory; when it is full, it is sorted (Batcher, "Sorting networks and their applications", 1968) and cut back to k, which
// raises the bar. After the first few thousand columns almost nothing passes. The order is total, so that it does not matter who
// appends first.
#include "neighbours.hpp"

#include "instructions.cuh"
#include "launch.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

constexpr int threads = 256, at_once = 4 * threads;  // columns between two looks at the list

/// Similarity and index as one number that is larger the nearer the neighbour is; never 0, which stands for none.
__device__ __forceinline__ std::uint64_t key_of(float similarity, std::int64_t index) {
  const unsigned bits = __float_as_uint(similarity + 0.0f);  // -0 equals 0
  const unsigned ordered = bits >> 31 ? ~bits : bits | 0x80000000u;
  return static_cast<std::uint64_t>(ordered) << 32 | (0xffffffffu - static_cast<unsigned>(index));
}

/// Sorts keys[0 .. count), largest first; the places up to the next power of two are used, too.
__device__ void sort_keys(std::uint64_t* keys, int count) {
  int size = 2;
  while (size < count) size *= 2;
  for (int i = count + static_cast<int>(threadIdx.x); i < size; i += threads) keys[i] = 0;
  __syncthreads();
  for (int block = 2; block <= size; block *= 2)
    for (int step = block / 2; step > 0; step /= 2) {
      for (int i = static_cast<int>(threadIdx.x); i < size / 2; i += threads) {
        const int low = 2 * i - i % step, high = low + step;  // i % step pairs behind a multiple of 2·step
        const std::uint64_t a = keys[low], b = keys[high];
        if ((low & block) == 0 ? a < b : a > b) keys[low] = b, keys[high] = a;
      }
      __syncthreads();
    }
}

__global__ void __launch_bounds__(threads)
    offer_kernel(std::int64_t columns, std::int64_t pitch, const float* similarities, std::int64_t first_query,
                 std::int64_t first_base, bool skip_same_index, int k, bool fresh, int capacity, std::uint64_t* best) {
  __shared__ int listed;
  auto* keys = reinterpret_cast<std::uint64_t*>(dynamic_shared());
  const std::int64_t row = blockIdx.x, skipped = skip_same_index ? first_query + row - first_base : -1;
  const float* from = similarities + row * pitch;
  for (int i = static_cast<int>(threadIdx.x); i < k; i += threads) keys[i] = fresh ? 0 : best[row * k + i];
  if (threadIdx.x == 0) listed = k;
  __syncthreads();
  std::uint64_t bar = keys[k - 1];
  __syncthreads();

  for (std::int64_t first = 0; first < columns; first += at_once) {
    const std::int64_t column = first + threadIdx.x * 4;
    float values[4];
    if (column + 4 <= columns && pitch % 4 == 0) {
      const float4 four = *reinterpret_cast<const float4*>(from + column);
      values[0] = four.x, values[1] = four.y, values[2] = four.z, values[3] = four.w;
    } else {
      for (int i = 0; i < 4; ++i) values[i] = column + i < columns ? from[column + i] : 0.0f;
    }
    bool full = false;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::uint64_t key = key_of(values[i], first_base + column + i);
      if (key > bar && column + i < columns && column + i != skipped) {
        const int at = atomicAdd(&listed, 1);
        keys[at] = key;
        full = full || at >= capacity - at_once;
      }
    }
    if (__syncthreads_or(full)) {
      const int count = listed;
      __syncthreads();
      sort_keys(keys, count);
      bar = keys[k - 1];
      if (threadIdx.x == 0) listed = k;
      __syncthreads();
    }
  }
  __syncthreads();
  sort_keys(keys, listed);
  for (int i = static_cast<int>(threadIdx.x); i < k; i += threads) best[row * k + i] = keys[i];
}

__global__ void __launch_bounds__(threads) unpack_kernel(std::int64_t count, std::int64_t* best, float* similarities) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (i >= count) return;
  const auto key = static_cast<std::uint64_t>(best[i]);
  const auto ordered = static_cast<unsigned>(key >> 32);
  similarities[i] = __uint_as_float(ordered >> 31 ? ordered & 0x7fffffffu : ~ordered);
  best[i] = static_cast<std::int64_t>(0xffffffffu - static_cast<unsigned>(key));
}

void offer(std::int64_t rows, std::int64_t columns, std::int64_t pitch, const float* similarities, std::int64_t first_query,
           std::int64_t first_base, bool skip_same_index, std::int64_t k, bool fresh, std::int64_t* best) {
  int capacity = 2 * at_once;
  while (capacity < k + at_once) capacity *= 2;
  launch("nearest", offer_kernel, static_cast<unsigned>(rows), threads,
         static_cast<std::size_t>(capacity) * sizeof(std::uint64_t), columns, pitch, similarities, first_query, first_base,
         skip_same_index, static_cast<int>(k), fresh, capacity, reinterpret_cast<std::uint64_t*>(best));
}

void unpack(std::int64_t count, std::int64_t* best, float* similarities) {
  launch("nearest", unpack_kernel, static_cast<unsigned>(blocks_for(count, threads)), threads, 0, count, best, similarities);
}

}  // namespace

void install(Neighbours& table) {
  table.offer = offer;
  table.unpack = unpack;
}

}  // namespace sslcake::inline v0::kernels::cuda
