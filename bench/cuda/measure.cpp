// What the CUDA backend is measured by, one JSON object a line; peer.py measures the same with PyTorch, cuBLAS and cuDNN.
//
//   cuda_measure products                       C = A·Bᵀ in bfloat16
//   cuda_measure convolutions resnet18|resnet50 every distinct convolution, three directions
//   cuda_measure step [--batch N] [--encoder E] [--size S] [--steps N] [--precision float32]   a SimCLR step, views in GPU memory
//   cuda_measure loop [--batch N] [--data cifar10:DIR|builtin]              the same from the bytes of the data set
//   cuda_measure augment                        two views of 256 pictures at 224 px
//   cuda_measure nt_xent [--pairs N]            forward and backward
//
// Times are medians over rounds of several calls, from the host's clock around work that is waited for at its end.
#include <sslcake/core/fetch.hpp>
#include <sslcake/core/storage.hpp>
#include <sslcake/data/builtin.hpp>
#include <sslcake/data/loader.hpp>
#include <sslcake/data/open.hpp>
#include <sslcake/kernels/cuda/install.hpp>
#include <sslcake/kernels/cuda/product_bfloat16.hpp>
#include <sslcake/kernels/cuda/table.hpp>
#include <sslcake/nn/encoder.hpp>
#include <sslcake/ops/nt_xent.hpp>
#include <sslcake/ops/shape_ops.hpp>
#include <sslcake/optim/sgd.hpp>
#include <sslcake/pretext/simclr.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "../machine.hpp"
#include "../shapes.hpp"

using namespace sslcake;

namespace {

/// Seconds that one call takes: the median over rounds of as many calls as fill about 20 ms.
double time_of(const std::function<void()>& call, int rounds = 5) {
  call();
  synchronize(Device::cuda);
  const double once = bench::seconds([&] { call(), synchronize(Device::cuda); });
  const int calls = std::max(1, std::min(200, static_cast<int>(0.02 / std::max(once, 1e-6))));
  std::vector<double> times;
  for (int r = 0; r < rounds; ++r)
    times.push_back(bench::seconds([&] {
                      for (int i = 0; i < calls; ++i) call();
                      synchronize(Device::cuda);
                    }) /
                    calls);
  return bench::median(times);
}

Tensor random_on_gpu(const Shape& shape, DType type) {
  Random random(7, Purpose::test, static_cast<std::uint64_t>(shape.numel()));
  // A block of random numbers, repeated: drawing them all on the host would take longer than what is measured.
  const std::int64_t n = shape.numel(), block = std::min<std::int64_t>(n, 1 << 20);
  const Tensor some = random_normal({block}, random).to(type).to(Device::cuda);
  Tensor all({n}, type, Device::cuda);
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const auto end = std::min(n, begin + block);
    Tensor part = all.rows(begin, end);
    copy_into(part, some.rows(0, end - begin));
  }
  return all.alias(shape);
}

void products() {
  for (const std::int64_t n : {1024, 2048, 4096, 8192}) {
    const Tensor a = random_on_gpu({n, n}, DType::bfloat16), b = random_on_gpu({n, n}, DType::bfloat16);
    Tensor c({n, n}, DType::bfloat16, Device::cuda);
    const double time = time_of([&] { kernels::cuda::gemm_bfloat16(n, n, n, a.address(), b.address(), c.mutable_address()); });
    std::printf("{\"what\": \"product\", \"n\": %lld, \"ms\": %.4f, \"tflops\": %.1f}\n", static_cast<long long>(n), 1e3 * time,
                2e-12 * static_cast<double>(n * n * n) / time);
  }
}

