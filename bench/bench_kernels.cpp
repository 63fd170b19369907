// Products and convolutions in GFLOP/s, beside what the CPU could do at most: `peak` is a loop of fused multiply-adds
// that touches nothing but registers. Multiplications with padding count as work, as everybody counts them; where they
// are skipped, a figure may exceed the peak. SSLCAKE_KERNELS chooses the variant; --benchmark_filter chooses cases.
#include <benchmark/benchmark.h>

#include <sslcake/core/threads.hpp>
#include <sslcake/kernels/conv2d.hpp>
#include <sslcake/kernels/cpu/isa.hpp>
#include <sslcake/kernels/gemm.hpp>

#include <string>
#include <vector>

namespace {

using namespace sslcake::kernels;

// 12 sums, because a fused multiply-add takes 4 to 5 cycles and two begin in each: 8 to 10 must be on their way.
#define SSLCAKE_BENCH_PEAK(name, target, bytes)                                                  \
  typedef float name##_vector __attribute__((vector_size(bytes)));                               \
  target float name(std::int64_t rounds) {                                                       \
    name##_vector sum[12], a = {}, b = {};                                                       \
    a = a + 0.5f, b = b + 0.25f;                                                                 \
    for (auto& s : sum) s = b;                                                                   \
    for (std::int64_t i = 0; i < rounds; ++i) {                                                  \
      _Pragma("GCC unroll 12") for (int j = 0; j < 12; ++j) sum[j] += a * b;                     \
      __asm__ volatile("" : "+x"(a), "+x"(b));                                                   \
    }                                                                                            \
    float total = 0;                                                                             \
    for (auto& s : sum) total += s[0];                                                           \
    return total;                                                                                \
  }

#if SSLCAKE_X86
SSLCAKE_BENCH_PEAK(peak_sse, , 16)
SSLCAKE_BENCH_PEAK(peak_avx2, __attribute__((target("avx2,fma"))), 32)
SSLCAKE_BENCH_PEAK(peak_avx512, __attribute__((target("avx512f,avx2,fma"))), 64)

void peak(benchmark::State& state) {
  constexpr std::int64_t rounds = 1 << 20;
  const bool wide = supports(Isa::avx512), middle = supports(Isa::avx2);
  const int threads = sslcake::threads();
  for (auto _ : state)
    sslcake::parallel_chunks(threads, [&](std::int64_t) {
      benchmark::DoNotOptimize(wide ? peak_avx512(rounds) : middle ? peak_avx2(rounds) : peak_sse(rounds));
    });
  const double flops = 2.0 * 12 * rounds * (wide ? 16 : middle ? 8 : 4) * threads;
  state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(wide ? "AVX-512" : middle ? "AVX2" : "SSE2");
}
BENCHMARK(peak)->UseRealTime()->Unit(benchmark::kMillisecond);
#endif

void run_gemm(benchmark::State& state, bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k) {
  const std::vector<float> a(static_cast<std::size_t>(m * k), 1.0f), b(static_cast<std::size_t>(k * n), 0.5f);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  for (auto _ : state) {
    gemm(trans_a, trans_b, m, n, k, a.data(), trans_a ? m : k, b.data(), trans_b ? k : n, c.data(), n);
    benchmark::DoNotOptimize(c.data());
  }
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

enum class Direction { forward, input_grad, weight_grad };

void run_conv(benchmark::State& state, Direction direction, const ConvShape& s) {
  std::vector<float> x(static_cast<std::size_t>(s.n * s.h * s.w * s.c), 1.0f);
  std::vector<float> w(static_cast<std::size_t>(s.o * s.taps() * s.group_c()), 0.5f);
  std::vector<float> y(static_cast<std::size_t>(s.n * s.oh() * s.ow() * s.o), 1.0f);
  for (auto _ : state) {
    switch (direction) {
      case Direction::forward: conv2d_forward(s, x.data(), w.data(), y.data()); break;
      case Direction::input_grad: conv2d_input_grad(s, y.data(), w.data(), x.data()); break;
      case Direction::weight_grad: conv2d_weight_grad(s, x.data(), y.data(), w.data()); break;
    }
    benchmark::ClobberMemory();
  }
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * s.multiply_adds(), benchmark::Counter::kIsIterationInvariantRate);
}

void add_conv(const std::string& network, const ConvShape& s) {
  const std::string name = network + "/" + std::to_string(s.kh) + "x" + std::to_string(s.kw) + "s" + std::to_string(s.stride_h) +
                           "/" + std::to_string(s.h) + "x" + std::to_string(s.w) + "x" + std::to_string(s.c) + "->" +
                           std::to_string(s.o) + "/";
  const std::pair<const char*, Direction> directions[] = {
      {"forward", Direction::forward}, {"input_grad", Direction::input_grad}, {"weight_grad", Direction::weight_grad}};
  for (const auto& [text, direction] : directions) {
    if (s.c == 3 && direction == Direction::input_grad) continue;  // pictures need no gradient
    benchmark::RegisterBenchmark((name + text).c_str(), run_conv, direction, s)->UseRealTime()->Unit(benchmark::kMillisecond);
  }
}

/// The distinct convolutions of a ResNet-18 with the 3x3 stem of small pictures, `width` channels in its first stage.
void add_resnet18(std::int64_t width, std::int64_t images) {
  const std::string name = "resnet18-w" + std::to_string(width) + "/batch" + std::to_string(images);
  const auto conv = [&](std::int64_t size, std::int64_t c, std::int64_t o, std::int64_t kernel, std::int64_t stride) {
    const std::int64_t pad = kernel / 2;
    add_conv(name, {.n = images, .h = size, .w = size, .c = c, .o = o, .kh = kernel, .kw = kernel, .stride_h = stride,
                    .stride_w = stride, .pad_h = pad, .pad_w = pad});
  };
  conv(32, 3, width, 3, 1);
  conv(32, width, width, 3, 1);
  for (std::int64_t size = 32, c = width; size > 4; size /= 2, c *= 2) {
    conv(size, c, 2 * c, 3, 2);
    conv(size, c, 2 * c, 1, 2);
    conv(size / 2, 2 * c, 2 * c, 3, 1);
  }
}

struct Gemm {
  const char* name;
  bool trans_a, trans_b;
  std::int64_t m, n, k;
};

const int registered = [] {
  const Gemm products[] = {
      {"square/1024", false, false, 1024, 1024, 1024},     {"square_tn/1024", true, false, 1024, 1024, 1024},
      {"square_nt/1024", false, true, 1024, 1024, 1024},   {"projection/forward/512x128x512", false, true, 512, 128, 512},
      {"projection/weight/128x512x512", true, false, 128, 512, 512}, {"similarity/512x512x128", false, true, 512, 512, 128},
      {"classifier/256x10x512", false, true, 256, 10, 512}, {"small/10x512x128", false, false, 10, 512, 128},
      {"small_nt/10x512x128", false, true, 10, 512, 128},  {"deep_tn/64x64x65536", true, false, 64, 64, 65536},
      {"vector/1x1024x1024", false, false, 1, 1024, 1024},
  };
  for (const Gemm& g : products)
    benchmark::RegisterBenchmark((std::string("gemm/") + g.name).c_str(), run_gemm, g.trans_a, g.trans_b, g.m, g.n, g.k)
        ->UseRealTime();
  add_resnet18(64, 64);
  add_resnet18(16, 256);
  add_conv("resnet18-imagenet/batch8", {.n = 8, .h = 224, .w = 224, .c = 3, .o = 64, .kh = 7, .kw = 7, .stride_h = 2,
                                        .stride_w = 2, .pad_h = 3, .pad_w = 3});
  add_conv("depthwise/batch32", {.n = 32, .h = 32, .w = 32, .c = 64, .o = 64, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1,
                                 .groups = 64});
  return 0;
}();

}  // namespace
