// The norm of all gradients together, and its limit (Pascanu, Mikolov, Bengio 2012, arXiv 1211.5063):
//
//   ‖g‖ = √ Σ g²   over all parameters;      g ← g · limit / (‖g‖ + 1e-6)   where ‖g‖ > limit   (1e-6 as in PyTorch)
//
// Each is one pass over all gradients. Sums are taken in double, in parts that depend on the shapes alone: the same bits for
// any number of threads.
#pragma once

#include "../autograd/parameter.hpp"

namespace sslcake::inline v0::optim {

/// The norm; parameters without gradient count as 0. Not finite if a gradient is not.
double grad_norm(const Parameters& parameters);
/// Scales the gradients in place if their norm exceeds `limit`. Returns the norm before. If it is not finite the
/// gradients stay as they are: check what comes back. Errors: a limit that is not above 0.
double clip_grad_norm(const Parameters& parameters, double limit);

/// ‖g‖² as one float64 on the gradients' device: on a GPU nobody has to wait for it.
Tensor squared_grad_norm(const Parameters& parameters);
/// clip_grad_norm from a squared norm that is known, which is not read by the host where it lies on a GPU.
void clip_grads(const Parameters& parameters, double limit, const Tensor& squared_norm);

}  // namespace sslcake::inline v0::optim

#ifndef SSLCAKE_COMPILED
#include "clip_inl.hpp"
#endif
