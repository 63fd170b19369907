#include <doctest/doctest.h>

#include <sslcake/core/error.hpp>
#include <sslcake/kernels/conv2d.hpp>

#include <cmath>
#include <string>

#include "variants.hpp"

namespace {

using test::between;
using test::ConvShape;

std::int64_t input_size(const ConvShape& s) { return s.n * s.h * s.w * s.c; }
std::int64_t weight_size(const ConvShape& s) { return s.o * s.taps() * s.group_c(); }
std::int64_t output_size(const ConvShape& s) { return s.n * s.oh() * s.ow() * s.o; }

/// Calls visit(index into y, index into x, index into w) for every product that convolution consists of.
template <class Visit>
void for_each_product(const ConvShape& s, Visit visit) {
  for (std::int64_t n = 0; n < s.n; ++n)
    for (std::int64_t p = 0; p < s.oh(); ++p)
      for (std::int64_t q = 0; q < s.ow(); ++q)
        for (std::int64_t u = 0; u < s.kh; ++u)
          for (std::int64_t v = 0; v < s.kw; ++v) {
            const std::int64_t i = p * s.stride_h - s.pad_h + u * s.dilation_h;
            const std::int64_t j = q * s.stride_w - s.pad_w + v * s.dilation_w;
            if (i < 0 || i >= s.h || j < 0 || j >= s.w) continue;
            for (std::int64_t o = 0; o < s.o; ++o)
              for (std::int64_t c = 0; c < s.group_c(); ++c)
                visit(static_cast<std::size_t>(((n * s.oh() + p) * s.ow() + q) * s.o + o),
                      static_cast<std::size_t>(((n * s.h + i) * s.w + j) * s.c + o / s.group_o() * s.group_c() + c),
                      static_cast<std::size_t>(((o * s.kh + u) * s.kw + v) * s.group_c() + c));
          }
}

/// The three results, in double precision or as a kernel gives them.
template <class T>
struct Results {
  std::vector<T> y, dx, dw;
  std::vector<double> sum = {}, sum_sq = {};  // filled by kernels only
  bool operator==(const Results&) const = default;
};

struct Operands {
  std::vector<float> x, w, dy;  // one float longer than needed in front, so that nothing is aligned
};

Operands fill(sslcake::Random& random, const ConvShape& s, bool integers) {
  const auto values = integers ? test::integers : test::reals;
  return {values(random, 1 + input_size(s)), values(random, 1 + weight_size(s)), values(random, 1 + output_size(s))};
}

Results<double> zeros(const ConvShape& s) {
  return {std::vector<double>(static_cast<std::size_t>(output_size(s))),
          std::vector<double>(static_cast<std::size_t>(input_size(s))),
          std::vector<double>(static_cast<std::size_t>(weight_size(s)))};
}

/// The definition in float64; `size` receives the sums of the absolute values, which scale rounding.
Results<double> direct(const ConvShape& s, const Operands& in, Results<double>& size) {
  Results<double> out = zeros(s);
  size = zeros(s);
  for_each_product(s, [&](std::size_t y, std::size_t x, std::size_t w) {
    const double xv = in.x[1 + x], wv = in.w[1 + w], dyv = in.dy[1 + y];
    out.y[y] += xv * wv, out.dx[x] += dyv * wv, out.dw[w] += dyv * xv;
    size.y[y] += std::abs(xv * wv), size.dx[x] += std::abs(dyv * wv), size.dw[w] += std::abs(dyv * xv);
  });
  return out;
}

/// Results lie between two sentinels, and start as not-a-number: every element must be written, none beyond.
std::vector<float> guarded(std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count) + 2, std::nanf(""));
  values.front() = values.back() = 12345.0f;
  return values;
}
std::vector<float> unguarded(const std::vector<float>& values) {
  CHECK(values.front() == 12345.0f);
  CHECK(values.back() == 12345.0f);
  return {values.begin() + 1, values.end() - 1};
}

Results<float> run(const test::Variant& kernels, const ConvShape& s, const Operands& in) {
  auto sums_y = guarded(output_size(s));
  std::vector<double> sum(static_cast<std::size_t>(s.o)), squares = sum;
  kernels.conv2d_forward_sums(s, in.x.data() + 1, in.w.data() + 1, sums_y.data() + 1, nullptr, sum.data(), squares.data());
  auto y = guarded(output_size(s)), dx = guarded(input_size(s)), dw = guarded(weight_size(s));
  kernels.conv2d_forward(s, in.x.data() + 1, in.w.data() + 1, y.data() + 1);
  kernels.conv2d_input_grad(s, in.dy.data() + 1, in.w.data() + 1, dx.data() + 1);
  kernels.conv2d_weight_grad(s, in.x.data() + 1, in.dy.data() + 1, dw.data() + 1);
  CHECK(unguarded(y) == unguarded(sums_y));
  return {unguarded(y), unguarded(dx), unguarded(dw), sum, squares};
}

