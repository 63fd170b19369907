// The whole text of the kernels on tiles for one policy. The including file defines the macros that pack.hpp names; this one
// takes them back, so that it can be read again.
#if defined(SSLCAKE_TILES_NAMESPACE)

#include "pack.hpp"
//
#include "product.hpp"
//
#include "correlate.hpp"
//
#include "weight_grad.hpp"

#undef SSLCAKE_TILES_NAMESPACE
#undef SSLCAKE_TILES_POLICY
#undef SSLCAKE_TILES_TARGET

#endif
