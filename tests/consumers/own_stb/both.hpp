// The program's stb_image reads a PGM file, which sslcake refuses; both read the same BMP file.
#pragma once

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

inline void collect(void* out, void* data, int size) {
  auto& bytes = *static_cast<std::vector<unsigned char>*>(out);
  const auto* p = static_cast<unsigned char*>(data);
  bytes.insert(bytes.end(), p, p + size);
}

inline int both() {
  const std::string pgm = std::string("P5\n2 1\n255\n") + "\x10\x20";
  int width = 0, height = 0, channels = 0;
  unsigned char* own = stbi_load_from_memory(reinterpret_cast<const unsigned char*>(pgm.data()), static_cast<int>(pgm.size()),
                                             &width, &height, &channels, 0);
  if (!own || width != 2 || height != 1 || own[1] != 0x20) {
    std::fprintf(stderr, "the program's own stb_image no longer reads PGM\n");
    return 1;
  }
  stbi_image_free(own);
  try {
    sslcake::image::decode(reinterpret_cast<const std::uint8_t*>(pgm.data()), pgm.size());
    std::fprintf(stderr, "sslcake read a PGM file, which it does not promise: it uses the program's stb_image\n");
    return 1;
  } catch (const sslcake::Error& error) {
    std::printf("refused, as it should be: %s\n", error.what());
  }

  const unsigned char pixels[] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30};  // 2 x 2 RGB
  std::vector<unsigned char> bmp;
  stbi_write_bmp_to_func(collect, &bmp, 2, 2, 3, pixels);
  const auto picture = sslcake::image::decode(bmp.data(), bmp.size());
  if (picture.width != 2 || picture.height != 2 || std::memcmp(picture.pixels.data(), pixels, sizeof pixels) != 0) {
    std::fprintf(stderr, "sslcake does not read the BMP file that the program's stb wrote\n");
    return 1;
  }
  std::printf("both work\n");
  return 0;
}
