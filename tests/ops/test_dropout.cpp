#include <cmath>

#include "gradcheck.hpp"
#include "sslcake/core/threads.hpp"
#include "sslcake/ops/dropout.hpp"

using namespace sslcake;
using namespace op_test;

OP_CASE("dropout") {
  for (const Shape& s : usual_shapes())
    gradcheck([](const Tensors& x) {
      seed(3);  // the same mask at every call
      return ops::dropout(x[0], 0.4, true);
    }, {random_input(s)});
}

TEST_CASE("dropout keeps the mean, drops the wanted share, and is another mask at every call") {
  const std::int64_t n = 100001;
  for (const double p : {0.1, 0.5, 0.9}) {
    seed(1);
    const auto y = ops::dropout(ones({n}), p, true).to_vector<double>(),
               again = ops::dropout(ones({n}), p, true).to_vector<double>();
    double dropped = 0, both = 0;
    bool scaled = true;
    for (std::size_t i = 0; i < y.size(); ++i) {
      dropped += y[i] == 0;
      both += y[i] == 0 && again[i] == 0;
      scaled &= y[i] == 0 || std::abs(y[i] - 1 / (1 - p)) < 1e-6 / (1 - p);
    }
    CHECK(scaled);
    const double deviation = std::sqrt(n * p * (1 - p));
    CHECK(std::abs(dropped - n * p) < 5 * deviation);
    CHECK(std::abs(both - n * p * p) < 5 * std::sqrt(n * p * p));  // independent masks
    seed(1);
    CHECK(ops::dropout(ones({n}), p, true).to_vector<double>() == y);
  }
  seed(0);
}

TEST_CASE("dropout: mask for any number of threads, in every type; edges") {
  const int before = threads();
  set_threads(1);
  seed(5);
  const Tensor one = ops::dropout(ones({50001}), 0.3, true);
  set_threads(3);
  seed(5);
  CHECK(same_bits(ops::dropout(ones({50001}), 0.3, true), one));
  seed(5);
  CHECK(ops::dropout(ones({50001}, DType::bfloat16), 0.3, true).to_vector<bool>() == one.to_vector<bool>());
  set_threads(before);
  seed(0);

  const Tensor x = random_input({7}, 1);
  CHECK(ops::dropout(x, 0.5, false).shares_storage_with(x));
  CHECK(ops::dropout(x, 0, true).shares_storage_with(x));
  CHECK(ops::dropout(x, 1, true).to_vector<double>() == std::vector<double>(7, 0.0));
  check_error([&] { ops::dropout(x, 1.5, true); }, {"[dropout]", "[0,1]", "1.5"});
  check_error([&] { ops::dropout(x, std::nan(""), false); }, {"[dropout]"});
  check_error([&] { ops::dropout(arange(3), 0.5, true); }, {"[dropout]", "int64"});
}
