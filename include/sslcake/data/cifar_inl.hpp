#pragma once

#include "cifar.hpp"
#include "files.hpp"

namespace sslcake::inline v0::data {

namespace detail {

SSLCAKE_INLINE void append_cifar(const std::uint8_t* bytes, std::size_t size, std::size_t label_bytes, std::size_t label_at,
                                 int classes, const std::string& file, std::vector<std::uint8_t>& pixels,
                                 std::vector<std::int64_t>& labels) {
  constexpr std::size_t plane = 32 * 32;
  const std::size_t record = label_bytes + 3 * plane;
  if (size % record != 0)
    fail("cifar", "expected '", file, "' to consist of records of ", record, " bytes, found ", size, " bytes (", size / record,
         " records and ", size % record, " bytes)");
  const std::size_t count = size / record, before = pixels.size();
  pixels.resize(before + count * 3 * plane);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t* from = bytes + i * record;
    if (from[label_at] >= classes)
      fail("cifar", "expected labels below ", classes, " in '", file, "', found ", from[label_at], " in record ", i,
           ": the file is damaged or of another kind");
    labels.push_back(from[label_at]);
    from += label_bytes;
    std::uint8_t* to = pixels.data() + before + i * 3 * plane;
    for (std::size_t p = 0; p < plane; ++p)
      for (std::size_t c = 0; c < 3; ++c) to[p * 3 + c] = from[c * plane + p];
  }
}

/// Reads files of `records` records each into one data set.
inline std::shared_ptr<MemoryDataset> read_cifar(const char* where, const std::string& folder,
                                                 const std::vector<std::string>& files, std::int64_t records,
                                                 std::size_t label_bytes, std::size_t label_at, int classes,
                                                 std::vector<std::string> class_names, const std::string& advice) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> labels;
  pixels.reserve(files.size() * static_cast<std::size_t>(records) * 3072);
  for (const auto& file : files) {
    const auto path = join(folder, file);
    const auto bytes = read_bytes(where, path, records * static_cast<std::int64_t>(label_bytes + 3072), advice);
    append_cifar(bytes.data(), bytes.size(), label_bytes, label_at, classes, path, pixels, labels);
  }
  return std::make_shared<MemoryDataset>(std::move(pixels), 32, 32, std::move(labels), std::move(class_names));
}

}  // namespace detail

SSLCAKE_INLINE std::shared_ptr<MemoryDataset> cifar10(const std::string& folder, Split split) {
  const std::string advice = "'data/fetch.sh cifar10' gets CIFAR-10 in its binary version (not the Python version)";
  std::vector<std::string> files;
  if (split == Split::test) files = {"test_batch.bin"};
  else for (int i = 1; i <= 5; ++i) files.push_back(concat("data_batch_", i, ".bin"));
  const auto inner = detail::find_folder("cifar10", folder, "cifar-10-batches-bin", files[0], advice);
  return detail::read_cifar("cifar10", inner, files, 10000, 1, 0, 10,
                            {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}, advice);
}

SSLCAKE_INLINE std::shared_ptr<MemoryDataset> cifar100(const std::string& folder, Split split, bool coarse) {
  const std::string advice = "'data/fetch.sh cifar100' gets CIFAR-100 in its binary version (not the Python version)";
  const bool test = split == Split::test;
  const std::string file = test ? "test.bin" : "train.bin";
  const auto inner = detail::find_folder("cifar100", folder, "cifar-100-binary", file, advice);
  const std::size_t classes = coarse ? 20 : 100;
  auto names = detail::read_lines(detail::join(inner, coarse ? "coarse_label_names.txt" : "fine_label_names.txt"));
  if (names.size() != classes) {  // numbers will do
    names.clear();
    for (std::size_t c = 0; c < classes; ++c) names.push_back(std::to_string(c));
  }
  return detail::read_cifar("cifar100", inner, {file}, test ? 10000 : 50000, 2, coarse ? 0 : 1, static_cast<int>(classes),
                            std::move(names), advice);
}

}  // namespace sslcake::inline v0::data
