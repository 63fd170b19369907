#pragma once

#include "builtin.hpp"
#include "cifar.hpp"
#include "files.hpp"
#include "folder.hpp"
#include "idx.hpp"
#include "open.hpp"
#include "stl10.hpp"

namespace sslcake::inline v0::data {

SSLCAKE_INLINE std::shared_ptr<Dataset> open(const std::string& spec, Split split, const OpenOptions& options) {
  if (options.limit < 0) fail("open", "expected a limit of at least 1, or 0 for all pictures, got ", options.limit);
  if (options.size < 0) fail("open", "expected a size of at least 1, or 0 for the default, got ", options.size);
  const auto colon = spec.find(':');
  const auto kind = spec.substr(0, colon);
  const auto path = colon == std::string::npos ? std::string{} : spec.substr(colon + 1);
  // The parts without labels are the training parts, except in STL-10.
  const Split labelled = split == Split::unlabeled ? Split::train : split;

  std::shared_ptr<Dataset> dataset;
  if (kind == "builtin") {
    if (colon != std::string::npos) fail("open", "expected 'builtin' alone, got '", spec, "'");
    dataset = std::make_shared<Builtin>(labelled, 0, options.size ? options.size : 32);
  } else if (kind == "cifar10" || kind == "cifar100" || kind == "idx" || kind == "stl10" || kind == "folder") {
    if (path.empty()) fail("open", "expected a folder after '", kind, ":', as in ", kind, ":/data/", kind, ", got '", spec, "'");
    if (kind == "cifar10") dataset = cifar10(path, labelled);
    else if (kind == "cifar100") dataset = cifar100(path, labelled);
    else if (kind == "idx") dataset = idx(path, labelled);
    else if (kind == "stl10") dataset = std::make_shared<Stl10>(path, split);
    else
      dataset = std::make_shared<ImageFolder>(path, FolderOptions{labelled, options.strict, options.size, options.decode_size});
  } else {
    fail("open", "unknown data set '", spec, "'",
         io::is_folder(spec) && !spec.empty() ? concat("; did you mean folder:", spec, "?") : "", "; expected one of\n",
         open_forms);
  }
  return options.limit ? limit(std::move(dataset), options.limit, options.seed) : dataset;
}

}  // namespace sslcake::inline v0::data
