#include <doctest/doctest.h>

#include <sslcake/report/curves.hpp>

using namespace sslcake;

TEST_CASE("read_curves: every number becomes a curve; steps are turned into epochs") {
  const auto curves = report::read_curves(
      "{\"kind\":\"step\",\"step\":5,\"epoch\":1,\"loss\":4.5,\"chance\":6.2,\"agreement\":0.1,\"seconds\":1}\n"
      "{\"kind\":\"step\",\"step\":10,\"epoch\":1,\"loss\":4.0,\"chance\":6.2,\"agreement\":null,\"seconds\":2}\r\n"
      "{\"kind\":\"epoch\",\"step\":10,\"epoch\":1,\"loss\":4.25,\"knn200\":0.3,\"seconds\":2.5}\n"
      "\n"
      "{\"kind\":\"epoch\",\"step\":20,\"epoch\":2,\"loss\":3.5,\"knn200\":0.4,\"seconds\":5.5}\n");
  CHECK(curves.x_is_epoch);
  CHECK(curves.unreadable == 0);
  CHECK(curves.seconds == 5.5);
  using Points = std::vector<std::pair<double, double>>;
  REQUIRE(curves.find("step", "loss"));
  CHECK(curves.find("step", "loss")->points == Points{{0.5, 4.5}, {1.0, 4.0}});
  CHECK(curves.find("loss") == curves.find("step", "loss"));
  REQUIRE(curves.find("knn200"));
  CHECK(curves.find("knn200")->points == Points{{1, 0.3}, {2, 0.4}});
  REQUIRE(curves.find("agreement"));
  CHECK(curves.find("agreement")->points == Points{{0.5, 0.1}});  // null is passed over
  CHECK(curves.find("step") == nullptr);
  CHECK(curves.find("nothing") == nullptr);
}

TEST_CASE("read_curves: torn and foreign lines are passed over and counted") {
  const auto curves =
      report::read_curves("{\"step\":1,\"loss\":2}\n[1,2]\nnot json\n{\"step\":2,\"loss\":1,\"text\":\"x\"}\n{\"step\":3,\"lo");
  CHECK(curves.unreadable == 3);
  CHECK_FALSE(curves.x_is_epoch);
  REQUIRE(curves.find("loss"));
  CHECK(curves.find("loss")->points.size() == 2);
  CHECK(report::read_curves("").all.empty());
}

TEST_CASE("thin_out: means of stretches, the ends near the ends") {
  std::vector<std::pair<double, double>> points;
  for (int i = 0; i < 1000; ++i) points.emplace_back(i, i % 2);
  const auto few = report::thin_out(points, 100);
  CHECK(few.size() == 100);
  CHECK(few.front() == std::pair<double, double>{4.5, 0.5});
  CHECK(few.back().first == doctest::Approx(994.5));
  CHECK(report::thin_out(points, 1000) == points);
}
