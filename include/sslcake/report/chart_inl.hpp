#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>

#include "chart.hpp"

namespace sslcake::inline v0::report {

SSLCAKE_INLINE std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        if (static_cast<unsigned char>(c) >= 32 || c == '\n' || c == '\t') out += c;
    }
  }
  return out;
}

SSLCAKE_INLINE std::string number(double value, int digits) {
  if (value == 0) return "0";  // -0 too
  char text[64];
  // Plain digits in the range that people read; powers of ten outside of it.
  const double size = std::fabs(value);
  if (size >= 1e-4 && size < 1e9) {
    const int before = static_cast<int>(std::floor(std::log10(size))) + 1;
    const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, std::max(0, digits - before)).ptr;
    std::string out(text, end);
    if (out.find('.') != std::string::npos) {
      out.erase(out.find_last_not_of('0') + 1);
      if (out.back() == '.') out.pop_back();
    }
    return out;
  }
  return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::general, digits).ptr};
}

SSLCAKE_INLINE std::vector<double> nice_ticks(double low, double high, int count) {
  // One value, or too near for ticks between them: a little room around it.
  if (const double size = std::max(std::fabs(low), std::fabs(high)); !(high - low > 1e-12 * size) || !(high - low > 1e-290)) {
    const double room = size > 1e-290 ? size * 0.1 : 1;
    low -= room;
    high = low + 2 * room;
  }
  const double rough = (high - low) / std::max(1, count - 1);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double unit = rough / power;
  const double step = power * (unit < 1.5 ? 1 : unit < 3.5 ? 2 : unit < 7.5 ? 5 : 10);
  std::vector<double> ticks;
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  for (double i = first; i <= last && ticks.size() < 100; ++i) ticks.push_back(i * step);
  return ticks;
}

SSLCAKE_INLINE std::string line_chart(const std::vector<Series>& all, const ChartOptions& o) {
  std::vector<Series> series;
  double x_low = 0, x_high = 0, y_low = 0, y_high = 0;
  bool any = false;
  for (Series s : all) {
    std::erase_if(s.points, [](const auto& p) { return !(std::fabs(p.first) < 1e300) || !(std::fabs(p.second) < 1e300); });
    if (s.points.empty()) continue;
    for (const auto& [x, y] : s.points) {
      x_low = any ? std::min(x_low, x) : x;
      x_high = any ? std::max(x_high, x) : x;
      y_low = any ? std::min(y_low, y) : y;
      y_high = any ? std::max(y_high, y) : y;
      any = true;
    }
    series.push_back(std::move(s));
  }

  const auto text = [](double x, double y, std::string_view anchor, std::string_view style, const std::string& content) {
    return concat("<text class=\"", style, "\" x=\"", number(x, 5), "\" y=\"", number(y, 5), "\" text-anchor=\"", anchor, "\">",
                  escape(content), "</text>");
  };
  std::string svg = concat("<svg class=\"chart\" viewBox=\"0 0 ", o.width, " ", o.height, "\" role=\"img\" aria-label=\"",
                           escape(o.title), "\">\n");
  svg += text(4, 16, "start", "title", o.title) + "\n";
  if (!any) return svg + text(o.width / 2.0, o.height / 2.0, "middle", "label", "no values") + "\n</svg>\n";

  if (o.from_zero) {
    y_low = std::min(y_low, 0.0);
    y_high = std::max(y_high, 0.0);
  }
  const auto x_ticks = nice_ticks(x_low, x_high, 7), y_ticks = nice_ticks(y_low, y_high, 5);
  if (!(x_high > x_low)) {
    x_low = x_ticks.front();
    x_high = x_ticks.back();
  }
  y_low = y_ticks.front();
  y_high = y_ticks.back();

  // Room for the legend where there is more than one line, and for the tick labels on the left.
  const double left = 52, right = o.width - 14;
  const double top = series.size() > 1 ? 46 : 30, bottom = o.height - (o.x_label.empty() ? 24 : 38);
  const auto at_x = [&](double x) { return left + (x - x_low) / (x_high - x_low) * (right - left); };
  const auto at_y = [&](double y) { return bottom - (y - y_low) / (y_high - y_low) * (bottom - top); };
  const auto line = [](const char* style, double x1, double y1, double x2, double y2) {
    return concat("<line class=\"", style, "\" x1=\"", number(x1, 5), "\" y1=\"", number(y1, 5), "\" x2=\"", number(x2, 5),
                  "\" y2=\"", number(y2, 5), "\"/>\n");
  };
  const auto written = [&](double y) { return o.percent ? number(100 * y) + " %" : number(y); };

  for (const double y : y_ticks) {
    svg += line("grid", left, at_y(y), right, at_y(y));
    svg += text(left - 7, at_y(y) + 4, "end", "label", written(y)) + "\n";
  }
  for (const double x : x_ticks) {
    if (x < x_low - 1e-9 * (x_high - x_low) || x > x_high + 1e-9 * (x_high - x_low)) continue;
    svg += line("axis", at_x(x), bottom, at_x(x), bottom + 4);
    svg += text(at_x(x), bottom + 17, "middle", "label", number(x)) + "\n";
  }
  svg += line("axis", left, bottom, right, bottom);
  if (!o.x_label.empty()) svg += text((left + right) / 2, o.height - 5, "middle", "label", o.x_label) + "\n";

  double legend = left;
  for (std::size_t i = 0; i < series.size(); ++i) {
    const auto& s = series[i];
    const std::string style = concat("series", i % 6, s.dashed ? " dashed" : "");
    std::string path;
    for (const auto& [x, y] : s.points) path += concat(path.empty() ? "" : " ", number(at_x(x), 5), ",", number(at_y(y), 5));
    svg += concat("<polyline class=\"line ", style, "\" points=\"", path, "\"/>\n");
    if (!s.dashed) {  // the last value, the one that is looked for
      const auto [x, y] = s.points.back();
      svg += concat("<circle class=\"dot ", style, "\" cx=\"", number(at_x(x), 5), "\" cy=\"", number(at_y(y), 5),
                    "\" r=\"3\"><title>", escape(s.name), " ", written(y), "</title></circle>\n");
      if (series.size() == 1 || (series.size() == 2 && (series[0].dashed || series[1].dashed)))
        svg += text(right, 16, "end", "value", written(y)) + "\n";
    }
    if (series.size() > 1) {
      svg += line(concat("line ", style).c_str(), legend, 30, legend + 16, 30);
      svg += text(legend + 21, 34, "start", "label", s.name) + "\n";
      legend += 38 + 6.6 * static_cast<double>(s.name.size());
    }
  }
  return svg + "</svg>\n";
}

}  // namespace sslcake::inline v0::report
