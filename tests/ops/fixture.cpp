#include "fixture.hpp"

#include <cmath>
#include <fstream>
#include <set>

namespace op_test {

using namespace sslcake;

const Tensor& FixtureCase::operator[](const std::string& key) const {
  const auto at = tensors.find(key);
  REQUIRE_MESSAGE(at != tensors.end(), "fixture ", op, " ", name, " has no input ", key);
  return at->second;
}

double FixtureCase::number(const std::string& key, std::size_t i) const {
  const auto at = attributes.find(key);
  REQUIRE_MESSAGE(at != attributes.end(), "fixture ", op, " ", name, " has no attribute ", key);
  return at->second.at(i);
}

std::vector<int> FixtureCase::integers(const std::string& key) const {
  const auto at = attributes.find(key);
  REQUIRE_MESSAGE(at != attributes.end(), "fixture ", op, " ", name, " has no attribute ", key);
  return {at->second.begin(), at->second.end()};
}

namespace {

Tensor read_tensor(std::istream& in) {
  std::string kind;
  int rank = 0;
  in >> kind >> rank;
  Shape shape;
  for (int i = 0; i < rank; ++i) {
    std::int64_t extent = 0;
    in >> extent;
    shape.push_back(extent);
  }
  Tensor t(shape, kind == "int64" ? DType::int64 : DType::float64);
  for (std::int64_t i = 0; i < t.numel(); ++i) {
    if (t.dtype() == DType::int64) {
      in >> t.mutable_data<std::int64_t>()[i];
    } else {
      std::string text;  // streams do not read "nan" and "inf"
      in >> text;
      t.mutable_data<double>()[i] = std::stod(text);
    }
  }
  REQUIRE(in.good());
  return t;
}

Tensor in_type(const Tensor& t, DType dtype) { return t.dtype() == DType::float64 ? t.to(dtype).clone() : t; }

/// Rounding errors grow with the largest terms of a sum, not with each result.
double largest(const Tensor& t) {
  double most = 1;
  for (const double v : t.to_vector<double>())
    if (std::isfinite(v)) most = std::max(most, std::abs(v));
  return most;
}

void run(const FixtureCase& source, const Replay& op, DType dtype, double tolerance) {
  FixtureCase c = source;
  for (auto& [key, t] : c.tensors) {
    t = in_type(t, dtype);
    if (c.gradients.count(key)) t.set_requires_grad();
  }
  const Tensor y = op(c);
  const std::string what = c.op + " " + c.name + " " + name_of(dtype);
  CHECK(y.dtype() == dtype);
  check_close(y, source.output, tolerance, tolerance * largest(source.output), what);
  if (c.gradients.empty()) return;
  backward(y, in_type(c.weight, dtype));
  for (const auto& expected : source.gradients) {
    const std::string name = what + " gradient of " + expected.first;
    const Tensor grad = c.tensors.at(expected.first).grad();
    REQUIRE_MESSAGE(grad.defined(), name, ": none");
    check_close(grad, expected.second, tolerance, tolerance * largest(expected.second), name);
  }
}

}  // namespace

std::vector<FixtureCase> load_fixtures(const std::string& file) {
  const std::string path = std::string(SSLCAKE_SOURCE_DIR) + "/tests/fixtures/ops/" + file + ".txt";
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.good(), "cannot read ", path);
  std::vector<FixtureCase> cases;
  std::string word, key;
  while (in >> word) {
    if (word == "case") {
      cases.emplace_back();
      in >> cases.back().op >> cases.back().name;
      continue;
    }
    if (word == "end") continue;
    REQUIRE(!cases.empty());
    FixtureCase& c = cases.back();
    in >> key;
    if (word == "attribute") {
      std::size_t count = 0;
      in >> count;
      auto& values = c.attributes[key];
      values.resize(count);
      for (auto& v : values) in >> v;
    } else {
      const Tensor t = read_tensor(in);
      if (word == "input" || word == "constant") c.tensors[key] = t;
      else if (word == "output") c.output = t;
      else if (word == "weight") c.weight = t;
      else if (word == "gradient") c.gradients[key] = t;
      else FAIL("unknown word in fixture: ", word);
    }
  }
  REQUIRE(!cases.empty());
  return cases;
}

void replay(const std::string& file, const std::map<std::string, Replay>& ops, double float_tolerance) {
  std::set<std::string> seen;
  for (const auto& c : load_fixtures(file)) {
    seen.insert(c.op);
    const auto op = ops.find(c.op);
    if (op == ops.end()) {
      FAIL_CHECK("no replay for op ", c.op, " of ", file, ".txt");
      continue;
    }
    INFO("case " << c.op << " " << c.name);
    run(c, op->second, DType::float64, 1e-9);
    run(c, op->second, DType::float32, float_tolerance);
  }
  for (const auto& entry : ops) CHECK_MESSAGE(seen.count(entry.first), "no case for op ", entry.first, " in ", file, ".txt");
}

}  // namespace op_test
