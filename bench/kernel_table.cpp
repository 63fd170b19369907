// How near the kernels come to what the machine can do: matrix products (of bfloat16 those of linear layers), and every
// distinct convolution of ResNet-18 (3x3 stem, 32x32) and ResNet-50 (ImageNet stem, 128x128) in its three directions, with
// pictures in float32 and in bfloat16, each beside the peak of a loop that touches registers only. Operations are those of
// the direct sum, so that Winograd's transform can pass 100 %.
//
// With --scaling each rate is followed not by its share of the peak, but by how many times as fast it is as on one thread:
// runs on one thread and on all take turns, and medians are compared. Where that is far below the number of threads although
// the peak is not, look at what memory gained, in the line above the table.
//
// usage: kernel_table [--threads 2] [--views 64] [--scaling] [--quick]        (--quick: a few rows, single runs)
#include <sslcake/core/random.hpp>
#include <sslcake/core/tensor.hpp>
#include <sslcake/core/threads.hpp>
#include <sslcake/kernels/conv2d.hpp>
#include <sslcake/kernels/conv2d_bfloat16.hpp>
#include <sslcake/kernels/cpu/isa.hpp>
#include <sslcake/kernels/gemm.hpp>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "machine.hpp"
#include "shapes.hpp"

namespace ssl = sslcake;
namespace kernels = ssl::kernels;

namespace {

int repetitions = 5;
bool scaling = false;
std::vector<double> ratios;  // of all rates that were printed

/// Floating-point operations per second, and how many times as fast that is as one thread.
struct Rate {
  double value, ratio;
};
Rate rate(double operations, const std::function<void()>& work) {
  const int threads = ssl::threads();
  const auto times = bench::seconds_on(scaling ? std::vector<int>{1, threads} : std::vector<int>{threads}, repetitions, work);
  ratios.push_back(times.ratio());
  return {operations / times.median.back(), times.ratio()};
}

struct Peaks {
  double single, pairs;
};

void print_rate(const Rate& rate, double best) {
  std::printf("%9.0f ", rate.value * 1e-9);
  if (scaling) std::printf("%4.2fx", rate.ratio);
  else if (best > 0) std::printf("%4.0f%%", 100 * rate.value / best);
  else std::printf("     ");
}

/// Three directions on pictures of type T.
template <class T>
void print_directions(const kernels::ConvShape& s, double best) {
  ssl::Random random(1, ssl::Purpose::test);
  const auto type = ssl::dtype_of<T>;
  const ssl::Tensor x = ssl::random_normal({s.n, s.h, s.w, s.c}, random).to(type),
                    w = ssl::random_normal({s.o, s.kh, s.kw, s.c}, random);
  ssl::Tensor y = ssl::random_normal({s.n, s.oh(), s.ow(), s.o}, random).to(type), dx(x.shape(), type),
              dw(w.shape(), ssl::DType::float32);
  const ssl::Tensor dy = y.clone();
  const double operations = 2 * s.multiply_adds();
  print_rate(rate(operations, [&] { kernels::conv2d_forward(s, x.data<T>(), w.data<float>(), y.mutable_data<T>()); }), best);
  print_rate(rate(operations, [&] { kernels::conv2d_input_grad(s, dy.data<T>(), w.data<float>(), dx.mutable_data<T>()); }), best);
  print_rate(rate(operations, [&] { kernels::conv2d_weight_grad(s, x.data<T>(), dy.data<T>(), dw.mutable_data<float>()); }),
             best);
}

/// Of bfloat16 the products of a linear layer of n features on n rows: y = x·wᵀ, dx = dy·w, dw = dyᵀ·x.
void print_product(std::int64_t n, const Peaks& peaks) {
  ssl::Random random(1, ssl::Purpose::test);
  const ssl::Tensor a = ssl::random_normal({n, n}, random), b = ssl::random_normal({n, n}, random);
  ssl::Tensor c({n, n}, ssl::DType::float32);
  const double operations = 2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n);
  std::printf("product %-32lld", static_cast<long long>(n));
  for (const auto& [left, right] : {std::pair(false, false), {false, true}, {true, false}})
    print_rate(rate(operations,
                    [&, l = left, r = right] {
                      kernels::gemm(l, r, n, n, n, a.data<float>(), n, b.data<float>(), n, c.mutable_data<float>(), n);
                    }),
               peaks.single);
  std::printf("   ");
  print_directions<ssl::bfloat16>({.n = n, .h = 1, .w = 1, .c = n, .o = n}, peaks.pairs > 0 ? peaks.pairs : peaks.single);
  std::printf("\n");
  std::fflush(stdout);
}

