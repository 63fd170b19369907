#include <doctest/doctest.h>

#include "scratch.hpp"
#include "sslcake/data/idx.hpp"

using namespace sslcake;

namespace {

/// An IDX file of unsigned bytes with the given extents and values.
std::vector<std::uint8_t> idx_bytes(const std::vector<std::uint32_t>& extents, const std::vector<std::uint8_t>& values) {
  std::vector<std::uint8_t> bytes{0, 0, 8, static_cast<std::uint8_t>(extents.size())};
  for (const auto e : extents)
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(e >> shift));
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

std::string parse(const std::vector<std::uint8_t>& bytes, int rank) {
  return message_of([&] { data::detail::parse_idx(bytes.data(), bytes.size(), rank, "f"); });
}

}  // namespace

TEST_CASE("pictures and labels of the MNIST family") {
  const Scratch scratch;
  scratch.write("train-images-idx3-ubyte", idx_bytes({2, 2, 3}, {1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60}));
  scratch.write("train-labels-idx1-ubyte", idx_bytes({2}, {7, 1}));
  const auto set = data::idx(scratch.path);
  CHECK(set->size() == 2);
  CHECK(set->image(0).width == 3);
  CHECK(set->image(0).height == 2);
  CHECK(set->image(1).pixels ==
        std::vector<std::uint8_t>{10, 10, 10, 20, 20, 20, 30, 30, 30, 40, 40, 40, 50, 50, 50, 60, 60, 60});
  CHECK(data::labels_of(*set) == std::vector<std::int64_t>{7, 1});
  CHECK(set->class_names().size() == 8);
  CHECK(set->class_names()[7] == "7");

  scratch.write("class_names.txt", "zero\none\n");
  CHECK(data::idx(scratch.path)->class_names()[1] == "one");
  CHECK(data::idx(scratch.path)->class_names()[7] == "7");

  // The names with a dot, and no labels.
  scratch.write("t10k-images.idx3-ubyte", idx_bytes({1, 1, 1}, {9}));
  const auto test = data::idx(scratch.path, data::Split::test);
  CHECK(test->image(0).pixels == std::vector<std::uint8_t>{9, 9, 9});
  CHECK(test->label(0) == -1);
  CHECK(test->class_names().empty());
}

TEST_CASE("IDX headers are not believed") {
  CHECK(parse(idx_bytes({2, 1, 1}, {1, 2}), 3) == "");
  CHECK(contains(parse({}, 3), "header of 16 bytes"));
  CHECK(contains(parse({0, 0, 8, 3, 0, 0}, 3), "found 6 bytes"));
  CHECK(contains(parse(idx_bytes({2}, {1, 2}), 3), "header of 16 bytes"));
  CHECK(contains(parse(idx_bytes({2, 1, 1}, {1, 2}), 1), "0 0 8 1"));
  auto floats = idx_bytes({2}, {1, 2});
  floats[2] = 0x0d;
  CHECK(contains(parse(floats, 1), "found 0 0 13 1"));
  CHECK(contains(parse({0x1f, 0x8b, 8, 0}, 1), "gunzip"));
  CHECK(contains(parse(idx_bytes({2, 1, 1}, {1}), 3), "expected 2 values"));
  CHECK(contains(parse(idx_bytes({2, 1, 1}, {1, 2, 3}), 3), "found 3"));
  CHECK(contains(parse(idx_bytes({0, 1, 1}, {}), 3), "found 0 for dimension 0"));
  // Products that overflow 32 or 64 bits.
  CHECK(contains(parse(idx_bytes({0xffffffff, 0xffffffff, 0xffffffff}, {1}), 3), "found 4294967295 for dimension 0"));
  CHECK(contains(parse(idx_bytes({0x80000000, 2, 1}, {}), 3), "dimension 0"));
  std::vector<std::uint8_t> many(60000);
  CHECK(contains(parse(idx_bytes({60000, 60000, 60000}, many), 3), "as many values"));
}

TEST_CASE("MNIST family: what is missing or wrong is named, and what to do") {
  const Scratch scratch;
  CHECK(contains(message_of([&] { data::idx(scratch / "none"); }), "there is no folder"));
  CHECK(contains(message_of([&] { data::idx(scratch.path); }), "data/fetch.sh mnist"));
  scratch.write("train-images-idx3-ubyte.gz", "packed");
  CHECK(contains(message_of([&] { data::idx(scratch.path); }), "gunzip -k train-images-idx3-ubyte.gz"));
  scratch.write("train-images-idx3-ubyte", idx_bytes({2, 1, 1}, {1, 2}));
  scratch.write("train-labels-idx1-ubyte", idx_bytes({3}, {0, 1, 2}));
  CHECK(contains(message_of([&] { data::idx(scratch.path); }), "expected 2 labels"));
  scratch.write("t10k-images-idx3-ubyte", idx_bytes({1, 1, 5000}, std::vector<std::uint8_t>(5000)));
  CHECK(contains(message_of([&] { data::idx(scratch.path, data::Split::test); }), "at most 4096"));
}
