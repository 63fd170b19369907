// The numbers that scripts/fixtures/encoders.py and these tests share: weights and pictures from a hash, and its results.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "../io/scratch.hpp"
#include "sslcake/autograd/parameter.hpp"
#include "sslcake/io/state.hpp"
#include "sslcake/ops/arithmetic.hpp"
#include "sslcake/ops/reduce.hpp"

/// Number i under a key, in [-1, 1).
inline double hashed(std::uint64_t i, std::uint64_t key) {
  auto x = static_cast<std::uint32_t>(i * 2654435761u + key * 97 + 1);
  x ^= x >> 15;
  x *= 2246822519u;
  x ^= x >> 13;
  return static_cast<double>(x) / 2147483648.0 - 1;
}

inline bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// Gives a network the weights of the fixtures: element i, in PyTorch's order of axes, of the k-th tensor.
inline void fill(const sslcake::Parameters& state) {
  using namespace sslcake;
  StateDict values = io::to_state_dict(state, io::Axes::theirs);
  for (std::size_t key = 0; key < values.size(); ++key) {
    auto& [name, t] = values[key];
    if (ends_with(name, "num_batches_tracked")) continue;
    t = t.clone();
    const double deviation = t.rank() == 4 ? std::sqrt(6.0 / static_cast<double>(t.dim(0) * t.dim(2) * t.dim(3))) : 0;
    const double linear = t.rank() == 2 ? std::sqrt(3.0 / static_cast<double>(t.dim(1))) : 0;
    const bool around_one = ends_with(name, "weight") || ends_with(name, "running_var");
    float* p = t.mutable_data<float>();
    for (std::int64_t i = 0; i < t.numel(); ++i) {
      const double v = hashed(static_cast<std::uint64_t>(i), key);
      p[i] = static_cast<float>(t.rank() == 4 ? v * deviation : t.rank() == 2 ? v * linear : around_one ? 1 + 0.3 * v : 0.1 * v);
    }
  }
  io::copy_state("fill", state, values, {.axes = io::Axes::theirs});
}

inline sslcake::Tensor hashed_tensor(const sslcake::Shape& shape, std::uint64_t key) {
  sslcake::Tensor t = sslcake::empty(shape);
  float* p = t.mutable_data<float>();
  for (std::int64_t i = 0; i < t.numel(); ++i) p[i] = static_cast<float>(hashed(static_cast<std::uint64_t>(i), key));
  return t;
}
/// The pictures of the fixtures, (n,size,size,3).
inline sslcake::Tensor pictures(std::int64_t n, std::int64_t size) { return hashed_tensor({n, size, size, 3}, 12345); }

/// The lines of a fixture.
inline std::vector<std::string> lines_of(const std::string& name) {
  std::ifstream in(std::string(SSLCAKE_SOURCE_DIR) + "/tests/fixtures/nn/" + name + ".txt");
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  REQUIRE_FALSE(lines.empty());
  return lines;
}
inline std::vector<double> numbers_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<double> out;
  for (double v; in >> v;) out.push_back(v);
  return out;
}

/// One training step against PyTorch's: features, gradients, running statistics.
template <class Net>
void compare_step(const std::string& name, const Net& net, std::int64_t size) {
  CAPTURE(name);
  fill(net.state());
  const auto lines = lines_of(name + "-step");
  const sslcake::Tensor pooled = net.forward(pictures(4, size)).pooled;
  const auto expected = numbers_of(lines[0]);
  REQUIRE(pooled.dim(1) == static_cast<std::int64_t>(expected.size()));
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(pooled.data<float>()[pooled.dim(1) + static_cast<std::int64_t>(i)] == doctest::Approx(expected[i]).epsilon(1e-4));
  sslcake::backward(sslcake::ops::sum(sslcake::ops::mul(pooled, hashed_tensor(pooled.shape(), 777))));

  std::size_t compared = 0;
  for (const auto& p : net.state()) {
    CAPTURE(p.name);
    const auto line = std::find_if(lines.begin() + 1, lines.end(),
                                   [&](const std::string& l) { return l.compare(0, p.name.size() + 1, p.name + " ") == 0; });
    REQUIRE(line != lines.end());
    const auto wanted = numbers_of(line->substr(p.name.size()));
    sslcake::Parameter g = p;
    if (!p.buffer) {
      REQUIRE(p.tensor.grad().defined());
      g.tensor = p.tensor.grad();
    }
    const auto values = sslcake::io::to_state_dict({g}, sslcake::io::Axes::theirs)[0].second.to_vector<double>();
    double squares = 0, sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      squares += values[i] * values[i];
      sum += p.buffer ? values[i] : values[i] * hashed(i, 99);
    }
    const double norm = std::sqrt(squares);
    CHECK(std::abs(norm - wanted[0]) <= 1e-3 * wanted[0] + 1e-6);
    CHECK(std::abs(sum - wanted[1]) <= 1e-3 * wanted[0] + 1e-6);  // the sum may cancel: its error is measured by the norm
    ++compared;
  }
  CHECK(compared == lines.size() - 1);
}
