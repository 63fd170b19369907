// Checkpoints: one safetensors file holds everything a run needs to go on bit for bit: weights, optimisers, averaged
// weights, the task's own tensors, and as metadata the position (epoch, batch), the random streams and the settings.
//
// A file is written aside, flushed to the disk and renamed, so that a kill or a full disk at any moment leaves the files
// before it untouched. The last two are kept: should the newest be damaged, the one before it still is whole.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "../autograd/parameter.hpp"
#include "../core/tensor.hpp"

namespace sslcake::inline v0::train {

/// Raised when a checkpoint's layout changes; older ones are refused with a readable message.
inline constexpr int checkpoint_format = 2;

struct Checkpoint {
  std::vector<std::pair<std::string, Tensor>> tensors;  // "model.encoder.conv1.weight", "optimizer0...", "average...", "task..."
  std::map<std::string, std::string> facts;             // position, random streams, sums of the running epoch
  std::map<std::string, std::string> settings;          // what must not change between a run and its resume

  std::int64_t integer(const std::string& key) const;   // facts; Error where missing or not a number
  double real(const std::string& key) const;            // exact: stored as the 64 bits of the double, read as an integer
  void set(const std::string& key, std::int64_t value);
  void set_real(const std::string& key, double value);
};

/// Writes `folder`/step-000000120.safetensors and removes all others but the newest before it: later ones could not be read
/// when the run went on from an earlier one. Errors: disk full, no permission; the checkpoints before stay valid.
void save_checkpoint(const std::string& folder, std::int64_t step, const Checkpoint& checkpoint);

/// Paths of the checkpoints in the folder, newest first; empty where there is none or no folder. Errors: something has the
/// folder's name and cannot be listed.
std::vector<std::string> list_checkpoints(const std::string& folder);

/// Reads one. Errors: damaged file (its numbers have a checksum), another format number.
Checkpoint load_checkpoint(const std::string& path);
/// Reads the first of them that is whole, and moves its path to the front; `note` hears of those that are not. Errors: none is.
Checkpoint load_newest(std::vector<std::string>& paths, const std::function<void(const std::string&)>& note);

/// Fails with all differences at once if the settings of the checkpoint are not those of this run.
void check_settings(const Checkpoint& checkpoint, const std::map<std::string, std::string>& settings, const std::string& path);

/// Fails, naming them, where two tensors would have one name in a checkpoint.
void check_tensor_names(const Parameters& all);

/// Copies the checkpoint's tensors into those of the same names. Fails, with nothing changed and all mismatches listed, where
/// one is missing or has another shape.
void restore_tensors(const Checkpoint& checkpoint, const Parameters& to, const std::string& path);

/// What changes the last bits of a run and may change between two starts of it: the kernels, whether they use Winograd's
/// products, whether layers are fused, and who decodes JPEGs.
/// save_checkpoint notes it among the facts.
std::map<std::string, std::string> surroundings();
/// What of it is different now, or on this device, as the end of a line; empty where nothing is, and where the checkpoint does
/// not say.
std::string changed_surroundings(const Checkpoint& checkpoint, Device device = Device::cpu);

}  // namespace sslcake::inline v0::train

#ifndef SSLCAKE_COMPILED
#include "checkpoint_inl.hpp"
#endif
