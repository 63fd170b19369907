#include <doctest/doctest.h>

#include <sslcake/core/storage.hpp>
#include <sslcake/core/threads.hpp>
#include <sslcake/nn/encoder.hpp>
#include <sslcake/ops/shape_ops.hpp>
#include <sslcake/optim/sgd.hpp>
#include <sslcake/pretext/simclr.hpp>

#include <string>

using namespace sslcake;

namespace {

/// Steps of SimCLR on the same random pictures, one after the other.
class Steps {
 public:
  explicit Steps(DType dtype)
      : task_(nn::make_encoder("cakenet-w8", {.stem = nn::Stem::small})),
        optimizer_(task_.parameters(), {.lr = 0.01, .momentum = 0.9}) {
    Random random(1, Purpose::test);
    batch_.images = ops::cast(random_normal({32, 32, 32, 3}, random), dtype);
    batch_.views = 2;
    for (const auto& part : task_.modules()) part.train(true);
  }
  /// How often the system was asked for memory meanwhile.
  std::uint64_t take(int count) {
    const auto before = memory_stats().from_system;
    for (int i = 0; i < count; ++i) {
      optimizer_.zero_grad();
      backward(task_.loss(batch_).loss);
      optimizer_.step();
    }
    return memory_stats().from_system - before;
  }

 private:
  pretext::SimCLR<nn::AnyEncoder> task_;
  optim::SGD optimizer_;
  data::Batch batch_;
};

}  // namespace

TEST_CASE("a steady step asks the system for no memory") {
  const int before = threads();
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    CAPTURE(std::string(name_of(dtype)));
    Steps steps(dtype);
    set_threads(1);
    release_cached_memory();  // of what ran before
    CHECK(steps.take(3) > 0);
    CHECK(steps.take(10) == 0);
    // With more threads it is up to the system's scheduler which workspaces are first held at the same time: ten steps in
    // a row must come soon.
    set_threads(2);
    std::uint64_t asked = 1;
    for (int i = 0; i < 10 && asked > 0; ++i) asked = steps.take(10);
    CHECK(asked == 0);
  }
  set_threads(before);
}
