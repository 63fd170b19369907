#include <doctest/doctest.h>

#include <cstdio>

#include <unistd.h>

#include <sslcake/core/random.hpp>
#include <sslcake/image/decode.hpp>
#include <sslcake/image/png.hpp>

#include "pictures.hpp"

using namespace pictures;

TEST_CASE("what is written is read back exactly") {
  Random random(1, Purpose::test);
  for (const auto& [width, height, channels] : {std::array{1, 1, 3}, {7, 5, 3}, {64, 33, 3}, {33, 64, 1}, {1, 300, 3}, {300, 1, 1}}) {
    image::Image noise(width, height, channels), flat(width, height, channels, 200);
    for (auto& v : noise.pixels) v = static_cast<std::uint8_t>(random.below(256));
    for (const auto& picture : {noise, flat}) {
      const auto read = image::decode(image::encode_png(picture));
      REQUIRE(read.width == width);
      REQUIRE(read.height == height);
      for (std::size_t i = 0; i < read.pixels.size(); ++i)
        REQUIRE(read.pixels[i] == picture.pixels[channels == 3 ? i : i / 3]);
    }
  }
}

TEST_CASE("saving, replacing, and what stands in the way") {
  const std::string file = concat("/tmp/sslcake-test-png-", ::getpid(), ".png");
  image::save_png(file, image::Image(3, 2, 3, 10));
  image::save_png(file, image::Image(5, 4, 3, 20));
  CHECK(image::load(file) == image::Image(5, 4, 3, 20));
  CHECK(::access((file + ".part").c_str(), F_OK) != 0);
  CHECK(has(message_of([&] { image::save_png(file + "/inside.png", image::Image(1, 1)); }), "a file, not a folder"));
  ::unlink(file.c_str());
  CHECK(has(message_of([] { image::save_png("/no/such/folder/a.png", image::Image(1, 1)); }), "its folder does not exist"));
  if (::access("/dev/full", W_OK) == 0)
    CHECK(has(message_of([] { image::save_png("/proc/a.png", image::Image(1, 1)); }), "cannot write /proc/a.png"));
  CHECK(has(message_of([] { image::save_png("/tmp/empty.png", image::Image()); }), "at least 1 x 1"));
  CHECK(::access("/tmp/empty.png", F_OK) != 0);
}

TEST_CASE("pictures that are none") {
  image::Image wrong(2, 2);
  wrong.pixels.pop_back();
  CHECK(has(message_of([&] { image::encode_png(wrong); }), "expected 12 bytes"));
  wrong.channels = 2;
  CHECK(has(message_of([&] { image::encode_png(wrong); }), "1 or 3 channels"));
  CHECK_THROWS_AS(image::Image(-1, 2), Error);
  CHECK_THROWS_AS(image::Image(1, 2, 4), Error);
}
