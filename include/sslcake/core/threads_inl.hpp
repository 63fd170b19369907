#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#endif

#include "error.hpp"
#include "threads.hpp"

namespace sslcake::inline v0 {
namespace detail {

inline thread_local bool inside_pool = false;  // a nested parallel call runs serially

/// Workers sleep on a condition variable; a job is a counter from which everyone, the caller too, takes chunk numbers.
class ThreadPool {
 public:
  explicit ThreadPool(int size) : size_(size) { start(); }
  ~ThreadPool() { stop(); }

  static ThreadPool& instance() { return *place(); }

  int size() const { return size_; }

  void resize(int n) {
    const std::lock_guard turn(use_);
    stop();
    size_ = n < 1 ? default_size() : n;
    start();
  }

  void run(std::int64_t count, ChunkFn body) {
    // Somebody else's job is running: their threads are busy, ours does the work alone.
    std::unique_lock turn(use_, std::defer_lock);
    if (size_ == 1 || !turn.try_lock()) {
      const SerialScope serial;
      for (std::int64_t i = 0; i < count; ++i) body(i);
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      body_ = &body;
      count_ = count;
      next_.store(0, std::memory_order_relaxed);
      error_ = nullptr;
      running_ = static_cast<int>(workers_.size());
      ++job_;
    }
    wake_.notify_all();
    work(body, count);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return running_ == 0; });
    body_ = nullptr;
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  /// fork() copies the pool, but not its threads: the child leaves that pool alone (its locks may be held by nobody, its
  /// workers cannot be joined) and gets one without workers, until it calls set_threads.
  static std::unique_ptr<ThreadPool>& place() {
    static std::unique_ptr<ThreadPool> pool = [] {
      ::pthread_atfork(nullptr, nullptr, [] {
        static_cast<void>(place().release());
        place() = std::make_unique<ThreadPool>(1);
      });
      return std::make_unique<ThreadPool>(default_size());
    }();
    return pool;
  }

  static int default_size() {
#if defined(__linux__)
    cpu_set_t set;  // respects taskset and cpusets, which hardware_concurrency may not
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    const auto n = std::thread::hardware_concurrency();
    return n ? static_cast<int>(n) : 1;
  }

  void start() {
    quit_ = false;
    try {
      for (int i = 1; i < size_; ++i) workers_.emplace_back([this, seen = job_] { loop(seen); });
    } catch (const std::exception&) {  // the system gives no more of them: the results are the same with fewer
      size_ = static_cast<int>(workers_.size()) + 1;
    }
  }
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      quit_ = true;
    }
    wake_.notify_all();
    for (auto& w : workers_) w.join();
    workers_.clear();
  }

  void loop(std::uint64_t seen) {
    inside_pool = true;
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return quit_ || job_ != seen; });
      if (quit_) return;
      seen = job_;
      const ChunkFn* body = body_;
      const std::int64_t count = count_;
      lock.unlock();
      work(*body, count);
      lock.lock();
      if (--running_ == 0) done_.notify_one();
    }
  }

  void work(const ChunkFn& body, std::int64_t count) {
    const bool outer = std::exchange(inside_pool, true);
    for (;;) {
      const auto i = next_.fetch_add(1, std::memory_order_relaxed);
      if (i >= count) break;
      try {
        body(i);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
        next_.store(count, std::memory_order_relaxed);  // the rest is not started
      }
    }
    inside_pool = outer;
  }

  std::mutex use_;    // held by whoever owns the pool for one job
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  const ChunkFn* body_ = nullptr;
  std::int64_t count_ = 0;
  std::atomic<std::int64_t> next_{0};
  std::exception_ptr error_;
  int running_ = 0, size_ = 1;
  std::uint64_t job_ = 0;
  bool quit_ = false;
};

}  // namespace detail

SSLCAKE_INLINE void parallel_chunks(std::int64_t count, ChunkFn body) {
  // The flag is looked at before the lock: a nested call must not try to lock what its own thread holds.
  if (count <= 1 || detail::inside_pool) {
    for (std::int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  detail::ThreadPool::instance().run(count, body);
}

SSLCAKE_INLINE void parallel_for(std::int64_t n, std::int64_t grain, RangeFn body) {
  const std::int64_t chunks = chunk_count(n, grain);
  parallel_chunks(chunks, [&](std::int64_t c) { body(n * c / chunks, n * (c + 1) / chunks); });
}

SSLCAKE_INLINE SerialScope::SerialScope() : before_(std::exchange(detail::inside_pool, true)) {}
SSLCAKE_INLINE SerialScope::~SerialScope() { detail::inside_pool = before_; }

SSLCAKE_INLINE int threads() { return detail::ThreadPool::instance().size(); }
SSLCAKE_INLINE void set_threads(int n) {
  if (detail::inside_pool)
    fail("set_threads", "called from inside parallel work, whose threads it would wait for; call it before");
  detail::ThreadPool::instance().resize(n);
}

}  // namespace sslcake::inline v0
