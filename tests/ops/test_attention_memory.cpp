#include <algorithm>

#include "fixture.hpp"
#include "sslcake/core/storage.hpp"
#include "sslcake/ops/attention.hpp"

using namespace sslcake;
using namespace op_test;

TEST_CASE("attention never holds the whole score matrix, forward or backward") {
  constexpr std::int64_t tokens = 2048, heads = 2, width = heads * 16;
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    CAPTURE(std::string(name_of(dtype)));
    Tensor qkv = random_input({1, tokens, 3 * width}, 1).to(dtype);
    qkv.set_requires_grad();
    const Tensor dy = random_input({1, tokens, width}, 2).to(dtype);
    const auto before = memory_stats().in_use;
    reset_peak_memory();
    const Tensor y = ops::attention(qkv, heads);
    backward(y, dy);
    const auto used = memory_stats().peak - before;
    CHECK(used < sizeof(float) * tokens * tokens / 2);  // the matrix of one head alone would be 16 MB
    const auto numbers = qkv.grad().to_vector<double>();
    CHECK(std::any_of(numbers.begin(), numbers.end(), [](double v) { return v != 0; }));
  }
}
