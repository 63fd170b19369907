#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>

#include <sslcake/image/contact_sheet.hpp>
#include <sslcake/image/font.hpp>

#include "pictures.hpp"

using namespace pictures;

namespace {
int count(const image::Image& picture, const image::Ink& ink) {
  int n = 0;
  for (int y = 0; y < picture.height; ++y)
    for (int x = 0; x < picture.width; ++x) n += std::equal(ink.begin(), ink.end(), picture.at(x, y));
  return n;
}
}  // namespace

TEST_CASE("rectangles, lines, discs; outside is left out") {
  image::Image picture(20, 10);
  image::fill_rectangle(picture, 2, 3, 4, 5, image::red);
  CHECK(count(picture, image::red) == 20);
  image::fill_rectangle(picture, -5, -5, 7, 100, image::green);
  CHECK(count(picture, image::green) == 20);
  image::fill_rectangle(picture, 19, 9, 0x7FFFFFFF, 0x7FFFFFFF, image::blue);
  CHECK(count(picture, image::blue) == 1);

  image::Image frame(20, 10);
  image::draw_rectangle(frame, 0, 0, 20, 10, image::white, 2);
  CHECK(count(frame, image::white) == 20 * 10 - 16 * 6);
  image::Image thick(20, 10);
  image::draw_rectangle(thick, 5, 5, 6, 2, image::white, 4);  // thicker than it is high
  CHECK(count(thick, image::white) == 12);

  image::Image lines(20, 10);
  image::draw_line(lines, 0, 0, 19, 9, image::white);
  CHECK(count(lines, image::white) == 20);
  CHECK(lines.at(0, 0)[0] == 255);
  CHECK(lines.at(19, 9)[0] == 255);
  image::draw_line(lines, 5, 0, 5, 9, image::red);
  CHECK(count(lines, image::red) == 10);
  image::draw_line(lines, -2000000000, 4, 2000000000, 4, image::green);
  CHECK(count(lines, image::green) == 20);

  image::Image disc(21, 21, 1);
  image::fill_disc(disc, 10, 10, 8, image::white);
  const auto area = std::count(disc.pixels.begin(), disc.pixels.end(), 255);
  CHECK(area == doctest::Approx(3.14159 * 8.5 * 8.5).epsilon(0.06));
}

TEST_CASE("letters are all different and lie where their size says") {
  std::set<std::string> shapes;
  for (char c = ' '; c <= '~'; ++c) {
    std::string shape;
    for (int y = 0; y < 7; ++y)
      for (int x = 0; x < 5; ++x) shape += image::detail::has_ink(c, x, y) ? '#' : '.';
    shapes.insert(shape);
  }
  CHECK(shapes.size() == 95);

  const std::string text = "Loss: 0.42\nT";
  image::Image picture(image::text_width(text, 2), image::text_height(text, 2));
  image::draw_text(picture, 0, 0, text, image::white, 2);
  CHECK(picture.width == (10 * 6 - 1) * 2);
  CHECK(picture.height == (9 + 7) * 2);
  const int inside = count(picture, image::white);
  image::Image larger(picture.width + 20, picture.height + 20);
  image::draw_text(larger, 10, 10, text, image::white, 2);
  CHECK(count(larger, image::white) == inside);  // nothing was cut off
  image::Image one(5, 7), other(5, 7);
  image::draw_text(one, 0, 0, "\xC3", image::white);
  image::draw_text(other, 0, 0, "?", image::white);
  CHECK(one == other);
}

TEST_CASE("contact sheet") {
  const std::vector<image::Image> pictures(5, image::Image(8, 6, 3, 9));
  const auto sheet = image::contact_sheet(pictures, {.columns = 3, .gap = 2});
  CHECK(sheet.width == 3 * 8 + 4 * 2);
  CHECK(sheet.height == 2 * 8 + 3 * 2 - 2 * 2);
  CHECK(count(sheet, {9, 9, 9}) == 5 * 8 * 6);
  CHECK(*sheet.at(2, 2) == 9);
  CHECK(*sheet.at(2 + 10, 2) == 9);

  // Grey, larger and empty pictures, captions, frames.
  std::vector<image::Tile> tiles = {
      {image::Image(50, 20, 1, 200), "a caption that is too long", true, image::red}, {image::Image(3, 3, 3, 50)}, {}};
  const auto framed = image::contact_sheet(tiles, {.columns = 3, .tile = 10, .title = "Title"});
  CHECK(count(framed, image::red) == 14 * 14 - 10 * 10);
  CHECK(count(framed, {50, 50, 50}) == 9 * 9);   // enlarged by a whole factor
  CHECK(count(framed, {200, 200, 200}) == 10 * 4);  // shrunk into the tile
  CHECK(count(framed, image::black) > 30);          // letters

  CHECK(has(message_of([] { image::contact_sheet(std::vector<image::Tile>{}); }), "at least one tile"));
  CHECK(has(message_of([&] { image::contact_sheet(pictures, {.tile = 1 << 20}); }), "2^28"));
  CHECK(has(message_of([&] { image::contact_sheet(pictures, {.tile = -1}); }), "at least 0"));
}
