// kernels/cuda/elementwise.cu, broadcast.cu and convert.cu against the same formulae in float64; converting against
// core's convert, bit by bit.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "../../include/sslcake/kernels/cuda/elementwise.hpp"
#include "../../include/sslcake/kernels/functions.hpp"
#include "device.hpp"

namespace {
using namespace cuda_test;
using sslcake::bfloat16;
using sslcake::DType;
namespace functions = sslcake::kernels::functions;
namespace cuda = sslcake::kernels::cuda;

const cuda::Elementwise& table() { return kernels_of<cuda::Elementwise>(); }

template <class S>
std::vector<S> as(const std::vector<float>& values) {
  if constexpr (std::is_same_v<S, float>) return values;
  else return rounded(values);
}
template <class S>
std::vector<double> doubles(const std::vector<S>& values) {
  std::vector<double> out;
  for (const S x : values) out.push_back(static_cast<double>(static_cast<float>(x)));
  return out;
}
template <class S>
constexpr DType type_of = sslcake::dtype_of<S>;
template <class S>
constexpr double tolerance = std::is_same_v<S, float> ? 2e-6 : 4e-3;

constexpr std::size_t sizes[] = {1, 7, 8, 9, 257, 4099};

template <class F>
constexpr bool positive_only = std::is_same_v<F, functions::Log> || std::is_same_v<F, functions::Sqrt> ||
                               std::is_same_v<F, functions::Pow> || std::is_same_v<F, functions::NumberDiv>;

template <class F, class S>
void check_unary(int id) {
  CAPTURE(id);
  const functions::ConstantsOf<double> c =
      std::is_same_v<F, functions::Clamp> ? functions::ConstantsOf<double>{-0.5, 0.75} : functions::ConstantsOf<double>{1.5, 0};
  for (const std::size_t n : sizes)
    for (const std::size_t shift : {std::size_t{0}, std::size_t{1}}) {  // 1: addresses that are aligned to nothing
      auto numbers = normal(n + shift, static_cast<unsigned>(n) + 1, 0, 2);
      if (positive_only<F>)
        for (float& x : numbers) x = 0.2f + std::abs(x);
      const auto x = as<S>(numbers), kept = x, dy = as<S>(normal(n + shift, static_cast<unsigned>(n) + 2));
      const auto gx = on_gpu(x), gk = on_gpu(kept), gdy = on_gpu(dy);
      OnGpu<S> gy(n + shift), gdx(n + shift);
      table().unary_value(id, type_of<S>, static_cast<std::int64_t>(n), gx.data() + shift, gy.data() + shift, c.a, c.b);
      table().unary_gradient(id, type_of<S>, static_cast<std::int64_t>(n), gk.data() + shift, gdy.data() + shift,
                             gdx.data() + shift, c.a, c.b);
      std::vector<double> y, dx, wanted_y, wanted_dx;
      const auto all_y = doubles(gy.values()), all_dx = doubles(gdx.values()), from = doubles(x), d = doubles(dy);
      for (std::size_t i = shift; i < n + shift; ++i) {
        y.push_back(all_y[i]);
        dx.push_back(all_dx[i]);
        wanted_y.push_back(F::value(from[i], c));
        wanted_dx.push_back(F::gradient(from[i], d[i], c));
      }
      CHECK(relative_error(y, wanted_y) < tolerance<S>);
      CHECK(relative_error(dx, wanted_dx) < tolerance<S>);
    }
}
template <class... F>
void check_all(functions::List<F...>) {
  (check_unary<F, float>(functions::id_in<F, functions::Unary>), ...);
  (check_unary<F, bfloat16>(functions::id_in<F, functions::Unary>), ...);
}

template <class F, class S>
void check_pair(int id) {
  CAPTURE(id);
  const functions::ConstantsOf<double> c{1.25, 0};
  for (const std::size_t n : sizes) {
    const auto x = as<S>(normal(n, static_cast<unsigned>(n) + 3));
    auto targets = normal(n, static_cast<unsigned>(n) + 4);
    for (float& t : targets) t = std::abs(t);
    targets[n / 2] = 0;
    const auto t = as<S>(targets), dy = as<S>(normal(n, static_cast<unsigned>(n) + 5));
    const auto gx = on_gpu(x), gt = on_gpu(t), gdy = on_gpu(dy);
    OnGpu<S> gy(n);
    table().pair_value(id, type_of<S>, static_cast<std::int64_t>(n), gx.data(), gt.data(), gy.data(), c.a, c.b);
    const auto dxs = doubles(x), dts = doubles(t), d = doubles(dy);
    std::vector<double> wanted(n);
    for (std::size_t i = 0; i < n; ++i) wanted[i] = F::value(dxs[i], dts[i], c);
    CHECK(relative_error(doubles(gy.values()), wanted) < tolerance<S>);
    for (int which = 0; which < 2; ++which) {
      OnGpu<S> gdx(n);
      table().pair_gradient(id, which, type_of<S>, static_cast<std::int64_t>(n), gx.data(), gt.data(), gdy.data(), gdx.data(),
                            c.a, c.b);
      for (std::size_t i = 0; i < n; ++i)
        wanted[i] = d[i] * (which ? F::slope_t(dxs[i], dts[i], c) : F::slope_x(dxs[i], dts[i], c));
      CHECK(relative_error(doubles(gdx.values()), wanted) < tolerance<S>);
    }
  }
}
template <class... F>
void check_all_pairs(functions::List<F...>) {
  (check_pair<F, float>(functions::id_in<F, functions::Pair>), ...);
  (check_pair<F, bfloat16>(functions::id_in<F, functions::Pair>), ...);
}

template <class S>
void check_broadcast(const cuda::BroadcastPlan& plan, std::size_t size_a, std::size_t size_b) {
  std::size_t n = 1;
  for (int d = 0; d < plan.rank; ++d) n *= static_cast<std::size_t>(plan.extent[d]);
  const auto a = as<S>(normal(size_a, 6)), b = as<S>(normal(size_b, 7, 3, 0.5f));
  const auto wide_a = doubles(a), wide_b = doubles(b);
  const auto ga = on_gpu(a), gb = on_gpu(b);
  for (int id = 0; id < functions::Arithmetic::size + 1; ++id) {
    CAPTURE(id);
    OnGpu<S> gy(n);
    if (id < functions::Arithmetic::size) table().arithmetic(id, type_of<S>, plan, ga.data(), gb.data(), gy.data());
    else table().repeat_to(type_of<S>, plan, gb.data(), gy.data());
    std::vector<double> wanted(n);
    for (std::size_t i = 0; i < n; ++i) {
      std::size_t rest = i, at_a = 0, at_b = 0;
      for (int d = plan.rank - 1; d >= 0; --d) {
        const auto extent = static_cast<std::size_t>(plan.extent[d]);
        at_a += rest % extent * static_cast<std::size_t>(plan.step_a[d]);
        at_b += rest % extent * static_cast<std::size_t>(plan.step_b[d]);
        rest /= extent;
      }
      const double p = wide_a[at_a], q = wide_b[at_b];
      wanted[i] = id == 0 ? p + q : id == 1 ? p - q : id == 2 ? p * q : id == 3 ? p / q : id == 4 ? (p == q ? 1 : 0) : q;
    }
    CHECK(relative_error(doubles(gy.values()), wanted) < tolerance<S>);
  }
}
template <class S>
void check_broadcasts() {
  check_broadcast<S>({0, {}, {}, {}}, 1, 1);
  for (const std::int64_t n : {std::int64_t{1}, std::int64_t{13}, std::int64_t{520}}) {
    const auto size = static_cast<std::size_t>(n);
    check_broadcast<S>({1, {n}, {1}, {1}}, size, size);
    check_broadcast<S>({1, {n}, {0}, {1}}, 1, size);
    check_broadcast<S>({1, {n}, {1}, {0}}, size, 1);
    for (const std::int64_t rows : {std::int64_t{2}, std::int64_t{7}}) {
      const auto all = static_cast<std::size_t>(n * rows), r = static_cast<std::size_t>(rows);
      check_broadcast<S>({2, {rows, n}, {n, 1}, {0, 1}}, all, size);  // a row for all rows
      check_broadcast<S>({2, {rows, n}, {n, 1}, {1, 0}}, all, r);     // a number for each row
      check_broadcast<S>({2, {rows, n}, {0, 1}, {1, 0}}, size, r);
    }
  }
  check_broadcast<S>({3, {3, 5, 16}, {80, 16, 1}, {16, 0, 1}}, 240, 48);
  check_broadcast<S>({3, {3, 5, 7}, {35, 7, 1}, {7, 0, 1}}, 105, 21);
  check_broadcast<S>({8, {2, 3, 2, 3, 2, 3, 2, 3}, {108, 0, 54, 0, 9, 3, 0, 1}, {0, 36, 0, 12, 6, 2, 1, 0}}, 216, 108);
}
}  // namespace

