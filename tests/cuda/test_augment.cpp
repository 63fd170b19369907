// Views made by the kernel beside those of augment::Recipe::apply, from the same draws.
#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <string>

#include "../../include/sslcake/augment/recipe.hpp"
#include "../../include/sslcake/kernels/cuda/augment.hpp"
#include "device.hpp"

using namespace sslcake;
using namespace sslcake::augment;
using kernels::cuda::ViewProgram;

namespace {

kernels::cuda::Augment backend() {
  kernels::cuda::Augment table;
  kernels::cuda::install(table);
  return table;
}

/// Noise over a slow change of colours, so that neither blur nor hue has an easy time.
image::Image picture(int width, int height, unsigned seed) {
  std::mt19937 engine(seed);
  image::Image out(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) {
        const int wave = static_cast<int>(100 + 90 * std::sin(0.05 * (c + 1) * x + 0.07 * (3 - c) * y + seed));
        out.at(x, y)[c] = static_cast<std::uint8_t>(std::min(255, std::max(0, wave + static_cast<int>(engine() % 61) - 30)));
      }
  return out;
}

struct Case {
  Recipe recipe;
  image::Image source;
  ViewParameters drawn;
};

/// All cases in one launch, their pictures one behind the other after a gap; the largest difference to the CPU in units of
/// the colours (before normalisation).
template <class S>
double largest_difference(const std::vector<Case>& cases, double rounding = 0) {
  const int size = cases[0].recipe.width();
  const auto numbers = static_cast<std::size_t>(3 * size * size);
  std::vector<std::uint8_t> bytes(5, 77);
  std::vector<ViewProgram> programs;
  for (const auto& c : cases) {
    programs.push_back(c.recipe.program(c.drawn, c.source.width, c.source.height, static_cast<std::int64_t>(bytes.size())));
    bytes.insert(bytes.end(), c.source.pixels.begin(), c.source.pixels.end());
  }
  const auto on_device = cuda_test::on_gpu(bytes);
  const auto list = cuda_test::on_gpu(programs);
  const cuda_test::OnGpu<S> images(numbers * cases.size());
  backend().views(static_cast<std::int64_t>(cases.size()), on_device.data(), list.data(), size, dtype_of<S>, images.data());
  const auto made = images.values();
  double largest = 0;
  std::vector<float> expected(numbers);
  for (std::size_t k = 0; k < cases.size(); ++k) {
    cases[k].recipe.apply(cases[k].drawn, cases[k].source, expected.data());
    double worst = 0;
    for (std::size_t i = 0; i < numbers; ++i) {
      const double x = static_cast<double>(static_cast<float>(made[k * numbers + i])), y = static_cast<double>(expected[i]);
      double d =
          (std::abs(x - y) - rounding * std::abs(y)) * static_cast<double>(cases[k].recipe.normalisation().deviation[i % 3]);
      if (!(d == d)) d = 1e9;
      worst = std::max(worst, d);
    }
    INFO("case " << k << ": " << worst);
    CHECK(worst < 1e-4);
    largest = std::max(largest, worst);
  }
  return largest;
}

Case drawn(const Recipe& recipe, const image::Image& source, unsigned seed) {
  Random random(seed, Purpose::augment);
  return {recipe, source, recipe.draw(random, source.width, source.height)};
}

}  // namespace

TEST_CASE("crop and resize: larger, smaller, mirrored, a single pixel, boxes at the edges") {
  double largest = 0;
  for (const int size : {1, 7, 32, 65}) {
    std::vector<Case> cases;
    unsigned seed = 0;
    for (const auto& [w, h] : {std::pair{1, 1}, {1, 9}, {32, 32}, {61, 47}, {200, 90}, {33, 300}}) {
      const auto source = picture(w, h, ++seed);
      for (const bool flip : {false, true}) {
        auto whole = drawn(Recipe(size).then(Stretch{}).then(Flip{flip ? 1.0f : 0.0f}), source, seed);
        cases.push_back(whole);
        whole.drawn.crop_x = w / 2;
        whole.drawn.crop_y = h / 3;
        whole.drawn.crop_width = w - w / 2;
        whole.drawn.crop_height = h - h / 3;
        cases.push_back(whole);
      }
      cases.push_back(drawn(Recipe(size), source, seed));
      cases.push_back(drawn(Recipe(size).then(RandomResizedCrop{}), source, seed));
    }
    largest = std::max(largest, largest_difference<float>(cases));
  }
  MESSAGE("largest difference " << largest);
}

