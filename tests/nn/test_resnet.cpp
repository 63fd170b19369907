#include <doctest/doctest.h>

#include "formula.hpp"
#include "sslcake/core/random.hpp"
#include "sslcake/nn/cakenet.hpp"
#include "sslcake/nn/resnet.hpp"

using namespace sslcake;

namespace {

nn::ResNet network(const std::string& name) {
  if (name == "resnet18") return nn::resnet18();
  if (name == "resnet34") return nn::resnet34();
  return nn::resnet50();
}

}  // namespace

TEST_CASE("names, shapes and features at every stage are torchvision's") {
  const NoGrad no_grad;
  for (const char* name : {"resnet18", "resnet34", "resnet50"}) {
    CAPTURE(name);
    const nn::ResNet net = network(name);
    std::vector<std::string> ours;
    for (const auto& p : net.state()) {
      std::string line = p.name;
      const Shape& s = p.tensor.shape();
      for (const auto e : p.layout == Layout::conv ? Shape{s[0], s[3], s[1], s[2]} : s) line += " " + std::to_string(e);
      ours.push_back(line);
    }
    CHECK(ours == lines_of(std::string(name) + "-names"));
    if (name == std::string("resnet34")) continue;  // the same blocks as ResNet-18

    const auto lines = lines_of(std::string(name) + "-features");
    fill(net.state());
    net.eval();
    const nn::Features f = net.forward(pictures(1, 64));
    REQUIRE(f.stages.size() == 4);
    for (std::size_t s = 0; s < 4; ++s) {
      CAPTURE(s);
      const auto expected = numbers_of(lines[s]);
      const auto size = std::int64_t{16} >> s;
      CHECK(f.stages[s].shape() == Shape{1, size, size, net.stage_dims()[s]});
      double mean = 0, square = 0;
      const auto values = f.stages[s].to_vector<double>();
      for (const double v : values)
        mean += v / static_cast<double>(values.size()), square += v * v / static_cast<double>(values.size());
      CHECK(mean == doctest::Approx(expected[0]).epsilon(1e-4));
      CHECK(square == doctest::Approx(expected[1]).epsilon(1e-4));
    }
    const auto expected = numbers_of(lines[4]);
    const auto pooled = f.pooled.to_vector<double>();
    REQUIRE(pooled.size() == 8 * expected.size());
    double most = 0;
    for (const double v : expected) most = std::max(most, std::abs(v));
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(std::abs(pooled[8 * i] - expected[i]) < 1e-4 * most);
    CHECK(net.dim() == static_cast<std::int64_t>(pooled.size()));
  }
}

TEST_CASE("a training step's gradients and statistics are PyTorch's") {
  compare_step("resnet18-w8-small", nn::resnet18({.stem = nn::Stem::small, .width = 8}), 32);
  nn::ResNetConfig bottleneck;
  bottleneck.bottleneck = true;
  bottleneck.widths = {8, 16, 32, 64};
  bottleneck.blocks = {1, 2, 1, 1};
  bottleneck.stem_width = 8;
  compare_step("bottleneck", nn::ResNet(bottleneck), 64);
  compare_step("cakenet-w16", nn::cakenet({.width = 16}), 32);
}

TEST_CASE("folded batch norm gives the same features") {
  const nn::ResNet net = nn::resnet18({.stem = nn::Stem::small, .width = 8});
  fill(net.state());
  net.eval();
  auto folded = nn::clone(net);
  folded.fold();
  const NoGrad no_grad;
  const auto a = net.forward(pictures(2, 16)).pooled.to_vector<double>(),
             b = folded.forward(pictures(2, 16)).pooled.to_vector<double>();
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(b[i] == doctest::Approx(a[i]).epsilon(1e-4));
}

