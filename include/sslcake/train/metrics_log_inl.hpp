#pragma once

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "metrics_log.hpp"

namespace sslcake::inline v0::train {

SSLCAKE_INLINE void MetricsLog::open(const std::string& path, std::int64_t bytes) {
  path_ = path;
  bytes_ = bytes;
  std::error_code error;
  if (bytes > 0 && std::filesystem::exists(path, error)) {
    const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path, error));
    if (size < bytes) bytes_ = size;  // lost lines are no reason not to go on
    std::filesystem::resize_file(path, static_cast<std::uintmax_t>(bytes_), error);
    if (error) fail("fit", "cannot cut ", path, " to the checkpoint's length: ", error.message());
    return;
  }
  bytes_ = 0;
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (!file) fail("fit", "cannot write ", path, "; check the folder's permissions");
  std::fclose(file);
}

SSLCAKE_INLINE void MetricsLog::write(const std::string& kind, const Progress& p) {
  if (path_.empty()) return;
  std::string line = "{\"kind\":\"" + kind + "\"";
  const auto number = [&](const std::string& key, double value) {
    line += ",\"" + key + "\":";
    // JSON has no NaN. Six digits are plenty for a curve.
    if (std::fabs(value) <= 1.7e308) sslcake::detail::append_number(line, value);
    else line += "null";
  };
  number("epoch", p.epoch);
  line += concat(",\"step\":", p.step);
  number("loss", p.loss);
  number("chance", p.chance);
  number("lr", p.lr);
  number("images_per_second", p.images_per_second);
  number("seconds", p.seconds);
  if (kind == "epoch") number("waited", p.waited);
  for (const auto& m : p.metrics) number(m.name, m.value);
  line += "}\n";

  std::FILE* file = std::fopen(path_.c_str(), "ab");
  const bool ok = file && std::fwrite(line.data(), 1, line.size(), file) == line.size();
  const bool closed = file && std::fclose(file) == 0;
  if (!ok || !closed) fail("fit", "cannot append to ", path_, "; is the disk full?");
  bytes_ += static_cast<std::int64_t>(line.size());
}

}  // namespace sslcake::inline v0::train