double excess(const std::vector<float>& got, const std::vector<double>& wanted, const std::vector<double>& size) {
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double over = std::abs(got[i] - wanted[i]) - 4e-7 * size[i];
    worst = test::worse(worst, over);
  }
  return worst;
}

void check(sslcake::Random& random, const ConvShape& s) {
  const std::string shape = sslcake::concat("n ", s.n, " h ", s.h, " w ", s.w, " c ", s.c, " o ", s.o, " kernel ", s.kh, 'x',
                                            s.kw) +
                            sslcake::concat(" stride ", s.stride_h, ',', s.stride_w, " pad ", s.pad_h, ',', s.pad_w, " dilation ",
                                            s.dilation_h, ',', s.dilation_w, " groups ", s.groups);
  CAPTURE(shape);
  const Operands whole = fill(random, s, true), real = fill(random, s, false);
  Results<double> size;
  const Results<double> exact = direct(s, whole, size), close = direct(s, real, size);
  for (const auto& variant : test::variants()) {
    CAPTURE(variant.name);
    const Results<float> bits = run(*variant.kernels, s, whole);
    CHECK(test::widen(bits.y) == exact.y);
    CHECK(test::widen(bits.dx) == exact.dx);
    CHECK(test::widen(bits.dw) == exact.dw);
    const Results<float> got = run(*variant.kernels, s, real);
    CHECK(excess(got.y, close.y, size.y) == 0);
    CHECK(excess(got.dx, close.dx, size.dx) == 0);
    CHECK(excess(got.dw, close.dw, size.dw) == 0);
  }
}

}  // namespace

TEST_CASE("conv2d: random shapes, all three directions, every variant against float64") {
  sslcake::Random random(1, sslcake::Purpose::test);
  for (int i = 0; i < 150; ++i) {
    ConvShape s{.n = between(random, 1, 3), .h = between(random, 1, 10), .w = between(random, 1, 10), .c = between(random, 1, 9),
                .o = between(random, 1, 9), .kh = between(random, 1, 4), .kw = between(random, 1, 4)};
    s.stride_h = between(random, 1, 3), s.stride_w = between(random, 1, 3);
    s.pad_h = between(random, 0, 3), s.pad_w = between(random, 0, 3);
    s.dilation_h = between(random, 1, 2), s.dilation_w = between(random, 1, 2);
    if (random.chance(0.3f)) s.groups = between(random, 2, 4), s.c *= s.groups, s.o *= s.groups;
    check(random, s);
  }
}

