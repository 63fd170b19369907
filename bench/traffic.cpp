// The traffic of the fused unit y = relu(batch_norm(conv2d(x, w)) + residual), counted and measured: every distinct one of
// ResNet-18 (3x3 stem, 32x32), forward and backward, in float32 and in bfloat16. docs/traffic.md explains the columns.
//
// Counted is what the algorithm must read and write, each number once per pass, and the multiply-adds. A pass cannot take
// less than the longer of its bytes at the speed of memory and its products at the peak of the processor; the sum over the
// passes of a unit is the least time it could take. With --passes each pass is also timed alone.
//
// usage: traffic [--threads 2] [--views 128] [--repetitions 5] [--passes] [--quick]     (--quick: the first units only)
#include <sslcake/core/random.hpp>
#include <sslcake/kernels/conv2d.hpp>
#include <sslcake/kernels/conv2d_bfloat16.hpp>
#include <sslcake/kernels/cpu/variant.hpp>
#include <sslcake/kernels/norm.hpp>
#include <sslcake/kernels/winograd.hpp>
#include <sslcake/ops/channel_norm.hpp>
#include <sslcake/ops/conv_norm_act.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "machine.hpp"
#include "shapes.hpp"

namespace ssl = sslcake;
namespace kernels = ssl::kernels;
using kernels::ConvShape;

namespace {

struct Unit {
  ConvShape shape;
  bool relu, residual;
  bool first;   // x is the picture and takes no gradient
  bool remade;  // x was not kept: it is made again from the unit before
};

struct Pass {
  const char* name;
  bool backward;
  double bytes;
  double direct, done;  // operations of the direct sum, and those that are done: Winograd's transform saves three of four
  double peak;          // operations per second at best
  std::function<void()> work;
  double least(double memory) const { return std::max(bytes / memory, peak > 0 ? done / peak : 0); }
  bool by_memory(double memory) const { return bytes / memory >= least(memory); }
};

struct Machine {
  double memory, single, pairs;  // bytes per second; operations per second in float32 and on pairs of bfloat16
};
int repetitions = 5;
bool each_pass = false;

std::vector<Unit> resnet18(std::int64_t views) {
  const auto shape = [views](std::int64_t size, std::int64_t c, std::int64_t o, std::int64_t kernel, std::int64_t stride) {
    return bench::square(views, size, c, o, kernel, stride);
  };
  std::vector<Unit> all{{shape(32, 3, 64, 3, 1), true, false, true, false}};
  for (std::int64_t stage = 0, size = 32, c = 64; stage < 4; ++stage) {
    if (stage > 0) {
      all.push_back({shape(size, c, 2 * c, 3, 2), true, false, false, false});
      all.push_back({shape(size, c, 2 * c, 1, 2), false, false, false, false});  // the shortcut
      size /= 2, c *= 2;
    }
    all.push_back({shape(size, c, c, 3, 1), true, false, false, false});
    all.push_back({shape(size, c, c, 3, 1), true, true, false, true});
  }
  return all;
}

/// The tensors of a unit, and its passes on them.
template <class S>
struct Data {
  Unit unit;
  ssl::Random random{1, ssl::Purpose::test};
  ssl::Tensor x, before, w, z, y, residual, dy, dx, dw, constant;
  std::vector<double> sum, square;
  std::vector<Pass> passes;

  Data(const Unit& u, const Machine& machine) : unit(u) {
    const ConvShape& s = unit.shape;
    const auto make = [&](const ssl::Shape& shape) { return ssl::random_normal(shape, random).to(ssl::dtype_of<S>); };
    const ssl::Shape in{s.n, s.h, s.w, s.c}, out{s.n, s.oh(), s.ow(), s.o};
    x = make(in), z = make(out), dy = make(out), dx = make(in), y = make(out);
    if (unit.remade) before = make(in);
    if (unit.residual) residual = make(out);
    w = ssl::random_normal({s.o, s.kh, s.kw, s.c}, random, 0, 0.05);
    dw = ssl::empty_like(w);
    constant = ssl::full({std::max(s.o, s.c)}, 0.5);
    sum.resize(static_cast<std::size_t>(s.o)), square = sum;
    add_passes(machine);
  }

