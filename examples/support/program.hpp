// What every program does around its work: errors become one line and an exit code, Ctrl-C becomes a polite request,
// progress becomes lines on the terminal. All of it is here and not in the library, which prints and catches nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "support/options.hpp"

namespace sslcake {
inline namespace v0 {
namespace train {
struct Progress;
}
}  // namespace v0
}  // namespace sslcake

namespace support {

/// Reads the command line, sets threads and seed, prints one line about kernels and threads, and runs `body`.
/// Returns the exit code: 0; 1 after an exception, printed as "simclr: [open] ..."; 2 after a mistake on the command line;
/// 130 after a stop by signal.
int main_guard(int argc, char** argv, Options& options, const std::function<void()>& body);

/// Makes --out and finds out whether these files can be written there: to be called before the work whose results they are
/// to hold. Errors: sslcake::Error.
void prepare_out(const Options& options, std::initializer_list<const char*> files);
/// Finds out whether there is room for so many bytes in --out, which exists. Errors: sslcake::Error.
void need_room(const Options& options, std::int64_t bytes);

/// True once SIGINT (Ctrl-C) or SIGTERM came, if `stop_on_signals` was called. A second signal ends the program at once.
bool stop_requested();
/// What was asked for came too late: the work is done.
void forget_stop();
/// From now on the signals ask for a stop instead of ending the program. Returns `stop_requested`, for the trainer:
/// `{.stop = support::stop_on_signals()}`. Programs without a loop that asks should leave the signals alone.
std::function<bool()> stop_on_signals();

/// Prints what the trainer tells: on a terminal one line that is rewritten, elsewhere a plain line every few seconds; one
/// line per epoch that stays; notes and warnings. On stderr, so that stdout holds results only.
std::function<void(const sslcake::train::Progress&)> progress_printer();

/// The text without line breaks, for lists of names.
std::string one_line(std::string text);
/// Rows as a table with aligned columns, the first to the left, the others to the right.
std::string table(const std::vector<std::vector<std::string>>& rows);
/// 0.6254 -> "62.5 %".
std::string percent(double fraction);

}  // namespace support
