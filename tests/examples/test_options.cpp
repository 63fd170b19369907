#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <sslcake/io/files.hpp>
#include <sslcake/io/json.hpp>

#include "support/options.hpp"
#include "support/program.hpp"

namespace {

/// A program with one option of each kind.
struct Program {
  double temperature = 0.5;
  std::int64_t width = 128;
  float crop = 0.2f;
  bool blur = false;
  std::string mode = "fast";
  std::vector<std::string> files;
  support::Options options{.program = "toy", .about = "A toy.", .out = "runs/toy", .encoder = "resnet18", .epochs = 7};

  Program() {
    options.extras = {{"--temperature", &temperature, "of the loss", 1e-3, 100},
                      {"--width", &width, "of something", 1, 4096},
                      {"--crop", &crop, "a share", 0.01, 1},
                      {"--blur", &blur, "a flag"},
                      {"--mode", &mode, "a choice", 0, 0, {"fast", "slow"}},
                      {"--files", &files, "several"}};
    options.encoder_is_name = true;
    options.unused = {"--limit"};
  }
  bool parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "toy");
    std::vector<char*> argv;
    for (auto& a : arguments) argv.push_back(a.data());
    return support::parse(static_cast<int>(argv.size()), argv.data(), options);
  }
};

std::string mistake(const std::vector<std::string>& arguments) {
  try {
    Program().parse(arguments);
  } catch (const support::UsageError& e) {
    return e.what();
  }
  return "(accepted)";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct Folder {
  std::string path = (std::filesystem::temp_directory_path() /
                      ("sslcake_options_" + std::to_string(reinterpret_cast<std::uintptr_t>(this)))).string();
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

}  // namespace

TEST_CASE("options: a program's defaults stand, the command line wins") {
  Program p;
  CHECK(p.parse({"--lr", "0.25", "--temperature=2", "--blur", "--files", "a.jpg", "b c.jpg", "--seed", "18446744073709551615"}));
  CHECK(p.options.epochs == 7);
  CHECK(p.options.lr == 0.25);
  CHECK(p.temperature == 2);
  CHECK(p.blur);
  CHECK(p.files == std::vector<std::string>{"a.jpg", "b c.jpg"});
  CHECK(p.options.seed == 18446744073709551615u);
  CHECK(p.options.was_given("--lr"));
  CHECK_FALSE(p.options.was_given("--epochs"));
  CHECK(p.options.notes.empty());
  Program q;
  q.parse({"--limit", "5", "--encoder", "resnet18-w16"});
  REQUIRE(q.options.notes.size() == 1);
  CHECK(has(q.options.notes[0], "--limit has no meaning"));
}

TEST_CASE("options: bad values are named with what was expected") {
  for (const char* value : {"nan", "inf", "-inf", "1e999", "", "0.1x", "0,1", "-1"}) {
    CAPTURE(value);
    const auto text = mistake({"--lr", value});
    CHECK(has(text, "--lr expects a number from"));
    CHECK(has(text, std::string("\"") + value + "\""));
  }
  for (const char* value : {"-1", "0", "2.5", "1e3", "99999999999999999999", "nan"}) {
    CAPTURE(value);
    CHECK(has(mistake({"--epochs", value}), "--epochs expects a whole number"));
  }
  CHECK(has(mistake({"--temperature", "0"}), "--temperature expects a number from 0.001 to 100"));
  CHECK(has(mistake({"--width", "9999"}), "--width expects a whole number from 1 to 4096"));
  CHECK(has(mistake({"--mode", "quick"}), "--mode expects fast or slow, got \"quick\""));
  CHECK(has(mistake({"--optimizer", "adamx"}), "sgd, adam, adamw, lars or muon"));
  CHECK(has(mistake({"--device", "tpu"}), "--device expects cpu or cuda"));
#ifndef SSLCAKE_CUDA
  CHECK(has(mistake({"--device", "cuda"}), "no CUDA backend"));
#endif
  CHECK(has(mistake({"--precision", "float16"}), "float32 or bfloat16"));
  for (const char* value : {"-1", "1180591620717411303424"}) {
    CAPTURE(value);
    CHECK(has(mistake({"--seed", value}), "--seed expects a whole number from 0 to 18446744073709551615, got"));
  }
  CHECK(has(mistake({"--crop", "0.0099"}), "--crop expects a number from 0.01 to 1"));
  CHECK(mistake({"--crop", "0.01"}) == "(accepted)");  // 0.01f is below 0.01
  CHECK(has(mistake({"--data", "folder:caf\xe9"}), "--data expects text in UTF-8"));
  CHECK(mistake({"--data", "folder:caf\xc3\xa9"}) == "(accepted)");
  CHECK(has(mistake({"--data", ""}), "--data expects"));
  CHECK(has(mistake({"--out", ""}), "--out expects a folder"));
  for (const char* name : {"resnet19", "resnet18-w", "resnet18-w0", "resnet18-w16x", "resnet18-w99999", ""}) {
    CAPTURE(name);
    CHECK(has(mistake({"--encoder", name}), "--encoder: expected one of resnet18"));
  }
  CHECK(mistake({"--encoder", "resnet50-w32"}) == "(accepted)");
}

TEST_CASE("options: what is unknown is refused, with a guess where one is near") {
  CHECK(has(mistake({"--epoch", "3"}), "unknown option --epoch (did you mean --epochs?)"));
  CHECK(has(mistake({"--temprature=1"}), "did you mean --temperature?"));
  CHECK(mistake({"--frobnicate"}) == "unknown option --frobnicate");
  CHECK(has(mistake({"photos"}), "expected options only, got \"photos\""));
  CHECK(has(mistake({"--lr"}), "--lr"));
}

TEST_CASE("options: one value each, and no option for a value") {
  CHECK(has(mistake({"--out", "my", "run"}), "expected options only, got \"run\""));
  CHECK(has(mistake({"--lr", "0.1", "0.2"}), "expected options only, got \"0.2\""));
  CHECK(has(mistake({"--out", "--resume"}), "--out expects a value, got the option --resume"));
  CHECK(has(mistake({"--lr", "--resume"}), "--lr expects a value, got the option --resume"));
  CHECK(has(mistake({"--files", "--resume"}), "--files expects a value, got the option --resume"));
  CHECK(has(mistake({"--config", "--resume"}), "--config expects a value, got the option --resume"));
  Program p;
  p.parse({"--files", "a", "b", "--lr", "1", "--lr", "2"});
  CHECK(p.files == std::vector<std::string>{"a", "b"});
  CHECK(p.options.lr == 2);
}

TEST_CASE("options: config.json repeats a run; the command line wins over it") {
  Folder folder;
  Program first;
  first.parse({"--lr", "0.3", "--temperature", "0.07", "--blur", "--mode", "slow", "--seed", "18446744073709551615", "--files",
               "x", "y", "--out", folder.path, "--data", "folder:/a \"b\""});
  support::save_config(first.options, R"({"extra":{"stem":"small"}})");
  const auto file = sslcake::io::Json::parse(sslcake::io::read_file(folder.path + "/config.json"));
  CHECK(file.at("program").as_string() == "toy");
  CHECK(has(file.at("version").as_string(), SSLCAKE_VERSION_STRING));
  CHECK(file.at("extra").at("stem").as_string() == "small");
  CHECK(file.at("threads").as_int() >= 1);
  CHECK(!file.at("kernels").as_string().empty());
  CHECK((file.at("jpeg_decoder").as_string() == "stb" || file.at("jpeg_decoder").as_string() == "turbo"));
  CHECK(file.at("options").find("resume") == nullptr);

  Program second;
  second.parse({"--config", folder.path + "/config.json", "--lr", "0.9"});
  CHECK(second.options.lr == 0.9);
  CHECK(second.temperature == 0.07);
  CHECK(second.blur);
  CHECK(second.mode == "slow");
  CHECK(second.options.seed == 18446744073709551615u);
  CHECK(second.files == std::vector<std::string>{"x", "y"});
  CHECK(second.options.data == "folder:/a \"b\"");
  CHECK(second.options.out == "runs/toy");  // where a run writes is its own affair
}

TEST_CASE("options: of another program's config.json only what means the same is taken") {
  Folder folder;
  Program first;
  first.options.program = "other";
  first.parse({"--lr", "0.3", "--epochs", "900", "--encoder", "resnet50", "--mode", "slow", "--data", "folder:photos", "--limit",
               "50", "--seed", "4", "--out", folder.path});
  support::save_config(first.options);
  Program second;
  second.parse({"--config", folder.path + "/config.json"});
  CHECK(second.options.data == "folder:photos");
  CHECK(second.options.limit == 50);
  CHECK(second.options.seed == 4);
  CHECK(second.options.lr == 0.06);
  CHECK(second.options.epochs == 7);
  CHECK(second.options.encoder == "resnet18");
  CHECK(second.mode == "fast");
  REQUIRE(second.options.notes.size() == 1);
  for (const char* name : {"--lr", "--epochs", "--encoder", "--mode"}) CHECK(has(second.options.notes[0], name));
}

TEST_CASE("options: config.json holds the switches of the environment that change the last bits") {
  Folder folder;
  Program p;
  p.parse({"--out", folder.path});
  const auto config = [&] {
    support::save_config(p.options);
    return sslcake::io::Json::parse(sslcake::io::read_file(folder.path + "/config.json"));
  };
  const char* before = std::getenv("SSLCAKE_FUSE");
  const std::string kept = before ? before : "";
  setenv("SSLCAKE_FUSE", "0", 1);
  CHECK(config().at("SSLCAKE_FUSE").as_string() == "0");
  unsetenv("SSLCAKE_FUSE");
  CHECK(config().find("SSLCAKE_FUSE") == nullptr);
  if (before) setenv("SSLCAKE_FUSE", kept.c_str(), 1);
}

TEST_CASE("options: a config.json that is none, or asks for nonsense, is refused") {
  Folder folder;
  const auto path = folder.path + "/config.json";
  CHECK(has(mistake({"--config", path}), "--config"));
  for (const char* text : {"", "{", "[]", "{\"options\":3}"}) {
    CAPTURE(text);
    sslcake::io::write_atomically(path, text);
    CHECK(has(mistake({"--config", path}), "--config " + path));
  }
  sslcake::io::write_atomically(path, R"({"options":{"lr":"much"}})");
  CHECK(has(mistake({"--config", path}), "--lr expects a number"));
  sslcake::io::write_atomically(path, R"({"options":{"epochs":-4}})");
  CHECK(has(mistake({"--config", path}), "--epochs expects a whole number"));
  sslcake::io::write_atomically(path, R"({"options":{"rotations":4,"lr":0.5}})");
  Program other;
  other.parse({"--config", path});
  CHECK(other.options.lr == 0.5);
  REQUIRE(other.options.notes.size() == 1);
  CHECK(has(other.options.notes[0], "--rotations"));
}

TEST_CASE("main_guard: exit codes") {
  const auto run = [](std::vector<std::string> arguments, const std::function<void()>& body) {
    Program p;
    arguments.insert(arguments.begin(), "toy");
    std::vector<char*> argv;
    for (auto& a : arguments) argv.push_back(a.data());
    return support::main_guard(static_cast<int>(argv.size()), argv.data(), p.options, body);
  };
  bool ran = false;
  CHECK(run({"--threads", "1"}, [&] { ran = true; }) == 0);
  CHECK(ran);
  ran = false;
  CHECK(run({"--lr", "nan"}, [&] { ran = true; }) == 2);
  CHECK(run({"--version"}, [&] { ran = true; }) == 0);
  CHECK_FALSE(ran);
  CHECK(run({}, [] { sslcake::fail("open", "no such thing"); }) == 1);
  CHECK(run({}, [] { throw std::bad_alloc(); }) == 1);
  CHECK(run({}, [] { throw support::UsageError("late"); }) == 2);
}

TEST_CASE("table: columns are aligned, letters of two bytes count once") {
  CHECK(support::table({{"", "a"}, {"Größe", "10.0 %"}, {"x"}}) == "            a\nGröße  10.0 %\nx\n");
  CHECK(support::percent(0.6254) == "62.5 %");
}
