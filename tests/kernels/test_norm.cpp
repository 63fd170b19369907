#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "sslcake/core/random.hpp"
#include "sslcake/kernels/cpu/isa.hpp"
#include "sslcake/kernels/norm.hpp"
#include "variants.hpp"

using namespace sslcake;

namespace {

/// What kernels read or write, `offset` numbers behind where memory was aligned.
template <class T>
class Numbers {
 public:
  void resize(std::int64_t n, std::int64_t offset) {
    offset_ = offset;
    all_.resize(static_cast<std::size_t>(n + offset));
  }
  T* data() { return all_.data() + offset_; }
  const T* data() const { return all_.data() + offset_; }
  bool operator==(const Numbers&) const = default;

 private:
  std::vector<T> all_;
  std::int64_t offset_ = 0;
};

/// Small integers: sums and products are exact in float32, so that every variant and order gives the same bits.
template <class T>
Numbers<T> integers(std::int64_t n, std::uint64_t key, std::int64_t offset) {
  Random random(0, Purpose::test, 0, key);
  Numbers<T> out;
  out.resize(n, offset);
  for (std::int64_t i = 0; i < n; ++i) out.data()[i] = static_cast<T>(static_cast<float>(random.below(9)) - 4);
  return out;
}

/// Everything the kernels compute from one matrix.
template <class T>
struct Results {
  Numbers<double> mean, variance, sum, product, masked_sum, masked_product, recomputed_sum, recomputed_product;
  Numbers<T> affine, relu, residual, residual_relu, masked, applied, applied_recomputed, in_place;
  bool operator==(const Results&) const = default;
};

template <class T>
Results<T> run(std::int64_t rows, std::int64_t channels, std::int64_t offset = 0) {
  const std::int64_t n = rows * channels;
  const auto x = integers<T>(n, 1, offset), dy = integers<T>(n, 2, offset), more = integers<T>(n, 3, offset);
  using C = compute_t<T>;  // of the channels' constants
  const auto scale = integers<C>(channels, 4, offset), shift = integers<C>(channels, 5, offset),
             mean = integers<C>(channels, 6, offset);
  Results<T> r;
  for (auto* v :
       {&r.mean, &r.variance, &r.sum, &r.product, &r.masked_sum, &r.masked_product, &r.recomputed_sum, &r.recomputed_product})
    v->resize(channels, offset);
  for (auto* v : {&r.affine, &r.relu, &r.residual, &r.residual_relu, &r.masked, &r.applied, &r.applied_recomputed})
    v->resize(n, offset);
  if (rows > 0) kernels::channel_moments(rows, channels, x.data(), r.mean.data(), r.variance.data());
  const T* none = nullptr;
  kernels::channel_affine(rows, channels, x.data(), scale.data(), shift.data(), none, false, r.affine.data());
  kernels::channel_affine(rows, channels, x.data(), scale.data(), shift.data(), none, true, r.relu.data());
  kernels::channel_affine(rows, channels, x.data(), scale.data(), shift.data(), more.data(), false, r.residual.data());
  kernels::channel_affine(rows, channels, x.data(), scale.data(), shift.data(), more.data(), true, r.residual_relu.data());
  const kernels::ReluMask<T> plain, result{r.residual_relu.data(), nullptr, nullptr},
      recompute{nullptr, scale.data(), shift.data()};
  T* nothing = nullptr;
  kernels::channel_grad_sums(rows, channels, dy.data(), x.data(), mean.data(), plain, nothing, r.sum.data(), r.product.data());
  kernels::channel_grad_sums(rows, channels, dy.data(), x.data(), mean.data(), recompute, nothing, r.recomputed_sum.data(),
                             r.recomputed_product.data());
  kernels::channel_grad_sums(rows, channels, dy.data(), x.data(), mean.data(), result, r.masked.data(), r.masked_sum.data(),
                             r.masked_product.data());
  kernels::channel_grad_apply(rows, channels, dy.data(), x.data(), mean.data(), plain, scale.data(), shift.data(), mean.data(),
                              r.applied.data());
  kernels::channel_grad_apply(rows, channels, dy.data(), x.data(), mean.data(), recompute, scale.data(), shift.data(),
                              mean.data(), r.applied_recomputed.data());
  r.in_place = x;
  kernels::channel_grad_apply(rows, channels, dy.data(), r.in_place.data(), mean.data(), recompute, scale.data(), shift.data(),
                              mean.data(), r.in_place.data());
  return r;
}

}  // namespace

