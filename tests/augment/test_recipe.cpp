// Views against torchvision's for fixed parameters.
#include <doctest/doctest.h>

#include <sslcake/augment/recipe.hpp>
#include <sslcake/image/crop_resize.hpp>
#include <sslcake/kernels/cpu/isa.hpp>

#include <thread>

#include "views.hpp"

using namespace views;
using namespace sslcake::augment;
namespace kernels = sslcake::kernels;

namespace {

constexpr float rounding = 0.02f;  // levels: two orders of float arithmetic
constexpr float luma = 0.1f;       // levels: torchvision weighs red by 0.2989, we by 0.299

Recipe colour(const Step& step) { return Recipe(20).then(Stretch{}).then(step).normalised(none); }

ViewParameters jittered(float brightness, float contrast, float saturation, float hue) {
  auto v = square();
  v.jitter = true;
  v.brightness = brightness, v.contrast = contrast, v.saturation = saturation, v.hue = hue;
  return v;
}

}  // namespace

TEST_CASE("crops, shrunk and enlarged, and the flip") {
  struct Case { int x, y, w, h, size; };
  for (const auto& c :
       {Case{0, 0, 40, 30, 12}, {3, 5, 30, 21, 16}, {9, 4, 20, 20, 20}, {11, 7, 9, 6, 18}, {39, 29, 1, 1, 5}, {0, 3, 40, 2, 8}}) {
    const auto name = concat("crop ", c.x, ' ', c.y, ' ', c.w, ' ', c.h, ' ', c.size);
    CAPTURE(name);
    ViewParameters v;
    v.crop_x = c.x, v.crop_y = c.y, v.crop_width = c.w, v.crop_height = c.h;
    CHECK(levels(apply(Recipe(c.size).then(RandomResizedCrop{}).normalised(none), v), expected(name)) < rounding);
  }
  ViewParameters v;
  v.crop_x = 3, v.crop_y = 5, v.crop_width = 30, v.crop_height = 21, v.flip = true;
  const auto flipped = expected("crop 3 5 30 21 16 flip");
  CHECK(levels(apply(Recipe(16).then(RandomResizedCrop{}).then(Flip{}).normalised(none), v), flipped) < rounding);
  CHECK(levels(apply(Recipe(16).then(RandomResizedCrop{}).then(Rotate{}).then(Flip{}).normalised(none), v), flipped) < rounding);
}

TEST_CASE("brightness, contrast, saturation, hue") {
  for (const float f : {0.4f, 1.7f}) {
    CHECK(levels(apply(colour(ColourJitter{}), jittered(f, 1, 1, 0)), expected(concat("brightness ", f))) < rounding);
    CHECK(levels(apply(colour(ColourJitter{}), jittered(1, f, 1, 0)), expected(concat("contrast ", f))) < luma);
    CHECK(levels(apply(colour(ColourJitter{}), jittered(1, 1, f, 0)), expected(concat("saturation ", f))) < luma);
  }
  for (const float f : {-0.4f, 0.1f, 0.25f, 0.5f})
    CHECK(levels(apply(colour(ColourJitter{}), jittered(1, 1, 1, f)), expected(concat("hue ", f))) < 2 * rounding);
}

TEST_CASE("greyscale, solarise, blur, rotation, quarter turns") {
  auto v = square();
  v.grey = true;
  CHECK(levels(apply(colour(Greyscale{}), v), expected("greyscale")) < luma);
  v.solarise = true;
  CHECK(levels(apply(colour(Solarise{.threshold = 0.5f}), v), expected("solarise 0.5")) < rounding);
  CHECK(levels(apply(colour(Solarise{.threshold = 0.2f}), v), expected("solarise 0.2")) < rounding);

  struct Blur { float sigma; int kernel; const char* name; };
  for (const auto& b :
       {Blur{0.1f, 3, "blur 0.1 3"}, {0.9f, 5, "blur 0.9 5"}, {2.0f, 9, "blur 2.0 9"}, {2.0f, 19, "blur 2.0 19"}}) {
    auto blurred = square();
    blurred.blur = true;
    blurred.sigma = b.sigma;
    CAPTURE(b.name);
    const float share = (static_cast<float>(b.kernel) - 0.5f) / 20;  // of 20 pixels; made odd
    CHECK(levels(apply(colour(GaussianBlur{.share = share}), blurred), expected(b.name)) < rounding);
  }
  for (const auto& turn : {std::pair{15.0f, "rotate 15.0"}, {-70.0f, "rotate -70.0"}, {90.0f, "rotate 90.0"}}) {
    auto turned = square();
    turned.rotate = true;
    turned.angle = turn.first;
    CAPTURE(turn.second);
    CHECK(levels(apply(colour(Rotate{}), turned), expected(turn.second)) < 0.2f);
  }
  for (int turns = -4; turns < 8; ++turns)
    CHECK(levels(apply(Recipe(20).normalised(none).rotated90(turns), square()), expected(concat("turns ", (turns + 8) % 4))) <
          rounding);
}

