// How fast batches come: drawing the built-in pictures, and a loader of pictures of CIFAR's size with two views each.
#include <benchmark/benchmark.h>

#include <sslcake/core/threads.hpp>
#include <sslcake/data/builtin.hpp>
#include <sslcake/data/loader.hpp>

using namespace sslcake;

namespace {

/// 4,096 pictures of 32 x 32 in memory.
data::DatasetPtr pictures() {
  static const auto set = [] {
    const data::Builtin builtin(data::Split::train, 4096);
    std::vector<std::uint8_t> pixels;
    for (std::int64_t i = 0; i < builtin.size(); ++i) {
      const auto picture = builtin.image(i);
      pixels.insert(pixels.end(), picture.pixels.begin(), picture.pixels.end());
    }
    return std::make_shared<data::MemoryDataset>(std::move(pixels), 32, 32);
  }();
  return set;
}

void run(benchmark::State& state, const augment::Recipe& recipe) {
  data::Loader loader(pictures(), {{recipe}, {recipe}}, {.batch = 256, .seed = 1, .workers = static_cast<int>(state.range(0))});
  std::int64_t views = 0, epoch = 0;
  data::Batch batch;
  for (auto _ : state) {
    while (!loader.next(batch)) loader.start(++epoch);
    benchmark::DoNotOptimize(batch.images.raw());
    views += 2 * batch.size();
  }
  state.counters["views/s"] = benchmark::Counter(static_cast<double>(views), benchmark::Counter::kIsRate);
}

}  // namespace

static void draw_builtin(benchmark::State& state) {
  const data::Builtin set(data::Split::train, 10000, static_cast<int>(state.range(0)));
  std::int64_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(set.image(i++ % 10000).pixels.data());
  state.counters["pictures/s"] = benchmark::Counter(static_cast<double>(i), benchmark::Counter::kIsRate);
}
BENCHMARK(draw_builtin)->Arg(32)->Arg(96);

// The argument is the number of workers; 0 prepares on the thread pool.
static void loader_simclr_two_views(benchmark::State& state) { run(state, augment::simclr({})); }
BENCHMARK(loader_simclr_two_views)->Arg(0)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

// The loader's own cost: views that are copies.
static void loader_plain_two_views(benchmark::State& state) { run(state, augment::Recipe{32}); }
BENCHMARK(loader_plain_two_views)->Arg(0)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();
