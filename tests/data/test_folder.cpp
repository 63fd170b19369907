#include <doctest/doctest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "scratch.hpp"
#include "sslcake/data/folder.hpp"
#include "sslcake/image/png.hpp"

using namespace sslcake;
namespace fs = std::filesystem;

namespace {

/// While it lives, no file can be opened beyond so many.
struct FewFiles {
  rlimit before{};
  explicit FewFiles(rlim_t most) {
    getrlimit(RLIMIT_NOFILE, &before);
    const rlimit now{most, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &now);
  }
  ~FewFiles() { setrlimit(RLIMIT_NOFILE, &before); }
};

/// A PNG file of one grey level.
std::vector<std::uint8_t> png(std::uint8_t level, int width = 4, int height = 3) {
  return image::encode_png(image::Image(width, height, 3, level));
}

std::vector<std::string> names_of(const data::Dataset& set) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < set.size(); ++i) names.push_back(set.name(i));
  return names;
}

using Names = std::vector<std::string>;
using Labels = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("a flat folder: sorted by bytes, without labels") {
  const Scratch scratch;
  for (const char* name : {"b.png", "a.png", "B.png", "\xc3\xa4 and 'more' \"quotes\".png", "a-1.png", "10.png", "9.png"})
    scratch.write(name, png(1));
  scratch.write("notes.txt", "not a picture");
  scratch.write(".hidden.png", png(2));
  scratch.write(".git/a.png", png(2));
  const data::ImageFolder set(scratch.path);
  CHECK(names_of(set) == Names{"10.png", "9.png", "B.png", "a-1.png", "a.png", "b.png", "\xc3\xa4 and 'more' \"quotes\".png"});
  CHECK(data::labels_of(set) == Labels(7, -1));
  CHECK(set.class_names().empty());
  CHECK(set.skipped().empty());
  CHECK(set.ignored() == 1);
  CHECK(set.image(6).pixels == std::vector<std::uint8_t>(36, 1));
  CHECK(contains(message_of([&] { set.image(7); }), "got 7"));
}

TEST_CASE("the first level of folders is the class, however deep the picture lies") {
  const Scratch scratch;
  scratch.write("dog/1.png", png(1));
  scratch.write("cat/deep/er/2.png", png(2));
  scratch.write("cat/3.png", png(3));
  scratch.write("loose.png", png(4));
  const data::ImageFolder set(scratch.path + "/");
  CHECK(names_of(set) == Names{"cat/3.png", "cat/deep/er/2.png", "dog/1.png", "loose.png"});
  CHECK(data::labels_of(set) == Labels{0, 0, 1, -1});
  CHECK(set.class_names() == Names{"cat", "dog"});
}

TEST_CASE("a level of train, val and test is the split") {
  const Scratch scratch;
  scratch.write("train/b/1.png", png(1));
  scratch.write("train/c/2.png", png(2));
  scratch.write("val/c/3.png", png(3));
  scratch.write("val/a/4.png", png(4));
  const data::ImageFolder train(scratch.path), test(scratch.path, {.split = data::Split::test});
  CHECK(names_of(train) == Names{"train/b/1.png", "train/c/2.png"});
  CHECK(names_of(test) == Names{"val/a/4.png", "val/c/3.png"});
  CHECK(train.class_names() == Names{"a", "b", "c"});  // numbered over all splits
  CHECK(data::labels_of(train) == Labels{1, 2});
  CHECK(data::labels_of(test) == Labels{0, 2});
  CHECK(data::ImageFolder(scratch.path, {.split = data::Split::unlabeled}).size() == 2);
  CHECK(data::has_test_part(scratch.path));

  scratch.write("test/c/5.png", png(5));
  CHECK(names_of(data::ImageFolder(scratch.path, {.split = data::Split::test})) == Names{"test/c/5.png"});
  scratch.write("notes/readme.png", png(6));  // another folder beside train and val makes no difference
  CHECK(data::ImageFolder(scratch.path).size() == 2);

  // Without classes below the split.
  const Scratch flat;
  flat.write("train/1.png", png(1));
  flat.write("train/2.png", png(1));
  CHECK(data::labels_of(data::ImageFolder(flat.path)) == Labels{-1, -1});
  CHECK(contains(message_of([&] { data::ImageFolder(flat.path, {.split = data::Split::test}); }), "found only 'train'"));
  CHECK(!data::has_test_part(flat.path));

  // A class that is called train.
  const Scratch vehicles;
  vehicles.write("train/1.png", png(1));
  vehicles.write("bus/1.png", png(1));
  const data::ImageFolder both(vehicles.path);
  CHECK(both.class_names() == Names{"bus", "train"});
  CHECK(!data::has_test_part(vehicles.path));
  CHECK(!data::has_test_part(vehicles.path + "/missing"));
  CHECK(contains(message_of([&] { data::ImageFolder(vehicles.path, {.split = data::Split::test}); }), "hold some of them out"));
}

