// Any bytes at all: decoding gives a picture whose size and bytes agree and that survives a PNG file unchanged, or an
// Error. A PNG's checksums are set right before a second try, or else no mutation would get past them. Small limits keep
// each case fast.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <sslcake/image/decode.hpp>
#include <sslcake/image/png_check.hpp>
#include <sslcake/image/png.hpp>

namespace {

namespace image = sslcake::image;

void decode(const std::uint8_t* data, std::size_t size) {
  const image::DecodeLimits limits{.max_pixels = 1 << 16, .max_dimension = 4096, .max_file_bytes = 1 << 20};
  try {
    const image::Image picture = image::decode(data, size, limits);
    if (picture.channels != 3 || picture.width < 1 || picture.height < 1) std::abort();
    image::check(picture, "fuzz_image");
    if (picture.pixels.size() <= 1 << 12 && image::decode(image::encode_png(picture)) != picture) std::abort();
    if (image::decode(data, size, limits, image::Orientation::as_stored).pixels.size() != picture.pixels.size()) std::abort();
    const image::Image part = image::decode_at_least(8, data, size, limits);
    image::check(part, "fuzz_image");
    if (part.width > picture.width || part.height > picture.height) std::abort();
  } catch (const sslcake::Error&) {
  }
}

std::uint32_t read32(const std::uint8_t* p) { return std::uint32_t{p[0]} << 24 | p[1] << 16 | p[2] << 8 | p[3]; }

std::vector<std::uint8_t> with_right_checksums(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> file(data, data + size);
  for (std::size_t at = 8; at + 12 <= size;) {
    const std::size_t length = read32(&file[at]);
    if (length > size - at - 12) break;
    const std::uint32_t crc = image::detail::crc32(&file[at + 4], length + 4);
    for (int i = 0; i < 4; ++i)
      file[at + 8 + length + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
    at += length + 12;
  }
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  decode(data, size);
  if (image::detect_format(data, size) == image::Format::png) {
    const auto file = with_right_checksums(data, size);
    decode(file.data(), file.size());
  }
  return 0;
}
