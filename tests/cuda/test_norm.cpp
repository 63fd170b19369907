// The kernels of normalisation layers against sums in float64.
#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>

#include "../../include/sslcake/kernels/cuda/norm.hpp"
#include "device.hpp"

namespace {

using namespace cuda_test;
using sslcake::bfloat16;
using sslcake::DType;
using sslcake::dtype_of;
namespace cuda = sslcake::kernels::cuda;

const cuda::Norm& norm() {
  static const cuda::Norm table = [] {
    cuda::Norm t;
    cuda::install(t);
    return t;
  }();
  return table;
}

template <class S>
std::vector<S> stored(const std::vector<float>& values) {
  if constexpr (std::is_same_v<S, float>) return values;
  else return rounded(values);
}
template <class S>
std::vector<double> wide(const std::vector<S>& values) {
  std::vector<double> out;
  for (const S x : values) out.push_back(static_cast<double>(static_cast<float>(x)));
  return out;
}
/// How far results of type S may be off.
template <class S>
constexpr double precision = std::is_same_v<S, float> ? 2e-6 : 4e-3;

using Doubles = std::vector<double>;
struct Moments {
  Doubles mean, variance;
};
Moments moments_of(const Doubles& x, std::size_t channels) {
  const std::size_t rows = x.size() / channels;
  Moments m{Doubles(channels), Doubles(channels)};
  for (std::size_t i = 0; i < x.size(); ++i) m.mean[i % channels] += x[i] / static_cast<double>(rows);
  for (std::size_t i = 0; i < x.size(); ++i)
    m.variance[i % channels] += (x[i] - m.mean[i % channels]) * (x[i] - m.mean[i % channels]) / static_cast<double>(rows);
  return m;
}

struct Extents {
  std::size_t rows, channels;
};
// Widths of vectors, of blocks and of neither; rows below, at and beyond a tile, and beyond a tile for every block of the model.
const std::vector<Extents> extents = {{2, 8},    {1, 5},  {131, 3},  {127, 64}, {1025, 64}, {9, 2048},  {33, 264},
                                      {700, 16}, {64, 1}, {257, 40}, {3000, 8}, {70, 24},   {20000, 3}, {3300, 128}};

template <class S>
void check_forward(Extents e, float center, bool running) {
  CAPTURE(e.rows);
  CAPTURE(e.channels);
  CAPTURE(center);
  const std::size_t n = e.rows * e.channels;
  const auto x = stored<S>(normal(n, 1, center)), residual = stored<S>(normal(n, 2));
  const auto gamma = normal(e.channels, 3, 1, 0.3f), beta = normal(e.channels, 4), running_mean = normal(e.channels, 5),
             running_var = normal(e.channels, 6, 4, 0.3f);
  const auto rows = static_cast<std::int64_t>(e.rows), channels = static_cast<std::int64_t>(e.channels);
  const auto on_x = on_gpu(x), on_residual = on_gpu(residual);
  const OnGpu<float> mean(e.channels), variance(e.channels), kept(e.channels), inverse(e.channels), scale(e.channels),
      shift(e.channels);
  norm().channel_moments(dtype_of<S>, rows, channels, on_x.data(), mean.data(), variance.data());
  const auto expected = moments_of(wide(x), e.channels);
  const auto got_mean = mean.values(), got_variance = variance.values();
  for (std::size_t c = 0; c < e.channels; ++c) {
    CHECK(got_mean[c] == doctest::Approx(expected.mean[c]).epsilon(2e-6).scale(1));
    CHECK(std::abs(static_cast<double>(got_variance[c]) - expected.variance[c]) <= 1e-5 * expected.variance[c] + 1e-12);
  }

  const auto on_gamma = on_gpu(gamma), on_beta = on_gpu(beta), on_mean = on_gpu(running_mean), on_var = on_gpu(running_var);
  const auto counter = on_gpu(std::vector<std::int64_t>{41});
  const bool updates = running && e.rows > 1;
  norm().channel_coefficients(
      channels, {mean.data(), variance.data(), running ? on_gamma.data() : nullptr, running ? on_beta.data() : nullptr,
                 updates ? on_mean.data() : nullptr, updates ? on_var.data() : nullptr, updates ? counter.data() : nullptr, rows,
                 0.1, 1e-3, kept.data(), inverse.data(), scale.data(), shift.data()});
  CHECK(counter.values()[0] == (updates ? 42 : 41));
  const auto new_mean = on_mean.values(), new_var = on_var.values(), got_inverse = inverse.values();
  CHECK(kept.values() == got_mean);
  Doubles y(n), with_residual(n);
  for (std::size_t c = 0; c < e.channels; ++c) {
    const double m = expected.mean[c], v = expected.variance[c],
                 unbiased = v * static_cast<double>(e.rows) / static_cast<double>(e.rows - 1);
    CHECK(new_mean[c] ==
          doctest::Approx(updates ? 0.9 * static_cast<double>(running_mean[c]) + 0.1 * m : static_cast<double>(running_mean[c])));
    CHECK(new_var[c] == doctest::Approx(updates ? 0.9 * static_cast<double>(running_var[c]) + 0.1 * unbiased
                                                : static_cast<double>(running_var[c])));
    CHECK(got_inverse[c] == doctest::Approx(1 / std::sqrt(v + 1e-3)));
    for (std::size_t r = 0; r < e.rows; ++r) {
      const std::size_t i = r * e.channels + c;
      y[i] = (wide(std::vector<S>{x[i]})[0] - m) / std::sqrt(v + 1e-3);
      if (running) y[i] = y[i] * static_cast<double>(gamma[c]) + static_cast<double>(beta[c]);
      with_residual[i] = std::max(0.0, y[i] + wide(std::vector<S>{residual[i]})[0]);
    }
  }
  const double tolerance = precision<S> + static_cast<double>(std::abs(center)) * 1e-6;
  const OnGpu<S> on_y(n);
  norm().channel_affine(dtype_of<S>, rows, channels, on_x.data(), scale.data(), shift.data(), nullptr, false, on_y.data());
  CHECK(relative_error(wide(on_y.values()), y) < tolerance);
  norm().channel_affine(dtype_of<S>, rows, channels, on_x.data(), scale.data(), shift.data(), on_residual.data(), true,
                        on_residual.data());
  CHECK(relative_error(wide(on_residual.values()), with_residual) < tolerance);
  norm().channel_affine(dtype_of<S>, rows, channels, on_x.data(), scale.data(), shift.data(), nullptr, true,
                        on_x.data());  // over x
  for (auto& value : y) value = std::max(0.0, value);
  CHECK(relative_error(wide(on_x.values()), y) < tolerance);
}

enum class Mask { none, result, recomputed };

template <class S>
void check_gradient(Extents e, Mask mask, bool of_batch, bool over_z) {
  CAPTURE(e.rows);
  CAPTURE(e.channels);
  CAPTURE(static_cast<int>(mask));
  const std::size_t n = e.rows * e.channels;
  const auto z = stored<S>(normal(n, 1, 0.5f)), dy = stored<S>(normal(n, 2, 0.1f)), result = stored<S>(normal(n, 3));
  const auto gamma = normal(e.channels, 4, 1, 0.3f), beta = normal(e.channels, 5, 0, 0.3f);
  std::vector<float> mean(e.channels), inverse(e.channels), scale(e.channels), shift(e.channels);
  const auto m = moments_of(wide(z), e.channels);
  for (std::size_t c = 0; c < e.channels; ++c) {
    mean[c] = static_cast<float>(m.mean[c]);
    inverse[c] = static_cast<float>(1 / std::sqrt(m.variance[c] + 1e-2));
    scale[c] = gamma[c] * inverse[c];
    shift[c] = beta[c] - mean[c] * scale[c];
  }
  // In float64.
  const Doubles zs = wide(z), dys = wide(dy), results = wide(result);
  Doubles g(n), dz(n), sum(e.channels), product(e.channels);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t c = i % e.channels;
    const bool open = mask == Mask::none     ? true
                      : mask == Mask::result ? results[i] > 0
                                             : std::fma(static_cast<float>(zs[i]), scale[c], shift[c]) > 0;
    g[i] = open ? dys[i] : 0;
    sum[c] += g[i];
    product[c] += g[i] * (zs[i] - static_cast<double>(mean[c])) * static_cast<double>(inverse[c]);
  }
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t c = i % e.channels;
    const double inv = static_cast<double>(inverse[c]), normalised = (zs[i] - static_cast<double>(mean[c])) * inv,
                 count = static_cast<double>(e.rows);
    dz[i] = static_cast<double>(gamma[c]) * inv * (g[i] - (of_batch ? sum[c] / count + normalised * product[c] / count : 0));
  }

  const auto on_z = on_gpu(z), on_dy = on_gpu(dy), on_result = on_gpu(result);
  const auto on_mean = on_gpu(mean), on_inverse = on_gpu(inverse), on_scale = on_gpu(scale), on_shift = on_gpu(shift),
             on_gamma = on_gpu(gamma);
  const OnGpu<float> dgamma(e.channels), dbeta(e.channels), a(e.channels), b(e.channels), d(e.channels);
  cuda::ChannelReluMask how{};
  if (mask == Mask::result) how.result = on_result.data();
  if (mask == Mask::recomputed) how.scale = on_scale.data(), how.shift = on_shift.data();
  const auto rows = static_cast<std::int64_t>(e.rows), channels = static_cast<std::int64_t>(e.channels);
  norm().channel_grad_sums(
      dtype_of<S>, rows, channels, on_dy.data(), on_z.data(), how, mask == Mask::result ? on_dy.data() : nullptr,
      {on_mean.data(), on_inverse.data(), on_gamma.data(), of_batch, dgamma.data(), dbeta.data(), a.data(), b.data(), d.data()});
  CHECK(wide(on_dy.values()) == (mask == Mask::result ? g : dys));
  if (mask == Mask::result) how = {};
  CHECK(relative_error(dgamma.values(), product) < 1e-5);
  CHECK(relative_error(dbeta.values(), sum) < 1e-5);
  auto* to = over_z ? on_z.data() : on_dy.data();
  norm().channel_grad_apply(dtype_of<S>, rows, channels, on_dy.data(), on_z.data(), how, a.data(), b.data(), d.data(), to);
  // With two rows per channel hardly anything is left of the gradient.
  if (e.rows > 8) CHECK(relative_error(wide(over_z ? on_z.values() : on_dy.values()), dz) < precision<S>);
}