TEST_CASE("normalisation and cutout") {
  CHECK(levels(apply(Recipe(20), square()), expected("normalised")) < 5 * rounding);
  auto v = square();
  v.cutout = true;
  v.cutout_x = 5, v.cutout_y = 4;  // a square of 10, of which the uppermost row lies outside
  CHECK(levels(apply(Recipe(20).then(Stretch{}).then(Cutout{.share = 0.5f}), v), expected("cutout")) < 5 * rounding);
  v.cutout_x = 5, v.cutout_y = 6;
  const auto inside = apply(Recipe(20).then(Stretch{}).then(Cutout{.share = 0.5f}), v);
  int zeros = 0;
  for (const float x : inside) zeros += std::abs(x) < 1e-6f;
  CHECK(zeros >= 300);
}

TEST_CASE("a whole SimCLR view, and the eight-bit chain that most scripts run") {
  ViewParameters v;
  v.crop_x = 3, v.crop_y = 5, v.crop_width = 30, v.crop_height = 21, v.flip = true, v.jitter = true, v.blur = true;
  v.brightness = 0.8f, v.contrast = 1.3f, v.saturation = 1.5f, v.hue = -0.07f, v.sigma = 0.7f;
  v.order = {2, 0, 3, 1};
  const Normalisation cifar = {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}};
  const auto recipe = simclr({.size = 16, .blur = true, .normalisation = cifar});
  CHECK(levels(apply(recipe, v), expected("simclr")) < 1.0f);  // of 4 / 255 of a level before normalisation
  v.flip = v.blur = false;
  const auto eight_bit = expected("eight-bit");
  const auto ours = apply(simclr({.size = 16, .normalisation = none}), v);
  float mean = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) mean += 255 * std::abs(ours[i] - eight_bit[i]) / static_cast<float>(ours.size());
  CHECK(mean < 2.0f);  // it rounds after every step, and its hue has 256 values
}

TEST_CASE("evaluation is the central square, whatever the draw") {
  Random a(1, Purpose::test), b(2, Purpose::test);
  const auto recipe = evaluation(16);
  std::vector<float> first(16 * 16 * 3), second(16 * 16 * 3);
  recipe.make(a, source(), first.data());
  recipe.make(b, source(), second.data());
  CHECK(first == second);
  const auto v = recipe.draw(a, 40, 30);
  CHECK(v.crop_x == 5);
  CHECK(v.crop_y == 0);
  CHECK(v.crop_width == 30);
  CHECK(v.crop_height == 30);
  const auto smaller = Recipe(16).then(CentreCrop{.share = 0.5f}).draw(a, 40, 30);
  CHECK(smaller.crop_width == 15);
  // The picture of a view undoes the normalisation.
  const auto shown = recipe.picture(first.data());
  const auto wanted = image::crop_resize(source(), {5, 0, 30, 30}, 16, 16);
  for (std::size_t i = 0; i < shown.pixels.size(); ++i) REQUIRE(std::abs(shown.pixels[i] - wanted.pixels[i]) <= 1);
}

TEST_CASE("the same coordinates give the same bits, other coordinates other views") {
  const auto recipe = simclr({.size = 24, .strength = 1, .blur = true}).then(Solarise{}).then(Cutout{});
  std::vector<float> first(24 * 24 * 3), again(24 * 24 * 3), other(24 * 24 * 3);
  int equal = 0;
  for (std::uint64_t sample = 0; sample < 20; ++sample) {
    Random a(7, Purpose::augment, 3, sample, 1), b(7, Purpose::augment, 3, sample, 1), c(7, Purpose::augment, 3, sample, 2);
    recipe.make(a, source(), first.data());
    Recipe(recipe).make(b, source(), again.data());
    recipe.make(c, source(), other.data());
    CHECK(first == again);
    equal += first == other;
  }
  CHECK(equal == 0);
}

