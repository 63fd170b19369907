// safetensors: named tensors in one file, the format of the Hugging Face hub (github.com/huggingface/safetensors).
//
//   8 bytes   length N of the header, little-endian
//   N bytes   JSON: {"__metadata__":{"key":"text"}, "name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}, ...}
//   the rest  the numbers, little-endian, row-major; the offsets count from here
//
// A file from elsewhere is not trusted. Every rule of the format is enforced before memory is taken for a tensor: the
// header fits the file and 100 MB, the spans are as long as dtype and shape say, cover the rest of the file in order
// without holes or overlap, no name twice, no product overflows.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "state.hpp"

namespace sslcake::inline v0::io {

struct SafeTensors {
  StateDict tensors;
  std::map<std::string, std::string> metadata;
};

/// Reads a file. F32, F64, BF16, I64, U8 and BOOL keep their type; F16 becomes float32 and I32 int64; other types,
/// and more than 8 dimensions, are refused by name. The tensors come in the order of the file.
SafeTensors load_safetensors(const std::string& path);
/// The same for a file that is in memory already.
SafeTensors parse_safetensors(std::string_view bytes);

/// Writes atomically (see files.hpp), tensors sorted as the original library does: by the size of their type, largest
/// first, then by name; header padded to a multiple of 8 bytes. The same tensors give the same bytes. Names that are not UTF-8
/// are an error; in metadata, bytes that are not become U+FFFD.
void save_safetensors(const std::string& path, const SafeTensors& file);

}  // namespace sslcake::inline v0::io

#ifndef SSLCAKE_COMPILED
#include "safetensors_inl.hpp"
#endif
