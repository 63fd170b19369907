#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

#include "../image/crop_resize.hpp"
#include "colours.hpp"
#include "planes.hpp"
#include "recipe.hpp"

namespace sslcake::inline v0::augment {
namespace detail {

inline void check_range(const char* step, const char* what, float low, float high, float least, float most) {
  if (!(low >= least && high <= most && low <= high))
    fail("Recipe", step, ": expected ", what, " in [", least, ",", most, "], got ", low, " to ", high);
}
inline void check_probability(const char* step, float p) { check_range(step, "a probability", p, p, 0, 1); }

/// Overloads, one per step: what a step must fulfil.
struct CheckStep {
  void operator()(const RandomResizedCrop& s) const {
    check_range("RandomResizedCrop", "shares of the area", s.scale_low, s.scale_high, 1e-6f, 1);
    check_range("RandomResizedCrop", "aspect ratios", s.ratio_low, s.ratio_high, 1e-3f, 1e3f);
  }
  void operator()(const CentreCrop& s) const { check_range("CentreCrop", "a share", s.share, s.share, 1e-3f, 1); }
  void operator()(const Stretch&) const {}
  void operator()(const Flip& s) const { check_probability("Flip", s.p); }
  void operator()(const ColourJitter& s) const {
    check_probability("ColourJitter", s.p);
    for (const float f : {s.brightness, s.contrast, s.saturation}) check_range("ColourJitter", "a strength", f, f, 0, 10);
    check_range("ColourJitter", "a hue shift", s.hue, s.hue, 0, 0.5f);
  }
  void operator()(const Greyscale& s) const { check_probability("Greyscale", s.p); }
  void operator()(const GaussianBlur& s) const {
    check_probability("GaussianBlur", s.p);
    check_range("GaussianBlur", "a width", s.sigma_low, s.sigma_high, 1e-3f, 100);
    check_range("GaussianBlur", "a share", s.share, s.share, 0, 1);
  }
  void operator()(const Solarise& s) const {
    check_probability("Solarise", s.p);
    check_range("Solarise", "a threshold", s.threshold, s.threshold, 0, 1);
  }
  void operator()(const Rotate& s) const {
    check_probability("Rotate", s.p);
    check_range("Rotate", "an angle", s.degrees, s.degrees, 0, 180);
  }
  void operator()(const Cutout& s) const {
    check_probability("Cutout", s.p);
    check_range("Cutout", "a share", s.share, s.share, 0, 1);
  }
};

/// Draws a step's numbers. Every step takes its draws whether or not it is applied: the coin first, then the rest.
struct DrawStep {
  Random& random;
  ViewParameters& v;
  int source_width, source_height, size;