TEST_CASE_TEMPLATE("every variant of the normalisation kernels has the reference's bits on integers", T, float, double,
                   bfloat16) {
  const auto before = kernels::isa();
  // Widths below, at and above a vector, with and without a rest; rows that can and cannot be folded into wider ones.
  for (const std::int64_t channels : {1, 3, 4, 8, 16, 17, 31, 64, 100})
    for (const std::int64_t rows : {1, 2, 5, 64, 131, 1000}) {
      INFO(rows << " rows, " << channels << " channels");
      kernels::set_isa(kernels::Isa::reference);
      const auto expected = run<T>(rows, channels);
      CHECK(expected.in_place == expected.applied_recomputed);
      for (const auto isa : test::every_isa) {
        if (!kernels::supports(isa)) continue;
        kernels::set_isa(isa);
        CHECK_MESSAGE(run<T>(rows, channels) == expected, name_of(isa));
      }
    }
  kernels::set_isa(before);
}

TEST_CASE_TEMPLATE("the normalisation kernels take numbers at any address", T, float, double, bfloat16) {
  test::for_each_isa([] {
    for (const std::int64_t channels : {3, 16, 31, 64})
      for (const std::int64_t rows : {1, 131}) {
        INFO(rows << " rows, " << channels << " channels");
        const auto same = run<T>(rows, channels), moved = run<T>(rows, channels, 1);
        const auto equal = [](const auto& a, const auto& b, std::int64_t n) {
          return std::equal(a.data(), a.data() + n, b.data());
        };
        CHECK(equal(same.mean, moved.mean, channels));
        CHECK(equal(same.variance, moved.variance, channels));
        CHECK(equal(same.recomputed_product, moved.recomputed_product, channels));
        CHECK(equal(same.masked_product, moved.masked_product, channels));
        CHECK(equal(same.residual_relu, moved.residual_relu, rows * channels));
        CHECK(equal(same.masked, moved.masked, rows * channels));
        CHECK(equal(same.applied_recomputed, moved.applied_recomputed, rows * channels));
        CHECK(equal(same.in_place, moved.in_place, rows * channels));
      }
  });
}

TEST_CASE_TEMPLATE("the normalisation kernels of no rows and of no channels", T, float, double, bfloat16) {
  test::for_each_isa([] {
    run<T>(5, 0);
    run<T>(0, 20);
    std::vector<double> sum(20, -1.0), product(20, -1.0);
    const T* nothing = nullptr;
    T* masked = nullptr;
    const std::vector<compute_t<T>> mean(20);
    kernels::channel_grad_sums<T>(0, 20, nothing, nothing, mean.data(), {}, masked, sum.data(), product.data());
    CHECK(std::count(sum.begin(), sum.end(), 0.0) == 20);  // and not what was there before
    CHECK(std::count(product.begin(), product.end(), 0.0) == 20);
  });
}

TEST_CASE("channel_moments is as good as two passes in float64") {
  const auto before = kernels::isa();
  constexpr std::int64_t rows = 20000, channels = 5;
  std::vector<float> x(rows * channels);
  Random random(0, Purpose::test);
  for (std::int64_t i = 0; i < rows * channels; ++i)  // means of 0, 10, 1000, ... deviations
    x[static_cast<std::size_t>(i)] = random.normal() * 0.5f + static_cast<float>((i % channels) * (i % channels) * 60);
  for (const auto isa : test::every_isa) {
    if (!kernels::supports(isa)) continue;
    kernels::set_isa(isa);
    std::vector<double> mean(channels), variance(channels);
    kernels::channel_moments(rows, channels, x.data(), mean.data(), variance.data());
    for (std::size_t c = 0; c < channels; ++c) {
      double m = 0, v = 0;
      for (std::size_t r = 0; r < rows; ++r) m += static_cast<double>(x[r * channels + c]) / rows;
      for (std::size_t r = 0; r < rows; ++r)
        v += (static_cast<double>(x[r * channels + c]) - m) * (static_cast<double>(x[r * channels + c]) - m) / rows;
      CHECK(mean[c] == doctest::Approx(m).epsilon(1e-7));
      CHECK(variance[c] == doctest::Approx(v).epsilon(1e-5));
    }
  }
  kernels::set_isa(before);
}

TEST_CASE("the ReLU inside the kernels lets NaN through") {
  const auto before = kernels::isa();
  for (const auto isa : test::every_isa) {
    if (!kernels::supports(isa)) continue;
    kernels::set_isa(isa);
    for (const std::int64_t channels : {1, 16, 40}) {
      std::vector<float> x(static_cast<std::size_t>(channels) * 3, -1.0f), one(static_cast<std::size_t>(channels), 1.0f),
          zero(static_cast<std::size_t>(channels), 0.0f), y(x);
      x[static_cast<std::size_t>(channels)] = std::nanf("");
      kernels::channel_affine<float>(3, channels, x.data(), one.data(), zero.data(), nullptr, true, y.data());
      CHECK(std::isnan(y[static_cast<std::size_t>(channels)]));
      CHECK(y[0] == 0);
    }
  }
  kernels::set_isa(before);
}
