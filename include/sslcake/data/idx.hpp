// The IDX format of MNIST (LeCun, Cortes, Burges 1998) and its family (Fashion-MNIST, KMNIST): two zero bytes, a type
// (8: unsigned bytes), the number of dimensions, each extent as a big-endian 32-bit number, then the values.
//
// Left out: types other than unsigned bytes, and compressed files (`gunzip` them, or let `data/fetch.sh mnist` do it).
#pragma once

#include "dataset.hpp"

namespace sslcake::inline v0::data {

/// Reads train-images-idx3-ubyte and train-labels-idx1-ubyte (train) or t10k-images-... and t10k-labels-... (test) from
/// `folder`; names with a dot before "idx" are taken too. Grey becomes RGB. Without a labels file the pictures have no
/// labels. Class names are the lines of class_names.txt, if the folder has one, otherwise numbers.
std::shared_ptr<MemoryDataset> idx(const std::string& folder, Split split = Split::train);

namespace detail {
/// What an IDX file holds. `values` points into the bytes it was read from.
struct IdxArray {
  std::vector<std::int64_t> extents;
  const std::uint8_t* values = nullptr;
};
/// Checks everything: magic number, type, `rank` dimensions, and that the file is exactly as long as they say.
IdxArray parse_idx(const std::uint8_t* bytes, std::size_t size, int rank, const std::string& file);
}  // namespace detail

}  // namespace sslcake::inline v0::data

#ifndef SSLCAKE_COMPILED
#include "idx_inl.hpp"
#endif
