#pragma once

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <numeric>
#include <system_error>
#include <thread>
#include <utility>

#include "../core/clock.hpp"
#include "../core/threads.hpp"
#include "../image/colour.hpp"
#include "gpu_views.hpp"
#include "loader.hpp"

namespace sslcake::inline v0::data {

SSLCAKE_INLINE Tensor Batch::view(int v) const {
  if (v < 0 || v >= views) fail("Batch::view", "expected a view in [0,", views, "), got ", v);
  return images.rows(v * size(), (v + 1) * size());
}

namespace detail {

/// One batch in the making. Samples are prepared in slices, by whoever is free; each writes rows of its own.
struct BatchSlot {
  Batch batch;
  std::vector<std::uint8_t> missing;    // (N): 1 where a picture was left out
  float* images = nullptr;              // where the samples write to
  std::int64_t* labels = nullptr;
  std::int64_t unfinished = 0;          // slices
  std::exception_ptr error;             // of the first slice, in order, that failed
  std::int64_t error_slice = 0;
  GpuViews gpu;                         // in place of images where the GPU makes the views
};

}  // namespace detail

// The workers take slices in the order of batches, of at most `prefetch` batches ahead of the consumer. Everything below
// the mutex is guarded by it; pictures are decoded and augmented outside.
struct Loader::State {
  using Slot = detail::BatchSlot;

  State(DatasetPtr pictures, Views recipes, const LoaderOptions& wanted) : views(std::move(recipes)), options(wanted) {
    if (!pictures) fail("Loader", "expected a data set, got a null pointer");
    count = pictures->size();
    if (count < 1) fail("Loader", "expected a data set with pictures, got an empty one");
    if (options.batch < 1) fail("Loader", "expected a batch of at least 1, got ", options.batch);
    if (options.drop_last && options.batch > count)
      fail("Loader", "expected a batch no larger than the data set (", count, " pictures), got ", options.batch,
           "; use a smaller batch");
    if (options.prefetch < 1) fail("Loader", "expected prefetch of at least 1 batch, got ", options.prefetch);
    if (options.workers < -1 || options.workers > 1024)
      fail("Loader", "expected 0 to 1024 workers, or -1 for as many as threads(), got ", options.workers);
    if (views.empty()) fail("Loader", "expected at least one view, got none");
    height = views[0].recipe.height();
    width = views[0].recipe.width();
    for (const auto& view : views)
      if (view.recipe.height() != height || view.recipe.width() != width)
        fail("Loader", "expected views of one size, got ", width, " x ", height, " and ", view.recipe.width(), " x ",
             view.recipe.height());
    if (options.device == Device::cuda) {
      if (options.precision != DType::float32 && options.precision != DType::bfloat16)
        fail("Loader", "expected a precision of float32 or bfloat16, got ", options.precision);
      if (!(options.resident >= 0 && options.resident <= 1))
        fail("Loader", "expected a share of the GPU's memory in [0,1] for resident, got ", options.resident);
      kernels::cuda::table();  // an error here and not in the middle of an epoch
      views_on_gpu = std::none_of(views.begin(), views.end(), [](const ViewSpec& view) { return view.recipe.has_custom(); });
    }
    if (options.workers < 0) options.workers = threads();
    batches = options.drop_last ? count / options.batch : (count - 1) / options.batch + 1;
    slots.resize(static_cast<std::size_t>(options.prefetch));
    if (views_on_gpu && options.resident > 0 && pictures->uniform(resident_width, resident_height))
      resident = detail::upload_pictures(*pictures, resident_width, resident_height,
                                         options.resident * static_cast<double>(kernels::cuda::table().runtime.free_bytes()));
    const bool cached = options.cache_bytes && !pictures->in_memory() && !resident.defined();
    dataset = cached ? std::make_shared<Cached>(pictures, options.cache_bytes) : pictures;
  }

  ~State() {
    {
      const std::lock_guard lock(mutex);
      quit = true;
    }
    work.notify_all();
    for (auto& t : team) t.join();
  }

