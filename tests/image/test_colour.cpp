#include <doctest/doctest.h>

#include <sslcake/image/colour.hpp>
#include <sslcake/image/decode.hpp>

#include "pictures.hpp"

using namespace pictures;

TEST_CASE("hue, saturation and value as torchvision, and back") {
  const Tensor rgb = expected("colours rgb"), hsv = expected("colours hsv"), back = expected("colours back");
  for (std::int64_t i = 0; i < rgb.dim(0); ++i) {
    const float *in = rgb.data<float>() + 3 * i, *wanted = hsv.data<float>() + 3 * i, *returned = back.data<float>() + 3 * i;
    const image::Colour there = image::rgb_to_hsv({in[0], in[1], in[2]});
    const image::Colour again = image::hsv_to_rgb(there);
    for (std::size_t c = 0; c < 3; ++c) {
      CAPTURE(i);
      CHECK(there[c] == doctest::Approx(wanted[c]).epsilon(1e-5));
      CHECK(again[c] == doctest::Approx(returned[c]).epsilon(1e-5));
      CHECK(again[c] == doctest::Approx(in[c]).epsilon(1e-5));
    }
  }
  // Hue counts modulo one turn.
  const auto a = image::hsv_to_rgb({0.3f, 0.5f, 0.8f}), b = image::hsv_to_rgb({-0.7f, 0.5f, 0.8f});
  for (std::size_t c = 0; c < 3; ++c) CHECK(a[c] == doctest::Approx(b[c]).epsilon(1e-5));
}

TEST_CASE("grey as Pillow, and three channels of it") {
  const auto picture = image::load(path("rgb.png"));
  const auto grey = image::to_grey(picture);
  CHECK(grey.channels == 1);
  CHECK(difference(grey, expected_picture("luminance")).most <= 1);
  const auto again = image::to_rgb(grey);
  CHECK(again.channels == 3);
  CHECK(image::to_grey(again) == grey);
  CHECK(image::to_rgb(picture) == picture);
}