template <class S>
void check_layer_norm(Extents e, bool parameters) {
  CAPTURE(e.rows);
  CAPTURE(e.channels);
  const std::size_t n = e.rows * e.channels, width = e.channels;
  const auto x = normal(n, 1, 3, 2), gamma = normal(width, 2, 1, 0.3f), beta = normal(width, 3);
  const auto dy = stored<S>(normal(n, 4));
  Doubles y(n), dx(n), dgamma(width), dbeta(width);
  const auto gamma_of = [&](std::size_t c) { return parameters ? static_cast<double>(gamma[c]) : 1.0; };
  for (std::size_t r = 0; r < e.rows; ++r) {
    const auto m = moments_of(wide(std::vector<float>(x.begin() + static_cast<std::ptrdiff_t>(r * width),
                                                      x.begin() + static_cast<std::ptrdiff_t>((r + 1) * width))),
                              1);
    const double inverse = 1 / std::sqrt(m.variance[0] + 1e-3);
    double sum = 0, product = 0;
    for (std::size_t c = 0; c < width; ++c) {
      const double hat = (static_cast<double>(x[r * width + c]) - m.mean[0]) * inverse,
                   g = static_cast<double>(static_cast<float>(dy[r * width + c]));
      y[r * width + c] = hat * gamma_of(c) + (parameters ? static_cast<double>(beta[c]) : 0.0);
      dgamma[c] += g * hat;
      dbeta[c] += g;
      sum += g * gamma_of(c) / static_cast<double>(width);
      product += g * gamma_of(c) * hat / static_cast<double>(width);
    }
    for (std::size_t c = 0; c < width; ++c) {
      const double hat = (static_cast<double>(x[r * width + c]) - m.mean[0]) * inverse,
                   g = static_cast<double>(static_cast<float>(dy[r * width + c]));
      dx[r * width + c] = (g * gamma_of(c) - sum - hat * product) * inverse;
    }
  }
  const auto on_x = on_gpu(x), on_gamma = on_gpu(gamma), on_beta = on_gpu(beta);
  const auto on_dy = on_gpu(dy);
  const OnGpu<S> on_y(n);
  const OnGpu<float> mean(e.rows), inverse(e.rows), on_dx(n), on_dgamma(width), on_dbeta(width);
  const auto rows = static_cast<std::int64_t>(e.rows), columns = static_cast<std::int64_t>(width);
  const float *g = parameters ? on_gamma.data() : nullptr, *b = parameters ? on_beta.data() : nullptr;
  norm().layer_norm(dtype_of<S>, rows, columns, on_x.data(), g, b, 1e-3, mean.data(), inverse.data(), on_y.data());
  CHECK(relative_error(wide(on_y.values()), y) < precision<S>);
  norm().layer_norm_grad(dtype_of<S>, rows, columns, on_dy.data(), on_x.data(), g, mean.data(), inverse.data(), on_dx.data(),
                         parameters ? on_dgamma.data() : nullptr, parameters ? on_dbeta.data() : nullptr);
  if (width > 2) CHECK(relative_error(on_dx.values(), dx) < 1e-5);
  if (!parameters) return;
  CHECK(relative_error(on_dgamma.values(), dgamma) < 1e-5);
  CHECK(relative_error(on_dbeta.values(), dbeta) < 1e-5);
  norm().layer_norm_grad(dtype_of<S>, rows, columns, on_dy.data(), on_x.data(), g, mean.data(), inverse.data(), nullptr,
                         on_dgamma.data(), on_dbeta.data());
  CHECK(relative_error(on_dgamma.values(), dgamma) < 1e-5);
}

}  // namespace

