// kernels/cuda/shape.cu, pick.cu and resize.cu against plain loops; what only moves numbers bit by bit.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "../../include/sslcake/core/random.hpp"
#include "../../include/sslcake/kernels/cuda/shape.hpp"
#include "device.hpp"

namespace {
using namespace cuda_test;
using sslcake::bfloat16;
using sslcake::DType;
namespace cuda = sslcake::kernels::cuda;

const cuda::ShapeOps& table() { return kernels_of<cuda::ShapeOps>(); }

template <class T>
std::vector<T> counted(std::size_t n) {
  std::vector<T> out(n);
  std::uint64_t x = 88172645463325252u;
  for (T& v : out) x ^= x << 13, x ^= x >> 7, x ^= x << 17, v = static_cast<T>(x);
  return out;
}
template <class S>
std::vector<S> as(const std::vector<float>& values) {
  if constexpr (std::is_same_v<S, float>) return values;
  else return rounded(values);
}
template <class S>
constexpr double tolerance = std::is_same_v<S, float> ? 2e-6 : 4e-3;
template <class S>
std::vector<double> doubles(const std::vector<S>& values) {
  std::vector<double> out;
  for (const S x : values) out.push_back(static_cast<double>(static_cast<float>(x)));
  return out;
}

template <class Word>
void check_permute(const std::vector<std::int64_t>& extents, const std::vector<int>& axes, std::size_t shift = 0) {
  const int rank = static_cast<int>(extents.size());
  std::vector<std::int64_t> strides(extents.size(), 1);
  for (int d = rank - 2; d >= 0; --d)
    strides[static_cast<std::size_t>(d)] = strides[static_cast<std::size_t>(d) + 1] * extents[static_cast<std::size_t>(d) + 1];
  cuda::PermutePlan plan;
  plan.rank = rank;
  std::size_t n = 1;
  for (int d = 0; d < rank; ++d) {
    const auto from = static_cast<std::size_t>(axes[static_cast<std::size_t>(d)]);
    plan.extent[d] = extents[from];
    plan.step[d] = strides[from];
    n *= static_cast<std::size_t>(extents[from]);
  }
  const auto x = counted<Word>(n + shift);
  const auto gx = on_gpu(x);
  OnGpu<Word> gy(n + shift);
  table().permute(sizeof(Word), plan, gx.data() + shift, gy.data() + shift);
  const auto y = gy.values();
  bool same = true;
  for (std::size_t i = 0; i < n; ++i) {
    auto rest = static_cast<std::int64_t>(i);
    std::int64_t at = 0;
    for (int d = rank - 1; d >= 0; --d) at += rest % plan.extent[d] * plan.step[d], rest /= plan.extent[d];
    same = same && y[i + shift] == x[static_cast<std::size_t>(at) + shift];
  }
  CAPTURE(sizeof(Word));
  CAPTURE(rank);
  CHECK(same);
}
template <class Word>
void check_permutes() {
  check_permute<Word>({5}, {0});
  check_permute<Word>({33, 31}, {1, 0});
  check_permute<Word>({65, 70}, {1, 0});
  check_permute<Word>({65, 70}, {1, 0}, 1);
  check_permute<Word>({3, 100}, {1, 0});
  check_permute<Word>({100, 3}, {1, 0});
  check_permute<Word>({2, 5, 3, 16}, {0, 2, 1, 3});
  check_permute<Word>({2, 5, 3, 16}, {0, 2, 1, 3}, 1);
  check_permute<Word>({2, 5, 3, 7}, {0, 2, 1, 3});
  check_permute<Word>({2, 9, 3, 10}, {0, 3, 2, 1});
  check_permute<Word>({3, 9, 40}, {0, 2, 1});
  check_permute<Word>({2, 3, 2, 3, 2, 2, 3, 2}, {7, 2, 5, 0, 3, 6, 1, 4});
  check_permute<Word>({2, 4, 1, 5, 3, 3}, {0, 1, 4, 2, 5, 3});
  check_permute<Word>({1, 17, 1}, {2, 0, 1});
}

std::vector<std::int64_t> indices(std::size_t n, std::int64_t extent, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<std::int64_t> out(n);
  for (auto& i : out) i = std::uniform_int_distribution<std::int64_t>(0, extent - 1)(engine);
  return out;
}

template <class S>
void check_picking(std::int64_t outer, std::int64_t count, std::int64_t extent, std::int64_t inner) {
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  const DType type = sslcake::dtype_of<S>;
  const auto x = as<S>(normal(at(outer * extent * inner), 1)), dy = as<S>(normal(at(outer * count * inner), 2));
  auto index = indices(at(count), extent, 3);
  if (count > 3) index[2] = extent, index[3] = -1;  // neither picks anything
  const auto gx = on_gpu(x), gdy = on_gpu(dy);
  const auto gi = on_gpu(index);
  OnGpu<S> gy(dy.size()), gdx(x.size());
  table().index_select(gx.data(), gi.data(), gy.data(), outer, count, extent, at(inner) * sizeof(S));
  table().index_select_gradient(type, gdy.data(), gi.data(), gdx.data(), outer, count, extent, inner);
  const auto y = gy.values();
  const auto d = doubles(dy);
  std::vector<double> dx(x.size());
  bool same = true;
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t k = 0; k < count; ++k)
      for (std::int64_t i = 0; i < inner; ++i) {
        const auto to = at((o * count + k) * inner + i);
        const std::int64_t picked = index[at(k)];
        if (picked < 0 || picked >= extent) {
          same = same && std::isnan(static_cast<float>(y[to]));
          continue;
        }
        const auto from = at((o * extent + picked) * inner + i);
        same = same && y[to] == x[from];
        dx[from] += d[to];
      }
  CHECK(same);
  CHECK(relative_error(doubles(gdx.values()), dx) < tolerance<S>);

