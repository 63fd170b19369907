#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sslcake/core/random.hpp>
#include <sslcake/image/decode.hpp>
#include <sslcake/image/png.hpp>

#include "pictures.hpp"

using namespace pictures;

TEST_CASE("what is written is read back exactly") {
  Random random(1, Purpose::test);
  for (const auto& [width, height, channels] :
       {std::array{1, 1, 3}, {7, 5, 3}, {64, 33, 3}, {33, 64, 1}, {1, 300, 3}, {300, 1, 1}}) {
    image::Image noise(width, height, channels), flat(width, height, channels, 200);
    for (auto& v : noise.pixels) v = static_cast<std::uint8_t>(random.below(256));
    for (const auto& picture : {noise, flat}) {
      const auto read = image::decode(image::encode_png(picture));
      REQUIRE(read.width == width);
      REQUIRE(read.height == height);
      for (std::size_t i = 0; i < read.pixels.size(); ++i)
        REQUIRE(read.pixels[i] == picture.pixels[channels == 3 ? i : i / 3]);
    }
  }
}

TEST_CASE("saving, replacing, and what stands in the way") {
  const std::string file = concat("/tmp/sslcake-test-png-", ::getpid(), ".png");
  image::save_png(file, image::Image(3, 2, 3, 10));
  image::save_png(file, image::Image(5, 4, 3, 20));
  CHECK(image::load(file) == image::Image(5, 4, 3, 20));
  CHECK(has(message_of([&] { image::save_png(file + "/inside.png", image::Image(1, 1)); }), "a file, not a folder"));
  ::unlink(file.c_str());
  CHECK(has(message_of([] { image::save_png("/no/such/folder/a.png", image::Image(1, 1)); }), "its folder does not exist"));
  if (::access("/dev/full", W_OK) == 0)
    CHECK(has(message_of([] { image::save_png("/proc/a.png", image::Image(1, 1)); }), "cannot write /proc/a.png"));
  CHECK(has(message_of([] { image::save_png("/tmp/empty.png", image::Image()); }), "at least 1 x 1"));
  CHECK(::access("/tmp/empty.png", F_OK) != 0);
}

TEST_CASE("a link is followed, permissions stay, devices and folders are left alone") {
  std::string folder = "/tmp/sslcake-test-png-XXXXXX";
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  const std::string file = folder + "/a.png", link = folder + "/link.png", pipe = folder + "/pipe.png";
  REQUIRE(::symlink("a.png", link.c_str()) == 0);
  image::save_png(link, image::Image(3, 2, 3, 10));  // leads to no file yet
  CHECK(image::load(file) == image::Image(3, 2, 3, 10));
  REQUIRE(::chmod(file.c_str(), 0600) == 0);
  image::save_png(link, image::Image(4, 3, 3, 20));
  CHECK(image::load(file) == image::Image(4, 3, 3, 20));
  struct stat info {};
  REQUIRE(::lstat(link.c_str(), &info) == 0);
  CHECK(S_ISLNK(info.st_mode));
  REQUIRE(::stat(file.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(has(message_of([&] { image::save_png(folder, image::Image(1, 1)); }), "it is a folder"));
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(has(message_of([&] { image::save_png(pipe, image::Image(1, 1)); }), "no ordinary file"));
  // The system's reasons in words.
  const std::string name(300, 'n');
  CHECK(has(message_of([&] { image::save_png(folder + "/" + name, image::Image(1, 1)); }), std::strerror(ENAMETOOLONG)));
  REQUIRE(::unlink(pipe.c_str()) == 0);
  REQUIRE(::unlink(link.c_str()) == 0);
  REQUIRE(::symlink("link.png", link.c_str()) == 0);
  CHECK(has(message_of([&] { image::save_png(link, image::Image(1, 1)); }), std::strerror(ELOOP)));
  REQUIRE(::unlink(link.c_str()) == 0);
  REQUIRE(::unlink(file.c_str()) == 0);
  CHECK(::rmdir(folder.c_str()) == 0);  // nothing was left aside
}

TEST_CASE("a full disk in the middle of a picture leaves the old one and nothing else") {
  std::string folder = "/tmp/sslcake-test-png-XXXXXX";
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  const std::string file = folder + "/a.png";
  image::save_png(file, image::Image(3, 2, 3, 10));
  Random random(1, Purpose::test);
  image::Image noise(100, 100);
  for (auto& v : noise.pixels) v = static_cast<std::uint8_t>(random.below(256));
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {  // a limit on file sizes makes write() fail as a full disk does
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::_exit(has(message_of([&] { image::save_png(file, noise); }), std::strerror(EFBIG)) ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(image::load(file) == image::Image(3, 2, 3, 10));
  REQUIRE(::unlink(file.c_str()) == 0);
  CHECK(::rmdir(folder.c_str()) == 0);
}

TEST_CASE("pictures that are none") {
  image::Image wrong(2, 2);
  wrong.pixels.pop_back();
  CHECK(has(message_of([&] { image::encode_png(wrong); }), "expected 12 bytes"));
  wrong.channels = 2;
  CHECK(has(message_of([&] { image::encode_png(wrong); }), "1 or 3 channels"));
  CHECK_THROWS_AS(image::Image(-1, 2), Error);
  CHECK_THROWS_AS(image::Image(1, 2, 4), Error);
}
