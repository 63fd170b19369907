// Winograd's transform is exact only over the reals, so there is no bit-equality on integers here: its error against
// float64 is compared with that of a plain chain of float32 multiply-adds.
#include <doctest/doctest.h>

#include <sslcake/core/error.hpp>
#include <sslcake/kernels/conv2d.hpp>
#include <sslcake/kernels/winograd.hpp>

#include <cmath>

#include "variants.hpp"

namespace {

using test::between;
using test::ConvShape;
namespace kernels = sslcake::kernels;

std::size_t size_of(std::int64_t count) { return static_cast<std::size_t>(count); }
std::size_t input_size(const ConvShape& s) { return size_of(s.n * s.h * s.w * s.c); }
std::size_t weight_size(const ConvShape& s) { return size_of(s.o * 9 * s.c); }
std::size_t output_size(const ConvShape& s) { return size_of(s.n * s.oh() * s.ow() * s.o); }

template <class T>
struct Results {
  std::vector<T> y, dx, dw;
  bool operator==(const Results&) const = default;
};

struct Operands {
  std::vector<float> x, w, dy;  // one float longer than needed in front, so that nothing is aligned
  Operands(sslcake::Random& random, const ConvShape& s)
      : x(test::reals(random, 1 + static_cast<std::int64_t>(input_size(s)))),
        w(test::reals(random, 1 + static_cast<std::int64_t>(weight_size(s)))),
        dy(test::reals(random, 1 + static_cast<std::int64_t>(output_size(s)))) {}
};

/// The definition, one product after the other: in float64, or as a chain of float32 multiply-adds.
template <class T>
Results<T> chain(const ConvShape& s, const Operands& in) {
  Results<T> out{std::vector<T>(output_size(s)), std::vector<T>(input_size(s)), std::vector<T>(weight_size(s))};
  for (std::int64_t n = 0; n < s.n; ++n)
    for (std::int64_t p = 0; p < s.oh(); ++p)
      for (std::int64_t q = 0; q < s.ow(); ++q)
        for (std::int64_t tap = 0; tap < 9; ++tap) {
          const std::int64_t i = p - s.pad_h + tap / 3, j = q - s.pad_w + tap % 3;
          if (i < 0 || i >= s.h || j < 0 || j >= s.w) continue;
          for (std::int64_t o = 0; o < s.o; ++o)
            for (std::int64_t c = 0; c < s.c; ++c) {
              const std::size_t y = size_of(((n * s.oh() + p) * s.ow() + q) * s.o + o),
                                x = size_of(((n * s.h + i) * s.w + j) * s.c + c), w = size_of((o * 9 + tap) * s.c + c);
              // The product of two floats is exact in double: rounding the sum to T is what a fused multiply-add does.
              const double xv = in.x[1 + x], wv = in.w[1 + w], dyv = in.dy[1 + y];
              out.y[y] = static_cast<T>(xv * wv + out.y[y]);
              out.dx[x] = static_cast<T>(dyv * wv + out.dx[x]);
              out.dw[w] = static_cast<T>(xv * dyv + out.dw[w]);
            }
        }
  return out;
}

/// Results lie between two sentinels, and start as not-a-number: every element must be written, none beyond.
std::vector<float> guarded(std::size_t count) {
  std::vector<float> values(count + 2, std::nanf(""));
  values.front() = values.back() = 12345.0f;
  return values;
}
std::vector<float> unguarded(const std::vector<float>& values) {
  CHECK(values.front() == 12345.0f);
  CHECK(values.back() == 12345.0f);
  return {values.begin() + 1, values.end() - 1};
}

Results<float> run(const test::Variant& variant, const ConvShape& s, const Operands& in) {
  auto y = guarded(output_size(s)), dx = guarded(input_size(s)), dw = guarded(weight_size(s));
  variant.conv2d_winograd(s, false, in.x.data() + 1, in.w.data() + 1, y.data() + 1, nullptr, nullptr, nullptr);
  variant.conv2d_winograd(s, true, in.dy.data() + 1, in.w.data() + 1, dx.data() + 1, nullptr, nullptr, nullptr);
  variant.conv2d_winograd_weight_grad(s, in.x.data() + 1, in.dy.data() + 1, dw.data() + 1);
  return {unguarded(y), unguarded(dx), unguarded(dw)};
}

/// Root of the mean squared difference.
template <class T>
double error(const std::vector<T>& got, const std::vector<double>& wanted) {
  double sum = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) sum += (got[i] - wanted[i]) * (got[i] - wanted[i]);
  return std::sqrt(sum / static_cast<double>(wanted.size()));
}
double deviation(const std::vector<double>& values) { return error(std::vector<double>(values.size(), 0.0), values); }

