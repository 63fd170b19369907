// libjpeg-turbo beside stb: the same pictures within rounding, the same verdicts, and fractions of the size.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <sslcake/core/threads.hpp>
#include <sslcake/image/decode.hpp>
#include <sslcake/image/exif.hpp>
#include <sslcake/image/jpeg_decoder.hpp>
#include <sslcake/image/resize.hpp>

#include "pictures.hpp"

using namespace pictures;
using image::JpegDecoder;
using File = std::vector<std::uint8_t>;

namespace {

bool turbo_missing() {
  if (image::supports(JpegDecoder::turbo)) return false;
  MESSAGE("skipped: this build decodes JPEGs by stb alone (Debian and Ubuntu: libturbojpeg0-dev)");
  return true;
}

File read(const std::string& name) {
  std::ifstream in(name, std::ios::binary);
  REQUIRE(in);
  return File(std::istreambuf_iterator<char>(in), {});
}

/// As stored, whatever SSLCAKE_JPEG says.
image::Image by(JpegDecoder decoder, const File& file, int denominator = 1) {
  const auto header = image::detail::check_jpeg(file.data(), file.size(), {.max_pixels = 1 << 22});
  return image::detail::decode_jpeg(file.data(), file.size(), header, denominator, decoder);
}

std::string verdict(JpegDecoder decoder, const File& file) {
  return message_of([&] { by(decoder, file); });
}

/// Photographs, where the data sets are.
std::vector<std::string> photographs(std::size_t most) {
  const char* data = std::getenv("SSLCAKE_DATA");
  std::vector<std::string> files;
  std::error_code error;
  if (data != nullptr)
    for (const auto& entry : std::filesystem::directory_iterator(std::string(data) + "/natural-photos-144", error))
      if (entry.path().extension() == ".jpg") files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  if (files.empty()) MESSAGE("skipped: SSLCAKE_DATA names no folder with natural-photos-144");
  if (files.size() > most) files.resize(most);
  return files;
}

constexpr const char* fixtures[] = {"baseline.jpg", "444.jpg", "422.jpg", "progressive.jpg", "restart.jpg", "grey.jpg"};

}  // namespace

TEST_CASE("the choice of a decoder") {
  using image::detail::choose_jpeg_decoder;
  CHECK(choose_jpeg_decoder("", true) == JpegDecoder::turbo);
  CHECK(choose_jpeg_decoder("", false) == JpegDecoder::stb);
  CHECK(choose_jpeg_decoder("stb", true) == JpegDecoder::stb);
  CHECK(choose_jpeg_decoder("turbo", true) == JpegDecoder::turbo);
  CHECK(has(message_of([] { choose_jpeg_decoder("turbo", false); }), "built without"));
  for (const bool there : {false, true})
    CHECK(has(message_of([&] { choose_jpeg_decoder("Turbo", there); }), "expected \"stb\" or \"turbo\", got \"Turbo\""));
  CHECK(image::supports(JpegDecoder::stb));
  const char* wanted = std::getenv("SSLCAKE_JPEG");
  CHECK(image::jpeg_decoder() == choose_jpeg_decoder(wanted == nullptr ? "" : wanted, image::supports(JpegDecoder::turbo)));
}

TEST_CASE("decode takes the decoder in use") {
  for (const std::string name : fixtures) {
    const File file = read(path(name));
    CHECK(image::decode(file) == by(image::jpeg_decoder(), file));
  }
}

TEST_CASE("fixtures: libjpeg-turbo gives Pillow's pixels") {
  if (turbo_missing()) return;
  // Pillow's decoder is the same library, asked for the same.
  for (const std::string name : fixtures) {
    CAPTURE(name);
    const auto d = difference(by(JpegDecoder::turbo, read(path(name))), expected_picture(name));
    CHECK(d.most <= 1);
  }
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const auto name = concat("exif", orientation, ".jpg");
    CAPTURE(name);
    const auto d = difference(image::upright(by(JpegDecoder::turbo, read(path(name))), orientation), expected_picture(name));
    CHECK(d.most <= 1);
  }
}

TEST_CASE("photographs: libjpeg-turbo is close to stb, in full and at fractions") {
  if (turbo_missing()) return;
  double worst_mean = 0;
  int worst = 0;
  for (const auto& name : photographs(1000)) {
    CAPTURE(name);
    const File file = read(name);
    const auto d = difference(by(JpegDecoder::turbo, file), by(JpegDecoder::stb, file));
    worst_mean = std::max(worst_mean, d.mean);
    worst = std::max(worst, d.most);
    CHECK(d.mean <= 0.2);
    CHECK(d.most <= 4);
    for (const int denominator : {2, 4, 8}) {
      // A smaller DCT filters otherwise than the mean of a block does: close, not equal.
      const auto small = difference(by(JpegDecoder::turbo, file, denominator), by(JpegDecoder::stb, file, denominator));
      CHECK(small.mean <= 5.0);
    }
  }
  MESSAGE("largest mean difference " << worst_mean << ", largest difference of a pixel " << worst << " levels");
}

