#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <set>
#include <thread>

#include "scratch.hpp"
#include "sslcake/core/threads.hpp"
#include "sslcake/data/builtin.hpp"
#include "sslcake/data/loader.hpp"

using namespace sslcake;

namespace {

/// The central part of the picture, values as they are in [0,1].
augment::Recipe plain(int size = 4) { return augment::Recipe{size}.normalised({{0, 0, 0}, {1, 1, 1}}); }
augment::Recipe random_crop(int size = 4) { return plain(size).then(augment::RandomResizedCrop{}).then(augment::Flip{}); }

/// n pictures, grey level i for number i, label i mod 3.
std::shared_ptr<data::FunctionDataset> levels(std::int64_t n) {
  return std::make_shared<data::FunctionDataset>(
      n, [](std::int64_t i) { return image::Image(6, 5, 3, static_cast<std::uint8_t>(i)); },
      [](std::int64_t i) { return i % 3; });
}

/// As `levels`, but the pictures in `broken` cannot be read.
std::shared_ptr<data::FunctionDataset> with_broken(std::int64_t n, std::set<std::int64_t> broken) {
  return std::make_shared<data::FunctionDataset>(
      n,
      [broken](std::int64_t i) {
        if (broken.count(i)) throw data::UnreadablePicture("broken " + std::to_string(i));
        return image::Image(6, 5, 3, static_cast<std::uint8_t>(i));
      },
      [](std::int64_t i) { return i; });
}

std::vector<data::Batch> epoch_of(data::Loader& loader, std::int64_t epoch, std::int64_t from = 0) {
  std::vector<data::Batch> batches;
  loader.start(epoch, from);
  for (data::Batch batch; loader.next(batch);) batches.push_back(batch);
  return batches;
}

void check_equal(const data::Batch& a, const data::Batch& b) {
  CHECK(a.indices == b.indices);
  CHECK(a.number == b.number);
  CHECK(a.epoch == b.epoch);
  CHECK(a.images.shape() == b.images.shape());
  CHECK(a.images.to_vector<float>() == b.images.to_vector<float>());
  CHECK(a.labels.to_vector<std::int64_t>() == b.labels.to_vector<std::int64_t>());
  CHECK(a.view_labels.to_vector<std::int64_t>() == b.view_labels.to_vector<std::int64_t>());
}

}  // namespace

TEST_CASE("an epoch shows every picture once, in views side by side") {
  data::Loader loader(levels(23), {{plain(), 5}, {plain(), 6}}, {.batch = 5, .drop_last = false, .seed = 1, .workers = 2});
  CHECK(loader.batches() == 5);
  const auto batches = epoch_of(loader, 0);
  REQUIRE(batches.size() == 5);
  std::multiset<std::int64_t> seen;
  for (std::size_t b = 0; b < 5; ++b) {
    const auto& batch = batches[b];
    const std::int64_t n = b < 4 ? 5 : 3;
    CHECK(batch.size() == n);
    CHECK(batch.number == static_cast<std::int64_t>(b));
    CHECK(batch.images.shape() == Shape{2 * n, 4, 4, 3});
    CHECK(batch.view(1).shape() == Shape{n, 4, 4, 3});
    for (std::int64_t k = 0; k < n; ++k) {
      const auto index = batch.indices[static_cast<std::size_t>(k)];
      seen.insert(index);
      CHECK(batch.labels.data<std::int64_t>()[k] == index % 3);
      for (int v = 0; v < 2; ++v) {
        CHECK(batch.view_labels.data<std::int64_t>()[v * n + k] == 5 + v);
        for (int j = 0; j < 48; ++j)
          CHECK(batch.view(v).data<float>()[k * 48 + j] == doctest::Approx(static_cast<double>(index) / 255));
      }
    }
  }
  CHECK(seen.size() == 23);
  CHECK(std::set<std::int64_t>(seen.begin(), seen.end()).size() == 23);
  CHECK(contains(message_of([&] { batches[0].view(2); }), "got 2"));

  data::Loader dropping(levels(23), {{plain()}}, {.batch = 5, .seed = 1, .workers = 1});
  CHECK(dropping.batches() == 4);
  CHECK(epoch_of(dropping, 0).size() == 4);
  data::Batch batch;
  CHECK_FALSE(dropping.next(batch));  // and it stays at its end
}

