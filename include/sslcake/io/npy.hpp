// npy: one array in one file, NumPy's own format (numpy.org, numpy.lib.format), versions 1.0 to 3.0.
//
//   "\x93NUMPY", major, minor, length of the header (2 bytes in 1.0, else 4), then a Python dictionary as text
//   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, spaces and '\n' up to a multiple of 64; the numbers.
#pragma once

#include <string>
#include <string_view>

#include "../core/tensor.hpp"

namespace sslcake::inline v0::io {

/// Reads f8, f4, f2 (as float32), i8, i4 (as int64), u1 and b1. Other byte orders and Fortran order are converted;
/// other types (strings, structures, Python objects) are refused by name, and so is a file that is too short or long.
Tensor load_npy(const std::string& path);
/// The same for a file that is in memory already.
Tensor parse_npy(std::string_view bytes);
/// Writes version 1.0 atomically, in C order. bfloat16, which NumPy does not have, is written as float32.
void save_npy(const std::string& path, const Tensor& array);

}  // namespace sslcake::inline v0::io

#ifndef SSLCAKE_COMPILED
#include "npy_inl.hpp"
#endif
