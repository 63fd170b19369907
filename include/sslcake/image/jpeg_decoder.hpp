// Who decodes JPEGs: libjpeg-turbo where the program was built with it, otherwise stb; SSLCAKE_JPEG=stb or turbo in the
// environment decides. Both are right, and their pixels differ by rounding (by three levels at the most in the tests'
// photographs, by less than a tenth on average), so a run's numbers depend on it: SSLCAKE_JPEG=stb gives the bits that
// every build can give. Neither's depend on threads or on the CPU.
//
// Whatever libjpeg-turbo objects to goes to stb, which accepts or refuses it with its own message. So nothing that stb
// accepts is refused. One kind of damage that stb sees goes through libjpeg-turbo unseen: coded data that last a few bytes
// longer than the picture (0.03 % of the changes of one byte in the tests' small files).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "image.hpp"
#include "jpeg_check.hpp"

namespace sslcake::inline v0::image {

enum class JpegDecoder : std::uint8_t { stb, turbo };

constexpr const char* name_of(JpegDecoder decoder) { return decoder == JpegDecoder::turbo ? "turbo" : "stb"; }

/// Whether this program has it.
bool supports(JpegDecoder decoder);

/// The one in use. Errors: SSLCAKE_JPEG asks for one that is unknown or not built in.
JpegDecoder jpeg_decoder();

namespace detail {

/// What SSLCAKE_JPEG = `name` (empty: not set) comes to.
JpegDecoder choose_jpeg_decoder(const std::string& name, bool turbo_there);

/// A checked JPEG at 1/`denominator` (1, 2, 4, 8) of its size, rounded up, as RGB.
Image decode_jpeg(const std::uint8_t* bytes, std::size_t size, const JpegHeader& header, int denominator, JpegDecoder decoder);

}  // namespace detail
}  // namespace sslcake::inline v0::image

#ifndef SSLCAKE_COMPILED
#include "jpeg_decoder_inl.hpp"
#endif
