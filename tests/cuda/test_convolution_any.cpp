// kernels/cuda/convolution_any.cu against the definition of a convolution in float64.
#include <doctest/doctest.h>

#include "../../include/sslcake/kernels/cuda/convolution_parts.hpp"
#include "device.hpp"

namespace {

using sslcake::bfloat16;
using sslcake::DType;
using sslcake::kernels::ConvShape;
namespace cuda = sslcake::kernels::cuda;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Calls body(index in x, in w, in y) for every product of a convolution.
template <class Body>
void for_each_product(const ConvShape& s, Body&& body) {
  for (std::int64_t n = 0; n < s.n; ++n)
    for (std::int64_t y = 0; y < s.oh(); ++y)
      for (std::int64_t x = 0; x < s.ow(); ++x)
        for (std::int64_t o = 0; o < s.o; ++o)
          for (std::int64_t i = 0; i < s.kh; ++i)
            for (std::int64_t j = 0; j < s.kw; ++j) {
              const std::int64_t h = y * s.stride_h - s.pad_h + i * s.dilation_h, w = x * s.stride_w - s.pad_w + j * s.dilation_w;
              if (h < 0 || h >= s.h || w < 0 || w >= s.w) continue;
              for (std::int64_t c = 0; c < s.group_c(); ++c)
                body(at(((n * s.h + h) * s.w + w) * s.c + o / s.group_o() * s.group_c() + c),
                     at(((o * s.kh + i) * s.kw + j) * s.group_c() + c), at(((n * s.oh() + y) * s.ow() + x) * s.o + o));
            }
}

template <class T>
std::vector<T> pictures(std::size_t count, unsigned seed) {
  if constexpr (sizeof(T) == 2) return cuda_test::rounded(cuda_test::normal(count, seed));
  else return cuda_test::normal(count, seed);
}
template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

template <class T>
void expect_maps(const ConvShape& s) {
  INFO("x (", s.n, ",", s.h, ",", s.w, ",", s.c, "), o ", s.o, ", kernel ", s.kh, "x", s.kw, ", stride ", s.stride_h, "x",
       s.stride_w, ", padding ", s.pad_h, "x", s.pad_w, ", dilation ", s.dilation_h, "x", s.dilation_w, ", groups ", s.groups,
       ", ", 8 * sizeof(T), " bits");
  const DType type = sizeof(T) == 2 ? DType::bfloat16 : DType::float32;
  const std::size_t size_x = at(s.n * s.h * s.w * s.c), size_w = at(s.o * s.taps() * s.group_c());
  const std::size_t size_y = at(s.n * s.oh() * s.ow() * s.o);
  const auto x = pictures<T>(size_x, 1), dy = pictures<T>(size_y, 2);
  const auto w = cuda_test::normal(size_w, 3), bias = cuda_test::normal(at(s.o), 4);
  const auto number = [](T v) { return static_cast<double>(static_cast<float>(v)); };
  std::vector<double> y(size_y), dx(size_x), dw(size_w);
  for (std::size_t i = 0; i < size_y; ++i) y[i] = static_cast<double>(bias[i % at(s.o)]);
  for_each_product(s, [&](std::size_t ix, std::size_t iw, std::size_t iy) {
    y[iy] += number(x[ix]) * static_cast<double>(w[iw]);
    dx[ix] += number(dy[iy]) * static_cast<double>(w[iw]);
    dw[iw] += number(dy[iy]) * number(x[ix]);
  });

  const auto gx = cuda_test::on_gpu(x), gdy = cuda_test::on_gpu(dy);
  const auto gw = cuda_test::on_gpu(w), gbias = cuda_test::on_gpu(bias);
  const auto run = [&](std::vector<T>& to_y, std::vector<T>& to_dx, std::vector<float>& to_dw) {
    const cuda_test::OnGpu<T> gy(size_y), gdx(size_x);
    const cuda_test::OnGpu<float> gdw(size_w);
    cuda::conv_forward_any(type, s, gx.data(), gw.data(), gbias.data(), gy.data());
    cuda::conv_input_grad_any(type, s, gdy.data(), gw.data(), gdx.data());
    cuda::conv_weight_grad_any(type, s, gx.data(), gdy.data(), gdw.data());
    to_y = gy.values(), to_dx = gdx.values(), to_dw = gdw.values();
  };
  std::vector<T> got_y, got_dx, again_y, again_dx;
  std::vector<float> got_dw, again_dw;
  run(got_y, got_dx, got_dw);
  const auto widen = [&](const std::vector<T>& v) {
    std::vector<double> out;
    for (const T t : v) out.push_back(number(t));
    return out;
  };
  const double rounding = sizeof(T) == 2 ? 3e-3 : 1e-6;
  CHECK(cuda_test::relative_error(widen(got_y), y) < rounding);
  CHECK(cuda_test::relative_error(widen(got_dx), dx) < rounding);
  CHECK(cuda_test::relative_error(got_dw, dw) < 1e-6);
  run(again_y, again_dx, again_dw);
  CHECK(same(got_y, again_y));
  CHECK(same(got_dx, again_dx));
  CHECK(same(got_dw, again_dw));
}

void expect_both(const ConvShape& s) {
  expect_maps<float>(s);
  expect_maps<bfloat16>(s);
}

}  // namespace

