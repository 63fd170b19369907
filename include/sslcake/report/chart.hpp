// Line charts as SVG text, to stand inside an HTML page. Colours come from the page's style sheet (classes `series0`,
// `series1`, ..., `axis`, `grid`, `label`), so that one drawing serves light and dark.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../core/error.hpp"

namespace sslcake::inline v0::report {

/// One line. Points whose x or y is not finite are left out.
struct Series {
  std::string name = {};
  std::vector<std::pair<double, double>> points = {};
  bool dashed = false;  // a level to compare with, such as chance
};

struct ChartOptions {
  std::string title = {}, x_label = {};
  int width = 460, height = 240;  // of the drawing's own coordinates; the page scales it
  bool percent = false;           // y from 0 to 1, written as 0 to 100 %
  bool from_zero = false;         // the y axis includes 0
};

/// The whole <svg> element with axes, ticks, grid, and a legend where there are several series. Without any point: a
/// line that says so.
std::string line_chart(const std::vector<Series>& series, const ChartOptions& options = {});

/// Round numbers (1, 2 or 5 times a power of ten apart) that cover [low, high] with about `count` ticks (Heckbert, "Nice
/// numbers for graph labels", Graphics Gems 1990).
std::vector<double> nice_ticks(double low, double high, int count = 5);

/// `text` with &, <, >, " and ' replaced, safe inside HTML text and attributes. Control characters are dropped.
std::string escape(std::string_view text);
/// A number with at most `digits` significant digits, never in the locale's style.
std::string number(double value, int digits = 4);

}  // namespace sslcake::inline v0::report

#ifndef SSLCAKE_COMPILED
#include "chart_inl.hpp"
#endif