  void add_passes(const Machine& machine) {
    const ConvShape& s = unit.shape;
    const double in = static_cast<double>(x.bytes()), out = static_cast<double>(z.bytes()),
                 weights = static_cast<double>(w.bytes());
    const std::int64_t rows = s.n * s.oh() * s.ow();
    const bool small = ssl::dtype_of<S> == ssl::DType::bfloat16;
    const float* half = constant.data<float>();
    // A matrix of positive numbers is enough as mask and mean: what is multiplied does not change how long it takes.
    const kernels::ReluMask<S> mask = !unit.relu      ? kernels::ReluMask<S>{}
                                      : unit.residual ? kernels::ReluMask<S>{y.data<S>(), nullptr, nullptr}
                                                      : kernels::ReluMask<S>{nullptr, half, half};
    const kernels::ReluMask<S> apply_mask = unit.residual ? kernels::ReluMask<S>{} : mask;
    const auto convolution = [&](const char* name, bool backward, bool input_grad, double bytes, std::function<void()> work) {
      const auto& variant = kernels::variant();
      const bool winograd = (small ? variant.conv2d_winograd_bfloat16 != nullptr : variant.conv2d_winograd != nullptr) &&
                            kernels::detail::takes_winograd(s, input_grad);
      const double direct = 2 * s.multiply_adds();
      const double done = winograd ? 2.0 * static_cast<double>(kernels::detail::WinogradMap(s, input_grad).tiles() *
                                                               kernels::detail::winograd_points * s.c * s.o)
                                   : direct;
      passes.push_back({name, backward, bytes, direct, done,
                        small && machine.pairs > 0 && !winograd && s.c >= 8 ? machine.pairs : machine.single, std::move(work)});
    };
    const auto pass = [&](const char* name, bool backward, double bytes, std::function<void()> work) {
      passes.push_back({name, backward, bytes, 0, 0, 0, std::move(work)});
    };
    S *zs = z.mutable_data<S>(), *ys = y.mutable_data<S>(), *dys = dy.mutable_data<S>(), *dxs = dx.mutable_data<S>(),
      *xs = x.mutable_data<S>();
    const float* ws = w.data<float>();

    convolution("convolution", false, false, in + weights + out,
                [=, this] { kernels::conv2d_forward_sums(s, xs, ws, zs, half, sum.data(), square.data()); });
    pass("normalise", false, (unit.residual ? 3 : 2) * out, [=, this] {
      kernels::channel_affine<S>(rows, s.o, zs, half, half, unit.residual ? residual.data<S>() : nullptr, unit.relu, ys);
    });
    pass("sums", true, (unit.residual ? 4 : 2) * out, [=, this] {
      kernels::channel_grad_sums<S>(rows, s.o, dys, zs, half, mask, unit.residual ? dys : nullptr, sum.data(), square.data());
    });
    pass("dz", true, 3 * out,
         [=] { kernels::channel_grad_apply<S>(rows, s.o, dys, zs, half, apply_mask, half, half, half, zs); });
    if (unit.remade)
      pass("x again", true, 2 * in,
           [=, this] { kernels::channel_affine<S>(s.n * s.h * s.w, s.c, before.data<S>(), half, half, nullptr, true, xs); });
    convolution("weight gradient", true, false, out + in + weights,
                [=, this] { kernels::conv2d_weight_grad(s, xs, zs, dw.mutable_data<float>()); });
    if (!unit.first)
      convolution("input gradient", true, true, out + weights + in, [=] { kernels::conv2d_input_grad(s, zs, ws, dxs); });
  }

