// kernels/cuda/pool.cu against plain loops over windows in float64.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "../../include/sslcake/kernels/cuda/pool.hpp"
#include "device.hpp"

namespace {
using namespace cuda_test;
using sslcake::bfloat16;
using sslcake::DType;
namespace cuda = sslcake::kernels::cuda;

const cuda::Pool& table() { return kernels_of<cuda::Pool>(); }

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
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

template <class S>
void check_max(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c, std::int64_t kh, std::int64_t kw, std::int64_t sh,
               std::int64_t sw, std::int64_t ph, std::int64_t pw) {
  const cuda::PoolShape s{n, h, w, c, (h + 2 * ph - kh) / sh + 1, (w + 2 * pw - kw) / sw + 1, kh, kw, sh, sw, ph, pw};
  auto numbers = normal(at(n * h * w * c), 1);
  for (float& x : numbers) x = std::round(x * 4);  // many ties
  if (numbers.size() > 20) numbers[17] = numbers[18] = std::numeric_limits<float>::quiet_NaN();
  const auto x = as<S>(numbers), dy = as<S>(normal(at(n * s.oh * s.ow * c), 2));
  const auto gx = on_gpu(x), gdy = on_gpu(dy);
  OnGpu<S> gy(dy.size()), gdx(x.size());
  OnGpu<std::uint16_t> places(dy.size());
  table().max_pool2d(sslcake::dtype_of<S>, s, gx.data(), gy.data(), places.data());
  table().max_pool2d_gradient(sslcake::dtype_of<S>, s, gdy.data(), places.data(), gdx.data());
  const auto from = doubles(x), d = doubles(dy), y = doubles(gy.values());
  const auto stands = places.values();
  std::vector<double> dx(x.size());
  bool same = true;
  for (std::int64_t picture = 0; picture < n; ++picture)
    for (std::int64_t p = 0; p < s.oh; ++p)
      for (std::int64_t q = 0; q < s.ow; ++q)
        for (std::int64_t ch = 0; ch < c; ++ch) {
          std::int64_t place = -1;
          std::size_t source = 0;
          for (std::int64_t k = 0; k < kh * kw; ++k) {
            const std::int64_t row = p * sh - ph + k / kw, column = q * sw - pw + k % kw;
            if (row < 0 || row >= h || column < 0 || column >= w) continue;
            const auto here = at(((picture * h + row) * w + column) * c + ch);
            if (place < 0 || from[here] > from[source] || std::isnan(from[here])) place = k, source = here;
          }
          const auto to = at(((picture * s.oh + p) * s.ow + q) * c + ch);
          same = same && stands[to] == place && (y[to] == from[source] || (std::isnan(y[to]) && std::isnan(from[source])));
          dx[source] += d[to];
        }
  CHECK(same);
  CHECK(relative_error(doubles(gdx.values()), dx) < tolerance<S>);
  OnGpu<S> again(dy.size());
  table().max_pool2d(sslcake::dtype_of<S>, s, gx.data(), again.data(), nullptr);
  const auto first = gy.values(), second = again.values();
  CHECK(std::memcmp(first.data(), second.data(), first.size() * sizeof(S)) == 0);
}

struct Span {
  std::int64_t begin, end, extent;
};
std::vector<Span> spans(const cuda::PoolAxis& a) {
  std::vector<Span> out;
  for (std::int64_t i = 0; i < a.count; ++i) {
    if (a.kernel) {
      const std::int64_t begin = std::max<std::int64_t>(i * a.stride - a.padding, 0),
                         end = std::min(i * a.stride - a.padding + a.kernel, a.size);
      out.push_back({begin, end, a.counts_padding ? a.kernel : end - begin});
    } else {
      const auto size = static_cast<double>(a.size), count = static_cast<double>(a.count);
      const auto begin = static_cast<std::int64_t>(std::floor(static_cast<double>(i) * size / count)),
                 end = static_cast<std::int64_t>(std::ceil(static_cast<double>(i + 1) * size / count));
      out.push_back({begin, end, end - begin});
    }
  }
  return out;
}
template <class S>
void check_means(std::int64_t n, std::int64_t c, const cuda::PoolAxis& rows, const cuda::PoolAxis& columns) {
  const std::int64_t h = rows.size, w = columns.size, oh = rows.count, ow = columns.count;
  const auto x = as<S>(normal(at(n * h * w * c), 3, 1));
  const auto dy = normal(at(n * oh * ow * c), 4);
  const auto gx = on_gpu(x);
  const auto gdy = on_gpu(dy);
  OnGpu<float> gy(dy.size());
  OnGpu<S> gdx(x.size());
  table().box_means(sslcake::dtype_of<S>, n, c, rows, columns, gx.data(), gy.data());
  table().box_means_gradient(sslcake::dtype_of<S>, n, c, rows, columns, gdy.data(), gdx.data());
  const auto from = doubles(x), d = doubles(dy);
  std::vector<double> y(dy.size()), dx(x.size());
  const auto over_rows = spans(rows), over_columns = spans(columns);
  for (std::int64_t picture = 0; picture < n; ++picture)
    for (std::int64_t p = 0; p < oh; ++p)
      for (std::int64_t q = 0; q < ow; ++q)
        for (std::int64_t ch = 0; ch < c; ++ch) {
          const Span r = over_rows[at(p)], s = over_columns[at(q)];
          const auto to = at(((picture * oh + p) * ow + q) * c + ch);
          const double area = static_cast<double>(r.extent * s.extent);
          for (auto row = r.begin; row < r.end; ++row)
            for (auto column = s.begin; column < s.end; ++column) {
              const auto source = at(((picture * h + row) * w + column) * c + ch);
              y[to] += from[source] / area;
              dx[source] += d[to] / area;
            }
        }
  CAPTURE(h);
  CAPTURE(w);
  CAPTURE(oh);
  CAPTURE(c);
  CHECK(relative_error(gy.values(), y) < 2e-6);
  CHECK(relative_error(doubles(gdx.values()), dx) < tolerance<S>);
}
template <class S>
void check_all_means() {
  const auto adaptive = [](std::int64_t size, std::int64_t count) { return cuda::PoolAxis{size, count, 0, 1, 0, false}; };
  const auto sliding = [](std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t padding, bool counts) {
    return cuda::PoolAxis{size, (size + 2 * padding - kernel) / stride + 1, kernel, stride, padding, counts};
  };
  check_means<S>(3, 16, adaptive(7, 1), adaptive(7, 1));
  check_means<S>(2, 5, adaptive(4, 1), adaptive(3, 1));
  check_means<S>(1, 8, adaptive(33, 1), adaptive(37, 1));  // many pixels, few sums
  check_means<S>(1, 3, adaptive(1, 1), adaptive(1, 1));
  check_means<S>(2, 8, adaptive(7, 3), adaptive(5, 4));
  check_means<S>(2, 3, adaptive(3, 7), adaptive(2, 5));
  for (const bool counts : {false, true}) {
    check_means<S>(2, 8, sliding(8, 2, 2, 0, counts), sliding(6, 2, 2, 0, counts));
    check_means<S>(2, 7, sliding(9, 3, 2, 1, counts), sliding(11, 4, 3, 2, counts));
    check_means<S>(1, 16, sliding(10, 3, 1, 1, counts), sliding(7, 2, 3, 0, counts));
  }
}
template <class S>
void check_all_maxima() {
  check_max<S>(2, 9, 11, 8, 3, 3, 2, 2, 1, 1);
  check_max<S>(1, 8, 8, 16, 2, 2, 2, 2, 0, 0);
  check_max<S>(2, 7, 5, 3, 3, 2, 1, 2, 1, 0);
  check_max<S>(1, 10, 9, 5, 2, 3, 3, 4, 1, 1);  // strides that skip pixels
  check_max<S>(1, 1, 1, 1, 1, 1, 1, 1, 0, 0);
  check_max<S>(1, 5, 20, 8, 5, 20, 1, 1, 2, 10);
}
}  // namespace

TEST_CASE("maxima of windows") {
  check_all_maxima<float>();
  check_all_maxima<bfloat16>();
}
TEST_CASE("means of boxes") {
  check_all_means<float>();
  check_all_means<bfloat16>();
}
