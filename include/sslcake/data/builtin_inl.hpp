#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "../core/random.hpp"
#include "builtin.hpp"

namespace sslcake::inline v0::data {

namespace detail {

/// Draws one picture. Lengths are in pixels; periods and radii grow with the side, so that a larger picture shows the
/// same pattern and not more of it.
class PatternPainter {
 public:
  enum Class { stripes, zigzag, checkerboard, bricks, target, blobs, dots, rings, crosses, triangles, classes };

  PatternPainter(int side, Random& random)
      : random_(random), side_(side), scale_(static_cast<float>(side) / 32.0f),
        mask_(static_cast<std::size_t>(side) * static_cast<std::size_t>(side), 0.0f) {}

  void paint(Class c, std::uint8_t* out) {
    place();
    draw_mask(c);
    colour(out);
  }

 private:
  static int whole(float x) {  // std::floor is a function call on older CPUs
    const int i = static_cast<int>(x);
    return i - (x < static_cast<float>(i) ? 1 : 0);
  }
  static float fraction(float x) { return x - static_cast<float>(whole(x)); }
  /// Triangle wave of period 1 between -1 and 1.
  static float triangle_wave(float x) { return 4.0f * std::fabs(fraction(x) - 0.5f) - 1.0f; }
  /// Ink at a signed distance of `inside` pixels from an edge that is `soft_` pixels wide.
  float ink(float inside) const { return std::clamp(0.5f + inside / soft_, 0.0f, 1.0f); }

  /// Orientation, scale, position, softness: drawn for every class alike.
  void place() {
    const float angle = random_.uniform(0, 2 * std::numbers::pi_v<float>);
    cos_ = std::cos(angle);
    sin_ = std::sin(angle);
    period_ = scale_ * 5.5f * std::exp2(random_.uniform(0, 0.95f));
    shift_x_ = random_.uniform(0, 64);
    shift_y_ = random_.uniform(0, 64);
    soft_ = scale_ * random_.uniform(0.8f, 1.8f);
    thickness_ = random_.uniform();
    detail_ = random_.uniform();
  }

  /// Calls `inside(x, y)` with the pattern's own coordinates (turned, shifted, in periods) of every pixel; the result is
  /// the signed distance from the edge in periods.
  template <class F>
  void fill(F inside) {
    const float c = cos_ / period_, s = sin_ / period_;
    for (int y = 0; y < side_; ++y)
      for (int x = 0; x < side_; ++x) {
        const float fx = static_cast<float>(x), fy = static_cast<float>(y);
        mask_[index(x, y)] = ink(period_ * inside(c * fx + s * fy + shift_x_, c * fy - s * fx + shift_y_));
      }
  }

  void draw_mask(Class c) {
    const float half_bar = 0.19f + 0.1f * thickness_;  // of a period
    switch (c) {
      case stripes:
        return fill([&](float x, float) { return half_bar - std::fabs(fraction(x) - 0.5f); });
      case zigzag: {
        const float length = 1.6f + 0.8f * detail_, height = 0.28f * length;
        return fill([&](float x, float y) {
          return half_bar - std::fabs(fraction(x + height * triangle_wave(y / length)) - 0.5f);
        });
      }
      case checkerboard:
        return fill([&](float x, float y) { return 0.6f * triangle_wave(0.6f * x) * triangle_wave(0.6f * y); });
      case bricks: {
        const float mortar = 0.13f + 0.06f * thickness_;
        return fill([&](float x, float y) {
          const int row = whole(y);
          const float down = y - static_cast<float>(row), along = fraction(0.5f * (x + static_cast<float>(row & 1)));
          return mortar - std::min(std::min(down, 1 - down), 2 * std::min(along, 1 - along));
        });
      }
      case target: return draw_target(half_bar);
      case blobs: return draw_blobs();
      default: return scatter(c);
    }
  }

  void draw_target(float half_bar) {
    const float side = static_cast<float>(side_);
    const float cx = side * random_.uniform(0.25f, 0.75f), cy = side * random_.uniform(0.25f, 0.75f);
    for (int y = 0; y < side_; ++y)
      for (int x = 0; x < side_; ++x) {
        const float dx = static_cast<float>(x) - cx, dy = static_cast<float>(y) - cy;
        const float turns = std::sqrt(dx * dx + dy * dy) / period_ + shift_x_;
        mask_[index(x, y)] = ink(period_ * (half_bar - std::fabs(fraction(turns) - 0.5f)));
      }
  }

