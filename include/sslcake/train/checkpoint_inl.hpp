#pragma once

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <map>
#include <set>
#include <string_view>

#include "../image/jpeg_decoder.hpp"
#include "../io/files.hpp"
#include "../io/safetensors.hpp"
#include "../kernels/cpu/isa.hpp"
#include "../kernels/winograd.hpp"
#include "../ops/conv_norm_act.hpp"
#include "checkpoint.hpp"

namespace sslcake::inline v0::train {

SSLCAKE_INLINE std::int64_t Checkpoint::integer(const std::string& key) const {
  const auto it = facts.find(key);
  std::int64_t value = 0;
  if (it != facts.end()) {
    const char* end = it->second.data() + it->second.size();
    const auto [stopped, problem] = std::from_chars(it->second.data(), end, value);
    if (stopped == end && problem == std::errc{}) return value;
  }
  fail("resume", "expected a number under \"", key, "\" in the checkpoint, got ", it == facts.end() ? "nothing" : it->second);
}

SSLCAKE_INLINE double Checkpoint::real(const std::string& key) const { return std::bit_cast<double>(integer(key)); }
SSLCAKE_INLINE void Checkpoint::set(const std::string& key, std::int64_t value) { facts[key] = std::to_string(value); }
SSLCAKE_INLINE void Checkpoint::set_real(const std::string& key, double value) { set(key, std::bit_cast<std::int64_t>(value)); }

namespace detail {
/// step-000000120.safetensors: copies with other names are their owner's.
inline bool is_checkpoint_name(std::string_view name) {
  constexpr std::string_view begin = "step-", end = ".safetensors";
  if (!name.starts_with(begin) || !name.ends_with(end) || name.size() < begin.size() + 9 + end.size()) return false;
  name = name.substr(begin.size(), name.size() - begin.size() - end.size());
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// A number that changes with any bit of the tensors: each step is one-to-one in what came before it and in the word it takes.
inline std::string checksum(const StateDict& tensors) {
  std::uint64_t sum = 0;
  const auto take = [&sum](std::uint64_t word) { sum = std::rotl((sum ^ word) * 0x9e3779b97f4a7c15u, 29); };
  std::map<std::string_view, const Tensor*> sorted;  // a file has an order of its own
  for (const auto& [name, tensor] : tensors) sorted[name] = &tensor;
  for (const auto& [name, tensor] : sorted) {
    for (const char c : name) take(static_cast<unsigned char>(c));
    const auto* bytes = static_cast<const unsigned char*>(tensor->raw());
    const std::size_t count = tensor->bytes();
    for (std::size_t i = 0; i < count; i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes + i, std::min<std::size_t>(8, count - i));
      take(word);
    }
  }
  return std::to_string(sum);
}
}  // namespace detail

SSLCAKE_INLINE std::vector<std::string> list_checkpoints(const std::string& folder) {
  const auto listing = io::list_folder(folder);
  if (!listing.error.empty() && io::exists(folder))  // to begin anew would cost what is in there
    fail("resume", "cannot list the checkpoints in ", folder, ": ", listing.error);
  std::vector<std::string> found;
  for (const auto& name : listing.files)
    if (detail::is_checkpoint_name(name)) found.push_back(folder + "/" + name);
  std::reverse(found.begin(), found.end());  // fixed-width step numbers sort as text
  return found;
}

SSLCAKE_INLINE void save_checkpoint(const std::string& folder, std::int64_t step, const Checkpoint& checkpoint) {
  io::make_folders(folder);
  io::SafeTensors file;
  for (const auto& [name, tensor] : checkpoint.tensors) file.tensors.emplace_back(name, tensor.to(Device::cpu));
  file.metadata = checkpoint.facts;
  for (const auto& [key, value] : surroundings()) file.metadata[key] = value;
  for (const auto& [key, value] : checkpoint.settings) file.metadata["setting." + key] = value;
  file.metadata["checkpoint_format"] = std::to_string(checkpoint_format);
  file.metadata["checksum"] = detail::checksum(file.tensors);
  file.metadata["library"] = "sslcake " SSLCAKE_VERSION_STRING;

  std::string number = std::to_string(step);
  number.insert(0, number.size() < 9 ? 9 - number.size() : 0, '0');
  const auto path = folder + "/step-" + number + ".safetensors";
  io::save_safetensors(path, file);

  for (const auto& name : io::list_folder(folder).files)  // what a kill left half written
    if (name.ends_with(".tmp") && detail::is_checkpoint_name(std::string_view(name).substr(0, name.size() - 4)))
      io::remove_file(folder + "/" + name);
  int before = 0;
  for (const auto& other : list_checkpoints(folder))
    if (other > path || (other < path && ++before > 1)) io::remove_file(other);
}

SSLCAKE_INLINE Checkpoint load_checkpoint(const std::string& path) {
  auto file = io::load_safetensors(path);
  const auto format = file.metadata.find("checkpoint_format");
  if (format == file.metadata.end()) fail("resume", path, " is not a training checkpoint (no checkpoint_format in its header)");
  if (format->second != std::to_string(checkpoint_format))
    fail("resume", path, " has checkpoint format ", format->second, ", this library (", SSLCAKE_VERSION_STRING, ") reads format ",
         checkpoint_format, "; continue the run with the version that began it: ", file.metadata["library"]);
  if (file.metadata["checksum"] != detail::checksum(file.tensors))
    fail("resume", path, " is damaged: its numbers have another checksum than was written with them");
  Checkpoint checkpoint;
  checkpoint.tensors = std::move(file.tensors);
  for (const auto& [key, value] : file.metadata) {
    if (key.starts_with("setting.")) checkpoint.settings[key.substr(8)] = value;
    else checkpoint.facts[key] = value;
  }
  return checkpoint;
}

SSLCAKE_INLINE Checkpoint load_newest(std::vector<std::string>& paths, const std::function<void(const std::string&)>& note) {
  std::string reasons;
  for (auto& path : paths) {
    try {
      auto found = load_checkpoint(path);
      std::swap(path, paths.front());
      return found;
    } catch (const Error& e) {
      reasons += concat("\n  ", path, ": ", e.what());
      if (&path != &paths.back()) note(concat(path, " cannot be read (", e.what(), "); trying the one before it"));
    }
  }
  fail("resume", "no checkpoint can be read; put a copy in its place, or begin again in another output folder:", reasons);
}

SSLCAKE_INLINE void check_settings(const Checkpoint& checkpoint, const std::map<std::string, std::string>& settings,
                                   const std::string& path) {
  std::string differences;
  const auto compare = [&](const std::string& key) {
    const auto before = checkpoint.settings.find(key), now = settings.find(key);
    const std::string was = before == checkpoint.settings.end() ? "(not set)" : before->second;
    const std::string is = now == settings.end() ? "(not set)" : now->second;
    if (was != is) differences += concat("\n  ", key, ": the run began with ", was, ", now it is ", is);
  };
  for (const auto& [key, value] : settings) compare(key);
  for (const auto& [key, value] : checkpoint.settings)
    if (!settings.count(key)) compare(key);
  if (!differences.empty())
    fail("resume", path, " comes from another configuration; give the same options, or another output folder:", differences);
}

SSLCAKE_INLINE void check_tensor_names(const Parameters& all) {
  std::set<std::string> names;
  for (const auto& p : all)
    if (!names.insert(p.name).second)
      fail("fit", "expected tensors with names of their own, got two that a checkpoint would call ", p.name,
           "; give the parts in modules() different names, and the tensors in state()");
}

SSLCAKE_INLINE void restore_tensors(const Checkpoint& checkpoint, const Parameters& to, const std::string& path) {
  std::map<std::string, const Tensor*> stored;
  for (const auto& [name, tensor] : checkpoint.tensors) stored[name] = &tensor;
  std::string missing;
  for (const auto& p : to) {
    const auto it = stored.find(p.name);
    if (it == stored.end()) missing += "\n  " + p.name + " is not in the file";
    else if (!(it->second->shape() == p.tensor.shape()))
      missing += concat("\n  ", p.name, ": expected shape ", p.tensor.shape(), ", the file has ", it->second->shape());
  }
  if (!missing.empty()) fail("resume", path, " does not fit this network and optimiser:", missing);
  for (auto p : to) copy_into(p.tensor, *stored[p.name]);
}

SSLCAKE_INLINE std::map<std::string, std::string> surroundings() {
  const auto state = [](bool on) { return on ? "on" : "off"; };
  return {{"kernels", name_of(kernels::isa())}, {"winograd", state(kernels::winograd())}, {"fusion", state(ops::fuse())},
          {"jpeg_decoder", name_of(image::jpeg_decoder())}};
}

SSLCAKE_INLINE std::string changed_surroundings(const Checkpoint& checkpoint, Device device) {
  std::string changes;
  auto here = surroundings();
  const auto before = checkpoint.facts.find("device");
  if (device != Device::cpu && before != checkpoint.facts.end() && before->second == name_of(device))
    here.erase("kernels"), here.erase("winograd");  // the CPU's have no part in it
  here["device"] = name_of(device);
  for (const auto& [key, now] : here) {
    const auto before = checkpoint.facts.find(key);
    if (before != checkpoint.facts.end() && before->second != now)
      changes +=
          concat(changes.empty() ? "; no longer bit for bit: " : ", ", key, " ", before->second, " before and ", now, " now");
  }
  return changes;
}

}  // namespace sslcake::inline v0::train