TEST_CASE("channel moments, coefficients and the affine pass, far from zero too") {
  for (const auto e : extents) {
    check_forward<float>(e, 0.3f, true);
    check_forward<bfloat16>(e, 0.3f, true);
  }
  check_forward<float>({777, 12}, 1000, true);
  check_forward<bfloat16>({100, 16}, 30, false);
}

TEST_CASE("channel gradients with every mask") {
  for (const auto mask : {Mask::none, Mask::result, Mask::recomputed})
    for (const auto e : extents) {
      check_gradient<float>(e, mask, true, true);
      check_gradient<bfloat16>(e, mask, e.rows % 2 == 0, e.channels % 2 == 0);
    }
}

TEST_CASE("addresses that are not aligned") {
  const std::size_t rows = 50, channels = 16;
  const auto x = normal(rows * channels + 1, 1), gamma = normal(channels + 1, 2);
  const auto on_x = on_gpu(x), on_gamma = on_gpu(gamma);
  const OnGpu<float> y(rows * channels), mean(channels), variance(channels);
  norm().channel_affine(DType::float32, rows, channels, on_x.data() + 1, on_gamma.data() + 1, on_gamma.data(), nullptr, false,
                        y.data());
  norm().channel_moments(DType::float32, rows, channels, on_x.data() + 1, mean.data(), variance.data());
  const auto got = y.values();
  for (std::size_t i = 0; i < got.size(); ++i)
    CHECK(got[i] == doctest::Approx(x[i + 1] * gamma[i % channels + 1] + gamma[i % channels]).epsilon(1e-5));
  const auto m = moments_of(wide(std::vector<float>(x.begin() + 1, x.end())), channels);
  CHECK(relative_error(mean.values(), m.mean) < 1e-5);
  CHECK(relative_error(variance.values(), m.variance) < 1e-5);
}