  void operator()(const RandomResizedCrop& s) const {
    const double area = static_cast<double>(source_width) * source_height;
    const double log_low = std::log(static_cast<double>(s.ratio_low)), log_high = std::log(static_cast<double>(s.ratio_high));
    for (int tries = 0; tries < 10; ++tries) {
      const double target = area * (s.scale_low + (static_cast<double>(s.scale_high) - s.scale_low) * random.uniform());
      const double ratio = std::exp(log_low + (log_high - log_low) * random.uniform());
      const int w = static_cast<int>(std::lround(std::sqrt(target * ratio))),
                h = static_cast<int>(std::lround(std::sqrt(target / ratio)));
      if (w < 1 || h < 1 || w > source_width || h > source_height) continue;
      place(w, h, static_cast<int>(random.below(static_cast<std::uint32_t>(source_width - w + 1))),
            static_cast<int>(random.below(static_cast<std::uint32_t>(source_height - h + 1))));
      return;
    }
    const double ratio = static_cast<double>(source_width) / source_height;
    int w = source_width, h = source_height;
    if (ratio < s.ratio_low) h = static_cast<int>(std::lround(w / static_cast<double>(s.ratio_low)));
    else if (ratio > s.ratio_high) w = static_cast<int>(std::lround(h * static_cast<double>(s.ratio_high)));
    place(std::max(w, 1), std::max(h, 1), (source_width - w) / 2, (source_height - h) / 2);
  }
  void operator()(const CentreCrop& s) const {
    const int side =
        std::max(1, static_cast<int>(std::lround(std::min(source_width, source_height) * static_cast<double>(s.share))));
    place(side, side, (source_width - side) / 2, (source_height - side) / 2);
  }
  void operator()(const Stretch&) const { place(source_width, source_height, 0, 0); }
  void operator()(const Flip& s) const { v.flip = random.chance(s.p); }
  void operator()(const ColourJitter& s) const {
    v.jitter = random.chance(s.p);
    const auto factor = [&](float strength) { return random.uniform(std::max(0.0f, 1 - strength), 1 + strength); };
    v.brightness = factor(s.brightness);
    v.contrast = factor(s.contrast);
    v.saturation = factor(s.saturation);
    v.hue = random.uniform(-s.hue, s.hue);
    for (std::uint32_t i = 3; i > 0; --i) std::swap(v.order[i], v.order[random.below(i + 1)]);
  }
  void operator()(const Greyscale& s) const { v.grey = random.chance(s.p); }
  void operator()(const GaussianBlur& s) const {
    v.blur = random.chance(s.p);
    v.sigma = random.uniform(s.sigma_low, s.sigma_high);
  }
  void operator()(const Solarise& s) const { v.solarise = random.chance(s.p); }
  void operator()(const Rotate& s) const {
    v.rotate = random.chance(s.p);
    v.angle = random.uniform(-s.degrees, s.degrees);
  }
  void operator()(const Cutout& s) const {
    v.cutout = random.chance(s.p);
    v.cutout_x = static_cast<int>(random.below(static_cast<std::uint32_t>(size)));
    v.cutout_y = static_cast<int>(random.below(static_cast<std::uint32_t>(size)));
  }
  void place(int w, int h, int x, int y) const {
    v.crop_width = w;
    v.crop_height = h;
    v.crop_x = x;
    v.crop_y = y;
  }
};

/// Whether the flip can be had for nothing while the picture is read: nothing before it knows left from right.
inline bool flips_on_reading(const std::vector<Step>& steps) {
  for (const auto& s : steps) {
    if (std::holds_alternative<Flip>(s)) return true;
    if (std::holds_alternative<Rotate>(s) || std::holds_alternative<Cutout>(s)) return false;
  }
  return false;
}

/// How many taps a side a blur has, an odd number.
inline int blur_kernel(const GaussianBlur& s, int size) {
  return std::max(3, static_cast<int>(s.share * static_cast<float>(size)) | 1);
}

/// Left, top, right and bottom of what is cut out; the last two are outside.
inline std::array<int, 4> cutout_box(const Cutout& s, const ViewParameters& v, int size) {
  const int side = static_cast<int>(std::lround(s.share * static_cast<float>(size)));
  const int x = v.cutout_x - side / 2, y = v.cutout_y - side / 2;
  return {std::max(0, x), std::max(0, y), std::min(size, x + side), std::min(size, y + side)};
}

/// Applies the steps to the planes of the view. Colour operations wait until something else comes, and are then carried
/// out together.
struct ApplyStep {
  const ViewParameters& v;
  const Normalisation& normalisation;
  float* p;
  int size;
  bool flipped;  // while reading
  ColourOperation waiting[8] = {};
  int count = 0;

  using Kind = ColourOperation::Kind;
  void colour(Kind kind, float amount) { waiting[count++] = {kind, amount}; }
  void flush() {
    apply_colours(p, size * size, waiting, count);
    count = 0;
  }

  void operator()(const RandomResizedCrop&) {}  // done while the picture was read
  void operator()(const CentreCrop&) {}
  void operator()(const Stretch&) {}
  void operator()(const Flip&) {
    if (!v.flip || flipped) return;
    flush();
    planes::flip(p, size, size);
  }
  void operator()(const ColourJitter&) {
    if (!v.jitter) return;
    for (const auto which : v.order) {
      if (which == 0 && v.brightness != 1) colour(Kind::brightness, v.brightness);
      if (which == 1 && v.contrast != 1) colour(Kind::contrast, v.contrast);
      if (which == 2 && v.saturation != 1) colour(Kind::saturation, v.saturation);
      if (which == 3 && v.hue != 0) colour(Kind::hue, v.hue);
    }
  }
  void operator()(const Greyscale&) { if (v.grey) colour(Kind::greyscale, 0); }
  void operator()(const Solarise& s) { if (v.solarise) colour(Kind::solarise, s.threshold); }
  void operator()(const GaussianBlur& s) {
    if (!v.blur) return;
    flush();
    planes::blur(p, size, size, v.sigma, blur_kernel(s, size));
  }
  void operator()(const Rotate&) {
    if (!v.rotate) return;
    flush();
    planes::rotate(p, size, size, v.angle);
  }
  void operator()(const Cutout& s) {
    if (!v.cutout) return;
    flush();
    const auto [left, top, right, bottom] = cutout_box(s, v, size);
    for (std::size_t c = 0; c < 3; ++c)
      for (int y = top; y < bottom; ++y)
        std::fill(p + (static_cast<int>(c) * size + y) * size + left, p + (static_cast<int>(c) * size + y) * size + right,
                  normalisation.mean[c]);
  }
};

/// The same steps as a list of operations for the GPU, in the same order.
struct ProgramStep {
  const ViewParameters& v;
  int size;
  kernels::cuda::ViewProgram& program;