TEST_CASE("pictures whose rows do not fit into shared memory") {
  const std::vector<Case> cases = {drawn(Recipe(1).then(Stretch{}), picture(3000, 3, 1), 1),
                                   drawn(Recipe(3).then(Stretch{}).then(Flip{1}), picture(9001, 2, 2), 2),
                                   drawn(Recipe(1).then(Stretch{}).then(Greyscale{1}), picture(1500, 7, 3), 2)};
  largest_difference<float>({cases[0], cases[2]});
  largest_difference<float>({cases[1]});
  largest_difference<float>({drawn(Recipe(9).then(Stretch{}).then(Flip{1}), picture(4000, 5, 2), 2)});  // columns in parts
  largest_difference<float>({drawn(Recipe(70).then(Stretch{}), picture(9000, 5, 2), 2)});
}

TEST_CASE("every step by itself, and at every size of view") {
  for (const int size : {1, 2, 5, 33, 66}) {
    std::vector<Case> cases;
    const auto source = picture(50, 41, 5);
    const auto base = Recipe(size).then(RandomResizedCrop{.scale_low = 0.3f});
    unsigned seed = 10;
    for (const auto& step :
         std::vector<Step>{Flip{1}, ColourJitter{0.8f, 0, 0, 0, 1}, ColourJitter{0, 0.8f, 0, 0, 1},
                           ColourJitter{0, 0, 0.8f, 0, 1}, ColourJitter{0, 0, 0, 0.5f, 1}, Greyscale{1}, Solarise{0.5f, 1},
                           GaussianBlur{0.1f, 0.1f, 0.1f, 1}, GaussianBlur{2, 2, 0.1f, 1}, GaussianBlur{1.3f, 3, 1, 1},
                           Rotate{15, 1}, Rotate{180, 1}, Cutout{0.5f, 1}, Cutout{1, 1}})
      cases.push_back(drawn(base.then(step), source, ++seed));
    for (int turns = 0; turns < 4; ++turns) cases.push_back(drawn(base.then(Flip{1}).rotated90(turns), source, ++seed));
    largest_difference<float>(cases);
  }
}

TEST_CASE("all steps in drawn order, and steps in orders that part the stages differently") {
  double largest = 0;
  for (const int size : {19, 32, 67}) {
    std::vector<Case> cases;
    const auto constants = Normalisation{{0.4f, 0.5f, 0.6f}, {0.2f, 0.25f, 0.3f}};
    const auto base = Recipe(size).then(RandomResizedCrop{}).normalised(constants);
    for (unsigned seed = 0; seed < 24; ++seed)  // contrast first, last and between
      cases.push_back(drawn(base.then(Flip{})
                                .then(ColourJitter{0.4f, 0.4f, 0.4f, 0.1f, 1})
                                .then(Greyscale{})
                                .then(GaussianBlur{.p = 0.5f})
                                .then(Solarise{.p = 0.3f}),
                            picture(40 + static_cast<int>(seed), 60 - static_cast<int>(seed), seed), seed));
    for (unsigned seed = 30; seed < 34; ++seed) {
      const auto source = picture(45, 52, seed);
      cases.push_back(drawn(
          base.then(GaussianBlur{.p = 1}).then(ColourJitter{.p = 1}).then(Rotate{}).then(Flip{1}).then(Cutout{0.3f}).rotated90(1),
          source, seed));
      cases.push_back(drawn(
          base.then(Rotate{}).then(Flip{1}).then(ColourJitter{.p = 1}).then(Cutout{0.3f}).then(GaussianBlur{.p = 1}).rotated90(3),
          source, seed));
      cases.push_back(drawn(base.then(Cutout{0.5f})
                                .then(Flip{1})
                                .then(Rotate{40})
                                .then(GaussianBlur{.p = 1})
                                .then(ColourJitter{.p = 1})
                                .rotated90(2),
                            source, seed));
      cases.push_back(
          drawn(base.then(Solarise{.p = 1}).then(Greyscale{1}).then(ColourJitter{.p = 1}).then(Flip{1}), source, seed));
    }
    largest = std::max(largest, largest_difference<float>(cases));
  }
  MESSAGE("largest difference " << largest);
}

