#include <doctest/doctest.h>

#include <cstdio>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include <sslcake/image/decode.hpp>
#include <sslcake/image/png.hpp>
#include <sslcake/image/png_check.hpp>

#include "pictures.hpp"

using namespace pictures;
using image::decode;
using image::load;
using File = std::vector<std::uint8_t>;

namespace {

File bytes_of(const char* text, std::size_t size) { return File(text, text + size); }
template <std::size_t N>
File bytes_of(const char (&text)[N]) { return bytes_of(text, N - 1); }

File read(const std::string& name) {
  File bytes(1 << 16);
  std::FILE* file = std::fopen(path(name).c_str(), "rb");
  REQUIRE(file != nullptr);
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
  std::fclose(file);
  return bytes;
}

void put32(File& file, std::uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) file.push_back(static_cast<std::uint8_t>(v >> shift));
}

void put_chunk(File& file, const char* type, const File& data) {
  put32(file, static_cast<std::uint32_t>(data.size()));
  const std::size_t start = file.size();
  file.insert(file.end(), type, type + 4);
  file.insert(file.end(), data.begin(), data.end());
  put32(file, image::detail::crc32(file.data() + start, file.size() - start));
}

/// A PNG with right checksums around any header and data.
File png(std::uint32_t width, std::uint32_t height, int depth, int colour, const File& data, const File& palette = {}) {
  File file = bytes_of("\x89PNG\r\n\x1A\n"), header;
  put32(header, width);
  put32(header, height);
  for (const int v : {depth, colour, 0, 0, 0}) header.push_back(static_cast<std::uint8_t>(v));
  put_chunk(file, "IHDR", header);
  if (!palette.empty()) put_chunk(file, "PLTE", palette);
  put_chunk(file, "IDAT", data);
  put_chunk(file, "IEND", {});
  return file;
}

/// zlib data that store `raw` uncompressed (at most 65535 bytes), without the Adler checksum, which nobody reads.
File stored(const File& raw) {
  const auto n = static_cast<std::uint32_t>(raw.size());
  File data = {0x78, 0x01, 0x01, static_cast<std::uint8_t>(n), static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(~n),
               static_cast<std::uint8_t>(~n >> 8)};
  data.insert(data.end(), raw.begin(), raw.end());
  data.insert(data.end(), 4, 0);
  return data;
}

File bmp(std::uint32_t width, std::uint32_t height, int bits, std::size_t bytes_of_pixels) {
  File file = bytes_of("BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0");
  for (const std::uint32_t v : {width, height})
    for (int shift = 0; shift < 32; shift += 8) file.push_back(static_cast<std::uint8_t>(v >> shift));
  file.push_back(1), file.push_back(0), file.push_back(static_cast<std::uint8_t>(bits)), file.push_back(0);
  file.insert(file.end(), 24, 0);
  for (std::size_t i = 0; i < bytes_of_pixels; ++i) file.push_back(static_cast<std::uint8_t>(i * 7));
  return file;
}

}  // namespace

TEST_CASE("PNG and BMP give exactly Pillow's pixels") {
  for (const char* name : {"rgb.png", "grey.png", "palette.png", "bits.png", "alpha.png", "grey-alpha.png", "rgb16.png",
                           "interlaced.png", "rgb.bmp", "grey.bmp", "palette.bmp"}) {
    CAPTURE(name);
    CHECK(load(path(name)) == expected_picture(name));
  }
}

TEST_CASE("JPEG agrees with Pillow's libjpeg") {
  // Two decoders may round differently, and differ more where colour planes of half the size are enlarged.
  for (const char* name : {"baseline.jpg", "444.jpg", "422.jpg", "progressive.jpg", "restart.jpg", "grey.jpg"}) {
    CAPTURE(name);
    const auto d = difference(load(path(name)), expected_picture(name));
    const bool full = std::string(name) == "444.jpg" || std::string(name) == "grey.jpg";
    CHECK(d.most <= (full ? 3 : 24));
    CHECK(d.mean < (full ? 0.5 : 1.5));
  }
}