  auto each = indices(dy.size(), extent, 4);
  if (each.size() > 3) each[2] = extent, each[3] = -1;
  const auto ge = on_gpu(each);
  table().gather(sizeof(S), gx.data(), ge.data(), gy.data(), outer, count, extent, inner);
  table().gather_gradient(type, gdy.data(), ge.data(), gdx.data(), outer, count, extent, inner);
  const auto z = gy.values();
  std::fill(dx.begin(), dx.end(), 0.0);
  same = true;
  for (std::size_t k = 0; k < each.size(); ++k) {
    const auto o = static_cast<std::int64_t>(k) / (count * inner), i = static_cast<std::int64_t>(k) % inner;
    if (each[k] < 0 || each[k] >= extent) {
      same = same && std::isnan(static_cast<float>(z[k]));
      continue;
    }
    const auto from = at((o * extent + each[k]) * inner + i);
    same = same && z[k] == x[from];
    dx[from] += d[k];
  }
  CHECK(same);
  CHECK(relative_error(doubles(gdx.values()), dx) < tolerance<S>);
}

struct Tap {
  std::int64_t low, high;
  float weight;
};
std::vector<Tap> taps(std::int64_t from, std::int64_t to, bool bilinear) {
  std::vector<Tap> out;
  const float scale = static_cast<float>(from) / static_cast<float>(to);
  for (std::int64_t i = 0; i < to; ++i) {
    const float at =
        bilinear ? std::max(scale * (static_cast<float>(i) + 0.5f) - 0.5f, 0.0f) : std::floor(static_cast<float>(i) * scale);
    const auto low = std::min(static_cast<std::int64_t>(at), from - 1);
    out.push_back({low, std::min(low + 1, from - 1), bilinear ? at - static_cast<float>(low) : 0.0f});
  }
  return out;
}
template <class S>
void check_resize(const cuda::ResizeShape& s, bool bilinear) {
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  const DType type = sslcake::dtype_of<S>;
  const auto x = as<S>(normal(at(s.n * s.h * s.w * s.c), 5)), dy = as<S>(normal(at(s.n * s.oh * s.ow * s.c), 6));
  const auto gx = on_gpu(x), gdy = on_gpu(dy);
  OnGpu<S> gy(dy.size()), gdx(x.size());
  (bilinear ? table().resize_bilinear : table().resize_nearest)(type, s, gx.data(), gy.data());
  (bilinear ? table().resize_bilinear_gradient : table().resize_nearest_gradient)(type, s, gdy.data(), gdx.data());
  const auto rows = taps(s.h, s.oh, bilinear), columns = taps(s.w, s.ow, bilinear);
  const auto from = doubles(x), d = doubles(dy);
  std::vector<double> y(dy.size()), dx(x.size());
  for (std::int64_t n = 0; n < s.n; ++n)
    for (std::int64_t p = 0; p < s.oh; ++p)
      for (std::int64_t q = 0; q < s.ow; ++q)
        for (std::int64_t ch = 0; ch < s.c; ++ch) {
          const Tap r = rows[at(p)], t = columns[at(q)];
          const auto to = at(((n * s.oh + p) * s.ow + q) * s.c + ch);
          for (int corner = 0; corner < 4; ++corner) {
            const auto source = at(((n * s.h + (corner / 2 ? r.high : r.low)) * s.w + (corner % 2 ? t.high : t.low)) * s.c + ch);
            const double weight = (corner / 2 ? r.weight : 1 - r.weight) * (corner % 2 ? t.weight : 1 - t.weight);
            y[to] += weight * from[source];
            dx[source] += weight * d[to];
          }
        }
  CAPTURE(s.h);
  CAPTURE(s.oh);
  CAPTURE(bilinear);
  CHECK(relative_error(doubles(gy.values()), y) < tolerance<S>);
  CHECK(relative_error(doubles(gdx.values()), dx) < tolerance<S>);
}
template <class S>
void check_resizes() {
  for (const bool bilinear : {false, true}) {
    check_resize<S>({2, 5, 7, 3, 11, 13}, bilinear);
    check_resize<S>({1, 13, 11, 8, 5, 7}, bilinear);
    check_resize<S>({2, 4, 4, 16, 8, 8}, bilinear);
    check_resize<S>({1, 1, 1, 8, 3, 5}, bilinear);
    check_resize<S>({1, 6, 9, 5, 1, 1}, bilinear);
    check_resize<S>({1, 32, 3, 1, 7, 64}, bilinear);
    check_resize<S>({1, 7, 5, 4, 7, 5}, bilinear);
  }
}

