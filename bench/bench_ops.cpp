// Speed of the ops that a training step spends its time in besides plain products: NT-Xent, batch norm, and a ResNet
// block in fused units against the same block composed of single ops; and of a whole step of SimCLR.
//
//   bench_ops --benchmark_filter=block
//
// GB/s counts each tensor as often as the text beside the benchmark says; GFLOP/s counts what the algorithm needs.
#include <benchmark/benchmark.h>

#include "sslcake/core/random.hpp"
#include "sslcake/core/threads.hpp"
#include "sslcake/nn/encoder.hpp"
#include "sslcake/ops/conv_norm_act.hpp"
#include "sslcake/ops/nt_xent.hpp"
#include "sslcake/ops/shape_ops.hpp"
#include "sslcake/optim/sgd.hpp"
#include "sslcake/pretext/simclr.hpp"

using namespace sslcake;

namespace {

Tensor normal(const Shape& shape, std::uint64_t key, bool leaf = false, double deviation = 1) {
  Random random(0, Purpose::test, 0, key);
  Tensor t = random_normal(shape, random, 0, deviation);
  if (leaf) t.set_requires_grad();
  return t;
}

/// Loss and gradient of N pairs. Forward makes half of the symmetric similarity matrix (2N·2N·d multiply-adds / 2),
/// backward makes it again and multiplies it twice: 2·(2N)²·d multiply-adds in all.
void nt_xent(benchmark::State& state) {
  const std::int64_t pairs = state.range(0), d = state.range(1);
  Tensor z = normal({2 * pairs, d}, 1, true);
  reset_peak_memory();
  const auto before = memory_stats().in_use;
  for (auto _ : state) {
    z.clear_grad();
    backward(ops::nt_xent(z).loss);
  }
  const double rows = 2.0 * static_cast<double>(pairs);
  state.counters["GFLOP/s"] =
      benchmark::Counter(4 * rows * rows * static_cast<double>(d) * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["MB"] = static_cast<double>(memory_stats().peak - before) * 1e-6;
}
BENCHMARK(nt_xent)->Args({256, 128})->Args({4096, 128})->Unit(benchmark::kMillisecond)->UseRealTime();

/// Training, forward and backward: 8 reads or writes of the activation (3 forward, 5 backward).
void batch_norm(benchmark::State& state) {
  const Shape shape{64, state.range(0), state.range(0), state.range(1)};
  Tensor x = normal(shape, 1, true), gamma = normal({shape.back()}, 2, true), beta = normal({shape.back()}, 3, true);
  const Tensor dy = normal(shape, 4);
  for (auto _ : state) {
    for (Tensor* t : {&x, &gamma, &beta}) t->clear_grad();
    backward(ops::batch_norm(x, {.gamma = gamma, .beta = beta}), dy);
  }
  state.counters["GB/s"] =
      benchmark::Counter(8e-9 * static_cast<double>(x.bytes()), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(batch_norm)->Args({56, 64})->Args({32, 16})->Args({8, 512})->Unit(benchmark::kMillisecond)->UseRealTime();

/// A basic block of a ResNet in training, forward and backward: two 3x3 convolutions with batch norm and ReLU, the second
/// with the residual. Arguments: pixels, channels, fused or composed.
void block(benchmark::State& state) {
  const std::int64_t pixels = state.range(0), channels = state.range(1);
  const bool before = ops::fuse();
  ops::set_fuse(state.range(2) != 0);
  Tensor x = normal({64, pixels, pixels, channels}, 1, true);
  const Tensor dy = normal(x.shape(), 2);
  std::vector<Tensor> weights;
  std::vector<ops::NormState> norms;
  for (std::uint64_t i = 0; i < 2; ++i) {
    weights.push_back(normal({channels, 3, 3, channels}, 3 + i, true, 0.05));
    norms.push_back({.gamma = normal({channels}, 5 + i, true),
                     .beta = normal({channels}, 7 + i, true),
                     .running_mean = zeros({channels}),
                     .running_var = ones({channels})});
  }
  reset_peak_memory();
  for (auto _ : state) {
    x.clear_grad();
    for (auto& w : weights) w.clear_grad();
    for (auto& n : norms) {
      n.gamma.clear_grad();
      n.beta.clear_grad();
    }
    const Tensor h = ops::conv_norm_act(x, weights[0], norms[0], ops::Activation::relu, {}, {.padding = 1});
    backward(ops::conv_norm_act(h, weights[1], norms[1], ops::Activation::relu, x, {.padding = 1}), dy);
  }
  const double multiply_adds = 6.0 * 9 * static_cast<double>(x.numel()) * static_cast<double>(channels);
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * multiply_adds, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["MB"] = static_cast<double>(memory_stats().peak) * 1e-6;
  ops::set_fuse(before);
}
BENCHMARK(block)
    ->ArgNames({"pixels", "channels", "fused"})
    ->ArgsProduct({{32}, {16, 64}, {0, 1}})
    ->ArgsProduct({{8}, {256}, {0, 1}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

/// A step of SimCLR on 64 pictures of 32x32 in two views: forward, loss, backward, SGD. The views are random numbers, made
/// once. Arguments: width of the cakenet, threads, bfloat16 or float32. bench/step times other encoders and sizes.
void simclr_step(benchmark::State& state) {
  const int before = threads();
  set_threads(static_cast<int>(state.range(1)));
  seed(0);
  pretext::SimCLR task(nn::make_encoder("cakenet-w" + std::to_string(state.range(0)), {.stem = nn::Stem::small}));
  optim::SGD optimizer(task.parameters(), {.lr = 0.06, .momentum = 0.9, .weight_decay = 5e-4});
  data::Batch batch;
  batch.images = ops::cast(normal({2 * 64, 32, 32, 3}, 1), state.range(2) != 0 ? DType::bfloat16 : DType::float32);
  batch.views = 2;
  for (const auto& part : task.modules()) part.train(true);
  reset_peak_memory();
  for (auto _ : state) {
    optimizer.zero_grad();
    backward(task.loss(batch).loss);
    optimizer.step();
  }
  state.counters["views/s"] = benchmark::Counter(2 * 64, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["MB"] = static_cast<double>(memory_stats().peak) * 1e-6;
  set_threads(before);
}
BENCHMARK(simclr_step)
    ->ArgNames({"width", "threads", "bfloat16"})
    ->ArgsProduct({{8, 16}, {1, 2}, {0, 1}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
