#pragma once

#include <algorithm>
#include <cmath>

#include "contact_sheet.hpp"
#include "resize.hpp"

namespace sslcake::inline v0::image {
namespace detail {

inline Image fitted(const Image& picture, int side) {
  const int longer = std::max(picture.width, picture.height);
  if (longer <= side) {
    const int factor = side / longer;
    return factor == 1 ? picture : resize_nearest(picture, picture.width * factor, picture.height * factor);
  }
  const auto scaled = [&](int length) { return std::max(1, static_cast<int>(std::int64_t{length} * side / longer)); };
  return resize(picture, scaled(picture.width), scaled(picture.height));
}

}  // namespace detail

SSLCAKE_INLINE Image contact_sheet(const std::vector<Tile>& tiles, const SheetOptions& options) {
  constexpr const char* where = "image::contact_sheet";
  if (tiles.empty()) fail(where, "expected at least one tile, got none");
  if (options.columns < 0 || options.tile < 0 || options.gap < 0 || options.text_scale < 1)
    fail(where, "expected columns, tile and gap of at least 0 and a text scale of at least 1, got ", options.columns, ", ",
         options.tile, ", ", options.gap, " and ", options.text_scale);
  int width = std::max(options.tile, 1), height = width;
  bool captions = false, frames = false;
  for (const Tile& tile : tiles) {
    if (!tile.picture.empty()) check(tile.picture, where);
    captions = captions || !tile.caption.empty();
    frames = frames || tile.framed;
    if (options.tile == 0) {
      width = std::max(width, tile.picture.width);
      height = std::max(height, tile.picture.height);
    }
  }
  const auto count = static_cast<std::int64_t>(tiles.size());
  std::int64_t columns =
      options.columns > 0 ? options.columns : static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  columns = std::min(columns, count);
  const std::int64_t rows = (count + columns - 1) / columns;
  const int frame = frames ? std::max(2, width / 32) : 0, gap = options.gap;
  const int caption = captions ? 9 * options.text_scale + 2 : 0;
  const int title = options.title.empty() ? 0 : text_height(options.title, options.text_scale) + 2 * options.text_scale + gap;
  const std::int64_t step_x = std::int64_t{width} + 2 * frame + gap, step_y = std::int64_t{height} + 2 * frame + caption + gap;
  const std::int64_t sheet_width = columns * step_x + gap, sheet_height = rows * step_y + gap + title;
  if (step_x > 1 << 20 || step_y > 1 << 20 || sheet_width > 1 << 28 || sheet_height > (1 << 28) / sheet_width)
    fail(where, "expected at most 2^28 pixels, got a sheet of ", sheet_width, " x ", sheet_height, "; set SheetOptions::tile");

  Image sheet(static_cast<int>(sheet_width), static_cast<int>(sheet_height));
  fill_rectangle(sheet, 0, 0, sheet.width, sheet.height, options.background);
  const Ink ink = options.background[0] + options.background[1] + options.background[2] > 382 ? black : white;
  draw_text(sheet, gap, gap, options.title, ink, options.text_scale);
  for (std::int64_t i = 0; i < count; ++i) {
    const Tile& tile = tiles[static_cast<std::size_t>(i)];
    const int x = static_cast<int>(i % columns * step_x) + gap + frame,
              y = static_cast<int>(i / columns * step_y) + gap + title + frame;
    if (!tile.picture.empty()) {
      const Image shown = options.tile > 0 ? detail::fitted(tile.picture, options.tile) : tile.picture;
      paste(sheet, shown, x + (width - shown.width) / 2, y + (height - shown.height) / 2);
    }
    if (tile.framed) draw_rectangle(sheet, x - frame, y - frame, width + 2 * frame, height + 2 * frame, tile.frame, frame);
    const auto letters = static_cast<std::size_t>((width + 2 * frame + options.text_scale) / (6 * options.text_scale));
    draw_text(sheet, x - frame, y + height + frame + 2, std::string_view(tile.caption).substr(0, letters), ink,
              options.text_scale);
  }
  return sheet;
}

SSLCAKE_INLINE Image contact_sheet(const std::vector<Image>& pictures, const SheetOptions& options) {
  std::vector<Tile> tiles;
  tiles.reserve(pictures.size());
  for (const Image& picture : pictures) tiles.push_back({picture});
  return contact_sheet(tiles, options);
}

}  // namespace sslcake::inline v0::image
