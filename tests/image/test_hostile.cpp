// Every file of the set hostile-images, judged by its manifest. Needs SSLCAKE_DATA, the folder that holds the set.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include <sslcake/image/decode.hpp>

#include "pictures.hpp"

using namespace pictures;

namespace {

std::vector<std::string> columns_of(const std::string& line) {
  std::vector<std::string> columns;
  std::istringstream in(line);
  for (std::string column; std::getline(in, column, '\t');) columns.push_back(column);
  columns.resize(11);
  return columns;
}

std::array<double, 3> means(const image::Image& picture) {
  std::array<double, 3> sums{};
  for (std::size_t i = 0; i < picture.pixels.size(); ++i) sums[i % 3] += picture.pixels[i];
  for (auto& s : sums) s /= static_cast<double>(picture.pixels.size()) / 3;
  return sums;
}

}  // namespace

TEST_CASE("hostile images") {
  const char* data = std::getenv("SSLCAKE_DATA");
  const std::string folder = data == nullptr ? "" : std::string(data) + "/hostile-images/";
  std::ifstream manifest(folder + "manifest.tsv");
  if (data == nullptr || !manifest) {
    MESSAGE("skipped: SSLCAKE_DATA names no folder with hostile-images/manifest.tsv");
    return;
  }
  int ok = 0, rejected = 0, either = 0, by_name = 0;
  std::string line;
  std::getline(manifest, line);  // headings
  while (std::getline(manifest, line)) {
    const auto row = columns_of(line);
    const std::string file = folder + row[0], &expect = row[2];
    CAPTURE(row[0]);
    std::ifstream in(file, std::ios::binary);
    REQUIRE(in);
    std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const auto format = image::detect_format(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());

    image::Image picture;
    const std::string message = message_of([&] { picture = image::load(file, {}, image::Orientation::as_stored); });
    CHECK(has(message, message.empty() ? "" : file));
    if (expect == "ok" && image::is_supported(format)) {
      ++ok;
      REQUIRE_MESSAGE(message.empty(), message);
      CHECK(picture.width == std::stoi(row[3]));
      CHECK(picture.height == std::stoi(row[4]));
      const auto mean = means(picture);
      for (std::size_t c = 0; c < 3; ++c) CHECK(std::abs(mean[c] - std::stod(row[6 + c])) <= 2.0);
      const auto seen = image::load(file);  // upright: the same pixels in another order
      CHECK(seen.pixels.size() == picture.pixels.size());
      for (std::size_t c = 0; c < 3; ++c) CHECK(means(seen)[c] == doctest::Approx(mean[c]));
    } else if (expect == "ok") {
      ++by_name;  // formats that are not promised
      CHECK_MESSAGE(has(message, name_of(format)), message);
      CHECK(has(message, "Convert it"));
      CHECK(format != image::Format::unknown);
    } else if (expect == "reject") {
      ++rejected;
      CHECK(!message.empty());
    } else {
      ++either;
      CHECK(expect == "either");
      if (message.empty()) CHECK_NOTHROW(image::check(picture, "test"));
    }
  }
  CHECK(ok + by_name == 132);
  CHECK(rejected == 28);
  CHECK(either == 118);
  MESSAGE(ok << " read, " << by_name << " refused by their format's name, " << rejected << " refused, " << either << " either");
}