TEST_CASE("fractions: sizes are rounded up, grey and progressive pictures too, and stb means blocks") {
  for (const std::string name : fixtures) {
    CAPTURE(name);
    const File file = read(path(name));
    const auto whole = by(JpegDecoder::stb, file);
    for (const int denominator : {2, 4, 8}) {
      const auto small = by(JpegDecoder::stb, file, denominator);
      CHECK(small == image::reduce(whole, denominator));
      CHECK(small.width == (whole.width + denominator - 1) / denominator);
      CHECK(small.height == (whole.height + denominator - 1) / denominator);
      if (image::supports(JpegDecoder::turbo)) CHECK(same_shape(by(JpegDecoder::turbo, file, denominator), small));
    }
  }
}

TEST_CASE("decode_at_least keeps the shorter side") {
  const auto size_of = [](int side, const std::string& name) {
    const File file = read(path(name));
    const auto picture = image::decode_at_least(side, file.data(), file.size());
    CHECK(image::load_at_least(side, path(name)) == picture);
    return std::pair(picture.width, picture.height);
  };
  // 45 x 31 pixels; every format.
  for (const std::string name : {"baseline.jpg", "progressive.jpg", "rgb.png", "rgb.bmp"}) {
    CAPTURE(name);
    CHECK(size_of(31, name) == std::pair(45, 31));
    CHECK(size_of(17, name) == std::pair(45, 31));
    CHECK(size_of(16, name) == std::pair(23, 16));
    CHECK(size_of(9, name) == std::pair(23, 16));
    CHECK(size_of(8, name) == std::pair(12, 8));
    CHECK(size_of(4, name) == std::pair(6, 4));
    CHECK(size_of(1, name) == std::pair(6, 4));  // 1/8 at the smallest
    CHECK(size_of(1000, name) == std::pair(45, 31));
  }
  CHECK(size_of(4, "exif1.jpg") == std::pair(8, 4));
  CHECK(size_of(4, "exif6.jpg") == std::pair(4, 8));
  CHECK(has(message_of([] { image::load_at_least(0, path("rgb.png")); }), "at least 1 pixel, got 0"));
}

TEST_CASE("what is damaged gets stb's verdict and stb's picture") {
  if (turbo_missing()) return;
  int tries = 0, refused = 0, unseen = 0;
  for (const std::string name : fixtures) {
    CAPTURE(name);
    File file = read(path(name));
    for (std::size_t n = 0; n < file.size(); n += 37) {
      const File cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(n));
      CHECK(verdict(JpegDecoder::turbo, cut) == verdict(JpegDecoder::stb, cut));
    }
    // An end in the middle of the data: complete to the check, corrupt to libjpeg-turbo.
    File ended(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(file.size() * 3 / 4));
    ended.insert(ended.end(), {0xFF, 0xD9});
    CHECK(verdict(JpegDecoder::turbo, ended) == verdict(JpegDecoder::stb, ended));
    if (verdict(JpegDecoder::stb, ended).empty()) CHECK(by(JpegDecoder::turbo, ended) == by(JpegDecoder::stb, ended));
    for (std::size_t i = 0; i < file.size(); i += 3) {
      const auto kept = file[i];
      for (const int flip : {0x01, 0x10, 0x80, 0xFF}) {
        file[i] = static_cast<std::uint8_t>(kept ^ flip);
        ++tries;
        const auto stb = verdict(JpegDecoder::stb, file);
        refused += !stb.empty();
        CAPTURE(i);
        CAPTURE(flip);
        const auto turbo = verdict(JpegDecoder::turbo, file);
        // Some bytes too many at a scan's end: libjpeg-turbo drops them unseen (jpeg_decoder.hpp).
        if (turbo.empty() && has(stb, "unknown marker")) ++unseen;
        else CHECK(turbo == stb);
      }
      file[i] = kept;
    }
  }
  MESSAGE(tries << " changed files, " << refused << " refused by stb, " << unseen << " of them only by it");
  CHECK(1000 * unseen < tries);
}

TEST_CASE("colours that a file contradicts itself about are read as stb reads them") {
  if (turbo_missing()) return;
  // JFIF means YCbCr, components called R, G and B mean RGB.
  File file = read(path("444.jpg"));
  std::size_t frame = 2;
  while (file[frame + 1] != 0xC0) frame += 2u + static_cast<std::size_t>(file[frame + 2] << 8 | file[frame + 3]);
  std::size_t scan = frame;
  while (file[scan + 1] != 0xDA) scan += 2u + static_cast<std::size_t>(file[scan + 2] << 8 | file[scan + 3]);
  for (std::size_t c = 0; c < 3; ++c) file[frame + 10 + 3 * c] = file[scan + 5 + 2 * c] = static_cast<std::uint8_t>("RGB"[c]);
  CHECK(by(JpegDecoder::turbo, file) == by(JpegDecoder::stb, file));
  CHECK(difference(by(JpegDecoder::turbo, file), expected_picture("444.jpg")).mean > 10);
}

TEST_CASE("bits do not depend on threads") {
  if (turbo_missing()) return;
  std::vector<File> files;
  for (const std::string name : fixtures) files.push_back(read(path(name)));
  for (const auto& name : photographs(20)) files.push_back(read(name));
  const auto all = [&](int threads) {
    const int before = sslcake::threads();
    set_threads(threads);
    std::vector<image::Image> pictures(4 * files.size());
    parallel_for(static_cast<std::int64_t>(pictures.size()), 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        pictures[i] = by(JpegDecoder::turbo, files[i % files.size()], 1 << i / files.size());
    });
    set_threads(before);
    return pictures;
  };
  CHECK(all(1) == all(4));
}
