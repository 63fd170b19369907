#include <doctest/doctest.h>

#include <cmath>

#include <sslcake/image/decode.hpp>
#include <sslcake/image/resize.hpp>

#include "pictures.hpp"

using namespace pictures;

TEST_CASE("bilinear and nearest as Pillow") {
  const auto source = image::load(path("rgb.png"));
  for (const auto& size : {std::pair{20, 11}, {45, 8}, {7, 31}, {90, 62}, {64, 20}, {1, 1}}) {
    const int width = size.first, height = size.second;
    CAPTURE(width);
    CAPTURE(height);
    // Pillow rounds between its two passes, we do not: one level at most.
    const auto d = difference(image::resize(source, width, height), expected_picture(concat("bilinear ", width, ' ', height)));
    CHECK(d.most <= 1);
    CHECK(d.mean < 0.3);
    CHECK(image::resize_nearest(source, width, height) == expected_picture(concat("nearest ", width, ' ', height)));
  }
  const auto grey = image::crop_resize(image::load(path("rgb.png")), {5, 3, 30, 22}, 16, 16);
  CHECK(difference(grey, expected_picture("box 5 3 30 22 to 16 16")).most <= 1);
  CHECK(image::resize(source, 45, 31) == source);
}

TEST_CASE("one channel, and floats as torch's antialiased interpolation") {
  const auto source = image::load(path("rgb.png"));
  image::Image one(45, 31, 1);
  const auto grey = image::load(path("grey.png"));
  for (std::size_t i = 0; i < one.pixels.size(); ++i) one.pixels[i] = grey.pixels[3 * i];
  CHECK(difference(image::resize(one, 20, 11), expected_picture("bilinear grey 20 11")).most <= 1);

  const std::vector<float> pixels(source.pixels.begin(), source.pixels.end());
  std::vector<float> out(20 * 11 * 3);
  image::resize(pixels.data(), 45, 31, 3, out.data(), 20, 11);
  const Tensor wanted = expected("float 20 11");
  for (std::size_t i = 0; i < out.size(); ++i) REQUIRE(out[i] == doctest::Approx(wanted.data<float>()[i]).epsilon(1e-5));
}

TEST_CASE("a constant stays, a ramp stays a ramp, mirrored is mirrored") {
  const image::Image flat(13, 9, 3, 77);
  CHECK(image::resize(flat, 5, 31) == image::Image(5, 31, 3, 77));
  image::Image ramp(64, 1, 1);
  for (int x = 0; x < 64; ++x) ramp.pixels[static_cast<std::size_t>(x)] = static_cast<std::uint8_t>(4 * x);
  const auto half = image::resize(ramp, 32, 1);
  for (int x = 1; x < 31; ++x) CHECK(std::abs(half.pixels[static_cast<std::size_t>(x)] - (8 * x + 2)) <= 1);

  const auto source = image::load(path("rgb.png"));
  std::vector<float> plain(3 * 12 * 10), mirrored(3 * 12 * 10);
  image::crop_resize(source, {4, 2, 31, 25}, 12, 10, plain.data());
  image::crop_resize(source, {4, 2, 31, 25}, 12, 10, mirrored.data(), true);
  for (int row = 0; row < 3 * 10; ++row)
    for (int x = 0; x < 12; ++x)
      REQUIRE(plain[static_cast<std::size_t>(row * 12 + x)] == mirrored[static_cast<std::size_t>(row * 12 + 11 - x)]);
}

TEST_CASE("short side and crop") {
  const image::Image wide(200, 100), tall(100, 200);
  CHECK(image::resize_short_side(wide, 32).width == 64);
  CHECK(image::resize_short_side(wide, 32).height == 32);
  CHECK(image::resize_short_side(tall, 32).height == 64);
  const auto source = image::load(path("rgb.png"));
  const auto part = image::crop(source, 40, 30, 5, 1);
  CHECK(part.width == 5);
  CHECK(std::equal(part.pixels.begin(), part.pixels.end(), source.at(40, 30)));
}

TEST_CASE("sizes and boxes that make no sense") {
  const image::Image picture(10, 8);
  CHECK_THROWS_AS(image::resize(picture, 0, 5), Error);
  CHECK_THROWS_AS(image::resize(picture, 5, -1), Error);
  CHECK_THROWS_AS(image::resize(picture, 1 << 20, 1 << 20), Error);
  CHECK_THROWS_AS(image::resize_short_side(picture, 0), Error);
  CHECK_THROWS_AS(image::resize_nearest(picture, 0, 1), Error);
  CHECK_THROWS_AS(image::resize(image::Image(), 5, 5), Error);
  CHECK_THROWS_AS(image::crop(picture, 1, 0, 10, 8), Error);
  CHECK_THROWS_AS(image::crop(picture, 0x7FFFFFFF, 0, 0x7FFFFFFF, 8), Error);
  CHECK_THROWS_AS(image::crop_resize(picture, {0, 0, 11, 8}, 4, 4), Error);
  CHECK_THROWS_AS(image::crop_resize(picture, {-1, 0, 4, 4}, 4, 4), Error);
  CHECK_THROWS_AS(image::crop_resize(picture, {2, 2, 0x7FFFFFFF, 4}, 4, 4), Error);
  CHECK_THROWS_AS(image::resize(nullptr, 4, 4, 2, nullptr, 4, 4), Error);
}

TEST_CASE("reduce means blocks, and what is left of them at the edges") {
  image::Image picture(3, 2, 1);
  picture.pixels = {1, 2, 9, 4, 7, 10};
  CHECK(image::reduce(picture, 1) == picture);
  CHECK(image::reduce(picture, 2).pixels == std::vector<std::uint8_t>{4, 10});  // 14 / 4 and 19 / 2, rounded
  CHECK(image::reduce(picture, 1000).pixels == std::vector<std::uint8_t>{6});   // 33 / 6
  CHECK(image::reduce(image::Image(17, 9, 3, 200), 4) == image::Image(5, 3, 3, 200));
  const image::Image white(4100, 4097, 1, 255);
  CHECK(image::reduce(white, 4096) == image::Image(2, 2, 1, 255));
  for (const int factor : {-1, 0, 4097}) CHECK_THROWS_AS(image::reduce(picture, factor), Error);
  CHECK_THROWS_AS(image::reduce(image::Image(), 2), Error);
}
