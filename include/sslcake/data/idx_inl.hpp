#pragma once

#include <algorithm>

#include "files.hpp"
#include "idx.hpp"

namespace sslcake::inline v0::data {

namespace detail {

SSLCAKE_INLINE IdxArray parse_idx(const std::uint8_t* bytes, std::size_t size, int rank, const std::string& file) {
  if (size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) fail("idx", "'", file, "' is compressed; unpack it with gunzip");
  const std::size_t header = 4 + 4 * static_cast<std::size_t>(rank);
  if (size < header) fail("idx", "expected a header of ", header, " bytes in '", file, "', found ", size, " bytes in all");
  if (bytes[0] != 0 || bytes[1] != 0 || bytes[2] != 8 || bytes[3] != rank)
    fail("idx", "expected '", file, "' to start with 0 0 8 ", rank, " (unsigned bytes, ", rank,
         rank == 1 ? " dimension" : " dimensions", "), found ", bytes[0], " ", bytes[1], " ", bytes[2], " ", bytes[3]);
  IdxArray array;
  std::uint64_t count = 1;  // at most 2^62: the extents are held against what the file could hold before they are multiplied
  for (int d = 0; d < rank; ++d) {
    const std::uint8_t* b = bytes + 4 + 4 * d;
    const std::uint64_t extent = std::uint64_t{b[0]} << 24 | std::uint64_t{b[1]} << 16 | std::uint64_t{b[2]} << 8 | b[3];
    if (extent == 0 || extent > size)
      fail("idx", "expected extents from 1 to the file's ", size, " bytes in '", file, "', found ", extent, " for dimension ", d);
    if (count > size / extent)
      fail("idx", "expected as many values in '", file, "' as its header says, found only ", size - header);
    count *= extent;
    array.extents.push_back(static_cast<std::int64_t>(extent));
  }
  if (count != size - header)
    fail("idx", "expected ", count, " values in '", file, "' as its header says, found ", size - header,
         ": the file is incomplete or damaged");
  array.values = bytes + header;
  return array;
}

/// The file under either of its two usual names; empty where there is neither.
inline std::string find_idx(const std::string& folder, const std::string& stem, const std::string& kind) {
  for (const char* separator : {"-", "."})
    if (auto path = join(folder, stem + separator + kind + "-ubyte"); io::is_file(path)) return path;
  return {};
}

}  // namespace detail

SSLCAKE_INLINE std::shared_ptr<MemoryDataset> idx(const std::string& folder, Split split) {
  const std::string advice = "'data/fetch.sh mnist' (or fashion-mnist, kmnist) gets and unpacks such files";
  const std::string part = split == Split::test ? "t10k" : "train";
  if (!io::is_folder(folder)) fail("idx", "there is no folder '", folder, "'; ", advice);
  const auto image_path = detail::find_idx(folder, part + "-images", "idx3");
  if (image_path.empty()) {
    const auto name = part + "-images-idx3-ubyte";
    if (io::is_file(detail::join(folder, name + ".gz")))
      fail("idx", "'", folder, "' holds ", name, ".gz, which is compressed; unpack it: gunzip -k ", name, ".gz");
    fail("idx", "expected the file '", name, "' in '", folder, "'; ", advice);
  }
  const auto bytes = detail::read_bytes("idx", image_path, -1, advice);
  const auto pictures = detail::parse_idx(bytes.data(), bytes.size(), 3, image_path);
  const auto count = pictures.extents[0], height = pictures.extents[1], width = pictures.extents[2];
  if (height > 4096 || width > 4096)
    fail("idx", "expected pictures of at most 4096 x 4096 in '", image_path, "', found ", width, " x ", height);

  std::vector<std::int64_t> labels;
  std::vector<std::string> names;
  if (const auto label_path = detail::find_idx(folder, part + "-labels", "idx1"); !label_path.empty()) {
    const auto label_bytes = detail::read_bytes("idx", label_path, -1, advice);
    const auto array = detail::parse_idx(label_bytes.data(), label_bytes.size(), 1, label_path);
    if (array.extents[0] != count)
      fail("idx", "expected ", count, " labels in '", label_path, "', one for each picture, found ", array.extents[0]);
    labels.assign(array.values, array.values + count);
    const auto classes = *std::max_element(labels.begin(), labels.end()) + 1;
    names = detail::read_lines(detail::join(folder, "class_names.txt"));
    for (auto c = static_cast<std::int64_t>(names.size()); c < classes; ++c) names.push_back(std::to_string(c));
  }

  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count * height * width) * 3);
  for (std::size_t p = 0; p < pixels.size(); ++p) pixels[p] = pictures.values[p / 3];
  return std::make_shared<MemoryDataset>(std::move(pixels), static_cast<int>(width), static_cast<int>(height), std::move(labels),
                                         std::move(names));
}

}  // namespace sslcake::inline v0::data
