#include <doctest/doctest.h>

#include "scratch.hpp"
#include "sslcake/data/cifar.hpp"

using namespace sslcake;

namespace {

/// A record of CIFAR-10: red is the label times 10, green counts pixels, blue is 7.
std::vector<std::uint8_t> record(std::uint8_t label) {
  std::vector<std::uint8_t> bytes{label};
  for (int p = 0; p < 1024; ++p) bytes.push_back(static_cast<std::uint8_t>(label * 10));
  for (int p = 0; p < 1024; ++p) bytes.push_back(static_cast<std::uint8_t>(p));
  bytes.insert(bytes.end(), 1024, 7);
  return bytes;
}

}  // namespace

TEST_CASE("records become pictures with interleaved channels") {
  auto bytes = record(3);
  const auto second = record(9);
  bytes.insert(bytes.end(), second.begin(), second.end());
  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> labels;
  data::detail::append_cifar(bytes.data(), bytes.size(), 1, 0, 10, "x", pixels, labels);
  CHECK(labels == std::vector<std::int64_t>{3, 9});
  REQUIRE(pixels.size() == 2 * 3072);
  for (std::size_t p = 0; p < 1024; ++p) {
    REQUIRE(pixels[3 * p] == 30);
    REQUIRE(pixels[3 * p + 1] == p % 256);
    REQUIRE(pixels[3072 + 3 * p + 2] == 7);
  }
}

TEST_CASE("records: sizes and labels are checked") {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> labels;
  const auto parse = [&](std::vector<std::uint8_t> bytes) {
    return message_of([&] { data::detail::append_cifar(bytes.data(), bytes.size(), 1, 0, 10, "x.bin", pixels, labels); });
  };
  auto bytes = record(1);
  bytes.push_back(0);
  CHECK(contains(parse(bytes), "records of 3073 bytes, found 3074"));
  CHECK(contains(parse(record(10)), "labels below 10 in 'x.bin', found 10 in record 0"));
  CHECK(parse({}) == "");
}

TEST_CASE("CIFAR-10: a whole file of the test part") {
  const Scratch scratch;
  scratch.write("cifar-10-batches-bin/test_batch.bin", record(4));
  scratch.extend("cifar-10-batches-bin/test_batch.bin", 30730000);
  for (const auto& folder : {scratch.path, scratch / "cifar-10-batches-bin"}) {
    const auto set = data::cifar10(folder, data::Split::test);
    CHECK(set->size() == 10000);
    CHECK(set->label(0) == 4);
    CHECK(set->label(9999) == 0);
    CHECK(set->class_names()[4] == "deer");
    CHECK(set->image(0).width == 32);
    CHECK(set->image(0).pixels[0] == 40);
  }
}

TEST_CASE("CIFAR-10: what is missing or wrong is named, and what to do") {
  const Scratch scratch;
  CHECK(contains(message_of([&] { data::cifar10(scratch / "none"); }), "there is no folder"));
  CHECK(contains(message_of([&] { data::cifar10(scratch.path); }), "found an empty folder"));
  CHECK(contains(message_of([&] { data::cifar10(scratch.path); }), "data/fetch.sh cifar10"));

  scratch.write("data_batch_1", "the Python version");
  const auto python = message_of([&] { data::cifar10(scratch.path); });
  CHECK(contains(python, "'data_batch_1.bin'"));
  CHECK(contains(python, "found data_batch_1;"));
  CHECK(contains(python, "not the Python version"));

  scratch.write("test_batch.bin", record(0));
  auto message = message_of([&] { data::cifar10(scratch.path, data::Split::test); });
  CHECK(contains(message, "30730000 bytes, found 3073"));
  CHECK(contains(message, "incomplete"));
  scratch.extend("test_batch.bin", 30730001);
  CHECK(contains(message_of([&] { data::cifar10(scratch.path, data::Split::test); }), "found 30730001"));

  scratch.write("data_batch_1.bin", record(0));
  scratch.extend("data_batch_1.bin", 30730000);
  message = message_of([&] { data::cifar10(scratch.path); });
  CHECK(contains(message, "there is no file"));
  CHECK(contains(message, "data_batch_2.bin"));
}

TEST_CASE("CIFAR-100: fine and coarse labels") {
  const Scratch scratch;
  auto bytes = record(0);
  bytes.insert(bytes.begin(), 17);  // coarse, before the fine label
  bytes[1] = 99;
  scratch.write("cifar-100-binary/test.bin", bytes);
  scratch.extend("cifar-100-binary/test.bin", 30740000);
  const auto fine = data::cifar100(scratch.path, data::Split::test),
             coarse = data::cifar100(scratch.path, data::Split::test, true);
  CHECK(fine->size() == 10000);
  CHECK(fine->label(0) == 99);
  CHECK(coarse->label(0) == 17);
  CHECK(fine->class_names().size() == 100);
  CHECK(fine->class_names()[99] == "99");
  CHECK(coarse->class_names().size() == 20);
  CHECK(fine->image(0).pixels[1] == 0);
  CHECK(fine->image(0).pixels[4] == 1);

  std::string names;
  for (int i = 0; i < 100; ++i) names += "class" + std::to_string(i) + "\r\n";
  scratch.write("cifar-100-binary/fine_label_names.txt", names + "\n");
  CHECK(data::cifar100(scratch.path, data::Split::test)->class_names()[99] == "class99");
  CHECK(contains(message_of([&] { data::cifar100(scratch.path); }), "'train.bin'"));
}

TEST_CASE("CIFAR-10: the real one") {
  const auto folder = real_data("cifar10");
  if (folder.empty()) {
    MESSAGE("skipped: set SSLCAKE_DATA to the folder that holds cifar10/");
    return;
  }
  const auto train = data::cifar10(folder), test = data::cifar10(folder, data::Split::test);
  CHECK(train->size() == 50000);
  CHECK(test->size() == 10000);
  std::vector<std::int64_t> counts(10);
  for (const auto label : data::labels_of(*train)) ++counts[static_cast<std::size_t>(label)];
  CHECK(counts == std::vector<std::int64_t>(10, 5000));
  // The published means of the channels: .4914 .4822 .4465.
  double sums[3] = {};
  for (std::int64_t i = 0; i < train->size(); i += 10) {
    const auto picture = train->image(i);
    for (std::size_t p = 0; p < picture.pixels.size(); ++p) sums[p % 3] += picture.pixels[p];
  }
  const double published[3] = {.4914, .4822, .4465};
  for (int c = 0; c < 3; ++c) CHECK(sums[c] / (5000.0 * 1024 * 255) == doctest::Approx(published[c]).epsilon(0.01));
}