TEST_CASE("conv2d: channel counts around the vector widths") {
  sslcake::Random random(2, sslcake::Purpose::test);
  for (std::int64_t channels : {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 64, 65}) {
    check(random, {.n = 2, .h = 4, .w = 3, .c = channels, .o = 5, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
    check(random, {.n = 2, .h = 4, .w = 3, .c = 5, .o = channels, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  }
}

TEST_CASE("conv2d: the kernels that networks have") {
  sslcake::Random random(3, sslcake::Purpose::test);
  // 1x1, also strided; 3x3 with stride 1, 2 and 3; 5x5; the 7x7 stem; dilation; a kernel larger than the picture.
  check(random, {.n = 3, .h = 5, .w = 6, .c = 20, .o = 24});
  check(random, {.n = 2, .h = 7, .w = 8, .c = 18, .o = 20, .stride_h = 2, .stride_w = 2});
  for (std::int64_t stride : {1, 2, 3})
    for (std::int64_t size : {7, 8})
      check(random, {.n = 2, .h = size, .w = size, .c = 10, .o = 17, .kh = 3, .kw = 3, .stride_h = stride,
                 .stride_w = stride,
                     .pad_h = 1, .pad_w = 1});
  check(random, {.n = 1, .h = 9, .w = 8, .c = 6, .o = 8, .kh = 5, .kw = 5, .pad_h = 2, .pad_w = 2});
  check(random, {.n = 2, .h = 17, .w = 16, .c = 3, .o = 20, .kh = 7, .kw = 7, .stride_h = 2, .stride_w = 2,
                 .pad_h = 3, .pad_w = 3});
  check(random, {.n = 1, .h = 12, .w = 11, .c = 5, .o = 6, .kh = 3, .kw = 3, .pad_h = 4, .pad_w = 4,
                 .dilation_h = 4, .dilation_w = 4});
  check(random, {.n = 2, .h = 2, .w = 2, .c = 4, .o = 4, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  check(random, {.n = 2, .h = 1, .w = 1, .c = 7, .o = 4, .kh = 3, .kw = 3, .pad_h = 5, .pad_w = 5});
}

TEST_CASE("conv2d: enough images to be taken position by position, in whole blocks and with a rest") {
  sslcake::Random random(4, sslcake::Purpose::test);
  for (std::int64_t n : {6, 8, 13, 24, 31})
    for (std::int64_t size : {1, 2, 4})
      check(random, {.n = n, .h = size, .w = size, .c = 6, .o = 9, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  check(random, {.n = 14, .h = 6, .w = 5, .c = 8, .o = 8, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2,
                 .pad_h = 1, .pad_w = 1});
}

TEST_CASE("conv2d: groups and depthwise") {
  sslcake::Random random(5, sslcake::Purpose::test);
  for (std::int64_t channels : {1, 5, 8, 19, 32, 40})
    for (std::int64_t stride : {1, 2})
      check(random, {.n = 2, .h = 6, .w = 5, .c = channels, .o = channels, .kh = 3, .kw = 3, .stride_h = stride,
                     .stride_w = stride, .pad_h = 1, .pad_w = 1, .groups = channels});
  check(random, {.n = 2, .h = 5, .w = 6, .c = 6, .o = 18, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1,
                 .groups = 6});  // multiplier
  check(random, {.n = 2, .h = 5, .w = 6, .c = 40, .o = 60, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 2});
  check(random, {.n = 7, .h = 5, .w = 6, .c = 32, .o = 32, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 8});
}

TEST_CASE("conv2d: several blocks of channels, pixels and images") {
  sslcake::Random random(6, sslcake::Purpose::test);
  check(random, {.n = 1, .h = 3, .w = 4, .c = 600, .o = 40, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  check(random, {.n = 1, .h = 4, .w = 4, .c = 40, .o = 300, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2,
                 .pad_h = 1, .pad_w = 1});
  check(random, {.n = 2, .h = 40, .w = 45, .c = 4, .o = 8, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  check(random, {.n = 1, .h = 3, .w = 400, .c = 3, .o = 4, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
}

TEST_CASE("conv2d: the same bits with one, two and three threads") {
  sslcake::Random random(7, sslcake::Purpose::test);
  const ConvShape shapes[] = {
      {.n = 13, .h = 16, .w = 16, .c = 16, .o = 24, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},
      {.n = 9, .h = 8, .w = 8, .c = 48, .o = 96, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1},
      {.n = 4, .h = 24, .w = 20, .c = 3, .o = 16, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},
      {.n = 4, .h = 12, .w = 20, .c = 32, .o = 32, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 32},
      {.n = 2, .h = 2, .w = 2, .c = 160, .o = 192, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},
  };
  for (const ConvShape& s : shapes) {
    const Operands in = fill(random, s, false);
    for (const auto& variant : test::variants()) {
      CAPTURE(variant.name);
      Results<float> one;
      {
        const test::Threads threads(1);
        one = run(*variant.kernels, s, in);
      }
      for (int n : {2, 3}) {
        const test::Threads threads(n);
        CHECK(run(*variant.kernels, s, in) == one);
      }
    }
  }
}

TEST_CASE("conv2d: sums of the result per channel") {
  sslcake::Random random(9, sslcake::Purpose::test);
  const ConvShape shapes[] = {
      {.n = 13, .h = 9, .w = 8, .c = 16, .o = 40, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},  // whole panels and a rest
      {.n = 2, .h = 12, .w = 9, .c = 3, .o = 21, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1},
      {.n = 3, .h = 7, .w = 5, .c = 20, .o = 24},
      {.n = 7, .h = 6, .w = 6, .c = 24, .o = 24, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 24},
      {.n = 7, .h = 6, .w = 6, .c = 12, .o = 18, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 3},
      {.n = 0, .h = 6, .w = 6, .c = 4, .o = 5, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},
  };
  for (const ConvShape& s : shapes)
    for (const bool centered : {false, true}) {
      const Operands in = fill(random, s, true);
      const auto center = test::integers(random, s.o);
      Results<double> size;
      const Results<double> exact = direct(s, in, size);
      std::vector<double> sum(static_cast<std::size_t>(s.o)), squares = sum;
      for (std::size_t i = 0; i < exact.y.size(); ++i) {
        const std::size_t o = i % static_cast<std::size_t>(s.o);
        const double d = exact.y[i] - (centered ? center[o] : 0.0f);
        sum[o] += d, squares[o] += d * d;
      }
      for (const auto& variant : test::variants()) {
        CAPTURE(variant.name);
        auto y = guarded(output_size(s));
        std::vector<double> got(sum.size(), -1.0), got_squares = got;
        variant.kernels->conv2d_forward_sums(s, in.x.data() + 1, in.w.data() + 1, y.data() + 1,
                                             centered ? center.data() : nullptr, got.data(), got_squares.data());
        CHECK(test::widen(unguarded(y)) == exact.y);
        CHECK(got == sum);
        for (std::size_t o = 0; o < sum.size(); ++o)  // squares of integers may leave float32's exact range
          CHECK(std::abs(got_squares[o] - squares[o]) <= 1e-6 * squares[o]);
      }
    }
}

TEST_CASE("conv2d: empty extents") {
  sslcake::Random random(8, sslcake::Purpose::test);
  const ConvShape some{.n = 2, .h = 4, .w = 4, .c = 3, .o = 5, .kh = 3, .kw = 3};
  ConvShape s = some;
  s.n = 0, check(random, s);
  s = some, s.c = 0, check(random, s);  // sums of nothing: y is zero
  s = some, s.o = 0, check(random, s);  // dx is zero
  s = some, s.h = 0, check(random, s);
  s = some, s.h = 2, check(random, s);  // the kernel does not fit: no output, gradients are zero
  CHECK(s.oh() == 0);
}

TEST_CASE("conv2d: an infinite pixel reaches only the outputs that see it") {
  // Padding is skipped or multiplied by zero, and neither may touch what lies beyond the picture.
  const ConvShape s{.n = 7, .h = 4, .w = 4, .c = 3, .o = 4, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1};
  std::vector<float> x(static_cast<std::size_t>(input_size(s)), 1.0f), w(static_cast<std::size_t>(weight_size(s)), 1.0f);
  x[0] = HUGE_VALF;
  for (const auto& variant : test::variants()) {
    CAPTURE(variant.name);
    std::vector<float> y(static_cast<std::size_t>(output_size(s)));
    variant.kernels->conv2d_forward(s, x.data(), w.data(), y.data());
    int infinite = 0, wrong = 0;
    for (const float v : y) infinite += std::isinf(v), wrong += std::isnan(v);
    CHECK(infinite == 4 * 4);  // 2 x 2 positions, 4 channels
    CHECK(wrong == 0);
  }
}

TEST_CASE("conv2d: the public functions, float32 and float64, and shapes that mean nothing") {
  const ConvShape s{.n = 1, .h = 3, .w = 2, .c = 1, .o = 1, .kh = 2, .kw = 2};
  const std::vector<double> x{1, 2, 3, 4, 5, 6}, w{1, 0, 2, 1};
  const std::vector<float> xf(x.begin(), x.end()), wf(w.begin(), w.end());
  std::vector<double> y(2), dx(6), dw(4);
  std::vector<float> yf(2), dxf(6), dwf(4);
  sslcake::kernels::conv2d_forward(s, x.data(), w.data(), y.data());
  sslcake::kernels::conv2d_forward(s, xf.data(), wf.data(), yf.data());
  CHECK(y == std::vector<double>{11, 19});
  CHECK(test::widen(yf) == y);
  sslcake::kernels::conv2d_input_grad(s, y.data(), w.data(), dx.data());
  sslcake::kernels::conv2d_input_grad(s, yf.data(), wf.data(), dxf.data());
  CHECK(dx == std::vector<double>{11, 0, 41, 11, 38, 19});
  CHECK(test::widen(dxf) == dx);
  sslcake::kernels::conv2d_weight_grad(s, x.data(), y.data(), dw.data());
  sslcake::kernels::conv2d_weight_grad(s, xf.data(), yf.data(), dwf.data());
  CHECK(dw == std::vector<double>{68, 98, 128, 158});
  CHECK(test::widen(dwf) == dw);

  for (int field = 0; field < 4; ++field) {
    ConvShape bad = s;
    if (field == 0) bad.stride_h = 0;
    if (field == 1) bad.groups = 2;
    if (field == 2) bad.pad_w = -1;
    if (field == 3) bad.kh = 0;
    std::string message;
    try {
      sslcake::kernels::conv2d_forward(bad, xf.data(), wf.data(), yf.data());
    } catch (const sslcake::Error& e) {
      message = e.what();
    }
    CHECK(message.find("[conv2d] expected") == 0);
  }
}
