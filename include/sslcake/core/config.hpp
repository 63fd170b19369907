// What every other header may rely on: the version, the compiled/header-only switch, and the few attributes
// that GCC 12 and Clang 14 both understand.
#pragma once

#define SSLCAKE_VERSION_MAJOR 0
#define SSLCAKE_VERSION_MINOR 1
#define SSLCAKE_VERSION_PATCH 0
#define SSLCAKE_VERSION_STRING "0.1.0"
// Comparable in preprocessor conditions: #if SSLCAKE_VERSION >= 100 (0.1.0).
#define SSLCAKE_VERSION (SSLCAKE_VERSION_MAJOR * 10000 + SSLCAKE_VERSION_MINOR * 100 + SSLCAKE_VERSION_PATCH)

// Header-only by default: heavy bodies live in `*_inl.hpp` and are included at the end of their header. With
// SSLCAKE_COMPILED (set by the target sslcake::compiled) the bodies are compiled once, in the library.
#if defined(SSLCAKE_COMPILED)
#define SSLCAKE_INLINE
#else
#define SSLCAKE_INLINE inline
#endif

// Whether the reference kernels are written on Eigen. In the compiled library they are; a header-only program is spared
// reading Eigen and runs plain loops with the same arithmetic, unless it sets SSLCAKE_EIGEN to 1 itself.
#if !defined(SSLCAKE_EIGEN)
#if defined(SSLCAKE_COMPILED)
#define SSLCAKE_EIGEN 1
#else
#define SSLCAKE_EIGEN 0
#endif
#endif

#if defined(__GNUC__)
#define SSLCAKE_ALWAYS_INLINE inline __attribute__((always_inline))
#define SSLCAKE_NOINLINE __attribute__((noinline))
#else
#define SSLCAKE_ALWAYS_INLINE inline
#define SSLCAKE_NOINLINE
#endif

// Loops over registers must be unrolled completely, whatever the optimisation level thinks of it.
#if defined(__clang__)
#define SSLCAKE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SSLCAKE_UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(__x86_64__) && defined(__GNUC__)
#define SSLCAKE_X86 1
#else
#define SSLCAKE_X86 0
#endif
