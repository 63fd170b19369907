// The bfloat16 weight gradient on tensor cores: every tile, split and unsplit, strides, padding, dilation, odd channels.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "../../include/sslcake/kernels/cuda/convolution_parts.hpp"
#include "../../include/sslcake/kernels/cuda/weight_grad_plan.cuh"
#include "device.hpp"

namespace {

using sslcake::bfloat16;
using sslcake::kernels::ConvShape;
namespace cuda = sslcake::kernels::cuda;

std::vector<double> reference(const ConvShape& s, const std::vector<float>& x, const std::vector<float>& dy) {
  std::vector<double> dw(static_cast<std::size_t>(s.o * s.taps() * s.c));
  const auto oh = s.oh(), ow = s.ow();
  for (std::int64_t n = 0; n < s.n; ++n)
    for (std::int64_t i = 0; i < oh; ++i)
      for (std::int64_t j = 0; j < ow; ++j)
        for (std::int64_t u = 0; u < s.kh; ++u)
          for (std::int64_t v = 0; v < s.kw; ++v) {
            const auto h = i * s.stride_h - s.pad_h + u * s.dilation_h, w = j * s.stride_w - s.pad_w + v * s.dilation_w;
            if (h < 0 || h >= s.h || w < 0 || w >= s.w) continue;
            const float* pixel = x.data() + ((n * s.h + h) * s.w + w) * s.c;
            const float* gradient = dy.data() + ((n * oh + i) * ow + j) * s.o;
            for (std::int64_t o = 0; o < s.o; ++o)
              for (std::int64_t c = 0; c < s.c; ++c)
                dw[static_cast<std::size_t>(((o * s.kh + u) * s.kw + v) * s.c + c)] +=
                    static_cast<double>(gradient[o]) * static_cast<double>(pixel[c]);
          }
  return dw;
}

/// kind < 0: as the library chooses. The pointers are `shift` numbers into their memory.
void check_weight_grad(const ConvShape& s, int kind = -1, std::int64_t splits = 0, std::size_t shift = 0) {
  CAPTURE(s.h);
  CAPTURE(s.w);
  CAPTURE(s.c);
  CAPTURE(s.o);
  CAPTURE(s.kh);
  CAPTURE(kind);
  CAPTURE(splits);
  const auto x = cuda_test::rounded(cuda_test::normal(static_cast<std::size_t>(s.n * s.h * s.w * s.c) + shift, 1, 0.3f));
  const auto dy = cuda_test::rounded(cuda_test::normal(static_cast<std::size_t>(s.n * s.oh() * s.ow() * s.o) + shift, 2, -0.1f));
  const auto on_x = cuda_test::on_gpu(x), on_dy = cuda_test::on_gpu(dy);
  const auto count = static_cast<std::size_t>(s.o * s.taps() * s.c);
  const cuda_test::OnGpu<float> dw(count + 8), again(count + 8);
  for (const auto& out : {dw, again}) {
    if (kind < 0) CHECK(cuda::conv_weight_grad_bfloat16(s, on_x.data() + shift, on_dy.data() + shift, out.data()));
    else
      cuda::conv_weight_grad_bfloat16(s, cuda::plan_weight_grad(s, kind, splits), on_x.data() + shift, on_dy.data() + shift,
                                      out.data());
  }
  auto got = dw.values();
  CHECK(std::memcmp(got.data(), again.values().data(), got.size() * sizeof(float)) == 0);
  for (std::size_t i = count; i < got.size(); ++i) CHECK(std::isnan(got[i]));
  got.resize(count);
  auto wide_x = cuda_test::widened(x), wide_dy = cuda_test::widened(dy);
  wide_x.erase(wide_x.begin(), wide_x.begin() + static_cast<std::ptrdiff_t>(shift));
  wide_dy.erase(wide_dy.begin(), wide_dy.begin() + static_cast<std::ptrdiff_t>(shift));
  CHECK(cuda_test::relative_error(got, reference(s, wide_x, wide_dy)) < 3e-6);  // of float32 sums alone: products are exact
}

ConvShape shape(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c, std::int64_t o, std::int64_t kernel,
                std::int64_t stride = 1, std::int64_t pad = 0, std::int64_t dilation = 1) {
  ConvShape s;
  s.n = n, s.h = h, s.w = w, s.c = c, s.o = o, s.kh = kernel, s.kw = kernel;
  s.stride_h = s.stride_w = stride, s.pad_h = s.pad_w = pad, s.dilation_h = s.dilation_w = dilation;
  return s;
}

}  // namespace

