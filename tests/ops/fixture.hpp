// PyTorch's results and gradients, stored as text by scripts/fixtures/ops*.py, replayed on our ops.
//
//   TEST_CASE("pointwise functions agree with PyTorch") {
//     replay("pointwise", {{"elu", [](const FixtureCase& c) { return ops::elu(c["x"], c.number("alpha")); }}});
//   }
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "gradcheck.hpp"

namespace op_test {

struct FixtureCase {
  std::string op, name;
  std::map<std::string, std::vector<double>> attributes;
  std::map<std::string, Tensor> tensors;    // inputs and constants
  std::map<std::string, Tensor> gradients;  // expected; one for each input
  Tensor output, weight;                    // expected result y, and w of L = Σ w·y

  /// Input or constant `key`, or fails the test.
  const Tensor& operator[](const std::string& key) const;
  /// Attribute `key`: its only value, the value at `i`, or whether it was given.
  double number(const std::string& key, std::size_t i = 0) const;
  std::int64_t integer(const std::string& key, std::size_t i = 0) const { return static_cast<std::int64_t>(number(key, i)); }
  std::vector<int> integers(const std::string& key) const;
  bool has(const std::string& key) const { return attributes.count(key) || tensors.count(key); }
};

/// The cases of tests/fixtures/ops/<file>.txt.
std::vector<FixtureCase> load_fixtures(const std::string& file);

using Replay = std::function<Tensor(const FixtureCase&)>;
/// Runs every case of the file in float64 (relative tolerance 1e-9) and in float32 (`float_tolerance`, relative to the
/// largest expected value) and compares result and gradients. Every op of the file needs an entry, and every entry a case.
void replay(const std::string& file, const std::map<std::string, Replay>& ops, double float_tolerance = 2e-5);

}  // namespace op_test
