// Picking entries by index, and the gradients of that, whose sums run in a fixed order without atomics.
#include "../../core/error.hpp"
#include "instructions.cuh"
#include "launch.cuh"
#include "shape_parts.hpp"
#include "words.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

constexpr int threads = 256;

template <class Word, class Index>
__global__ void __launch_bounds__(threads)
    index_select_kernel(std::int64_t n, const Word* __restrict__ from, const std::int64_t* __restrict__ index,
                        Word* __restrict__ to, Index count, std::int64_t extent, Index words) {
  for (std::int64_t i = first_item(); i < n; i += item_step()) {
    const Index row = static_cast<Index>(i) / words, column = static_cast<Index>(i) - row * words, o = row / count,
                k = row - o * count;
    const std::int64_t picked = index[k];
    to[i] = picked >= 0 && picked < extent ? from[(o * extent + picked) * words + column] : all_ones<Word>();
  }
}
void index_select(const void* from, const std::int64_t* index, void* to, std::int64_t outer, std::int64_t count,
                  std::int64_t extent, std::size_t entry_bytes) {
  if (outer * count == 0 || entry_bytes == 0) return;
  with_word(widest(place(from), place(to), entry_bytes), [&](auto word) {
    using Word = decltype(word);
    const auto words = static_cast<std::int64_t>(entry_bytes / sizeof(Word)), n = outer * count * words;
    with_index(n, [&](auto narrow_index) {
      using Index = decltype(narrow_index);
      launch("index_select", index_select_kernel<Word, Index>, striding_blocks(n, threads), threads, 0, n,
             static_cast<const Word*>(from), index, static_cast<Word*>(to), static_cast<Index>(count), extent,
             static_cast<Index>(words));
    });
  });
}

// A warp for each row of dx and 128 columns: lanes look at 32 entries of the index at once, and all of them add the rows of dy
// that are found, in order. Sums of 32 entries are completed before they are added to the total.
constexpr int columns_per_warp = 128;
template <class S>
__global__ void __launch_bounds__(threads)
    index_select_gradient_kernel(const S* __restrict__ dy, const std::int64_t* __restrict__ index, S* __restrict__ dx,
                                 std::int64_t items, std::int64_t count, std::int64_t extent, std::int64_t inner) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t pieces = (inner + columns_per_warp - 1) / columns_per_warp, warps = item_step() / 32;
  for (std::int64_t item = first_item() / 32; item < items; item += warps) {
    const std::int64_t row = item / pieces, first = item % pieces * columns_per_warp + lane, o = row / extent,
                       wanted = row % extent;
    float total[4] = {};
    for (std::int64_t k = 0; k < count; k += 32) {
      unsigned found = __ballot_sync(0xffffffffu, k + lane < count && index[k + lane] == wanted);
      if (found == 0) continue;
      float sum[4] = {};
      for (; found != 0; found &= found - 1) {
        const S* from = dy + (o * count + k + __ffs(static_cast<int>(found)) - 1) * inner + first;
        for (int c = 0; c < 4; ++c)
          if (first + c * 32 < inner) sum[c] += widen(from[c * 32]);
      }
      for (int c = 0; c < 4; ++c) total[c] += sum[c];
    }
    for (int c = 0; c < 4; ++c)
      if (first + c * 32 < inner) dx[row * inner + first + c * 32] = narrow<S>(total[c]);
  }
}
void index_select_gradient(DType type, const void* dy, const std::int64_t* index, void* dx, std::int64_t outer,
                           std::int64_t count, std::int64_t extent, std::int64_t inner) {
  const std::int64_t items = outer * extent * blocks_for(inner, columns_per_warp);
  if (items == 0) return;
  const unsigned grid = striding_blocks(items, threads / 32);
  if (type == DType::float32)
    launch("index_select", index_select_gradient_kernel<float>, grid, threads, 0, static_cast<const float*>(dy), index,
           static_cast<float*>(dx), items, count, extent, inner);
  else if (type == DType::bfloat16)
    launch("index_select", index_select_gradient_kernel<Bf16>, grid, threads, 0, static_cast<const Bf16*>(dy), index,
           static_cast<Bf16*>(dx), items, count, extent, inner);
  else fail("index_select", "expected float32 or bfloat16 on cuda, got ", type);
}

