// The instructions of NVIDIA GPUs that C++ has no word for, each as one function. Where the .cu files are compiled for the
// CPU (tests/cuda/model), model_instructions.h has the same functions.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "../../core/config.hpp"

#ifndef __CUDACC__
#include <model_instructions.h>
#else
namespace sslcake::inline v0::kernels::cuda {

/// The block's shared memory whose size the launch gives, aligned to 128 bytes.
__device__ __forceinline__ unsigned char* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char sslcake_dynamic_shared[];
  return sslcake_dynamic_shared;
}

/// Two floats rounded to bfloat16 (to nearest, ties to even), the first in the lower half.
__device__ __forceinline__ std::uint32_t pack(float low, float high) {
  std::uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
__device__ __forceinline__ std::uint16_t narrow_bits(float x) {
  std::uint16_t r;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(x));
  return r;
}

/// C (16,8) += A (16,16) · B (16,8), A and B in bfloat16, one product for the warp. With g = lane / 4 and t = lane % 4, and
/// two bfloat16 in a word, the lower half first:
///   a[0]: A[g][2t,2t+1]   a[1]: A[g+8][2t,2t+1]   a[2]: A[g][2t+8,2t+9]   a[3]: A[g+8][2t+8,2t+9]
///   b[0]: B[2t,2t+1][g]   b[1]: B[2t+8,2t+9][g]
///   c[0],c[1]: C[g][2t,2t+1]   c[2],c[3]: C[g+8][2t,2t+1]
__device__ __forceinline__ void mma(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Matrices of 8x8 16-bit numbers from shared memory: lanes 8i .. 8i+7 give the addresses of the rows of matrix i (16 bytes
/// each, aligned); in r[i] every lane gets elements [lane/4][2(lane%4), +1] of it, or of its transpose.
__device__ __forceinline__ void ldmatrix_x4(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row))));
}
__device__ __forceinline__ void ldmatrix_x4_transposed(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row))));
}
__device__ __forceinline__ void ldmatrix_x2(std::uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row))));
}
__device__ __forceinline__ void ldmatrix_x2_transposed(std::uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row))));
}

/// Copies 16 bytes from global to shared memory in the background; of them only the first `valid`, the rest becomes 0 (with
/// valid = 0 the source is not read, but must be a valid address all the same). Both addresses aligned to the size.
__device__ __forceinline__ void cp_async16(void* shared, const void* global, int valid = 16) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(shared))),
      "l"(global), "r"(valid)
      : "memory");
}
/// The same through the L1 cache: for what the block copies several times.
__device__ __forceinline__ void cp_async16_cached(void* shared, const void* global, int valid = 16) {
  asm volatile(
      "cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(shared))),
      "l"(global), "r"(valid)
      : "memory");
}
__device__ __forceinline__ void cp_async8(void* shared, const void* global, int valid = 8) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(shared))),
               "l"(global), "r"(valid)
               : "memory");
}
__device__ __forceinline__ void cp_async4(void* shared, const void* global, int valid = 4) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(shared))),
               "l"(global), "r"(valid)
               : "memory");
}
/// Closes a group of such copies; cp_async_wait<n> waits until at most the n newest groups of this thread are under way. What
/// other threads copied is there only behind a barrier after it.
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int groups_left>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(groups_left) : "memory");
}

}  // namespace sslcake::inline v0::kernels::cuda
#endif

namespace sslcake::inline v0::kernels::cuda {

/// A bfloat16 in GPU memory; the library's own type has the same bits.
struct Bf16 {
  std::uint16_t bits;
};
__device__ __forceinline__ float widen(Bf16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }
__device__ __forceinline__ float widen(float x) { return x; }
/// The two bfloat16 of a word.
__device__ __forceinline__ float widen_low(std::uint32_t two) { return __uint_as_float(two << 16); }
__device__ __forceinline__ float widen_high(std::uint32_t two) { return __uint_as_float(two & 0xffff0000u); }
template <class S>
__device__ __forceinline__ S narrow(float x);
template <>
__device__ __forceinline__ float narrow<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ Bf16 narrow<Bf16>(float x) {
  return {narrow_bits(x)};
}

/// Σ over the warp, the same bits in every lane.
template <class T>
__device__ __forceinline__ T warp_sum(T x) {
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}
template <class T>
__device__ __forceinline__ T warp_max(T x) {
  for (int step = 16; step > 0; step /= 2) {
    const T other = __shfl_xor_sync(0xffffffffu, x, step);
    x = x < other ? other : x;
  }
  return x;
}
/// Σ over a block of blockDim.x threads, a multiple of 32, in every thread. `scratch`: 33 numbers of shared memory, free to be
/// used again when it returns.
template <class T>
__device__ T block_sum(T x, T* scratch) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32,
            warps = static_cast<int>(blockDim.x) / 32;
  x = warp_sum(x);
  if (lane == 0) scratch[warp] = x;
  __syncthreads();
  if (warp == 0) {
    const T all = warp_sum(lane < warps ? scratch[lane] : T(0));
    if (lane == 0) scratch[32] = all;
  }
  __syncthreads();
  const T all = scratch[32];
  __syncthreads();
  return all;
}

}  // namespace sslcake::inline v0::kernels::cuda