TEST_CASE("EXIF orientation is undone, or left alone where asked") {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    CAPTURE(orientation);
    const auto name = concat("exif", orientation, ".jpg");
    const auto seen = load(path(name)), stored = load(path(name), {}, image::Orientation::as_stored);
    CHECK(stored.width == 16);
    CHECK(seen.width == (orientation >= 5 ? 8 : 16));
    const auto d = difference(seen, expected_picture(name));
    CHECK(d.most <= 3);
    CHECK((seen == stored) == (orientation == 1));
  }
  CHECK(load(path("exif6.png")) == expected_picture("exif6.png"));
  CHECK(load(path("exif6.png"), {}, image::Orientation::as_stored).width == 16);
}

TEST_CASE("every proper beginning of a file is refused, and says that the file is cut") {
  for (const char* name : {"grey.png", "baseline.jpg", "progressive.jpg", "grey.bmp"}) {
    const File whole = read(name);
    CHECK_NOTHROW(decode(whole));
    for (std::size_t n = 0; n < whole.size(); n += n < 700 ? 1 : 97) {
      const File cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
      // A BMP's last row ends in padding, which may be missing.
      if (std::string(name) == "grey.bmp" && n + 3 >= whole.size()) continue;
      CHECK_THROWS_AS(decode(cut), Error);
    }
    const File most(whole.begin(), whole.end() - 5);
    CHECK(has(message_of([&] { decode(most); }), "truncated"));
  }
}

TEST_CASE("a changed byte gives a picture or an error, never more") {
  for (const char* name :
       {"grey.png", "palette.png", "interlaced.png", "baseline.jpg", "progressive.jpg", "restart.jpg", "palette.bmp"}) {
    File file = read(name);
    const image::DecodeLimits limits{.max_pixels = 1 << 18, .max_dimension = 4096};
    int refused = 0, tries = 0;
    for (std::size_t i = 0; i < file.size(); i += 5) {
      const auto kept = file[i];
      for (const int flip : {0x01, 0x80, 0xFF}) {
        file[i] = static_cast<std::uint8_t>(kept ^ flip);
        ++tries;
        try {
          const auto picture = decode(file, limits);
          image::check(picture, "test");
        } catch (const Error&) {
          ++refused;
        }
      }
      file[i] = kept;
    }
    CAPTURE(name);
    CHECK(refused > 0);
    if (std::string(name).find(".png") != std::string::npos) CHECK(refused >= tries * 9 / 10);  // checksums see all but notes
  }
}

