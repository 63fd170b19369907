// The optimiser's step beside the speed of memory. All that it does is to read and write weights (w), gradients (g) and
// state, which is counted as
//
//   sgd    r w, r g, r v; w w, w v                  20 bytes per parameter
//   adamw  r w, r g, r m, r v; w w, w m, w v        28
//   lars   r w, r g (the norms), then as sgd        28
//   muon   as sgd, and the products of Newton and Schulz: bound by arithmetic, so its bytes per second say little
//   norm   r g (of all gradients, for clipping)      4
//
// Runs on one and on two threads take turns. Printed are median and fastest times, bytes per second of the fastest, and how
// much less time two threads take.
//
// usage: optimiser [REPETITIONS]
#include <sslcake/core/random.hpp>
#include <sslcake/nn/encoder.hpp>
#include <sslcake/optim/clip.hpp>
#include <sslcake/optim/make.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "machine.hpp"

namespace ssl = sslcake;

namespace {

struct Row {
  const char* name;
  double bytes;  // per parameter
  std::function<void()> work;
};

void print_network(const char* name, int repetitions) {
  const auto encoder = ssl::nn::make_encoder(name, {.stem = ssl::nn::Stem::small, .image_size = 128});
  const auto parameters = encoder.parameters();
  double count = 0;
  ssl::Random random(1, ssl::Purpose::test);
  for (const auto& p : parameters) {
    ssl::Tensor w = p.tensor;
    w.set_grad(ssl::random_normal(w.shape(), random, 0, 1e-4));
    count += static_cast<double>(w.numel());
  }
  auto sgd = ssl::optim::make("sgd", parameters, {.lr = 1e-4, .momentum = 0.9, .weight_decay = 5e-4});
  auto adamw = ssl::optim::make("adamw", parameters, {.lr = 1e-6});
  auto lars = ssl::optim::make("lars", parameters, {.lr = 1e-4});
  auto muon = ssl::optim::make("muon", parameters, {.lr = 1e-6});
  std::printf("%s: %zu parameters, %.1f million numbers\n", name, parameters.size(), count * 1e-6);
  for (const Row& row : {Row{"sgd", 20, [&] { sgd.step(); }}, Row{"adamw", 28, [&] { adamw.step(); }},
                         Row{"lars", 28, [&] { lars.step(); }},
                         Row{"muon", 20, [&] { muon.step(); }}, Row{"norm", 4, [&] { ssl::optim::grad_norm(parameters); }}}) {
    const auto times = bench::seconds_on({1, 2}, repetitions, row.work);
    const double bytes = row.bytes * count;
    std::printf("  %-8s", row.name);
    for (std::size_t k = 0; k < 2; ++k)
      std::printf(" %8.2f ms, %7.2f ms %6.1f GB/s", 1e3 * times.median[k], 1e3 * times.fastest[k],
                  1e-9 * bytes / times.fastest[k]);
    std::printf("   %5.2fx\n", times.ratio());
  }
}

}  // namespace

int main(int count, char** arguments) try {
  const int repetitions = count > 1 ? std::atoi(arguments[1]) : 15;
  if (repetitions < 1) return std::fprintf(stderr, "expected a number of repetitions of at least 1, got %s\n", arguments[1]), 2;
  std::printf("%39s %32s\n  copying memory", "one thread", "two threads");
  bench::MemorySpeed speeds[2];
  for (int k = 0; k < 2; ++k) ssl::set_threads(k + 1), speeds[k] = bench::memory_speed();
  std::printf("%18.1f GB/s %27.1f GB/s\n  changing it in place %12.1f GB/s %27.1f GB/s\n", 1e-9 * speeds[0].copy,
              1e-9 * speeds[1].copy, 1e-9 * speeds[0].in_place, 1e-9 * speeds[1].in_place);
  for (const char* name : {"resnet18", "vit_small", "cakenet"}) print_network(name, repetitions);
} catch (const ssl::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
