#include <doctest/doctest.h>

#include <thread>

#include "formula.hpp"
#include "sslcake/image/crop_resize.hpp"
#include "sslcake/nn/cakenet.hpp"
#include "sslcake/nn/encoder_file.hpp"

using namespace sslcake;

namespace {
image::Image picture(int width, int height, std::uint64_t key) {
  image::Image p(width, height);
  for (std::size_t i = 0; i < p.pixels.size(); ++i) p.pixels[i] = static_cast<std::uint8_t>(127.5 * (1 + hashed(i / 7, key)));
  return p;
}
const nn::EncoderInfo info{.input_size = 16, .mean = {0.4f, 0.5f, 0.6f}, .deviation = {0.2f, 0.25f, 0.3f}};

nn::AnyEncoder network() {
  const nn::AnyEncoder e = nn::cakenet({.width = 8});
  fill(e.state());
  e.eval();
  return e;
}
}  // namespace

TEST_CASE("features are those of the network on the middle square, resized and normalised") {
  const auto encoder = network();
  const nn::Extractor extractor(encoder, info);
  CHECK(extractor.dim() == 32);
  for (const auto& size : {std::pair(16, 16), {40, 24}, {9, 30}, {1, 1}}) {
    const int width = size.first, height = size.second;
    CAPTURE(width);
    const auto p = picture(width, height, 3);
    const int side = std::min(width, height);
    std::vector<float> planes(3 * 16 * 16);
    image::crop_resize(p, {(width - side) / 2, (height - side) / 2, side, side}, 16, 16, planes.data());
    Tensor x = empty({1, 16, 16, 3});
    for (int i = 0; i < 256; ++i)
      for (int c = 0; c < 3; ++c) {
        const auto k = static_cast<std::size_t>(c);
        x.mutable_data<float>()[i * 3 + c] = (planes[k * 256 + static_cast<std::size_t>(i)] - info.mean[k]) / info.deviation[k];
      }
    const NoGrad no_grad;
    const auto expected = encoder.forward(x).pooled.to_vector<float>(),
               found = extractor.features(p.pixels.data(), width, height);
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == doctest::Approx(expected[i]).epsilon(1e-4));
  }
}

TEST_CASE("several pictures at once give the rows that each gives alone") {
  const nn::Extractor extractor(network(), info);
  const std::vector<image::Image> pictures{picture(20, 30, 1), picture(16, 16, 2), picture(50, 17, 3)};
  const Tensor rows = extractor.features(pictures);
  CHECK(rows.shape() == Shape{3, 32});
  for (std::size_t i = 0; i < 3; ++i) {
    const auto alone = extractor.features(pictures[i].pixels.data(), pictures[i].width, pictures[i].height);
    for (std::size_t d = 0; d < 32; ++d) CHECK(rows.data<float>()[i * 32 + d] == doctest::Approx(alone[d]).epsilon(1e-5));
  }
  CHECK(extractor.features(std::vector<image::Image>{}).shape() == Shape{0, 32});
  const nn::Extractor any_size(network());
  CHECK(any_size.features({picture(20, 12, 1), picture(20, 12, 2)}).shape() == Shape{2, 32});
  CHECK(contains(message_of([&] { any_size.features({picture(20, 12, 1), picture(12, 20, 2)}); }), "pictures of one size"));
}

TEST_CASE("an extractor is a copy: later training does not reach it, and it records nothing") {
  const auto encoder = network();
  encoder.train();
  const nn::Extractor extractor(encoder, info);
  CHECK(encoder.training());
  const auto p = picture(16, 16, 1);
  const auto before = extractor.features(p.pixels.data(), 16, 16);
  Tensor weight = encoder.parameters()[0].tensor;
  weight.mutable_data<float>()[0] += 1;
  CHECK(extractor.features(p.pixels.data(), 16, 16) == before);
  CHECK_FALSE(extractor.forward(pictures(1, 16)).pooled.requires_grad());
}

TEST_CASE("from a file in one line, from several threads") {
  Scratch folder;
  const auto encoder = network();
  nn::save_encoder(folder / "encoder.safetensors", encoder, info);
  const auto loaded = nn::load(folder / "encoder.safetensors");
  const auto p = picture(33, 21, 4);
  const auto expected = nn::Extractor(encoder, info).features(p.pixels.data(), 33, 21);
  std::vector<float> found[4];
  std::vector<std::thread> threads;
  for (auto& f : found) threads.emplace_back([&f, &loaded, &p] { f = loaded.features(p.pixels.data(), 33, 21); });
  for (auto& t : threads) t.join();
  for (const auto& f : found) CHECK(f == expected);
}

TEST_CASE("what is refused") {
  const nn::Extractor extractor(network(), info);
  const std::uint8_t pixel[3] = {1, 2, 3};
  CHECK(contains(message_of([&] { extractor.features(nullptr, 1, 1); }), "null pointer"));
  CHECK(contains(message_of([&] { extractor.features(pixel, 0, 1); }), "at least 1 x 1"));
  CHECK(contains(message_of([&] { extractor.features(pixel, 1, -1); }), "at least 1 x 1"));
  CHECK(contains(message_of([&] { extractor.features({image::Image{}}); }), "[features]"));
  CHECK(contains(message_of([&] { nn::Extractor(network(), {.deviation = {1, 0, 1}}); }), "deviations above 0"));
  CHECK(contains(message_of([&] { nn::Extractor(network(), {.input_size = -1}); }), "input size"));
}
