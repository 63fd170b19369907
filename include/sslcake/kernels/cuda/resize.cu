// Resizing pictures (N,H,W,C), nearest and bilinear, and dropout. Gradients of resizing gather: each source pixel finds the
// target pixels that were made from it and sums them row by row, so that nothing is written by two threads.
#include <algorithm>

#include "../../core/error.hpp"
#include "instructions.cuh"
#include "launch.cuh"
#include "shape_parts.hpp"
#include "wide.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace {

constexpr int threads = 256;

/// One dimension: target pixels i of `to` and the source pixels of `from` behind them. As on the CPU, in float32.
struct Nearest {
  int from, to;
  float scale;  // from / to
  __device__ int source(int i) const {
    const int at = static_cast<int>(static_cast<float>(i) * scale);
    return at < from - 1 ? at : from - 1;
  }
  /// The target pixels [first, last) among which are all that are made from pixel r; and the part of r in each of them.
  __device__ int first(int r) const {
    const int at = static_cast<int>(static_cast<float>(r) / scale) - 1;
    return at > 0 ? at : 0;
  }
  __device__ int last(int r) const {
    const float at = static_cast<float>(r + 1) / scale + 2.0f;
    return r == from - 1 || at >= static_cast<float>(to) ? to : static_cast<int>(at);
  }
  __device__ float part(int r, int i) const { return source(i) == r ? 1.0f : 0.0f; }
};
struct Bilinear {
  int from, to;
  float scale;
  struct Tap {
    int low, high;
    float weight;  // of the second
  };
  __device__ Tap tap(int i) const {
    const float wanted = scale * (static_cast<float>(i) + 0.5f) - 0.5f, at = wanted > 0 ? wanted : 0.0f;
    const int whole = static_cast<int>(at), low = whole < from - 1 ? whole : from - 1,
              high = low + 1 < from - 1 ? low + 1 : from - 1;
    return {low, high, at - static_cast<float>(low)};
  }
  // Those with r - 1 < scale (i + 1/2) - 1/2 < r + 1, and one more on each side.
  __device__ int first(int r) const {
    const int at = static_cast<int>((static_cast<float>(r) - 0.5f) / scale - 0.5f) - 1;
    return r > 0 && at > 0 ? at : 0;
  }
  __device__ int last(int r) const {
    const float at = (static_cast<float>(r) + 1.5f) / scale + 2.0f;
    return r >= from - 2 || at >= static_cast<float>(to) ? to : static_cast<int>(at);
  }
  __device__ float part(int r, int i) const {
    const Tap t = tap(i);
    return (t.low == r ? 1 - t.weight : 0.0f) + (t.high == r ? t.weight : 0.0f);
  }
};

// A thread for each pixel of y and `lanes` channels.
template <class Axis, class S, int lanes, class Index>
__global__ void __launch_bounds__(threads)
    resize_kernel(std::int64_t n, Axis rows, Axis columns, int c, const S* __restrict__ x, S* __restrict__ y) {
  const Index pieces = static_cast<Index>(c / lanes), width = static_cast<Index>(columns.to),
              height = static_cast<Index>(rows.to);
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const Index pixel = static_cast<Index>(i) / pieces, line = pixel / width, picture = line / height;
    const int channel = static_cast<int>(static_cast<Index>(i) - pixel * pieces) * lanes;
    const int p = static_cast<int>(line - picture * height), q = static_cast<int>(pixel - line * width);
    const S* in = x + static_cast<std::int64_t>(picture) * rows.from * columns.from * c + channel;
    const auto at = [=](int row, int column) { return in + (static_cast<std::int64_t>(row) * columns.from + column) * c; };
    float v[lanes];
    if constexpr (std::is_same_v<Axis, Nearest>) {
      load(at(rows.source(p), columns.source(q)), v);
    } else {
      const auto r = rows.tap(p), s = columns.tap(q);
      float a[lanes], b[lanes], d[lanes];
      load(at(r.low, s.low), v);
      load(at(r.low, s.high), a);
      load(at(r.high, s.low), b);
      load(at(r.high, s.high), d);
      for (int l = 0; l < lanes; ++l) {
        const float top = (1 - s.weight) * v[l] + s.weight * a[l], bottom = (1 - s.weight) * b[l] + s.weight * d[l];
        v[l] = (1 - r.weight) * top + r.weight * bottom;
      }
    }
    store(y + i * lanes, v);
  }
}

// A thread for each pixel of dx and `lanes` channels.
template <class Axis, class S, int lanes, class Index>
__global__ void __launch_bounds__(threads)
    resize_gradient_kernel(std::int64_t n, Axis rows, Axis columns, int c, const S* __restrict__ dy, S* __restrict__ dx) {
  const Index pieces = static_cast<Index>(c / lanes), width = static_cast<Index>(columns.from),
              height = static_cast<Index>(rows.from);
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const Index pixel = static_cast<Index>(i) / pieces, line = pixel / width, picture = line / height;
    const int channel = static_cast<int>(static_cast<Index>(i) - pixel * pieces) * lanes;
    const int row = static_cast<int>(line - picture * height), column = static_cast<int>(pixel - line * width);
    const S* in = dy + static_cast<std::int64_t>(picture) * rows.to * columns.to * c + channel;
    float total[lanes] = {};
    for (int p = rows.first(row), p_end = rows.last(row); p < p_end; ++p) {
      const float down = rows.part(row, p);
      if (down == 0) continue;
      float sum[lanes] = {};
      for (int q = columns.first(column), q_end = columns.last(column); q < q_end; ++q) {
        const float across = columns.part(column, q);
        if (across == 0) continue;
        float v[lanes];
        load(in + (static_cast<std::int64_t>(p) * columns.to + q) * c, v);
        for (int l = 0; l < lanes; ++l) sum[l] += across * v[l];
      }
      for (int l = 0; l < lanes; ++l) total[l] += down * sum[l];
    }
    store(dx + i * lanes, total);
  }
}