TEST_CASE("limits are kept on the header's word") {
  // A header of 60,000 x 60,000 asks for eleven gigabytes; none of it is ever allocated.
  const File nothing = stored({0, 0});
  CHECK(has(message_of([&] { decode(png(60000, 60000, 8, 2, nothing)); }), "60000 x 60000"));
  CHECK(has(message_of([&] { decode(png(0xFFFFFFFF, 1, 8, 2, nothing)); }), "limits are"));
  CHECK(has(message_of([&] { decode(png(20000, 20000, 8, 2, nothing)); }), "DecodeLimits"));
  CHECK(has(message_of([&] { decode(png(0, 10, 8, 2, nothing)); }), "at least 1 x 1"));
  CHECK(has(message_of([&] { decode(png(9000, 9000, 8, 2, nothing)); }), "more than its"));  // within the limits, but a lie
  CHECK(has(message_of([&] { decode(bmp(60000, 60000, 24, 100)); }), "60000 x 60000"));
  CHECK(has(message_of([&] { decode(bmp(4, 0x80000000u, 24, 100)); }), "2147483648"));
  CHECK(has(message_of([&] { decode(bmp(0xFFFFFFFFu, 4, 24, 100)); }), "at least 1 x 1"));

  File jpeg = read("baseline.jpg");
  std::size_t frame = 0;
  while (!(jpeg[frame] == 0xFF && jpeg[frame + 1] == 0xC0)) ++frame;
  const auto declare = [&](int width, int height) {
    jpeg[frame + 5] = static_cast<std::uint8_t>(height >> 8), jpeg[frame + 6] = static_cast<std::uint8_t>(height);
    jpeg[frame + 7] = static_cast<std::uint8_t>(width >> 8), jpeg[frame + 8] = static_cast<std::uint8_t>(width);
  };
  declare(60000, 60000);
  CHECK(has(message_of([&] { decode(jpeg); }), "60000 x 60000"));
  declare(8000, 8000);
  CHECK(has(message_of([&] { decode(jpeg); }), "more than its"));
  declare(0, 31);
  CHECK(has(message_of([&] { decode(jpeg); }), "at least 1 x 1"));

  const File good = read("rgb.png");
  CHECK_NOTHROW(decode(good, {.max_pixels = 45 * 31, .max_dimension = 45}));
  CHECK_THROWS_AS(decode(good, {.max_pixels = 45 * 31 - 1}), Error);
  CHECK_THROWS_AS(decode(good, {.max_dimension = 44}), Error);
  CHECK(has(message_of([&] { decode(good, {.max_file_bytes = 100}); }), "the limit is 100"));
  CHECK(has(message_of([&] { load(path("rgb.png"), {.max_file_bytes = 100}); }), "the limit is 100"));
}

TEST_CASE("small PNGs by hand") {
  // Two grey pixels, 255 and 0: filter byte 0, then the values.
  const auto two = decode(png(2, 1, 8, 0, stored({0, 255, 0})));
  CHECK(two.pixels == File{255, 255, 255, 0, 0, 0});
  // 16 bits are rounded, not cut: 0x00FF is 255/257 = 0.99 of a level.
  CHECK(decode(png(1, 1, 16, 0, stored({0, 0x00, 0xFF}))).pixels[0] == 1);
  CHECK(decode(png(1, 1, 16, 0, stored({0, 0xFF, 0xFF}))).pixels[0] == 255);
  // An index beyond the palette is black, not whatever lay in memory.
  CHECK(decode(png(2, 1, 8, 3, stored({0, 1, 200}), {9, 9, 9, 1, 2, 3})).pixels == File{1, 2, 3, 0, 0, 0});
  CHECK(has(message_of([] { decode(png(2, 1, 8, 3, stored({0, 1, 0}))); }), "palette is missing"));
  CHECK(has(message_of([] { decode(png(2, 1, 8, 3, stored({0, 1, 0}), {1, 2})); }), "palette has a wrong length"));
  CHECK(has(message_of([] { decode(png(2, 1, 3, 0, stored({0, 1, 0}))); }), "3 bits"));
  CHECK(has(message_of([] { decode(png(2, 1, 4, 2, stored({0, 1, 0}))); }), "colour type 2"));
  CHECK(has(message_of([] { decode(png(2, 1, 8, 0, stored({7, 1, 0}))); }), "damaged"));  // filter 7
  CHECK(has(message_of([] { decode(png(2, 2, 8, 0, stored({0, 1, 0}))); }), "damaged"));  // a row is missing
  File wrong = png(2, 1, 8, 0, stored({0, 255, 0}));
  wrong[20] ^= 1;
  CHECK(has(message_of([&] { decode(wrong); }), "checksum"));
  File critical = bytes_of("\x89PNG\r\n\x1A\n");
  put_chunk(critical, "ABCD", {1});
  CHECK(has(message_of([&] { decode(critical); }), "header is missing"));
}

