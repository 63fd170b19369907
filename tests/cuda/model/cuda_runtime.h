// The part of the CUDA runtime that the backend uses, carried out on the CPU, so that every kernel can be run, checked and
// put under sanitizers on a machine without a GPU. Found in place of NVIDIA's header by targets that compile the .cu files as
// C++.
//
// A block's threads are fibers of one system thread, switched at barriers and at instructions of a whole warp; blocks run one
// after the other. SSLCAKE_MODEL_ORDER=reverse (or a number: a seed) changes in which order the threads of a block run, which
// a kernel without races does not notice. Fresh memory is full of NaN, global and, where the launch gives its size, shared; shared
// arrays of a fixed size keep what the block before has left in them.
//
// SSLCAKE_MODEL_REFUSES=device, driver, architecture or code gives the errors of a machine without a GPU, with a driver or a GPU
// that is too old, and of a program without code for the GPU; SSLCAKE_MODEL_MEMORY=N has so many MiB, and
// SSLCAKE_MODEL_SHARED=N so many KiB of shared memory for a block (227, as an H100 has).
//
// Left out: time, streams that overlap, caches, everything about speed.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define __constant__ static
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __align__(n) alignas(n)
#define __grid_constant__

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace cuda_model {
/// One instruction of a whole warp: `run` sees what each lane brought (null: the lane is not there).
using WarpFunction = void (*)(void* const* lanes);
void warp(WarpFunction run, void* mine);
void barrier();
/// How often `mine` is not zero among the threads of the block.
int barrier_count(bool mine);
unsigned char* dynamic_shared();
bool refuses(const char* what);
std::size_t shared_limit();
void run(const char* name, dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& thread);
}  // namespace cuda_model

inline void __syncthreads() { cuda_model::barrier(); }
inline int __syncthreads_or(int mine) { return cuda_model::barrier_count(mine != 0) > 0; }
inline int __syncthreads_count(int mine) { return cuda_model::barrier_count(mine != 0); }
inline void __syncwarp(unsigned = 0xffffffffu) {
  cuda_model::warp([](void* const*) {}, nullptr);
}
inline void __threadfence() {}

namespace cuda_model {
template <class T>
struct Shuffled {
  T value, result;
  int from;
};
template <class T>
T shuffle(T value, int from) {
  Shuffled<T> mine{value, value, from};
  warp(
      [](void* const* lanes) {
        for (int i = 0; i < 32; ++i) {
          auto* to = static_cast<Shuffled<T>*>(lanes[i]);
          if (to && to->from >= 0 && to->from < 32 && lanes[to->from])
            to->result = static_cast<Shuffled<T>*>(lanes[to->from])->value;
        }
      },
      &mine);
  return mine.result;
}
inline int lane() { return static_cast<int>((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32); }
}  // namespace cuda_model

template <class T>
T __shfl_xor_sync(unsigned, T v, int mask, int = 32) {
  return cuda_model::shuffle(v, cuda_model::lane() ^ mask);
}
template <class T>
T __shfl_sync(unsigned, T v, int from, int width = 32) {
  const int lane = cuda_model::lane();
  return cuda_model::shuffle(v, lane / width * width + from % width);
}
template <class T>
T __shfl_down_sync(unsigned, T v, int by, int width = 32) {
  const int lane = cuda_model::lane(), from = lane + by;
  return cuda_model::shuffle(v, from / width == lane / width ? from : lane);
}
template <class T>
T __shfl_up_sync(unsigned, T v, int by, int width = 32) {
  const int lane = cuda_model::lane(), from = lane - by;
  return cuda_model::shuffle(v, from >= lane / width * width ? from : lane);
}
unsigned __ballot_sync(unsigned mask, int predicate);
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }

inline unsigned __float_as_uint(float x) {
  unsigned u;
  std::memcpy(&u, &x, 4);
  return u;
}
inline float __uint_as_float(unsigned u) {
  float x;
  std::memcpy(&x, &u, 4);
  return x;
}
inline long long __double_as_longlong(double x) {
  long long u;
  std::memcpy(&u, &x, 8);
  return u;
}
inline int __float_as_int(float x) { return static_cast<int>(__float_as_uint(x)); }
inline float __int_as_float(int u) { return __uint_as_float(static_cast<unsigned>(u)); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>((static_cast<std::uint64_t>(a) * b) >> 32); }
template <class T>
T __ldg(const T* p) {
  return *p;
}

// One thread of the system carries out all: plain reads and writes are atomic.
template <class T>
T atomicAdd(T* p, T v) {
  const T old = *p;
  *p = old + v;
  return old;
}
template <class T>
T atomicMax(T* p, T v) {
  const T old = *p;
  if (v > old) *p = v;
  return old;
}
template <class T>
T atomicMin(T* p, T v) {
  const T old = *p;
  if (v < old) *p = v;
  return old;
}
template <class T>
T atomicOr(T* p, T v) {
  const T old = *p;
  *p = old | v;
  return old;
}
template <class T>
T atomicExch(T* p, T v) {
  const T old = *p;
  *p = v;
  return old;
}
template <class T>
T atomicCAS(T* p, T compare, T v) {
  const T old = *p;
  if (old == compare) *p = v;
  return old;
}

// --- the host's side ------------------------------------------------------------------------------------------------
enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorNotReady = 600,
  cudaErrorNoDevice = 100,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorLaunchFailure = 719
};
using cudaStream_t = struct CudaModelStream*;
using cudaEvent_t = struct CudaModelEvent*;
enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice,
  cudaMemcpyDefault
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8, cudaFuncAttributePreferredSharedMemoryCarveout = 9 };
inline constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2, cudaHostAllocDefault = 0;
struct cudaDeviceProp {
  char name[256];
  int major, minor, multiProcessorCount, l2CacheSize;
  std::size_t totalGlobalMem, sharedMemPerBlockOptin;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  void* attrs = nullptr;
  unsigned numAttrs = 0;
};
const char* cudaGetErrorString(cudaError_t error);
const char* cudaGetErrorName(cudaError_t error);
cudaError_t cudaMalloc(void** data, std::size_t bytes);
cudaError_t cudaFree(void* data);
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);
inline cudaError_t cudaHostAlloc(void** data, std::size_t bytes, unsigned) {
  *data = ::operator new (bytes, std::align_val_t{64});
  return cudaSuccess;
}
inline cudaError_t cudaFreeHost(void* data) {
  ::operator delete (data, std::align_val_t{64});
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t) {
  if (bytes > 0) std::memmove(to, from, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t) {
  if (bytes > 0) std::memset(to, value, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) {
  *s = reinterpret_cast<cudaStream_t>(1);
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
  *e = reinterpret_cast<cudaEvent_t>(1);
  return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = cuda_model::refuses("device") ? 0 : 1;
  return *count == 0 ? cudaErrorNoDevice : cuda_model::refuses("driver") ? cudaErrorInsufficientDriver : cudaSuccess;
}
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int* version) {
  *version = cuda_model::refuses("driver") ? 11080 : 13000;
  return cudaSuccess;
}
inline cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
template <class F>
cudaError_t cudaFuncSetAttribute(F*, cudaFuncAttribute, int bytes) {
  return static_cast<std::size_t>(bytes) > cuda_model::shared_limit() ? cudaErrorInvalidValue : cudaSuccess;
}
template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... arguments) {
  if (cuda_model::refuses("code")) return cudaErrorNoKernelImageForDevice;
  cuda_model::run(__PRETTY_FUNCTION__, config->gridDim, config->blockDim, config->dynamicSmemBytes,
                  [&] { kernel(P(arguments)...); });
  return cudaSuccess;
}
