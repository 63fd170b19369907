// Convolutions of bfloat16 pictures against float64, for every instruction set: Winograd's transform, products of pairs,
// and float32 kernels on widened slices.
#include <doctest/doctest.h>

#include <sslcake/core/error.hpp>
#include <sslcake/kernels/conv2d.hpp>
#include <sslcake/kernels/conv2d_bfloat16.hpp>
#include <sslcake/kernels/conv2d_pairs.hpp>
#include <sslcake/kernels/cpu/isa.hpp>
#include <sslcake/kernels/winograd.hpp>

#include <cmath>

#include "bfloat16_cases.hpp"

namespace {

using sslcake::bfloat16;
using namespace test;
namespace kernels = sslcake::kernels;

struct RestoreChoice {
  kernels::Isa isa = kernels::isa();
  bool winograd = kernels::winograd();
  ~RestoreChoice() {
    kernels::set_isa(isa);
    kernels::set_winograd(winograd);
  }
};

/// The same numbers behind `count` others, and without these.
template <class T>
std::vector<T> moved(std::vector<T> values, std::size_t count) {
  values.insert(values.begin(), count, T(1.0f));
  return values;
}
template <class T>
std::vector<T> without(const std::vector<T>& values, std::size_t count) {
  return {values.begin() + static_cast<std::ptrdiff_t>(count), values.end()};
}

void check(sslcake::Random& random, const ConvShape& s) {
  const std::string shape = test::described(s);
  CAPTURE(shape);
  const RestoreChoice restore;
  for (const bool integers : {true, false}) {
    const Operands in(random, s, integers);
    const auto x = widened(in.x), dy = widened(in.dy), w = test::widen(in.w);
    const Results wanted = exact(s, x, w, dy), size = exact(s, absolute(x), absolute(w), absolute(dy));
    for (const auto isa : test::every_isa) {
      if (!kernels::supports(isa)) continue;
      CAPTURE(kernels::name_of(isa));
      kernels::set_isa(isa);
      kernels::set_winograd(!integers);  // integers are exact in all other ways
      std::vector<bfloat16> y(wanted.y.size(), bfloat16(std::nanf(""))), y_sums = y,
                                                                         dx(wanted.dx.size(), bfloat16(std::nanf("")));
      std::vector<float> dw(wanted.dw.size(), std::nanf(""));
      std::vector<double> sum(static_cast<std::size_t>(s.o), -1.0), squares = sum;
      kernels::conv2d_forward(s, in.x.data(), in.w.data(), y.data());
      kernels::conv2d_forward_sums(s, in.x.data(), in.w.data(), y_sums.data(), nullptr, sum.data(), squares.data());
      kernels::conv2d_input_grad(s, in.dy.data(), in.w.data(), dx.data());
      kernels::conv2d_weight_grad(s, in.x.data(), in.dy.data(), dw.data());
      CHECK(y == y_sums);
      std::vector<float> bias;
      for (std::int64_t o = 0; o < s.o; ++o) bias.push_back(static_cast<float>(o % 7 - 3));
      kernels::conv2d_forward(s, in.x.data(), in.w.data(), y_sums.data(), bias.data());
      if (integers) {
        CHECK(y == rounded(wanted.y));
        CHECK(dx == rounded(wanted.dx));
        CHECK(test::widen(dw) == wanted.dw);
        std::vector<double> biased = wanted.y;
        for (std::size_t i = 0; i < biased.size(); ++i) biased[i] += static_cast<double>(bias[i % bias.size()]);
        CHECK(y_sums == rounded(biased));
      } else {
        CHECK(excess(widened(y), wanted.y, size.y, true) == 0);
        CHECK(excess(widened(dx), wanted.dx, size.dx, true) == 0);
        CHECK(excess(test::widen(dw), wanted.dw, size.dw, false) == 0);
      }
      for (std::size_t o = 0; o < sum.size(); ++o) {
        double first = 0, second = 0, sizes = 0;
        for (std::size_t i = o; i < wanted.y.size(); i += sum.size())
          first += wanted.y[i], second += wanted.y[i] * wanted.y[i], sizes += size.y[i] * size.y[i];
        CHECK(std::abs(sum[o] - first) <= 1e-2 * std::sqrt(sizes));  // what is lost to rounding has either sign
        CHECK(std::abs(squares[o] - second) <= 1e-2 * second);
      }
    }
  }
}

}  // namespace