TEST_CASE("what inflates far beyond the picture is refused") {
  // A stored block of zeros much longer than 1 x 1 pixel needs. (A compressed one would be 1000 times longer still.)
  File data = {0x78, 0x01};
  for (int block = 0; block < 8; ++block) {
    for (const int byte : {block == 7 ? 1 : 0, 0xFF, 0xFF, 0, 0}) data.push_back(static_cast<std::uint8_t>(byte));
    data.insert(data.end(), 65535, 0);
  }
  data.insert(data.end(), 4, 0);
  const auto message = message_of([&] { decode(png(1, 1, 8, 0, data)); });
  // The file itself is as long, so this one may pass; what must not happen is running out of memory or time.
  CHECK((message.empty() || has(message, "damaged")));
}

TEST_CASE("JPEGs that a decoder must not see") {
  const File good = read("baseline.jpg");
  const auto segment = [&](int marker) {
    std::size_t at = 2;
    while (good[at + 1] != marker) at += 2 + (good[at + 2] << 8 | good[at + 3]);
    return at;
  };
  const auto without = [&](int marker) {
    const std::size_t at = segment(marker), length = 2u + (good[at + 2] << 8 | good[at + 3]);
    File file = good;
    file.erase(file.begin() + static_cast<std::ptrdiff_t>(at), file.begin() + static_cast<std::ptrdiff_t>(at + length));
    return file;
  };
  CHECK(has(message_of([&] { decode(without(0xDB)); }), "quantisation table is missing"));
  CHECK(has(message_of([&] { decode(without(0xC4)); }), "Huffman table is missing"));
  CHECK(has(message_of([&] { decode(without(0xC0)); }), "before the frame header"));

  File file = good;
  const std::size_t huffman = segment(0xC4);
  for (int i = 0; i < 16; ++i) file[huffman + 5 + static_cast<std::size_t>(i)] = 255;  // 4080 symbols for a table of 256
  CHECK(has(message_of([&] { decode(file); }), "more codes than fit"));

  for (const auto& kind : {std::pair{0xC3, "lossless"}, {0xC9, "arithmetic"}, {0xC5, "hierarchical"}}) {
    file = good;
    file[segment(0xC0) + 1] = static_cast<std::uint8_t>(kind.first);
    CHECK(has(message_of([&] { decode(file); }), kind.second));
  }
  file = good;
  file[segment(0xC0) + 4] = 12;
  CHECK(has(message_of([&] { decode(file); }), "12 bits"));
  file = good;
  file[segment(0xC0) + 11] = 0x31, file[segment(0xC0) + 14] = 0x21;  // of three samples beside two
  CHECK(has(message_of([&] { decode(file); }), "does not divide the largest"));
  file = good;
  file[segment(0xDA) + 5] = 99;
  CHECK(has(message_of([&] { decode(file); }), "does not exist"));
  file = without(0xDA);
  CHECK_THROWS_AS(decode(file), Error);
  // Rubbish after the end is nobody's business.
  file = good;
  file.insert(file.end(), 500, 0x55);
  CHECK(decode(file) == decode(good));
}