TEST_CASE("layer norm and its gradient") {
  for (const Extents e : {Extents{3, 4}, {67, 192}, {5, 768}, {2, 1024}, {20, 132}, {7, 5}, {1, 1500}, {9, 1}, {300, 36}}) {
    check_layer_norm<float>(e, true);
    check_layer_norm<bfloat16>(e, true);
  }
  check_layer_norm<float>({4, 64}, false);
  check_layer_norm<float>({4, 63}, false);
}

TEST_CASE("group norm and its gradient") {
  struct Case {
    std::size_t pictures, pixels, channels, groups;
  };
  for (const Case k : {Case{2, 33, 12, 3}, {3, 7, 10, 10}, {1, 40, 6, 1}}) {
    const std::size_t n = k.pictures * k.pixels * k.channels, width = k.channels / k.groups, size = width * k.pixels;
    const auto x = normal(n, 1, 2), dy = normal(n, 2), gamma = normal(k.channels, 3, 1, 0.3f), beta = normal(k.channels, 4);
    Doubles y(n), dx(n), dgamma(k.channels), dbeta(k.channels);
    for (std::size_t p = 0; p < k.pictures; ++p)
      for (std::size_t s = 0; s < k.groups; ++s) {
        std::vector<std::size_t> at;
        std::vector<float> values;
        for (std::size_t i = 0; i < size; ++i)
          at.push_back((p * k.pixels + i / width) * k.channels + s * width + i % width), values.push_back(x[at.back()]);
        const auto m = moments_of(wide(values), 1);
        const double inverse = 1 / std::sqrt(m.variance[0] + 1e-3);
        double sum = 0, product = 0;
        for (const auto i : at) {
          const std::size_t c = i % k.channels;
          const double hat = (static_cast<double>(x[i]) - m.mean[0]) * inverse, g = static_cast<double>(dy[i]);
          y[i] = hat * static_cast<double>(gamma[c]) + static_cast<double>(beta[c]);
          dgamma[c] += g * hat;
          dbeta[c] += g;
          sum += g * static_cast<double>(gamma[c]) / static_cast<double>(size);
          product += g * static_cast<double>(gamma[c]) * hat / static_cast<double>(size);
        }
        for (const auto i : at)
          dx[i] = (static_cast<double>(dy[i]) * static_cast<double>(gamma[i % k.channels]) - sum -
                   (static_cast<double>(x[i]) - m.mean[0]) * inverse * product) *
                  inverse;
      }
    const auto on_x = on_gpu(x), on_dy = on_gpu(dy), on_gamma = on_gpu(gamma), on_beta = on_gpu(beta);
    const OnGpu<float> on_y(n), on_dx(n), mean(k.pictures * k.groups), inverse(k.pictures * k.groups), on_dgamma(k.channels),
        on_dbeta(k.channels);
    const auto pictures = static_cast<std::int64_t>(k.pictures), pixels = static_cast<std::int64_t>(k.pixels),
               channels = static_cast<std::int64_t>(k.channels), groups = static_cast<std::int64_t>(k.groups);
    norm().group_norm(pictures, pixels, channels, groups, on_x.data(), on_gamma.data(), on_beta.data(), 1e-3, mean.data(),
                      inverse.data(), on_y.data());
    norm().group_norm_grad(pictures, pixels, channels, groups, on_dy.data(), on_x.data(), on_gamma.data(), mean.data(),
                           inverse.data(), on_dx.data(), on_dgamma.data(), on_dbeta.data());
    CHECK(relative_error(on_y.values(), y) < 1e-5);
    CHECK(relative_error(on_dx.values(), dx) < 1e-5);
    CHECK(relative_error(on_dgamma.values(), dgamma) < 1e-5);
    CHECK(relative_error(on_dbeta.values(), dbeta) < 1e-5);
  }
}

