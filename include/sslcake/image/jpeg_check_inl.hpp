#pragma once

#include <cstring>

#include "bytes.hpp"
#include "exif.hpp"
#include "jpeg_check.hpp"

namespace sslcake::inline v0::image::detail {

class JpegCheck {
 public:
  JpegCheck(const std::uint8_t* bytes, std::size_t size, const DecodeLimits& limits) : file_(bytes, size), limits_(limits) {}

  JpegHeader run() {
    file_.skip(2);  // start of image, seen by detect_format
    for (;;) {
      const std::uint32_t marker = next_marker();
      if (marker == 0xD9) break;  // end of image
      segment(marker);
    }
    if (!frame_seen_) refuse("it holds no frame header, and so no picture");
    for (int c = 0; c < components_; ++c) {
      if (!component_[c].scanned) refuse(concat("colour component ", c + 1, " has no data"));
      if (progressive_ && component_[c].complete != ~std::uint64_t{0}) header_.ambiguous = true;
    }
    return header_;
  }

 private:
  struct Component {
    std::uint32_t id = 0, h = 1, v = 1, quantisation = 0;
    bool scanned = false;        // has its DC coefficients
    std::uint64_t complete = 0;  // one bit for each coefficient whose last bit was sent
  };

  [[noreturn]] void refuse(std::string_view what) const {
    fail("image::decode", "this JPEG is damaged or not supported: ", what, " (at byte ", file_.position(), " of ", file_.size(),
         "). Open and save it again with an image program, or leave it out");
  }
  [[noreturn]] void cut() const {
    fail("image::decode", "this JPEG is truncated: its ", file_.size(),
         " bytes end before the end-of-image marker. Copy or download it again");
  }

  std::uint32_t next_marker() {
    if (file_.u8() != 0xFF) {
      if (file_.overrun()) cut();
      refuse("expected a marker");
    }
    std::uint32_t marker = 0xFF;
    while (marker == 0xFF && !file_.overrun()) marker = file_.u8();  // any number of fill bytes
    if (file_.overrun()) cut();
    return marker;
  }

  void segment(std::uint32_t marker) {
    const std::uint32_t length = file_.u16();
    if (file_.overrun() || (length >= 2 && file_.left() < length - 2)) cut();
    if (length < 2) refuse("a segment is shorter than its own length field");
    Bytes body = file_.part(length - 2);
    const bool application = (marker >= 0xE0 && marker <= 0xEF) || marker == 0xFE;
    if (application) comment(marker, body);
    else if (marker == 0xDB) quantisation_tables(body);
    else if (marker == 0xC4) huffman_tables(body);
    else if (marker == 0xDD) restart_interval(body);
    else if (marker == 0xDC) number_of_lines(body);
    else if (marker == 0xDA) scan(body);
    else if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC8) frame(marker, body);
    else refuse(concat("it has a segment of the unknown type ", marker));
  }

  void comment(std::uint32_t marker, Bytes& body) {
    if (marker == 0xE1 && body.starts_with("Exif\0\0") && !orientation_seen_) {
      body.skip(6);
      header_.orientation = exif_orientation(body.here(), body.left());
      orientation_seen_ = true;
    }
    if (marker == 0xEE && body.starts_with("Adobe\0") && body.left() >= 12) adobe_ = true;
  }

  void quantisation_tables(Bytes& body) {
    while (body.left() > 0) {
      const std::uint32_t head = body.u8(), table = head & 15;
      if (head >> 4 > 1 || table > 3) refuse("a quantisation table has a wrong number");
      body.skip(head >> 4 ? 128 : 64);
      quantisation_ |= 1u << table;
    }
    if (body.overrun()) refuse("a quantisation table is incomplete");
  }

  // The 16 counts say how many codes have 1, 2, ... 16 bits. They must fit the code space, and a code of ones only is
  // reserved (T.81, C.2); more than 255 symbols no picture can use.
  void huffman_tables(Bytes& body) {
    while (body.left() > 0) {
      const std::uint32_t head = body.u8(), kind = head >> 4, table = head & 15;
      if (kind > 1 || table > 3) refuse("a Huffman table has a wrong number");
      std::uint32_t symbols = 0, code = 0;
      for (int bits = 1; bits <= 16; ++bits) {
        const std::uint32_t count = body.u8();
        symbols += count;
        code = (code << 1) + count;
        if (code >= (1u << bits)) refuse("a Huffman table has more codes than fit");
      }
      if (symbols == 0 || symbols > 255) refuse(concat("a Huffman table has ", symbols, " symbols"));
      body.skip(symbols);
      huffman_ |= 1u << (4 * kind + table);
    }
    if (body.overrun()) refuse("a Huffman table is incomplete");
  }

  void restart_interval(Bytes& body) {
    if (body.left() != 2) refuse("the restart interval has a wrong length");
  }

  void number_of_lines(Bytes& body) {
    if (body.left() != 2 || static_cast<int>(body.u16()) != header_.height)
      refuse("the number of lines is given twice, differently");
  }