TEST_CASE("views of one draw number are drawn alike, whatever their own number is") {
  const auto set = std::make_shared<data::Builtin>(data::Split::train, 16);
  const auto crop = random_crop(8);
  data::Loader loader(set, {{crop}, {crop, -1, 0}, {crop}, {crop, -1, 7}}, {.batch = 16, .seed = 3, .workers = 1});
  const auto batch = epoch_of(loader, 0).at(0);
  CHECK(batch.view(0).to_vector<float>() == batch.view(1).to_vector<float>());
  CHECK(batch.view(0).to_vector<float>() != batch.view(2).to_vector<float>());
  CHECK(batch.view(0).to_vector<float>() != batch.view(3).to_vector<float>());
}

TEST_CASE("batches depend on seed, epoch and number, and on nothing else") {
  const auto set = std::make_shared<data::Builtin>(data::Split::train, 60);
  const data::Views views{{random_crop(8)}, {random_crop(8)}};
  data::Loader reference(set, views, {.batch = 16, .drop_last = false, .seed = 3, .workers = 1, .prefetch = 1, .cache_bytes = 0});
  const auto first = epoch_of(reference, 0), second = epoch_of(reference, 1);
  CHECK(first[0].indices != second[0].indices);
  CHECK(first[0].view(0).to_vector<float>() != first[0].view(1).to_vector<float>());

  for (const int workers : {0, 1, 2, 5}) {
    for (const int prefetch : {1, 2, 7}) {
      data::Loader loader(set, views, {.batch = 16, .drop_last = false, .seed = 3, .workers = workers, .prefetch = prefetch});
      const auto again = epoch_of(loader, 1);
      REQUIRE(again.size() == second.size());
      for (std::size_t b = 0; b < again.size(); ++b) check_equal(again[b], second[b]);
      // From the middle of an epoch, after having left another one unfinished.
      loader.start(4, 1);
      data::Batch batch;
      loader.next(batch);
      loader.start(0, 2);
      CHECK(loader.epoch() == 0);
      CHECK(loader.position() == 2);
      loader.next(batch);
      check_equal(batch, first[2]);
      CHECK(loader.position() == 3);
    }
  }
  data::Loader other(set, views, {.batch = 16, .drop_last = false, .seed = 4, .workers = 1});
  CHECK(epoch_of(other, 0)[0].indices != first[0].indices);

  // A picture's views do not depend on the batch it is in, only on its number and the epoch.
  data::Loader larger(set, views, {.batch = 60, .seed = 3, .workers = 2});
  const auto whole = epoch_of(larger, 0);
  CHECK(whole[0].view(0).rows(0, 16).to_vector<float>() == first[0].view(0).to_vector<float>());
}

TEST_CASE("in order, for measuring") {
  auto loader = data::in_order(levels(10), plain(), 4);
  const auto batches = epoch_of(loader, 0);
  REQUIRE(batches.size() == 3);
  CHECK(batches[1].indices == std::vector<std::int64_t>{4, 5, 6, 7});
  CHECK(batches[2].indices == std::vector<std::int64_t>{8, 9});
  CHECK(batches[2].labels.to_vector<std::int64_t>() == std::vector<std::int64_t>{2, 0});
  for (const std::int64_t all : {std::int64_t{256}, std::numeric_limits<std::int64_t>::max()}) {
    auto wide = data::in_order(levels(10), plain(), all);
    CHECK(epoch_of(wide, 0).at(0).size() == 10);
  }
}

