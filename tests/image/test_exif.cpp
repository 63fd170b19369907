#include <doctest/doctest.h>

#include <vector>

#include <sslcake/image/exif.hpp>

#include "pictures.hpp"

using namespace pictures;
using Bytes = std::vector<std::uint8_t>;

namespace {
/// A TIFF structure of one entry: the orientation.
Bytes little(int orientation) {
  return {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, static_cast<std::uint8_t>(orientation),
          0,   0,   0,  0, 0, 0, 0};
}
Bytes big(int orientation) {
  return {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, static_cast<std::uint8_t>(orientation),
          0,   0,   0, 0,  0, 0};
}
int orientation_of(const Bytes& b) { return image::exif_orientation(b.data(), b.size()); }
}  // namespace

TEST_CASE("both byte orders") {
  for (int o = 1; o <= 8; ++o) {
    CHECK(orientation_of(little(o)) == o);
    CHECK(orientation_of(big(o)) == o);
  }
}

TEST_CASE("damaged structures count as no orientation") {
  for (const int o : {0, 9, 255}) CHECK(orientation_of(little(o)) == 1);
  CHECK(image::exif_orientation(nullptr, 0) == 1);
  const Bytes whole = little(6);
  for (std::size_t n = 0; n < 20; ++n)
    CHECK(orientation_of(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n))) == 1);
  Bytes wrong = little(6);
  wrong[12] = 4;  // LONG instead of SHORT
  CHECK(orientation_of(wrong) == 1);
  wrong = little(6);
  wrong[14] = 2;  // two values
  CHECK(orientation_of(wrong) == 1);
  wrong = little(6);
  wrong[4] = wrong[5] = wrong[6] = wrong[7] = 255;  // the directory lies beyond the end
  CHECK(orientation_of(wrong) == 1);
  wrong = little(6);
  wrong[8] = wrong[9] = 255;  // 65535 entries; the first is ours
  CHECK(orientation_of(wrong) == 6);
  wrong[10] = 0;  // and now none is
  CHECK(orientation_of(wrong) == 1);
}

TEST_CASE("upright: what each orientation does, and that its inverse undoes it") {
  image::Image picture(3, 2, 1);
  picture.pixels = {1, 2, 3, 4, 5, 6};
  const auto pixels = [&](int o) { return image::upright(picture, o).pixels; };
  CHECK(pixels(1) == Bytes{1, 2, 3, 4, 5, 6});
  CHECK(pixels(2) == Bytes{3, 2, 1, 6, 5, 4});
  CHECK(pixels(3) == Bytes{6, 5, 4, 3, 2, 1});
  CHECK(pixels(4) == Bytes{4, 5, 6, 1, 2, 3});
  CHECK(pixels(5) == Bytes{1, 4, 2, 5, 3, 6});
  CHECK(pixels(6) == Bytes{4, 1, 5, 2, 6, 3});
  CHECK(pixels(7) == Bytes{6, 3, 5, 2, 4, 1});
  CHECK(pixels(8) == Bytes{3, 6, 2, 5, 1, 4});
  const int inverse[] = {0, 1, 2, 3, 4, 5, 8, 7, 6};
  for (int o = 1; o <= 8; ++o) CHECK(image::upright(image::upright(picture, o), inverse[o]) == picture);
  CHECK_THROWS_AS(image::upright(picture, 0), Error);
  CHECK_THROWS_AS(image::upright(picture, 9), Error);
}