/// So many blocks of tiles that each thread takes whole ones.
constexpr ConvShape many_blocks{.n = 420, .h = 4, .w = 3, .c = 300, .o = 7, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1};

void check(sslcake::Random& random, const ConvShape& s) {
  const std::string shape = sslcake::concat("n ", s.n, " h ", s.h, " w ", s.w, " c ", s.c, " o ", s.o, " pad ", s.pad_h);
  CAPTURE(shape);
  const Operands in(random, s);
  const auto exact = chain<double>(s, in);
  for (const auto& variant : test::variants()) {
    if (!variant.kernels->conv2d_winograd) continue;
    CAPTURE(variant.name);
    const auto got = run(*variant.kernels, s, in);
    CHECK(error(got.y, exact.y) <= 3e-6 * deviation(exact.y));
    CHECK(error(got.dx, exact.dx) <= 3e-6 * deviation(exact.dx));
    CHECK(error(got.dw, exact.dw) <= 3e-6 * deviation(exact.dw));
  }
}

}  // namespace

TEST_CASE("winograd: random shapes, all three directions, every variant against float64") {
  sslcake::Random random(1, sslcake::Purpose::test);
  for (int i = 0; i < 40; ++i) {
    const std::int64_t pad = between(random, 0, 2);
    check(random, {.n = between(random, 1, 4), .h = between(random, 3 - pad, 11), .w = between(random, 3 - pad, 11),
                   .c = between(random, 1, 40), .o = between(random, 1, 40), .kh = 3, .kw = 3, .pad_h = pad, .pad_w = pad});
  }
}

