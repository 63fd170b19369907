#pragma once

#include <array>
#include <utility>

#include "bytes.hpp"
#include "exif.hpp"
#include "png_check.hpp"

namespace sslcake::inline v0::image::detail {

SSLCAKE_INLINE std::uint32_t crc32(const std::uint8_t* bytes, std::size_t size) {
  static constexpr auto table = [] {  // the remainders of single bytes
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int k = 0; k < 8; ++k) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
      t[i] = c;
    }
    return t;
  }();
  std::uint32_t c = 0xFFFFFFFFu;
  for (std::size_t i = 0; i < size; ++i) c = table[(c ^ bytes[i]) & 255] ^ (c >> 8);
  return ~c;
}

class PngCheck {
 public:
  PngCheck(const std::uint8_t* bytes, std::size_t size, const DecodeLimits& limits) : file_(bytes, size), limits_(limits) {}

  CheckedPng run() {
    file_.skip(8);  // signature, seen by detect_format
    while (chunk()) {}
    if (data_bytes_ == 0) refuse("it has no image data");
    if (colour_type_ == 3 && palette_ == nullptr) refuse("its palette is missing");
    // Deflate shrinks by 1032 at best, so that a header can be caught lying before memory is asked for.
    if (result_.raw_bytes / 1032 > data_bytes_)
      refuse(concat("it declares ", result_.width, " x ", result_.height, " pixels, more than its ", data_bytes_,
                    " bytes of image data can hold"));
    compose();
    return std::move(result_);
  }

 private:
  struct Part {
    const std::uint8_t* bytes;
    std::size_t size;
  };

  [[noreturn]] void refuse(std::string_view what) const {
    fail("image::decode", "this PNG is damaged or not supported: ", what, " (at byte ", file_.position(), " of ", file_.size(),
         "). Open and save it again with an image program, or leave it out");
  }
  [[noreturn]] void cut() const {
    fail("image::decode", "this PNG is truncated: its ", file_.size(),
         " bytes end before the IEND chunk. Copy or download it again");
  }

  // One chunk: length, type, data, CRC of type and data. False after the last one.
  bool chunk() {
    const std::uint32_t length = file_.u32();
    if (file_.overrun() || file_.left() < 8 || file_.left() - 8 < length) cut();
    const Bytes type = file_;
    const std::uint32_t expected_crc_at = length + 4;
    Bytes whole = file_.part(expected_crc_at);
    const std::uint32_t crc = file_.u32();
    const bool critical = (*type.here() & 0x20) == 0;
    if (critical && crc != crc32(type.here(), expected_crc_at)) refuse("a checksum is wrong");
    whole.skip(4);
    if (type.starts_with("CgBI")) refuse("it is in Apple's private variant of PNG (CgBI); convert it to a standard PNG");
    const bool is_header = type.starts_with("IHDR");
    if (!is_header && result_.width == 0) refuse("its header is missing");
    if (is_header) {
      header(whole);
    } else if (type.starts_with("PLTE")) {
      if (palette_ != nullptr || length == 0 || length > 768 || length % 3 != 0) refuse("its palette has a wrong length");
      palette_ = whole.here();
      palette_bytes_ = length;
    } else if (type.starts_with("IDAT")) {
      if (length > 0) data_.push_back({whole.here(), length});
      data_bytes_ += length;
    } else if (type.starts_with("eXIf")) {
      result_.orientation = exif_orientation(whole.here(), whole.left());
    } else if (type.starts_with("IEND")) {
      return false;
    } else if (critical) {
      refuse("it has an unknown critical chunk");
    }
    return true;
  }

