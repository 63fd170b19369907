// A folder and the loader together: a file that turns out to be unreadable in the middle of training.
#include <doctest/doctest.h>

#include "scratch.hpp"
#include "sslcake/data/folder.hpp"
#include "sslcake/data/loader.hpp"
#include "sslcake/image/png.hpp"

using namespace sslcake;

TEST_CASE("training goes on past unreadable files, which are counted and named, and batches stay the same") {
  const Scratch scratch;
  for (int i = 0; i < 24; ++i) {
    auto bytes = image::encode_png(image::Image(10 + i, 12, 3, static_cast<std::uint8_t>(10 * i)));
    if (i == 7 || i == 8 || i == 20) bytes.resize(bytes.size() - 15);
    scratch.write("class" + std::to_string(i % 2) + "/" + std::to_string(10 + i) + ".png", bytes);
  }
  const auto recipe = augment::Recipe{8}.then(augment::RandomResizedCrop{});
  std::vector<std::vector<float>> reference;
  for (const int workers : {1, 4, 0}) {
    const auto set = std::make_shared<data::ImageFolder>(scratch.path);
    CHECK(set->size() == 24);
    data::Loader loader(set, {{recipe}, {recipe}}, {.batch = 6, .seed = 2, .workers = workers});
    std::size_t number = 0;
    for (int epoch = 0; epoch < 2; ++epoch) {
      loader.start(epoch);
      for (data::Batch batch; loader.next(batch); ++number) {
        CHECK(batch.size() == 6);
        auto values = batch.images.to_vector<float>();
        if (workers == 1) reference.push_back(std::move(values));
        else CHECK(reference[number] == values);
        for (std::size_t k = 0; k < 6; ++k)
          CHECK(batch.labels.data<std::int64_t>()[k] == set->label(batch.indices[k]));
      }
    }
    CHECK(number == 8);
    REQUIRE(set->skipped().size() == 3);
    CHECK(set->skipped()[0].name == "class0/18.png");
    CHECK(loader.dataset().skipped().size() == 3);
  }

  const auto strict = std::make_shared<data::ImageFolder>(scratch.path, data::FolderOptions{.strict = true});
  data::Loader loader(strict, {{recipe}}, {.batch = 24, .workers = 2});
  data::Batch batch;
  CHECK(contains(message_of([&] { loader.next(batch); }), "cannot read"));
}
