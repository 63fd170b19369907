#include "gradcheck.hpp"
#include "sslcake/ops/embedding.hpp"

using namespace sslcake;
using namespace op_test;

OP_CASE("embedding") {
  const auto lookup = [](const Tensors& x) { return ops::embedding(x[1], x[0]); };
  gradcheck(lookup, {random_input({4, 6}), random_integers({8}, 0, 4)});
  gradcheck(lookup, {random_input({5, 3}), random_integers({2, 3}, 0, 5)});
  gradcheck(lookup, {random_input({1, 1}), random_integers({}, 0, 1)});
  gradcheck(lookup, {random_input({3, 2}), random_integers({0, 2}, 0, 3)});
  gradcheck(lookup, {random_input({3, 0}), random_integers({2}, 0, 3)});
}

TEST_CASE("embedding picks rows and refuses indices that are out of range") {
  const Tensor w = from_vector<float>({3, 2}, {0, 1, 10, 11, 20, 21});
  const Tensor y = ops::embedding(from_vector<std::int64_t>({1, 2}, {2, 0}), w);
  CHECK(y.shape() == Shape{1, 2, 2});
  CHECK(y.to_vector<int>() == std::vector<int>{20, 21, 0, 1});
  check_error(
      [&] {
        ops::embedding(from_vector<std::int64_t>({2}, {0, 3}), w);
      },
      {"[embedding]", "[0,3)", "got 3", "position 1"});
  check_error([&] { ops::embedding(from_vector<std::int64_t>({1}, {-1}), w); }, {"[embedding]", "got -1"});
  check_error([&] { ops::embedding(w, w); }, {"[embedding]", "int64", "float32"});
  check_error([&] { ops::embedding(arange(2), zeros({3})); }, {"[embedding]", "(V,D)"});
}