TEST_CASE("other formats are refused by name") {
  const std::pair<const char*, File> cases[] = {{"GIF", bytes_of("GIF89a......")},
                                                {"WebP", bytes_of("RIFF\0\0\0\0WEBPVP8 ")},
                                                {"TIFF", bytes_of("II*\0........")},
                                                {"TIFF", bytes_of("MM\0*........")},
                                                {"PSD", bytes_of("8BPS\0\1")},
                                                {"Radiance HDR", bytes_of("#?RADIANCE\n")},
                                                {"PNM", bytes_of("P6\n2 2\n255\n............")},
                                                {"PNM", bytes_of("P5 2 2 255 ....")},
                                                {"PFM", bytes_of("PF\n1 1\n-1\n")},
                                                {"Softimage PIC", bytes_of("\x53\x80\xF6\x34....")},
                                                {"JPEG 2000", bytes_of("\0\0\0\x0CjP  \r\n")},
                                                {"JPEG XL", bytes_of("\xFF\x0A..")},
                                                {"AVIF", bytes_of("\0\0\0\x20"
                                                                  "ftypavif....")},
                                                {"HEIC", bytes_of("\0\0\0\x20"
                                                                  "ftypheic....")},
                                                {"HEIC", bytes_of("\0\0\0\x20"
                                                                  "ftypmif1....")},
                                                {"OpenEXR", bytes_of("\x76\x2F\x31\x01....")},
                                                {"DDS", bytes_of("DDS |")},
                                                {"ICO", bytes_of("\0\0\1\0\1\0")},
                                                {"QOI", bytes_of("qoif....")},
                                                {"SVG", bytes_of("\n <svg xmlns=''>")},
                                                {"HTML", bytes_of("<!DOCTYPE html><p>404")},
                                                {"PDF", bytes_of("%PDF-1.7")},
                                                {"ZIP", bytes_of("PK\x03\x04..")},
                                                {"TGA", bytes_of("\0\0\2\0\0\0\0\0\0\0\0\0\4\0\4\0\x18\0............")}};
  for (const auto& each : cases) {
    const std::string name = each.first;
    const File& file = each.second;
    CAPTURE(name);
    const auto message = message_of([&] { decode(file); });
    CHECK(has(message, name));
    CHECK(has(message, "Convert it"));
    CHECK(has(name_of(image::detect_format(file.data(), file.size())), name));
  }
  CHECK(has(message_of([] { decode(File{}); }), "empty"));
  CHECK(has(message_of([] { decode(nullptr, 0); }), "empty"));
  CHECK(has(message_of([] { decode(bytes_of("just some text in a file")); }), "expected a JPEG, PNG or BMP"));
}

TEST_CASE("BMP: bit masks, rows from the top, what is cut or compressed") {
  // 24 bits, two pixels wide, rows of 6 + 2 bytes of padding, the lower row first, colours as blue, green, red.
  const auto picture = decode(bmp(2, 2, 24, 16));
  CHECK(picture.pixels == File{70, 63, 56, 91, 84, 77, 14, 7, 0, 35, 28, 21});
  const auto top_down = decode(bmp(2, 0xFFFFFFFEu, 24, 16));
  CHECK(top_down.pixels == File{14, 7, 0, 35, 28, 21, 70, 63, 56, 91, 84, 77});
  File sixteen = bmp(2, 1, 16, 0);  // 5 bits each
  for (const int byte : {0xFF, 0x7F, 0x00, 0x7C}) sixteen.push_back(static_cast<std::uint8_t>(byte));
  CHECK(decode(sixteen).pixels == File{255, 255, 255, 255, 0, 0});
  CHECK(has(message_of([] { decode(bmp(2, 2, 24, 13)); }), "truncated"));
  CHECK(has(message_of([] { decode(bmp(2, 2, 7, 16)); }), "7 bits"));
  File packed = bmp(2, 2, 8, 64);
  packed[30] = 1;
  CHECK(has(message_of([&] { decode(packed); }), "run-length"));
}

TEST_CASE("load names the file and the reason") {
  const std::string folder = path("..");
  CHECK(has(message_of([] { load(path("none.png")); }), "none.png: no such file"));
  CHECK(has(message_of([&] { load(folder); }), "not an ordinary file"));
  CHECK(has(message_of([] { load("/dev/null"); }), "not an ordinary file"));  // a pipe or device could keep a reader waiting
  const auto message = message_of([] { load(path("pixels.safetensors")); });
  CHECK(has(message, "pixels.safetensors: expected a JPEG, PNG or BMP"));
  CHECK(message.find("[image::load]") == 0);
  CHECK(!has(message, "[image::decode]"));

  const std::string hidden = concat("/tmp/sslcake-test-", ::getpid(), ".png");
  image::save_png(hidden, image::Image(2, 2));
  ::chmod(hidden.c_str(), 0);
  if (::geteuid() == 0) {
    MESSAGE("skipped: root may read everything");
  } else {
    CHECK(has(message_of([&] { load(hidden); }), "no permission"));
  }
  ::unlink(hidden.c_str());
}
