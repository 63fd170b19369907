#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "sslcake/core/error.hpp"
#include "sslcake/core/threads.hpp"

using namespace sslcake;

namespace {
/// Sets the number of threads for one test.
struct WithThreads {
  explicit WithThreads(int n) : before(threads()) { set_threads(n); }
  ~WithThreads() { set_threads(before); }
  int before;
};
}  // namespace

TEST_CASE("every chunk runs exactly once, with any number of threads") {
  for (const int n : {1, 2, 3, 8}) {
    const WithThreads scope(n);
    CHECK(threads() == n);
    for (const std::int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
      parallel_chunks(count, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
      bool once = true;
      for (const auto& r : runs) once &= r == 1;
      CHECK(once);
    }
  }
  parallel_chunks(-3, [](std::int64_t) { FAIL("no work"); });
}

TEST_CASE("how work is cut depends on the work alone") {
  CHECK(chunk_count(0, 10) == 0);
  CHECK(chunk_count(-5, 10) == 0);
  CHECK(chunk_count(1, 10) == 1);
  CHECK(chunk_count(11, 10) == 2);
  CHECK(chunk_count(1000000, 10) == 64);
  CHECK(chunk_count(1000000, 10, 7) == 7);
  CHECK(chunk_count(5, 0) == 5);
  std::set<std::pair<std::int64_t, std::int64_t>> cuts[2];
  for (const int k : {0, 1}) {
    const WithThreads scope(k ? 3 : 1);
    std::mutex mutex;
    parallel_for(1003, 100, [&](std::int64_t begin, std::int64_t end) {
      const std::lock_guard lock(mutex);
      cuts[k].insert({begin, end});
    });
  }
  CHECK(cuts[0] == cuts[1]);
  std::int64_t expected = 0;
  for (const auto& [begin, end] : cuts[0]) {
    CHECK(begin == expected);
    expected = end;
  }
  CHECK(expected == 1003);
}

TEST_CASE("several threads really work") {
  const WithThreads scope(3);
  std::atomic<int> inside{0}, most{0};
  parallel_chunks(3, [&](std::int64_t) {
    const int now = ++inside;
    int seen = most;
    while (now > seen && !most.compare_exchange_weak(seen, now)) {}
    for (int i = 0; i < 2000 && inside < 3 && most < 3; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    --inside;
  });
  CHECK(most >= 2);
}

TEST_CASE("nested parallel work runs, serially") {
  const WithThreads scope(3);
  std::atomic<int> total{0};
  parallel_chunks(10, [&](std::int64_t) {
    const auto me = std::this_thread::get_id();
    parallel_chunks(10, [&](std::int64_t) {
      total += std::this_thread::get_id() == me;
      parallel_chunks(2, [&](std::int64_t) { ++total; });
    });
  });
  CHECK(total == 300);
}

TEST_CASE("several callers at once: each gets its own work done") {
  const WithThreads scope(3);
  std::vector<std::thread> callers;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        std::vector<int> values(17);
        parallel_chunks(17, [&](std::int64_t i) { values[static_cast<std::size_t>(i)] = static_cast<int>(i); });
        int sum = 0;
        for (const int v : values) sum += v;
        right += sum == 136;
      }
    });
  for (auto& c : callers) c.join();
  CHECK(right == 800);
}

TEST_CASE("an exception from any thread arrives at the caller, and the pool works on") {
  for (const int n : {1, 3}) {
    const WithThreads scope(n);
    for (int round = 0; round < 20; ++round) {
      CHECK_THROWS_WITH_AS(parallel_chunks(50,
                                           [&](std::int64_t i) {
                                             if (i == round) throw std::runtime_error("chunk failed");
                                           }),
                           "chunk failed", std::runtime_error);
      std::atomic<int> runs{0};
      parallel_chunks(50, [&](std::int64_t) { ++runs; });
      CHECK(runs == 50);
    }
  }
}

TEST_CASE("set_threads from inside parallel work is an error, not a deadlock") {
  const WithThreads scope(2);
  CHECK_THROWS_AS(parallel_chunks(4, [](std::int64_t) { set_threads(1); }), Error);
  CHECK(threads() == 2);
  set_threads(1);
  CHECK_THROWS_AS(parallel_chunks(4, [](std::int64_t) { set_threads(2); }), Error);
  set_threads(0);
  CHECK(threads() >= 1);
}

TEST_CASE("a serial scope keeps a thread's work on that thread") {
  const WithThreads scope(3);
  const SerialScope serial;
  const auto me = std::this_thread::get_id();
  int here = 0;
  parallel_chunks(20, [&](std::int64_t) { here += std::this_thread::get_id() == me; });
  CHECK(here == 20);
}

namespace {
/// Runs `body` in a forked child and returns whether it came back true within 20 seconds.
template <class Body>
bool true_in_child(Body&& body) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(20);  // kills one that hangs
    bool right = false;
    try {
      right = body();
    } catch (...) {
    }
    _exit(right ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
bool all_chunks_run() {
  std::atomic<int> runs{0};
  parallel_chunks(100, [&](std::int64_t) { ++runs; });
  return runs == 100;
}
/// Emulators of one process (QEMU) end where a forked child starts threads, and ignore limits of address space.
[[maybe_unused]] bool emulated() {
  if (!std::getenv("SSLCAKE_EMULATED")) return false;
  MESSAGE("skipped: an emulator gives no threads to a forked child");
  return true;
}
}  // namespace

TEST_CASE("a forked child works alone, until it asks for threads of its own") {
  const WithThreads scope(3);
  REQUIRE(all_chunks_run());
  CHECK(true_in_child([] { return threads() == 1 && all_chunks_run(); }));
#if !defined(__SANITIZE_THREAD__)  // which refuses threads in such a child
  if (!emulated())
    CHECK(true_in_child([] {
      set_threads(2);
      return threads() == 2 && all_chunks_run() && true_in_child([] { return threads() == 1 && all_chunks_run(); });
    }));
#endif
  CHECK(threads() == 3);
  CHECK(all_chunks_run());
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // these need much address space
TEST_CASE("where the system gives fewer threads, those do the work") {
  if (emulated()) return;
  CHECK(true_in_child([] {
    set_threads(1);
    rlimit room{};
    long pages = 0;
    if (FILE* file = std::fopen("/proc/self/statm", "r")) {
      if (std::fscanf(file, "%ld", &pages) != 1) pages = 0;
      std::fclose(file);
    }
    // Stacks of 8 MiB: a few fit, hundreds do not.
    room.rlim_cur = room.rlim_max = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE)) + (100 << 20);
    if (pages == 0 || setrlimit(RLIMIT_AS, &room) != 0) return false;
    set_threads(1000);
    return threads() > 1 && threads() < 1000 && all_chunks_run();
  }));
}
#endif
