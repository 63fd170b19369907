// Data sets: something that has a number of pictures, and hands out the i-th of them.
//
// One's own data set is a few lines: fill a MemoryDataset, wrap a callback in a FunctionDataset, or derive from Dataset.
//
//   auto frames = std::make_shared<data::FunctionDataset>(1000, [&](std::int64_t i) { return camera.frame(i); });
//
// Labels are optional and are never used in pretraining; they are for measuring what was learnt.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../core/error.hpp"
#include "../core/random.hpp"
#include "../image/image.hpp"

namespace sslcake::inline v0::data {

/// Which part of a data set. `unlabeled` is the part without labels where a set has one (STL-10), otherwise `train`.
enum class Split : std::uint8_t { train, test, unlabeled };

constexpr const char* name_of(Split s) { return s == Split::train ? "train" : s == Split::test ? "test" : "unlabeled"; }

/// A file that looked like a picture and could not be used.
struct Skipped {
  std::string name;    // as Dataset::name
  std::string reason;  // a whole message
};

/// Thrown by Dataset::image for a picture that cannot be read and that the loader is to pass over: the run goes on,
/// and the data set's skipped() names the file. Any other exception stops the run.
class UnreadablePicture : public Error {
 public:
  using Error::Error;
};

/// An indexed collection of pictures. All members are called from several threads at once.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual std::int64_t size() const = 0;
  /// The i-th picture, RGB, of any size; 0 <= i < size(). Always the same picture for the same i.
  virtual image::Image image(std::int64_t i) const = 0;
  /// The class of the i-th picture, from 0; -1 where it has none.
  virtual std::int64_t label(std::int64_t) const { return -1; }
  /// What to call the i-th picture in a listing: a path, or by default its number.
  virtual std::string name(std::int64_t i) const { return std::to_string(i); }
  /// Names of the classes 0, 1, ...; empty without labels.
  virtual std::vector<std::string> class_names() const { return {}; }
  /// What was passed over so far, in the order of names.
  virtual std::vector<Skipped> skipped() const { return {}; }
  /// True where a cache in front of it would gain nothing.
  virtual bool in_memory() const { return false; }
  /// Whether all pictures are of one size, which is then put into the arguments, and can be read without fail. Such a set may
  /// be kept on a GPU, from its pixels(): who overrides image() of a set that answers true overrides uniform or pixels too.
  virtual bool uniform(int& /*width*/, int& /*height*/) const { return false; }
  /// The bytes (H,W,3) of the i-th picture where the set holds them; null where only image(i) has them.
  virtual const std::uint8_t* pixels(std::int64_t /*i*/) const { return nullptr; }
};

using DatasetPtr = std::shared_ptr<const Dataset>;  // what takes a data set takes it so

/// A handle on a data set that lives elsewhere, at least as long as the handle.
inline DatasetPtr borrow(const Dataset& dataset) { return {DatasetPtr{}, &dataset}; }

/// All labels in order.
std::vector<std::int64_t> labels_of(const Dataset& dataset);
/// True where every picture has a label (and there is at least one picture).
bool has_labels(const Dataset& dataset);

/// Pictures of one size, held as bytes.
class MemoryDataset : public Dataset {
 public:
  /// `pixels`: (N,height,width,3) bytes, red first; N follows from their number. `labels`: N of them, or none.
  MemoryDataset(std::vector<std::uint8_t> pixels, int width, int height, std::vector<std::int64_t> labels = {},
                std::vector<std::string> class_names = {});
  std::int64_t size() const override { return size_; }
  SSLCAKE_INLINE image::Image image(std::int64_t i) const override;
  SSLCAKE_INLINE std::int64_t label(std::int64_t i) const override;
  std::vector<std::string> class_names() const override { return class_names_; }
  bool in_memory() const override { return true; }
  bool uniform(int& width, int& height) const override {
    width = width_;
    height = height_;
    return true;
  }
  SSLCAKE_INLINE const std::uint8_t* pixels(std::int64_t i) const override;

 private:
  std::vector<std::uint8_t> pixels_;
  std::vector<std::int64_t> labels_;
  std::vector<std::string> class_names_;
  std::int64_t size_ = 0;
  int width_ = 0, height_ = 0;
};

/// Pictures from a callback, which must be safe to call from several threads and always give the same picture for
/// the same index.
class FunctionDataset : public Dataset {
 public:
  using ImageFunction = std::function<image::Image(std::int64_t)>;
  using LabelFunction = std::function<std::int64_t(std::int64_t)>;
  FunctionDataset(std::int64_t size, ImageFunction image, LabelFunction label = {}, std::vector<std::string> class_names = {});
  std::int64_t size() const override { return size_; }
  SSLCAKE_INLINE image::Image image(std::int64_t i) const override;
  SSLCAKE_INLINE std::int64_t label(std::int64_t i) const override;
  std::vector<std::string> class_names() const override { return class_names_; }

