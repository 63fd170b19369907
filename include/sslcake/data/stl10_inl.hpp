#pragma once

#include "../io/files.hpp"
#include "files.hpp"
#include "stl10.hpp"

namespace sslcake::inline v0::data {

SSLCAKE_INLINE Stl10::~Stl10() = default;

SSLCAKE_INLINE Stl10::Stl10(const std::string& folder, Split split) {
  const std::string advice = "'data/fetch.sh stl10' gets STL-10 in its binary version";
  const std::string part = name_of(split);
  const auto inner = detail::find_folder("stl10", folder, "stl10_binary", part + "_X.bin", advice);
  size_ = split == Split::train ? 5000 : split == Split::test ? 8000 : 100000;
  file_ = std::make_unique<io::InputFile>(detail::join(inner, part + "_X.bin"));
  if (const auto bytes = static_cast<std::uint64_t>(size_) * picture_bytes; file_->size() != bytes)
    fail("stl10", "expected '", file_->path(), "' to have ", bytes, " bytes (", size_, " pictures of ", picture_bytes,
         "), found ", file_->size(), "; ", advice);
  class_names_ = detail::read_lines(detail::join(inner, "class_names.txt"));
  class_names_.resize(10, "?");
  if (split == Split::unlabeled) {
    class_names_.clear();
    return;
  }
  const auto label_path = detail::join(inner, part + "_y.bin");
  for (const auto b : detail::read_bytes("stl10", label_path, size_, advice)) {
    if (b < 1 || b > 10)
      fail("stl10", "expected labels from 1 to 10 in '", label_path, "', found ", b, " at ", labels_.size(),
           ": the file is damaged");
    labels_.push_back(b - 1);
  }
}

SSLCAKE_INLINE image::Image Stl10::image(std::int64_t i) const {
  detail::check_index(i, size_, "Stl10::image");
  std::vector<std::uint8_t> columns(picture_bytes);
  file_->read(static_cast<std::uint64_t>(i) * picture_bytes, columns.data(), picture_bytes);
  image::Image picture(side, side);
  for (int c = 0; c < 3; ++c)
    for (int x = 0; x < side; ++x)
      for (int y = 0; y < side; ++y) picture.at(x, y)[c] = columns[static_cast<std::size_t>((c * side + x) * side + y)];
  return picture;
}

SSLCAKE_INLINE std::int64_t Stl10::label(std::int64_t i) const {
  detail::check_index(i, size_, "Stl10::label");
  return labels_.empty() ? -1 : labels_[static_cast<std::size_t>(i)];
}

}  // namespace sslcake::inline v0::data
