// The fixtures of scripts/fixtures/augment.py, and statistics of draws.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <sslcake/augment/recipe.hpp>
#include <sslcake/image/decode.hpp>
#include <sslcake/io/safetensors.hpp>

namespace views {

using namespace sslcake;

inline std::string path(const std::string& name) { return std::string(SSLCAKE_SOURCE_DIR) + "/tests/fixtures/augment/" + name; }

inline std::vector<float> numbers(const std::string& file, const std::string& name) {
  const auto held = io::load_safetensors(path(file));
  for (const auto& [key, value] : held.tensors)
    if (key == name) return {value.data<float>(), value.data<float>() + value.numel()};
  fail("views::numbers", "no fixture named ", name);
}

/// torchvision's view of that name, (H,W,3).
inline std::vector<float> expected(const std::string& name) { return numbers("views.safetensors", name); }

inline const image::Image& source() {
  static const image::Image picture = image::load(path("source.png"));  // 40 x 30
  return picture;
}

/// Normalisation that leaves values in [0,1].
inline const augment::Normalisation none = {{0, 0, 0}, {1, 1, 1}};

/// The part of the source that the colour cases start from: 20 x 20 at (9,4), not resized.
inline augment::ViewParameters square() {
  augment::ViewParameters v;
  v.crop_x = 9, v.crop_y = 4, v.crop_width = 20, v.crop_height = 20;
  return v;
}

inline std::vector<float> apply(const augment::Recipe& recipe, const augment::ViewParameters& v) {
  std::vector<float> out(static_cast<std::size_t>(recipe.width()) * static_cast<std::size_t>(recipe.height()) * 3, -99.0f);
  recipe.apply(v, source(), out.data());
  return out;
}

/// The largest difference in levels of 1/255; huge if the sizes differ.
inline float levels(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return 1e9f;
  float most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!(std::abs(a[i] - b[i]) < 1e6f)) return 1e9f;  // not a number
    most = std::max(most, 255 * std::abs(a[i] - b[i]));
  }
  return most;
}

/// Kolmogorov's statistic of draws against a uniform distribution on [low, high].
inline double distance_from_uniform(std::vector<double> draws, double low, double high) {
  std::sort(draws.begin(), draws.end());
  double most = 0;
  const auto n = static_cast<double>(draws.size());
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const double p = std::clamp((draws[i] - low) / (high - low), 0.0, 1.0);
    most = std::max({most, p - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - p});
  }
  return draws.front() < low || draws.back() > high ? 1.0 : most;
}

/// What that statistic exceeds by chance once in a thousand times, for n draws.
inline double one_in_a_thousand(std::size_t n) { return 1.95 / std::sqrt(static_cast<double>(n)); }

}  // namespace views
