// The fixtures of scripts/fixtures/image.py, and comparisons of pictures.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include <sslcake/image/image.hpp>
#include <sslcake/io/safetensors.hpp>

namespace pictures {

using namespace sslcake;

inline std::string path(const std::string& name) { return std::string(SSLCAKE_SOURCE_DIR) + "/tests/fixtures/image/" + name; }

inline Tensor expected(const std::string& name) {
  static const io::SafeTensors file = io::load_safetensors(path("pixels.safetensors"));
  for (const auto& [key, value] : file.tensors)
    if (key == name) return value;
  fail("pictures::expected", "no fixture named ", name);
}

inline image::Image expected_picture(const std::string& name) {
  const Tensor t = expected(name);  // (H,W,C)
  image::Image picture(static_cast<int>(t.dim(1)), static_cast<int>(t.dim(0)), static_cast<int>(t.dim(2)));
  std::memcpy(picture.pixels.data(), t.data<std::uint8_t>(), picture.pixels.size());
  return picture;
}

inline bool same_shape(const image::Image& a, const image::Image& b) {
  return a.width == b.width && a.height == b.height && a.channels == b.channels && a.pixels.size() == b.pixels.size();
}

struct Difference {
  int most = 255;
  double mean = 255;
};

/// Of two pictures of one shape, in levels; 255 if the shapes differ.
inline Difference difference(const image::Image& a, const image::Image& b) {
  if (!same_shape(a, b)) return {};
  Difference d{0, 0};
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    const int level = std::abs(a.pixels[i] - b.pixels[i]);
    d.most = std::max(d.most, level);
    d.mean += level;
  }
  d.mean /= static_cast<double>(a.pixels.size());
  return d;
}

/// The message of the Error that `body` throws, "" if none.
template <class Body>
std::string message_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace pictures