  void start(std::int64_t new_epoch, std::int64_t batch) {
    if (new_epoch < 0) fail("Loader::start", "expected an epoch of at least 0, got ", new_epoch);
    if (batch < 0 || batch > batches) fail("Loader::start", "expected a batch in [0,", batches, "], got ", batch);
    std::vector<std::int64_t> new_order;
    if (options.shuffle) {
      new_order = permutation(count, options.seed, static_cast<std::uint64_t>(new_epoch));
    } else {
      new_order.resize(static_cast<std::size_t>(count));
      std::iota(new_order.begin(), new_order.end(), std::int64_t{0});
    }
    {
      std::unique_lock lock(mutex);
      end = begun;  // nothing new is begun; what is in work is waited for
      next_slice = slices;
      idle.wait(lock, [&] { return busy == 0; });
      for (auto& slot : slots) slot = Slot{};
      order = std::move(new_order);
      epoch = new_epoch;
      begun = consumed = batch;
      next_slice = slices = 0;
      end = batches;
      started = true;
    }
    work.notify_all();
    while (static_cast<int>(team.size()) < options.workers) {
      try {
        team.emplace_back([this] { run(); });
      } catch (const std::system_error& error) {
        if (!team.empty()) break;  // fewer will do
        started = false;           // for those who try again
        fail("Loader", "the system starts no thread to prepare batches: ", error.what(), "; use 0 workers");
      }
    }
  }

  bool next(Batch& out) {
    if (!started) start(0, 0);
    for (;;) {
      if (consumed == batches) return false;
      const double since = monotonic_seconds();
      if (options.workers == 0) prepare_here();
      std::unique_lock lock(mutex);
      auto& slot = slot_of(consumed);
      ready.wait(lock, [&] { return begun > consumed && slot.unfinished == 0; });
      waited += monotonic_seconds() - since;
      Slot done = std::exchange(slot, Slot{});
      ++consumed;
      lock.unlock();
      work.notify_all();
      if (done.error) std::rethrow_exception(done.error);
      if (done.batch.indices.empty()) continue;  // not one readable picture in it
      if (options.device == Device::cuda) move_to_gpu(done);
      out = std::move(done.batch);
      return true;
    }
  }

 private:
  Slot& slot_of(std::int64_t batch) { return slots[static_cast<std::size_t>(batch % options.prefetch)]; }

  /// Allocates batch number `number`; the caller holds the mutex.
  void begin_batch(std::int64_t number) {
    Slot& slot = slot_of(number);
    const auto first = number * options.batch, n = std::min(options.batch, count - first);
    const auto v = static_cast<std::int64_t>(views.size());
    slot.batch.views = static_cast<int>(v);
    slot.batch.epoch = epoch;
    slot.batch.number = number;
    slot.batch.indices.assign(order.begin() + first, order.begin() + first + n);
    if (views_on_gpu) {
      slot.gpu.programs.resize(static_cast<std::size_t>(v * n));
      if (!resident.defined()) slot.gpu.pictures.resize(static_cast<std::size_t>(n));
    } else {
      slot.batch.images = Tensor({v * n, height, width, 3}, DType::float32);
      slot.images = slot.batch.images.mutable_data<float>();
    }
    slot.batch.view_labels = Tensor({v * n}, DType::int64);
    slot.batch.labels = Tensor({n}, DType::int64);
    auto* view_labels = slot.batch.view_labels.mutable_data<std::int64_t>();
    for (std::int64_t i = 0; i < v * n; ++i) view_labels[i] = views[static_cast<std::size_t>(i / n)].label;
    slot.labels = slot.batch.labels.mutable_data<std::int64_t>();
    slot.missing.assign(static_cast<std::size_t>(n), 0);
    slices = std::min<std::int64_t>(n, 4 * std::max(1, options.workers > 0 ? options.workers : threads()));
    slot.unfinished = slices;
    next_slice = 0;
    begun = number + 1;
  }

  /// A worker's life.
  void run() {
    const SerialScope leave_the_pool_to_the_computation;
    std::unique_lock lock(mutex);
    for (;;) {
      work.wait(lock, [&] { return quit || next_slice < slices || (begun < end && begun < consumed + options.prefetch); });
      if (quit) return;
      if (next_slice == slices) {
        try {
          begin_batch(begun);
        } catch (...) {  // no memory: the batch is over before it began, and the consumer hears of it
          Slot& slot = slot_of(begun++);
          slot = Slot{};
          slot.error = std::current_exception();
          next_slice = slices = 0;
          ready.notify_all();
          continue;
        }
      }
      const auto slice = next_slice++, of = slices;
      Slot& slot = slot_of(begun - 1);
      ++busy;
      lock.unlock();
      auto error = prepare_slice(slot, slice, of);
      lock.lock();
      note_error(slot, slice, std::move(error));
      if (slot.unfinished == 1) {  // the last of the batch, whose slot is now this thread's alone
        lock.unlock();
        seal(slot);
        lock.lock();
      }
      --slot.unfinished;
      if (--busy == 0) idle.notify_all();
      if (slot.unfinished == 0) ready.notify_all();
    }
  }

