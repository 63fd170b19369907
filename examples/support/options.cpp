#include "support/options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <sslcake/core/threads.hpp>
#include <sslcake/image/jpeg_decoder.hpp>
#include <sslcake/io/files.hpp>
#include <sslcake/io/json.hpp>
#include <sslcake/kernels/cpu/isa.hpp>
#include <sslcake/nn/encoder.hpp>

namespace support {
namespace {

using sslcake::io::Json;

/// The common options, then the program's own: one table for the command line, --help, --config and config.json.
std::vector<Extra> table(Options& o) {
  std::vector<Extra> all = {
      {"--data", &o.data, "pictures: builtin, cifar10:DIR, cifar100:DIR, idx:DIR, stl10:DIR or folder:DIR"},
      {"--out", &o.out, "folder for everything that is written"},
      {"--encoder", &o.encoder, o.encoder_help},
      {"--epochs", &o.epochs, "passes over the pictures", 1, 1e6},
      {"--batch", &o.batch, "pictures per step", 1, 1e7},
      {"--optimizer", &o.optimizer, "sgd, adam, adamw, lars or muon", 0, 0, {"sgd", "adam", "adamw", "lars", "muon"}},
      {"--lr", &o.lr, "learning rate at its highest" + o.lr_help, 1e-12, 1e4},
      {"--seed", &o.seed, "of everything that is drawn at random"},
      {"--threads", &o.threads, "computing threads; 0: one per CPU. The results do not depend on it", 0, 1024},
      {"--device", &o.device, "cpu, or cuda in a build with -DSSLCAKE_CUDA=ON", 0, 0, {"cpu", "cuda"}},
      {"--precision",
       &o.precision,
       "of activations in training: float32, bfloat16 (half the memory), or auto: bfloat16 on a GPU or where the CPU multiplies "
       "it; with "
       "--resume what the run began with",
       0,
       0,
       {"auto", "float32", "bfloat16"}},
      {"--limit", &o.limit, "use at most so many pictures of each part; 0: all", 0, 1e15},
      {"--size", &o.size, "side of the network's input in pixels; 0: as the encoder or the data set says", 0, 4096},
      {"--workers", &o.workers, "threads that load pictures; 0: as many as compute, none for sets in memory", 0, 256},
      {"--strict", &o.strict, "an unreadable picture is an error, not a warning"},
      {"--scaled-decode", &o.scaled_decode,
       "folders: decode large pictures at 1/2, 1/4 or 1/8 before they are reduced; faster, other pixels"},
      {"--resume", &o.resume, "continue the run in --out, bit for bit as if it had never stopped"},
  };
  all.insert(all.end(), o.extras.begin(), o.extras.end());
  return all;
}

std::string text_of(const Target& target) {
  return std::visit([](auto* p) -> std::string {
    using T = std::remove_pointer_t<decltype(p)>;
    if constexpr (std::is_same_v<T, std::string>) return *p;
    else if constexpr (std::is_same_v<T, std::vector<std::string>>) return "";
    else return sslcake::concat(*p);
  }, target);
}

std::string range(const Extra& option, bool whole) {
  const auto number = [whole](double v) { return whole ? sslcake::concat(static_cast<std::int64_t>(v)) : sslcake::concat(v); };
  if (option.low > -1e300 && option.high < 1e300) return " from " + number(option.low) + " to " + number(option.high);
  if (option.low > -1e300) return " of at least " + number(option.low);
  return option.high < 1e300 ? " of at most " + number(option.high) : "";
}

/// The whole text as a number of type T within the option's range.
template <class T>
T number(const Extra& option, const std::string& text) {
  T value{};
  const char *begin = text.data(), *end = begin + text.size();
  if (begin != end && *begin == '+') ++begin;
  const auto [stop, error] = std::from_chars(begin, end, value);
  double low = option.low, high = option.high;
  bool finite = true;
  if constexpr (std::is_floating_point_v<T>) {
    constexpr double largest = std::numeric_limits<T>::max();
    finite = std::fabs(value) <= std::numeric_limits<T>::max();
    if (std::fabs(low) <= largest) low = static_cast<T>(low);  // 0.01 as a float is below 0.01
    if (std::fabs(high) <= largest) high = static_cast<T>(high);
  }
  const bool in_range = static_cast<double>(value) >= low && static_cast<double>(value) <= high;  // false for NaN
  if (error != std::errc{} || stop != end || text.empty() || !in_range || !finite)
    throw UsageError(
        option.name + " expects " + (std::is_floating_point_v<T> ? "a number" : "a whole number") +
        (std::is_same_v<T, std::uint64_t> ? " from 0 to 18446744073709551615" : range(option, !std::is_floating_point_v<T>)) +
        ", got \"" + text + "\"");
  return value;
}

void set(const Extra& option, const std::vector<std::string>& values) {
  const std::string& text = values.back();
  std::visit([&](auto* p) {
    using T = std::remove_pointer_t<decltype(p)>;
    if constexpr (std::is_same_v<T, bool>) {
      if (text != "true" && text != "false") throw UsageError(option.name + " expects true or false, got \"" + text + "\"");
      *p = text == "true";
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!option.choices.empty() && std::find(option.choices.begin(), option.choices.end(), text) == option.choices.end()) {
        std::string known;
        for (const auto& c : option.choices) known += (known.empty() ? "" : c == option.choices.back() ? " or " : ", ") + c;
        throw UsageError(option.name + " expects " + known + ", got \"" + text + "\"");
      }
      *p = text;
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      *p = values;
    } else {
      *p = number<T>(option, text);
    }
  }, option.target);
}

/// Number of single-letter changes between two words (Levenshtein), to guess what an unknown option was meant to be.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j)
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])}));
  }
  return row.back();
}

