// STL-10 (Coates, Lee, Ng, "An analysis of single-layer networks in unsupervised feature learning", AISTATS 2011) in its
// authors' binary version: 96 x 96 pictures as 9,216 red, green and blue bytes each, *column by column*; labels 1 to 10.
//
// 5,000 labelled pictures to train, 8,000 to test, 100,000 without labels. The last are 2.8 GB: pictures are read from
// the file when they are asked for and not held here.
#pragma once

#include "dataset.hpp"

namespace sslcake::inline v0::io { class InputFile; }

namespace sslcake::inline v0::data {

class Stl10 : public Dataset {
 public:
  /// Reads train_X.bin and train_y.bin, test_X.bin and test_y.bin, or unlabeled_X.bin from `folder` or its folder
  /// stl10_binary. Class names come from class_names.txt.
  explicit Stl10(const std::string& folder, Split split = Split::train);
  SSLCAKE_INLINE ~Stl10() override;
  std::int64_t size() const override { return size_; }
  SSLCAKE_INLINE image::Image image(std::int64_t i) const override;
  SSLCAKE_INLINE std::int64_t label(std::int64_t i) const override;
  std::vector<std::string> class_names() const override { return class_names_; }

 private:
  static constexpr int side = 96;
  static constexpr std::size_t picture_bytes = 3 * side * side;
  std::unique_ptr<io::InputFile> file_;
  std::vector<std::int64_t> labels_;
  std::vector<std::string> class_names_;
  std::int64_t size_ = 0;
};

}  // namespace sslcake::inline v0::data

#ifndef SSLCAKE_COMPILED
#include "stl10_inl.hpp"
#endif
