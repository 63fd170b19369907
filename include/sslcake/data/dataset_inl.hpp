#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>
#include <utility>

#include "../image/colour.hpp"
#include "dataset.hpp"

namespace sslcake::inline v0::data {

SSLCAKE_INLINE std::vector<std::int64_t> labels_of(const Dataset& dataset) {
  std::vector<std::int64_t> labels(static_cast<std::size_t>(dataset.size()));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = dataset.label(static_cast<std::int64_t>(i));
  return labels;
}

SSLCAKE_INLINE bool has_labels(const Dataset& dataset) {
  for (std::int64_t i = 0, n = dataset.size(); i < n; ++i)
    if (dataset.label(i) < 0) return false;
  return dataset.size() > 0;
}

SSLCAKE_INLINE MemoryDataset::MemoryDataset(std::vector<std::uint8_t> pixels, int width, int height,
                                            std::vector<std::int64_t> labels, std::vector<std::string> class_names)
    : pixels_(std::move(pixels)),
      labels_(std::move(labels)),
      class_names_(std::move(class_names)),
      width_(width),
      height_(height) {
  if (width < 1 || height < 1) fail("MemoryDataset", "expected width and height of at least 1, got ", width, " and ", height);
  const auto bytes = static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3;
  if (pixels_.size() % bytes != 0)
    fail("MemoryDataset", "expected a multiple of ", bytes, " bytes (", height, " x ", width, " x 3 a picture), got ",
         pixels_.size());
  size_ = static_cast<std::int64_t>(pixels_.size() / bytes);
  if (!labels_.empty() && labels_.size() != static_cast<std::size_t>(size_))
    fail("MemoryDataset", "expected ", size_, " labels, one for each picture, or none, got ", labels_.size());
}

SSLCAKE_INLINE image::Image MemoryDataset::image(std::int64_t i) const {
  detail::check_index(i, size_, "MemoryDataset::image");
  const auto bytes = static_cast<std::ptrdiff_t>(width_) * height_ * 3;
  image::Image picture;
  picture.width = width_;
  picture.height = height_;
  picture.pixels.assign(pixels_.begin() + i * bytes, pixels_.begin() + (i + 1) * bytes);
  return picture;
}

SSLCAKE_INLINE const std::uint8_t* MemoryDataset::pixels(std::int64_t i) const {
  detail::check_index(i, size_, "MemoryDataset::pixels");
  return pixels_.data() + i * static_cast<std::ptrdiff_t>(width_) * height_ * 3;
}

SSLCAKE_INLINE std::int64_t MemoryDataset::label(std::int64_t i) const {
  detail::check_index(i, size_, "MemoryDataset::label");
  return labels_.empty() ? -1 : labels_[static_cast<std::size_t>(i)];
}

SSLCAKE_INLINE FunctionDataset::FunctionDataset(std::int64_t size, ImageFunction image, LabelFunction label,
                                                std::vector<std::string> class_names)
    : size_(size), image_(std::move(image)), label_(std::move(label)), class_names_(std::move(class_names)) {
  if (size < 0) fail("FunctionDataset", "expected a size of at least 0, got ", size);
  if (!image_) fail("FunctionDataset", "expected a function that gives the i-th picture, got none");
}

SSLCAKE_INLINE image::Image FunctionDataset::image(std::int64_t i) const {
  detail::check_index(i, size_, "FunctionDataset::image");
  return image::to_rgb(image_(i), "FunctionDataset::image");
}

SSLCAKE_INLINE std::int64_t FunctionDataset::label(std::int64_t i) const {
  detail::check_index(i, size_, "FunctionDataset::label");
  return label_ ? label_(i) : -1;
}

SSLCAKE_INLINE Subset::Subset(DatasetPtr whole, std::vector<std::int64_t> indices)
    : whole_(std::move(whole)), indices_(std::move(indices)) {
  if (!whole_) fail("Subset", "expected a data set, got a null pointer");
  for (const auto i : indices_) detail::check_index(i, whole_->size(), "Subset");
}

SSLCAKE_INLINE std::int64_t Subset::at(std::int64_t i) const {
  detail::check_index(i, size(), "Subset");
  return indices_[static_cast<std::size_t>(i)];
}

SSLCAKE_INLINE Relabelled::Relabelled(DatasetPtr pictures, std::vector<std::int64_t> labels, std::vector<std::string> class_names)
    : pictures_(std::move(pictures)), labels_(std::move(labels)), class_names_(std::move(class_names)) {
  if (!pictures_) fail("Relabelled", "expected a data set, got a null pointer");
  if (static_cast<std::int64_t>(labels_.size()) != pictures_->size())
    fail("Relabelled", "expected ", pictures_->size(), " labels, one for each picture, got ", labels_.size());
}

SSLCAKE_INLINE std::int64_t Relabelled::label(std::int64_t i) const {
  detail::check_index(i, size(), "Relabelled::label");
  return labels_[static_cast<std::size_t>(i)];
}

struct Cached::Store {
  std::mutex mutex;
  std::vector<std::shared_ptr<const image::Image>> pictures;
  std::size_t bytes = 0, limit = 0;
};

SSLCAKE_INLINE Cached::Cached(DatasetPtr pictures, std::size_t byte_limit) : pictures_(std::move(pictures)) {
  if (!pictures_) fail("Cached", "expected a data set, got a null pointer");
  store_ = std::make_unique<Store>();
  store_->limit = byte_limit;
  if (!pictures_->in_memory()) store_->pictures.resize(static_cast<std::size_t>(pictures_->size()));
}

SSLCAKE_INLINE Cached::~Cached() = default;

SSLCAKE_INLINE image::Image Cached::image(std::int64_t i) const {
  if (pictures_->in_memory()) return pictures_->image(i);
  detail::check_index(i, size(), "Cached::image");
  auto& slot = store_->pictures[static_cast<std::size_t>(i)];
  std::shared_ptr<const image::Image> held;
  bool room = false;
  {
    const std::lock_guard lock(store_->mutex);
    held = slot;
    room = store_->bytes < store_->limit;
  }
  if (held) return *held;  // copied outside the lock
  auto picture = pictures_->image(i);
  const auto bytes = picture.pixels.size();
  if (!room) return picture;
  auto copy = std::make_shared<const image::Image>(picture);
  const std::lock_guard lock(store_->mutex);
  if (!slot && bytes <= store_->limit - store_->bytes) {
    slot = std::move(copy);
    store_->bytes += bytes;
  }
  return picture;
}

SSLCAKE_INLINE std::size_t Cached::bytes_held() const {
  const std::lock_guard lock(store_->mutex);
  return store_->bytes;
}

SSLCAKE_INLINE std::vector<std::int64_t> permutation(std::int64_t n, std::uint64_t seed, std::uint64_t epoch, Purpose purpose) {
  if (n < 0 || n > std::int64_t{0xffffffff}) fail("permutation", "expected 0 <= n < 2^32, got ", n);
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  Random random(seed, purpose, epoch);
  for (std::size_t i = order.size(); i > 1; --i)  // Fisher and Yates
    std::swap(order[i - 1], order[random.below(static_cast<std::uint32_t>(i))]);
  return order;
}

namespace detail {
// The epochs of training are small numbers: the orders of limit() and hold_out() lie far from them.
inline constexpr std::uint64_t limit_epoch = std::uint64_t{1} << 62, hold_out_epoch = limit_epoch + 1;
}  // namespace detail

SSLCAKE_INLINE std::shared_ptr<Dataset> limit(std::shared_ptr<Dataset> dataset, std::int64_t count, std::uint64_t seed) {
  if (!dataset) fail("limit", "expected a data set, got a null pointer");
  if (count < 1) fail("limit", "expected at least 1 picture, got ", count);
  if (count >= dataset->size()) return dataset;
  auto order = permutation(dataset->size(), seed, detail::limit_epoch);
  order.resize(static_cast<std::size_t>(count));
  std::sort(order.begin(), order.end());
  return std::make_shared<Subset>(std::move(dataset), std::move(order));
}

SSLCAKE_INLINE HeldOut hold_out(DatasetPtr dataset, double fraction, std::uint64_t seed) {
  if (!dataset) fail("hold_out", "expected a data set, got a null pointer");
  if (!(fraction > 0 && fraction < 1)) fail("hold_out", "expected a fraction between 0 and 1, got ", fraction);
  const auto n = dataset->size();
  if (n < 2) fail("hold_out", "expected at least 2 pictures to share out, got ", n);
  const auto held = std::clamp<std::int64_t>(static_cast<std::int64_t>(static_cast<double>(n) * fraction + 0.5), 1, n - 1);
  auto order = permutation(n, seed, detail::hold_out_epoch);
  std::vector<std::int64_t> rest(order.begin() + held, order.end());
  order.resize(static_cast<std::size_t>(held));
  std::sort(order.begin(), order.end());
  std::sort(rest.begin(), rest.end());
  return {std::make_shared<Subset>(dataset, std::move(rest)), std::make_shared<Subset>(dataset, std::move(order))};
}

}  // namespace sslcake::inline v0::data