[[noreturn]] void refuse_unknown(const std::string& argument, const std::vector<Extra>& options) {
  const bool truth = argument == "true" || argument == "false";
  if (!argument.starts_with("-"))
    throw UsageError("expected options only, got \"" + argument + '"' +
                     (truth ? "; a switch takes it after =, as in --strict=" + argument : ""));
  const std::string name = argument.substr(0, argument.find('='));
  const auto nearest = std::min_element(options.begin(), options.end(), [&](const Extra& a, const Extra& b) {
    return distance(a.name, name) < distance(b.name, name);
  });
  const bool near = distance(nearest->name, name) <= 2;
  throw UsageError("unknown option " + name + (near ? " (did you mean " + nearest->name + "?)" : ""));
}

/// Whether an option of one program says the same to another: the pictures and the machine do, the training does not.
bool common_to_programs(const std::string& name) {
  static const char* const common[] = {"--data", "--limit", "--size", "--scaled-decode", "--strict",
                                       "--seed", "--threads", "--workers", "--device"};
  return std::find(std::begin(common), std::end(common), name) != std::end(common);
}

/// Applies the options that an earlier run wrote into its config.json.
void apply_config(Options& o, const std::vector<Extra>& options) {
  std::vector<std::string> foreign;
  const std::pair<const char*, std::string> here[] = {{"kernels", name_of(sslcake::kernels::isa())},
                                                      {"jpeg_decoder", name_of(sslcake::image::jpeg_decoder())}};
  try {
    const Json file = Json::parse(sslcake::io::read_file(o.config, 1 << 20));
    const Json* stored = file.is_object() ? file.find("options") : nullptr;
    if (!stored || !stored->is_object()) throw UsageError("expected a config.json that a run wrote, with a member \"options\"");
    const Json* writer = file.find("program");
    const bool other = writer && writer->is_string() && writer->as_string() != o.program;
    for (const auto& [key, value] : stored->members()) {
      const std::string name = "--" + key;
      const auto option = std::find_if(options.begin(), options.end(), [&](const Extra& e) { return e.name == name; });
      std::vector<std::string> values;
      if (value.is_array())
        for (const auto& item : value.items()) values.push_back(item.is_string() ? item.as_string() : item.dump());
      else values = {value.is_string() ? value.as_string() : value.dump()};
      if (option == options.end() || (other && !common_to_programs(name))) foreign.push_back(name);
      else if (!values.empty()) {
        set(*option, values);
        o.given.push_back(name);
      }
    }
    for (const auto& [key, now] : here)
      if (const Json* before = file.find(key); before && before->is_string() && before->as_string() != now)
        o.notes.push_back("not bit for bit as in " + o.config + ": " + key + " " + before->as_string() + " there and " + now +
                          " here");
  } catch (const std::exception& e) {
    throw UsageError("--config " + o.config + ": " + e.what());
  }
  if (!foreign.empty()) {
    std::string names;
    for (const auto& f : foreign) names += " " + f;
    o.notes.push_back("of " + o.config + " not used here:" + names);
  }
}