TEST_CASE("bfloat16 convolutions: random shapes, all three directions, every instruction set against float64") {
  sslcake::Random random(1, sslcake::Purpose::test);
  for (int i = 0; i < 60; ++i) {
    ConvShape s{.n = between(random, 1, 3), .h = between(random, 3, 9), .w = between(random, 3, 9), .c = between(random, 1, 40),
                .o = between(random, 1, 40), .kh = between(random, 1, 3), .kw = between(random, 1, 3)};
    s.stride_h = s.stride_w = between(random, 1, 2);
    s.pad_h = s.pad_w = between(random, 0, 1);
    if (random.chance(0.2f)) s.groups = between(random, 2, 3), s.c *= s.groups, s.o *= s.groups;
    check(random, s);
  }
}

TEST_CASE("bfloat16 convolutions: the kernels that networks have") {
  sslcake::Random random(2, sslcake::Purpose::test);
  check(random, {.n = 4, .h = 8, .w = 8, .c = 32, .o = 48, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1});  // Winograd
  check(random, {.n = 2, .h = 8, .w = 7, .c = 64, .o = 96});                                            // pairs
  check(random, {.n = 2, .h = 9, .w = 7, .c = 40, .o = 70, .stride_h = 2, .stride_w = 2});
  check(random,
        {.n = 3, .h = 8, .w = 8, .c = 32, .o = 64, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1});
  check(random,
        {.n = 2, .h = 16, .w = 16, .c = 3, .o = 20, .kh = 7, .kw = 7, .stride_h = 2, .stride_w = 2, .pad_h = 3, .pad_w = 3});
  check(random,
        {.n = 1, .h = 9, .w = 8, .c = 24, .o = 20, .kh = 3, .kw = 2, .stride_h = 2, .pad_h = 1, .pad_w = 1, .dilation_h = 2});
  check(random, {.n = 700, .h = 1, .w = 1, .c = 68, .o = 50});    // a linear layer
  check(random, {.n = 1, .h = 4, .w = 4, .c = 600, .o = 40});     // several blocks along the sum
  check(random, {.n = 60, .h = 32, .w = 32, .c = 20, .o = 24});   // several slices of images
  check(random, {.n = 0, .h = 4, .w = 4, .c = 8, .o = 8});
}