  /// The same without workers, on the thread pool.
  void prepare_here() {
    begin_batch(consumed);
    Slot& slot = slot_of(consumed);
    next_slice = slices;
    parallel_chunks(slices, [&](std::int64_t slice) {
      auto error = prepare_slice(slot, slice, slices);
      const std::lock_guard lock(mutex);
      note_error(slot, slice, std::move(error));
    });
    seal(slot);
    slot.unfinished = 0;
  }

  static void note_error(Slot& slot, std::int64_t slice, std::exception_ptr error) {
    if (error && (!slot.error || slice < slot.error_slice)) {
      slot.error = std::move(error);
      slot.error_slice = slice;
    }
  }

  /// What is left to do when all slices of a batch are prepared.
  void seal(Slot& slot) const {
    if (slot.error) return;
    try {
      leave_out_missing(slot);
      if (views_on_gpu) slot.gpu.pack(slot.batch.indices.size());
    } catch (...) {
      slot.error = std::current_exception();
    }
  }

  /// Makes the views of a batch on the GPU, or takes there what was made here; labels too. Nothing waits for the GPU.
  void move_to_gpu(Slot& slot) const {
    Batch& batch = slot.batch;
    batch.labels = batch.labels.to(Device::cuda);
    batch.view_labels = batch.view_labels.to(Device::cuda);
    batch.images = views_on_gpu ? slot.gpu.make(static_cast<int>(width), options.precision, resident)
                                : batch.images.to(Device::cuda).to(options.precision);
  }

  std::exception_ptr prepare_slice(Slot& slot, std::int64_t slice, std::int64_t of) {
    const auto n = slot.batch.size();
    try {
      for (auto k = n * slice / of; k < n * (slice + 1) / of; ++k) prepare_sample(slot, k);
    } catch (...) {
      return std::current_exception();
    }
    return nullptr;
  }

  void prepare_sample(Slot& slot, std::int64_t k) {
    auto& index = slot.batch.indices[static_cast<std::size_t>(k)];
    const auto drawn = index;  // augmentation goes by this number also where another picture stands in
    image::Image picture;
    if (resident.defined()) {
      picture.width = resident_width;  // its size is all that is needed
      picture.height = resident_height;
    } else if (!read(index, picture)) {
      slot.missing[static_cast<std::size_t>(k)] = 1;
      return;
    }
    slot.labels[k] = dataset->label(index);
    const auto n = slot.batch.size(), numbers = height * width * 3;
    for (std::size_t v = 0; v < views.size(); ++v) {
      Random random(options.seed, Purpose::augment, static_cast<std::uint64_t>(slot.batch.epoch),
                    static_cast<std::uint64_t>(drawn), static_cast<std::uint32_t>(views[v].draw_of(v)));
      const auto row = static_cast<std::int64_t>(v) * n + k;
      if (!views_on_gpu) {
        views[v].recipe.make(random, picture, slot.images + row * numbers);
        continue;
      }
      const auto parameters = views[v].recipe.draw(random, picture.width, picture.height);
      const auto offset = resident.defined() ? index * picture.width * picture.height * 3 : 0;  // else pack() knows
      slot.gpu.programs[static_cast<std::size_t>(row)] =
          views[v].recipe.program(parameters, picture.width, picture.height, offset);
    }
    if (!slot.gpu.pictures.empty()) slot.gpu.pictures[static_cast<std::size_t>(k)] = std::move(picture.pixels);
  }

  /// The picture `index`, or the next readable one, whose number is then put into `index`. False: left out.
  bool read(std::int64_t& index, image::Image& picture) const {
    for (std::int64_t tries = 0; tries < count; ++tries, index = (index + 1) % count) {
      try {
        picture = image::to_rgb(dataset->image(index), "Loader");
        return true;
      } catch (const UnreadablePicture&) {
        if (options.unreadable == Unreadable::skip) return false;
        if (tries + 1 == count) throw;
      }
    }
    return false;
  }

