#include <doctest/doctest.h>

#include "scratch.hpp"
#include "sslcake/data/stl10.hpp"

using namespace sslcake;

namespace {
constexpr std::size_t plane = 96 * 96, picture = 3 * plane;
}

TEST_CASE("STL-10: pictures are stored column by column") {
  const Scratch scratch;
  std::vector<std::uint8_t> bytes(2 * picture);
  bytes[picture + 5] = 11;               // red, column 0, row 5
  bytes[picture + plane + 2 * 96] = 22;  // green, column 2, row 0
  bytes[picture + 3 * plane - 1] = 33;   // blue, the last corner
  scratch.write("stl10_binary/train_X.bin", bytes);
  scratch.extend("stl10_binary/train_X.bin", 5000 * picture);
  std::vector<std::uint8_t> labels(5000, 1);
  labels[1] = 10;
  scratch.write("stl10_binary/train_y.bin", labels);
  scratch.write("stl10_binary/class_names.txt", "airplane\nbird\ncar\ncat\ndeer\ndog\nhorse\nmonkey\nship\ntruck\n");
  const data::Stl10 set(scratch.path);
  CHECK(set.size() == 5000);
  CHECK(set.label(0) == 0);
  CHECK(set.label(1) == 9);
  CHECK(set.class_names()[9] == "truck");
  const auto second = set.image(1);
  CHECK(second.width == 96);
  CHECK(second.at(0, 5)[0] == 11);
  CHECK(second.at(2, 0)[1] == 22);
  CHECK(second.at(95, 95)[2] == 33);
  std::size_t other = 0;
  for (const auto b : second.pixels) other += b != 0;
  CHECK(other == 3);
  CHECK(set.image(4999).pixels == std::vector<std::uint8_t>(picture, 0));
  CHECK(contains(message_of([&] { set.image(5000); }), "got 5000"));

  labels[3] = 0;
  scratch.write("stl10_binary/train_y.bin", labels);
  CHECK(contains(message_of([&] { data::Stl10{scratch.path}; }), "found 0 at 3"));
  labels.pop_back();
  scratch.write("stl10_binary/train_y.bin", labels);
  CHECK(contains(message_of([&] { data::Stl10{scratch.path}; }), "5000 bytes, found 4999"));
}

TEST_CASE("STL-10: the part without labels, and a file cut short") {
  const Scratch scratch;
  scratch.write("unlabeled_X.bin", "");
  scratch.extend("unlabeled_X.bin", 100000 * picture);
  {
    const data::Stl10 set(scratch.path, data::Split::unlabeled);
    CHECK(set.size() == 100000);
    CHECK(set.label(7) == -1);
    CHECK(set.class_names().empty());
    CHECK(set.image(99999).pixels.size() == picture);
    scratch.extend("unlabeled_X.bin", 1000);
    CHECK(contains(message_of([&] { set.image(99999); }), "unlabeled_X.bin"));
  }
  const auto message = message_of([&] { data::Stl10(scratch.path, data::Split::unlabeled); });
  CHECK(contains(message, "2764800000 bytes"));
  CHECK(contains(message, "found 1000"));
  CHECK(contains(message, "data/fetch.sh stl10"));
  CHECK(contains(message_of([&] { data::Stl10(scratch.path, data::Split::test); }), "'test_X.bin'"));
}