// Not a check: how fast the passes move memory on a real GPU. Run with --no-skip --test-case="*bandwidth*".
TEST_CASE("bandwidth of the channel passes" * doctest::skip()) {
  for (const Extents e : {Extents{256 * 56 * 56, 64},
                          {256 * 56 * 56, 256},
                          {256 * 28 * 28, 128},
                          {256 * 14 * 14, 1024},
                          {256 * 7 * 7, 512},
                          {256 * 7 * 7, 2048}}) {
    const auto rows = static_cast<std::int64_t>(e.rows), channels = static_cast<std::int64_t>(e.channels);
    const std::size_t n = e.rows * e.channels;
    const auto zeros = [&] {
      OnGpu<bfloat16> t(n);
      cudaMemsetAsync(t.data(), 0, n * 2, cuda::stream());
      return t;
    };
    const auto x = zeros(), dy = zeros(), y = zeros();
    const auto ones = on_gpu(std::vector<float>(e.channels, 1.0f));
    const OnGpu<float> first(e.channels), second(e.channels), a(e.channels), b(e.channels), d(e.channels);
    const cuda::ChannelGradient gradient{ones.data(),   ones.data(), ones.data(), true,    first.data(),
                                         second.data(), a.data(),    b.data(),    d.data()};
    const cuda::ChannelReluMask recomputed{nullptr, ones.data(), ones.data()}, result{y.data(), nullptr, nullptr};
    const auto measure = [&](const char* name, double tensors, auto body) {
      for (int i = 0; i < 3; ++i) body();
      cudaStreamSynchronize(cuda::stream());
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < 50; ++i) body();
      cudaStreamSynchronize(cuda::stream());
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / 50;
      std::printf("%8lld x %4lld  %-28s %8.1f us  %6.2f TB/s\n", static_cast<long long>(rows), static_cast<long long>(channels),
                  name, seconds * 1e6, tensors * static_cast<double>(n) * 2 / seconds * 1e-12);
    };
    constexpr DType t = DType::bfloat16;
    measure("moments", 1, [&] { norm().channel_moments(t, rows, channels, x.data(), first.data(), second.data()); });
    measure("affine, relu", 2,
            [&] { norm().channel_affine(t, rows, channels, x.data(), ones.data(), ones.data(), nullptr, true, y.data()); });
    measure("affine, residual, relu", 3,
            [&] { norm().channel_affine(t, rows, channels, x.data(), ones.data(), ones.data(), dy.data(), true, y.data()); });
    measure("sums, mask recomputed", 2,
            [&] { norm().channel_grad_sums(t, rows, channels, dy.data(), x.data(), recomputed, nullptr, gradient); });
    measure("sums, mask by result", 4,
            [&] { norm().channel_grad_sums(t, rows, channels, dy.data(), x.data(), result, dy.data(), gradient); });
    measure("dz, mask recomputed", 3, [&] {
      norm().channel_grad_apply(t, rows, channels, dy.data(), x.data(), recomputed, ones.data(), ones.data(), ones.data(),
                                x.data());
    });
    measure("dz, no mask", 3, [&] {
      norm().channel_grad_apply(t, rows, channels, dy.data(), x.data(), {}, ones.data(), ones.data(), ones.data(), x.data());
    });
  }
}