TEST_CASE("cuda: bfloat16 weight gradient, every tile") {
  for (int kind = 0; kind < cuda::weight_grad_kinds; ++kind) {
    CHECK(cuda::plan_weight_grad(shape(2, 9, 11, 40, 72, 3, 1, 1), kind).parts > 0);
    check_weight_grad(shape(2, 9, 11, 40, 72, 3, 1, 1), kind, 1);  // 7 tiles of pixels, 2 x 2 tiles of the result, no part full
    check_weight_grad(shape(2, 9, 11, 40, 72, 3, 1, 1), kind, 3);
    check_weight_grad(shape(1, 5, 7, 8, 264, 1), kind, 2);
  }
}
TEST_CASE("cuda: bfloat16 weight gradient, strides, padding, dilation") {
  check_weight_grad(shape(1, 1, 1, 8, 8, 1));
  check_weight_grad(shape(3, 7, 7, 64, 64, 3, 1, 1));
  check_weight_grad(shape(2, 11, 8, 16, 24, 3, 2, 1));
  check_weight_grad(shape(2, 9, 9, 64, 16, 1, 2));
  check_weight_grad(shape(2, 12, 13, 8, 16, 3, 1, 2, 2));
  check_weight_grad(shape(40, 2, 2, 8, 8, 3, 1, 1));  // eight pictures in a tile of pixels
  check_weight_grad(shape(3, 4, 50, 8, 8, 5, 3, 4));  // padding on every side of a line
  ConvShape s = shape(2, 6, 17, 24, 40, 1);
  s.kh = 2, s.kw = 5, s.stride_h = 3, s.stride_w = 2, s.pad_h = 1, s.pad_w = 3, s.dilation_h = 2, s.dilation_w = 1;
  check_weight_grad(s);
}
TEST_CASE("cuda: bfloat16 weight gradient, channels that are no multiple of 8, pointers anywhere") {
  check_weight_grad(shape(2, 17, 16, 3, 64, 7, 2, 3));
  check_weight_grad(shape(2, 8, 8, 3, 64, 3, 1, 1));
  check_weight_grad(shape(1, 6, 6, 13, 5, 3, 1, 1));
  check_weight_grad(shape(1, 6, 6, 1, 1, 2));
  check_weight_grad(shape(2, 9, 7, 4, 24, 2, 1, 1), 7, 1);  // 4 channels and an even number of taps: nothing is padded
  check_weight_grad(shape(2, 9, 7, 4, 24, 3, 1, 1), 7, 1);
  check_weight_grad(shape(2, 11, 12, 3, 16, 3, 2, 3, 2));  // neighbouring taps are two pixels apart
  check_weight_grad(shape(3, 6, 8, 2, 16, 1));
  for (int kind = 0; kind < cuda::weight_grad_kinds; ++kind) check_weight_grad(shape(2, 9, 8, 3, 72, 5, 1, 2), kind, 2);
  check_weight_grad(shape(1, 6, 6, 16, 10, 1));
  check_weight_grad(shape(1, 6, 6, 8, 8, 3, 1, 1), -1, 0, 1);
}
TEST_CASE("cuda: bfloat16 weight gradient, many parts of few results") {
  for (const std::int64_t parts : {7, 8, 23, 40}) check_weight_grad(shape(5, 16, 16, 8, 13, 1), 7, parts);
  check_weight_grad(shape(5, 16, 16, 3, 10, 3, 1, 1), 7, 40);
  check_weight_grad(shape(5, 16, 16, 24, 64, 3, 1, 1), 7, 16);
}
TEST_CASE("cuda: bfloat16 weight gradient, left to others") {
  auto grouped = shape(1, 6, 6, 16, 16, 3);
  grouped.groups = 2;
  float untouched = 7;
  CHECK(!cuda::conv_weight_grad_bfloat16(grouped, nullptr, nullptr, &untouched));
  CHECK(!cuda::conv_weight_grad_bfloat16(shape(0, 6, 6, 16, 16, 3), nullptr, nullptr, &untouched));
  CHECK(untouched == 7);
}
