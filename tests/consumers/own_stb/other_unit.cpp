#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#include <sslcake/sslcake.hpp>

#include "both.hpp"

int main() { return both(); }
