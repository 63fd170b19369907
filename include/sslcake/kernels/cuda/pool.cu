// Pooling. A thread has one place of the result and 16 bytes of channels, where channels and addresses allow. Gradients gather:
// each pixel looks at the windows that contain it, so that nothing is written twice and sums run in a fixed order.
#include "pool.hpp"

#include <cmath>

#include "../../core/error.hpp"
#include "instructions.cuh"
#include "launch.cuh"
#include "wide.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

constexpr int threads = 256;

/// A pixel of (n,height,width) and the first of some channels.
struct Position {
  std::int64_t picture;
  int row, column, channel;
};
template <class Index>
__device__ __forceinline__ Position position_of(std::int64_t i, int height, int width, int pieces, int lanes) {
  const Index item = static_cast<Index>(i), pixel = item / static_cast<Index>(pieces), line = pixel / static_cast<Index>(width),
              picture = line / static_cast<Index>(height);
  return {static_cast<std::int64_t>(picture), static_cast<int>(line - picture * static_cast<Index>(height)),
          static_cast<int>(pixel - line * static_cast<Index>(width)),
          static_cast<int>(item - pixel * static_cast<Index>(pieces)) * lanes};
}
__device__ __forceinline__ std::int64_t first_item() { return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ __forceinline__ std::int64_t item_step() { return static_cast<std::int64_t>(gridDim.x) * blockDim.x; }

using Axis = PoolAxisOf<int>;
Axis axis_of(const char* op, const PoolAxis& a) {
  const std::int64_t most = (std::int64_t{1} << 31) - 1;
  if ((!a.kernel && (a.size + 1) * (a.count + 1) > most) || a.size + 2 * a.padding + a.kernel > most)
    fail(op, "expected fewer than 2^31 pixels (times windows) along each dimension on cuda, got ", a.size, " and ", a.count);
  const auto i = [](std::int64_t x) { return static_cast<int>(x); };
  return {i(a.size), i(a.count), i(a.kernel), i(a.stride), i(a.padding), a.counts_padding};
}
/// PoolShape in 32 bits.
struct Windows {
  Axis rows, columns;
  int c;
};
Windows windows_of(const PoolShape& s) {
  return {axis_of("max_pool2d", {s.h, s.oh, s.kernel_h, s.stride_h, s.pad_h}),
          axis_of("max_pool2d", {s.w, s.ow, s.kernel_w, s.stride_w, s.pad_w}), static_cast<int>(s.c)};
}

template <int lanes>
struct alignas(2 * lanes) Marks {
  std::uint16_t each[lanes];
};

// --- the largest -----------------------------------------------------------------------------------------------------------
template <class S, int lanes, class Index>
__global__ void __launch_bounds__(threads)
    max_pool_kernel(std::int64_t n, Windows s, const S* __restrict__ x, S* __restrict__ y, std::uint16_t* __restrict__ places) {
  for (std::int64_t i = first_item(); i < n; i += item_step()) {
    const Position at = position_of<Index>(i, s.rows.count, s.columns.count, s.c / lanes, lanes);
    const int top = at.row * s.rows.stride - s.rows.padding, left = at.column * s.columns.stride - s.columns.padding;
    const int row_end = top + s.rows.kernel < s.rows.size ? top + s.rows.kernel : s.rows.size;
    const int column_end = left + s.columns.kernel < s.columns.size ? left + s.columns.kernel : s.columns.size;
    float best[lanes];
    int place[lanes];
    for (int l = 0; l < lanes; ++l) {
      best[l] = -INFINITY;
      place[l] = (top > 0 ? 0 : -top) * s.columns.kernel + (left > 0 ? 0 : -left);  // the first, should nothing be larger
    }
    for (int row = top > 0 ? top : 0; row < row_end; ++row)
      for (int column = left > 0 ? left : 0; column < column_end; ++column) {
        float v[lanes];
        load(x + ((at.picture * s.rows.size + row) * s.columns.size + column) * s.c + at.channel, v);
        const int here = (row - top) * s.columns.kernel + column - left;
        for (int l = 0; l < lanes; ++l) {
          const bool better = v[l] > best[l] || v[l] != v[l];
          best[l] = better ? v[l] : best[l];
          place[l] = better ? here : place[l];
        }
      }
    store(y + i * lanes, best);
    if (places) {
      Marks<lanes> marks;
      for (int l = 0; l < lanes; ++l) marks.each[l] = static_cast<std::uint16_t>(place[l]);
      *reinterpret_cast<Marks<lanes>*>(places + i * lanes) = marks;
    }
  }
}

template <class S, int lanes, class Index>
__global__ void __launch_bounds__(threads)
    max_pool_gradient_kernel(std::int64_t n, Windows s, const S* __restrict__ dy, const std::uint16_t* __restrict__ places,
                             S* __restrict__ dx) {
  for (std::int64_t i = first_item(); i < n; i += item_step()) {
    const Position at = position_of<Index>(i, s.rows.size, s.columns.size, s.c / lanes, lanes);
    const int q_first = s.columns.first(at.column), q_last = s.columns.last(at.column);
    float sum[lanes] = {};
    for (int p = s.rows.first(at.row), p_last = s.rows.last(at.row); p < p_last; ++p)
      for (int q = q_first; q < q_last; ++q) {
        const int here = (at.row + s.rows.padding - p * s.rows.stride) * s.columns.kernel + at.column + s.columns.padding -
                         q * s.columns.stride;
        const std::int64_t from = ((at.picture * s.rows.count + p) * s.columns.count + q) * s.c + at.channel;
        const auto marks = *reinterpret_cast<const Marks<lanes>*>(places + from);
        float v[lanes];
        load(dy + from, v);
        for (int l = 0; l < lanes; ++l) sum[l] += marks.each[l] == here ? v[l] : 0.0f;
      }
    store(dx + i * lanes, sum);
  }
}

/// Calls body(S, lanes, Index) for the type, for whole vectors of channels where all addresses are aligned to 16 bytes, and
/// with a type for the number of items.
template <class Body>
void with_types(const char* op, DType type, bool lie_aligned, std::int64_t c, std::int64_t elements, Body&& body) {
  const auto index = [&](auto s, auto width) {
    if (elements < (std::int64_t{1} << 31)) body(s, width, std::uint32_t{});
    else body(s, width, std::uint64_t{});
  };
  if (type == DType::float32 && lie_aligned && c % 4 == 0) index(float{}, Width<4>{});
  else if (type == DType::float32) index(float{}, Width<1>{});
  else if (type == DType::bfloat16 && lie_aligned && c % 8 == 0) index(Bf16{}, Width<8>{});
  else if (type == DType::bfloat16) index(Bf16{}, Width<1>{});
  else fail(op, "expected float32 or bfloat16 on cuda, got ", type);
}
/// Positions within padded pictures are counted in 32 bits.
void check_extents(const char* op, std::int64_t h, std::int64_t w, std::int64_t c) {
  if (h >= 1 << 29 || w >= 1 << 29 || c >= 1 << 29) fail(op, "expected extents below 2^29 on cuda, got ", h, "x", w, "x", c);
}

void max_pool2d(DType type, const PoolShape& s, const void* x, void* y, std::uint16_t* places) {
  check_extents("max_pool2d", s.h, s.w, s.c);
  const std::int64_t elements = s.n * s.oh * s.ow * s.c;
  if (elements == 0) return;
  with_types("max_pool2d", type, aligned(x, 16) && aligned(y, 16) && aligned(places, 16), s.c, elements,
             [&](auto zero, auto width, auto index) {
               using S = decltype(zero);
               using Index = decltype(index);
               constexpr int lanes = decltype(width)::value;
               launch("max_pool2d", max_pool_kernel<S, lanes, Index>, striding_blocks(elements / lanes, threads), threads, 0,
                      elements / lanes, windows_of(s), static_cast<const S*>(x), static_cast<S*>(y), places);
             });
}
void max_pool2d_gradient(DType type, const PoolShape& s, const void* dy, const std::uint16_t* places, void* dx) {
  check_extents("max_pool2d", s.h, s.w, s.c);
  const std::int64_t elements = s.n * s.h * s.w * s.c;
  if (elements == 0) return;
  with_types("max_pool2d", type, aligned(dy, 16) && aligned(dx, 16) && aligned(places, 16), s.c, elements,
             [&](auto zero, auto width, auto index) {
               using S = decltype(zero);
               using Index = decltype(index);
               constexpr int lanes = decltype(width)::value;
               launch("max_pool2d", max_pool_gradient_kernel<S, lanes, Index>, striding_blocks(elements / lanes, threads),
                      threads, 0, elements / lanes, windows_of(s), static_cast<const S*>(dy), places, static_cast<S*>(dx));
             });
}

// --- means -------------------------------------------------------------------------------------------------------------------
__device__ __forceinline__ float share(const Axis& rows, int p, const Axis& columns, int q) {
  return 1.0f / (static_cast<float>(rows.extent(p)) * static_cast<float>(columns.extent(q)));
}

// A box and a vector of channels are summed by `parts` threads of a block, part t the pixels t, t + parts, ... of the box; a
// block has 256 / parts such sums, neighbours in the channels. Then the first part's thread adds up the parts in order. Many
// parts keep the GPU busy where a few large boxes (means over whole pictures) are all there is.
template <class S, int lanes, class Index>
__global__ void __launch_bounds__(threads) box_means_kernel(std::int64_t sums, int parts, Axis rows, Axis columns, int c,
                                                            const S* __restrict__ x, float* __restrict__ y) {
  float* partial = reinterpret_cast<float*>(dynamic_shared());  // (parts, lanes, sums of the block)
  const int thread = static_cast<int>(threadIdx.x), across = threads / parts, mine = thread % across, part = thread / across;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * across;
  for (std::int64_t start = static_cast<std::int64_t>(blockIdx.x) * across; start < sums; start += step) {
    const std::int64_t i = start + mine;
    float sum[lanes] = {}, scale = 0;
    if (i < sums) {
      const Position at = position_of<Index>(i, rows.count, columns.count, c / lanes, lanes);
      const int top = rows.begin(at.row), left = columns.begin(at.column), width = columns.end(at.column) - left,
                pixels = (rows.end(at.row) - top) * width;
      const S* from = x + ((at.picture * rows.size + top) * columns.size + left) * c + at.channel;
      scale = share(rows, at.row, columns, at.column);
      const bool one_run = width == columns.size;
      for (int k = part; k < pixels; k += parts) {
        const std::int64_t pixel = one_run ? k : static_cast<std::int64_t>(k / width) * columns.size + k % width;
        float v[lanes];
        load(from + pixel * c, v);
        for (int l = 0; l < lanes; ++l) sum[l] += v[l];
      }
    }
    if (parts > 1) {
      for (int l = 0; l < lanes; ++l) partial[(part * lanes + l) * across + mine] = sum[l];
      __syncthreads();
      if (part == 0)
        for (int t = 1; t < parts; ++t)
          for (int l = 0; l < lanes; ++l) sum[l] += partial[(t * lanes + l) * across + mine];
      __syncthreads();
    }
    if (part == 0 && i < sums) {
      for (float& each : sum) each *= scale;
      store(y + i * lanes, sum);
    }
  }
}

void box_means(DType type, std::int64_t n, std::int64_t c, const PoolAxis& rows, const PoolAxis& columns, const void* x,
               float* y) {
  check_extents("avg_pool2d", rows.size, columns.size, c);
  const std::int64_t elements = n * rows.count * columns.count * c;
  if (elements == 0) return;
  const Axis r = axis_of("avg_pool2d", rows), s = axis_of("avg_pool2d", columns);
  const auto widest = [](const PoolAxis& a) {
    return a.kernel ? a.kernel < a.size ? a.kernel : a.size : (a.size + a.count - 1) / a.count + 1;
  };
  const std::int64_t pixels = widest(rows) * widest(columns);
  if (pixels >= std::int64_t{1} << 31) fail("avg_pool2d", "expected windows of fewer than 2^31 pixels on cuda");
  with_types("avg_pool2d", type, aligned(x, 16) && aligned(y, 16), c, elements, [&](auto zero, auto width, auto index) {
    using S = decltype(zero);
    using Index = decltype(index);
    constexpr int lanes = decltype(width)::value;
    // At least four pixels to a part; at most 256, until a block has no more parts; enough threads to fill the GPU.
    const std::int64_t sums = elements / lanes, wanted = static_cast<std::int64_t>(multiprocessors()) * 2048;
    int parts = 1;
    while (parts < 32 && parts * 4 < pixels && (sums * parts < wanted || parts * 256 < pixels)) parts *= 2;
    launch("avg_pool2d", box_means_kernel<S, lanes, Index>, striding_blocks(sums, threads / parts), threads,
           parts > 1 ? threads * lanes * sizeof(float) : 0, sums, parts, r, s, static_cast<int>(c), static_cast<const S*>(x), y);
  });
}

template <class S, int lanes, class Index>
__global__ void __launch_bounds__(threads) box_means_gradient_kernel(std::int64_t n, Axis rows, Axis columns, int c,
                                                                     const float* __restrict__ dy, S* __restrict__ dx) {
  for (std::int64_t i = first_item(); i < n; i += item_step()) {
    const Position at = position_of<Index>(i, rows.size, columns.size, c / lanes, lanes);
    const int q_first = columns.first(at.column), q_last = columns.last(at.column);
    float sum[lanes] = {};
    for (int p = rows.first(at.row), p_last = rows.last(at.row); p < p_last; ++p)
      for (int q = q_first; q < q_last; ++q) {
        const float scale = share(rows, p, columns, q);
        float v[lanes];
        load(dy + ((at.picture * rows.count + p) * columns.count + q) * c + at.channel, v);
        for (int l = 0; l < lanes; ++l) sum[l] += v[l] * scale;
      }
    store(dx + i * lanes, sum);
  }
}
// Where a mean goes over whole pictures (every step has one) there is little to work out.
template <class S, int lanes, class Index>
__global__ void __launch_bounds__(threads) whole_means_gradient_kernel(std::int64_t n, Index picture, int c, float scale,
                                                                       const float* __restrict__ dy, S* __restrict__ dx) {
  const Index pieces = static_cast<Index>(c / lanes);
  for (std::int64_t i = first_item(); i < n; i += item_step()) {
    const Index item = static_cast<Index>(i);
    float v[lanes];
    load(dy + static_cast<std::int64_t>(item / picture) * c + static_cast<std::int64_t>(item % pieces) * lanes, v);
    for (float& each : v) each *= scale;
    store(dx + i * lanes, v);
  }
}
void box_means_gradient(DType type, std::int64_t n, std::int64_t c, const PoolAxis& rows, const PoolAxis& columns,
                        const float* dy, void* dx) {
  check_extents("avg_pool2d", rows.size, columns.size, c);
  const std::int64_t elements = n * rows.size * columns.size * c;
  if (elements == 0) return;
  const Axis r = axis_of("avg_pool2d", rows), s = axis_of("avg_pool2d", columns);
  const bool whole = rows.kernel == 0 && columns.kernel == 0 && rows.count == 1 && columns.count == 1;
  with_types("avg_pool2d", type, aligned(dy, 16) && aligned(dx, 16), c, elements, [&](auto zero, auto width, auto index) {
    using S = decltype(zero);
    using Index = decltype(index);
    constexpr int lanes = decltype(width)::value;
    const std::int64_t items = elements / lanes;
    const unsigned grid = striding_blocks(items, threads);
    if (whole)
      launch("avg_pool2d", whole_means_gradient_kernel<S, lanes, Index>, grid, threads, 0, items,
             static_cast<Index>(items / n), static_cast<int>(c), 1.0f / static_cast<float>(rows.size * columns.size), dy,
             static_cast<S*>(dx));
    else
      launch("avg_pool2d", box_means_gradient_kernel<S, lanes, Index>, grid, threads, 0, items, r, s, static_cast<int>(c), dy,
             static_cast<S*>(dx));
  });
}

}  // namespace

void install(Pool& table) {
  table.max_pool2d = max_pool2d;
  table.max_pool2d_gradient = max_pool2d_gradient;
  table.box_means = box_means;
  table.box_means_gradient = box_means_gradient;
}

}  // namespace sslcake::inline v0::kernels::cuda
