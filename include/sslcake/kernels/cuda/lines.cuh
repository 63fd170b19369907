// Functions of whole lines of (outer, extent, inner): something is found about a line (its largest element, a sum), then every
// element gets its result. Who works on a line is a team: one thread, some lanes of a warp, or a block.
//
// A function is a struct with
//   template <class Team> __device__ void operator()(const Team& team, std::int64_t line) const
// that sees the line through the team:
//   team.largest(term), team.sum(term)   over all elements, term(i) for the i-th; the same bits in every thread of the team
//   team.each(body)                      body(i) for all elements, shared out
//   team.at(i)                           offset of the i-th element
//   team.first()                         true in one thread of the team
#pragma once

#include <cstdint>

#include "fold.cuh"

namespace sslcake::inline v0::kernels::cuda::folding {

constexpr int line_threads = 256;

struct LineOf {
  std::int64_t start, extent, step;
  int thread, threads;

  __device__ __forceinline__ std::int64_t at(std::int64_t i) const { return start + i * step; }
  __device__ __forceinline__ bool first() const { return thread == 0; }
  template <class Body>
  __device__ __forceinline__ void each(Body body) const {
#pragma unroll 4
    for (std::int64_t i = thread; i < extent; i += threads) body(i);
  }
  template <class Term>
  __device__ __forceinline__ float own_largest(Term term) const {
    float best = __uint_as_float(0xff800000u);
#pragma unroll 4
    for (std::int64_t i = thread; i < extent; i += threads) best = fmaxf(best, term(i));
    return best;
  }
  template <class Term>
  __device__ __forceinline__ auto own_sum(Term term) const {
    decltype(term(std::int64_t{})) sum = 0;
#pragma unroll 4
    for (std::int64_t i = thread; i < extent; i += threads) sum += term(i);
    return sum;
  }
};

struct OneThread : LineOf {
  template <class Term>
  __device__ __forceinline__ float largest(Term term) const {
    return own_largest(term);
  }
  template <class Term>
  __device__ __forceinline__ auto sum(Term term) const {
    return own_sum(term);
  }
};

/// `threads` lanes of a warp, a power of 2. Lanes without a line have one of extent 0, since the whole warp exchanges.
struct Lanes : LineOf {
  template <class Term>
  __device__ __forceinline__ float largest(Term term) const {
    float best = own_largest(term);
    for (int step = threads / 2; step > 0; step /= 2) best = fmaxf(best, __shfl_xor_sync(0xffffffffu, best, step));
    return best;
  }
  template <class Term>
  __device__ __forceinline__ auto sum(Term term) const {
    auto sum = own_sum(term);
    for (int step = threads / 2; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    return sum;
  }
};

struct WholeBlock : LineOf {
  double* scratch;  // 33 numbers of shared memory
  template <class Term>
  __device__ __forceinline__ float largest(Term term) const {
    const float mine = warp_max(own_largest(term));
    auto* room = reinterpret_cast<float*>(scratch);
    if (thread % 32 == 0) room[thread / 32] = mine;
    __syncthreads();
    float best = room[0];
    for (int warp = 1; warp < line_threads / 32; ++warp) best = fmaxf(best, room[warp]);
    __syncthreads();
    return best;
  }
  template <class Term>
  __device__ __forceinline__ auto sum(Term term) const {
    const auto mine = own_sum(term);
    return block_sum(mine, reinterpret_cast<std::remove_const_t<decltype(mine)>*>(scratch));
  }
};

template <class F>
__global__ void __launch_bounds__(line_threads)
    lines_by_thread(F f, std::int64_t lines, std::int64_t extent, std::int64_t inner) {
  for (std::int64_t l = static_cast<std::int64_t>(blockIdx.x) * line_threads + threadIdx.x; l < lines;
       l += static_cast<std::int64_t>(gridDim.x) * line_threads)
    f(OneThread{{l / inner * extent * inner + l % inner, extent, inner, 0, 1}}, l);
}

template <class F>
__global__ void __launch_bounds__(line_threads) lines_by_lanes(F f, std::int64_t lines, std::int64_t extent, int lanes) {
  const int per_block = line_threads / lanes, thread = static_cast<int>(threadIdx.x);
  for (std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * per_block; first < lines;
       first += static_cast<std::int64_t>(gridDim.x) * per_block) {
    const std::int64_t mine = first + thread / lanes;
    const bool there = mine < lines;
    // Lanes behind the last line run along with nothing to do; what they look up is the last line's.
    f(Lanes{{(there ? mine : 0) * extent, there ? extent : 0, 1, there ? thread % lanes : 1, lanes}}, there ? mine : lines - 1);
  }
}

template <class F>
__global__ void __launch_bounds__(line_threads) lines_by_block(F f, std::int64_t extent, std::int64_t inner) {
  __shared__ double scratch[33];
  const std::int64_t l = blockIdx.x;
  f(WholeBlock{{l / inner * extent * inner + l % inner, extent, inner, static_cast<int>(threadIdx.x), line_threads}, scratch}, l);
}

template <class F>
void for_lines(const char* op, std::int64_t outer, std::int64_t extent, std::int64_t inner, const F& f) {
  const std::int64_t lines = outer * inner;
  if (lines <= 0) return;
  if (extent > 1024 && (inner == 1 || lines < static_cast<std::int64_t>(multiprocessors()) * 64))
    return launch(op, lines_by_block<F>, static_cast<unsigned>(lines), line_threads, 0, f, extent, inner);
  if (inner > 1)
    return launch(op, lines_by_thread<F>, striding_blocks(lines, line_threads), line_threads, 0, f, lines, extent, inner);
  const int lanes = power_of_2(extent, 32);
  launch(op, lines_by_lanes<F>, striding_blocks(lines, line_threads / lanes), line_threads, 0, f, lines, extent, lanes);
}

}  // namespace sslcake::inline v0::kernels::cuda::folding
