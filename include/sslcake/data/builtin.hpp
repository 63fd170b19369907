// The built-in data set: ten classes of drawn patterns, made on the fly, for machines without any data.
//
//   stripes  zigzag  checkerboard  bricks  target  blobs  dots  rings  crosses  triangles
//
// A class decides only where there is ink: a mask with values from 0 to 1. Everything else is drawn without looking at
// the class, and is therefore no help in telling classes apart: position, orientation and scale of the pattern, softness
// of its edges, two fields of colour that drift over the picture (paper and ink, either of which may be the brighter
// one), light, pixel noise, and spots that cover part of it:
//
//   picture = occlude( paper + (ink - paper) * mask ) + noise
//
// What stays is what a crop, a flip, a change of colour and of scale leave alone. So raw pixels and colour statistics say
// next to nothing about the class, while a representation learnt from augmented views can.
#pragma once

#include "dataset.hpp"

namespace sslcake::inline v0::data {

/// Pictures are a pure function of (seed, split, index, size): nothing is stored. The classes take turns, so that any
/// count is balanced to within one.
class Builtin : public Dataset {
 public:
  static constexpr std::int64_t default_train = 10000, default_test = 2000;

  /// `count` pictures of `side` x `side`; count 0 means default_train or default_test. `seed` is not the global seed: the
  /// data set is the same in every run that does not ask for another. Split::unlabeled is the same as train.
  /// Errors: side not in [8,4096].
  explicit Builtin(Split split = Split::train, std::int64_t count = 0, int side = 32, std::uint64_t seed = 0);
  std::int64_t size() const override { return count_; }
  SSLCAKE_INLINE image::Image image(std::int64_t i) const override;
  SSLCAKE_INLINE std::int64_t label(std::int64_t i) const override;
  SSLCAKE_INLINE std::string name(std::int64_t i) const override;
  SSLCAKE_INLINE std::vector<std::string> class_names() const override;

 private:
  std::int64_t count_;
  int side_;
  bool test_;
  std::uint64_t seed_;
};

}  // namespace sslcake::inline v0::data

#ifndef SSLCAKE_COMPILED
#include "builtin_inl.hpp"
#endif