TEST_CASE("functions of one tensor") { check_all(functions::Unary{}); }
TEST_CASE("functions of two tensors") { check_all_pairs(functions::Pair{}); }

TEST_CASE("relu passes NaN on, gelu its digits in the lower tail") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> x{nan, -1, 2, -12, -3, 30, -40};
  const auto gx = on_gpu(x);
  OnGpu<float> gy(x.size());
  table().unary_value(functions::id_in<functions::Relu, functions::Unary>, DType::float32, 7, gx.data(), gy.data(), 0, 0);
  CHECK(std::isnan(gy.values()[0]));
  CHECK(gy.values()[1] == 0);
  table().unary_value(functions::id_in<functions::Gelu, functions::Unary>, DType::float32, 7, gx.data(), gy.data(), 0, 0);
  const auto y = gy.values();
  CHECK(std::isnan(y[0]));
  for (std::size_t i = 1; i < x.size(); ++i) {
    const double wanted = functions::Gelu::value<double>(x[i], {0, 0});
    CHECK(std::abs(y[i] - wanted) <= 1e-5 * std::abs(wanted) + 1e-37);
  }
}

TEST_CASE("arithmetic with broadcasting") {
  check_broadcasts<float>();
  check_broadcasts<bfloat16>();
}

TEST_CASE("sums in place and of two types") {
  for (const std::size_t n : sizes) {
    const auto a = normal(n, 8);
    const auto b = rounded(normal(n, 9));
    const auto ga = on_gpu(a);
    const auto gb = on_gpu(b);
    OnGpu<float> gy(n);
    table().add_widened(static_cast<std::int64_t>(n), ga.data(), gb.data(), gy.data());
    const auto y = gy.values();
    for (std::size_t i = 0; i < n; ++i) CHECK(y[i] == a[i] + static_cast<float>(b[i]));
    table().add_into(DType::float32, static_cast<std::int64_t>(n), gy.data(), ga.data());
    const auto twice = gy.values();
    for (std::size_t i = 0; i < n; ++i) CHECK(twice[i] == y[i] + a[i]);
    const auto ra = rounded(a);
    const auto gr = on_gpu(ra);
    table().add_into(DType::bfloat16, static_cast<std::int64_t>(n), gr.data(), gb.data());
    const auto sum = gr.values();
    for (std::size_t i = 0; i < n; ++i) CHECK(sum[i].bits == bfloat16(static_cast<float>(ra[i]) + static_cast<float>(b[i])).bits);
  }
}

