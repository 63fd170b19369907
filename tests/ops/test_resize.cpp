#include "fixture.hpp"

#include "sslcake/ops/resize.hpp"

using namespace sslcake;
using namespace op_test;
using ops::HW;

namespace {
HW pair(const FixtureCase& c, const char* key) { return {c.integer(key, 0), c.integer(key, 1)}; }
const std::vector<Shape> shapes = {{2, 4, 2, 2}, {1, 3, 5, 3}, {1, 1, 1, 1}, {0, 4, 4, 2}};
const std::vector<HW> sizes = {1, 4, {7, 3}};
}  // namespace

OP_CASE("resize_nearest") {
  for (const HW size : sizes)
    for (const auto& s : shapes)
      gradcheck([&](const Tensors& x) { return ops::resize_nearest(x[0], size); }, {random_input(s, 1)});
}

OP_CASE("resize_bilinear") {
  for (const HW size : sizes)
    for (const auto& s : shapes)
      gradcheck([&](const Tensors& x) { return ops::resize_bilinear(x[0], size); }, {random_input(s, 2)});
}

OP_CASE("pixel_shuffle") {
  for (const Shape& s : {Shape{2, 2, 3, 8}, Shape{1, 1, 1, 4}, Shape{3, 1, 5, 4}, Shape{0, 2, 2, 4}, Shape{1, 2, 2, 0}})
    gradcheck([](const Tensors& x) { return ops::pixel_shuffle(x[0], 2); }, {random_input(s, 3)});
  gradcheck([](const Tensors& x) { return ops::pixel_shuffle(x[0], 3); }, {random_input({1, 2, 1, 18}, 4)});
}

TEST_CASE("resizing agrees with PyTorch") {
  replay("resize", {{"resize_nearest", [](const FixtureCase& c) { return ops::resize_nearest(c["x"], pair(c, "size")); }},
                    {"resize_bilinear", [](const FixtureCase& c) { return ops::resize_bilinear(c["x"], pair(c, "size")); }},
                    {"pixel_shuffle", [](const FixtureCase& c) { return ops::pixel_shuffle(c["x"], c.integer("r")); }}});
}

TEST_CASE("resizing to the same size changes nothing, and a constant stays constant") {
  const Tensor x = random_input({2, 5, 7, 3}, 5).to(DType::float32);
  CHECK(same_bits(ops::resize_nearest(x, {5, 7}), x));
  CHECK(same_bits(ops::resize_bilinear(x, {5, 7}), x));
  for (const float v : ops::resize_bilinear(full({1, 3, 4, 2}, 0.25), {11, 2}).to_vector<float>()) CHECK(v == 0.25f);
  for (std::int64_t from = 1; from < 40; ++from)  // no source pixel outside the picture
    for (std::int64_t to = 1; to < 40; ++to) {
      Tensor ramp = arange(from).to(DType::float32).alias({1, 1, from, 1});
      const auto y = ops::resize_nearest(ramp, {1, to}).to_vector<float>();
      for (std::int64_t i = 0; i < to; ++i) {
        const auto at = static_cast<std::int64_t>(y[static_cast<std::size_t>(i)]);
        REQUIRE(at >= 0);
        REQUIRE(at < from);
        REQUIRE(std::abs(at - i * from / to) <= 1);
      }
    }
}

TEST_CASE("resizing says what does not fit") {
  check_error([] { ops::resize_nearest(zeros({4, 4}), 2); }, {"[resize_nearest]", "(N,H,W,C)"});
  check_error([] { ops::resize_nearest(zeros({1, 4, 4, 1}), {2, 0}); }, {"[resize_nearest]", "at least 1x1", "(2,0)"});
  check_error([] { ops::resize_bilinear(zeros({1, 0, 4, 1}), 2); }, {"[resize_bilinear]", "at least one pixel", "(1,0,4,1)"});
  check_error([] { ops::resize_bilinear(zeros({1, 2, 4, 1}, DType::boolean), 2); }, {"[resize_bilinear]", "bool"});
  check_error([] { ops::pixel_shuffle(zeros({1, 2, 2, 6}), 2); }, {"[pixel_shuffle]", "4", "(1,2,2,6)"});
  check_error([] { ops::pixel_shuffle(zeros({1, 2, 2, 4}), 0); }, {"[pixel_shuffle]", "r >= 1"});
  check_error([] { ops::pixel_shuffle(zeros({1, 2, 2, 4}), std::int64_t{1} << 32); },
              {"[pixel_shuffle]", "at most 32768", "4294967296"});
}
