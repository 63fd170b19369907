// Convolutions of bfloat16 pictures on AMX's tiles, run through the portable model of the tiles on every machine: all
// directions against float64, remainders of every size, the geometry of row_plan.hpp, threads; and hardware against model
// where the CPU has AMX.
#include <doctest/doctest.h>

#include <sslcake/kernels/cpu/row_plan.hpp>

#include "bfloat16_cases.hpp"
#include "tile_model.hpp"

using namespace test;

namespace {

/// Everything that the table's two entries compute.
struct Computed {
  std::vector<bfloat16> y, y_bias, y_sums, dx;
  std::vector<float> dw;
  std::vector<double> sum, squares;
  bool operator==(const Computed& o) const {
    return y == o.y && y_bias == o.y_bias && y_sums == o.y_sums && dx == o.dx && dw == o.dw && sum == o.sum &&
           squares == o.squares;
  }
};
Computed compute(const Variant& variant, const ConvShape& s, const Operands& in, const std::vector<float>& bias,
                 const std::vector<float>& center) {
  Computed r;
  r.y.assign(in.dy.size(), bfloat16(std::nanf(""))), r.y_bias = r.y_sums = r.y;
  r.dx.assign(in.x.size(), bfloat16(std::nanf("")));
  r.dw.assign(in.w.size(), std::nanf(""));
  r.sum.assign(static_cast<std::size_t>(s.o), std::nan("")), r.squares = r.sum;
  variant.conv2d_pairs(s, false, in.x.data(), in.w.data(), nullptr, r.y.data(), nullptr, nullptr, nullptr);
  variant.conv2d_pairs(s, false, in.x.data(), in.w.data(), bias.data(), r.y_bias.data(), nullptr, nullptr, nullptr);
  variant.conv2d_pairs(s, false, in.x.data(), in.w.data(), nullptr, r.y_sums.data(), center.data(), r.sum.data(),
                       r.squares.data());
  variant.conv2d_pairs(s, true, in.dy.data(), in.w.data(), nullptr, r.dx.data(), nullptr, nullptr, nullptr);
  variant.conv2d_weight_grad_pairs(s, in.x.data(), in.dy.data(), r.dw.data());
  return r;
}
std::vector<float> per_channel(const ConvShape& s, int offset) {
  std::vector<float> values;
  for (std::int64_t o = 0; o < s.o; ++o) values.push_back(static_cast<float>((o + offset) % 7 - 3));
  return values;
}

void check(sslcake::Random& random, const ConvShape& s, bool reals = true) {
  CAPTURE(described(s));
  const std::vector<float> bias = per_channel(s, 0), center = per_channel(s, 3);
  for (const bool integers : {true, false}) {
    if (!integers && !reals) continue;
    const Operands in(random, s, integers);
    const auto x = widened(in.x), dy = widened(in.dy), w = test::widen(in.w);
    const Results wanted = exact(s, x, w, dy), size = exact(s, absolute(x), absolute(w), absolute(dy));
    const Computed got = compute(amx_on_model(), s, in, bias, center);
    std::vector<double> biased = wanted.y;
    for (std::size_t i = 0; i < biased.size(); ++i) biased[i] += static_cast<double>(bias[i % bias.size()]);
    CHECK(got.y == got.y_sums);
    if (integers) {
      CHECK(got.y == rounded(wanted.y));
      CHECK(got.y_bias == rounded(biased));
      CHECK(got.dx == rounded(wanted.dx));
      CHECK(test::widen(got.dw) == wanted.dw);
    } else {
      CHECK(excess(widened(got.y), wanted.y, size.y, true) == 0);
      CHECK(excess(widened(got.y_bias), biased, size.y, true) == 0);
      CHECK(excess(widened(got.dx), wanted.dx, size.dx, true) == 0);
      CHECK(excess(test::widen(got.dw), wanted.dw, size.dw, false) == 0);
    }
    for (std::size_t o = 0; o < bias.size(); ++o) {
      double sum = 0, squares = 0, sizes = 0;
      for (std::size_t i = o; i < wanted.y.size(); i += bias.size()) {
        const double d = wanted.y[i] - static_cast<double>(center[o]);
        sum += d, squares += d * d, sizes += std::abs(d);
      }
      CHECK(std::abs(got.sum[o] - sum) <= (integers ? 0.0 : 1e-5) * sizes);
      CHECK(std::abs(got.squares[o] - squares) <= 1e-5 * squares);
    }
  }
  CHECK(!TileModel::configured());  // released again
}

}  // namespace

