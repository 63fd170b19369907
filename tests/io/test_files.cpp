#include <doctest/doctest.h>

#include <csignal>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.hpp"
#include "sslcake/io/files.hpp"

using namespace sslcake;

namespace {

/// Runs `body` in a child process, which may change its own limits and user, and returns the message of its Error.
template <class Body>
std::string message_in_child(Body&& body) {
  int pipes[2];
  REQUIRE(pipe(pipes) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const std::string text = message_of(body);
    if (write(pipes[1], text.data(), text.size()) < 0) _exit(3);
    _exit(0);
  }
  close(pipes[1]);
  std::string text;
  char part[512];
  for (ssize_t n; (n = read(pipes[0], part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(n));
  close(pipes[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  return text;
}

}  // namespace

TEST_CASE("write_atomically replaces a file and leaves nothing else") {
  Scratch folder;
  const std::string path = folder / "a.txt";
  io::write_atomically(path, "first");
  CHECK(io::read_file(path) == "first");
  io::write_atomically(path, std::string_view("second\0with zero", 16));
  CHECK(io::read_file(path) == std::string("second\0with zero", 16));
  io::write_atomically(path, "");
  CHECK(io::read_file(path).empty());
  CHECK(folder.files() == 1);
}

TEST_CASE("a file that is not committed never appears") {
  Scratch folder;
  const std::string path = folder / "a.txt";
  io::write_atomically(path, "old");
  {
    io::OutputFile file(path);
    file.write("half of the n");
    CHECK(folder.files() == 2);
    CHECK(io::read_file(path) == "old");
  }
  CHECK(io::read_file(path) == "old");
  CHECK(folder.files() == 1);
  // What a killed process left aside is overwritten, also where it was longer.
  io::write_atomically(path + ".tmp", "left over by a process that was killed");
  io::write_atomically(path, "new");
  CHECK(io::read_file(path) == "new");
  CHECK(folder.files() == 1);
}

TEST_CASE("two writers of one file: the second is refused, and may come later") {
  Scratch folder;
  const std::string path = folder / "a.txt";
  {
    io::OutputFile first(path);
    first.write("first");
    CHECK(contains(message_of([&] { io::OutputFile second(path); }), "another process or thread is writing it"));
    first.commit();
    CHECK(contains(message_of([&] { first.write("more"); }), "committed already"));
  }
  io::write_atomically(path, "second");
  CHECK(io::read_file(path) == "second");
}

TEST_CASE("a symbolic link is followed; folders and devices are no targets") {
  Scratch folder;
  io::write_atomically(folder / "real.txt", "old");
  REQUIRE(symlink("real.txt", (folder / "link.txt").c_str()) == 0);
  io::write_atomically(folder / "link.txt", "new");
  CHECK(io::read_file(folder / "real.txt") == "new");
  struct stat info {};
  REQUIRE(lstat((folder / "link.txt").c_str(), &info) == 0);
  CHECK(S_ISLNK(info.st_mode));
  REQUIRE(symlink("later.txt", (folder / "early.txt").c_str()) == 0);
  io::write_atomically(folder / "early.txt", "now");  // the link stands before its file
  CHECK(io::read_file(folder / "later.txt") == "now");
  REQUIRE(lstat((folder / "early.txt").c_str(), &info) == 0);
  CHECK(S_ISLNK(info.st_mode));
  REQUIRE(symlink("circle.txt", (folder / "circle.txt").c_str()) == 0);
  CHECK(contains(message_of([&] { io::write_atomically(folder / "circle.txt", "x"); }), "one symbolic link to the next"));
  CHECK(contains(message_of([&] { io::write_atomically(folder.path, "x"); }), "it is a folder"));
  CHECK(contains(message_of([&] { io::write_atomically("/dev/full", "x"); }), "not an ordinary file"));
  CHECK(contains(message_of([&] { io::write_atomically(folder / "no/such/a.txt", "x"); }), "no/such does not exist"));
}

TEST_CASE("a file that is replaced keeps its permissions") {
  Scratch folder;
  const std::string path = folder / "secret.txt";
  io::write_atomically(path, "old");
  REQUIRE(chmod(path.c_str(), 0600) == 0);
  io::OutputFile file(path);
  struct stat info {};
  REQUIRE(stat((path + ".tmp").c_str(), &info) == 0);  // nor is it open to others while it is written
  CHECK((info.st_mode & 0777) == 0600);
  file.write("new");
  file.commit();
  REQUIRE(stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  REQUIRE(chmod(path.c_str(), 0444) == 0);
  io::write_atomically(path, "newer");
  REQUIRE(stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0444);
}

TEST_CASE("a full disk leaves the old file valid and no other") {
  Scratch folder;
  const std::string path = folder / "a.bin", old(3000, 'o');
  io::write_atomically(path, old);
  // A limit on file sizes makes write() fail in the middle, as a full disk does.
  const std::string message = message_in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    setrlimit(RLIMIT_FSIZE, &limit);
    io::write_atomically(path, std::string(1 << 20, 'n'));
  });
  CHECK(contains(message, "cannot write " + path));
  CHECK(contains(message, "size limit"));
  CHECK(io::read_file(path) == old);
  CHECK(folder.files() == 1);
  // The device whose every write says "no space left" gives the message of a full disk.
  CHECK(contains(message_of([] { io::append_to_file("/dev/full", "x"); }), "the disk is full"));
}

TEST_CASE("no permission to write") {
  Scratch folder;
  const std::string path = folder / "a.txt";
  io::write_atomically(path, "old");
  REQUIRE(chmod(folder.path.c_str(), 0555) == 0);
  const std::string message = message_in_child([&] {
    if (geteuid() == 0 && setuid(65534) != 0) _exit(4);  // root may write everywhere
    io::write_atomically(path, "new");
  });
  REQUIRE(chmod(folder.path.c_str(), 0755) == 0);
  CHECK(contains(message, "permission denied"));
  CHECK(io::read_file(path) == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("reading: limits, and what is no file") {
  Scratch folder;
  io::write_atomically(folder / "a.txt", "0123456789");
  CHECK(io::read_file(folder / "a.txt", 10) == "0123456789");
  CHECK(contains(message_of([&] { io::read_file(folder / "a.txt", 9); }), "has 10 bytes, more than the limit of 9"));
  CHECK(contains(message_of([&] { io::read_file(folder / "none.txt"); }), "no such file"));
  CHECK(contains(message_of([&] { io::read_file(folder.path); }), "is a folder"));
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(contains(message_of([&] { io::read_file(folder / "pipe"); }), "pipe or device"));  // and does not hang
  const io::InputFile file(folder / "a.txt");
  char four[4];
  file.read(3, four, 4);
  CHECK(std::string(four, 4) == "3456");
  CHECK(contains(message_of([&] { file.read(8, four, 4); }), "ends at byte 10"));
}

TEST_CASE("append_to_file, make_folders, exists") {
  Scratch folder;
  io::make_folders(folder / "a/b//c/");
  io::make_folders(folder / "a/b/c");
  CHECK(io::exists(folder / "a/b/c"));
  CHECK_FALSE(io::exists(folder / "a/d"));
  io::append_to_file(folder / "a/log", "one\n");
  io::append_to_file(folder / "a/log", "two\n");
  CHECK(io::read_file(folder / "a/log") == "one\ntwo\n");
  CHECK(contains(message_of([&] { io::make_folders(folder / "a/log/b"); }), "a file has that name"));
}

TEST_CASE("what a name leads to: file or folder, its size, its real path") {
  Scratch folder;
  io::write_atomically(folder / "b.txt", "12345");
  io::make_folders(folder / "inner");
  REQUIRE(symlink((folder / "b.txt").c_str(), (folder / "link").c_str()) == 0);
  REQUIRE(symlink((folder / "none").c_str(), (folder / "broken").c_str()) == 0);
  CHECK(io::is_file(folder / "link"));
  CHECK_FALSE(io::is_file(folder / "inner"));
  CHECK(io::is_folder(folder / "inner"));
  CHECK(io::is_folder(""));
  CHECK_FALSE(io::is_folder(folder / "broken"));
  CHECK(io::file_size(folder / "link") == 5);
  CHECK(io::file_size(folder / "inner") == -1);
  CHECK(io::file_size(folder / "broken") == -1);
  CHECK(io::real_path(folder / "inner/../link") == io::real_path(folder / "b.txt"));
  CHECK(io::real_path(folder / "broken").empty());
  io::cut_file(folder / "b.txt", 2);
  CHECK(io::read_file(folder / "b.txt") == "12");
  CHECK(contains(message_of([&] { io::cut_file(folder / "none", 0); }), "no such file"));
  io::remove_file(folder / "b.txt");
  io::remove_file(folder / "b.txt");
  CHECK_FALSE(io::exists(folder / "b.txt"));
}

TEST_CASE("list_folder: sorted names, links followed, and why a folder cannot be listed") {
  Scratch folder;
  for (const char* name : {"b", "a", ".hidden"}) io::write_atomically(folder / name, "");
  io::make_folders(folder / "z/inner");
  REQUIRE(symlink((folder / "z").c_str(), (folder / "c").c_str()) == 0);
  const auto found = io::list_folder(folder.path);
  CHECK(found.error.empty());
  CHECK(found.files == std::vector<std::string>{".hidden", "a", "b"});
  CHECK(found.folders == std::vector<std::string>{"c", "z"});
  CHECK(contains(io::list_folder(folder / "none").error, "no such file or folder"));
  CHECK(contains(io::list_folder(folder / "a").error, "not a folder"));
}
