#include "fixture.hpp"
#include "sslcake/ops/shape_ops.hpp"

using namespace sslcake;
using namespace op_test;

OP_CASE("reshape") {
  gradcheck([](const Tensors& x) { return ops::reshape(x[0], {6, -1}); }, {random_input({4, 6})});
  gradcheck([](const Tensors& x) { return ops::reshape(x[0], {5, 3}); }, {random_input({3, 5})});
  gradcheck([](const Tensors& x) { return ops::reshape(x[0], Shape{}); }, {random_input({1, 1})});
  gradcheck([](const Tensors& x) { return ops::reshape(x[0], {3, 0, 2}); }, {random_input({0, 3})});
}
OP_CASE("flatten") {
  for (const Shape& s : {Shape{2, 4, 6}, Shape{3, 5, 7}, Shape{1, 1, 1}, Shape{0, 3, 2}})
    for (const int first : {0, 1})
      gradcheck([=](const Tensors& x) { return ops::flatten(x[0], first); }, {random_input(s)});
}
OP_CASE("permute") {
  gradcheck([](const Tensors& x) { return ops::permute(x[0], {1, 0}); }, {random_input({4, 6})});
  gradcheck([](const Tensors& x) { return ops::permute(x[0], {2, 0, -2}); }, {random_input({3, 5, 7})});
  gradcheck([](const Tensors& x) { return ops::permute(x[0], {0, 3, 1, 2}); }, {random_input({2, 1, 3, 2})});
  gradcheck([](const Tensors& x) { return ops::permute(x[0], {2, 0, 1}); }, {random_input({0, 3, 2})});
  gradcheck([](const Tensors& x) { return ops::permute(x[0], {}); }, {random_input({})});
}
OP_CASE("transpose") {
  for (const Shape& s : {Shape{2, 4, 6}, Shape{3, 5, 7}, Shape{1, 1}, Shape{0, 3, 2}})
    gradcheck([](const Tensors& x) { return ops::transpose(x[0], 0, -1); }, {random_input(s)});
}
OP_CASE("concat") {
  for (const int axis : {0, 1, -1})
    gradcheck([=](const Tensors& x) { return ops::concat(x, axis); },
              {random_input({2, 3, 4}, 1), random_input({2, 3, 4}, 2), random_input({2, 3, 4}, 3)});
  gradcheck([](const Tensors& x) { return ops::concat(x, 1); },
            {random_input({3, 5}, 1), random_input({3, 1}, 2), random_input({3, 0}, 3)});
  gradcheck([](const Tensors& x) { return ops::concat({x[0], x[0]}, 1); }, {random_input({3, 5}, 1)});
}
OP_CASE("stack") {
  for (const Shape& s : {Shape{4, 6}, Shape{3, 5}, Shape{1, 1}, Shape{0, 3}})
    for (const int axis : {0, 1})
      gradcheck([=](const Tensors& x) { return ops::stack(x, axis); }, {random_input(s, 1), random_input(s, 2)});
}
OP_CASE("slice") {
  gradcheck([](const Tensors& x) { return ops::slice(x[0], 0, 1, 3); }, {random_input({4, 6})});
  gradcheck([](const Tensors& x) { return ops::slice(x[0], 1, 1, -1); }, {random_input({3, 5, 7})});
  gradcheck([](const Tensors& x) { return ops::slice(x[0], -1, 0, 1); }, {random_input({2, 1})});
  gradcheck([](const Tensors& x) { return ops::slice(x[0], 0, 2, 2); }, {random_input({4, 3})});
  gradcheck([](const Tensors& x) { return ops::slice(x[0], 1, 0, 2); }, {random_input({0, 3})});
}
OP_CASE("pad") {
  gradcheck([](const Tensors& x) { return ops::pad(x[0], {{1, 2}, {0, 3}}, 0.5); }, {random_input({4, 6})});
  gradcheck([](const Tensors& x) { return ops::pad(x[0], {{0, 0}, {2, 0}, {1, 1}}); }, {random_input({3, 5, 2})});
  gradcheck([](const Tensors& x) { return ops::pad(x[0], {{0, 0}, {0, 0}}); }, {random_input({1, 1})});
  gradcheck([](const Tensors& x) { return ops::pad(x[0], {{1, 0}, {0, 1}}); }, {random_input({0, 3})});
}
OP_CASE("index_select") {
  const Tensor index = from_vector<std::int64_t>({4}, {2, 0, 2, 1});
  for (const int axis : {0, 1, 2})
    gradcheck([=](const Tensors& x) { return ops::index_select(x[0], x[1], axis); }, {random_input({3, 4, 5}), index});
  gradcheck([](const Tensors& x) { return ops::index_select(x[0], x[1]); }, {random_input({1, 1}), zeros({3}, DType::int64)});
  gradcheck([](const Tensors& x) { return ops::index_select(x[0], x[1]); }, {random_input({4, 3}), zeros({0}, DType::int64)});
  gradcheck([](const Tensors& x) { return ops::index_select(x[0], x[1], 1); }, {random_input({0, 3}), index});
}
OP_CASE("gather") {
  for (const int axis : {0, 1, 2}) {
    Shape shape{3, 4, 5};
    shape[axis] = 2;
    gradcheck([=](const Tensors& x) { return ops::gather(x[0], x[1], axis); },
              {random_input({3, 4, 5}), random_integers(shape, 0, 3)});
  }
  gradcheck([](const Tensors& x) { return ops::gather(x[0], x[1], 0); }, {random_input({1, 1}), zeros({3, 1}, DType::int64)});
  gradcheck([](const Tensors& x) { return ops::gather(x[0], x[1], 1); }, {random_input({0, 3}), zeros({0, 2}, DType::int64)});
}
OP_CASE("cast") {  // to float32 and back: the numbers lose digits, so steps must be wider than a float's
  for (const Shape& s : usual_shapes())
    gradcheck([](const Tensors& x) { return ops::cast(ops::cast(x[0], DType::float32), DType::float64); }, {random_input(s)},
              {1e-3, 1e-3, 1e-3});
}

