// Data sets by name, as programs take them on the command line: `--data cifar10:/data/cifar10`.
#pragma once

#include "dataset.hpp"

namespace sslcake::inline v0::data {

struct OpenOptions {
  std::int64_t limit = 0;  // this many pictures, drawn at random by `seed`; 0: all
  std::uint64_t seed = 0;
  bool strict = false;     // folders: an unreadable picture is an error instead of being skipped
  int size = 0;            // builtin: the side (0: 32); folders: reduce the shorter side to this while reading (0: do not)
  int decode_size = 0;     // folders: decode at a fraction where the shorter side stays this long (0: in full)
};

/// What open() takes, one to a line, for a program's help.
inline constexpr const char* open_forms =
    "  builtin        ten classes of patterns, drawn by the library itself\n"
    "  cifar10:DIR    CIFAR-10, binary version\n"
    "  cifar100:DIR   CIFAR-100, binary version\n"
    "  idx:DIR        MNIST, Fashion-MNIST, KMNIST\n"
    "  stl10:DIR      STL-10, binary version\n"
    "  folder:DIR     JPEG, PNG and BMP files; the first level of folders is the class";

/// Opens a data set. Fails with a list of what is possible where `spec` is something else, and as the data sets
/// themselves do where files are missing or damaged.
std::shared_ptr<Dataset> open(const std::string& spec, Split split = Split::train, const OpenOptions& options = {});

}  // namespace sslcake::inline v0::data

#ifndef SSLCAKE_COMPILED
#include "open_inl.hpp"
#endif
