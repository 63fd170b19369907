#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "scratch.hpp"
#include "sslcake/data/dataset.hpp"

using namespace sslcake;

namespace {

/// n pictures of 2 x 1; every byte of picture i is i, its label i mod 3.
std::shared_ptr<data::MemoryDataset> numbered(std::int64_t n) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < n; ++i) {
    pixels.insert(pixels.end(), 6, static_cast<std::uint8_t>(i));
    labels.push_back(i % 3);
  }
  return std::make_shared<data::MemoryDataset>(std::move(pixels), 2, 1, std::move(labels),
                                               std::vector<std::string>{"a", "b", "c"});
}

}  // namespace

TEST_CASE("pictures in memory come out as they went in") {
  const data::MemoryDataset set({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 1, 2, {4, 5});
  CHECK(set.size() == 2);
  const auto picture = set.image(1);
  CHECK(picture.width == 1);
  CHECK(picture.height == 2);
  CHECK(picture.pixels == std::vector<std::uint8_t>{7, 8, 9, 10, 11, 12});
  CHECK(set.label(1) == 5);
  CHECK(set.name(1) == "1");
  CHECK(data::labels_of(set) == std::vector<std::int64_t>{4, 5});
  CHECK(data::has_labels(set));
  const data::MemoryDataset plain({1, 2, 3}, 1, 1);
  CHECK(plain.label(0) == -1);
  CHECK_FALSE(data::has_labels(plain));
  CHECK_FALSE(data::has_labels(data::MemoryDataset({}, 1, 1)));
}

TEST_CASE("pictures in memory: mistakes are named") {
  CHECK(contains(message_of([] { data::MemoryDataset({1, 2, 3, 4}, 1, 1); }), "multiple of 3 bytes"));
  CHECK(contains(message_of([] { data::MemoryDataset({1, 2, 3}, 1, 1, {0, 1}); }), "expected 1 labels"));
  CHECK(contains(message_of([] { data::MemoryDataset({}, 0, 1); }), "at least 1"));
  const auto set = numbered(3);
  CHECK(contains(message_of([&] { set->image(3); }), "[0,3), got 3"));
  CHECK(contains(message_of([&] { set->label(-1); }), "got -1"));
}

TEST_CASE("pictures from a callback") {
  const data::FunctionDataset set(
      5, [](std::int64_t i) { return image::Image(3, 2, 3, static_cast<std::uint8_t>(10 * i)); },
      [](std::int64_t i) { return i / 2; });
  CHECK(set.size() == 5);
  CHECK(set.image(4).pixels == std::vector<std::uint8_t>(18, 40));
  CHECK(set.label(4) == 2);
  CHECK(contains(message_of([&] { set.image(5); }), "got 5"));

  const data::FunctionDataset grey(1, [](std::int64_t) { return image::Image(2, 2, 1, 9); });
  CHECK(grey.image(0).channels == 3);
  CHECK(grey.image(0).pixels == std::vector<std::uint8_t>(12, 9));
  CHECK(grey.label(0) == -1);

  const data::FunctionDataset wrong(1, [](std::int64_t) {
    image::Image picture(2, 2);
    picture.pixels.pop_back();
    return picture;
  });
  CHECK(contains(message_of([&] { wrong.image(0); }), "expected 12 bytes"));
  CHECK(contains(message_of([] { data::FunctionDataset(1, {}); }), "got none"));
  CHECK(contains(message_of([] { data::FunctionDataset(-1, [](std::int64_t) { return image::Image(1, 1); }); }), "got -1"));
}

TEST_CASE("a subset leads to the pictures of the whole") {
  const data::Subset part(numbered(10), {7, 2, 2});
  CHECK(part.size() == 3);
  CHECK(part.image(0).pixels[0] == 7);
  CHECK(part.image(2).pixels[0] == 2);
  CHECK(part.label(0) == 1);
  CHECK(part.name(1) == "2");
  CHECK(part.class_names().size() == 3);
  CHECK(contains(message_of([&] { part.image(3); }), "got 3"));
  CHECK(contains(message_of([] { data::Subset(numbered(10), {10}); }), "got 10"));
  CHECK(contains(message_of([] { data::Subset(nullptr, {}); }), "null pointer"));
}

TEST_CASE("relabelled pictures") {
  const data::Relabelled set(numbered(3), {9, 8, 7});
  CHECK(data::labels_of(set) == std::vector<std::int64_t>{9, 8, 7});
  CHECK(set.image(1).pixels[0] == 1);
  CHECK(contains(message_of([] { data::Relabelled(numbered(3), {1}); }), "expected 3 labels"));
}

TEST_CASE("a permutation holds every number once and depends on seed and epoch alone") {
  const auto order = data::permutation(1000, 3, 5);
  CHECK(order == data::permutation(1000, 3, 5));
  CHECK(order != data::permutation(1000, 3, 6));
  CHECK(order != data::permutation(1000, 4, 5));
  CHECK(std::set<std::int64_t>(order.begin(), order.end()).size() == 1000);
  CHECK(*std::max_element(order.begin(), order.end()) == 999);
  CHECK(data::permutation(0, 1).empty());
  CHECK(contains(message_of([] { data::permutation(-1, 1); }), "got -1"));

  // Every element is first about equally often: 600 draws of 6 have 100 +- 9 each.
  std::vector<int> first(6);
  for (std::uint64_t epoch = 0; epoch < 600; ++epoch) ++first[static_cast<std::size_t>(data::permutation(6, 1, epoch)[0])];
  for (const int n : first) CHECK(std::abs(n - 100) < 45);
}

TEST_CASE("a limit takes a random subset in the old order") {
  const auto part = data::limit(numbered(100), 10, 1);
  CHECK(part->size() == 10);
  std::vector<int> values;
  for (std::int64_t i = 0; i < 10; ++i) values.push_back(part->image(i).pixels[0]);
  CHECK(std::is_sorted(values.begin(), values.end()));
  CHECK(values != std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  const auto again = data::limit(numbered(100), 10, 1), other = data::limit(numbered(100), 10, 2);
  bool same = true;
  for (std::int64_t i = 0; i < 10; ++i) {
    CHECK(again->name(i) == part->name(i));
    same = same && other->name(i) == part->name(i);
  }
  CHECK_FALSE(same);
  CHECK(data::limit(numbered(100), 100)->size() == 100);
  CHECK(data::limit(numbered(100), 1000)->size() == 100);
  CHECK(contains(message_of([] { data::limit(numbered(5), 0); }), "at least 1"));
}

TEST_CASE("held-out pictures and the rest make up the whole") {
  const auto parts = data::hold_out(numbered(50), 0.2, 4);
  CHECK(parts.held_out->size() == 10);
  CHECK(parts.rest->size() == 40);
  std::set<std::string> names;
  for (std::int64_t i = 0; i < 10; ++i) names.insert(parts.held_out->name(i));
  for (std::int64_t i = 0; i < 40; ++i) names.insert(parts.rest->name(i));
  CHECK(names.size() == 50);
  CHECK(data::hold_out(numbered(2), 0.01).held_out->size() == 1);
  CHECK(data::hold_out(numbered(2), 0.99).rest->size() == 1);
  CHECK(contains(message_of([] { data::hold_out(numbered(2), 1.0); }), "between 0 and 1"));
  CHECK(contains(message_of([] { data::hold_out(numbered(1), 0.5); }), "at least 2"));
}

TEST_CASE("a cache asks for each picture once, as long as there is room") {
  std::vector<int> asked(4);
  const auto set = std::make_shared<data::FunctionDataset>(4, [&](std::int64_t i) {
    ++asked[static_cast<std::size_t>(i)];
    return image::Image(10, 1, 3, static_cast<std::uint8_t>(i));
  });
  const data::Cached cached(set, 75);  // two pictures of 30 bytes
  for (int round = 0; round < 3; ++round)
    for (const std::int64_t i : {3, 1, 0, 2})
      CHECK(cached.image(i).pixels == std::vector<std::uint8_t>(30, static_cast<std::uint8_t>(i)));
  CHECK(asked == std::vector<int>{3, 1, 3, 1});
  CHECK(cached.bytes_held() == 60);
  CHECK(contains(message_of([&] { cached.image(4); }), "got 4"));

  const data::Cached none(set, 0);
  none.image(0);
  none.image(0);
  CHECK(asked[0] == 5);
  CHECK(none.bytes_held() == 0);
}
