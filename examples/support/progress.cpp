#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <sslcake/train/progress.hpp>

#include "support/program.hpp"

namespace support {
namespace {

int terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::function<void(const sslcake::train::Progress&)> progress_printer() {
  using Clock = std::chrono::steady_clock;
  struct State {
    bool terminal = isatty(STDERR_FILENO) != 0;
    bool open_line = false;  // a line is on the terminal that will be rewritten
    Clock::time_point last{};
  };
  return [state = std::make_shared<State>()](const sslcake::train::Progress& p) {
    using Kind = sslcake::train::Progress::Kind;
    std::string line = sslcake::train::format(p);
    const bool transient = p.kind == Kind::step;
    if (!state->terminal && transient) {
      if (Clock::now() - state->last < std::chrono::seconds(10)) return;
      state->last = Clock::now();
    }
    if (!state->terminal) {
      std::fprintf(stderr, "%s\n", line.c_str());
    } else if (transient) {
      // A line that wraps cannot be rewritten.
      line.resize(std::min(line.size(), static_cast<std::size_t>(terminal_width() - 1)));
      std::fprintf(stderr, "\r\x1b[2K%s", line.c_str());
      state->open_line = true;
    } else {
      std::fprintf(stderr, "%s%s\n", state->open_line ? "\r\x1b[2K" : "", line.c_str());
      state->open_line = false;
    }
    std::fflush(stderr);
  };
}

}  // namespace support
