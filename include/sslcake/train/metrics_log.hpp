// metrics.jsonl: one JSON object a line, so that a reader needs no more than a line at a time and a torn last line
// harms nothing.
//
//   {"kind":"step","epoch":3,"step":120,"loss":4.1,"chance":6.2,"lr":0.06,"images_per_second":900,"seconds":33.1,...}
#pragma once

#include <cstdint>
#include <string>

#include "progress.hpp"

namespace sslcake::inline v0::train {

class MetricsLog {
 public:
  /// Opens the file and cuts it to `bytes` (0: a new file): what was logged after the checkpoint did not happen.
  void open(const std::string& path, std::int64_t bytes);
  /// Appends a line; does nothing before `open`. Errors: disk full, no permission.
  void write(const std::string& kind, const Progress& progress);
  std::int64_t bytes() const { return bytes_; }

 private:
  std::string path_;
  std::int64_t bytes_ = 0;
};

/// Fails where two metrics of a task have one name, or one is named like a field of the log ("loss", "step", "deviation").
void check_metric_names(const std::vector<pretext::Metric>& metrics);

}  // namespace sslcake::inline v0::train

#ifndef SSLCAKE_COMPILED
#include "metrics_log_inl.hpp"
#endif
