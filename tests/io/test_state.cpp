#include <doctest/doctest.h>

#include "scratch.hpp"
#include "sslcake/io/state.hpp"

using namespace sslcake;

namespace {
Parameter parameter(const std::string& name, const Tensor& t, Layout layout = Layout::plain) {
  Parameter p;
  p.name = name;
  p.tensor = t;
  p.layout = layout;
  return p;
}
Tensor counting(const Shape& shape) { return arange(shape.numel()).to(DType::float32).alias(shape); }
}  // namespace

TEST_CASE("weights change the order of their axes at the border, and only they") {
  const Parameters ours{parameter("conv", counting({2, 3, 4, 5}), Layout::conv),
                        parameter("up", counting({2, 3, 4, 5}), Layout::conv_transpose),
                        parameter("plain", counting({2, 3, 4, 5}))};
  const StateDict theirs = io::to_state_dict(ours, io::Axes::theirs);
  for (int k = 0; k < 2; ++k) {
    const Tensor& t = theirs[static_cast<std::size_t>(k)].second;
    REQUIRE(t.shape() == Shape{2, 5, 3, 4});
    for (int o = 0; o < 2; ++o)
      for (int i = 0; i < 5; ++i)
        for (int y = 0; y < 3; ++y)
          for (int x = 0; x < 4; ++x)
            CHECK(t.data<float>()[((o * 5 + i) * 3 + y) * 4 + x] == static_cast<float>(((o * 3 + y) * 4 + x) * 5 + i));
  }
  CHECK(theirs[2].second.shape() == Shape{2, 3, 4, 5});
  const Parameters back{parameter("conv", zeros({2, 3, 4, 5}), Layout::conv),
                        parameter("up", zeros({2, 3, 4, 5}), Layout::conv_transpose), parameter("plain", zeros({2, 3, 4, 5}))};
  io::copy_state("test", back, theirs, {.axes = io::Axes::theirs});
  for (const auto& p : back) CHECK(p.tensor.to_vector<float>() == ours[0].tensor.to_vector<float>());
}

TEST_CASE("all mismatches at once, and nothing changed by a refused copy") {
  const Parameters to{parameter("a", zeros({2})), parameter("b", zeros({3})), parameter("c", zeros({2, 3, 3, 4}), Layout::conv),
                      parameter("n.count", zeros({}))};
  const StateDict from{{"a", ones({2})}, {"b", ones({4})}, {"c", ones({2, 3, 3, 4})}, {"fc.weight", ones({1})}, {"d", ones({})}};
  const std::string message = message_of([&] { io::copy_state("load", to, from, {.axes = io::Axes::theirs}); });
  CHECK(contains(message, "[load]"));
  CHECK(contains(message, "b: expected (3), got (4)"));
  CHECK(contains(message, "c: expected (2,4,3,3), got (2,3,3,4)"));
  CHECK(contains(message, "missing: n.count ()"));
  CHECK(contains(message, "unexpected: fc.weight (1)"));
  CHECK(contains(message, "unexpected: d ()"));
  CHECK(to[0].tensor.to_vector<float>() == std::vector<float>{0, 0});

  const StateDict enough{{"a", ones({2})}, {"b", ones({3}, DType::float64)}, {"c", ones({2, 3, 3, 4})}, {"fc.weight", ones({1})}};
  io::copy_state("load", to, enough, {.ignore = {"fc."}, .may_miss = {"count"}});
  CHECK(to[1].tensor.to_vector<float>() == std::vector<float>{1, 1, 1});
  CHECK(to[1].tensor.dtype() == DType::float32);
  CHECK(to[3].tensor.item() == 0);
  // What is ignored is left alone on both sides, whatever its shape; one name for two tensors is refused.
  const StateDict two{{"a", full({2}, 5)}, {"b", ones({9})}, {"c", ones({2, 3, 3, 4})}};
  io::copy_state("load", to, two, {.ignore = {"b"}, .may_miss = {"count"}});
  CHECK(to[0].tensor.to_vector<float>() == std::vector<float>{5, 5});
  CHECK(to[1].tensor.to_vector<float>() == std::vector<float>{1, 1, 1});
  StateDict twice = enough;
  twice.emplace_back("a", full({2}, 7));
  CHECK(contains(message_of([&] { io::copy_state("load", to, twice, {.ignore = {"fc."}, .may_miss = {"count"}}); }), "twice: a"));
  CHECK(to[0].tensor.to_vector<float>() == std::vector<float>{5, 5});
}