/// Whether nn::make_encoder knows the name: "resnet18", "resnet18-w16".
void check_encoder_name(const std::string& name) {
  const std::string problem = sslcake::nn::encoder_name_problem(name);
  if (!problem.empty()) throw UsageError("--encoder: " + problem);
}

/// Options go into config.json, and JSON holds Unicode only: other bytes would come back as something else.
void check_text(const std::string& name, const std::string& text) {
  if (!sslcake::io::is_utf8(text))
    throw UsageError(name + " expects text in UTF-8, got \"" + text + "\"; give the folder another name, or make a link to it");
}

void check(const Options& o) {
  check_text("--data", o.data);
  check_text("--out", o.out);
  check_text("--encoder", o.encoder);
  for (const auto& e : o.extras)
    if (const auto* text = std::get_if<std::string*>(&e.target)) check_text(e.name, **text);
  if (o.encoder_is_name) check_encoder_name(o.encoder);
#ifndef SSLCAKE_CUDA
  if (o.where() == sslcake::Device::cuda)
    throw UsageError("--device cuda: this build has no CUDA backend; use --device cpu, or build with -DSSLCAKE_CUDA=ON");
#endif
  if (o.out.empty()) throw UsageError("--out expects a folder, got nothing; --out . is the current one");
  if (o.data.empty())
    throw UsageError("--data expects builtin, cifar10:DIR, cifar100:DIR, idx:DIR, stl10:DIR or folder:DIR, got nothing");
}

}  // namespace

sslcake::Device Options::where() const {
  const bool matters = std::find(unused.begin(), unused.end(), "--device") == unused.end();
  return matters && device == "cuda" ? sslcake::Device::cuda : sslcake::Device::cpu;
}
bool Options::was_given(const std::string& name) const { return std::find(given.begin(), given.end(), name) != given.end(); }
bool Options::was_typed(const std::string& name) const {
  return std::find(given.begin() + static_cast<std::ptrdiff_t>(given_by_config), given.end(), name) != given.end();
}

