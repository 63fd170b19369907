#include <doctest/doctest.h>

#include "formula.hpp"
#include "sslcake/core/random.hpp"
#include "sslcake/nn/encoder_file.hpp"
#include "sslcake/nn/vit.hpp"

using namespace sslcake;

namespace {
nn::ViTConfig small_pictures() {
  nn::ViTConfig c;
  c.name = "small pictures";
  c.image_size = 24;
  c.patch = 4;
  c.width = 30;
  c.depth = 3;
  c.heads = 5;
  c.mlp_width = 60;
  return c;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
}  // namespace

TEST_CASE("a transformer's names and shapes are timm's") {
  const nn::ViT net = nn::vit_tiny();
  std::vector<std::string> ours;
  std::int64_t numbers = 0;
  for (const auto& p : net.state()) {
    std::string line = p.name;
    const Shape& s = p.tensor.shape();
    for (const auto e : p.layout == Layout::conv ? Shape{s[0], s[3], s[1], s[2]} : s) line.append(" ").append(std::to_string(e));
    ours.push_back(line);
    numbers += p.tensor.numel();
  }
  CHECK(ours == lines_of("vit_tiny-names"));
  CHECK(numbers == 5'524'416);
  CHECK(net.dim() == 192);
}

TEST_CASE("a transformer's training step is timm's: features and every gradient") {
  compare_step("vit-small-pictures", nn::ViT(small_pictures()), 24);
}

TEST_CASE("the stages of a transformer are maps of tokens") {
  auto config = small_pictures();
  config.depth = 9;
  const nn::ViT net(config);
  const NoGrad no_grad;
  const auto f = net.forward(pictures(2, 24));
  REQUIRE(f.stages.size() == 4);
  for (const auto& s : f.stages) CHECK(s.shape() == Shape{2, 6, 6, 30});
  CHECK(net.stage_dims() == std::vector<std::int64_t>{30, 30, 30, 30});
  CHECK(f.pooled.shape() == Shape{2, 30});
  config.depth = 1;
  CHECK(nn::ViT(config).forward(pictures(2, 24)).stages.size() == 1);
}

TEST_CASE("initial values of a transformer are timm's in their distribution") {
  seed(2);
  for (const auto& p : nn::vit_tiny({.image_size = 32, .patch = 4}).parameters()) {
    CAPTURE(p.name);
    const auto values = p.tensor.to_vector<double>();
    double square = 0, mean = 0;
    for (const double v : values)
      square += v * v / static_cast<double>(values.size()), mean += v / static_cast<double>(values.size());
    if (p.tensor.rank() == 2 || p.name == "pos_embed") CHECK(std::sqrt(square) == doctest::Approx(0.02).epsilon(0.05));
    else if (p.name == "cls_token") CHECK(std::sqrt(square) == doctest::Approx(1e-6).epsilon(0.3));
    else if (p.name == "patch_embed.proj.weight")
      CHECK(std::sqrt(square) == doctest::Approx(1 / std::sqrt(3.0 * 48)).epsilon(0.05));
    else if (p.name.find("norm") != std::string::npos) CHECK(mean == doctest::Approx(ends_with(p.name, "weight") ? 1 : 0));
    else if (p.name != "patch_embed.proj.bias") CHECK(square == 0);
  }
}

TEST_CASE("a transformer is saved, described, loaded, and found by name") {
  Scratch folder;
  const auto encoder = nn::make_encoder("vit_tiny_patch8", {.image_size = 32});
  CHECK(encoder.name() == "vit_tiny_patch8");
  CHECK(encoder.dim() == 192);
  CHECK(nn::macs(encoder, 32, 32) > 85'000'000);
  nn::save_encoder(folder / "e.safetensors", encoder, {.input_size = 32});
  const auto loaded = nn::load(folder / "e.safetensors");
  REQUIRE(loaded.encoder().config());
  CHECK(std::get<nn::ViTConfig>(*loaded.encoder().config()).patch == 8);
  encoder.eval();
  const NoGrad no_grad;
  CHECK(loaded.encoder().forward(pictures(1, 32)).pooled.to_vector<float>() ==
        encoder.forward(pictures(1, 32)).pooled.to_vector<float>());
  // Any size of picture, through the extractor, which resizes to the size that it was trained on.
  const std::vector<std::uint8_t> rgb(50 * 40 * 3, 128);
  CHECK(loaded.features(rgb.data(), 50, 40).size() == 192);
}

TEST_CASE("a transformer on bfloat16 pictures follows itself in float32, forward and backward") {
  nn::ViT net(small_pictures());
  const Tensor images = pictures(4, 24);
  const auto pass = [&](DType type) {
    clear_grads(net.parameters());
    const nn::Features f = net.forward(images.to(type));
    CHECK(f.pooled.dtype() == DType::float32);
    CHECK(f.stages.back().dtype() == DType::float32);
    Random random(7, Purpose::test);
    backward(f.pooled, random_normal(f.pooled.shape(), random));
    std::vector<double> values = f.pooled.to_vector<double>();
    for (const auto& p : net.parameters())
      for (const double v : p.tensor.grad().to_vector<double>()) values.push_back(v);
    return values;
  };
  const auto half = pass(DType::bfloat16), single = pass(DType::float32);
  REQUIRE(half.size() == single.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < half.size(); ++i)
    difference += (half[i] - single[i]) * (half[i] - single[i]), size += single[i] * single[i];
  CHECK(difference > 0);
  CHECK(std::sqrt(difference / size) < 0.02);
}

TEST_CASE("a transformer refuses other sizes of pictures, patches and heads that do not divide") {
  const nn::ViT net(small_pictures());
  const std::string size = message_of([&] { net.forward(pictures(1, 32)); });
  CHECK(has(size, "24 x 24"));
  CHECK(has(size, "(1,32,32,3)"));
  CHECK(has(message_of([&] { net.forward(pictures(1, 24).to(DType::float64)); }), "float32 or bfloat16"));
  auto config = small_pictures();
  config.patch = 5;
  CHECK(has(message_of([&] { nn::ViT{config}; }), "divide pictures of 24 pixels, got 5"));
  config = small_pictures();
  config.heads = 4;
  CHECK(has(message_of([&] { nn::ViT{config}; }), "divide the width 30, got 4"));
  CHECK(has(message_of([] { nn::make_encoder("vit_huge"); }), "vit_tiny, vit_small, vit_base"));
  CHECK(has(message_of([] { nn::make_encoder("vit_tiny_patch0"); }), "\"vit_tiny_patch0\""));
}
