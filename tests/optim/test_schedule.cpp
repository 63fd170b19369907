#include <doctest/doctest.h>

#include "reference.hpp"
#include "sslcake/optim/schedule.hpp"

using namespace sslcake;
using optim::Schedule;

namespace {
void compare(const std::string& name, const Schedule& schedule, std::int64_t warmup) {
  CAPTURE(name);
  const auto expected = reference(name)[0];
  REQUIRE(expected.size() == 12);
  for (std::int64_t step = 0; step < 12; ++step) {
    CAPTURE(step);
    CHECK(schedule.factor(step, 12, warmup) == doctest::Approx(expected[static_cast<std::size_t>(step)]).epsilon(1e-8));
  }
}
}  // namespace

TEST_CASE("schedules, step by step as PyTorch's") {
  compare("schedule-cosine", {}, 0);
  compare("schedule-warm-cosine", {}, 4);
  compare("schedule-warm-cosine-floor", {.final_factor = 0.1}, 4);
  compare("schedule-step", {.kind = Schedule::Kind::step, .period = 5, .gamma = 0.3}, 0);
}

TEST_CASE("ends, constants and names") {
  const Schedule cosine = optim::make_schedule("cosine");
  CHECK(cosine.factor(0, 10) == 1);
  CHECK(cosine.factor(10, 10) == 0);
  CHECK(cosine.factor(100, 10) == 0);
  CHECK(cosine.factor(5, 10) == doctest::Approx(0.5));
  CHECK(cosine.factor(0, 5, 5) == doctest::Approx(0.2));
  CHECK(cosine.factor(4, 5, 5) == 1);
  const Schedule constant = optim::make_schedule("constant");
  CHECK(constant.factor(7, 10) == 1);
  CHECK(constant.factor(0, 10, 4) == 0.25);
  CHECK(cosine.str() == "cosine");
  CHECK(Schedule{.final_factor = 0.5}.str() == "cosine to 0.5");
  CHECK(Schedule{.kind = Schedule::Kind::step, .period = 3}.str() == "step every 3 by 0.1");
  CHECK(optim::cosine_between(0.996, 1, 0, 100) == 0.996);
  CHECK(optim::cosine_between(0.996, 1, 100, 100) == 1);
  CHECK(optim::cosine_between(2, 4, 50, 100) == doctest::Approx(3));
  CHECK_THROWS_AS(optim::make_schedule("linear"), Error);
  CHECK_THROWS_AS(cosine.factor(-1, 10), Error);
  CHECK_THROWS_AS(cosine.factor(0, 10, 11), Error);
  CHECK_THROWS_AS(optim::make_schedule("step").factor(0, 10), Error);
}

TEST_CASE("a step schedule stays at its end") {
  const Schedule steps{.kind = Schedule::Kind::step, .period = 10};
  CHECK(steps.factor(19, 20) == doctest::Approx(0.1));
  CHECK(steps.factor(200, 20) == steps.factor(19, 20));
  CHECK(steps.factor(5, 5, 5) == 1);
}