TEST_CASE("initial values: He's normal for weights, 1 and 0 for norms, and 0 for a block's last norm on request") {
  seed(1);
  const nn::ResNet net = nn::resnet18({.width = 32, .zero_init_residual = true});
  for (const auto& p : net.parameters()) {
    CAPTURE(p.name);
    const auto values = p.tensor.to_vector<double>();
    if (p.tensor.rank() == 4) {
      double square = 0;
      for (const double v : values) square += v * v / static_cast<double>(values.size());
      CHECK(square == doctest::Approx(2.0 / static_cast<double>(p.tensor.numel() / p.tensor.dim(3))).epsilon(0.15));
    } else {
      const bool last = contains(p.name, "bn2") && ends_with(p.name, "weight");
      CHECK(values == std::vector<double>(values.size(), ends_with(p.name, "bias") || last ? 0.0 : 1.0));
    }
  }
}

TEST_CASE("cakenet: widths and blocks of one's own") {
  const nn::ResNet net = nn::cakenet({.stem_stride = 1, .widths = {8, 12}, .blocks = {2, 1}, .stem_width = 4});
  CHECK(net.stage_dims() == std::vector<std::int64_t>{8, 12});
  const auto f = net.forward(pictures(2, 12));
  CHECK(f.stages[0].shape() == Shape{2, 12, 12, 8});
  CHECK(f.stages[1].shape() == Shape{2, 6, 6, 12});
  CHECK(f.pooled.shape() == Shape{2, 12});
  CHECK(nn::cakenet().stage_dims() == std::vector<std::int64_t>{64, 128, 256});
  CHECK(nn::cakenet({.stem = nn::Stem::imagenet, .width = 8}).forward(pictures(1, 96)).stages[0].shape() == Shape{1, 24, 24, 8});
}

TEST_CASE("what is refused, and how an error names the layer") {
  CHECK(contains(message_of([] { nn::resnet18({.width = 0}); }), "[resnet18] expected a width"));
  CHECK(contains(message_of([] { nn::cakenet({.widths = {8}, .blocks = {1, 1}}); }), "as many widths as numbers of blocks"));
  CHECK(contains(message_of([] { nn::cakenet({.widths = {}, .blocks = {}}); }), "at least one"));
  CHECK(contains(message_of([] { nn::cakenet({.blocks = {0, 1, 1}}); }), "at least 1"));
  const nn::ResNet net = nn::resnet18({.stem = nn::Stem::small, .width = 4});
  CHECK(contains(message_of([&] { net.forward(ones({2, 8, 8, 4})); }), "expected pictures (N,H,W,3), got (2,8,8,4)"));
  for (const auto& p : net.parameters())
    if (p.name == "layer2.0.downsample.0.weight") Tensor(p.tensor).mutable_data<float>()[0] = NAN;
  const FiniteCheck check;
  CHECK(contains(message_of([&] { net.forward(pictures(2, 8)); }), "layer2.0.downsample.0"));
}

TEST_CASE("results that are made again in the backward pass give the same bits, and need not be kept") {
  struct Restore {
    ~Restore() { autograd::set_recompute(true); }
  } restore;
  for (const DType type : {DType::float32, DType::bfloat16})
    for (const bool deep : {false, true}) {
      CAPTURE(deep);
      std::vector<std::vector<float>> gradients[2];
      std::size_t held[2];
      for (const bool on : {false, true}) {
        autograd::set_recompute(on);
        seed(3);
        const nn::ResNetOptions options{.stem = nn::Stem::small, .width = deep ? 8 : 16};
        const nn::ResNet net = deep ? nn::resnet50(options) : nn::resnet18(options);
        const Tensor images = pictures(6, 32).to(type);
        const auto before = memory_stats().in_use;
        const Tensor y = net.forward(images).pooled;
        held[on] = memory_stats().in_use - before;
        Random random(5, Purpose::test);
        backward(y, random_normal(y.shape(), random));
        for (const auto& p : net.parameters()) gradients[on].push_back(p.tensor.grad().to_vector<float>());
      }
      CHECK(gradients[0] == gradients[1]);
      CHECK(held[1] < 0.85 * held[0]);
    }
}