  void frame(std::uint32_t marker, Bytes& body) {
    if (marker >= 0xC9) refuse("it is arithmetic-coded");
    if (marker == 0xC3) refuse("it is a lossless JPEG");
    if (marker > 0xC3) refuse("it is a hierarchical JPEG");
    if (frame_seen_) refuse("it has two frame headers");
    frame_seen_ = true;
    progressive_ = marker == 0xC2;
    const std::uint32_t precision = body.u8(), height = body.u16(), width = body.u16(), components = body.u8();
    if (body.overrun() || body.left() != 3 * components) refuse("the frame header has a wrong length");
    if (precision != 8) refuse(concat("it has ", precision, " bits a colour; 8 are supported"));
    check_size("JPEG", width, height, limits_);
    if (components != 1 && components != 3 && components != 4)
      refuse(concat("it has ", components, " colour components; 1, 3 or 4 are supported"));
    if (components == 4 && !adobe_)
      refuse("it has four components without Adobe's note of what they mean; convert it to RGB");
    header_.width = static_cast<int>(width);
    header_.height = static_cast<int>(height);
    components_ = static_cast<int>(components);
    std::uint32_t h_max = 1, v_max = 1;
    for (int c = 0; c < components_; ++c) {
      const std::uint32_t id = body.u8(), sampling = body.u8();
      component_[c] = {.id = id, .h = sampling >> 4, .v = sampling & 15, .quantisation = body.u8()};
      if (component_[c].h < 1 || component_[c].h > 4 || component_[c].v < 1 || component_[c].v > 4 ||
          component_[c].quantisation > 3)
        refuse("the frame header has a wrong sampling factor or table number");
      for (int other = 0; other < c; ++other)
        if (component_[other].id == id) refuse("two colour components have the same number");
      h_max = component_[c].h > h_max ? component_[c].h : h_max;
      v_max = component_[c].v > v_max ? component_[c].v : v_max;
    }
    for (int c = 0; c < components_; ++c)  // older decoders round the ratio, and read beyond the smaller planes
      if (h_max % component_[c].h != 0 || v_max % component_[c].v != 0)
        refuse("a colour's sampling factor does not divide the largest; save it again with an image program");
    header_.ambiguous = components_ == 3 && component_[0].id == 'R' && component_[1].id == 'G' && component_[2].id == 'B';
    // A block of 8 x 8 samples takes one bit at the very least. A header that declares more blocks than the file has
    // bits lies; memory for its picture is never asked for.
    std::uint64_t blocks = 0;
    for (int c = 0; c < components_; ++c)
      blocks += std::uint64_t{(width * component_[c].h / h_max + 7) / 8} * ((height * component_[c].v / v_max + 7) / 8);
    if (blocks / 8 > file_.size())
      fail("image::decode", "this JPEG declares ", width, " x ", height, " pixels, more than its ", file_.size(),
           " bytes can hold: the header is wrong or the file truncated. Copy or download it again");
  }

  void scan(Bytes& body) {
    if (!frame_seen_) refuse("picture data come before the frame header");
    // A file of many scans over a large picture takes hours of nothing; no encoder writes more than some dozens.
    if (++scans_ > 500) refuse("it has more than 500 scans");
    const std::uint32_t count = body.u8();
    if (count < 1 || count > 4 || body.left() != 2 * count + 3) refuse("a scan header has a wrong length");
    int chosen[4];
    std::uint32_t tables[4];
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t id = body.u8();
      tables[i] = body.u8();
      chosen[i] = 0;
      while (chosen[i] < components_ && component_[chosen[i]].id != id) ++chosen[i];
      if (chosen[i] == components_ || tables[i] >> 4 > 3 || (tables[i] & 15) > 3)
        refuse("a scan names a component or table that does not exist");
      for (std::uint32_t other = 0; other < i; ++other)
        if (chosen[other] == chosen[i]) refuse("a scan names a component twice");
    }
    const std::uint32_t first = body.u8(), last = body.u8(), bits = body.u8(), high = bits >> 4;
    if (progressive_ && (first > last || last > 63)) refuse("a scan has a wrong range of coefficients");
    const bool dc = !progressive_ || first == 0, ac = !progressive_ || first > 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      Component& component = component_[chosen[i]];
      if (!(quantisation_ >> component.quantisation & 1)) refuse("a quantisation table is missing");
      if (dc && high == 0 && !(huffman_ >> (tables[i] >> 4) & 1)) refuse("a Huffman table is missing");
      if (ac && !(huffman_ >> (4 + (tables[i] & 15)) & 1)) refuse("a Huffman table is missing");
      if (!progressive_ && component.scanned) refuse("a colour component is sent twice");
      if (dc && high == 0) component.scanned = true;
      for (std::uint32_t k = first; progressive_ && k <= last && (bits & 15) == 0; ++k)
        component.complete |= std::uint64_t{1} << k;
      if (!component.scanned) refuse("details of a colour component come before its basis");
    }
    skip_coded_data();
  }

  // Entropy-coded data end at the first marker that is neither a stuffed zero nor a restart.
  void skip_coded_data() {
    for (;;) {
      const void* found = std::memchr(file_.here(), 0xFF, file_.left());
      if (found == nullptr) cut();
      file_.skip(static_cast<std::size_t>(static_cast<const std::uint8_t*>(found) - file_.here()));
      const std::size_t start = file_.position();
      const std::uint32_t marker = next_marker();
      if (marker != 0 && (marker < 0xD0 || marker > 0xD7)) {
        file_.seek(start);
        return;
      }
    }
  }

  Bytes file_;
  DecodeLimits limits_;
  JpegHeader header_;
  Component component_[4];
  int components_ = 0, scans_ = 0;
  std::uint32_t quantisation_ = 0, huffman_ = 0;  // one bit for each table that was sent; 0-3 DC, 4-7 AC
  bool frame_seen_ = false, progressive_ = false, adobe_ = false, orientation_seen_ = false;
};

SSLCAKE_INLINE JpegHeader check_jpeg(const std::uint8_t* bytes, std::size_t size, const DecodeLimits& limits) {
  return JpegCheck(bytes, size, limits).run();
}

}  // namespace sslcake::inline v0::image::detail
