// What the CUDA backend can do, as tables of functions on plain pointers and sizes: ops call through them, and need neither
// NVIDIA's headers nor its libraries. `install` (install.hpp) fills them in.
#pragma once

#include "../../core/error.hpp"
#include "attention.hpp"
#include "augment.hpp"
#include "convolution.hpp"
#include "elementwise.hpp"
#include "losses.hpp"
#include "neighbours.hpp"
#include "norm.hpp"
#include "nt_xent.hpp"
#include "optimiser.hpp"
#include "pool.hpp"
#include "product.hpp"
#include "reduce.hpp"
#include "runtime.hpp"
#include "shape.hpp"

namespace sslcake::inline v0::kernels::cuda {

struct Table {
  Attention attention;
  Augment augment;
  Convolution convolution;
  Elementwise elementwise;
  Losses losses;
  Neighbours neighbours;
  Norm norm;
  NtXent nt_xent;
  Optimiser optimiser;
  Pool pool;
  Product product;
  Reduce reduce;
  Runtime runtime;
  ShapeOps shape;
};

namespace detail {
inline const Table*& installed() {
  static const Table* table = nullptr;
  return table;
}
}  // namespace detail

/// The backend. Fails where none is installed.
inline const Table& table() {
  if (!detail::installed()) fail("cuda", "the CUDA backend is not installed; call sslcake::cuda::install() first");
  return *detail::installed();
}

}  // namespace sslcake::inline v0::kernels::cuda
