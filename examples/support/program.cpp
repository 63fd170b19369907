#include "support/program.hpp"

#include <signal.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <sslcake/core/random.hpp>
#include <sslcake/core/threads.hpp>
#include <sslcake/io/files.hpp>
#include <sslcake/kernels/cpu/isa.hpp>
#ifdef SSLCAKE_CUDA
#include <sslcake/kernels/cuda/install.hpp>
#endif

namespace support {
namespace {

volatile sig_atomic_t stop_flag = 0;

void on_signal(int) {
  stop_flag = 1;
  // write() is one of the few functions that a signal handler may call.
  static constexpr char text[] = "\nstopping after this step; once more to leave at once\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, text, sizeof text - 1);
}

/// What computes: "kernels avx2", or the GPU, whose backend is installed here. Errors: why it cannot be used.
std::string device_text([[maybe_unused]] const Options& options) {
#ifdef SSLCAKE_CUDA
  if (options.where() == sslcake::Device::cuda) {
    if (const auto why = sslcake::cuda::why_not(); !why.empty()) sslcake::fail("--device cuda", why);
    return sslcake::cuda::description();
  }
#endif
  return sslcake::concat("kernels ", name_of(sslcake::kernels::isa()));
}

}  // namespace

int main_guard(int argc, char** argv, Options& options, const std::function<void()>& body) {
  const std::string& program = options.program;
  signal(SIGXFSZ, SIG_IGN);  // a file over the limit of `ulimit -f` is an error of write(), told as others are
  try {
    const auto flush = [] {  // what was printed may still be here: a table that could not be written is no success
      if (std::fflush(stdout) != 0 || std::ferror(stdout))
        sslcake::fail("write", "cannot write the results to standard output: ", std::strerror(errno));
    };
    if (!parse(argc, argv, options)) {
      flush();
      return 0;
    }
    sslcake::set_threads(options.threads);
    sslcake::seed(options.seed);
    const bool trains = std::find(options.unused.begin(), options.unused.end(), "--precision") == options.unused.end();
    const std::string precision = trains ? options.precision + ", " : "";
    std::fprintf(stderr, "%s: sslcake %s, %s, %s%d thread%s, seed %llu\n", program.c_str(), SSLCAKE_VERSION_STRING,
                 device_text(options).c_str(), precision.c_str(), sslcake::threads(), sslcake::threads() == 1 ? "" : "s",
                 static_cast<unsigned long long>(options.seed));
    for (const auto& note : options.notes) std::fprintf(stderr, "%s: note: %s\n", program.c_str(), note.c_str());
    body();
    flush();
    return stop_requested() ? 130 : 0;
  } catch (const UsageError& e) {
    std::fprintf(stderr, "%s: %s\n%s --help lists all options\n", program.c_str(), e.what(), program.c_str());
    return 2;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "%s: out of memory; try a smaller --batch, --size or --limit\n", program.c_str());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", program.c_str(), e.what());
  }
  return 1;
}

void prepare_out(const Options& options, std::initializer_list<const char*> files) {
  sslcake::io::make_folders(options.out);
  for (const auto* file : files) const sslcake::io::OutputFile only_opened(options.out + "/" + file);
}

void need_room(const Options& options, std::int64_t bytes) {
  struct statvfs disk {};
  if (statvfs(options.out.c_str(), &disk) != 0) return;  // unknown: writing will tell
  const std::int64_t needed = (bytes + 1023) / 1024;
  const double room = static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize) / 1024;
  if (static_cast<double>(needed) > room)
    sslcake::fail("write", options.out, " is to hold ", needed, " KB, but its disk has only ", static_cast<std::int64_t>(room),
                  " KB left; free some space, or choose another --out");
}

bool stop_requested() { return stop_flag != 0; }
void forget_stop() { stop_flag = 0; }

std::function<bool()> stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);  // the second signal meets the system's own handler
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return stop_requested;
}

std::string one_line(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  const auto letters = [](const std::string& s) {  // UTF-8: continuation bytes take no room
    return static_cast<std::size_t>(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  };
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t j = 0; j < row.size(); ++j) widths[j] = std::max(widths[j], letters(row[j]));
  }
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t j = 0; j < row.size(); ++j) {
      const std::string room(widths[j] - letters(row[j]), ' ');
      out += j == 0 ? row[j] + room : "  " + room + row[j];
    }
    out.erase(out.find_last_not_of(' ') + 1);
    out += '\n';
  }
  return out;
}

std::string percent(double fraction) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * fraction);
  return text;
}

}  // namespace support