TEST_CASE("winograd: channel counts around the vector widths, several blocks of channels and of tiles") {
  sslcake::Random random(2, sslcake::Purpose::test);
  for (std::int64_t channels : {1, 4, 7, 8, 15, 16, 17, 31, 32, 33, 48, 65}) {
    check(random, {.n = 2, .h = 5, .w = 4, .c = channels, .o = 6, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
    check(random, {.n = 2, .h = 5, .w = 4, .c = 6, .o = channels, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  }
  check(random, {.n = 1, .h = 5, .w = 8, .c = 600, .o = 20, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  check(random, {.n = 1, .h = 5, .w = 8, .c = 20, .o = 600, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  check(random, {.n = 140, .h = 4, .w = 4, .c = 450, .o = 7, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});  // some blocks of tiles
  check(random, many_blocks);
}

TEST_CASE("winograd: the error is at most four times that of plain float32 multiply-adds") {
  sslcake::Random random(3, sslcake::Purpose::test);
  const ConvShape shapes[] = {{.n = 1, .h = 16, .w = 16, .c = 64, .o = 64, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},
                              {.n = 8, .h = 4, .w = 4, .c = 256, .o = 128, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1}};
  for (const ConvShape& s : shapes) {
    const Operands in(random, s);
    const auto exact = chain<double>(s, in);
    const auto plain = chain<float>(s, in);
    for (const auto& variant : test::variants()) {
      if (!variant.kernels->conv2d_winograd) continue;
      CAPTURE(variant.name);
      const auto got = run(*variant.kernels, s, in);
      const double y = error(got.y, exact.y) / error(plain.y, exact.y), dx = error(got.dx, exact.dx) / error(plain.dx, exact.dx),
                   dw = error(got.dw, exact.dw) / error(plain.dw, exact.dw);
      MESSAGE(std::string(variant.name) << ", " << s.c << " to " << s.o << " channels: error over that of plain multiply-adds: y "
                                        << y << ", dx " << dx << ", dw " << dw);
      CHECK(y <= 4);
      CHECK(dx <= 4);
      CHECK(dw <= 4);
    }
  }
}

TEST_CASE("winograd: sums of the result per channel") {
  sslcake::Random random(4, sslcake::Purpose::test);
  const ConvShape few_blocks{.n = 7, .h = 9, .w = 6, .c = 20, .o = 40, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1};
  for (const auto& [s, centered] : {std::pair(few_blocks, false), {few_blocks, true}, {many_blocks, true}}) {
    const Operands in(random, s);
    const auto center = test::reals(random, s.o);
    for (const auto& variant : test::variants()) {
      if (!variant.kernels->conv2d_winograd) continue;
      CAPTURE(variant.name);
      auto y = guarded(output_size(s));
      std::vector<double> sum(size_of(s.o), -1.0), squares = sum;
      variant.kernels->conv2d_winograd(s, false, in.x.data() + 1, in.w.data() + 1, y.data() + 1,
                                       centered ? center.data() : nullptr, sum.data(), squares.data());
      const auto values = unguarded(y);
      for (std::size_t o = 0; o < sum.size(); ++o) {
        double first = 0, second = 0, size = 0;
        for (std::size_t i = o; i < values.size(); i += sum.size()) {
          const double d = static_cast<double>(values[i]) - (centered ? center[o] : 0.0f);
          first += d, second += d * d, size += std::abs(d);
        }
        CHECK(std::abs(sum[o] - first) <= 1e-6 * size);
        CHECK(std::abs(squares[o] - second) <= 1e-6 * second);
      }
    }
  }
}

TEST_CASE("winograd: the same bits with one, two and three threads") {
  sslcake::Random random(5, sslcake::Purpose::test);
  for (const ConvShape& s :
       {ConvShape{.n = 9, .h = 16, .w = 13, .c = 40, .o = 56, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},
        ConvShape{.n = 5, .h = 6, .w = 4, .c = 32, .o = 320, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1}, many_blocks}) {
    const Operands in(random, s);
    for (const auto& variant : test::variants()) {
      if (!variant.kernels->conv2d_winograd) continue;
      CAPTURE(variant.name);
      const auto sums = [&] {
        std::vector<float> y(output_size(s));
        std::vector<double> both(2 * size_of(s.o));
        variant.kernels->conv2d_winograd(s, false, in.x.data() + 1, in.w.data() + 1, y.data(), nullptr, both.data(),
                                         both.data() + s.o);
        return both;
      };
      Results<float> one;
      std::vector<double> sums_of_one;
      {
        const test::Threads threads(1);
        one = run(*variant.kernels, s, in);
        sums_of_one = sums();
      }
      for (int n : {2, 3}) {
        const test::Threads threads(n);
        CHECK(run(*variant.kernels, s, in) == one);
        CHECK(sums() == sums_of_one);
      }
    }
  }
}

TEST_CASE("winograd: taken for 3x3 kernels of stride 1 with many channels, unless it is switched off") {
  const ConvShape s{.n = 32, .h = 8, .w = 8, .c = 64, .o = 64, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1};
  const bool before = kernels::winograd();
  kernels::set_winograd(true);
  CHECK(kernels::detail::takes_winograd(s, false));
  CHECK(kernels::detail::takes_winograd(s, true));
  for (int field = 0; field < 7; ++field) {
    ConvShape other = s;
    if (field == 0) other.stride_h = other.stride_w = 2;
    if (field == 1) other.kh = other.kw = 1;
    if (field == 2) other.dilation_h = other.dilation_w = 2;
    if (field == 3) other.groups = 2;
    if (field == 4) other.pad_h = other.pad_w = 3;
    if (field == 5) other.n = 0;
    if (field == 6) other.c = 3;
    CAPTURE(field);
    CHECK_FALSE(kernels::detail::takes_winograd(other, false));
  }
  // The public functions obey the switch: both ways agree, but not to the bit.
  sslcake::Random random(6, sslcake::Purpose::test);
  const Operands in(random, s);
  std::vector<float> with(output_size(s)), without = with;
  kernels::conv2d_forward(s, in.x.data(), in.w.data(), with.data());
  kernels::set_winograd(false);
  CHECK_FALSE(kernels::detail::takes_winograd(s, false));
  kernels::conv2d_forward(s, in.x.data(), in.w.data(), without.data());
  kernels::set_winograd(before);
  const std::vector<double> wide = test::widen(without);
  CHECK(error(with, wide) <= 3e-6 * deviation(wide));
  if (kernels::variant().conv2d_winograd) CHECK(with != without);
}
