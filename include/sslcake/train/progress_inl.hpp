#pragma once

#include <cmath>
#include <cstdio>

#include "progress.hpp"

namespace sslcake::inline v0::train {

namespace detail {
/// `value` with `digits` decimals, without the locale's comma.
inline std::string fixed(double value, int digits) {
  if (!(std::fabs(value) < 1e15)) return concat(value);  // 4.7e+15, inf, nan
  const double scale = std::pow(10.0, digits);
  const auto units = static_cast<long long>(std::llround(std::fabs(value) * scale));
  const auto base = static_cast<long long>(scale);
  std::string out = value < 0 && units ? "-" : "";
  out += std::to_string(units / base);
  if (digits > 0) {
    const std::string rest = std::to_string(units % base);
    out += '.';
    out.append(static_cast<std::size_t>(digits) - rest.size(), '0');
    out += rest;
  }
  return out;
}
}  // namespace detail

SSLCAKE_INLINE std::string format_seconds(double seconds) {
  if (!(seconds >= 0) || seconds > 3.6e8) return "?";
  const auto total = static_cast<long long>(std::llround(seconds));
  const auto two = [](long long v) { return (v < 10 ? "0" : "") + std::to_string(v); };
  const long long h = total / 3600, m = total / 60 % 60, s = total % 60;
  return h ? std::to_string(h) + ":" + two(m) + ":" + two(s) : std::to_string(m) + ":" + two(s);
}

SSLCAKE_INLINE std::string format(const Progress& p) {
  if (p.kind == Progress::Kind::note) return p.text;
  if (p.kind == Progress::Kind::warning) return "warning: " + p.text;
  std::string line = concat("epoch ", p.epoch, "/", p.epochs);
  if (p.kind == Progress::Kind::step) line += concat("  step ", p.epoch_step, "/", p.epoch_steps);
  line += "  loss " + detail::fixed(p.loss, 3);
  if (p.chance != 0) line += " (chance " + detail::fixed(p.chance, 3) + ")";
  for (const auto& m : p.metrics) line += "  " + m.name + " " + detail::fixed(m.value, 3);
  line += concat("  ", static_cast<long long>(p.images_per_second), " images/s");
  if (p.kind == Progress::Kind::epoch) line += "  " + format_seconds(p.seconds);
  if (p.seconds_left > 0) line += "  " + format_seconds(p.seconds_left) + " left";
  return line;
}

}  // namespace sslcake::inline v0::train
