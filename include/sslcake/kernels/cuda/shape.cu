// Kernels that move numbers to other places: copies of parts, and permuting. The widest word that all addresses and steps allow
// is moved at once.
#include "shape.hpp"

#include <algorithm>

#include "instructions.cuh"
#include "launch.cuh"
#include "shape_parts.hpp"
#include "words.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

constexpr int threads = 256;

// --- parts ---------------------------------------------------------------------------------------------------------------
template <class Word, class Index>
__global__ void __launch_bounds__(threads)
    copy_rows_kernel(const Word* __restrict__ from, std::int64_t from_step, Word* __restrict__ to, std::int64_t to_step,
                     Index words, std::int64_t n) {
  for (std::int64_t i = first_item(); i < n; i += item_step()) {
    const Index row = static_cast<Index>(i) / words, column = static_cast<Index>(i) - row * words;
    to[row * to_step + column] = from[row * from_step + column];
  }
}
void copy_rows(const void* from, std::size_t from_step, void* to, std::size_t to_step, std::size_t bytes, std::int64_t rows) {
  if (bytes == 0 || rows == 0) return;
  if (rows == 1 || (from_step == bytes && to_step == bytes)) {
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(rows) * bytes, cudaMemcpyDeviceToDevice, stream()), "copy_rows");
    return;
  }
  const std::size_t size = widest(place(from), place(to), from_step, to_step, bytes);
  with_word(size, [&](auto word) {
    using Word = decltype(word);
    const auto words = static_cast<std::int64_t>(bytes / sizeof(Word)), n = rows * words;
    with_index(n, [&](auto index) {
      using Index = decltype(index);
      launch("copy_rows", copy_rows_kernel<Word, Index>, striding_blocks(n, threads), threads, 0, static_cast<const Word*>(from),
             static_cast<std::int64_t>(from_step / sizeof(Word)), static_cast<Word*>(to),
             static_cast<std::int64_t>(to_step / sizeof(Word)), static_cast<Index>(words), n);
    });
  });
}

// --- permuting -----------------------------------------------------------------------------------------------------------
/// Dimensions of extent 1 left out, neighbours that stay neighbours merged.
PermutePlan merged(const PermutePlan& plan) {
  PermutePlan m;
  for (int d = 0; d < plan.rank; ++d) {
    if (plan.extent[d] == 1) continue;
    if (m.rank > 0 && m.step[m.rank - 1] == plan.extent[d] * plan.step[d]) {
      m.extent[m.rank - 1] *= plan.extent[d];
      m.step[m.rank - 1] = plan.step[d];
    } else {
      m.extent[m.rank] = plan.extent[d];
      m.step[m.rank++] = plan.step[d];
    }
  }
  return m;
}

template <class Index>
struct Steps {
  int rank;
  Index extent[8], step[8];
};
template <class Index>
Steps<Index> steps_of(const PermutePlan& plan) {
  Steps<Index> s{};
  s.rank = plan.rank;
  for (int d = 0; d < plan.rank; ++d)
    s.extent[d] = static_cast<Index>(plan.extent[d]), s.step[d] = static_cast<Index>(plan.step[d]);
  return s;
}

template <class Word, class Index>
__global__ void __launch_bounds__(threads) permute_kernel(std::int64_t n, const __grid_constant__ Steps<Index> steps,
                                                          const Word* __restrict__ from, Word* __restrict__ to) {
  for (std::int64_t i = first_item(); i < n; i += item_step()) {
    Index rest = static_cast<Index>(i), at = 0;
    for (int d = steps.rank - 1; d > 0; --d) {
      const Index above = rest / steps.extent[d];
      at += (rest - above * steps.extent[d]) * steps.step[d];
      rest = above;
    }
    to[i] = from[at + rest * steps.step[0]];
  }
}

