// The one entry of EXIF that changes how a picture looks: Orientation (tag 0x0112 of IFD 0; CIPA DC-008, section 4.6.4).
// Cameras store the sensor's rows as they come and note here how the camera was held.
//
//   1 as stored   2 mirrored left-right   3 half turn   4 mirrored top-bottom
//   5 transposed  6 turn 90° clockwise    7 transposed along the other diagonal   8 turn 90° counter-clockwise
#pragma once

#include <cstddef>
#include <cstdint>

#include "image.hpp"

namespace sslcake::inline v0::image {

/// The orientation, 1 to 8, noted in a TIFF structure ("II*\0" or "MM\0*" and on), the payload of a JPEG's APP1 segment
/// after "Exif\0\0" or of a PNG's eXIf chunk. 1 where there is none or the structure is damaged: never an error.
int exif_orientation(const std::uint8_t* tiff, std::size_t size);

/// The picture as it is to be seen: undoes what `orientation` (1 to 8) says.
Image upright(const Image& stored, int orientation);

}  // namespace sslcake::inline v0::image

#ifndef SSLCAKE_COMPILED
#include "exif_inl.hpp"
#endif