TEST_CASE("bfloat16 convolutions: products of pairs, by the instruction and written out, are exact on integers") {
  sslcake::Random random(4, sslcake::Purpose::test);
  std::vector<ConvShape> shapes{
      {.n = 3, .h = 7, .w = 6, .c = 34, .o = 40, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},
      {.n = 3, .h = 7, .w = 7, .c = 10, .o = 18, .stride_h = 2, .stride_w = 2},
      {.n = 1, .h = 5, .w = 5, .c = 320, .o = 64},
      {.n = 0, .h = 5, .w = 5, .c = 32, .o = 64},
      // Odd numbers of channels, and few of them.
      {.n = 3, .h = 5, .w = 5, .c = 65, .o = 33, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},
      {.n = 2, .h = 18, .w = 16, .c = 3, .o = 20, .kh = 7, .kw = 7, .stride_h = 2, .stride_w = 2, .pad_h = 3, .pad_w = 3},
      {.n = 19, .h = 9, .w = 8, .c = 1, .o = 17, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},
      {.n = 3, .h = 6, .w = 7, .c = 5, .o = 3, .kh = 2, .kw = 3, .pad_w = 2, .dilation_h = 2},
      {.n = 2, .h = 5, .w = 9, .c = 4, .o = 6, .kh = 1, .kw = 4, .dilation_w = 2},
      {.n = 2, .h = 5, .w = 9, .c = 6, .o = 1, .kh = 3, .kw = 3, .stride_w = 2, .pad_h = 1, .pad_w = 1},
      {.n = 2, .h = 1, .w = 1, .c = 2, .o = 5, .kh = 3, .kw = 3, .pad_h = 2, .pad_w = 2},
      {.n = 0, .h = 5, .w = 5, .c = 3, .o = 5, .kh = 3, .kw = 3},
      // Groups.
      {.n = 3, .h = 7, .w = 6, .c = 36, .o = 20, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 2},
      {.n = 2, .h = 5, .w = 5, .c = 48, .o = 96, .stride_h = 2, .stride_w = 2, .groups = 3},
      {.n = 40, .h = 4, .w = 4, .c = 64, .o = 64, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1, .groups = 2},
      {.n = 1100, .h = 1, .w = 1, .c = 16, .o = 80, .groups = 2},
      {.n = 2, .h = 6, .w = 6, .c = 30, .o = 20, .kh = 3, .kw = 3, .groups = 2}};
  for (int i = 0; i < 40; ++i) {
    ConvShape s{.n = between(random, 1, 20), .h = between(random, 1, 9), .w = between(random, 1, 9), .c = between(random, 1, 20),
                .o = between(random, 1, 20), .kh = between(random, 1, 3), .kw = between(random, 1, 3)};
    s.stride_h = between(random, 1, 2), s.stride_w = between(random, 1, 3);
    s.pad_h = between(random, 0, 2), s.pad_w = between(random, 0, 2);
    if (random.chance(0.3f))
      s.groups = between(random, 2, 4), s.c = s.groups * 2 * between(random, 4, 18), s.o = s.groups * 2 * between(random, 4, 18);
    shapes.push_back(s);
  }
  std::vector<test::NamedVariant> variants = test::variants();
  variants.push_back({"amx on a model of its tiles", &test::amx_on_model()});
  int variants_seen = 0;
  for (const auto& variant : variants) {
    if (!variant.kernels->conv2d_pairs) continue;
    const std::string name = variant.name;
    if (name == "avx512" && !kernels::supports(kernels::Isa::avx512bf16)) continue;  // its table has them nevertheless
    CAPTURE(name);
    ++variants_seen;
    for (const ConvShape& s : shapes) {
      CAPTURE(test::described(s));
      const Operands in(random, s, true);
      const Results wanted = exact(s, widened(in.x), test::widen(in.w), widened(in.dy));
      const std::vector<float> bias = test::integers(random, s.o), center = test::integers(random, s.o);
      std::vector<double> biased = wanted.y, sum(static_cast<std::size_t>(s.o)), squares = sum;
      for (std::size_t i = 0; i < biased.size(); ++i) {
        const std::size_t o = i % bias.size();
        biased[i] += static_cast<double>(bias[o]);
        const double d = wanted.y[i] - static_cast<double>(center[o]);
        sum[o] += d, squares[o] += d * d;
      }
      // Where memory is aligned, and a pair or a number behind: the next pictures of a batch begin at such addresses.
      for (const std::size_t pair : {0, 2}) {
        CAPTURE(pair);
        const std::size_t one = pair / 2;
        const auto x = moved(in.x, pair), dy = moved(in.dy, pair);
        const auto w = moved(in.w, one);
        const auto unset = [&](std::size_t count) { return std::vector<bfloat16>(count + one, bfloat16(std::nanf(""))); };
        auto y = unset(wanted.y.size()), y_bias = y, y_sums = y, dx = unset(wanted.dx.size());
        std::vector<float> dw(wanted.dw.size() + one, std::nanf(""));
        std::vector<double> first(sum.size(), std::nan("")), second = first;
        if (s.group_c() % 2 == 0 || s.groups == 1) {
          const auto forward = [&](const float* with_bias, std::vector<bfloat16>& to, bool sums) {
            kernels::detail::forward_pairs(*variant.kernels, s, x.data() + pair, w.data() + one, with_bias, to.data() + one,
                                           sums ? center.data() : nullptr, sums ? first.data() : nullptr,
                                           sums ? second.data() : nullptr);
          };
          forward(nullptr, y, false);
          forward(bias.data(), y_bias, false);
          forward(nullptr, y_sums, true);
          CHECK(without(y, one) == rounded(wanted.y));
          CHECK(without(y_bias, one) == rounded(biased));
          CHECK(without(y_sums, one) == rounded(wanted.y));
          for (std::size_t o = 0; o < sum.size(); ++o) {
            CHECK(first[o] == sum[o]);
            CHECK(std::abs(second[o] - squares[o]) <= 1e-5 * squares[o]);
          }
        }
        kernels::detail::input_grad_pairs(*variant.kernels, s, dy.data() + pair, w.data() + one, dx.data() + one);
        CHECK(without(dx, one) == rounded(wanted.dx));
        kernels::detail::weight_grad_pairs(*variant.kernels, s, x.data() + pair, dy.data() + pair, dw.data() + one);
        CHECK(test::widen(without(dw, one)) == wanted.dw);
      }
    }
  }
  CHECK(variants_seen > 0);
}