template <class Word, class Index>
__global__ void __launch_bounds__(threads)
    gather_kernel(std::int64_t n, const Word* __restrict__ from, const std::int64_t* __restrict__ index, Word* __restrict__ to,
                  Index count, std::int64_t extent, Index inner) {
  for (std::int64_t i = first_item(); i < n; i += item_step()) {
    const Index row = static_cast<Index>(i) / inner, column = static_cast<Index>(i) - row * inner, o = row / count;
    const std::int64_t picked = index[i];
    to[i] = picked >= 0 && picked < extent ? from[(o * extent + picked) * inner + column] : all_ones<Word>();
  }
}
void gather(std::size_t word_bytes, const void* from, const std::int64_t* index, void* to, std::int64_t outer, std::int64_t count,
            std::int64_t extent, std::int64_t inner) {
  const std::int64_t n = outer * count * inner;
  if (n == 0) return;
  with_word(word_bytes, [&](auto word) {
    using Word = decltype(word);
    with_index(n, [&](auto narrow_index) {
      using Index = decltype(narrow_index);
      launch("gather", gather_kernel<Word, Index>, striding_blocks(n, threads), threads, 0, n, static_cast<const Word*>(from),
             index, static_cast<Word*>(to), static_cast<Index>(count), extent, static_cast<Index>(inner));
    });
  });
}

template <class S>
__global__ void __launch_bounds__(threads)
    gather_gradient_kernel(std::int64_t columns, const S* __restrict__ dy, const std::int64_t* __restrict__ index, float* dx,
                           std::int64_t count, std::int64_t extent, std::int64_t inner) {
  for (std::int64_t column = first_item(); column < columns; column += item_step()) {
    const std::int64_t o = column / inner, i = column % inner;
    for (std::int64_t k = 0; k < count; ++k) {
      const std::int64_t at = (o * count + k) * inner + i, picked = index[at];
      if (picked >= 0 && picked < extent) dx[(o * extent + picked) * inner + i] += widen(dy[at]);
    }
  }
}
__global__ void __launch_bounds__(threads) narrow_kernel(std::int64_t n, const float* __restrict__ x, Bf16* __restrict__ y) {
  for (std::int64_t i = first_item(); i < n; i += item_step()) y[i] = narrow<Bf16>(x[i]);
}
void gather_gradient(DType type, const void* dy, const std::int64_t* index, void* dx, std::int64_t outer, std::int64_t count,
                     std::int64_t extent, std::int64_t inner) {
  const std::int64_t n = outer * extent * inner, columns = outer * inner;
  if (type != DType::float32 && type != DType::bfloat16) fail("gather", "expected float32 or bfloat16 on cuda, got ", type);
  if (n == 0) return;
  const bool wide = type == DType::float32;
  const Scratch<float> sums(wide ? 0 : n);
  float* to = wide ? static_cast<float*>(dx) : sums.data();
  check(cudaMemsetAsync(to, 0, static_cast<std::size_t>(n) * sizeof(float), stream()), "gather");
  if (count > 0 && wide)
    launch("gather", gather_gradient_kernel<float>, striding_blocks(columns, threads), threads, 0, columns,
           static_cast<const float*>(dy), index, to, count, extent, inner);
  else if (count > 0)
    launch("gather", gather_gradient_kernel<Bf16>, striding_blocks(columns, threads), threads, 0, columns,
           static_cast<const Bf16*>(dy), index, to, count, extent, inner);
  if (!wide) launch("gather", narrow_kernel, striding_blocks(n, threads), threads, 0, n, to, static_cast<Bf16*>(dx));
}

}  // namespace

void install_picking(ShapeOps& table) {
  table.index_select = index_select;
  table.index_select_gradient = index_select_gradient;
  table.gather = gather;
  table.gather_gradient = gather_gradient;
}

}  // namespace sslcake::inline v0::kernels::cuda