TEST_CASE("amx: random shapes in all directions, through the model") {
  sslcake::Random random(1, sslcake::Purpose::test);
  for (int i = 0; i < 80; ++i) {
    ConvShape s{.n = between(random, 1, 4), .h = between(random, 1, 11), .w = between(random, 1, 11), .c = between(random, 1, 70),
                .o = between(random, 1, 70), .kh = between(random, 1, 3), .kw = between(random, 1, 3)};
    s.stride_h = between(random, 1, 2), s.stride_w = between(random, 1, 3);
    s.pad_h = between(random, 0, 2), s.pad_w = between(random, 0, 2);
    s.dilation_h = between(random, 1, 2), s.dilation_w = between(random, 1, 2);
    if (random.chance(0.2f)) s.n = between(random, 30, 70), s.h = between(random, 1, 4), s.w = between(random, 1, 4);
    if (random.chance(0.2f))
      s.groups = between(random, 2, 4), s.c = s.groups * between(random, 1, 40), s.o = s.groups * between(random, 1, 40);
    check(random, s);
  }
}

TEST_CASE("amx: the kernels that networks have, through the model") {
  sslcake::Random random(2, sslcake::Purpose::test);
  check(random, {.n = 3, .h = 16, .w = 16, .c = 64, .o = 64, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  check(random, {.n = 1, .h = 32, .w = 32, .c = 32, .o = 40, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});
  check(random, {.n = 33, .h = 4, .w = 4, .c = 96, .o = 33, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});  // positions of 32 images
  check(random,
        {.n = 4, .h = 16, .w = 16, .c = 64, .o = 96, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1});
  check(random, {.n = 2, .h = 7, .w = 7, .c = 128, .o = 160, .stride_h = 2, .stride_w = 2});
  check(random, {.n = 5, .h = 14, .w = 13, .c = 64, .o = 72});                                             // in place
  check(random,
        {.n = 2, .h = 16, .w = 16, .c = 3, .o = 20, .kh = 7, .kw = 7, .stride_h = 2, .stride_w = 2, .pad_h = 3, .pad_w = 3});
  check(random, {.n = 2, .h = 32, .w = 32, .c = 3, .o = 64, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});    // patches
  check(random, {.n = 2, .h = 20, .w = 9, .c = 33, .o = 17, .kh = 7, .kw = 5, .pad_h = 3, .pad_w = 2});
  check(random,
        {.n = 1, .h = 9, .w = 8, .c = 24, .o = 20, .kh = 3, .kw = 2, .stride_h = 2, .pad_h = 1, .pad_w = 1, .dilation_h = 2});
  check(random, {.n = 300, .h = 1, .w = 1, .c = 68, .o = 50});                                             // a linear layer
  check(random, {.n = 1, .h = 4, .w = 4, .c = 600, .o = 40});                                              // rounds along the sum
  check(random, {.n = 2, .h = 6, .w = 6, .c = 64, .o = 300, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});  // parts of the channels
  check(random, {.n = 40, .h = 16, .w = 16, .c = 20, .o = 24});
  check(random, {.n = 1, .h = 40, .w = 2500, .c = 8, .o = 2, .kh = 1, .kw = 2});                           // pieces of a row
  // Groups: patches, pixels whose group is as wide as another layer's whole, strides.
  check(random, {.n = 2, .h = 9, .w = 9, .c = 32, .o = 32, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 4});
  check(random, {.n = 2, .h = 4, .w = 8, .c = 32, .o = 24, .groups = 2});
  check(random, {.n = 2, .h = 5, .w = 5, .c = 320, .o = 320, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 10}, false);
  check(random, {.n = 2, .h = 4, .w = 8, .c = 64, .o = 64, .groups = 2});
  check(random, {.n = 33,
                 .h = 4,
                 .w = 4,
                 .c = 128,
                 .o = 66,
                 .kh = 3,
                 .kw = 3,
                 .stride_h = 2,
                 .stride_w = 2,
                 .pad_h = 1,
                 .pad_w = 1,
                 .groups = 2});
}

TEST_CASE("amx: remainders of every size, in pixels and channels") {
  sslcake::Random random(3, sslcake::Purpose::test);
  for (std::int64_t i = 1; i <= 34; ++i) {
    check(random, {.n = i, .h = 1, .w = 1, .c = 32, .o = 16}, false);
    check(random, {.n = 3, .h = 1, .w = 1, .c = i, .o = 33}, false);
    check(random, {.n = 2, .h = 3, .w = 3, .c = 33, .o = i, .kh = 2, .kw = 2}, false);
    check(random, {.n = 1, .h = 2, .w = i, .c = 32, .o = 4, .kh = 1, .kw = 3, .pad_w = 1}, false);
    check(random, {.n = i, .h = 2, .w = 3, .c = 40, .o = 8, .kh = 2, .kw = 2, .pad_h = 1, .pad_w = 1}, false);
  }
}

TEST_CASE("amx: empty extents, and kernels that see nothing but padding") {
  sslcake::Random random(4, sslcake::Purpose::test);
  check(random, {.n = 0, .h = 4, .w = 4, .c = 8, .o = 8});
  check(random, {.n = 2, .h = 4, .w = 4, .c = 8, .o = 0});
  check(random, {.n = 2, .h = 0, .w = 0, .c = 8, .o = 8, .kh = 3, .kw = 3, .pad_h = 2, .pad_w = 2});
  check(random, {.n = 2, .h = 2, .w = 2, .c = 8, .o = 8, .kh = 5, .kw = 5});
  check(random, {.n = 2, .h = 4, .w = 4, .c = 0, .o = 8, .kh = 3, .kw = 3});
  check(random, {.n = 40, .h = 1, .w = 1, .c = 32, .o = 32, .kh = 1, .kw = 1, .pad_h = 2, .pad_w = 2});
  check(random, {.n = 2, .h = 5, .w = 5, .c = 32, .o = 32, .stride_h = 3, .stride_w = 3});
}

TEST_CASE("amx: factors that begin at odd addresses") {
  sslcake::Random random(5, sslcake::Purpose::test);
  const ConvShape s{.n = 4, .h = 6, .w = 6, .c = 32, .o = 32};
  const Operands in(random, s, true);
  std::vector<bfloat16> x(in.x.size() + 1), y(in.dy.size() + 1, bfloat16(9.0f)), wanted(in.dy.size());
  std::copy(in.x.begin(), in.x.end(), x.begin() + 1);
  amx_on_model().conv2d_pairs(s, false, in.x.data(), in.w.data(), nullptr, wanted.data(), nullptr, nullptr, nullptr);
  amx_on_model().conv2d_pairs(s, false, x.data() + 1, in.w.data(), nullptr, y.data() + 1, nullptr, nullptr, nullptr);
  CHECK(std::equal(wanted.begin(), wanted.end(), y.begin() + 1));
  CHECK(static_cast<float>(y[0]) == 9.0f);
}

TEST_CASE("amx: the same bits with one, two and three threads") {
  sslcake::Random random(6, sslcake::Purpose::test);
  for (const ConvShape& s :
       {ConvShape{.n = 9, .h = 16, .w = 16, .c = 32, .o = 40, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},
        ConvShape{.n = 40, .h = 16, .w = 16, .c = 32, .o = 72},
        ConvShape{
            .n = 70, .h = 4, .w = 4, .c = 48, .o = 96, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1}}) {
    CAPTURE(described(s));
    const Operands in(random, s, false);
    const std::vector<float> bias = per_channel(s, 0), center = per_channel(s, 3);
    Computed first;
    for (int n : {1, 2, 3}) {
      const Threads threads(n);
      const Computed got = compute(amx_on_model(), s, in, bias, center);
      if (n == 1) first = got;
      CHECK(got == first);
    }
  }
}

TEST_CASE("amx: results too many for the caches have the bits of those of one picture at a time") {
  sslcake::Random random(7, sslcake::Purpose::test);
  const ConvShape all{.n = 33, .h = 32, .w = 32, .c = 4, .o = 256}, one{.n = 1, .h = 32, .w = 32, .c = 4, .o = 256};
  const auto x = rounded(reals(random, all.n * 32 * 32 * 4));
  const auto w = reals(random, 256 * 4);
  std::vector<bfloat16> together(static_cast<std::size_t>(all.n * 32 * 32 * 256)), alone(together.size());
  amx_on_model().conv2d_pairs(all, false, x.data(), w.data(), nullptr, together.data(), nullptr, nullptr, nullptr);
  for (std::int64_t n = 0; n < all.n; ++n)
    amx_on_model().conv2d_pairs(one, false, x.data() + n * 32 * 32 * 4, w.data(), nullptr, alone.data() + n * 32 * 32 * 256,
                                nullptr, nullptr, nullptr);
  CHECK(together == alone);
}

TEST_CASE("amx: results pass the caches only where every pixel begins on a line") {
  const auto classes = [](std::int64_t c, std::int64_t stride) {
    return kernels::detail::input_grad_correlations({.n = 64, .h = 128, .w = 128, .c = c, .o = 8, .kh = stride, .kw = stride,
                                                     .stride_h = stride, .stride_w = stride});
  };
  const auto* line = reinterpret_cast<const bfloat16*>(std::uintptr_t{4096});
  int whole = 0, broken = 0;
  for (const auto& c : classes(64, 2)) {
    CHECK(kernels::detail::passes_caches(c, line));
    CHECK(!kernels::detail::passes_caches(c, line + 16));
    ++whole;
  }
  // Pixels of 40 channels: those of one class lie 160 apart, which are whole lines, but three classes of four begin between
  // lines.
  for (const auto& c : classes(40, 4)) broken += !kernels::detail::passes_caches(c, line);
  CHECK(whole == 4);
  CHECK(broken == 12);
}

TEST_CASE("amx: blocks waste few products") {
  // Products of 32,768 multiply-adds, against what the convolution has.
  const auto waste = [](const ConvShape& s) {
    const std::vector<bfloat16> x(static_cast<std::size_t>(s.n * s.h * s.w * s.c));
    const std::vector<float> w(static_cast<std::size_t>(s.o * s.taps() * s.c));
    std::vector<bfloat16> y(static_cast<std::size_t>(s.n * s.oh() * s.ow() * s.o));
    const std::int64_t before = TileModel::multiplies();
    amx_on_model().conv2d_pairs(s, false, x.data(), w.data(), nullptr, y.data(), nullptr, nullptr, nullptr);
    return static_cast<double>(TileModel::multiplies() - before) * 8192 / s.multiply_adds();
  };
  CHECK(waste({.n = 32, .h = 4, .w = 4, .c = 64, .o = 64, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1}) <
        0.70);  // padding is left out
  CHECK(waste({.n = 4, .h = 8, .w = 8, .c = 64, .o = 32, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1}) < 1.01);
  CHECK(waste({.n = 1, .h = 32, .w = 32, .c = 32, .o = 32, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1}) < 1.01);
  CHECK(waste({.n = 32, .h = 7, .w = 7, .c = 32, .o = 32, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1}) < 0.90);
  CHECK(waste({.n = 1, .h = 32, .w = 32, .c = 3, .o = 32, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1}) < 1.25);
  CHECK(
      waste({.n = 2, .h = 64, .w = 64, .c = 3, .o = 64, .kh = 7, .kw = 7, .stride_h = 2, .stride_w = 2, .pad_h = 3, .pad_w = 3}) <
      1.15);
}

TEST_CASE("amx: hardware has the bits of the model") {
  if (!supports(kernels::Isa::amx)) {
    MESSAGE("skipped: this CPU (or its operating system) has no AMX; its kernels were run through the model only");
    return;
  }
#if SSLCAKE_X86
  sslcake::Random random(8, sslcake::Purpose::test);
  for (const ConvShape& s :
       {ConvShape{.n = 9, .h = 16, .w = 16, .c = 32, .o = 40, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},
        ConvShape{
            .n = 70, .h = 4, .w = 4, .c = 96, .o = 96, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1},
        ConvShape{
            .n = 2, .h = 16, .w = 16, .c = 3, .o = 20, .kh = 7, .kw = 7, .stride_h = 2, .stride_w = 2, .pad_h = 3, .pad_w = 3},
        ConvShape{.n = 300, .h = 1, .w = 1, .c = 68, .o = 50}, ConvShape{.n = 5, .h = 14, .w = 13, .c = 64, .o = 72}}) {
    CAPTURE(described(s));
    const Operands in(random, s, false);
    const std::vector<float> bias = per_channel(s, 0), center = per_channel(s, 3);
    const Computed modelled = compute(amx_on_model(), s, in, bias, center),
                   got = compute(kernels::amx::variant(), s, in, bias, center);
    CHECK(got.y == modelled.y);
    CHECK(got.y_bias == modelled.y_bias);
    CHECK(got.dx == modelled.dx);
    CHECK(got.dw == modelled.dw);
  }
#endif
}