 private:
  std::int64_t size_;
  ImageFunction image_;
  LabelFunction label_;
  std::vector<std::string> class_names_;
};

/// Some pictures of another data set, in the order of `indices` (which may repeat).
class Subset : public Dataset {
 public:
  Subset(DatasetPtr whole, std::vector<std::int64_t> indices);
  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  image::Image image(std::int64_t i) const override { return whole_->image(at(i)); }
  std::int64_t label(std::int64_t i) const override { return whole_->label(at(i)); }
  std::string name(std::int64_t i) const override { return whole_->name(at(i)); }
  std::vector<std::string> class_names() const override { return whole_->class_names(); }
  std::vector<Skipped> skipped() const override { return whole_->skipped(); }
  bool in_memory() const override { return whole_->in_memory(); }
  bool uniform(int& width, int& height) const override { return whole_->uniform(width, height); }
  const std::uint8_t* pixels(std::int64_t i) const override { return whole_->pixels(at(i)); }
  /// Index in the whole data set.
  std::int64_t at(std::int64_t i) const;

 private:
  DatasetPtr whole_;
  std::vector<std::int64_t> indices_;
};

/// The same pictures under other labels, for example those that a clustering gave them.
class Relabelled : public Dataset {
 public:
  Relabelled(DatasetPtr pictures, std::vector<std::int64_t> labels, std::vector<std::string> class_names = {});
  std::int64_t size() const override { return pictures_->size(); }
  image::Image image(std::int64_t i) const override { return pictures_->image(i); }
  SSLCAKE_INLINE std::int64_t label(std::int64_t i) const override;
  std::string name(std::int64_t i) const override { return pictures_->name(i); }
  std::vector<std::string> class_names() const override { return class_names_; }
  std::vector<Skipped> skipped() const override { return pictures_->skipped(); }
  bool in_memory() const override { return pictures_->in_memory(); }
  bool uniform(int& width, int& height) const override { return pictures_->uniform(width, height); }
  const std::uint8_t* pixels(std::int64_t i) const override { return pictures_->pixels(i); }

 private:
  DatasetPtr pictures_;
  std::vector<std::int64_t> labels_;
  std::vector<std::string> class_names_;
};

/// Decoded pictures kept in memory up to a limit in bytes: the first that are asked for stay, the rest is read anew
/// each time. (Every epoch visits every picture once, in another order; to throw an old picture out for a new one
/// would gain nothing.) Sets that are in memory already are passed through.
class Cached : public Dataset {
 public:
  Cached(DatasetPtr pictures, std::size_t byte_limit);
  SSLCAKE_INLINE ~Cached() override;
  std::int64_t size() const override { return pictures_->size(); }
  SSLCAKE_INLINE image::Image image(std::int64_t i) const override;
  std::int64_t label(std::int64_t i) const override { return pictures_->label(i); }
  std::string name(std::int64_t i) const override { return pictures_->name(i); }
  std::vector<std::string> class_names() const override { return pictures_->class_names(); }
  std::vector<Skipped> skipped() const override { return pictures_->skipped(); }
  bool in_memory() const override { return true; }  // as far as another cache is concerned
  bool uniform(int& width, int& height) const override { return pictures_->uniform(width, height); }
  const std::uint8_t* pixels(std::int64_t i) const override { return pictures_->pixels(i); }
  std::size_t bytes_held() const;

 private:
  struct Store;
  DatasetPtr pictures_;
  std::unique_ptr<Store> store_;
};

/// 0, 1, ..., n-1 in an order that is a function of (seed, epoch, purpose) alone. Errors: n below 0, or not below 2^32.
std::vector<std::int64_t> permutation(std::int64_t n, std::uint64_t seed, std::uint64_t epoch = 0,
                                      Purpose purpose = Purpose::shuffle);

/// `count` pictures drawn at random by `seed`, in their old order; everything where `count` is not smaller than the set.
/// Errors: count < 1.
std::shared_ptr<Dataset> limit(std::shared_ptr<Dataset> dataset, std::int64_t count, std::uint64_t seed = 0);

struct HeldOut {
  std::shared_ptr<Dataset> rest, held_out;
};
/// Two disjoint parts, drawn at random by `seed`: `fraction` of the pictures (at least one) held out, and the rest. Errors: a
/// fraction not in (0,1), fewer than two pictures.
HeldOut hold_out(DatasetPtr dataset, double fraction, std::uint64_t seed = 0);

namespace detail {
inline void check_index(std::int64_t i, std::int64_t size, const char* where) {
  if (i < 0 || i >= size) fail(where, "expected an index in [0,", size, "), got ", i);
}
}  // namespace detail

}  // namespace sslcake::inline v0::data

#ifndef SSLCAKE_COMPILED
#include "dataset_inl.hpp"
#endif