void convolutions(const std::string& network) {
  const auto shapes = network == "resnet50" ? bench::resnet50(512) : bench::resnet18(1024);
  const auto& table = kernels::cuda::table().convolution;
  for (const auto& s : shapes) {
    const Tensor x = random_on_gpu({s.n, s.h, s.w, s.c}, DType::bfloat16),
                 dy = random_on_gpu({s.n, s.oh(), s.ow(), s.o}, DType::bfloat16);
    const Tensor w = random_on_gpu({s.o, s.kh, s.kw, s.c}, DType::float32);
    Tensor y = empty_like(dy), dx = empty_like(x), dw = empty_like(w), mean({s.o}, DType::float32, Device::cuda),
           variance = empty_like(mean);
    const auto* weights = static_cast<const float*>(w.address());
    const double flops = 2 * s.multiply_adds();
    const double bytes = static_cast<double>(x.bytes() + dy.bytes() + w.bytes());
    const auto report = [&](const char* direction, double time) {
      std::printf(
          "{\"what\": \"convolution\", \"network\": \"%s\", \"h\": %lld, \"c\": %lld, \"o\": %lld, \"k\": %lld, \"stride\": "
          "%lld, "
          "\"direction\": \"%s\", \"ms\": %.4f, \"tflops\": %.1f, \"gb_per_s\": %.0f}\n",
          network.c_str(), static_cast<long long>(s.h), static_cast<long long>(s.c), static_cast<long long>(s.o),
          static_cast<long long>(s.kh), static_cast<long long>(s.stride_h), direction, 1e3 * time, 1e-12 * flops / time,
          1e-9 * bytes / time);
    };
    report("forward", time_of([&] {
             table.forward_moments(DType::bfloat16, s, x.address(), weights, y.mutable_address(),
                                   static_cast<float*>(mean.mutable_address()), static_cast<float*>(variance.mutable_address()));
           }));
    if (s.c > 3)
      report("input_grad", time_of([&] { table.input_grad(DType::bfloat16, s, dy.address(), weights, dx.mutable_address()); }));
    report("weight_grad", time_of([&] {
             table.weight_grad(DType::bfloat16, s, x.address(), dy.address(), static_cast<float*>(dw.mutable_address()));
           }));
  }
}

struct Options {
  std::map<std::string, std::string> texts = {{"--encoder", "resnet18"}, {"--data", "builtin"}, {"--precision", "bfloat16"}};
  std::map<std::string, std::int64_t> numbers = {{"--batch", 512}, {"--size", 32}, {"--steps", 30}, {"--pairs", 32768}};
};

void step(const Options& o, bool from_bytes) {
  const auto batch_size = o.numbers.at("--batch"), size = o.numbers.at("--size");
  const DType precision = o.texts.at("--precision") == "float32" ? DType::float32 : DType::bfloat16;
  auto encoder =
      nn::make_encoder(o.texts.at("--encoder"), {.stem = size <= 64 ? nn::Stem::small : nn::Stem::imagenet, .image_size = size});
  pretext::SimCLR task(encoder, {.augmentation = {.size = static_cast<int>(size)}});
  move_to(pretext::all_state(task.modules()), Device::cuda);
  optim::SGD optimizer(task.parameters(), {.lr = 0.06, .momentum = 0.9, .weight_decay = 5e-4});
  for (const auto& part : task.modules()) part.train(true);
  std::optional<data::Loader> loader;
  data::Batch batch;
  batch.views = 2;
  std::int64_t epoch = 0;
  if (from_bytes) {
    auto dataset = data::open(o.texts.at("--data"), data::Split::train, {});
    loader.emplace(dataset, task.views(),
                   data::LoaderOptions{.batch = batch_size, .device = Device::cuda, .precision = precision});
  } else {
    batch.images = random_on_gpu({2 * batch_size, size, size, 3}, precision);
  }
  reset_peak_memory(Device::cuda);
  double loss = 0, host = 0;
  const auto one = [&] {
    if (loader)
      while (!loader->next(batch)) loader->start(++epoch);
    optimizer.zero_grad();
    const auto outcome = task.loss(batch);
    backward(outcome.loss);
    optimizer.step();
    return outcome.loss;
  };
  const auto several = [&](std::int64_t steps) {
    return bench::seconds([&] {
             Tensor last;
             host = bench::seconds([&] {
               for (std::int64_t i = 0; i < steps; ++i) last = one();
             });
             loss = last.item();
           }) /
           static_cast<double>(steps);
  };
  several(5);
  const auto steps = o.numbers.at("--steps");
  std::vector<double> times;
  for (int r = 0; r < 5; ++r) times.push_back(several(steps));
  const auto memory = memory_stats(Device::cuda);
  std::printf(
      "{\"what\": \"%s\", \"encoder\": \"%s\", \"size\": %lld, \"batch\": %lld, \"precision\": \"%s\", \"ms\": %.3f, "
      "\"views_per_s\": %.0f, "
      "\"host_ms\": %.3f, \"peak_mib\": %.0f, \"held_mib\": %.0f, \"asked\": %llu, \"loss\": %.4f}\n",
      from_bytes ? "loop" : "step", o.texts.at("--encoder").c_str(), static_cast<long long>(size),
      static_cast<long long>(batch_size), name_of(precision), 1e3 * bench::median(times),
      2 * static_cast<double>(batch_size) / bench::median(times), 1e3 * host / static_cast<double>(steps),
      static_cast<double>(memory.peak) / 1048576, static_cast<double>(memory.in_use + memory.cached) / 1048576,
      static_cast<unsigned long long>(memory.from_system), loss);
}