  using Kind = kernels::cuda::ViewOperation::Kind;
  void operation(Kind kind, float amount = 1, float second = 0, int reach = 0) {
    program.operations[program.count++] = {kind, reach, amount, second};
  }

  void operator()(const RandomResizedCrop&) {}  // in the program's box
  void operator()(const CentreCrop&) {}
  void operator()(const Stretch&) {}
  void operator()(const Flip&) { if (v.flip && !program.mirrored) operation(Kind::flip); }
  void operator()(const ColourJitter&) {
    if (!v.jitter) return;
    for (const auto which : v.order) {
      if (which == 0 && v.brightness != 1) operation(Kind::brightness, v.brightness);
      if (which == 1 && v.contrast != 1) operation(Kind::contrast, v.contrast);
      if (which == 2 && v.saturation != 1) operation(Kind::saturation, v.saturation);
      if (which == 3 && v.hue != 0) operation(Kind::hue, 6 * (v.hue - std::floor(v.hue)));
    }
  }
  void operator()(const Greyscale&) { if (v.grey) operation(Kind::greyscale); }
  void operator()(const Solarise& s) { if (v.solarise) operation(Kind::solarise, s.threshold); }
  void operator()(const GaussianBlur& s) {
    if (!v.blur) return;
    const auto& weights = planes::detail::gaussian_weights(v.sigma, blur_kernel(s, size));
    operation(Kind::blur, v.sigma, weights[0], static_cast<int>(weights.size()) - 1);
  }
  void operator()(const Rotate&) {
    if (!v.rotate) return;
    const float angle = v.angle * std::numbers::pi_v<float> / 180;
    operation(Kind::rotate, std::cos(angle), std::sin(angle));
  }
  void operator()(const Cutout& s) {
    if (!v.cutout) return;
    const auto box = cutout_box(s, v, size);
    std::copy(box.begin(), box.end(), program.cutout);
    operation(Kind::cutout);
  }
};

inline std::vector<float>& view_scratch() {
  static thread_local std::vector<float> buffer;
  return buffer;
}

}  // namespace detail

SSLCAKE_INLINE Recipe::Recipe(int size) : size_(size) {
  if (size < 1 || size > 8192) fail("Recipe", "expected a size from 1 to 8192 pixels, got ", size);
}

SSLCAKE_INLINE Recipe Recipe::then(const Step& step) const {
  std::visit(detail::CheckStep{}, step);
  const bool crop = step.index() < 3;
  if (crop && !steps_.empty()) fail("Recipe", "expected the crop to be the first step and the only one");
  for (const auto& s : steps_)
    if (s.index() == step.index()) fail("Recipe", "expected every kind of step at most once");
  Recipe more = *this;
  more.steps_.push_back(step);
  return more;
}

SSLCAKE_INLINE Recipe Recipe::normalised(const Normalisation& constants) const {
  for (const float d : constants.deviation)
    if (!(d > 0 && d < 1e6f)) fail("Recipe", "expected deviations above 0, got ", d);
  Recipe more = *this;
  more.normalisation_ = constants;
  return more;
}

SSLCAKE_INLINE Recipe Recipe::rotated90(int turns) const {
  Recipe more = *this;
  more.turns_ = ((turns_ + turns) % 4 + 4) % 4;
  return more;
}

SSLCAKE_INLINE Recipe Recipe::custom(std::function<void(image::Image&, Random&)> function) const {
  if (!function) fail("Recipe", "expected a custom function, got an empty one");
  if (custom_) fail("Recipe", "expected at most one custom function; let one call the other");
  Recipe more = *this;
  more.custom_ = std::make_shared<const std::function<void(image::Image&, Random&)>>(std::move(function));
  return more;
}

SSLCAKE_INLINE ViewParameters Recipe::draw(Random& random, int source_width, int source_height) const {
  if (source_width < 1 || source_height < 1)
    fail("Recipe::draw", "expected a picture of at least 1 x 1, got ", source_width, " x ", source_height);
  ViewParameters v;
  const detail::DrawStep draw{random, v, source_width, source_height, size_};
  if (custom_) v.custom_seed = (static_cast<std::uint64_t>(random.bits()) << 32) | random.bits();
  if (steps_.empty() || steps_[0].index() >= 3) draw(CentreCrop{});
  for (const auto& s : steps_) std::visit(draw, s);
  return v;
}

SSLCAKE_INLINE void Recipe::apply(const ViewParameters& v, const image::Image& source, float* out) const {
  const int n = size_ * size_;
  image::Image changed;
  if (custom_) {
    changed = source;
    Random random(v.custom_seed, Purpose::augment);
    (*custom_)(changed, random);
    if (changed.width != source.width || changed.height != source.height)
      fail("Recipe", "expected the custom function to keep the size of ", source.width, " x ", source.height, ", got ",
           changed.width, " x ", changed.height);
  }
  auto& buffer = detail::view_scratch();  // behind the custom function, which may have a recipe of its own
  buffer.resize(static_cast<std::size_t>(3 * n));
  float* p = buffer.data();
  const image::Box box{v.crop_x, v.crop_y, v.crop_width, v.crop_height};
  const bool flipped = v.flip && detail::flips_on_reading(steps_);
  image::crop_resize(custom_ ? changed : source, box, size_, size_, p, flipped);
  detail::ApplyStep apply{v, normalisation_, p, size_, flipped};
  for (const auto& s : steps_) std::visit(apply, s);
  apply.flush();

  // Planes -> interleaved, normalised, and turned if asked. Counter-clockwise by 90°: out(y,x) = in(x, size-1-y).
  float scale[3], shift[3];
  for (std::size_t c = 0; c < 3; ++c) {
    scale[c] = 1 / normalisation_.deviation[c];
    shift[c] = -normalisation_.mean[c] / normalisation_.deviation[c];
  }
  const int last = size_ - 1;
  const int start = turns_ == 0 ? 0 : turns_ == 1 ? last : turns_ == 2 ? n - 1 : last * size_;  // of the first output row
  const int along = turns_ == 0 ? 1 : turns_ == 1 ? size_ : turns_ == 2 ? -1 : -size_;          // to the next column
  const int down = turns_ == 0 ? size_ : turns_ == 1 ? -1 : turns_ == 2 ? -size_ : 1;           // to the next row
  for (int y = 0; y < size_; ++y) {
    const float* in = p + start + y * down;
    for (int x = 0; x < size_; ++x, in += along, out += 3)
      for (int c = 0; c < 3; ++c) out[c] = in[c * n] * scale[c] + shift[c];
  }
}

SSLCAKE_INLINE kernels::cuda::ViewProgram Recipe::program(const ViewParameters& v, int source_width, int source_height,
                                                          std::int64_t offset) const {
  if (custom_) fail("Recipe::program", "expected a recipe without a custom function, which only the CPU can carry out");
  if (v.crop_x < 0 || v.crop_y < 0 || v.crop_width < 1 || v.crop_height < 1 || v.crop_width > source_width - v.crop_x ||
      v.crop_height > source_height - v.crop_y)
    fail("Recipe::program", "expected a box inside the picture of ", source_width, " x ", source_height, ", got ", v.crop_width,
         " x ", v.crop_height, " at (", v.crop_x, ",", v.crop_y, ")");
  kernels::cuda::ViewProgram program;
  program.offset = offset;
  program.width = source_width;
  program.height = source_height;
  program.crop_x = v.crop_x;
  program.crop_y = v.crop_y;
  program.crop_width = v.crop_width;
  program.crop_height = v.crop_height;
  program.mirrored = v.flip && detail::flips_on_reading(steps_);
  program.quarter_turns = turns_;
  for (std::size_t c = 0; c < 3; ++c) {
    program.mean[c] = normalisation_.mean[c];
    program.scale[c] = 1 / normalisation_.deviation[c];
    program.shift[c] = -normalisation_.mean[c] / normalisation_.deviation[c];
  }
  detail::ProgramStep list{v, size_, program};
  for (const auto& s : steps_) std::visit(list, s);
  return program;
}

SSLCAKE_INLINE image::Image Recipe::picture(const float* view) const {
  image::Image out(size_, size_);
  for (int i = 0; i < size_ * size_; ++i)
    for (std::size_t c = 0; c < 3; ++c) {
      const float value = (view[3 * i + static_cast<int>(c)] * normalisation_.deviation[c] + normalisation_.mean[c]) * 255;
      out.pixels[static_cast<std::size_t>(3 * i) + c] = static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0f, 255.0f)));
    }
  return out;
}

SSLCAKE_INLINE Recipe simclr(const SimclrOptions& o) {
  auto recipe = Recipe(o.size)
                    .then(RandomResizedCrop{.scale_low = o.smallest_crop})
                    .then(Flip{})
                    .then(ColourJitter{0.8f * o.strength, 0.8f * o.strength, 0.8f * o.strength, 0.2f * o.strength, 0.8f})
                    .then(Greyscale{o.grey});
  if (o.blur) recipe = recipe.then(GaussianBlur{});
  return recipe.normalised(o.normalisation);
}

SSLCAKE_INLINE Recipe evaluation(int size, const Normalisation& normalisation) {
  return Recipe(size).then(CentreCrop{}).normalised(normalisation);
}

}  // namespace sslcake::inline v0::augment
