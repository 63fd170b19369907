// UNIT is the name of its function, which decodes a file and says by which decoder.
#include <sslcake/image/decode.hpp>
#include <sslcake/image/jpeg_decoder.hpp>

#include <string>

sslcake::image::Image UNIT(const std::string& path, std::string& decoder) {
  decoder = name_of(sslcake::image::jpeg_decoder());
  return sslcake::image::load(path);
}