TEST_CASE("a function of one's own") {
  const auto negative = [](image::Image& picture, Random& random) {
    const auto least = static_cast<std::uint8_t>(random.below(10));
    for (auto& p : picture.pixels) p = std::max(least, static_cast<std::uint8_t>(255 - p));
  };
  const auto recipe = Recipe(20).then(RandomResizedCrop{}).normalised(none).custom(negative);
  auto v = square();
  v.custom_seed = 99;
  Random drawn(99, Purpose::augment);
  image::Image changed = source();
  negative(changed, drawn);
  std::vector<float> wanted(20 * 20 * 3);
  Recipe(20).normalised(none).apply(square(), changed, wanted.data());
  CHECK(apply(recipe, v) == wanted);
  const auto before = source();
  CHECK(apply(recipe, v) == apply(recipe, v));
  CHECK(source() == before);
  Random a(1, Purpose::test), b(2, Purpose::test);
  CHECK(recipe.draw(a, 40, 30).custom_seed != recipe.draw(b, 40, 30).custom_seed);
  const auto shrinking = Recipe(20).custom([](image::Image& picture, Random&) { picture = image::Image(5, 5); });
  CHECK_THROWS_AS(apply(shrinking, square()), Error);
  CHECK_THROWS_WITH_AS(shrinking.custom(negative), doctest::Contains("at most one custom function"), Error);
  CHECK_THROWS_WITH_AS(Recipe(20).custom(nullptr), doctest::Contains("got an empty one"), Error);
}

TEST_CASE("recipes that make no sense") {
  CHECK_THROWS_AS(Recipe(0), Error);
  CHECK_THROWS_AS(Recipe(1 << 20), Error);
  CHECK_THROWS_AS(Recipe(32).then(Flip{1.5f}), Error);
  CHECK_THROWS_AS(Recipe(32).then(Flip{std::nanf("")}), Error);
  CHECK_THROWS_AS(Recipe(32).then(Flip{}).then(RandomResizedCrop{}), Error);
  CHECK_THROWS_AS(Recipe(32).then(Flip{}).then(Flip{}), Error);
  CHECK_THROWS_AS(Recipe(32).then(RandomResizedCrop{.scale_low = 0.5f, .scale_high = 0.1f}), Error);
  CHECK_THROWS_AS(Recipe(32).then(ColourJitter{.hue = 0.7f}), Error);
  CHECK_THROWS_AS(Recipe(32).then(GaussianBlur{.sigma_low = 0}), Error);
  CHECK_THROWS_AS(Recipe(32).normalised({{0, 0, 0}, {1, 0, 1}}), Error);
  Random random(1, Purpose::test);
  CHECK_THROWS_AS(Recipe(32).draw(random, 0, 5), Error);
  auto v = square();
  v.crop_x = 30;  // drawn for a larger picture
  CHECK_THROWS_AS(apply(Recipe(8), v), Error);
  v = square();
  v.crop_width = 0;
  CHECK_THROWS_AS(apply(Recipe(8), v), Error);
}

TEST_CASE("views are the same on every instruction set, to rounding") {
  struct Restore {
    kernels::Isa isa = kernels::isa();
    ~Restore() { kernels::set_isa(isa); }
  } restore;
  const auto recipe =
      simclr({.size = 37, .strength = 1, .blur = true}).then(Solarise{.p = 0.5f});  // 37 x 37: rests of blocks and rows
  image::Image source(60, 50);
  Random pixels(1, Purpose::test);
  for (auto& p : source.pixels) p = static_cast<std::uint8_t>(pixels.below(256));
  const auto views = [&] {
    std::vector<float> all;
    for (std::uint64_t sample = 0; sample < 60; ++sample) {
      Random random(3, Purpose::augment, 0, sample);
      std::vector<float> view(37 * 37 * 3);
      recipe.make(random, source, view.data());
      all.insert(all.end(), view.begin(), view.end());
    }
    return all;
  };
  kernels::set_isa(kernels::Isa::portable);
  const auto wanted = views();
  for (const auto isa : {kernels::Isa::avx2, kernels::Isa::avx512, kernels::Isa::avx512bf16, kernels::Isa::amx}) {
    if (!kernels::supports(isa)) continue;
    CAPTURE(kernels::name_of(isa));
    kernels::set_isa(isa);
    const auto got = views();
    // Rounding decides which side of a threshold a pixel is on: a solarised one may differ by a whole range, a few do.
    int far = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) far += !(std::abs(got[i] - wanted[i]) < 1e-4f);
    CHECK(far <= 5);
  }
}

TEST_CASE("a custom function may apply a recipe of its own, larger than the one it stands in") {
  const auto larger = Recipe(90).normalised(none);
  const auto plain = Recipe(20).normalised(none);
  const auto nested = Recipe(20).normalised(none).custom([&](image::Image& picture, Random&) {
    std::vector<float> out(90 * 90 * 3);
    larger.apply(square(), picture, out.data());
  });
  std::vector<float> made;
  std::thread([&] { made = apply(nested, square()); }).join();  // whose scratch memory has to grow
  CHECK(made == apply(plain, square()));
}