  /// Closes the gaps of pictures that were left out.
  void leave_out_missing(Slot& slot) const {
    const auto n = slot.batch.size(), lost = std::accumulate(slot.missing.begin(), slot.missing.end(), std::int64_t{0});
    if (lost == 0) return;
    const Batch whole = std::move(slot.batch);
    const auto kept = n - lost, v = std::int64_t{whole.views};
    Batch& out = slot.batch = Batch{};
    out.views = whole.views;
    out.epoch = whole.epoch;
    out.number = whole.number;
    if (whole.images.defined()) out.images = Tensor({v * kept, height, width, 3}, DType::float32);
    out.view_labels = Tensor({v * kept}, DType::int64);
    out.labels = Tensor({kept}, DType::int64);
    auto* images = out.images.defined() ? out.images.mutable_data<float>() : nullptr;
    auto* view_labels = out.view_labels.mutable_data<std::int64_t>();
    auto* labels = out.labels.mutable_data<std::int64_t>();
    const auto numbers = height * width * 3;
    std::size_t programs = 0, pictures = 0;
    for (std::int64_t row = 0; row < v * n; ++row) {
      if (slot.missing[static_cast<std::size_t>(row % n)]) continue;
      if (images) images = std::copy_n(whole.images.data<float>() + row * numbers, numbers, images);
      if (views_on_gpu) slot.gpu.programs[programs++] = slot.gpu.programs[static_cast<std::size_t>(row)];
      *view_labels++ = whole.view_labels.data<std::int64_t>()[row];
      if (row >= n) continue;
      *labels++ = whole.labels.data<std::int64_t>()[row];
      out.indices.push_back(whole.indices[static_cast<std::size_t>(row)]);
      if (!slot.gpu.pictures.empty()) std::swap(slot.gpu.pictures[pictures++], slot.gpu.pictures[static_cast<std::size_t>(row)]);
    }
    slot.gpu.programs.resize(programs);
    slot.gpu.pictures.resize(pictures);
  }

 public:
  DatasetPtr dataset;
  Views views;
  LoaderOptions options;
  std::int64_t count = 0, height = 0, width = 0, batches = 0;
  bool views_on_gpu = false;
  Tensor resident;       // all pictures, where they are kept on the GPU
  int resident_width = 0, resident_height = 0;
  double waited = 0;     // these are the consumer's alone
  bool started = false;

  std::mutex mutex;
  std::condition_variable work, ready, idle;
  std::vector<Slot> slots;          // batch b is in slot b % prefetch
  std::vector<std::int64_t> order;  // of the epoch; read outside the mutex only by the consumer
  std::int64_t epoch = 0;
  std::int64_t begun = 0;     // batches before this one are being prepared, ready or consumed
  std::int64_t consumed = 0;  // batches before this one were handed out
  std::int64_t end = 0;       // batches from this one on are not begun
  std::int64_t slices = 0, next_slice = 0;  // of batch begun - 1
  int busy = 0;               // slices in work
  bool quit = false;

 private:
  std::vector<std::thread> team;
};

SSLCAKE_INLINE Loader::Loader(DatasetPtr dataset, Views views, const LoaderOptions& options)
    : state_(std::make_unique<State>(std::move(dataset), std::move(views), options)) {}
SSLCAKE_INLINE Loader::~Loader() = default;
SSLCAKE_INLINE Loader::Loader(Loader&&) noexcept = default;
SSLCAKE_INLINE Loader& Loader::operator=(Loader&&) noexcept = default;

SSLCAKE_INLINE std::int64_t Loader::batches() const { return state_->batches; }
SSLCAKE_INLINE void Loader::start(std::int64_t epoch, std::int64_t batch) { state_->start(epoch, batch); }
SSLCAKE_INLINE bool Loader::next(Batch& batch) { return state_->next(batch); }
SSLCAKE_INLINE std::int64_t Loader::epoch() const { return state_->epoch; }
SSLCAKE_INLINE std::int64_t Loader::position() const { return state_->consumed; }
SSLCAKE_INLINE double Loader::waited() const { return state_->waited; }
SSLCAKE_INLINE const Dataset& Loader::dataset() const { return *state_->dataset; }

SSLCAKE_INLINE Loader in_order(DatasetPtr dataset, const augment::Recipe& recipe, std::int64_t batch, Device device,
                               DType precision) {
  LoaderOptions options;
  options.batch = batch;
  options.shuffle = options.drop_last = false;
  options.unreadable = Unreadable::skip;
  options.cache_bytes = 0;
  options.device = device;
  options.precision = precision;
  return Loader(std::move(dataset), {{recipe}}, options);
}

}  // namespace sslcake::inline v0::data
