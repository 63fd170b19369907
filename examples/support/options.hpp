// The command line that all programs share. A program names its defaults and its own options in one value:
//
//   int main(int argc, char** argv) {
//     double temperature = 0.5;
//     support::Options options{.program = "simclr", .about = "Pretrains ...", .out = "runs/simclr", .epochs = 100};
//     options.extras = {{"--temperature", &temperature, "temperature of the loss", 1e-4, 100}};
//     return support::main_guard(argc, argv, options, [&] { ... });      // program.hpp
//   }
//
// An option is set, in this order of precedence, on the command line, by --config (a config.json that an earlier run
// wrote), or by the program's default. CLI11 stays behind this interface, so that a program compiles fast.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include <sslcake/core/dtype.hpp>

namespace support {

/// What an option writes to. bool: a flag without value. vector: the option takes one or more values.
using Target = std::variant<bool*, int*, std::int64_t*, std::uint64_t*, float*, double*, std::string*, std::vector<std::string>*>;

/// An option of one program.
struct Extra {
  std::string name;  // "--temperature"
  Target target;
  std::string help;
  double low = -1e300, high = 1e300;       // of numbers; NaN and infinity are always refused
  std::vector<std::string> choices = {};   // of texts; empty: any
};

struct Options {
  std::string program = "program", about = {};
  std::string data = "builtin";
  std::string out = {};
  std::string encoder = {};
  std::int64_t epochs = 100, batch = 256;
  std::string optimizer = "sgd";
  double lr = 0.06;
  std::uint64_t seed = 0;
  int threads = 0;  // 0: all CPUs
  std::string device = "cpu", precision = "float32";  // or auto, for programs that `settle` it
  std::int64_t limit = 0;  // 0: all pictures
  std::int64_t size = 0;   // side of the network's input in pixels; 0: as the data set or the encoder says
  int workers = 0;         // loader threads; 0: as many as compute, none for sets in memory
  bool strict = false, scaled_decode = false, resume = false;
  std::string config = {};

  std::vector<Extra> extras = {};
  std::vector<std::string> unused = {};  // common options that mean nothing to this program: accepted, with a note
  std::string encoder_help = "encoder: a name such as resnet18 or resnet18-w16";
  std::string lr_help = {};              // what to say more of --lr
  bool encoder_is_name = false;          // refuse names that the library does not know
  std::function<void()> settle = {};     // called at the end of `parse`: defaults that depend on other options

  std::vector<std::string> given = {};   // filled by `parse`: names of the options on the command line or in --config
  std::vector<std::string> notes = {};   // filled by `parse`: what the user should know, to be printed
  std::size_t given_by_config = 0;       // so many of `given`, the first, come from --config
  sslcake::Device where() const;  // --device
  bool was_given(const std::string& name) const;
  bool was_typed(const std::string& name) const;  // on the command line
};

/// A mistake on the command line: the message names the option, what it expects and what it got. Exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Reads the command line into `options`. Returns false where only help or the version was asked for, and printed.
/// Errors: UsageError.
bool parse(int argc, char** argv, Options& options);

/// config.json: every option as it was used, and what else a repetition needs to know (library version, kernels, threads),
/// with `facts` (a JSON object as text, or empty) beside them. Written into `options.out`, which is made if missing.
void save_config(const Options& options, const std::string& facts = {});
/// A textual option ("data") in the config.json of a run's folder; empty where it does not say. Errors: sslcake::Error for
/// a damaged file.
std::string stored_option(const std::string& run, const std::string& name);
/// The same as save_config for programs that measure or use what a run left: in the folder of a run its own config.json stays.
void save_config_of_use(const Options& options);

}  // namespace support