  /// Smooth noise between random values on a lattice, cut at its middle.
  void draw_blobs() {
    constexpr int nodes = 16;
    std::array<float, nodes * nodes> value;
    for (auto& v : value) v = random_.uniform(-1, 1);
    fill([&](float x, float y) {
      x *= 1.2f;
      y *= 1.2f;
      const int column = whole(x), row = whole(y);
      float u = x - static_cast<float>(column), v = y - static_cast<float>(row);
      u *= u * (3 - 2 * u);
      v *= v * (3 - 2 * v);
      const auto node = [&](int i, int j) {
        return value[static_cast<std::size_t>((row + j) & (nodes - 1)) * nodes +
                     static_cast<std::size_t>((column + i) & (nodes - 1))];
      };
      const float top = node(0, 0) + u * (node(1, 0) - node(0, 0)), bottom = node(0, 1) + u * (node(1, 1) - node(0, 1));
      return 0.7f * (top + v * (bottom - top)) - 0.03f;
    });
  }

  /// Copies of one small figure on a jittered lattice, each turned at random.
  void scatter(Class c) {
    const float spacing = 1.4f * period_, side = static_cast<float>(side_);
    const float x0 = fraction(shift_x_) * spacing, y0 = fraction(shift_y_) * spacing;
    const int reach = static_cast<int>(0.75f * side / spacing) + 2;
    for (int j = -reach; j <= reach; ++j)
      for (int i = -reach; i <= reach; ++i) {
        const float a = static_cast<float>(i) * spacing + x0 + spacing * random_.uniform(-0.1f, 0.1f);
        const float b =
            (static_cast<float>(j) + 0.5f * static_cast<float>(i & 1)) * spacing + y0 + spacing * random_.uniform(-0.1f, 0.1f);
        const float turn = random_.uniform(0, 2 * std::numbers::pi_v<float>);
        const float cx = 0.5f * side + cos_ * a - sin_ * b, cy = 0.5f * side + sin_ * a + cos_ * b;
        if (cx < -spacing || cy < -spacing || cx > side + spacing || cy > side + spacing) continue;
        draw_figure(c, cx, cy, spacing, std::cos(turn), std::sin(turn));
      }
  }

  void draw_figure(Class c, float cx, float cy, float spacing, float cosine, float sine) {
    const float reach = 0.56f * spacing + soft_;
    const int left = std::max(0, static_cast<int>(cx - reach)), right = std::min(side_ - 1, static_cast<int>(cx + reach) + 1);
    const int top = std::max(0, static_cast<int>(cy - reach)), bottom = std::min(side_ - 1, static_cast<int>(cy + reach) + 1);
    const float slim = 0.9f + 0.2f * thickness_;
    for (int y = top; y <= bottom; ++y)
      for (int x = left; x <= right; ++x) {
        const float dx = (static_cast<float>(x) - cx) / spacing, dy = (static_cast<float>(y) - cy) / spacing;
        float inside = 0;  // signed distance in spacings
        if (c == dots || c == rings) {
          const float r = std::sqrt(dx * dx + dy * dy);
          inside = c == dots ? 0.33f * slim - r : 0.085f * slim - std::fabs(r - 0.34f);
        } else {
          const float u = cosine * dx + sine * dy, v = cosine * dy - sine * dx;
          if (c == crosses) {
            const float p = std::fabs(u), q = std::fabs(v), arm = 0.46f, half = 0.125f * slim;
            inside = std::max(std::min(arm - p, half - q), std::min(arm - q, half - p));
          } else {
            constexpr float root3_half = 0.8660254f;
            inside = 0.26f * slim - std::max(v, root3_half * std::fabs(u) - 0.5f * v);
          }
        }
        auto& m = mask_[index(x, y)];
        m = std::max(m, ink(spacing * inside));
      }
  }

  struct Colour { float r, g, b; };

