#include "../check.hpp"

// The umbrella header brings none of what only the bodies need.
#if defined(EIGEN_WORLD_VERSION) || defined(NLOHMANN_JSON_VERSION_MAJOR) || defined(STBI_VERSION) || defined(CLI11_VERSION)
#error "an expensive header is reached through sslcake.hpp although SSLCAKE_COMPILED is defined"
#endif

int main() { return check(); }