template <class Axis, class S, bool gradient, int lanes>
void resize_by(const ResizeShape& s, const void* from, void* to) {
  const std::int64_t n = s.n * (gradient ? s.h * s.w : s.oh * s.ow) * (s.c / lanes);
  if (n == 0) return;
  const Axis rows{static_cast<int>(s.h), static_cast<int>(s.oh), static_cast<float>(s.h) / static_cast<float>(s.oh)};
  const Axis columns{static_cast<int>(s.w), static_cast<int>(s.ow), static_cast<float>(s.w) / static_cast<float>(s.ow)};
  const auto go = [&](auto index) {
    using Index = decltype(index);
    launch("resize", gradient ? resize_gradient_kernel<Axis, S, lanes, Index> : resize_kernel<Axis, S, lanes, Index>,
           striding_blocks(n, threads), threads, 0, n, rows, columns, static_cast<int>(s.c), static_cast<const S*>(from),
           static_cast<S*>(to));
  };
  if (n < (std::int64_t{1} << 31)) go(std::uint32_t{});
  else go(std::uint64_t{});
}
template <class Axis, bool gradient>
void resize(DType type, const ResizeShape& s, const void* from, void* to) {
  if (std::max({s.h, s.w, s.oh, s.ow, s.c}) >= (std::int64_t{1} << 24)) fail("resize", "expected extents below 2^24 on cuda");
  const bool lie = aligned(from, 16) && aligned(to, 16);
  if (type == DType::float32)
    return lie && s.c % 4 == 0 ? resize_by<Axis, float, gradient, 4>(s, from, to)
                               : resize_by<Axis, float, gradient, 1>(s, from, to);
  if (type == DType::bfloat16)
    return lie && s.c % 8 == 0 ? resize_by<Axis, Bf16, gradient, 8>(s, from, to)
                               : resize_by<Axis, Bf16, gradient, 1>(s, from, to);
  fail("resize", "expected float32 or bfloat16 on cuda, got ", type);
}

// --- dropout -------------------------------------------------------------------------------------------------------------
// Ten rounds of Philox4x32 as in core/random.hpp.
__device__ __forceinline__ uint4 philox(uint4 counter, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint32_t high0 = __umulhi(0xD2511F53u, counter.x), low0 = 0xD2511F53u * counter.x;
    const std::uint32_t high1 = __umulhi(0xCD9E8D57u, counter.z), low1 = 0xCD9E8D57u * counter.z;
    counter = make_uint4(high1 ^ counter.y ^ key0, low1, high0 ^ counter.w ^ key1, low0);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// A thread for each block of four elements.
template <class S, bool wide>
__global__ void __launch_bounds__(threads)
    dropout_kernel(std::int64_t n, const S* __restrict__ x, S* __restrict__ y, std::uint32_t key0, std::uint32_t key1,
                   std::uint64_t call, std::uint64_t limit, float scale) {
  const std::int64_t blocks = (n + 3) / 4, step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t block = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; block < blocks; block += step) {
    const uint4 w = philox(make_uint4(static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                                      static_cast<std::uint32_t>(call), static_cast<std::uint32_t>(call >> 32)),
                           key0, key1);
    const std::uint32_t words[4] = {w.x, w.y, w.z, w.w};
    const std::int64_t at = 4 * block;
    if (wide && at + 4 <= n) {
      float v[4];
      load(x + at, v);
      for (int l = 0; l < 4; ++l) v[l] = words[l] >= limit ? v[l] * scale : 0.0f;
      store(y + at, v);
    } else {
      for (int l = 0; l < 4; ++l)
        if (at + l < n) y[at + l] = narrow<S>(words[l] >= limit ? widen(x[at + l]) * scale : 0.0f);
    }
  }
}
template <class S>
void dropout_as(std::int64_t n, const void* x, void* y, std::uint32_t key0, std::uint32_t key1, std::uint64_t call,
                std::uint64_t limit, float scale) {
  const bool wide = aligned(x, 4 * sizeof(S)) && aligned(y, 4 * sizeof(S));
  launch("dropout", wide ? dropout_kernel<S, true> : dropout_kernel<S, false>, striding_blocks(blocks_for(n, 4), threads),
         threads, 0, n, static_cast<const S*>(x), static_cast<S*>(y), key0, key1, call, limit, scale);
}
void dropout(DType type, std::int64_t n, const void* x, void* y, std::uint32_t key0, std::uint32_t key1, std::uint64_t call,
             std::uint64_t limit, float scale) {
  if (n == 0) return;
  if (type == DType::float32) dropout_as<float>(n, x, y, key0, key1, call, limit, scale);
  else if (type == DType::bfloat16) dropout_as<Bf16>(n, x, y, key0, key1, call, limit, scale);
  else fail("dropout", "expected float32 or bfloat16 on cuda, got ", type);
}

}  // namespace

void install_resizing(ShapeOps& table) {
  table.resize_nearest = resize<Nearest, false>;
  table.resize_nearest_gradient = resize<Nearest, true>;
  table.resize_bilinear = resize<Bilinear, false>;
  table.resize_bilinear_gradient = resize<Bilinear, true>;
  table.dropout = dropout;
}

}  // namespace sslcake::inline v0::kernels::cuda