bool parse(int argc, char** argv, Options& o) {
  const std::vector<Extra> options = table(o);
  const auto is_unused = [&](const std::string& name) {
    return std::find(o.unused.begin(), o.unused.end(), name) != o.unused.end();
  };

  CLI::App app(o.about, o.program);
  app.set_help_flag("-h,--help", "print this and leave");
  app.set_version_flag("--version", "sslcake " SSLCAKE_VERSION_STRING, "print the version and leave");
  app.allow_extras();
  app.add_option("--config", o.config, "a config.json of an earlier run: its options are the defaults")->type_name("FILE");
  std::vector<std::vector<std::string>> values(options.size());
  std::vector<CLI::Option*> handles;
  for (std::size_t i = 0; i < options.size(); ++i) {
    const auto& option = options[i];
    const std::string help = is_unused(option.name) ? "(no meaning for this program)" : option.help;
    if (std::holds_alternative<bool*>(option.target)) {
      handles.push_back(app.add_flag(option.name, help));
      continue;
    }
    const bool many = std::holds_alternative<std::vector<std::string>*>(option.target);
    const bool textual = many || std::holds_alternative<std::string*>(option.target);
    auto* handle = app.add_option(option.name, values[i], help);
    handle->expected(1, many ? -1 : 1)->allow_extra_args(many)->type_name(textual ? "TEXT" : "NUMBER");
    if (!many) handle->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    if (!is_unused(option.name)) handle->default_str(text_of(option.target));
    handles.push_back(handle);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return false;
  } catch (const CLI::CallForVersion&) {
    std::puts("sslcake " SSLCAKE_VERSION_STRING);
    return false;
  } catch (const CLI::ParseError& e) {
    throw UsageError(e.what());
  }
  const auto refuse_option_as_value = [](const std::string& name, const std::string& value) {
    if (value.starts_with("--")) throw UsageError(name + " expects a value, got the option " + value);
  };
  refuse_option_as_value("--config", o.config);
  for (std::size_t i = 0; i < options.size(); ++i)
    for (const auto& value : values[i]) refuse_option_as_value(options[i].name, value);
  if (const auto left = app.remaining(); !left.empty()) refuse_unknown(left.front(), options);
  if (!o.config.empty()) apply_config(o, options);
  o.given_by_config = o.given.size();
  const std::string optimizer_before = o.optimizer;
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (handles[i]->count() == 0) continue;
    set(options[i], std::holds_alternative<bool*>(options[i].target) ? handles[i]->results() : values[i]);
    o.given.push_back(options[i].name);
    if (is_unused(options[i].name))
      o.notes.push_back(options[i].name + " has no meaning for " + o.program + " and changes nothing");
  }
  if (o.optimizer != optimizer_before)  // rates belong to their optimiser: those of --config were another's
    for (const std::string name : {"--lr", "--weight-decay", "--momentum"})
      if (!o.was_typed(name)) o.given_by_config -= std::erase(o.given, name);
  check(o);
  if (o.settle) o.settle();
  return true;
}

void save_config(const Options& options, const std::string& facts) {
  Options copy = options;  // the table wants to be able to write
  Json stored = Json::object();
  for (const auto& option : table(copy)) {
    if (option.name == "--resume" || option.name == "--out") continue;  // facts of one start, not of the run
    std::visit([&](auto* p) {
      using T = std::remove_pointer_t<decltype(p)>;
      // JSON's integers end at 2^63.
      if constexpr (std::is_same_v<T, std::uint64_t>) stored.set(option.name.substr(2), std::to_string(*p));
      else stored.set(option.name.substr(2), *p);
    }, option.target);
  }
  Json file = Json::object();
  file.set("program", options.program).set("version", "sslcake " SSLCAKE_VERSION_STRING).set("options", std::move(stored));
  file.set("kernels", name_of(sslcake::kernels::isa())).set("threads", sslcake::threads());
  file.set("jpeg_decoder", name_of(sslcake::image::jpeg_decoder()));
  for (const char* name : {"SSLCAKE_FUSE", "SSLCAKE_WINOGRAD"})  // switches that change the last bits
    if (const char* value = std::getenv(name)) file.set(name, value);
  if (!facts.empty()) {
    const Json more = Json::parse(facts);  // by name: a temporary would not outlive the loop's head
    for (const auto& [key, value] : more.members()) file.set(key, value);
  }
  sslcake::io::make_folders(options.out);
  sslcake::io::write_atomically(options.out + "/config.json", file.dump(2) + "\n");
}

std::string stored_option(const std::string& run, const std::string& name) {
  const std::string path = run + "/config.json";
  if (!sslcake::io::exists(path)) return {};
  Json file;
  try {
    file = Json::parse(sslcake::io::read_file(path, 1 << 20));
  } catch (const sslcake::Error& error) {
    throw sslcake::Error(path + ": " + error.what());
  }
  const Json* options = file.is_object() ? file.find("options") : nullptr;
  const Json* value = options && options->is_object() ? options->find(name) : nullptr;
  return value && value->is_string() ? value->as_string() : std::string{};
}

void save_config_of_use(const Options& options) {
  const std::string path = options.out + "/config.json";
  try {
    const Json before = Json::parse(sslcake::io::read_file(path, 1 << 20));
    const Json* program = before.is_object() ? before.find("program") : nullptr;
    if (program && program->is_string() && program->as_string() != options.program) return;
  } catch (const sslcake::Error&) {  // there is none, or none that could be used
  }
  save_config(options);
}

}  // namespace support