  /// Paper, ink, spots and noise.
  void colour(std::uint8_t* out) {
    std::array<Colour, 4> paper, difference;  // at the four corners, linear between them
    const float amount = (random_.chance(0.5f) ? 255.0f : -255.0f);
    // Colours differ more between the corners of one picture than between pictures.
    const Colour base{random_.uniform(0.4f, 0.6f), random_.uniform(0.4f, 0.6f), random_.uniform(0.4f, 0.6f)};
    for (std::size_t k = 0; k < 4; ++k) {
      const float light = random_.uniform(-0.12f, 0.12f), contrast = random_.uniform(0.22f, 0.42f);
      paper[k] = {255 * (base.r + light + random_.uniform(-0.2f, 0.2f)), 255 * (base.g + light + random_.uniform(-0.2f, 0.2f)),
                  255 * (base.b + light + random_.uniform(-0.2f, 0.2f))};
      difference[k] = {amount * (contrast + random_.uniform(-0.15f, 0.15f)), amount * (contrast + random_.uniform(-0.15f, 0.15f)),
                       amount * (contrast + random_.uniform(-0.15f, 0.15f))};
    }
    struct Spot { float x, y, radius; Colour colour; };
    std::array<Spot, 2> spots;
    auto count = random_.below(4) / 2;  // none: 3/8, one: 1/2, two: 1/8
    count += random_.below(4) / 3;
    const float side = static_cast<float>(side_);
    for (std::size_t k = 0; k < count; ++k)
      spots[k] = {random_.uniform(0, side), random_.uniform(0, side), side * random_.uniform(0.08f, 0.2f),
                  {random_.uniform(40, 215), random_.uniform(40, 215), random_.uniform(40, 215)}};
    const float noise = random_.uniform(3, 12) * 2 / 1023;  // grey levels per step of ten bits: half the width is 3 to 12

    const auto mix = [](const Colour& a, const Colour& b, float t) {
      return Colour{a.r + t * (b.r - a.r), a.g + t * (b.g - a.g), a.b + t * (b.b - a.b)};
    };
    for (int y = 0; y < side_; ++y) {
      const float down = static_cast<float>(y) / side;
      const Colour paper_left = mix(paper[0], paper[2], down), paper_right = mix(paper[1], paper[3], down);
      const Colour ink_left = mix(difference[0], difference[2], down), ink_right = mix(difference[1], difference[3], down);
      for (int x = 0; x < side_; ++x) {
        const float across = static_cast<float>(x) / side, m = mask_[index(x, y)];
        const Colour p = mix(paper_left, paper_right, across), d = mix(ink_left, ink_right, across);
        Colour value{p.r + m * d.r, p.g + m * d.g, p.b + m * d.b};
        for (std::size_t k = 0; k < count; ++k) {
          const float dx = static_cast<float>(x) - spots[k].x, dy = static_cast<float>(y) - spots[k].y;
          if (dx * dx + dy * dy < spots[k].radius * spots[k].radius) value = spots[k].colour;
        }
        const std::uint32_t bits = random_.bits();  // ten bits of noise a channel
        const auto level = [&](float v, std::uint32_t shift) {
          const float n = noise * (static_cast<float>((bits >> shift) & 1023u) - 511.5f);
          return static_cast<std::uint8_t>(std::clamp(v + n, 0.0f, 255.0f) + 0.5f);
        };
        out[0] = level(value.r, 0);
        out[1] = level(value.g, 10);
        out[2] = level(value.b, 20);
        out += 3;
      }
    }
  }

  std::size_t index(int x, int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(side_) + static_cast<std::size_t>(x);
  }

  Random& random_;
  int side_;
  float scale_, cos_ = 1, sin_ = 0, period_ = 8, shift_x_ = 0, shift_y_ = 0, soft_ = 1, thickness_ = 0, detail_ = 0;
  std::vector<float> mask_;
};

}  // namespace detail

SSLCAKE_INLINE Builtin::Builtin(Split split, std::int64_t count, int side, std::uint64_t seed)
    : count_(count), side_(side), test_(split == Split::test), seed_(seed) {
  if (count < 0) fail("Builtin", "expected a count of at least 1, or 0 for the default, got ", count);
  if (side < 8 || side > 4096) fail("Builtin", "expected a side of 8 to 4096 pixels, got ", side);
  if (count == 0) count_ = test_ ? default_test : default_train;
}

SSLCAKE_INLINE image::Image Builtin::image(std::int64_t i) const {
  detail::check_index(i, count_, "Builtin::image");
  image::Image picture(side_, side_);
  Random random(seed_, Purpose::dataset, test_ ? 1 : 0, static_cast<std::uint64_t>(i));
  detail::PatternPainter(side_, random).paint(static_cast<detail::PatternPainter::Class>(label(i)), picture.pixels.data());
  return picture;
}

SSLCAKE_INLINE std::int64_t Builtin::label(std::int64_t i) const {
  detail::check_index(i, count_, "Builtin::label");
  return i % detail::PatternPainter::classes;
}

SSLCAKE_INLINE std::string Builtin::name(std::int64_t i) const {
  const auto number = std::to_string(i);
  return concat("builtin/", test_ ? "test" : "train", '/', std::string(number.size() < 6 ? 6 - number.size() : 0, '0'), number);
}

SSLCAKE_INLINE std::vector<std::string> Builtin::class_names() const {
  return {"stripes", "zigzag", "checkerboard", "bricks", "target", "blobs", "dots", "rings", "crosses", "triangles"};
}

}  // namespace sslcake::inline v0::data