template <class S>
void check_dropout(std::size_t n, std::size_t shift) {
  const auto x = as<S>(normal(n + shift, 7, 3));
  const auto gx = on_gpu(x);
  OnGpu<S> gy(n + shift);
  const double p = 0.3;
  const auto limit = static_cast<std::uint64_t>(std::ceil(p * 0x1p32));
  const float scale = static_cast<float>(1 / (1 - p));
  const std::uint64_t call = 0x123456789u;
  table().dropout(sslcake::dtype_of<S>, static_cast<std::int64_t>(n), gx.data() + shift, gy.data() + shift, 17u, 0x9abcdef0u,
                  call, limit, scale);
  const auto y = gy.values();
  bool same = true;
  for (std::size_t i = 0; i < n; ++i) {
    const auto words = sslcake::detail::philox(
        {static_cast<std::uint32_t>(i / 4), 0, static_cast<std::uint32_t>(call), static_cast<std::uint32_t>(call >> 32)}, 17u,
        0x9abcdef0u);
    const S wanted = words[i % 4] >= limit ? S(static_cast<float>(x[i + shift]) * scale) : S(0.0f);
    same = same && y[i + shift] == wanted;
  }
  CHECK(same);
}
}  // namespace

TEST_CASE("copies of parts") {
  struct Part {
    std::size_t from_step, to_step, bytes, from_shift, to_shift;
    std::int64_t rows;
  };
  for (const Part& p : {Part{64, 32, 32, 16, 0, 9}, Part{24, 24, 24, 0, 0, 7}, Part{100, 60, 40, 4, 8, 5},
                        Part{7, 9, 5, 1, 2, 33}, Part{6, 4, 2, 2, 0, 300}, Part{40, 40, 24, 8, 8, 3}, Part{9, 9, 7, 1, 1, 1}}) {
    const auto rows = static_cast<std::size_t>(p.rows);
    const auto x = counted<std::uint8_t>(p.from_shift + p.from_step * rows);
    const auto before = counted<std::uint8_t>(p.to_shift + p.to_step * rows + 3);
    const auto gx = on_gpu(x), gy = on_gpu(before);
    table().copy_rows(gx.data() + p.from_shift, p.from_step, gy.data() + p.to_shift, p.to_step, p.bytes, p.rows);
    auto wanted = before;
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t i = 0; i < p.bytes && p.from_shift + r * p.from_step + i < x.size(); ++i)
        wanted[p.to_shift + r * p.to_step + i] = x[p.from_shift + r * p.from_step + i];
    CHECK(gy.values() == wanted);
  }
}

TEST_CASE("permuting words of every size") {
  check_permutes<std::uint8_t>();
  check_permutes<std::uint16_t>();
  check_permutes<std::uint32_t>();
  check_permutes<std::uint64_t>();
}

TEST_CASE("picking by index, and its gradient") {
  check_picking<float>(1, 70, 5, 130);
  check_picking<float>(3, 5, 7, 1);
  check_picking<float>(2, 33, 11, 16);
  check_picking<bfloat16>(1, 70, 5, 130);
  check_picking<bfloat16>(2, 7, 13, 3);
  check_picking<bfloat16>(1, 1, 1, 1);
}

TEST_CASE("resizing, and its gradient") {
  check_resizes<float>();
  check_resizes<bfloat16>();
}

TEST_CASE("dropout masks are the CPU's") {
  for (const std::size_t n : {1, 4, 7, 1030})
    for (const std::size_t shift : {0, 1}) {
      check_dropout<float>(n, shift);
      check_dropout<bfloat16>(n, shift);
    }
}