TEST_CASE("shape functions agree with PyTorch") {
  const auto axis = [](const FixtureCase& c) { return static_cast<int>(c.integer("axis")); };
  replay("shape_ops", {
    {"permute", [](const FixtureCase& c) { return ops::permute(c["x"], c.integers("axes")); }},
    {"transpose", [](const FixtureCase& c) { return ops::transpose(c["x"], c.integers("axes")[0], c.integers("axes")[1]); }},
    {"concat", [=](const FixtureCase& c) { return ops::concat({c["a"], c["b"]}, axis(c)); }},
    {"stack", [=](const FixtureCase& c) { return ops::stack({c["a"], c["b"]}, axis(c)); }},
    {"slice", [=](const FixtureCase& c) { return ops::slice(c["x"], axis(c), c.integer("begin"), c.integer("end")); }},
    {"pad", [](const FixtureCase& c) {
       std::vector<std::pair<std::int64_t, std::int64_t>> amounts;
       for (std::size_t i = 0; i < 6; i += 2) amounts.emplace_back(c.integer("amounts", i), c.integer("amounts", i + 1));
       return ops::pad(c["x"], amounts, c.number("value"));
     }},
    {"index_select", [=](const FixtureCase& c) { return ops::index_select(c["x"], c["index"], axis(c)); }},
    {"gather", [=](const FixtureCase& c) { return ops::gather(c["x"], c["index"], axis(c)); }},
  });
}

TEST_CASE("permute over random shapes and types equals a plain index loop") {
  Random random(5, Purpose::test);
  for (int round = 0; round < 100; ++round) {
    Shape shape;
    std::vector<int> axes;
    const int rank = 1 + static_cast<int>(random.below(5));
    for (int d = 0; d < rank; ++d) {
      shape.push_back(1 + random.below(4));
      axes.insert(axes.begin() + random.below(static_cast<std::uint32_t>(d + 1)), d);
    }
    const DType type = std::vector<DType>{DType::uint8, DType::bfloat16, DType::float32, DType::int64}[random.below(4)];
    const Tensor x = arange(shape.numel()).alias(shape).to(type), y = ops::permute(x, axes);
    const auto from = x.to_vector<int>(), to = y.to_vector<int>();
    bool right = true;
    for (std::int64_t i = 0; i < y.numel(); ++i) {
      std::int64_t rest = i, at = 0;
      for (int d = rank - 1; d >= 0; --d) {
        at += rest % y.dim(d) * shape.span(axes[static_cast<std::size_t>(d)] + 1, rank);
        rest /= y.dim(d);
      }
      right &= to[static_cast<std::size_t>(i)] == from[static_cast<std::size_t>(at)];
    }
    CHECK(right);
    // The inverse brings every number back.
    std::vector<int> inverse(axes.size());
    for (std::size_t d = 0; d < axes.size(); ++d) inverse[static_cast<std::size_t>(axes[d])] = static_cast<int>(d);
    CHECK(same_bits(ops::permute(y, inverse), x));
  }
}

