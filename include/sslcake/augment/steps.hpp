// The steps that a view can be made of, with torchvision's meaning and the defaults of SimCLR (Chen et al. 2020,
// arXiv 2002.05709, appendix A), and the numbers that one view draws for them.
#pragma once

#include <array>
#include <cstdint>
#include <variant>

namespace sslcake::inline v0::augment {

// --- steps that choose the part of the picture; at most one, and the first (without: CentreCrop) -------------------
/// A box of random area and shape, resized to the view: area share in [scale_low, scale_high], aspect ratio log-uniform
/// in [ratio_low, ratio_high]; after ten tries that do not fit, the largest central box of a permitted ratio.
struct RandomResizedCrop { float scale_low = 0.08f, scale_high = 1, ratio_low = 3.0f / 4, ratio_high = 4.0f / 3; };
/// The central box of the view's shape, as large as fits, times `share`.
struct CentreCrop { float share = 1; };
/// The whole picture, stretched to the view.
struct Stretch {};

// --- steps that change it -------------------------------------------------------------------------------------------
/// Left and right exchanged.
struct Flip { float p = 0.5f; };
/// Factors drawn from [max(0, 1 - b), 1 + b] and so on, hue shift from [-hue, hue] (in turns of the colour wheel), in random
/// order.
struct ColourJitter { float brightness = 0.8f, contrast = 0.8f, saturation = 0.8f, hue = 0.2f, p = 0.8f; };
/// All channels become the luma 0.299 R + 0.587 G + 0.114 B.
struct Greyscale { float p = 0.2f; };
/// Gaussian of random width in pixels; the kernel spans `share` of the view (odd, at least 3), reflected at the edges.
struct GaussianBlur { float sigma_low = 0.1f, sigma_high = 2, share = 0.1f, p = 0.5f; };
/// Values from `threshold` on are inverted (BYOL, arXiv 2006.07733).
struct Solarise { float threshold = 0.5f, p = 0.2f; };
/// Turned about the centre by an angle from [-degrees, degrees], counter-clockwise, bilinear; black outside.
struct Rotate { float degrees = 15, p = 1; };
/// A square of `share` of the view's side at a random centre becomes the mean colour (arXiv 1708.04552).
struct Cutout { float share = 0.5f, p = 1; };

using Step =
    std::variant<RandomResizedCrop, CentreCrop, Stretch, Flip, ColourJitter, Greyscale, GaussianBlur, Solarise, Rotate, Cutout>;

/// What one view has drawn: all that is random about it. Plain numbers, drawn on the host, so that any device that applies
/// them makes the same picture.
struct ViewParameters {
  int crop_x = 0, crop_y = 0, crop_width = 0, crop_height = 0;  // in the source picture
  bool flip = false, jitter = false, grey = false, blur = false, solarise = false, rotate = false, cutout = false;
  float brightness = 1, contrast = 1, saturation = 1, hue = 0;
  std::array<std::uint8_t, 4> order = {0, 1, 2, 3};  // of brightness, contrast, saturation, hue
  float sigma = 0, angle = 0;                        // pixels, degrees
  int cutout_x = 0, cutout_y = 0;                    // centre, in the view
  std::uint64_t custom_seed = 0;                     // of the draws of a custom function
};

}  // namespace sslcake::inline v0::augment
