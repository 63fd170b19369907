// The parts of the table ShapeOps that pick.cu and resize.cu fill in.
#pragma once

#include "shape.hpp"

namespace sslcake::inline v0::kernels::cuda {

void install_picking(ShapeOps& table);
/// Resizing and dropout.
void install_resizing(ShapeOps& table);

}  // namespace sslcake::inline v0::kernels::cuda
