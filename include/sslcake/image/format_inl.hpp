#pragma once

#include <iterator>

#include "bytes.hpp"
#include "format.hpp"

namespace sslcake::inline v0::image {
namespace detail {

// Truevision TGA: 18 bytes of header without a magic number; version 2 files end in a signature.
inline bool looks_like_tga(const std::uint8_t* bytes, std::size_t size) {
  if (size < 18) return false;
  if (size >= 26 && Bytes(bytes + size - 18, 18).starts_with("TRUEVISION-XFILE.")) return true;
  const int map = bytes[1], type = bytes[2], map_depth = bytes[7], depth = bytes[16];
  const bool type_fits = map == 1 ? type == 1 || type == 9 : map == 0 && (type == 2 || type == 3 || type == 10 || type == 11);
  const bool map_fits = map == 0 ? map_depth == 0 : map_depth == 15 || map_depth == 16 || map_depth == 24 || map_depth == 32;
  const bool depth_fits = depth == 8 || depth == 15 || depth == 16 || depth == 24 || depth == 32;
  return type_fits && map_fits && depth_fits && (bytes[17] & 0xC0) == 0;
}

// ISO base media files ("ftyp" at offset 4): the brand tells stills in AV1 from those in HEVC.
inline Format isobmff_format(const Bytes& file) {
  if (file.starts_with("avif", 8) || file.starts_with("avis", 8)) return Format::avif;
  if (file.starts_with("hei", 8) || file.starts_with("hev", 8) || file.starts_with("mif1", 8) || file.starts_with("msf1", 8))
    return Format::heic;
  return Format::unknown;
}

// Text that a web server or an editor gave instead of a picture.
inline Format text_format(Bytes file) {
  while (file.left() > 0 && (*file.here() == ' ' || *file.here() == '\t' || *file.here() == '\r' || *file.here() == '\n'))
    file.skip(1);
  if (file.starts_with("<svg")) return Format::svg;
  if (file.starts_with("<?xml")) return Format::svg;  // the only picture format that begins so
  if (file.starts_with("<!DOC") || file.starts_with("<!doc") || file.starts_with("<html") || file.starts_with("<HTML"))
    return Format::html;
  return Format::unknown;
}

}  // namespace detail

SSLCAKE_INLINE const char* name_of(Format format) {
  constexpr const char* names[] = {"JPEG",
                                   "PNG",
                                   "BMP",
                                   "GIF",
                                   "WebP",
                                   "TIFF",
                                   "Photoshop (PSD)",
                                   "Radiance HDR",
                                   "PNM (PBM, PGM, PPM)",
                                   "PFM",
                                   "TGA",
                                   "Softimage PIC",
                                   "JPEG 2000",
                                   "JPEG XL",
                                   "JPEG XR",
                                   "AVIF",
                                   "HEIC",
                                   "OpenEXR",
                                   "DDS",
                                   "ICO",
                                   "QOI",
                                   "SVG",
                                   "PDF",
                                   "HTML",
                                   "ZIP",
                                   "unknown"};
  static_assert(std::size(names) == static_cast<std::size_t>(Format::unknown) + 1);
  return names[static_cast<std::size_t>(format)];
}

SSLCAKE_INLINE Format detect_format(const std::uint8_t* bytes, std::size_t size) {
  const detail::Bytes file(bytes, size);
  if (file.starts_with("\xFF\xD8\xFF")) return Format::jpeg;
  if (file.starts_with("\x89PNG\r\n\x1A\n")) return Format::png;
  if (file.starts_with("GIF87a") || file.starts_with("GIF89a")) return Format::gif;
  if (file.starts_with("RIFF") && file.starts_with("WEBP", 8)) return Format::webp;
  if (file.starts_with("II*\0") || file.starts_with("MM\0*") || file.starts_with("II+\0") || file.starts_with("MM\0+"))
    return Format::tiff;
  if (file.starts_with("8BPS")) return Format::psd;
  if (file.starts_with("#?RADIANCE") || file.starts_with("#?RGBE")) return Format::hdr;
  if (file.starts_with("\x53\x80\xF6\x34")) return Format::pic;
  if (file.starts_with("\0\0\0\x0CjP  ") || file.starts_with("\xFF\x4F\xFF\x51")) return Format::jpeg2000;
  if (file.starts_with("\0\0\0\x0CJXL ") || file.starts_with("\xFF\x0A")) return Format::jpegxl;
  if (file.starts_with("II\xBC")) return Format::jpegxr;
  if (file.starts_with("ftyp", 4)) return detail::isobmff_format(file);
  if (file.starts_with("\x76\x2F\x31\x01")) return Format::exr;
  if (file.starts_with("DDS ")) return Format::dds;
  if (file.starts_with("\0\0\1\0")) return Format::ico;
  if (file.starts_with("qoif")) return Format::qoi;
  if (file.starts_with("%PDF")) return Format::pdf;
  if (file.starts_with("PK\x03\x04")) return Format::zip;
  if (file.starts_with("BM") && size >= 14) return Format::bmp;
  if (size >= 3 && bytes[0] == 'P' &&
      (bytes[2] == '\n' || bytes[2] == ' ' || bytes[2] == '\r' || bytes[2] == '\t' || bytes[2] == '#')) {
    if (bytes[1] >= '1' && bytes[1] <= '7') return Format::pnm;
    if (bytes[1] == 'f' || bytes[1] == 'F') return Format::pfm;
  }
  const Format text = detail::text_format(file);
  if (text != Format::unknown) return text;
  return detail::looks_like_tga(bytes, size) ? Format::tga : Format::unknown;
}

}  // namespace sslcake::inline v0::image
