#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "sslcake/core/random.hpp"
#include "sslcake/kernels/cpu/isa.hpp"
#include "sslcake/kernels/norm.hpp"
#include "variants.hpp"

using namespace sslcake;

namespace {

/// Small integers: sums and products are exact in float32, so that every variant and order gives the same bits.
template <class T>
std::vector<T> integers(std::int64_t n, std::uint64_t key) {
  Random random(0, Purpose::test, 0, key);
  std::vector<T> out(static_cast<std::size_t>(n));
  for (auto& v : out) v = static_cast<T>(static_cast<int>(random.below(9)) - 4);
  return out;
}

/// Everything the kernels compute from one matrix.
template <class T>
struct Results {
  std::vector<double> mean, variance, sum, product, masked_sum, masked_product, recomputed_sum, recomputed_product;
  std::vector<T> affine, relu, residual, residual_relu, masked, applied, applied_recomputed, in_place;
  bool operator==(const Results&) const = default;
};

template <class T>
Results<T> run(std::int64_t rows, std::int64_t channels) {
  const std::int64_t n = rows * channels;
  const auto x = integers<T>(n, 1), dy = integers<T>(n, 2), more = integers<T>(n, 3), scale = integers<T>(channels, 4),
             shift = integers<T>(channels, 5), mean = integers<T>(channels, 6);
  const auto size = static_cast<std::size_t>(n);
  const auto width = static_cast<std::size_t>(channels);
  Results<T> r;
  for (auto* v :
       {&r.mean, &r.variance, &r.sum, &r.product, &r.masked_sum, &r.masked_product, &r.recomputed_sum, &r.recomputed_product})
    v->resize(width);
  for (auto* v : {&r.affine, &r.relu, &r.residual, &r.residual_relu, &r.masked, &r.applied, &r.applied_recomputed})
    v->resize(size);
  kernels::channel_moments(rows, channels, x.data(), r.mean.data(), r.variance.data());
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

TEST_CASE_TEMPLATE("every variant of the normalisation kernels has the reference's bits on integers", T, float, double) {
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