  void header(Bytes& body) {
    if (result_.width != 0) refuse("it has two headers");
    if (body.left() != 13) refuse("its header has a wrong length");
    header_ = body.here();
    const std::uint32_t width = body.u32(), height = body.u32(), depth = body.u8();
    colour_type_ = body.u8();
    const std::uint32_t compression = body.u8(), filter = body.u8(), interlace = body.u8();
    check_size("PNG", width, height, limits_);
    const bool any_depth = depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    const bool allowed = colour_type_ == 0 ? any_depth
                         : colour_type_ == 3
                             ? any_depth && depth != 16
                             : (colour_type_ == 2 || colour_type_ == 4 || colour_type_ == 6) && depth >= 8 && any_depth;
    if (!allowed) refuse(concat("it has colour type ", colour_type_, " with ", depth, " bits"));
    if (compression != 0 || filter != 0 || interlace > 1) refuse("it has an unknown compression, filter or interlace method");
    constexpr std::uint32_t channels[] = {1, 0, 3, 1, 2, 0, 4};
    result_.width = static_cast<int>(width);
    result_.height = static_cast<int>(height);
    result_.bit_depth = static_cast<int>(depth);
    result_.raw_bytes = interlace == 0 ? pass_bytes(width, height, channels[colour_type_] * depth)
                                       : adam7_bytes(width, height, channels[colour_type_] * depth);
    if (result_.raw_bytes > 0x7FFFFFFF / 2) refuse("it needs more than a gigabyte of memory");
  }

  // Each row has a filter byte before its pixels.
  static std::size_t pass_bytes(std::size_t width, std::size_t height, std::size_t bits) {
    return width == 0 || height == 0 ? 0 : ((width * bits + 7) / 8 + 1) * height;
  }
  static std::size_t adam7_bytes(std::size_t width, std::size_t height, std::size_t bits) {
    constexpr std::size_t x0[] = {0, 4, 0, 2, 0, 1, 0}, y0[] = {0, 0, 4, 0, 2, 0, 1};
    constexpr std::size_t dx[] = {8, 8, 4, 4, 2, 2, 1}, dy[] = {8, 8, 8, 4, 4, 2, 2};
    std::size_t sum = 0;
    for (int p = 0; p < 7; ++p)
      sum += pass_bytes((width + dx[p] - 1 - x0[p]) / dx[p], (height + dy[p] - 1 - y0[p]) / dy[p], bits);
    return sum;
  }

  // Indices beyond the palette become black. Transparency is left out: it would be ignored anyway.
  void compose() {
    auto& out = result_.clean;
    out.reserve(data_bytes_ + 900);
    put({reinterpret_cast<const std::uint8_t*>("\x89PNG\r\n\x1A\n"), 8});
    put_chunk("IHDR", 13);
    put({header_, 13});
    if (colour_type_ == 3) {
      out.insert(out.end(), 4, 0);  // the checksum of the chunk before: stb_image reads past it
      put_chunk("PLTE", 768);
      put({palette_, palette_bytes_});
      out.insert(out.end(), 768 - palette_bytes_, 0);
    }
    out.insert(out.end(), 4, 0);
    put_chunk("IDAT", data_bytes_);
    for (const Part& part : data_) put(part);
    out.insert(out.end(), 4, 0);
    put_chunk("IEND", 0);
    out.insert(out.end(), 4, 0);
  }
  void put(Part part) { result_.clean.insert(result_.clean.end(), part.bytes, part.bytes + part.size); }
  void put_chunk(const char* type, std::size_t length) {
    for (int shift = 24; shift >= 0; shift -= 8) result_.clean.push_back(static_cast<std::uint8_t>(length >> shift));
    put({reinterpret_cast<const std::uint8_t*>(type), 4});
  }

  Bytes file_;
  DecodeLimits limits_;
  CheckedPng result_;
  const std::uint8_t *header_ = nullptr, *palette_ = nullptr;
  std::size_t palette_bytes_ = 0, data_bytes_ = 0;
  std::uint32_t colour_type_ = 0;
  std::vector<Part> data_;
};

SSLCAKE_INLINE CheckedPng check_png(const std::uint8_t* bytes, std::size_t size, const DecodeLimits& limits) {
  return PngCheck(bytes, size, limits).run();
}

}  // namespace sslcake::inline v0::image::detail
