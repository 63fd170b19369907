// The door to libjpeg-turbo, for builds that have it (SSLCAKE_JPEG_TURBO, set by CMake): faster than stb
// (bench/jpeg_decode on Zen 3: 1.3 times where the short side has 144 pixels, 2.5 times at 500x375), and able to decode at
// 1/2, 1/4 and 1/8 for a fraction of the time (the inverse DCT makes smaller blocks).
//
// Through TurboJPEG's interface, not libjpeg's: a handle instead of structures whose layout depends on how libjpeg was
// built, a flag that makes warnings errors, a size to decode at, no setjmp across C++, and a header without foreign macros.
// Only jpeg_turbo_inl.hpp includes it; only files that jpeg_check has passed go in.
#pragma once

#include <cstddef>
#include <cstdint>

#include "image.hpp"
#include "jpeg_check.hpp"

namespace sslcake::inline v0::image::detail {

/// The JPEG at 1/`denominator` (1, 2, 4, 8) of its size, rounded up, as RGB. False where that is left to stb: anything that
/// libjpeg-turbo warns of, unusual sampling, colours other than grey and YCbCr, what is ambiguous. Defined only where
/// SSLCAKE_JPEG_TURBO is.
bool turbo_decode(const std::uint8_t* bytes, std::size_t size, const JpegHeader& header, int denominator, Image& picture);

}  // namespace sslcake::inline v0::image::detail

#ifndef SSLCAKE_COMPILED
#include "jpeg_turbo_inl.hpp"
#endif