TEST_CASE("bfloat16 views are those of float32, rounded") {
  for (const int size : {5, 32, 66, 67}) {
    std::vector<Case> cases;
    for (unsigned seed = 0; seed < 5; ++seed)
      cases.push_back(drawn(simclr({.size = size, .blur = true}).rotated90(seed == 4 ? 1 : 0), picture(50, 60, seed), seed));
    largest_difference<bfloat16>(cases, 1.0 / 256);
  }
}

TEST_CASE("views of more than one tile") {
  const auto base = Recipe(530).then(RandomResizedCrop{}).then(Flip{1});
  largest_difference<float>({drawn(base.then(ColourJitter{.p = 1}).then(GaussianBlur{2, 2, 0.02f, 1}), picture(70, 50, 1), 3),
                             drawn(base.rotated90(3), picture(600, 20, 2), 4)});
}

TEST_CASE("the same bits in every run, whoever takes which view") {
  std::vector<ViewProgram> programs;
  const auto source = picture(64, 64, 3);
  const auto recipe = simclr({.size = 66, .blur = true});
  for (unsigned seed = 0; seed < 12; ++seed) {
    const auto one = drawn(recipe, source, seed);
    programs.push_back(recipe.program(one.drawn, 64, 64));
  }
  const auto bytes = cuda_test::on_gpu(source.pixels);
  const auto list = cuda_test::on_gpu(programs);
  const std::size_t numbers = 3 * 66 * 66;
  const cuda_test::OnGpu<float> together(numbers * 12), single(numbers);
  backend().views(12, bytes.data(), list.data(), 66, DType::float32, together.data());
  const auto all = together.values();
  for (const std::size_t k : {std::size_t{0}, std::size_t{11}}) {
    backend().views(1, bytes.data(), list.data() + k, 66, DType::float32, single.data());
    const auto one = single.values();
    CHECK(std::memcmp(one.data(), all.data() + k * numbers, numbers * sizeof(float)) == 0);
  }
}

TEST_CASE("a program is refused where the CPU refuses the picture, and for custom functions") {
  const auto recipe = simclr({.size = 8});
  const auto one = drawn(recipe, picture(30, 20, 1), 1);
  CHECK_THROWS_AS(recipe.program(one.drawn, one.drawn.crop_x + one.drawn.crop_width - 1, 20), Error);
  CHECK_THROWS_AS(recipe.custom([](image::Image&, Random&) {}).program(one.drawn, 30, 20), Error);
}

// Not run by itself: `--no-skip --test-case="time*"` on a GPU.
TEST_CASE("time of two views of 256 pictures at 224 pixels" * doctest::skip()) {
  const auto recipe = simclr({.size = 224, .strength = 1, .blur = true});
  std::vector<std::uint8_t> bytes;
  std::vector<ViewProgram> programs;
  for (unsigned k = 0; k < 256; ++k) {
    const auto source = picture(320 + static_cast<int>(k % 5) * 45, 256 + static_cast<int>(k % 7) * 20, k);
    for (unsigned v = 0; v < 2; ++v) {
      Random random(1, Purpose::augment, 0, k, v);
      programs.push_back(recipe.program(recipe.draw(random, source.width, source.height), source.width, source.height,
                                        static_cast<std::int64_t>(bytes.size())));
    }
    bytes.insert(bytes.end(), source.pixels.begin(), source.pixels.end());
  }
  const auto on_device = cuda_test::on_gpu(bytes);
  const auto list = cuda_test::on_gpu(programs);
  const cuda_test::OnGpu<float> images(programs.size() * 3 * 224 * 224);
  const auto table = backend();
  for (const DType out : {DType::float32, DType::bfloat16}) {
    const auto run = [&](int times) {
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < times; ++i)
        table.views(static_cast<std::int64_t>(programs.size()), on_device.data(), list.data(), 224, out, images.data());
      cudaStreamSynchronize(kernels::cuda::stream());
      return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count() / times;
    };
    run(3);
    MESSAGE(name_of(out) << ": " << run(50) << " ms a batch");
  }
}