TEST_CASE("reshape and leading slices share their numbers, other slices do not") {
  const Tensor x = random_input({4, 3});
  CHECK(ops::reshape(x, {12}).shares_storage_with(x));
  CHECK(ops::slice(x, 0, 1, 3).shares_storage_with(x));
  CHECK_FALSE(ops::slice(x, 1, 1, 3).shares_storage_with(x));
  CHECK(ops::slice(x, 0, 1, 3).to_vector<double>() == std::vector<double>(x.data<double>() + 3, x.data<double>() + 9));
}

TEST_CASE("shape functions take other types, and cast converts") {
  const Tensor x = from_vector<std::int64_t>({2, 2}, {1, 2, 3, 4});
  CHECK(ops::transpose(x, 0, 1).to_vector<int>() == std::vector<int>{1, 3, 2, 4});
  CHECK(ops::concat({x, x}, 1).to_vector<int>() == std::vector<int>{1, 2, 1, 2, 3, 4, 3, 4});
  CHECK(ops::pad(x, {{0, 0}, {1, 0}}, 9).to_vector<int>() == std::vector<int>{9, 1, 2, 9, 3, 4});
  CHECK(ops::cast(from_vector<float>({2}, {1.75f, -1.75f}), DType::int64).to_vector<int>() == std::vector<int>{1, -1});
  Tensor leaf = random_input({3}).to(DType::float32).clone();
  leaf.set_requires_grad();
  CHECK_FALSE(ops::cast(leaf, DType::int64).requires_grad());
  const Tensor half = ops::cast(leaf, DType::bfloat16);
  backward(half, ones({3}, DType::bfloat16));
  CHECK(leaf.grad().dtype() == DType::float32);
  CHECK(leaf.grad().to_vector<double>() == std::vector<double>{1, 1, 1});
}

TEST_CASE("shape functions refuse what does not fit") {
  const Tensor x = zeros({2, 3});
  check_error([&] { ops::reshape(x, {4, 2}); }, {"[reshape]", "6 elements", "(2,3)", "(4,2)"});
  check_error([&] { ops::reshape(x, {4, -1}); }, {"[reshape]", "-1"});
  check_error([&] { ops::reshape(x, {-1, -1}); }, {"[reshape]", "at most one -1"});
  check_error([&] { ops::reshape(zeros({0}), {0, -1}); }, {"[reshape]", "-1"});
  check_error([&] { ops::permute(x, {0}); }, {"[permute]", "2 axes"});
  check_error([&] { ops::permute(x, {0, -2}); }, {"[permute]", "once"});
  check_error([&] { ops::transpose(x, 0, 2); }, {"[transpose]", "(2,3)", "got 2"});
  check_error([&] { ops::concat({}, 0); }, {"[concat]", "at least one"});
  check_error([&] { ops::concat({x, zeros({3, 3})}, 1); }, {"[concat]", "(2,3)", "(3,3)"});
  check_error([&] { ops::concat({x, zeros({2, 3}, DType::float64)}); }, {"[concat]", "float64"});
  check_error([&] { ops::stack({x, zeros({3, 2})}); }, {"[stack]", "(3,2)"});
  check_error([&] { ops::slice(x, 1, 2, 4); }, {"[slice]", "[2,4)", "(2,3)"});
  check_error([&] { ops::slice(x, 1, 2, 1); }, {"[slice]"});
  check_error([&] { ops::slice(x, 2, 0, 1); }, {"[slice]", "got 2"});
  check_error([&] { ops::pad(x, {{1, 1}}); }, {"[pad]", "2 pairs"});
  check_error([&] { ops::pad(x, {{1, 1}, {-1, 0}}); }, {"[pad]", "-1"});
  check_error([&] { ops::index_select(x, from_vector<std::int64_t>({1}, {2})); }, {"[index_select]", "[0,2)", "got 2"});
  check_error([&] { ops::index_select(x, zeros({1})); }, {"[index_select]", "int64", "float32"});
  check_error([&] { ops::gather(x, zeros({3, 3}, DType::int64), 1); }, {"[gather]", "(3,3)"});
  check_error([&] { ops::cast(Tensor{}, DType::float32); }, {"[cast]", "undefined"});
}