// Where the last dimension changes, reads along the source's last dimension (number `fast` of the result, whose steps in the
// result are `out`) and writes along the result's: tiles of both through shared memory, one column more than they need, so
// that columns lie in different banks.
struct TransposePlan {
  int rank, fast;  // extents, steps in the source, steps in the result
  std::int64_t extent[8], step[8], out[8];
};
template <class Word, int tile>
__global__ void __launch_bounds__(threads) transpose_kernel(const __grid_constant__ TransposePlan plan, std::int64_t tiles,
                                                            const Word* __restrict__ from, Word* __restrict__ to) {
  __shared__ Word part[tile][tile + 4 / (sizeof(Word) < 4 ? sizeof(Word) : 4)];
  const int last = plan.rank - 1, fast = plan.fast, x = static_cast<int>(threadIdx.x) % 32,
            y = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t across = (plan.extent[last] + tile - 1) / tile, down = (plan.extent[fast] + tile - 1) / tile;
  for (std::int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
    const std::int64_t column = t % across * tile, row = t / across % down * tile;  // along `last` and along `fast`
    std::int64_t rest = t / (across * down), source = 0, target = 0;
    for (int d = last - 1; d >= 0; --d) {
      if (d == fast) continue;
      const std::int64_t above = rest / plan.extent[d], index = rest - above * plan.extent[d];
      source += index * plan.step[d];
      target += index * plan.out[d];
      rest = above;
    }
    for (int r = y; r < tile; r += threads / 32)
      for (int c = x; c < tile; c += 32)
        if (column + r < plan.extent[last] && row + c < plan.extent[fast])
          part[r][c] = from[source + (column + r) * plan.step[last] + row + c];
    __syncthreads();
    for (int r = y; r < tile; r += threads / 32)
      for (int c = x; c < tile; c += 32)
        if (row + r < plan.extent[fast] && column + c < plan.extent[last])
          to[target + (row + r) * plan.out[fast] + column + c] = part[c][r];
    __syncthreads();
  }
}

void permute(std::size_t word_bytes, const PermutePlan& given, const void* from, void* to) {
  PermutePlan plan = merged(given);
  std::int64_t n = 1;
  for (int d = 0; d < plan.rank; ++d) n *= plan.extent[d];
  if (n == 0) return;
  const int last = plan.rank - 1;
  if (plan.rank == 0 || (plan.rank == 1 && plan.step[0] == 1)) {
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(n) * word_bytes, cudaMemcpyDeviceToDevice, stream()), "permute");
    return;
  }
  if (plan.step[last] != 1) {
    TransposePlan t{};
    t.rank = plan.rank;
    t.fast = -1;
    std::int64_t out = 1;
    for (int d = last; d >= 0; out *= plan.extent[d--]) {
      t.extent[d] = plan.extent[d], t.step[d] = plan.step[d], t.out[d] = out;
      if (plan.step[d] == 1) t.fast = d;
    }
    if (t.fast >= 0 && plan.extent[last] >= 8 && plan.extent[t.fast] >= 8) {
      const std::int64_t edge = word_bytes < 4 ? 64 : 32;
      const std::int64_t tiles = blocks_for(plan.extent[last], edge) * blocks_for(plan.extent[t.fast], edge) *
                                 (n / (plan.extent[last] * plan.extent[t.fast]));
      with_word(word_bytes, [&](auto word) {
        using Word = decltype(word);
        launch("permute", transpose_kernel<Word, sizeof(Word) < 4 ? 64 : 32>, striding_blocks(tiles, 1, 16), threads, 0, t, tiles,
               static_cast<const Word*>(from), static_cast<Word*>(to));
      });
      return;
    }
  } else {  // rows stay whole: longer words
    while (word_bytes < 16 && plan.extent[last] % 2 == 0 && place(from) % (2 * word_bytes) == 0 &&
           place(to) % (2 * word_bytes) == 0 &&
           std::all_of(plan.step, plan.step + last, [](std::int64_t step) { return step % 2 == 0; })) {
      word_bytes *= 2;
      n /= 2;
      plan.extent[last] /= 2;
      for (int d = 0; d < last; ++d) plan.step[d] /= 2;
    }
  }
  with_word(word_bytes, [&](auto word) {
    using Word = decltype(word);
    with_index(n, [&](auto index) {
      using Index = decltype(index);
      launch("permute", permute_kernel<Word, Index>, striding_blocks(n, threads), threads, 0, n, steps_of<Index>(plan),
             static_cast<const Word*>(from), static_cast<Word*>(to));
    });
  });
}

}  // namespace

void install(ShapeOps& table) {
  table.copy_rows = copy_rows;
  table.permute = permute;
  install_picking(table);
  install_resizing(table);
}

}  // namespace sslcake::inline v0::kernels::cuda
