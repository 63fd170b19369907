// stb in a namespace of its own. Every name of it has C++ linkage inside `sslcake_stb` (never C linkage, as in an stb
// that a program compiles for itself), so the two can neither clash nor stand in for each other, whichever comes first
// and whatever either is configured to.
#pragma once

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include <memory>

#include "stb.hpp"

namespace sslcake_stb {

// A PNG's data may inflate to a thousand times their size: growing stops at a bound set for each file.
inline size_t& realloc_limit() {
  thread_local size_t limit = SIZE_MAX;
  return limit;
}
inline void* bounded_realloc(void* memory, size_t bytes) { return bytes <= realloc_limit() ? realloc(memory, bytes) : nullptr; }

}  // namespace sslcake_stb

#include "stb_names_push.hpp"

// Memory comes zeroed: where stb gives up early in a damaged picture, the rest is black and not what lay there before.
#define STBI_MALLOC(bytes) calloc(1, bytes)
#define STBI_REALLOC(memory, bytes) ::sslcake_stb::bounded_realloc(memory, bytes)
#define STBI_FREE(memory) free(memory)
#define STBI_ASSERT(condition) ((void)0)
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#if !defined(__SSE2__) && defined(__ARM_NEON)
#define STBI_NEON
#endif
#define STBIDEF extern "C++" inline
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBIW_ASSERT(condition) ((void)0)
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_IMPLEMENTATION

// Where a damaged JPEG's bits run out, stb 2.27 shifts a zero by more than 31 and lets a sum wrap around; nothing but the
// damaged picture's colours depends on either. The sanitizers are told, so that they report what matters.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((no_sanitize("shift", "signed-integer-overflow"))), apply_to = function)
#endif
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wunused-function"
namespace sslcake_stb {
#if __has_include(<stb/stb_image.h>)
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#else
#include <stb_image.h>
#include <stb_image_write.h>
#endif
}  // namespace sslcake_stb
#pragma GCC diagnostic pop
#if defined(__clang__)
#pragma clang attribute pop
#endif

#include "stb_names_pop.hpp"

namespace sslcake::inline v0::image::detail {

struct FreeMemory {
  void operator()(void* memory) const { free(memory); }
};

// The bound for one file, and none afterwards.
struct InflateLimit {
  explicit InflateLimit(std::size_t bytes) { sslcake_stb::realloc_limit() = bytes; }
  ~InflateLimit() { sslcake_stb::realloc_limit() = SIZE_MAX; }
  InflateLimit(const InflateLimit&) = delete;
  InflateLimit& operator=(const InflateLimit&) = delete;
};

SSLCAKE_INLINE Image stb_decode(const std::uint8_t* bytes, std::size_t size, const char* format, bool sixteen_bit,
                                std::size_t inflate_limit) {
  const InflateLimit limit(inflate_limit);
  int width = 0, height = 0, channels = 0;
  const int length = static_cast<int>(size);
  // Four channels are asked for: stb converts colours four at a time only then. The fourth, alpha, is dropped below.
  void* decoded = sixteen_bit
                      ? static_cast<void*>(sslcake_stb::stbi_load_16_from_memory(bytes, length, &width, &height, &channels, 4))
                      : static_cast<void*>(sslcake_stb::stbi_load_from_memory(bytes, length, &width, &height, &channels, 4));
  const std::unique_ptr<void, FreeMemory> owner(decoded);
  if (decoded == nullptr) {
    const char* reason = sslcake_stb::stbi_failure_reason();
    if (reason == nullptr) reason = "its data make no sense";
    if (strcmp(reason, "outofmem") == 0) reason = "its data inflate to far more than the declared size, or memory is short";
    fail("image::decode", "this ", format, " is damaged: ", reason,
         ". Open and save it again with an image program, or leave it out");
  }
  Image result(width, height);
  const std::size_t count = result.pixels.size() / 3;
  std::uint8_t* out = result.pixels.data();
  if (sixteen_bit) {
    const auto* in = static_cast<const std::uint16_t*>(decoded);
    for (std::size_t i = 0; i < count; ++i, in += 4, out += 3)
      for (int c = 0; c < 3; ++c) out[c] = static_cast<std::uint8_t>((in[c] + 128u) / 257u);
  } else {
    const auto* in = static_cast<const std::uint8_t*>(decoded);
    for (std::size_t i = 0; i < count; ++i, in += 4, out += 3)
      for (int c = 0; c < 3; ++c) out[c] = in[c];
  }
  return result;
}

SSLCAKE_INLINE std::vector<std::uint8_t> stb_encode_png(const Image& picture) {
  int length = 0;
  const std::unique_ptr<unsigned char, FreeMemory> png(sslcake_stb::stbi_write_png_to_mem(
      picture.pixels.data(), static_cast<int>(picture.row_bytes()), picture.width, picture.height, picture.channels, &length));
  if (png == nullptr) fail("image::encode_png", "not enough memory for a picture of ", picture.width, " x ", picture.height);
  return {png.get(), png.get() + length};
}

}  // namespace sslcake::inline v0::image::detail