TEST_CASE("content decides, not the name; what claims to be a picture and is none is named") {
  const Scratch scratch;
  scratch.write("png.jpg", png(1));
  scratch.write("without", png(2));
  scratch.write("photo.JPG", "no picture");
  scratch.write("empty.png", "");
  scratch.write("anim.gif", std::string("GIF89a") + std::string(20, '\1'));
  scratch.write("list.csv", "a,b");
  const data::ImageFolder set(scratch.path);
  CHECK(names_of(set) == Names{"png.jpg", "without"});
  const auto skipped = set.skipped();
  REQUIRE(skipped.size() == 3);
  CHECK(skipped[0].name == "anim.gif");
  CHECK(contains(skipped[0].reason, "found GIF"));
  CHECK(skipped[1].name == "empty.png");
  CHECK(contains(skipped[1].reason, "empty"));
  CHECK(skipped[2].name == "photo.JPG");
  CHECK(set.ignored() == 1);

  const auto message = message_of([&] { data::ImageFolder(scratch.path, {.strict = true}); });
  CHECK(contains(message, "3 files"));
  CHECK(contains(message, "photo.JPG"));
}

TEST_CASE("a picture that turns out to be unreadable later is named then") {
  const Scratch scratch;
  scratch.write("a.png", png(1));
  auto cut = png(2, 50, 50);
  cut.resize(cut.size() - 20);
  scratch.write("b.png", cut);
  const data::ImageFolder set(scratch.path);
  CHECK(set.size() == 2);
  CHECK(set.skipped().empty());
  for (int round = 0; round < 2; ++round) {
    bool passed_over = false;
    try {
      set.image(1);
    } catch (const data::UnreadablePicture& error) {
      passed_over = contains(error.what(), "b.png");
    }
    CHECK(passed_over);
    CHECK(set.skipped().size() == 1);
  }
  const data::ImageFolder strict(scratch.path, {.strict = true});
  bool ends_the_run = false;
  try {
    strict.image(1);
  } catch (const data::UnreadablePicture&) {
  } catch (const Error& error) {
    ends_the_run = contains(error.what(), "b.png");
  }
  CHECK(ends_the_run);
}

