// The kernels of this tree against those of another commit, in one program and in turns: on a machine shared with others
// two runs of two programs tell less than they seem to. bench/against.sh builds and runs it.
//
// Each row: GFLOP/s of both (medians; operations of the direct sum), how many times as fast this tree is (median of the
// ratios of neighbouring runs), and the largest difference of the results over the largest result. A few per cent may come
// from where the linker put the loops: --swap exchanges the sides' order, an unchanged kernel shows the rest.
#include <sslcake/core/random.hpp>
#include <sslcake/core/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../machine.hpp"
#include "../shapes.hpp"
#include "side.hpp"

namespace ssl = sslcake;

namespace {

struct Options {
  int threads = 2, repetitions = 9;
  std::int64_t views = 16;
  bool bfloat16 = false, swap = false;
  std::string only;
} options;

std::vector<double> gains;

double value(const ssl::Tensor& t, std::int64_t i) {
  return t.dtype() == ssl::DType::bfloat16 ? static_cast<double>(static_cast<float>(t.data<ssl::bfloat16>()[i]))
                                           : static_cast<double>(t.data<float>()[i]);
}

/// `run(side, result)` is one run.
template <class Run>
void compare(const std::string& title, double operations, const ssl::Shape& shape, ssl::DType type, const Run& run) {
  const Side* sides[2] = {&side_before, &side_now};
  ssl::Tensor results[2] = {ssl::Tensor(shape, type), ssl::Tensor(shape, type)};
  const int repeat = static_cast<int>(std::max(1.0, 1e9 / operations));
  std::vector<double> times[2], ratios;
  for (int turn = -1; turn < options.repetitions; ++turn) {
    double now[2];
    for (int k = 0; k < 2; ++k) {
      const int which = options.swap ? 1 - k : k;
      now[which] = bench::seconds([&] {
                     for (int i = 0; i < repeat; ++i) run(*sides[which], results[which].mutable_raw());
                   }) /
                   repeat;
    }
    if (turn < 0) continue;
    for (int k = 0; k < 2; ++k) times[k].push_back(now[k]);
    ratios.push_back(now[0] / now[1]);
  }
  double difference = 0, largest = 0;
  for (std::int64_t i = 0; i < results[0].numel(); ++i) {
    difference = std::max(difference, std::fabs(value(results[0], i) - value(results[1], i)));
    largest = std::max(largest, std::fabs(value(results[0], i)));
  }
  gains.push_back(bench::median(ratios));
  std::printf("%-40s %8.1f %8.1f %7.2fx %10.1e\n", title.c_str(), operations / bench::median(times[0]) * 1e-9,
              operations / bench::median(times[1]) * 1e-9, gains.back(), largest > 0 ? difference / largest : difference);
  std::fflush(stdout);
}

void compare_product(std::int64_t m, std::int64_t n, std::int64_t k, bool trans_a, bool trans_b) {
  ssl::Random random(1, ssl::Purpose::test);
  const ssl::Tensor a = ssl::random_normal({m, k}, random), b = ssl::random_normal({k, n}, random);
  compare(ssl::concat("product ", m, " x ", k, " x ", n,
                      trans_a   ? "  At B"
                      : trans_b ? "  A Bt"
                                : "  A B"),
          2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k), {m, n}, ssl::DType::float32,
          [&](const Side& side, void* result) {
            side.product(trans_a, trans_b, m, n, k, a.data<float>(), b.data<float>(), static_cast<float*>(result));
          });
}

void compare_convolution(const ssl::kernels::ConvShape& s, int direction) {
  constexpr const char* names[] = {"forward", "input grad", "weight grad"};
  if (direction == 1 && s.c < 8) return;  // of pictures, which no step needs
  ssl::Random random(1, ssl::Purpose::test);
  const auto type = options.bfloat16 ? ssl::DType::bfloat16 : ssl::DType::float32;
  const ssl::Tensor x = ssl::random_normal({s.n, s.h, s.w, s.c}, random).to(type),
                    w = ssl::random_normal({s.o, s.kh, s.kw, s.c}, random),
                    dy = ssl::random_normal({s.n, s.oh(), s.ow(), s.o}, random).to(type);
  const ssl::Tensor& first = direction == 1 ? dy : x;
  const ssl::Tensor& second = direction == 2 ? dy : w;
  const ssl::Tensor& like = direction == 0 ? dy : direction == 1 ? x : w;
  compare(ssl::concat(s.kh, "x", s.kw, "/", s.stride_h, " ", s.c, " -> ", s.o, " at ", s.h, "  ", names[direction]),
          2 * s.multiply_adds(), like.shape(), like.dtype(), [&](const Side& side, void* result) {
            side.convolve({s.n, s.h, s.c, s.o, s.kh, s.stride_h}, direction, options.bfloat16, first.raw(), second.raw(), result);
          });
}

}  // namespace

int main(int count, char** arguments) try {
  for (int i = 1; i < count; ++i) {
    const std::string option = arguments[i];
    const int number = i + 1 < count ? std::atoi(arguments[i + 1]) : 0;
    if (option == "--bfloat16") options.bfloat16 = true;
    else if (option == "--swap") options.swap = true;
    else if (option == "--threads" && number > 0) options.threads = number, ++i;
    else if (option == "--repetitions" && number > 0) options.repetitions = number, ++i;
    else if (option == "--views" && number > 0) options.views = number, ++i;
    else if (option == "--only" && i + 1 < count) options.only = arguments[++i];
    else
      return std::fprintf(stderr,
                          "expected --threads N, --repetitions N, --views N, --only product|forward|input|weight, --bfloat16 or "
                          "--swap, got %s\n",
                          arguments[i]),
             2;
  }
  ssl::set_threads(options.threads);
  for (const Side* side : {&side_before, &side_now}) side->set_threads(options.threads);
  std::printf("%d threads, %lld pictures%s\n%-40s %8s %8s %8s %10s\n", options.threads, static_cast<long long>(options.views),
              options.bfloat16 ? ", bfloat16" : "", "", "before", "now", "gain", "difference");
  const auto wanted = [](const char* what) { return options.only.empty() || options.only == what; };
  if (wanted("product")) {
    for (const std::int64_t n : {512, 1024})
      for (const auto& [left, right] : {std::pair(false, false), {false, true}, {true, false}})
        compare_product(n, n, n, left, right);
    const std::int64_t tokens = 65 * options.views;  // a transformer's layer: forward, input gradient, weight gradient
    compare_product(tokens, 1536, 384, false, true);
    compare_product(tokens, 384, 1536, false, false);
    compare_product(1536, 384, tokens, true, false);
    compare_product(64, 256, 16384, true, false);
  }
  auto all = bench::resnet18(options.views);
  const auto more = bench::resnet50(options.views);
  all.insert(all.end(), more.begin(), more.end());
  for (int direction = 0; direction < 3; ++direction)
    if (wanted(direction == 0 ? "forward" : direction == 1 ? "input" : "weight"))
      for (const auto& s : all) compare_convolution(s, direction);
  if (!gains.empty()) std::printf("%zu rows: median gain %.2fx\n", gains.size(), bench::median(gains));
} catch (const ssl::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
