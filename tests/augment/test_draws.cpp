// What recipes draw, against torchvision's samplers (crops) and against the distributions that are written down (the rest).
// Streams are fixed, so these tests cannot fail by chance; the bounds are those that a fair draw keeps 999 times in 1000.
#include <doctest/doctest.h>

#include <array>
#include <map>

#include <sslcake/augment/recipe.hpp>

#include "views.hpp"

using namespace views;
using namespace sslcake::augment;

namespace {

constexpr std::size_t count = 20000;

std::vector<ViewParameters> draws(const Recipe& recipe, int width = 32, int height = 32) {
  std::vector<ViewParameters> all;
  for (std::size_t i = 0; i < count; ++i) {
    Random random(11, Purpose::augment, 0, i);
    all.push_back(recipe.draw(random, width, height));
  }
  return all;
}

template <class Value>
std::vector<double> values(const std::vector<ViewParameters>& all, Value&& value) {
  std::vector<double> result;
  for (const auto& v : all) result.push_back(static_cast<double>(value(v)));
  return result;
}

/// Whether a share of `count` independent coins lies within 3.3 deviations of p.
bool plausible(double share, double p) {
  return std::abs(share - p) < 3.3 * std::sqrt(p * (1 - p) / static_cast<double>(count)) + 1e-9;
}

template <class Condition>
double share(const std::vector<ViewParameters>& all, Condition&& condition) {
  return static_cast<double>(std::count_if(all.begin(), all.end(), condition)) / static_cast<double>(all.size());
}

}  // namespace

TEST_CASE("random resized crops are distributed as torchvision's") {
  for (const auto& size : {std::pair{32, 32}, {500, 375}, {40, 200}}) {
    const int width = size.first, height = size.second;
    const auto all = draws(Recipe(32).then(RandomResizedCrop{}), width, height);
    const double w = width, h = height;
    for (const auto& v : all) {
      REQUIRE(v.crop_x >= 0);
      REQUIRE(v.crop_y >= 0);
      REQUIRE(v.crop_width >= 1);
      REQUIRE(v.crop_height >= 1);
      REQUIRE(v.crop_x + v.crop_width <= width);
      REQUIRE(v.crop_y + v.crop_height <= height);
    }
    const std::map<std::string, std::vector<double>> quantities = {
        {"area", values(all, [&](auto& v) { return v.crop_width * v.crop_height / (w * h); })},
        {"log ratio", values(all, [](auto& v) { return std::log(static_cast<double>(v.crop_width) / v.crop_height); })},
        {"left", values(all, [&](auto& v) { return width > v.crop_width ? v.crop_x / (w - v.crop_width) : 0.5; })},
        {"top", values(all, [&](auto& v) { return height > v.crop_height ? v.crop_y / (h - v.crop_height) : 0.5; })},
        {"centre x", values(all, [](auto& v) { return v.crop_x + v.crop_width / 2.0; })}};
    for (const auto& [name, ours] : quantities) {
      const auto prefix = concat(width, 'x', height, ' ', name);
      const auto quantiles = numbers("samples.safetensors", prefix + " quantiles"),
                 shares = numbers("samples.safetensors", prefix + " shares");
      double most = 0;
      for (std::size_t q = 0; q < quantiles.size(); ++q) {
        const double edge = quantiles[q] + 2e-6 * (1 + std::abs(static_cast<double>(quantiles[q])));
        const auto below = std::count_if(ours.begin(), ours.end(), [&](double x) { return x <= edge; });
        most = std::max(most, std::abs(static_cast<double>(below) / static_cast<double>(count) - static_cast<double>(shares[q])));
      }
      CAPTURE(prefix);
      CHECK(most < one_in_a_thousand(count) + one_in_a_thousand(60000));
    }
  }
}

TEST_CASE("crops of shapes that fit no ratio fall back to the largest central one") {
  Random random(1, Purpose::test);
  for (int i = 0; i < 50; ++i) {
    const auto v = Recipe(32).then(RandomResizedCrop{.scale_low = 0.9f}).draw(random, 1000, 10);
    CHECK(v.crop_width == 13);  // 10 · 4/3
    CHECK(v.crop_height == 10);
    CHECK(v.crop_x == 493);
    const auto pixel = Recipe(32).then(RandomResizedCrop{}).draw(random, 1, 1);
    CHECK(pixel.crop_width == 1);
    CHECK(pixel.crop_height == 1);
  }
}

