// Forward pass, moments and input gradient of the convolution on tensor cores against sums in float64.
#include "../../include/sslcake/kernels/cuda/convolution.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "../../include/sslcake/kernels/cuda/convolution_parts.hpp"
#include "device.hpp"

namespace {
using namespace cuda_test;
using sslcake::bfloat16;
using sslcake::DType;
using sslcake::kernels::ConvShape;

std::size_t count_of(std::int64_t x) { return static_cast<std::size_t>(x); }

/// visit(input, output, weight indices) for every product of the convolution.
template <class Visit>
void for_products(const ConvShape& s, Visit&& visit) {
  for (std::int64_t n = 0; n < s.n; ++n)
    for (std::int64_t p = 0; p < s.oh(); ++p)
      for (std::int64_t q = 0; q < s.ow(); ++q)
        for (std::int64_t u = 0; u < s.kh; ++u)
          for (std::int64_t v = 0; v < s.kw; ++v) {
            const auto i = p * s.stride_h + u * s.dilation_h - s.pad_h, j = q * s.stride_w + v * s.dilation_w - s.pad_w;
            if (i < 0 || i >= s.h || j < 0 || j >= s.w) continue;
            const auto in = ((n * s.h + i) * s.w + j) * s.c, out = ((n * s.oh() + p) * s.ow() + q) * s.o;
            for (std::int64_t o = 0; o < s.o; ++o)
              for (std::int64_t c = 0; c < s.c; ++c)
                visit(count_of(in + c), count_of(out + o), count_of(((o * s.kh + u) * s.kw + v) * s.c + c));
          }
}

struct Case {
  ConvShape s;
  std::vector<bfloat16> x, dy;
  std::vector<float> w, bias;
  explicit Case(const ConvShape& shape, unsigned seed = 1) : s(shape) {
    x = rounded(normal(count_of(s.n * s.h * s.w * s.c), seed));
    dy = rounded(normal(count_of(s.n * s.oh() * s.ow() * s.o), seed + 1));
    w = widened(rounded(normal(count_of(s.o * s.kh * s.kw * s.c), seed + 2)));
    bias = normal(count_of(s.o), seed + 3);
  }
};

const sslcake::kernels::cuda::Convolution& table() { return cuda_test::kernels_of<sslcake::kernels::cuda::Convolution>(); }

struct Tile {  // forced while it lives
  explicit Tile(int index) { sslcake::kernels::cuda::forced_convolution_tile() = index; }
  ~Tile() { sslcake::kernels::cuda::forced_convolution_tile() = -1; }
};

void check_forward(const ConvShape& s, bool with_bias, std::size_t misaligned = 0) {
  const Case c(s);
  std::vector<double> wanted(c.dy.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = with_bias ? static_cast<double>(c.bias[i % c.bias.size()]) : 0.0;
  for_products(s, [&](std::size_t in, std::size_t out, std::size_t w) {
    wanted[out] += static_cast<double>(static_cast<float>(c.x[in])) * static_cast<double>(c.w[w]);
  });
  auto moved = c.x;
  moved.insert(moved.begin(), misaligned, bfloat16(0.0f));
  const auto x = on_gpu(moved);
  const auto w = on_gpu(c.w), bias = on_gpu(c.bias);
  const OnGpu<bfloat16> y(c.dy.size() + misaligned);
  table().forward(DType::bfloat16, s, x.data() + misaligned, w.data(), with_bias ? bias.data() : nullptr, y.data() + misaligned);
  auto got = widened(y.values());
  got.erase(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(misaligned));
  CHECK(relative_error(got, wanted) < 4e-3);
}

void check_input_grad(const ConvShape& s) {
  const Case c(s, 11);
  std::vector<double> wanted(c.x.size());
  for_products(s, [&](std::size_t in, std::size_t out, std::size_t w) {
    wanted[in] += static_cast<double>(static_cast<float>(c.dy[out])) * static_cast<double>(c.w[w]);
  });
  const auto dy = on_gpu(c.dy);
  const auto w = on_gpu(c.w);
  const OnGpu<bfloat16> dx(c.x.size());
  table().input_grad(DType::bfloat16, s, dy.data(), w.data(), dx.data());
  CHECK(relative_error(widened(dx.values()), wanted) < 4e-3);
}

ConvShape shape(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c, std::int64_t o, std::int64_t kernel,
                std::int64_t stride, std::int64_t pad, std::int64_t dilation = 1) {
  return {n, h, w, c, o, kernel, kernel, stride, stride, pad, pad, dilation, dilation, 1};
}

std::vector<ConvShape> shapes() {
  std::vector<ConvShape> all = {
      shape(1, 1, 1, 8, 8, 1, 1, 0),     shape(2, 5, 7, 16, 24, 3, 1, 1), shape(1, 9, 8, 72, 65, 3, 2, 1),
      shape(2, 6, 6, 64, 40, 1, 1, 0),   shape(2, 7, 6, 24, 16, 1, 2, 0), shape(3, 8, 9, 3, 17, 3, 1, 1),
      shape(1, 19, 21, 3, 64, 7, 2, 3),  shape(1, 6, 5, 13, 9, 3, 1, 1),  shape(1, 11, 10, 8, 8, 3, 1, 2, 2),
      shape(1, 9, 9, 8, 16, 3, 2, 2, 2), shape(1, 9, 10, 40, 8, 2, 3, 0), shape(1, 16, 16, 1, 5, 4, 4, 0),
      shape(1, 7, 7, 100, 8, 3, 3, 2, 2)};
  all.push_back({2, 6, 9, 8, 12, 3, 2, 1, 2, 0, 1, 2, 1, 1});
  all.push_back({1, 4, 3, 16, 8, 1, 3, 3, 5, 1, 2, 1, 1, 1});
  return all;
}

TEST_CASE("cuda convolution: forward") {
  bool biased = false;
  for (const auto& s : shapes()) {
    CAPTURE(s.h);
    CAPTURE(s.c);
    CAPTURE(s.o);
    CAPTURE(s.kh);
    CAPTURE(s.stride_h);
    check_forward(s, biased = !biased);
  }
}

TEST_CASE("cuda convolution: forward from and to addresses that are not aligned") {
  check_forward(shape(1, 4, 5, 16, 16, 3, 1, 1), true, 3);
  check_forward(shape(1, 4, 5, 16, 9, 1, 1, 0), false, 1);
}

TEST_CASE("cuda convolution: input gradient") {
  for (const auto& s : shapes()) {
    CAPTURE(s.h);
    CAPTURE(s.c);
    CAPTURE(s.o);
    CAPTURE(s.kh);
    CAPTURE(s.stride_h);
    check_input_grad(s);
  }
}

TEST_CASE("cuda convolution: every tile") {
  for (int tile = 0; tile < sslcake::kernels::cuda::convolution_tiles; ++tile) {
    CAPTURE(tile);
    const Tile forced(tile);
    check_forward(shape(1, 17, 16, 24, 72, 3, 1, 1), true);       // 272 rows: more than one tile of them all
    check_input_grad(shape(1, 9, 9, 264, 16, 3, 2, 1));           // 264 columns
  }
}

void check_moments(const ConvShape& s) {
  Case c(s, 5);
  for (auto& v : c.x) v = bfloat16(static_cast<float>(v) * 0.1f + 3);  // means far from 0
  const auto x = on_gpu(c.x);
  const auto w = on_gpu(c.w);
  const OnGpu<bfloat16> y(c.dy.size()), again(c.dy.size());
  const OnGpu<float> mean(count_of(s.o)), variance(count_of(s.o));
  REQUIRE(table().forward_moments(DType::bfloat16, s, x.data(), w.data(), y.data(), mean.data(), variance.data()));
  table().forward(DType::bfloat16, s, x.data(), w.data(), nullptr, again.data());
  const auto values = widened(y.values());
  CHECK(values == widened(again.values()));
  std::vector<double> means(count_of(s.o)), variances(count_of(s.o));
  const auto rows = values.size() / means.size();
  for (std::size_t i = 0; i < values.size(); ++i)
    means[i % means.size()] += static_cast<double>(values[i]) / static_cast<double>(rows);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double d = static_cast<double>(values[i]) - means[i % means.size()];
    variances[i % means.size()] += d * d / static_cast<double>(rows);
  }
  CHECK(relative_error(mean.values(), means) < 1e-6);
  CHECK(relative_error(variance.values(), variances) < 1e-5);
}

TEST_CASE("cuda convolution: moments of the result") {
  for (int tile = 0; tile < sslcake::kernels::cuda::convolution_tiles; ++tile)
    for (const auto& s : {shape(1, 17, 19, 8, 67, 1, 1, 0), shape(1, 16, 8, 3, 8, 3, 1, 1), shape(1, 1, 3, 8, 2, 1, 1, 0)}) {
      CAPTURE(tile);
      CAPTURE(s.o);
      const Tile forced(tile);
      check_moments(s);
    }
}

// Pictures smaller than a tile, of several tiles, with rests of a line and a column. The model has so few multiprocessors that a
// block walks over several tiles.
TEST_CASE("cuda convolution: 3x3 taps with the pixels and the weights in shared memory") {
  const Tile forced(sslcake::kernels::cuda::convolution_tiles);
  for (const auto& s : {shape(1, 1, 1, 64, 64, 3, 1, 1), shape(2, 16, 32, 64, 128, 3, 1, 1), shape(3, 17, 33, 64, 64, 3, 1, 1),
                        shape(2, 5, 7, 64, 192, 3, 1, 1), shape(1, 8, 65, 61, 64, 3, 1, 1)}) {
    CAPTURE(s.h);
    CAPTURE(s.c);
    CAPTURE(s.o);
    check_forward(s, s.n != 2);
    check_moments(s);
  }
  check_forward(shape(1, 6, 5, 64, 64, 3, 1, 1), true, 3);
  check_forward(shape(1, 6, 5, 64, 72, 3, 1, 1), true);     // not its own: columns
  check_forward(shape(1, 6, 5, 64, 64, 3, 1, 2), true);     // padding
  check_forward(shape(1, 7, 6, 64, 64, 3, 1, 2, 2), true);  // dilation
  check_forward(shape(1, 6, 5, 128, 64, 3, 1, 1), true);    // channels
  check_input_grad(shape(2, 17, 34, 64, 64, 3, 1, 1));
  check_input_grad(shape(1, 9, 31, 128, 64, 3, 1, 1));
  check_input_grad(shape(1, 3, 2, 192, 57, 3, 1, 1));
  check_input_grad(shape(1, 6, 5, 64, 64, 3, 2, 1));
}

TEST_CASE("cuda convolution: 3x3 taps with the pixels in shared memory and the weights passing through") {
  const Tile forced(sslcake::kernels::cuda::convolution_tiles + 1);
  for (const auto& s : {shape(1, 1, 1, 64, 128, 3, 1, 1), shape(18, 4, 4, 128, 128, 3, 1, 1), shape(3, 2, 3, 192, 128, 3, 1, 1),
                        shape(5, 8, 8, 64, 256, 3, 1, 1), shape(6, 7, 5, 128, 128, 3, 1, 1), shape(2, 16, 16, 128, 128, 3, 1, 1),
                        shape(2, 17, 33, 64, 128, 3, 1, 1), shape(1, 3, 20, 125, 128, 3, 1, 1)}) {
    CAPTURE(s.h);
    CAPTURE(s.c);
    CAPTURE(s.o);
    check_forward(s, s.n != 2);
    check_moments(s);
  }
  check_input_grad(shape(17, 4, 3, 128, 64, 3, 1, 1));
  check_input_grad(shape(2, 8, 7, 256, 128, 3, 1, 1));
  check_input_grad(shape(1, 16, 19, 128, 64, 3, 1, 1));
}

}  // namespace
