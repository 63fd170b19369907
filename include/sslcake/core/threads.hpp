// The thread pool. Results must not depend on how many threads there are, so work is always cut into chunks whose
// number depends on the amount of work alone; which thread runs a chunk is left to chance, what it computes is not.
// A reduction writes one partial result per chunk and combines them in index order afterwards.
#pragma once

#include <cstdint>
#include <type_traits>

#include "config.hpp"

namespace sslcake::inline v0 {

/// Number of threads that compute (the caller included). Default: the CPUs this process may run on (a quota of their time, as
/// `docker --cpus` sets it, is not known here). Fewer where the system refuses to start them; 1 in a forked child.
int threads();
/// Sets it; n < 1 means the default again. Not to be called while work is running; from inside of it, an Error.
void set_threads(int n);

/// While it lives, parallel calls from this thread run serially and leave the pool to the others: for threads that
/// work in the background (loaders), which would otherwise take the pool from the computation beside them.
class SerialScope {
 public:
  SerialScope();
  ~SerialScope();
  SerialScope(const SerialScope&) = delete;
  SerialScope& operator=(const SerialScope&) = delete;

 private:
  bool before_;
};

namespace detail {
/// A view of a callable: two pointers, no allocation. Lives only as long as the call it is passed to.
template <class... Args>
class FunctionView {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionView>)
  FunctionView(F&& f)  // NOLINT: implicit on purpose
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* o, Args... args) { (*static_cast<std::remove_reference_t<F>*>(o))(args...); }) {}
  void operator()(Args... args) const { call_(object_, args...); }

 private:
  void* object_;
  void (*call_)(void*, Args...);
};
}  // namespace detail

using ChunkFn = detail::FunctionView<std::int64_t>;                // (chunk)
using RangeFn = detail::FunctionView<std::int64_t, std::int64_t>;  // (begin, end)

/// Runs `body(i)` for every i in [0, count), in any order, on all threads. An exception thrown by a body is rethrown
/// here (the first one). Calls from inside a body, or while another thread uses the pool, run serially.
void parallel_chunks(std::int64_t count, ChunkFn body);

/// How many chunks of about `grain` items `n` items are cut into: a function of n and grain only.
inline std::int64_t chunk_count(std::int64_t n, std::int64_t grain, std::int64_t most = 64) {
  if (n <= 0) return 0;
  if (grain < 1) grain = 1;
  const std::int64_t wanted = (n - 1) / grain + 1;
  return wanted < most ? wanted : most;
}

/// Runs `body(begin, end)` over [0, n) cut into chunks of at least about `grain` items.
void parallel_for(std::int64_t n, std::int64_t grain, RangeFn body);

}  // namespace sslcake::inline v0

#ifndef SSLCAKE_COMPILED
#include "threads_inl.hpp"
#endif
