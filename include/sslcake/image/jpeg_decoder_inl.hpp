#pragma once

#include <atomic>
#include <cstdlib>
#include <string>
#include <utility>

#include "jpeg_decoder.hpp"
#include "jpeg_turbo.hpp"
#include "resize.hpp"
#include "stb.hpp"

namespace sslcake::inline v0::image {
namespace detail {

// No shared function's text depends on SSLCAKE_JPEG_TURBO: units of one program may be built with and without it (one
// includes the headers by path alone), and the linker keeps one copy of each function. So those with it leave
// libjpeg-turbo's function here before main, and whoever decodes asks.
using TurboDecode = bool (*)(const std::uint8_t*, std::size_t, const JpegHeader&, int, Image&);
inline std::atomic<TurboDecode>& turbo_in_program() {
  static std::atomic<TurboDecode> function{nullptr};
  return function;
}

#if defined(SSLCAKE_JPEG_TURBO)
[[maybe_unused]] static const bool turbo_is_in_program = (turbo_in_program().store(&turbo_decode), true);
#endif

SSLCAKE_INLINE JpegDecoder choose_jpeg_decoder(const std::string& name, bool turbo_there) {
  if (name.empty()) return turbo_there ? JpegDecoder::turbo : JpegDecoder::stb;
  if (name == name_of(JpegDecoder::stb)) return JpegDecoder::stb;
  if (name != name_of(JpegDecoder::turbo))
    fail("image::jpeg_decoder", "SSLCAKE_JPEG names no JPEG decoder: expected \"stb\" or \"turbo\", got \"", name, "\"");
  if (!turbo_there)
    fail("image::jpeg_decoder",
         "SSLCAKE_JPEG asks for turbo, which this program was built without. Build it where libjpeg-turbo is "
         "installed (Debian and Ubuntu: libturbojpeg0-dev), or use SSLCAKE_JPEG=stb");
  return JpegDecoder::turbo;
}

SSLCAKE_INLINE Image decode_jpeg(const std::uint8_t* bytes, std::size_t size, const JpegHeader& header, int denominator,
                                 JpegDecoder decoder) {
  Image picture;
  const TurboDecode turbo = decoder == JpegDecoder::turbo ? turbo_in_program().load() : nullptr;
  if (turbo != nullptr && turbo(bytes, size, header, denominator, picture)) return picture;
  picture = {};  // what was begun is given back first
  picture = stb_decode(bytes, size, "JPEG", false, SIZE_MAX);
  return denominator == 1 ? std::move(picture) : reduce(picture, denominator);
}

}  // namespace detail

SSLCAKE_INLINE bool supports(JpegDecoder decoder) {
  return decoder == JpegDecoder::stb || detail::turbo_in_program().load() != nullptr;
}

SSLCAKE_INLINE JpegDecoder jpeg_decoder() {
  static const std::string wanted = [] {
    const char* name = std::getenv("SSLCAKE_JPEG");
    return std::string(name == nullptr ? "" : name);
  }();
  return detail::choose_jpeg_decoder(wanted, supports(JpegDecoder::turbo));
}

}  // namespace sslcake::inline v0::image
