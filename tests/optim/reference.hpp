// Reads the numbers that scripts/fixtures/optim.py wrote, and evaluates the formulas it shares with the tests.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "sslcake/autograd/parameter.hpp"

/// The lines of a fixture, as numbers.
inline std::vector<std::vector<double>> reference(const std::string& name) {
  std::ifstream in(std::string(SSLCAKE_SOURCE_DIR) + "/tests/fixtures/optim/" + name + ".txt");
  std::vector<std::vector<double>> lines;
  for (std::string line; std::getline(in, line);) {
    std::istringstream numbers(line);
    lines.emplace_back();
    for (double v; numbers >> v;) lines.back().push_back(v);
  }
  REQUIRE_FALSE(lines.empty());
  return lines;
}

/// A parameter whose element i is cos(i).
inline sslcake::Parameter start(const std::string& name, const sslcake::Shape& shape, bool norm_or_bias = false) {
  sslcake::Parameter p;
  p.name = name;
  p.tensor = sslcake::empty(shape);
  for (std::int64_t i = 0; i < p.tensor.numel(); ++i)
    p.tensor.mutable_data<float>()[i] = static_cast<float>(std::cos(static_cast<double>(i)));
  p.tensor.set_requires_grad();
  p.norm_or_bias = norm_or_bias;
  return p;
}

/// The gradient of step `step`: sin(1 + i + 3 step) + 0.1 w_i.
inline sslcake::Tensor gradient(const sslcake::Tensor& w, int step) {
  sslcake::Tensor g = sslcake::empty(w.shape());
  for (std::int64_t i = 0; i < g.numel(); ++i)
    g.mutable_data<float>()[i] =
        static_cast<float>(std::sin(1.0 + static_cast<double>(i) + 3.0 * step) + 0.1 * w.data<float>()[i]);
  return g;
}

/// All numbers of the parameters in a row are those of the reference, to `tolerance` relative to the larger of 1 and them.
inline void check_close(const sslcake::Parameters& parameters, const std::vector<double>& expected, double tolerance) {
  std::vector<double> found;
  for (const auto& p : parameters)
    for (const double v : p.tensor.to_vector<double>()) found.push_back(v);
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(found[i] - expected[i]) <= tolerance * std::max(1.0, std::abs(expected[i])));
  }
}
