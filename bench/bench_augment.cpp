// Augmented views per second on one core, and what their parts cost. items_per_second counts views.
#include <benchmark/benchmark.h>

#include <sslcake/augment/recipe.hpp>

#include <vector>

namespace {

using namespace sslcake;

// Smooth colours with fine noise: costs do not depend on the content, but denormal or constant pixels would be unfair.
image::Image picture(int width, int height) {
  image::Image result(width, height);
  Random random(1, Purpose::test);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        result.at(x, y)[c] = static_cast<std::uint8_t>((x * (c + 1) + y * 2) / 4 % 200 + static_cast<int>(random.below(50)));
  return result;
}

void views(benchmark::State& state, const augment::Recipe& recipe, int width, int height) {
  const auto source = picture(width, height);
  std::vector<float> out(static_cast<std::size_t>(recipe.width()) * static_cast<std::size_t>(recipe.height()) * 3);
  std::uint64_t sample = 0;
  for (auto _ : state) {
    Random random(7, Purpose::augment, 0, sample++);
    recipe.make(random, source, out.data());
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations());
}

using namespace augment;

void simclr_cifar(benchmark::State& s) { views(s, simclr({}), 32, 32); }
void simclr_96(benchmark::State& s) { views(s, simclr({.size = 96, .strength = 1, .blur = true}), 150, 112); }
void simclr_imagenet(benchmark::State& s) { views(s, simclr({.size = 224, .strength = 1, .blur = true}), 500, 375); }
void evaluation_cifar(benchmark::State& s) { views(s, evaluation(32), 32, 32); }
void evaluation_imagenet(benchmark::State& s) { views(s, evaluation(224), 500, 375); }
BENCHMARK(simclr_cifar);
BENCHMARK(simclr_96)->Unit(benchmark::kMicrosecond);
BENCHMARK(simclr_imagenet)->Unit(benchmark::kMicrosecond);
BENCHMARK(evaluation_cifar);
BENCHMARK(evaluation_imagenet)->Unit(benchmark::kMicrosecond);

// One step, always applied, on views of 32 x 32 that need no resizing.
void step(benchmark::State& s, const Step& which) { views(s, Recipe(32).then(Stretch{}).then(which), 32, 32); }
void crop_32(benchmark::State& s) { views(s, Recipe(32).then(RandomResizedCrop{}), 32, 32); }
void crop_224(benchmark::State& s) { views(s, Recipe(224).then(RandomResizedCrop{}), 500, 375); }
void brightness_32(benchmark::State& s) { step(s, ColourJitter{.contrast = 0, .saturation = 0, .hue = 0, .p = 1}); }
void hue_32(benchmark::State& s) { step(s, ColourJitter{0, 0, 0, 0.2f, 1}); }
void jitter_32(benchmark::State& s) { step(s, ColourJitter{.p = 1}); }
void blur_224(benchmark::State& s) { views(s, Recipe(224).then(Stretch{}).then(GaussianBlur{.p = 1}), 224, 224); }
void rotate_32(benchmark::State& s) { step(s, Rotate{}); }
BENCHMARK(crop_32);
BENCHMARK(crop_224)->Unit(benchmark::kMicrosecond);
BENCHMARK(brightness_32);
BENCHMARK(hue_32);
BENCHMARK(jitter_32);
BENCHMARK(blur_224)->Unit(benchmark::kMicrosecond);
BENCHMARK(rotate_32);

}  // namespace
