#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <sslcake/augment/colours.hpp>
#include <sslcake/core/random.hpp>
#include <sslcake/image/colour.hpp>

#include "../worse.hpp"

using namespace sslcake;
using augment::ColourOperation;
using Kind = ColourOperation::Kind;

namespace {

/// Random colours, with greys, black, white and ties among them: three planes of n.
std::vector<float> colours(int n, std::uint64_t seed) {
  Random random(seed, Purpose::test);
  std::vector<float> p(static_cast<std::size_t>(3 * n));
  for (int i = 0; i < n; ++i) {
    float rgb[3];
    for (float& x : rgb) x = random.uniform();
    if (i % 7 == 1) rgb[1] = rgb[2] = rgb[0];
    if (i % 7 == 2) rgb[1] = rgb[0];
    if (i % 7 == 3) rgb[2] = rgb[1];
    if (i % 7 == 4) rgb[2] = rgb[0];
    if (i % 31 == 5) rgb[0] = rgb[1] = rgb[2] = 0;
    if (i % 31 == 6) rgb[0] = rgb[1] = rgb[2] = 1;
    for (int c = 0; c < 3; ++c) p[static_cast<std::size_t>(c * n + i)] = rgb[c];
  }
  return p;
}

float held(float x) { return std::clamp(x, 0.0f, 1.0f); }

/// One operation, pixel by pixel, as it is written down.
std::vector<float> plainly(std::vector<float> p, int n, const ColourOperation& o) {
  const auto at = [&](int c, int i) -> float& { return p[static_cast<std::size_t>(c * n + i)]; };
  double mean = 0;
  for (int i = 0; i < n; ++i) mean += static_cast<double>(image::luminance(at(0, i), at(1, i), at(2, i))) / n;
  for (int i = 0; i < n; ++i) {
    const float l = image::luminance(at(0, i), at(1, i), at(2, i));
    auto hsv = image::rgb_to_hsv({at(0, i), at(1, i), at(2, i)});
    hsv[0] += o.amount;
    const auto turned = image::hsv_to_rgb(hsv);
    for (int c = 0; c < 3; ++c) {
      float& x = at(c, i);
      switch (o.kind) {
        case Kind::brightness: x = held(x * o.amount); break;
        case Kind::contrast: x = held(static_cast<float>(mean) + (x - static_cast<float>(mean)) * o.amount); break;
        case Kind::saturation: x = held(l + (x - l) * o.amount); break;
        case Kind::hue: x = turned[static_cast<std::size_t>(c)]; break;
        case Kind::greyscale: x = l; break;
        case Kind::solarise: x = x >= o.amount ? 1 - x : x; break;
      }
    }
  }
  return p;
}

float difference(const std::vector<float>& a, const std::vector<float>& b) {
  float most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = static_cast<float>(test::worse(most, std::abs(a[i] - b[i])));
  return most;
}

}  // namespace

TEST_CASE("each operation, views of any size") {
  for (const int n : {1, 3, 31, 32, 33, 100, 1024}) {
    const auto source = colours(n, 1);
    for (const auto& o : {ColourOperation{Kind::brightness, 0.3f},
                          {Kind::brightness, 1.8f},
                          {Kind::brightness, 0.0f},
                          {Kind::contrast, 0.2f},
                          {Kind::contrast, 1.8f},
                          {Kind::saturation, 0.0f},
                          {Kind::saturation, 1.8f},
                          {Kind::hue, 0.2f},
                          {Kind::hue, -0.2f},
                          {Kind::hue, 0.5f},
                          {Kind::hue, -0.5f},
                          {Kind::hue, 1e-9f},
                          {Kind::hue, -1e-9f},
                          {Kind::greyscale, 0.0f},
                          {Kind::solarise, 0.5f}}) {
      CAPTURE(n);
      CAPTURE(static_cast<int>(o.kind));
      CAPTURE(o.amount);
      auto ours = source;
      augment::apply_colours(ours.data(), n, &o, 1);
      CHECK(difference(ours, plainly(source, n, o)) < 4e-6f);
    }
  }
}

TEST_CASE("lists of operations are those operations one after another") {
  constexpr int n = 300;
  const ColourOperation lists[][4] = {
      {{Kind::brightness, 1.4f}, {Kind::contrast, 0.5f}, {Kind::saturation, 1.6f}, {Kind::hue, 0.1f}},
      {{Kind::contrast, 1.5f}, {Kind::contrast, 0.7f}, {Kind::hue, -0.3f}, {Kind::contrast, 1.2f}},
      {{Kind::hue, 0.4f}, {Kind::solarise, 0.6f}, {Kind::contrast, 0.1f}, {Kind::greyscale, 0.0f}}};
  for (const auto& list : lists) {
    const auto source = colours(n, 2);
    auto wanted = source, ours = source;
    for (const auto& o : list) wanted = plainly(wanted, n, o);
    augment::apply_colours(ours.data(), n, list, 4);
    CHECK(difference(ours, wanted) < 1e-5f);
  }
  const auto source = colours(n, 3);
  auto untouched = source;
  augment::apply_colours(untouched.data(), n, nullptr, 0);
  CHECK(untouched == source);
}
