// Every op of the registry (tests/ops) on CUDA, results and gradients against the CPU's in float64. On a machine without a GPU
// the kernels run in the model.
#include <map>
#include <set>

#include "../ops/gradcheck.hpp"
#include "sslcake/kernels/cuda/install.hpp"

using namespace sslcake;

TEST_CASE("cuda: every op and its gradient agrees with the CPU") {
  cuda::install();
  std::map<std::string, op_test::DeviceReport> reports;
  for (const auto& c : op_test::op_cases()) {
    auto found = op_test::compare_devices(c, Device::cuda);
    auto& report = reports[c.op];
    report.compared += found.compared;
    report.compared_bfloat16 += found.compared_bfloat16;
    report.problems.insert(report.problems.end(), found.problems.begin(), found.problems.end());
  }
  REQUIRE(reports.size() > 50);
  int covered = 0;
  std::string list;
  for (const auto& entry : reports) {
    const auto& op = entry.first;  // not a structured binding, which Clang 14 does not capture
    const auto& report = entry.second;
    covered += report.problems.empty() && report.compared > 0;
    list += concat("  ", op, ": ", report.compared, " in float32, ", report.compared_bfloat16, " in bfloat16\n");
    for (const auto& p : report.problems) FAIL_CHECK(op, ": ", p);
    CHECK_MESSAGE(report.compared > 0, op, " was not compared");
  }
  MESSAGE("on cuda, ", covered, " of ", reports.size(), " ops:\n", list);
}
