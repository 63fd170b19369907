#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <sslcake/report/chart.hpp>

using namespace sslcake;

TEST_CASE("escape: what could end a text or an attribute is replaced") {
  CHECK(report::escape("<a href=\"x\">'&'\x01</a>\n") == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;\n");
  CHECK(report::escape("Größe") == "Größe");
}

TEST_CASE("number: few digits, no trailing zeros, powers of ten outside the usual range") {
  CHECK(report::number(0) == "0");
  CHECK(report::number(-0.0) == "0");
  CHECK(report::number(0.5) == "0.5");
  CHECK(report::number(6.23441) == "6.234");
  CHECK(report::number(912.46, 3) == "912");
  CHECK(report::number(120000) == "120000");
  CHECK(report::number(0.00025) == "0.00025");
  CHECK(report::number(-1.5) == "-1.5");
  CHECK(report::number(3e-7) == "3e-07");
  CHECK(report::number(9.99999) == "10");
}

TEST_CASE("nice_ticks: round, evenly spaced, covering") {
  CHECK(report::nice_ticks(0, 1, 5) == std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0});
  CHECK(report::nice_ticks(3, 47, 5) == std::vector<double>{0, 10, 20, 30, 40, 50});
  const auto same = report::nice_ticks(7, 7, 5);
  CHECK(same.size() >= 2);
  CHECK(same.front() < 7);
  CHECK(same.back() > 7);
  CHECK(report::nice_ticks(0, 0).size() >= 2);
  CHECK(report::nice_ticks(-1e-5, 1e-5).size() < 20);
}

TEST_CASE("line_chart: a line per series, a legend where there are several, no numbers that are not finite") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const std::string one =
      report::line_chart({{"loss", {{1, 5.0}, {2, nan}, {3, inf}, {4, 4.25}}}}, {.title = "L < 6", .x_label = "epoch"});
  CHECK(one.find("L &lt; 6") != std::string::npos);
  CHECK(one.find("nan") == std::string::npos);
  CHECK(one.find("inf") == std::string::npos);
  CHECK(one.find(">4.25<") != std::string::npos);   // the last value
  CHECK(one.find(">epoch<") != std::string::npos);
  CHECK(one.find("<polyline") == one.rfind("<polyline"));
  const std::string two = report::line_chart({{"a", {{0, 0.1}, {1, 0.4}}}, {"b", {{0, 0.2}, {1, 0.9}}, true}}, {.percent = true});
  CHECK(two.find("<polyline") != two.rfind("<polyline"));
  CHECK(two.find(">a</text>") != std::string::npos);
  CHECK(two.find("series1 dashed") != std::string::npos);
  CHECK(two.find("40 %") != std::string::npos);
}

TEST_CASE("line_chart: nothing, one point, a constant") {
  CHECK(report::line_chart({}).find("no values") != std::string::npos);
  CHECK(report::line_chart({{"x", {{1, std::nan("")}}}}).find("no values") != std::string::npos);
  for (const auto& s : {report::Series{"point", {{3, 0.0}}}, report::Series{"level", {{0, 2.5}, {9, 2.5}}}}) {
    const std::string svg = report::line_chart({s});
    CHECK(svg.find("nan") == std::string::npos);
    CHECK(svg.find("inf") == std::string::npos);
    CHECK(svg.find("<polyline") != std::string::npos);
  }
}

TEST_CASE("nice_ticks: values so small, or so near to each other, that no step lies between them") {
  for (const auto& range : {std::pair(0.0, 5e-324), std::pair(5e-324, 5e-324), std::pair(1e16, 1e16 + 2), std::pair(-1e-310, 0.0),
                            std::pair(-1e299, 1e299)}) {
    const double low = range.first, high = range.second;
    const auto ticks = report::nice_ticks(low, high, 5);
    REQUIRE(ticks.size() >= 2);
    CHECK(ticks.size() < 20);
    CHECK(ticks.front() <= low);
    CHECK(ticks.back() >= high);
    for (std::size_t i = 1; i < ticks.size(); ++i) CHECK(ticks[i] > ticks[i - 1]);
  }
}
