// CIFAR-10 and CIFAR-100 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009) in their authors'
// binary version: records of one label byte (CIFAR-100: two, coarse and fine), then 1,024 red, 1,024 green and 1,024 blue
// bytes, row by row, of a 32 x 32 picture.
//
// Left out: the "Python version" (pickled arrays). `data/fetch.sh cifar10` gets the right one.
#pragma once

#include "dataset.hpp"

namespace sslcake::inline v0::data {

/// Reads data_batch_1.bin ... data_batch_5.bin (train, 50,000 pictures) or test_batch.bin (test, 10,000) from `folder` or its
/// folder cifar-10-batches-bin. Fails where a file is missing or does not have its 30,730,000 bytes, or a label is above 9.
std::shared_ptr<MemoryDataset> cifar10(const std::string& folder, Split split = Split::train);

/// Reads train.bin (50,000 pictures) or test.bin (10,000) from `folder` or its folder cifar-100-binary. Labels are the 100
/// classes, or the 20 superclasses where `coarse` is set. Names come from fine_label_names.txt or coarse_label_names.txt.
std::shared_ptr<MemoryDataset> cifar100(const std::string& folder, Split split = Split::train, bool coarse = false);

namespace detail {
/// Appends the records in `bytes` to `pixels` (as H,W,3) and `labels`. A record starts with `label_bytes` bytes, of which
/// number `label_at` is the label and less than `classes`. `file` is what messages call the source.
void append_cifar(const std::uint8_t* bytes, std::size_t size, std::size_t label_bytes, std::size_t label_at, int classes,
                  const std::string& file, std::vector<std::uint8_t>& pixels, std::vector<std::int64_t>& labels);
}  // namespace detail

}  // namespace sslcake::inline v0::data

#ifndef SSLCAKE_COMPILED
#include "cifar_inl.hpp"
#endif