TEST_CASE("filling and converting, every pair of types") {
  const std::vector<double> special{0, 1, -1, 2.5, -0.5, 254.6, 255, 256, 300, -300, 3e9, -3e9, 1e19, -1e19, 9.3e18,
                                    std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
                                    std::numeric_limits<double>::quiet_NaN(), 1e-3, 65535};
  const auto each = [](auto body) {
    body(float{}), body(bfloat16{}), body(std::int64_t{}), body(std::uint8_t{}), body(bool{});
  };
  each([&](auto from) {
    using From = decltype(from);
    for (const std::size_t n : {std::size_t{1}, std::size_t{8}, std::size_t{53}})
      each([&](auto to) {
        using To = decltype(to);
        using Stored = std::conditional_t<std::is_same_v<From, bool>, std::uint8_t, From>;  // vector<bool> is none
        using StoredTo = std::conditional_t<std::is_same_v<To, bool>, std::uint8_t, To>;
        std::vector<Stored> x(n);
        for (std::size_t i = 0; i < n; ++i)
          x[i] = static_cast<Stored>(sslcake::detail::convert<From>(special[i % special.size()]));
        const auto gx = on_gpu(x);
        OnGpu<StoredTo> gy(n);
        table().convert(type_of<From>, gx.data(), type_of<To>, gy.data(), static_cast<std::int64_t>(n));
        const auto y = gy.values();
        for (std::size_t i = 0; i < n; ++i) {
          CAPTURE(i);
          From value;
          std::memcpy(&value, &x[i], sizeof value);
          const auto wanted = static_cast<StoredTo>(sslcake::detail::convert<To>(value));
          if constexpr (std::is_same_v<To, float> || std::is_same_v<To, bfloat16>) {
            if (std::isnan(static_cast<float>(wanted))) {
              CHECK(std::isnan(static_cast<float>(y[i])));
              continue;
            }
          }
          CHECK(std::memcmp(&y[i], &wanted, sizeof wanted) == 0);
        }
        table().fill(type_of<To>, static_cast<std::int64_t>(n), gy.data(), special[n % special.size()]);
        const auto filled = gy.values();
        const auto wanted = static_cast<StoredTo>(sslcake::detail::convert<To>(special[n % special.size()]));
        for (const auto value : filled) CHECK(std::memcmp(&value, &wanted, sizeof wanted) == 0);
      });
  });
}
