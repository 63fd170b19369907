// From a data set to batches of augmented views, prepared by worker threads ahead of time.
//
// What a batch holds is a pure function of (data set, views, seed, epoch, batch number): the order of an epoch is the
// permutation of (seed, epoch), and the draws for a view those of (seed, epoch, index of the picture, draw: the view's number
// unless ViewSpec says otherwise). Neither the number of workers nor where one started makes a difference, so that a resumed
// run sees the same batches.
//
// For Device::cuda the draws are made here, all the same, and the views there: a data set whose pictures are of one size is kept
// on the GPU, so that a batch is a list of what to do; of other sets the workers decode pictures and the bytes go up.
//
//   data::Loader loader(dataset, {{recipe}, {recipe}}, {.batch = 256, .seed = 7});
//   for (int epoch = 0; epoch < 100; ++epoch) {
//     loader.start(epoch);
//     for (data::Batch batch; loader.next(batch);) step(batch.view(0), batch.view(1));
//   }
#pragma once

#include <memory>
#include <vector>

#include "../augment/recipe.hpp"
#include "../core/random.hpp"
#include "../core/tensor.hpp"
#include "dataset.hpp"

namespace sslcake::inline v0::data {

/// One way to make a view of a picture, and the label that the view gets by it (the number of quarter turns, say).
struct ViewSpec {
  augment::Recipe recipe;
  std::int64_t label = -1;
  int draw = -1;  // views of one draw number are drawn alike (the same crop, turned four ways); -1: the view's own number

  /// The draw number of this view, which is the task's number `v`.
  int draw_of(std::size_t v) const { return draw < 0 ? static_cast<int>(v) : draw; }
};
/// What a pretext task asks of the loader. All recipes give pictures of one size.
using Views = std::vector<ViewSpec>;

struct Batch {
  Tensor images;                      // (V·N,H,W,3) float32 (or LoaderOptions::precision); view v is rows [v·N, (v+1)·N)
  Tensor view_labels;                 // (V·N) int64: ViewSpec::label of each row
  Tensor labels;                      // (N) int64: the data set's labels, -1 where there is none
  std::vector<std::int64_t> indices;  // (N) which pictures of the data set these are
  int views = 1;
  std::int64_t epoch = 0, number = 0;

  std::int64_t size() const { return static_cast<std::int64_t>(indices.size()); }
  /// The pictures of one view, (N,H,W,3).
  Tensor view(int v) const;
};

/// What to do about a picture that cannot be read (Dataset::image throws UnreadablePicture).
enum class Unreadable : std::uint8_t {
  replace,  // take the next readable picture of the data set in its place: batches keep their size
  skip      // leave it out: Batch::indices says which pictures are there
};

struct LoaderOptions {
  std::int64_t batch = 256;
  bool shuffle = true;
  bool drop_last = true;  // no smaller batch at the end of an epoch
  std::uint64_t seed = global_seed();
  int workers = -1;   // threads that prepare batches; -1: threads(); 0: none, next() prepares its batch on the thread pool
  int prefetch = 2;   // batches in preparation or ready, at most
  std::size_t cache_bytes = std::size_t{1} << 30;  // for decoded pictures (see Cached); 0: none
  Unreadable unreadable = Unreadable::replace;
  Device device = Device::cpu;           // where images and labels are put, and the views made
  DType precision = DType::float32;      // of the images on cuda, float32 or bfloat16; those on the CPU are float32
  double resident = 0.25;  // share of the GPU's free memory that a data set of pictures of one size may take to stay there
};

class Loader {
 public:
  /// Fails where the data set is empty, a batch would be larger than the data set (with drop_last), or the views differ
  /// in size.
  Loader(DatasetPtr dataset, Views views, const LoaderOptions& options = {});
  /// For a data set that outlives the loader.
  Loader(const Dataset& dataset, Views views, const LoaderOptions& options = {})
      : Loader(borrow(dataset), std::move(views), options) {}
  ~Loader();  // waits for pictures that are being prepared, no longer
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;

  /// Batches in an epoch.
  std::int64_t batches() const;
  /// Begins an epoch, at its batch number `batch`. What was prepared and not fetched is dropped. Labels are read from here
  /// on, so that a data set may be relabelled between epochs.
  void start(std::int64_t epoch, std::int64_t batch = 0);
  /// Moves the next batch into `batch`; false at the end of the epoch. Begins epoch 0 where nothing was started. An
  /// exception from a data set or recipe comes out here, in the place of its batch.
  bool next(Batch& batch);
  /// Epoch and number of the batch that next() will give.
  std::int64_t epoch() const;
  std::int64_t position() const;
  /// Seconds that next() has waited for the workers, in all.
  double waited() const;
  const Dataset& dataset() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A loader that goes once through a data set in its order, for measuring: every readable picture once, one view each.
Loader in_order(DatasetPtr dataset, const augment::Recipe& recipe, std::int64_t batch = 256, Device device = Device::cpu,
                DType precision = DType::float32);

}  // namespace sslcake::inline v0::data

#ifndef SSLCAKE_COMPILED
#include "loader_inl.hpp"
#endif