void print_convolution(const kernels::ConvShape& s, const Peaks& peaks) {
  std::printf("%lldx%lld/%lld %5lld -> %-5lld at %3lldx%-13lld", static_cast<long long>(s.kh), static_cast<long long>(s.kw),
              static_cast<long long>(s.stride_h), static_cast<long long>(s.c), static_cast<long long>(s.o),
              static_cast<long long>(s.h), static_cast<long long>(s.w));
  print_directions<float>(s, peaks.single);
  std::printf("   ");
  print_directions<ssl::bfloat16>(s, peaks.pairs > 0 ? peaks.pairs : peaks.single);
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** arguments) try {
  int threads = 2;
  std::int64_t views = 64;
  bool quick = false;
  for (int i = 1; i < count; ++i) {
    const std::string option = arguments[i];
    const bool number = i + 1 < count && std::atoi(arguments[i + 1]) > 0;
    if (option == "--quick") quick = true;
    else if (option == "--scaling") scaling = true;
    else if (option == "--threads" && number) threads = std::atoi(arguments[++i]);
    else if (option == "--views" && number) views = std::atoi(arguments[++i]);
    else return std::fprintf(stderr, "expected --threads N, --views N, --scaling or --quick, got %s\n", arguments[i]), 2;
  }
  if (quick) repetitions = 1;
  ssl::set_threads(1);
  const double one = scaling ? bench::peak(false) : 0;
  const auto memory_of_one = scaling ? bench::memory_speed() : bench::MemorySpeed{};
  ssl::set_threads(threads);
  const Peaks peaks{bench::peak(false), bench::peak(true)};
  std::printf("%s kernels, %d threads, %lld pictures; peak of multiply-adds %.0f GFLOP/s in float32, %.0f on bfloat16 pairs\n",
              kernels::name_of(kernels::isa()), threads, static_cast<long long>(views), peaks.single * 1e-9, peaks.pairs * 1e-9);
  if (scaling) {
    const auto memory = bench::memory_speed();
    std::printf(
        "on one thread and on all: multiply-adds %.0f and %.0f GFLOP/s (%.2fx), memory copied %.1f and %.1f GB/s (%.2fx), "
        "changed in place %.1f and %.1f (%.2fx)\n",
        one * 1e-9, peaks.single * 1e-9, one > 0 ? peaks.single / one : 0, memory_of_one.copy * 1e-9, memory.copy * 1e-9,
        memory.copy / memory_of_one.copy, memory_of_one.in_place * 1e-9, memory.in_place * 1e-9,
        memory.in_place / memory_of_one.in_place);
  }
  std::printf("\n%-40s%14s %14s %14s   %14s %14s %14s   GFLOP/s and %s\n%-40s%14s %14s %14s   %14s %14s %14s\n", "",
              "float32:", "", "", "bfloat16:", "", "", scaling ? "times those of one thread" : "share of the peak", "", "A B",
              "A Bt", "At B", "forward", "input grad", "weight grad");
  for (const std::int64_t n : quick ? std::vector<std::int64_t>{512} : std::vector<std::int64_t>{512, 1024, 2048, 4096})
    print_product(n, peaks);
  std::printf("\n%-40s%14s %14s %14s   %14s %14s %14s\n%-40s%14s %14s %14s   %14s %14s %14s\n", "", "float32:", "", "",
              "bfloat16:", "", "", "ResNet-18", "forward", "input grad", "weight grad", "forward", "input grad", "weight grad");
  auto all = bench::resnet18(views);
  if (quick) all.resize(2);
  for (const auto& s : all) print_convolution(s, peaks);
  std::printf("ResNet-50\n");
  all = bench::resnet50(views);
  if (quick) all.resize(2);
  for (const auto& s : all) print_convolution(s, peaks);
  if (scaling) {
    std::sort(ratios.begin(), ratios.end());
    std::printf("%zu rates: slowest gain %.2fx, median %.2fx; %td reach 1.85x\n", ratios.size(), ratios.front(),
                bench::median(ratios), std::count_if(ratios.begin(), ratios.end(), [](double r) { return r >= 1.85; }));
  }
} catch (const ssl::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