TEST_CASE("unreadable pictures are replaced by the next, or left out") {
  const auto set = with_broken(8, {1, 2, 7});
  for (const int workers : {0, 3}) {
    data::Loader replacing(set, {{plain()}}, {.batch = 4, .shuffle = false, .workers = workers});
    const auto batches = epoch_of(replacing, 0);
    CHECK(batches[0].indices == std::vector<std::int64_t>{0, 3, 3, 3});
    CHECK(batches[1].indices == std::vector<std::int64_t>{4, 5, 6, 0});
    CHECK(batches[1].labels.to_vector<std::int64_t>() == std::vector<std::int64_t>{4, 5, 6, 0});
    CHECK(batches[0].images.data<float>()[2 * 48] == doctest::Approx(3.0 / 255));
  }
  const data::Views two{{plain(), 8}, {plain(), 9}};
  data::Loader skipping(with_broken(8, {1, 2, 4, 5}), two,
                        {.batch = 2, .shuffle = false, .drop_last = false, .workers = 2, .unreadable = data::Unreadable::skip});
  const auto batches = epoch_of(skipping, 0);
  REQUIRE(batches.size() == 3);  // the third of four has no picture left
  CHECK(batches[0].indices == std::vector<std::int64_t>{0});
  CHECK(batches[1].indices == std::vector<std::int64_t>{3});
  CHECK(batches[1].images.shape() == Shape{2, 4, 4, 3});
  CHECK(batches[1].view(1).data<float>()[0] == doctest::Approx(3.0 / 255));
  CHECK(batches[1].view_labels.to_vector<std::int64_t>() == std::vector<std::int64_t>{8, 9});
  CHECK(batches[2].indices == std::vector<std::int64_t>{6, 7});

  data::Loader hopeless(with_broken(3, {0, 1, 2}), {{plain()}}, {.batch = 2, .workers = 2});
  data::Batch batch;
  CHECK(contains(message_of([&] { hopeless.next(batch); }), "broken"));
}

TEST_CASE("exceptions come out in the place of their batch, and the loader goes on") {
  for (const int workers : {0, 1, 4}) {
    const auto set = std::make_shared<data::FunctionDataset>(12, [](std::int64_t i) {
      if (i == 5) throw Error("five");
      if (i == 6) throw std::runtime_error("six");
      if (i == 9) throw 9;
      return image::Image(4, 4);
    });
    data::Loader loader(set, {{plain()}}, {.batch = 4, .shuffle = false, .workers = workers});
    data::Batch batch;
    CHECK(loader.next(batch));
    std::string message;
    try {
      loader.next(batch);
    } catch (const std::exception& error) {
      message = error.what();
    }
    CHECK(message == "five");  // the first in order, whoever was quicker
    CHECK_THROWS_AS(loader.next(batch), int);
    CHECK_FALSE(loader.next(batch));
    loader.start(0, 0);
    CHECK(loader.next(batch));
  }
  data::Loader custom(levels(4), {{plain().custom([](image::Image&, Random&) { throw Error("a recipe's own"); })}},
                      {.batch = 2, .workers = 1});
  data::Batch batch;
  CHECK(contains(message_of([&] { custom.next(batch); }), "a recipe's own"));
}

TEST_CASE("mistakes are named") {
  const auto message = [](data::DatasetPtr set, data::Views views, data::LoaderOptions options) {
    options.workers = options.workers == -1 ? 1 : options.workers;
    return message_of([&] { data::Loader(set, views, options); });
  };
  const data::Views one{{plain()}};
  CHECK(contains(message(levels(10), one, {.batch = 11}), "no larger than the data set (10 pictures), got 11"));
  CHECK(message(levels(10), one, {.batch = 11, .drop_last = false}) == "");
  CHECK(contains(message(levels(10), one, {.batch = 0}), "at least 1, got 0"));
  CHECK(contains(message(levels(0), one, {.batch = 1, .drop_last = false}), "empty"));
  CHECK(contains(message(nullptr, one, {}), "null pointer"));
  CHECK(contains(message(levels(10), {}, {.batch = 2}), "at least one view"));
  CHECK(contains(message(levels(10), {{plain(4)}, {plain(5)}}, {.batch = 2}), "one size"));
  CHECK(contains(message(levels(10), one, {.batch = 2, .workers = -2}), "workers"));
  CHECK(contains(message(levels(10), one, {.batch = 2, .prefetch = 0}), "prefetch"));
  data::Loader loader(levels(10), one, {.batch = 2, .workers = 1});
  CHECK(contains(message_of([&] { loader.start(0, 6); }), "[0,5], got 6"));
  CHECK(contains(message_of([&] { loader.start(-1); }), "got -1"));
  loader.start(0, 5);
  data::Batch batch;
  CHECK_FALSE(loader.next(batch));
}

