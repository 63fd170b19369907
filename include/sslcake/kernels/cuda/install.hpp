// The CUDA backend: link sslcake::cuda, call install() once, and tensors may live on Device::cuda.
//
//   sslcake::cuda::install();                      // an Error says in one line why it does not work here
//   sslcake::move_to(encoder.state(), sslcake::Device::cuda);
#pragma once

#include <string>

#include "../../core/config.hpp"

namespace sslcake::inline v0::cuda {

/// Installs the backend on the first visible GPU (CUDA_VISIBLE_DEVICES chooses); does nothing the second time. Errors: no
/// driver or one that is too old, no GPU, a compute capability below 8.0 or one that this binary has no code for, memory taken by
/// others.
void install();
/// The same without an exception: empty, or why it does not work.
std::string why_not();
/// "NVIDIA H200, 132 multiprocessors, compute capability 9.0". Installs.
std::string description();

}  // namespace sslcake::inline v0::cuda