void augmentation() {
  constexpr std::int64_t pictures = 256;
  constexpr int source = 320, size = 224;
  Random random(3, Purpose::test);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(pictures * source * source * 3));
  for (auto& b : bytes) b = static_cast<std::uint8_t>(random.below(256));
  const auto dataset = std::make_shared<data::MemoryDataset>(std::move(bytes), source, source);
  const auto recipe = augment::simclr({.size = size, .strength = 1, .blur = true});
  data::Loader loader(dataset, {{recipe}, {recipe}}, {.batch = pictures, .workers = 0, .device = Device::cuda});
  std::int64_t epoch = 0;
  data::Batch batch;
  const double time = time_of([&] {
    while (!loader.next(batch)) loader.start(++epoch);
  });
  std::printf("{\"what\": \"augment\", \"pictures\": %lld, \"views\": 2, \"size\": %d, \"ms\": %.3f}\n",
              static_cast<long long>(pictures), size, 1e3 * time);
}

void nt_xent(const Options& o) {
  const auto pairs = o.numbers.at("--pairs");
  Tensor z = random_on_gpu({2 * pairs, 128}, DType::float32);
  z.set_requires_grad();
  reset_peak_memory(Device::cuda);
  const auto before = memory_stats(Device::cuda).in_use;
  double loss = 0;
  const double time = time_of(
      [&] {
        z.clear_grad();
        const auto result = ops::nt_xent(z, {.temperature = 0.5});
        backward(result.loss);
        loss = 0;
      },
      3);
  loss = ops::nt_xent(z, {.temperature = 0.5}).loss.item();
  std::printf("{\"what\": \"nt_xent\", \"pairs\": %lld, \"ms\": %.2f, \"peak_mib\": %.0f, \"loss\": %.5f}\n",
              static_cast<long long>(pairs), 1e3 * time, static_cast<double>(memory_stats(Device::cuda).peak - before) / 1048576,
              loss);
}

}  // namespace

int main(int count, char** arguments) try {
  Options o;
  const std::string what = count > 1 ? arguments[1] : "";
  std::string network = "resnet18";
  for (int i = 2; i < count; ++i) {
    const std::string name = arguments[i];
    if (!name.starts_with("--")) network = name;
    else if (i + 1 < count && o.texts.count(name)) o.texts[name] = arguments[++i];
    else if (i + 1 < count && o.numbers.count(name)) o.numbers[name] = std::atoll(arguments[++i]);
    else fail("measure", "unknown option ", name);
  }
  seed(0);
  std::fprintf(stderr, "%s\n", cuda::description().c_str());
  if (what == "products") products();
  else if (what == "convolutions") convolutions(network);
  else if (what == "step" || what == "loop") step(o, what == "loop");
  else if (what == "augment") augmentation();
  else if (what == "nt_xent") nt_xent(o);
  else fail("measure", "expected products, convolutions, step, loop, augment or nt_xent, got \"", what, "\"");
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
