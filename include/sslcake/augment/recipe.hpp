// A recipe: how a picture becomes a view. A value, composed of steps:
//
//   auto recipe = augment::Recipe{32}.then(RandomResizedCrop{}).then(Flip{}).then(ColourJitter{.hue = 0.1f});
//   auto drawn  = recipe.draw(random, picture.width, picture.height);   // all that is random, in one small struct
//   recipe.apply(drawn, picture, out);                                  // a pure function: (H,W,3) floats
//
// Bytes in, network-ready numbers out: (value in [0,1] - mean) / deviation per channel.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "../core/random.hpp"
#include "../image/image.hpp"
#include "../kernels/cuda/augment.hpp"
#include "steps.hpp"

namespace sslcake::inline v0::augment {

/// Per-channel mean and deviation of values in [0,1].
struct Normalisation {
  std::array<float, 3> mean = {0.485f, 0.456f, 0.406f};       // ImageNet, as torchvision's models expect
  std::array<float, 3> deviation = {0.229f, 0.224f, 0.225f};
};

class Recipe {
 public:
  /// Views of `size` x `size` pixels; without further steps the central square of the picture. Errors: size not in [1,8192].
  explicit Recipe(int size = 32);

  /// The recipe with one more step. Errors: a step of a kind that it has; a crop that is not the first; probabilities
  /// outside of [0,1] and ranges that are empty.
  Recipe then(const Step& step) const;
  /// The recipe with other constants. Errors: a deviation that is not above 0.
  Recipe normalised(const Normalisation& constants) const;
  /// The recipe followed by `turns` quarter turns counter-clockwise (an exact rearrangement of pixels).
  Recipe rotated90(int turns) const;
  /// The slow path: `function` changes a copy of the picture before everything else, with draws of its own. It must keep
  /// the size and depend on nothing but its arguments. Errors: an empty function, a second one.
  Recipe custom(std::function<void(image::Image&, Random&)> function) const;

  int width() const { return size_; }
  int height() const { return size_; }
  int quarter_turns() const { return turns_; }
  const std::vector<Step>& steps() const { return steps_; }
  const Normalisation& normalisation() const { return normalisation_; }
  /// Whether a custom function changes the picture first: such views are made on the CPU.
  bool has_custom() const { return custom_ != nullptr; }

  /// Draws what is random for a picture of that size.
  ViewParameters draw(Random& random, int source_width, int source_height) const;
  /// Makes the view: `out` is (size,size,3) floats. Errors: parameters drawn for a larger picture.
  void apply(const ViewParameters& parameters, const image::Image& source, float* out) const;
  /// What a GPU does to make that view of a picture of that size, whose bytes it holds from `offset` on. The result is that of
  /// apply, to rounding. Errors: as apply's; a custom function.
  kernels::cuda::ViewProgram program(const ViewParameters& parameters, int source_width, int source_height,
                                     std::int64_t offset = 0) const;
  /// draw and apply in one.
  void make(Random& random, const image::Image& source, float* out) const {
    apply(draw(random, source.width, source.height), source, out);
  }
  /// A view as a picture again, to look at: normalisation undone, rounded to bytes.
  image::Image picture(const float* view) const;

 private:
  int size_;
  int turns_ = 0;
  std::vector<Step> steps_;
  Normalisation normalisation_;
  std::shared_ptr<const std::function<void(image::Image&, Random&)>> custom_;
};

struct SimclrOptions {
  int size = 32;
  float strength = 0.5f;       // of the colour jitter: 0.8 s, 0.8 s, 0.8 s, 0.2 s (appendix A; 0.5 for CIFAR-10, appendix B.9)
  float smallest_crop = 0.08f; // share of the area (appendix A)
  float grey = 0.2f;           // probability (appendix A)
  bool blur = false;           // off for CIFAR-10 (appendix B.9); on for ImageNet with p 0.5
  Normalisation normalisation = {};
};

/// SimCLR's augmentation: crop, flip, colour jitter with p 0.8, greyscale, blur where asked.
Recipe simclr(const SimclrOptions& options = {});
/// For measuring: the central square, resized. No randomness.
Recipe evaluation(int size, const Normalisation& normalisation = {});

}  // namespace sslcake::inline v0::augment

#ifndef SSLCAKE_COMPILED
#include "recipe_inl.hpp"
#endif
