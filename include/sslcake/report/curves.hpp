// metrics.jsonl as curves: one JSON object a line, as the trainer writes it.
//
//   {"kind":"step","epoch":3,"step":120,"loss":4.1,"chance":6.2,"lr":0.06,...}
//   {"kind":"epoch","epoch":3,"step":195,"loss":4.0,"knn200":0.41,"deviation":0.04,...}
//
// Any member that is a number becomes a curve; lines that cannot be read (a last line torn by a crash) and members that
// are missing or null are passed over.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../core/error.hpp"

namespace sslcake::inline v0::report {

/// The values of one member of the lines of one kind, against the number of epochs done.
struct Curve {
  std::string kind;  // "step" or "epoch"
  std::string name;
  std::vector<std::pair<double, double>> points;
};

struct Curves {
  std::vector<Curve> all;      // in order of first appearance
  bool x_is_epoch = true;      // false where no line tells how long an epoch is: x is then the step
  std::int64_t unreadable = 0; // lines passed over
  double seconds = 0;          // the last that was written

  /// The curve of that kind and name, or null.
  const Curve* find(std::string_view kind, std::string_view name) const;
  /// By either kind: the steps' if they have one (it is finer), else the epochs'.
  const Curve* find(std::string_view name) const;
};

/// Reads the text of a metrics.jsonl.
Curves read_curves(std::string_view jsonl);

/// At most `most` points: means over stretches of equally many points.
std::vector<std::pair<double, double>> thin_out(const std::vector<std::pair<double, double>>& points, std::size_t most = 300);

}  // namespace sslcake::inline v0::report

#ifndef SSLCAKE_COMPILED
#include "curves_inl.hpp"
#endif