TEST_CASE("jitter: factors uniform in torchvision's ranges, all orders alike") {
  const auto all =
      draws(Recipe(32).then(ColourJitter{.brightness = 0.4f, .contrast = 1.5f, .saturation = 0.8f, .hue = 0.2f, .p = 0.8f}));
  const double bound = one_in_a_thousand(count);
  CHECK(distance_from_uniform(values(all, [](auto& v) { return v.brightness; }), 0.6 - 1e-6, 1.4 + 1e-6) < bound);
  CHECK(distance_from_uniform(values(all, [](auto& v) { return v.contrast; }), 0, 2.5) < bound);  // not below 0
  CHECK(distance_from_uniform(values(all, [](auto& v) { return v.saturation; }), 0.2 - 1e-6, 1.8) < bound);
  CHECK(distance_from_uniform(values(all, [](auto& v) { return v.hue; }), -0.2 - 1e-6, 0.2 + 1e-6) < bound);
  CHECK(plausible(share(all, [](auto& v) { return v.jitter; }), 0.8));

  std::map<std::array<std::uint8_t, 4>, double> orders;
  for (const auto& v : all) ++orders[v.order];
  CHECK(orders.size() == 24);
  double chi_squared = 0;
  const double each = count / 24.0;
  for (const auto& [order, n] : orders) chi_squared += (n - each) * (n - each) / each;
  CHECK(chi_squared < 49.7);  // 23 degrees of freedom, one in a thousand

  // Neither factor tells anything of another.
  double covariance = 0;
  for (const auto& v : all) covariance += (static_cast<double>(v.brightness) - 1) * (static_cast<double>(v.saturation) - 1);
  CHECK(std::abs(covariance / count) <
        4 * (0.8 / std::sqrt(12.0)) * (1.6 / std::sqrt(12.0)) / std::sqrt(static_cast<double>(count)));
}

TEST_CASE("coins, angles, widths and places") {
  const auto recipe = Recipe(32)
                          .then(RandomResizedCrop{})
                          .then(Flip{})
                          .then(Greyscale{0.2f})
                          .then(GaussianBlur{.p = 0.5f})
                          .then(Solarise{.p = 0.1f})
                          .then(Rotate{.degrees = 30, .p = 0.7f})
                          .then(Cutout{.p = 0.3f});
  const auto all = draws(recipe);
  CHECK(plausible(share(all, [](auto& v) { return v.flip; }), 0.5));
  CHECK(plausible(share(all, [](auto& v) { return v.grey; }), 0.2));
  CHECK(plausible(share(all, [](auto& v) { return v.blur; }), 0.5));
  CHECK(plausible(share(all, [](auto& v) { return v.solarise; }), 0.1));
  CHECK(plausible(share(all, [](auto& v) { return v.rotate; }), 0.7));
  CHECK(plausible(share(all, [](auto& v) { return v.cutout; }), 0.3));
  CHECK(plausible(share(all, [](auto& v) { return v.flip && v.grey; }), 0.1));  // independent of each other
  CHECK(distance_from_uniform(values(all, [](auto& v) { return v.sigma; }), 0.1 - 1e-6, 2) < one_in_a_thousand(count));
  CHECK(distance_from_uniform(values(all, [](auto& v) { return v.angle; }), -30, 30) < one_in_a_thousand(count));
  for (int place = 0; place < 32; ++place) {
    CHECK(plausible(share(all, [&](auto& v) { return v.cutout_x == place; }), 1 / 32.0));
    CHECK(plausible(share(all, [&](auto& v) { return v.cutout_y == place; }), 1 / 32.0));
  }
  const auto never = draws(Recipe(32).then(Flip{0}).then(Greyscale{1}));
  CHECK(share(never, [](auto& v) { return v.flip; }) == 0);
  CHECK(share(never, [](auto& v) { return v.grey; }) == 1);
}

TEST_CASE("SimCLR's defaults") {
  const auto recipe = simclr({.size = 224, .strength = 1, .blur = true});
  REQUIRE(recipe.steps().size() == 5);
  const auto& jitter = std::get<ColourJitter>(recipe.steps()[2]);
  CHECK(jitter.brightness == doctest::Approx(0.8f));
  CHECK(jitter.hue == doctest::Approx(0.2f));
  CHECK(jitter.p == doctest::Approx(0.8f));
  CHECK(std::get<RandomResizedCrop>(recipe.steps()[0]).scale_low == doctest::Approx(0.08f));
  CHECK(std::get<Greyscale>(recipe.steps()[3]).p == doctest::Approx(0.2f));
  CHECK(std::get<GaussianBlur>(recipe.steps()[4]).p == doctest::Approx(0.5f));
  CHECK(simclr({}).steps().size() == 4);  // no blur on small pictures
}