  /// Seconds of the op itself, forward and backward, as in a step: gradients are handed over, x is made again where it is.
  std::pair<double, double> run() {
    const ConvShape& s = unit.shape;
    const auto leaf = [](ssl::Tensor t) { return t.set_requires_grad(), t; };
    const auto end = leaf(ssl::zeros({1}));
    const auto drop = [](ssl::autograd::Backward& b) { b.take_grad(); };
    ssl::Tensor input = x, added = residual;
    if (!unit.first) input = ssl::autograd::record("source", {end}, x.alias(x.shape()), drop);
    if (unit.residual) added = ssl::autograd::record("source", {end}, residual.alias(residual.shape()), drop);
    if (unit.remade) {
      ssl::ops::detail::ChannelStatistics statistics;
      statistics.mean.resize(static_cast<std::size_t>(s.c), 0.5), statistics.inverse_deviation = statistics.mean;
      const ssl::Tensor z_before = before;
      ssl::autograd::set_recipe(
          input, [=] { return ssl::ops::detail::normalise_channels(z_before, statistics, {}, {}, {}, true, false); });
    }
    const ssl::ops::NormState norm{.gamma = leaf(ssl::ones({s.o})),
                                   .beta = leaf(ssl::zeros({s.o})),
                                   .running_mean = ssl::zeros({s.o}),
                                   .running_var = ssl::ones({s.o})};
    const ssl::Tensor weight = leaf(w.clone());
    ssl::Tensor result;
    const double forward = bench::seconds([&] {
      result = ssl::ops::conv_norm_act(input, weight, norm, unit.relu ? ssl::ops::Activation::relu : ssl::ops::Activation::none,
                                       added, {.stride = {s.stride_h, s.stride_w}, .padding = {s.pad_h, s.pad_w}});
    });
    input = added = {};
    const ssl::Tensor loss = ssl::autograd::record(
        "end", {result}, ssl::zeros({1}), [g = dy.clone()](ssl::autograd::Backward& b) mutable { b.give(0, std::move(g)); });
    return {forward, bench::seconds([&] { ssl::backward(loss); })};
  }
};

void print_row(const std::string& name, const std::vector<const Pass*>& passes, double time, const Machine& machine) {
  double bytes = 0, direct = 0, least = 0, by_memory = 0;
  for (const Pass* p : passes) {
    const double part = p->least(machine.memory);
    bytes += p->bytes, direct += p->direct, least += part;
    if (p->by_memory(machine.memory)) by_memory += part;
  }
  std::printf("%-34s%8.1f%8.2f%9.2f%8.1f%8.0f%9.2f%6.0f%%  %s\n", name.c_str(), bytes * 1e-6, direct * 1e-9, time * 1e3,
              bytes / time * 1e-9, direct / time * 1e-9, least * 1e3, 100 * least / time,
              by_memory > 0.5 * least ? "memory" : "arithmetic");
}

template <class S>
void print_unit(const Unit& unit, const Machine& machine) {
  Data<S> data(unit, machine);
  std::vector<double> times[2];
  for (int i = -1; i < repetitions; ++i) {
    const auto [forward, backward] = data.run();
    if (i >= 0) times[0].push_back(forward), times[1].push_back(backward);
  }
  const ConvShape& s = unit.shape;
  for (const bool backward : {false, true}) {
    char name[64];
    std::snprintf(name, sizeof name, "%lldx%lld/%lld %lld->%lld %lldx%lld%s%s %s", static_cast<long long>(s.kh),
                  static_cast<long long>(s.kw), static_cast<long long>(s.stride_h), static_cast<long long>(s.c),
                  static_cast<long long>(s.o), static_cast<long long>(s.h), static_cast<long long>(s.w),
                  unit.relu ? "" : " linear", unit.residual ? " + r" : "", backward ? "backward" : "forward");
    std::vector<const Pass*> passes;
    for (const auto& p : data.passes)
      if (p.backward == backward) passes.push_back(&p);
    print_row(name, passes, bench::median(times[backward]), machine);
    if (!each_pass) continue;
    for (const Pass* p : passes)
      print_row(std::string("    ") + p->name, {p}, bench::seconds_on({ssl::threads()}, repetitions, p->work).median[0], machine);
  }
  std::fflush(stdout);
}

template <class S>
void print_type(const char* name, const std::vector<Unit>& units, const Machine& machine) {
  std::printf("\n%-34s%8s%8s%9s%8s%8s%9s%7s  bound by\n", name, "MB", "GFLOP", "ms", "GB/s", "GFLOP/s", "least ms", "share");
  for (const auto& unit : units) print_unit<S>(unit, machine);
}

}  // namespace

int main(int count, char** arguments) try {
  int threads = 2;
  std::int64_t views = 128;
  bool quick = false;
  for (int i = 1; i < count; ++i) {
    const std::string option = arguments[i];
    const bool number = i + 1 < count && std::atoi(arguments[i + 1]) > 0;
    if (option == "--passes") each_pass = true;
    else if (option == "--quick") quick = true;
    else if (option == "--threads" && number) threads = std::atoi(arguments[++i]);
    else if (option == "--views" && number) views = std::atoi(arguments[++i]);
    else if (option == "--repetitions" && number) repetitions = std::atoi(arguments[++i]);
    else
      return std::fprintf(stderr, "expected --threads N, --views N, --repetitions N, --passes or --quick, got %s\n",
                          arguments[i]),
             2;
  }
  ssl::set_threads(threads);
  const auto memory = bench::memory_speed();
  const Machine machine{std::max(memory.copy, memory.in_place), bench::peak(false), bench::peak(true)};
  std::printf(
      "%s kernels, %d threads, %lld pictures; memory %.1f GB/s copied, %.1f changed in place; multiply-adds %.0f GFLOP/s in "
      "float32, %.0f on bfloat16 pairs\n",
      kernels::name_of(kernels::isa()), threads, static_cast<long long>(views), memory.copy * 1e-9, memory.in_place * 1e-9,
      machine.single * 1e-9, machine.pairs * 1e-9);
  auto units = resnet18(views);
  if (quick) units.resize(3);
  print_type<float>("float32", units, machine);
  print_type<ssl::bfloat16>("bfloat16", units, machine);
} catch (const ssl::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