TEST_CASE("cuda convolution of any shape: one group") {
  expect_both({.n = 2, .h = 5, .w = 6, .c = 8, .o = 12, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  expect_both({.n = 2, .h = 7, .w = 5, .c = 3, .o = 5, .kh = 3, .kw = 2, .pad_h = 1, .pad_w = 2});
  expect_both({.n = 1, .h = 4, .w = 4, .c = 20, .o = 24});
  expect_both({.n = 3, .h = 3, .w = 1, .c = 5, .o = 1, .kh = 3, .kw = 1});
  expect_both({.n = 1, .h = 9, .w = 8, .c = 68, .o = 72, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  expect_both({.n = 2, .h = 10, .w = 10, .c = 16, .o = 130, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});  // large tiles
}

TEST_CASE("cuda convolution of any shape: strides and dilations") {
  expect_both({.n = 2, .h = 9, .w = 8, .c = 8, .o = 8, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1});
  expect_both({.n = 2, .h = 8, .w = 11, .c = 4, .o = 7, .kh = 1, .kw = 1, .stride_h = 2, .stride_w = 3});
  expect_both({.n = 1, .h = 16, .w = 13, .c = 3, .o = 8, .kh = 7, .kw = 7, .stride_h = 2, .stride_w = 2, .pad_h = 3, .pad_w = 3});
  expect_both({.n = 1, .h = 8, .w = 8, .c = 3, .o = 6, .kh = 4, .kw = 4, .stride_h = 4, .stride_w = 4});
  expect_both({.n = 1, .h = 12, .w = 14, .c = 4, .o = 4, .kh = 3, .kw = 3,
               .stride_h = 2, .stride_w = 3, .pad_h = 2, .pad_w = 3, .dilation_h = 2, .dilation_w = 2});
  expect_both({.n = 1, .h = 13, .w = 9, .c = 6, .o = 4, .kh = 4, .kw = 2,
               .stride_h = 6, .stride_w = 1, .pad_h = 5, .pad_w = 7, .dilation_h = 4, .dilation_w = 3});
}

TEST_CASE("cuda convolution of any shape: groups") {
  expect_both({.n = 2, .h = 6, .w = 5, .c = 8, .o = 8, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 8});
  expect_both({.n = 2, .h = 7, .w = 7, .c = 6, .o = 9, .kh = 3, .kw = 2,
               .stride_h = 2, .stride_w = 1, .pad_h = 1, .dilation_w = 2, .groups = 3});
  expect_both({.n = 1, .h = 6, .w = 9, .c = 4, .o = 8, .kh = 3, .kw = 3,
               .stride_h = 3, .stride_w = 2, .pad_h = 4, .pad_w = 1, .dilation_h = 2, .groups = 2});
}

TEST_CASE("cuda convolution of any shape: the weight's gradient is split over many pixels") {
  expect_maps<float>({.n = 3, .h = 20, .w = 21, .c = 3, .o = 5, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  expect_maps<float>({.n = 6, .h = 11, .w = 10, .c = 4, .o = 4, .kh = 1, .kw = 3, .groups = 2});
}

TEST_CASE("cuda convolution of any shape: what is empty writes zeros or nothing") {
  expect_both({.n = 0, .h = 6, .w = 5, .c = 8, .o = 8, .kh = 3, .kw = 3});
  expect_both({.n = 2, .h = 6, .w = 5, .c = 4, .o = 0, .kh = 3, .kw = 3});
  expect_both({.n = 2, .h = 6, .w = 5, .c = 0, .o = 3, .kh = 3, .kw = 3});
  expect_both({.n = 2, .h = 2, .w = 2, .c = 4, .o = 3, .kh = 3, .kw = 3});  // the kernel does not fit
  expect_both({.n = 2, .h = 2, .w = 2, .c = 4, .o = 4, .kh = 3, .kw = 3, .groups = 2});
  expect_both({.n = 0, .h = 2, .w = 2, .c = 4, .o = 4, .groups = 2});
}
