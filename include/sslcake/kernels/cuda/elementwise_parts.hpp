// The parts of the table Elementwise that broadcast.cu and convert.cu fill in.
#pragma once

#include "elementwise.hpp"

namespace sslcake::inline v0::kernels::cuda {

void install_broadcasting(Elementwise& table);
void install_converting(Elementwise& table);

}  // namespace sslcake::inline v0::kernels::cuda
