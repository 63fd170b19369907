// How many JPEGs of a folder one thread decodes in a second: stb, libjpeg-turbo where the program has it, and each at 1/2,
// 1/4 and 1/8. The files are read before; rounds are interleaved, so that a noisy machine is noisy for all; medians.
//
//   jpeg_decode DIR [ROUNDS]
#include <sslcake/image/jpeg_check.hpp>
#include <sslcake/image/jpeg_decoder.hpp>
#include <sslcake/io/files.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "machine.hpp"

namespace image = sslcake::image;

namespace {

struct Way {
  image::JpegDecoder decoder;
  int denominator;
  std::vector<double> seconds = {};
};

}  // namespace

int main(int count, char** arguments) try {
  if (count < 2) {
    std::fprintf(stderr, "usage: jpeg_decode DIR [ROUNDS]\n");
    return 2;
  }
  const int rounds = count > 2 ? std::max(1, std::atoi(arguments[2])) : 9;
  std::vector<std::string> files;
  double pixels = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(arguments[1])) {
    if (entry.path().extension() != ".jpg" || files.size() == 100) continue;
    files.push_back(sslcake::io::read_file(entry.path().string(), 1 << 26));
    const auto header =
        image::detail::check_jpeg(reinterpret_cast<const std::uint8_t*>(files.back().data()), files.back().size(), {});
    pixels += static_cast<double>(header.width) * header.height;
  }
  if (files.empty()) sslcake::fail("jpeg_decode", "expected JPEGs in ", arguments[1], ", found none that ends in .jpg");

  std::vector<Way> ways;
  for (const auto decoder : {image::JpegDecoder::stb, image::JpegDecoder::turbo})
    for (const int denominator : {1, 2, 4, 8})
      if (image::supports(decoder)) ways.push_back({decoder, denominator});
  for (int round = -1; round < rounds; ++round) {  // the first does not count
    for (auto& way : ways) {
      const auto start = std::chrono::steady_clock::now();
      for (const auto& file : files) {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(file.data());
        const auto header = image::detail::check_jpeg(bytes, file.size(), {});
        image::detail::decode_jpeg(bytes, file.size(), header, way.denominator, way.decoder);
      }
      if (round >= 0) way.seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  }
  const auto number = static_cast<double>(files.size());
  std::printf("%.0f JPEGs of %.2f megapixels on average, %d rounds\n", number, pixels / number / 1e6, rounds);
  for (const auto& way : ways) {
    std::vector<double> ratios;  // within a round
    for (std::size_t i = 0; i < way.seconds.size(); ++i) ratios.push_back(ways[0].seconds[i] / way.seconds[i]);
    std::printf("%-6s 1/%d  %8.1f pictures/s  %5.2fx\n", name_of(way.decoder), way.denominator,
                number / bench::median(way.seconds), bench::median(ratios));
  }
} catch (const sslcake::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