TEST_CASE("where the system, not the picture, is why it cannot be read, the picture is tried again") {
  const Scratch scratch;
  scratch.write("a.png", png(1));
  scratch.write("b.png", png(2));
  const data::ImageFolder set(scratch.path);
  std::string message;
  bool passed_over = false;
  try {
    const FewFiles none(0);
    set.image(1);
  } catch (const data::UnreadablePicture&) {
    passed_over = true;
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK_FALSE(passed_over);
  CHECK(contains(message, "b.png: cannot be read: "));
  CHECK(set.skipped().empty());
  CHECK(set.image(1).width > 0);
  for (rlim_t most = 4; most < 12; ++most) {  // the same while the folder is looked through
    std::int64_t found = 2;
    const auto text = message_of([&] {
      const FewFiles few(most);
      found = data::ImageFolder(scratch.path).size();
    });
    CHECK(found == 2);
    if (!text.empty())
      CHECK((contains(text, "cannot list") || contains(text, "cannot open") || contains(text, "cannot be read")));
  }
}

TEST_CASE("a picture that is gone is one; where others are gone too, it is no picture's fault") {
  const Scratch scratch;
  for (const char* name : {"in/a.png", "in/b.png", "in/c.png"}) scratch.write(name, png(1));
  const data::ImageFolder set(scratch / "in");
  fs::remove(scratch / "in/b.png");
  CHECK_THROWS_AS(set.image(1), data::UnreadablePicture);
  CHECK(set.skipped().size() == 1);
  fs::rename(scratch / "in", scratch / "away");
  for (int i = 0; i < 2; ++i)
    CHECK_THROWS_WITH_AS(set.image(0), doctest::Contains("can no longer be opened, and others neither"), TemporaryError);
  CHECK(set.skipped().size() == 1);
  fs::rename(scratch / "away", scratch / "in");
  CHECK(set.image(0).width > 0);
}

TEST_CASE("names that resemble those of splits are not taken for classes") {
  const std::pair<const char*, const char*> pairs[] = {{"train", "valid"}, {"Train", "Test"}, {"training", "validation"}};
  for (const auto& [train, test] : pairs) {
    const Scratch scratch;
    scratch.write(concat(train, "/cat/1.png"), png(1));
    scratch.write(concat(test, "/cat/1.png"), png(1));
    scratch.write("more/cat/1.png", png(1));
    CHECK(contains(message_of([&] { data::ImageFolder(scratch.path); }),
                   concat("to be called 'train', 'val' and 'test', found '", train, "' and '", test, "'")));
    CHECK(data::ImageFolder(scratch / train).size() == 1);
  }
}

TEST_CASE("missing, empty and useless folders have messages of their own") {
  const Scratch scratch;
  CHECK(contains(message_of([&] { data::ImageFolder(scratch / "none"); }), "there is no folder"));
  CHECK(contains(message_of([] { data::ImageFolder("~/none"); }), "write $HOME"));
  CHECK(contains(message_of([&] { data::ImageFolder(scratch.path); }), "is empty"));
  scratch.write("a.txt", "text");
  CHECK(contains(message_of([&] { data::ImageFolder(scratch / "a.txt"); }), "is a file"));
  auto message = message_of([&] { data::ImageFolder(scratch.path); });
  CHECK(contains(message, "no JPEG, PNG or BMP picture among the 1 files"));
  scratch.write("a.webp", "RIFF....WEBPVP8 ");
  CHECK(contains(message_of([&] { data::ImageFolder(scratch.path); }), "a.webp: "));
  auto cut = png(2, 50, 50);
  cut.resize(60);
  scratch.write("cut/1.png", cut);
  scratch.write("cut/2.png", cut);
  message = message_of([&] { data::ImageFolder(scratch.path); });
  CHECK(contains(message, "none of the 2 pictures"));
  CHECK(contains(message, "cut/1.png"));
  // Folders with nothing in them.
  CHECK(contains(message_of([&] { data::ImageFolder(scratch.folder("hollow/inner") + "/.."); }), "among the 0 files"));
}

TEST_CASE("links are followed and may loop") {
  const Scratch scratch;
  scratch.write("a/1.png", png(1));
  scratch.write("elsewhere.png", png(2));
  fs::create_directory_symlink("..", scratch / "a/up");
  fs::create_directory_symlink(".", scratch / "a/self");
  fs::create_symlink("../elsewhere.png", scratch / "a/linked.png");
  fs::create_symlink("nowhere.png", scratch / "a/broken.png");
  const data::ImageFolder set(scratch.path);
  CHECK(names_of(set) == Names{"a/1.png", "a/linked.png", "elsewhere.png"});
  REQUIRE(set.skipped().size() == 1);
  CHECK(set.skipped()[0].name == "a/broken.png");
}

TEST_CASE("a folder or file without permission is named") {
  if (geteuid() == 0) {
    MESSAGE("skipped: the superuser may read everything");
    return;
  }
  const Scratch scratch;
  scratch.write("a.png", png(1));
  scratch.write("b.png", png(1));
  scratch.write("locked/c.png", png(1));
  fs::permissions(scratch / "b.png", fs::perms::none);
  fs::permissions(scratch / "locked", fs::perms::none);
  const data::ImageFolder set(scratch.path);
  CHECK(set.size() == 1);
  CHECK(set.skipped().size() == 2);
  fs::permissions(scratch / "locked", fs::perms::owner_all);
}

TEST_CASE("large pictures are reduced as they are read") {
  const Scratch scratch;
  scratch.write("wide.png", png(7, 90, 30));
  scratch.write("tall.png", png(7, 15, 60));
  const data::ImageFolder set(scratch.path, {.short_side = 10});
  CHECK(set.image(0).width == 10);
  CHECK(set.image(0).height == 40);
  CHECK(set.image(1).width == 30);
  CHECK(set.image(1).height == 10);
  CHECK(set.image(1).pixels == std::vector<std::uint8_t>(900, 7));
  CHECK(data::ImageFolder(scratch.path, {.short_side = 16}).image(0).width == 15);
}

TEST_CASE("decode_size: at a fraction while the shorter side stays that long, and not below short_side") {
  const Scratch scratch;
  scratch.write("wide.png", png(7, 60, 41));
  const auto size_of = [&](const data::FolderOptions& options) {
    const auto picture = data::ImageFolder(scratch.path, options).image(0);
    CHECK(picture.pixels == std::vector<std::uint8_t>(picture.pixels.size(), 7));
    return std::pair(picture.width, picture.height);
  };
  CHECK(size_of({.decode_size = 22}) == std::pair(60, 41));
  CHECK(size_of({.decode_size = 21}) == std::pair(30, 21));
  CHECK(size_of({.decode_size = 11}) == std::pair(15, 11));
  CHECK(size_of({.short_side = 15, .decode_size = 1}) == std::pair(21, 15));
  CHECK(contains(message_of([&] { size_of({.decode_size = -1}); }), "decode_size of at least 1, or 0 to decode in full, got -1"));
  CHECK(contains(message_of([&] { size_of({.short_side = -5}); }), "short_side of at least 1, or 0 to keep the size, got -5"));
}

TEST_CASE("photographs: a folder with train and val") {
  const auto folder = real_data("caltech101-112");
  if (folder.empty()) {
    MESSAGE("skipped: set SSLCAKE_DATA to the folder that holds caltech101-112/");
    return;
  }
  const data::ImageFolder train(folder), test(folder, {.split = data::Split::test});
  CHECK(train.size() == 2403);
  CHECK(test.size() == 585);
  CHECK(train.class_names().size() == 43);
  CHECK(train.class_names() == test.class_names());
  CHECK(data::has_labels(train));
  CHECK(std::min(train.image(0).width, train.image(0).height) == 112);
}

TEST_CASE("hostile pictures: what a folder of them gives is readable, and the rest is named") {
  const auto folder = real_data("hostile-images");
  if (folder.empty()) {
    MESSAGE("skipped: set SSLCAKE_DATA to the folder that holds hostile-images/");
    return;
  }
  const data::ImageFolder set(folder);
  std::int64_t readable = 0, unreadable = 0;
  for (std::int64_t i = 0; i < set.size(); ++i) {
    try {
      readable += set.image(i).pixels.size() > 0;
    } catch (const data::UnreadablePicture&) {
      ++unreadable;
    }
  }
  CHECK(readable > 100);
  CHECK(unreadable > 20);
  CHECK(readable + unreadable == set.size());
  std::int64_t gifs = 0;
  for (const auto& file : set.skipped()) gifs += contains(file.reason, "found GIF");
  CHECK(gifs > 5);
  CHECK(static_cast<std::int64_t>(set.skipped().size()) > unreadable);
}