TEST_CASE("bfloat16 convolutions: the same bits with one, two and three threads, by every instruction set") {
  sslcake::Random random(3, sslcake::Purpose::test);
  for (const ConvShape& s :
       {ConvShape{.n = 9, .h = 16, .w = 16, .c = 32, .o = 40, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1},
        ConvShape{.n = 20, .h = 16, .w = 16, .c = 64, .o = 72},
        ConvShape{
            .n = 9, .h = 8, .w = 8, .c = 48, .o = 96, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1}}) {
    const Operands in(random, s, false);
    test::for_each_isa([&] {
      std::vector<bfloat16> y(in.dy.size()), dx(in.x.size()), first_y, first_dx;
      std::vector<float> dw(in.w.size()), first_dw;
      for (int n : {1, 2, 3}) {
        const test::Threads threads(n);
        kernels::conv2d_forward(s, in.x.data(), in.w.data(), y.data());
        kernels::conv2d_input_grad(s, in.dy.data(), in.w.data(), dx.data());
        kernels::conv2d_weight_grad(s, in.x.data(), in.dy.data(), dw.data());
        if (n == 1) first_y = y, first_dx = dx, first_dw = dw;
        CHECK(y == first_y);
        CHECK(dx == first_dx);
        CHECK(dw == first_dw);
      }
    });
  }
}

TEST_CASE("bfloat16 convolutions: results too many for the caches have the bits of those of one picture at a time") {
  sslcake::Random random(5, sslcake::Purpose::test);
  const ConvShape all{.n = 66, .h = 32, .w = 32, .c = 8, .o = 128}, one{.n = 1, .h = 32, .w = 32, .c = 8, .o = 128};
  const auto x = rounded(test::reals(random, all.n * 32 * 32 * 8));
  const auto w = test::reals(random, 128 * 8);
  std::vector<bfloat16> together(static_cast<std::size_t>(all.n * 32 * 32 * 128)), alone(together.size());
  std::vector<double> sum(128), squares(128), first(128), second(128), total(128);
  kernels::conv2d_forward_sums(all, x.data(), w.data(), together.data(), nullptr, sum.data(), squares.data());
  for (std::int64_t n = 0; n < all.n; ++n) {
    kernels::conv2d_forward_sums(one, x.data() + n * 32 * 32 * 8, w.data(), alone.data() + n * 32 * 32 * 128, nullptr,
                                 first.data(), second.data());
    for (std::size_t o = 0; o < 128; ++o) total[o] += first[o];
  }
  CHECK(together == alone);
  for (std::size_t o = 0; o < 128; ++o) CHECK(std::abs(sum[o] - total[o]) <= 1e-3 * std::sqrt(squares[o]));
  // The input gradient of the turned layer writes as much.
  const ConvShape back{.n = 66, .h = 32, .w = 32, .c = 128, .o = 8}, back_one{.n = 1, .h = 32, .w = 32, .c = 128, .o = 8};
  kernels::conv2d_input_grad(back, x.data(), w.data(), together.data());
  for (std::int64_t n = 0; n < all.n; ++n)
    kernels::conv2d_input_grad(back_one, x.data() + n * 32 * 32 * 8, w.data(), alone.data() + n * 32 * 32 * 128);
  CHECK(together == alone);
  // So are the products of pairs written out, where no instruction takes them.
  for (const auto& variant : test::variants()) {
    if (variant.name != std::string("avx512 text on avx2")) continue;
    const auto forward = [&](const ConvShape& s, const bfloat16* from, bfloat16* to) {
      kernels::detail::forward_pairs(*variant.kernels, s, from, w.data(), nullptr, to, nullptr, nullptr, nullptr);
    };
    forward(all, x.data(), together.data());
    for (std::int64_t n = 0; n < all.n; ++n) forward(one, x.data() + n * 32 * 32 * 8, alone.data() + n * 32 * 32 * 128);
    CHECK(together == alone);
  }
}
