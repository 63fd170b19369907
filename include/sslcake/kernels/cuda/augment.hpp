// Views of pictures, made on the GPU: what augment::Recipe::apply does on the CPU, from the same draws. Everything random is
// drawn on the host; what is to be done to one picture arrives here as a ViewProgram, a plain list of operations.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../../core/dtype.hpp"

namespace sslcake::inline v0::kernels::cuda {

/// One operation on a view whose colours are in [0,1]. The results of the first four are held in [0,1].
struct ViewOperation {
  enum class Kind : std::int32_t {
    brightness,  // x · amount
    contrast,    // m + (x - m) · amount, m the mean luma of the view
    saturation,  // l + (x - l) · amount, l the luma of the pixel
    hue,         // `amount` sixths of the colour wheel, in [0,6)
    greyscale,   // l
    solarise,    // 1 - x where x >= amount
    cutout,      // the mean colour in the box ViewProgram::cutout
    flip,        // left and right exchanged
    blur,        // Gaussian of width `amount` pixels, `reach` taps to either side, the central one weighing `second`
    rotate       // by the angle whose cosine is `amount` and whose sine is `second`, bilinear, black outside
  };
  Kind kind = Kind::brightness;
  std::int32_t reach = 0;
  float amount = 1, second = 0;
};

/// How one picture becomes one view: cut out and resized, operations in order, normalised, turned.
struct ViewProgram {
  static constexpr int most_operations = 10;  // every kind once
  static constexpr int most_reach = 527;      // of a blur

  std::int64_t offset = 0;              // of the picture's first byte among `bytes`
  std::int32_t width = 0, height = 0;   // of the picture: (height,width,3) bytes, rows without gaps
  std::int32_t crop_x = 0, crop_y = 0, crop_width = 0, crop_height = 0;  // inside the picture
  std::int32_t mirrored = 0;            // left and right exchanged while the picture is read
  std::int32_t quarter_turns = 0;       // counter-clockwise, 0 to 3, after all else
  std::int32_t cutout[4] = {0, 0, 0, 0};  // left, top, right, bottom; the last two are outside
  float mean[3] = {0, 0, 0};            // the colour of a cutout
  float scale[3] = {1, 1, 1}, shift[3] = {0, 0, 0};  // a value x of channel c becomes x · scale[c] + shift[c]
  std::int32_t count = 0;
  ViewOperation operations[most_operations] = {};
};

struct Augment {
  /// images (count,size,size,3) of type `out` (float32 or bfloat16) = the views of `programs`, in order. `bytes` holds the
  /// pictures. Both arrays are on the GPU and trusted: what they point to is not checked.
  void (*views)(std::int64_t count, const std::uint8_t* bytes, const ViewProgram* programs, int size, DType out,
                void* images) = nullptr;
};
void install(Augment& table);  // augment.cu

}  // namespace sslcake::inline v0::kernels::cuda