TEST_CASE("the loader runs ahead, but not too far, and ends at once") {
  std::atomic<int> made{0};
  const auto set = std::make_shared<data::FunctionDataset>(1000, [&](std::int64_t) {
    ++made;
    return image::Image(4, 4);
  });
  {
    data::Loader loader(set, {{plain()}}, {.batch = 10, .workers = 2, .prefetch = 3, .cache_bytes = 0});
    loader.start(0);
    for (int i = 0; i < 1000 && made < 30; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK(made == 30);
    data::Batch batch;
    loader.next(batch);
    for (int i = 0; i < 1000 && made < 40; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    CHECK(made == 40);
  }
  // Destruction in the middle of everything, many times.
  for (int round = 0; round < 40; ++round) {
    data::Loader loader(set, {{plain()}}, {.batch = 10, .seed = static_cast<std::uint64_t>(round), .workers = 3});
    if (round % 4 == 0) continue;  // never started
    loader.start(0);
    data::Batch batch;
    for (int i = 0; i < round % 5; ++i) loader.next(batch);
    if (round % 3 == 0) loader.start(1, 50);
    if (round % 7 == 0) {
      data::Loader moved = std::move(loader);
      CHECK(moved.next(batch));
    }
  }
}

TEST_CASE("waiting is measured") {
  const auto slow = std::make_shared<data::FunctionDataset>(4, [](std::int64_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    return image::Image(4, 4);
  });
  data::Loader loader(slow, {{plain()}}, {.batch = 2, .workers = 1});
  data::Batch batch;
  loader.next(batch);
  CHECK(loader.waited() > 0.03);
}

TEST_CASE("pictures are decoded once where the cache has room for them") {
  std::atomic<int> made{0};
  const auto set = std::make_shared<data::FunctionDataset>(20, [&](std::int64_t) {
    ++made;
    return image::Image(4, 4);
  });
  data::Loader loader(set, {{plain()}}, {.batch = 5, .workers = 2});
  for (int epoch = 0; epoch < 3; ++epoch) epoch_of(loader, epoch);
  CHECK(made == 20);
}

TEST_CASE("labels may change between epochs") {
  std::atomic<std::int64_t> shift{0};
  const auto set = std::make_shared<data::FunctionDataset>(
      8, [](std::int64_t) { return image::Image(4, 4); }, [&](std::int64_t i) { return i + shift; });
  data::Loader loader(set, {{plain()}}, {.batch = 4, .shuffle = false, .workers = 2});
  CHECK(epoch_of(loader, 0)[0].labels.to_vector<std::int64_t>() == std::vector<std::int64_t>{0, 1, 2, 3});
  shift = 100;
  CHECK(epoch_of(loader, 1)[0].labels.to_vector<std::int64_t>() == std::vector<std::int64_t>{100, 101, 102, 103});
}

TEST_CASE("workers leave the thread pool to the computation") {
  // A recipe that calls the pool must run serially in a worker: the chunks of one call all run on one thread.
  std::atomic<int> elsewhere{0};
  const auto recipe = plain().custom([&](image::Image&, Random&) {
    const auto self = std::this_thread::get_id();
    parallel_chunks(8, [&](std::int64_t) { elsewhere += std::this_thread::get_id() != self; });
  });
  set_threads(3);
  data::Loader loader(levels(40), {{recipe}}, {.batch = 10, .workers = 2});
  CHECK(epoch_of(loader, 0).size() == 4);
  CHECK(elsewhere == 0);
  set_threads(0);
}
