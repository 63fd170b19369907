#pragma once

#include <algorithm>
#include <cmath>
#include <set>

#include "../io/files.hpp"
#include "../io/json.hpp"
#include "metrics_log.hpp"

namespace sslcake::inline v0::train {

SSLCAKE_INLINE void MetricsLog::open(const std::string& path, std::int64_t bytes) {
  path_ = path;
  bytes_ = bytes;
  if (bytes > 0 && io::is_file(path)) {
    bytes_ = std::min(bytes, io::file_size(path));  // lost lines are no reason not to go on
    return io::cut_file(path, bytes_);
  }
  bytes_ = 0;
  io::write_atomically(path, "");
}

SSLCAKE_INLINE void MetricsLog::write(const std::string& kind, const Progress& p) {
  if (path_.empty()) return;
  std::string line = "{\"kind\":\"" + kind + "\"";
  const auto number = [&](const std::string& key, double value) {
    line += "," + io::Json(key).dump() + ":";
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

  io::append_to_file(path_, line);
  bytes_ += static_cast<std::int64_t>(line.size());
}

SSLCAKE_INLINE void check_metric_names(const std::vector<pretext::Metric>& metrics) {
  std::set<std::string> taken{"kind", "epoch", "step", "loss", "chance", "lr", "images_per_second", "seconds", "waited",
                              "deviation", "effective_rank"};
  for (const auto& m : metrics)
    if (!taken.insert(m.name).second)
      fail("fit", "expected metrics with names of their own, got \"", m.name, "\", which ",
           std::count_if(metrics.begin(), metrics.end(), [&](const auto& other) { return other.name == m.name; }) > 1
               ? "two metrics have"
               : "the trainer writes itself",
           "; give it another name in the task's loss() or in the monitor");
}

}  // namespace sslcake::inline v0::train
