// main EXPECTED_DECODER JPEG: both units decode it, by the same decoder and to the same pixels.
#include <sslcake/image/image.hpp>

#include <cstdio>
#include <string>

sslcake::image::Image FIRST(const std::string& path, std::string& decoder);
sslcake::image::Image SECOND(const std::string& path, std::string& decoder);

int main(int count, char** arguments) {
  if (count < 3) return 2;
  std::string first, second;
  const auto a = FIRST(arguments[2], first), b = SECOND(arguments[2], second);
  std::printf("expected %s, the units decode by %s and %s\n", arguments[1], first.c_str(), second.c_str());
  return first == arguments[1] && second == arguments[1] && a == b && !a.empty() ? 0 : 1;
}
