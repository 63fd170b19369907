#include <doctest/doctest.h>

#include "scratch.hpp"
#include "sslcake/data/open.hpp"
#include "sslcake/image/png.hpp"

using namespace sslcake;

TEST_CASE("the built-in set by name") {
  CHECK(data::open("builtin")->size() == 10000);
  CHECK(data::open("builtin", data::Split::test)->size() == 2000);
  CHECK(data::open("builtin", data::Split::unlabeled)->size() == 10000);
  CHECK(data::open("builtin", data::Split::train, {.size = 16})->image(0).width == 16);
  const auto some = data::open("builtin", data::Split::train, {.limit = 20, .seed = 1});
  CHECK(some->size() == 20);
  CHECK(some->name(0) == data::open("builtin", data::Split::train, {.limit = 20, .seed = 1})->name(0));
  CHECK(some->name(19) != data::open("builtin", data::Split::train, {.limit = 20, .seed = 2})->name(19));
}

TEST_CASE("folders by name, with colons in them") {
  const Scratch scratch;
  scratch.write("a:b/cat/1.png", image::encode_png(image::Image(20, 10, 3, 5)));
  scratch.write("a:b/cat/2.gif", "GIF89a, not read");
  const auto set = data::open("folder:" + (scratch / "a:b"), data::Split::train, {.size = 5});
  CHECK(set->size() == 1);
  CHECK(set->image(0).width == 10);
  CHECK(set->skipped().size() == 1);
  CHECK(data::open("folder:" + (scratch / "a:b"), data::Split::train, {.decode_size = 5})->image(0).height == 5);
  CHECK(contains(message_of([&] { data::open("folder:" + (scratch / "a:b"), data::Split::train, {.strict = true}); }), "2.gif"));
}

TEST_CASE("what cannot be opened lists what can") {
  for (const char* wrong : {"imagenet", "", "cifar11:/x", "Builtin", ":"}) {
    const auto message = message_of([&] { data::open(wrong); });
    CHECK(contains(message, "unknown data set '" + std::string(wrong) + "'"));
    CHECK(contains(message, "cifar100:DIR"));
  }
  const Scratch scratch;
  CHECK(contains(message_of([&] { data::open(scratch.path); }), "did you mean folder:" + scratch.path));
  CHECK(contains(message_of([] { data::open("cifar10"); }), "expected a folder after 'cifar10:'"));
  CHECK(contains(message_of([] { data::open("cifar10:"); }), "expected a folder after 'cifar10:'"));
  CHECK(contains(message_of([] { data::open("builtin:x"); }), "'builtin' alone"));
  CHECK(contains(message_of([] { data::open("builtin", data::Split::train, {.limit = -1}); }), "limit"));
  CHECK(contains(message_of([] { data::open("builtin", data::Split::train, {.size = -1}); }), "size"));
  for (const char* kind : {"cifar10:", "cifar100:", "idx:", "stl10:", "folder:"})
    CHECK(contains(message_of([&] { data::open(kind + (scratch / "none")); }), "there is no folder"));
}
