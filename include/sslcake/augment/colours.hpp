// The colour steps, on three planes of floats (3,H,W) in [0,1], with the meaning of torchvision's functional adjust_*.
// A view's list of operations is carried out block by block: a few dozen pixels are loaded, all operations run on them
// without a branch, and they are stored. Only contrast, which needs the mean of the whole view, ends such a pass.
#pragma once

#include "colour_operation.hpp"

namespace sslcake::inline v0::augment {

/// Carries out `count` operations in order; results are held in [0,1]. `p` points to three planes of `n` numbers.
void apply_colours(float* p, int n, const ColourOperation* operations, int count);

}  // namespace sslcake::inline v0::augment

#ifndef SSLCAKE_COMPILED
#include "colours_inl.hpp"
#endif
