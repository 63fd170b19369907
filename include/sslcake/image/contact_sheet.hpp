// Many pictures on one: rows of tiles with optional frames and captions. For augmented views, neighbours of a query,
// samples of a data set.
#pragma once

#include <string>
#include <vector>

#include "draw.hpp"

namespace sslcake::inline v0::image {

struct Tile {
  Image picture;                // an empty one leaves its place blank
  std::string caption = {};     // ASCII, under the picture; cut to its width
  bool framed = false;          // whether it has a frame, in
  Ink frame = green;
};

struct SheetOptions {
  int columns = 0;     // 0: as many as make the sheet about square
  int tile = 0;        // side of a tile in pixels, pictures fitted into it; 0: the largest picture's own size, unscaled
  int gap = 4;         // pixels between tiles
  int text_scale = 1;  // of captions and title
  std::string title = {};
  Ink background = white;
};

/// One RGB picture of all tiles, row by row. Larger pictures are shrunk into their tile with antialiasing, smaller ones
/// enlarged by whole factors, so that their pixels stay visible. Errors: no tile; more than 2^28 pixels in all.
Image contact_sheet(const std::vector<Tile>& tiles, const SheetOptions& options = {});
/// The same without captions.
Image contact_sheet(const std::vector<Image>& pictures, const SheetOptions& options = {});

}  // namespace sslcake::inline v0::image

#ifndef SSLCAKE_COMPILED
#include "contact_sheet_inl.hpp"
#endif
