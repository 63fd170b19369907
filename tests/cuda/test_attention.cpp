// Attention's kernels against the definition in float64.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "../../include/sslcake/kernels/cuda/attention.hpp"
#include "device.hpp"

using namespace cuda_test;
using sslcake::bfloat16;
using sslcake::DType;
namespace {

struct Expected {
  std::vector<double> y, logs, dqkv;
};
Expected attention(std::size_t batch, std::size_t tokens, std::size_t heads, std::size_t d, const std::vector<float>& qkv,
                   const std::vector<float>& dy) {
  const std::size_t width = heads * d, pitch = 3 * width;
  const double scale = 1 / std::sqrt(static_cast<double>(d));
  Expected out{std::vector<double>(batch * tokens * width), std::vector<double>(batch * heads * tokens),
               std::vector<double>(qkv.size())};
  for (std::size_t n = 0; n < batch; ++n)
    for (std::size_t h = 0; h < heads; ++h) {
      const auto at = [&](std::size_t t, std::size_t which, std::size_t k) {
        return (n * tokens + t) * pitch + which * width + h * d + k;
      };
      for (std::size_t i = 0; i < tokens; ++i) {
        std::vector<double> p(tokens), g(tokens);
        double most = -1e300, sum = 0, along = 0;
        for (std::size_t j = 0; j < tokens; ++j) {
          for (std::size_t k = 0; k < d; ++k)
            p[j] += static_cast<double>(qkv[at(i, 0, k)]) * static_cast<double>(qkv[at(j, 1, k)]);
          most = std::max(most, p[j] *= scale);
        }
        for (auto& x : p) sum += std::exp(x - most);
        const double log = out.logs[(n * heads + h) * tokens + i] = most + std::log(sum);
        for (std::size_t j = 0; j < tokens; ++j) {
          p[j] = std::exp(p[j] - log);
          for (std::size_t k = 0; k < d; ++k) {
            const std::size_t y = (n * tokens + i) * width + h * d + k;
            const auto v = static_cast<double>(qkv[at(j, 2, k)]), grad = static_cast<double>(dy[y]);
            out.y[y] += p[j] * v;
            g[j] += grad * v;
            out.dqkv[at(j, 2, k)] += p[j] * grad;
          }
          along += p[j] * g[j];
        }
        for (std::size_t j = 0; j < tokens; ++j)
          for (std::size_t k = 0; k < d; ++k) {
            const double slope = p[j] * (g[j] - along) * scale;
            out.dqkv[at(i, 0, k)] += slope * static_cast<double>(qkv[at(j, 1, k)]);
            out.dqkv[at(j, 1, k)] += slope * static_cast<double>(qkv[at(i, 0, k)]);
          }
      }
    }
  return out;
}

/// `shift`: how many numbers behind an aligned address the tensors start.
template <class S>
void compare(std::size_t batch, std::size_t tokens, std::size_t heads, std::size_t d, std::size_t shift = 0) {
  CAPTURE(tokens);
  CAPTURE(d);
  constexpr bool half = std::is_same_v<S, bfloat16>;
  const double tolerance = half ? 8e-3 : 3e-6;
  const std::size_t count = batch * tokens * heads * d;
  auto qkv = normal(3 * count, static_cast<unsigned>(tokens * d), 0.1f), dy = normal(count, 5);
  std::vector<S> qkv_in, dy_in;
  if constexpr (half) {
    qkv_in = rounded(qkv), dy_in = rounded(dy);
    qkv = widened(qkv_in), dy = widened(dy_in);
  } else qkv_in = qkv, dy_in = dy;
  qkv_in.insert(qkv_in.begin(), shift, S(0.0f));
  dy_in.insert(dy_in.begin(), shift, S(0.0f));
  const auto wanted = attention(batch, tokens, heads, d, qkv, dy);

  sslcake::kernels::cuda::Attention table;
  install(table);
  const auto input = on_gpu(qkv_in), grad = on_gpu(dy_in);
  const OnGpu<S> y(count + shift), dqkv(3 * count + shift);
  const OnGpu<float> logs(batch * heads * tokens);
  const sslcake::kernels::cuda::AttentionSizes sizes{static_cast<std::int64_t>(batch), static_cast<std::int64_t>(tokens),
                                                     static_cast<std::int64_t>(heads), static_cast<std::int64_t>(d)};
  const float scale = 1 / std::sqrt(static_cast<float>(d));
  table.forward(sslcake::dtype_of<S>, sizes, scale, input.data() + shift, y.data() + shift, logs.data());
  table.backward(sslcake::dtype_of<S>, sizes, scale, input.data() + shift, y.data() + shift, grad.data() + shift, logs.data(),
                 dqkv.data() + shift);
  const auto behind = [&](std::vector<S> all) {
    all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(shift));
    if constexpr (half) return widened(all);
    else return all;
  };
  CHECK(relative_error(logs.values(), wanted.logs) < 1e-5);
  CHECK(relative_error(behind(y.values()), wanted.y) < tolerance);
  // Each third by itself: queries' and keys' gradients are smaller than values'.
  const auto found = behind(dqkv.values());
  for (std::size_t part = 0; part < 3; ++part) {
    std::vector<float> a;
    std::vector<double> b;
    for (std::size_t i = 0; i < found.size(); ++i)
      if (i / (heads * d) % 3 == part) a.push_back(found[i]), b.push_back(wanted.dqkv[i]);
    CAPTURE(part);
    CHECK(relative_error(a, b) < tolerance + (tokens == 1 ? 1 : 0));  // one token: 0 but for rounding
  }
}

}  // namespace

TEST_CASE("Attention on the GPU: bfloat16 on tensor cores") {
  compare<bfloat16>(2, 65, 3, 64);
  compare<bfloat16>(1, 1, 2, 32);
  compare<bfloat16>(1, 17, 2, 32);
  compare<bfloat16>(1, 131, 1, 64);
  compare<bfloat16>(1, 70, 1, 96);
  compare<bfloat16>(1, 67, 2, 128);
}
TEST_CASE("Attention on the GPU: float32, other widths, and tensors that are not aligned") {
  compare<float>(2, 65, 2, 64);
  compare<float>(1, 1, 1, 1);
  compare<float>(1, 33, 2, 17);
  compare<float>(1, 31, 1, 129);
  compare<float>(1, 5, 1, 256);
  compare<bfloat16>(1, 40, 2, 48);
  compare<bfloat16>(1, 19, 2, 64, 1);
}
