#include <doctest/doctest.h>

#include <filesystem>

#include "support/pretrain.hpp"

namespace {

/// What a pretraining program has after its command line was read.
struct Program {
  support::Options options{.program = "toy", .about = "A toy.", .out = "runs/toy", .encoder = "cakenet", .lr = 0.07};
  support::Pretraining pretraining;

  explicit Program(std::vector<std::string> arguments) {
    support::add_pretraining_options(options, pretraining);
    arguments.insert(arguments.begin(), "toy");
    std::vector<char*> argv;
    for (auto& a : arguments) argv.push_back(a.data());
    support::parse(static_cast<int>(argv.size()), argv.data(), options);
  }
};

struct Folder {
  std::string path = (std::filesystem::temp_directory_path() /
                      ("sslcake_pretrain_" + std::to_string(reinterpret_cast<std::uintptr_t>(this)))).string();
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

}  // namespace

TEST_CASE("pretraining: an optimiser trains at its own rates unless told otherwise") {
  const Program sgd({}), adamw({"--optimizer", "adamw"}), lars({"--optimizer", "lars", "--weight-decay", "0.1"});
  CHECK(sgd.options.lr == 0.07);
  CHECK(sgd.pretraining.weight_decay == 5e-4);
  CHECK(adamw.options.lr == 1e-3);
  CHECK(adamw.pretraining.weight_decay == 0.01);
  CHECK(lars.options.lr == 0.3);
  CHECK(lars.pretraining.weight_decay == 0.1);
  CHECK(Program({"--optimizer", "adam"}).pretraining.weight_decay == 0);
  CHECK(Program({"--optimizer", "muon"}).options.lr == 0.02);
  CHECK(Program({"--optimizer", "muon"}).pretraining.weight_decay == 0.1);
  CHECK(Program({"--optimizer", "muon"}).pretraining.momentum == 0.95);
  CHECK(Program({"--optimizer", "muon", "--momentum", "0"}).pretraining.momentum == 0);
  CHECK(sgd.pretraining.momentum == 0.9);
  CHECK(Program({"--optimizer", "adam", "--lr", "0.2"}).options.lr == 0.2);
}

TEST_CASE("pretraining: the rates of --config are those of its optimiser") {
  Folder folder;
  support::save_config(Program({"--optimizer", "adamw", "--lr", "0.02", "--out", folder.path}).options);
  const std::string config = folder.path + "/config.json";
  CHECK(Program({"--config", config}).options.lr == 0.02);
  CHECK(Program({"--config", config, "--optimizer", "adamw"}).options.lr == 0.02);
  CHECK(Program({"--config", config, "--optimizer", "lars"}).options.lr == 0.3);
  CHECK(Program({"--config", config, "--optimizer", "sgd"}).options.lr == 0.07);
  CHECK(Program({"--config", config, "--optimizer", "sgd"}).pretraining.weight_decay == 5e-4);
  CHECK(Program({"--config", config, "--optimizer", "sgd", "--lr", "0.5"}).options.lr == 0.5);
}

TEST_CASE("pretraining: --precision auto is bfloat16 where the kernels multiply it") {
  using sslcake::kernels::Isa;
  for (const auto isa : {Isa::reference, Isa::portable, Isa::avx2, Isa::avx512}) {
    CAPTURE(name_of(isa));
    CHECK(support::precision_for(isa) == std::string("float32"));
  }
  for (const auto isa : {Isa::avx512bf16, Isa::amx}) CHECK(support::precision_for(isa) == std::string("bfloat16"));

  const std::string here = support::precision_for(sslcake::kernels::isa()), other = here == "float32" ? "bfloat16" : "float32";
  CHECK(Program({}).options.precision == here);
  CHECK(Program({"--precision", other}).options.precision == other);
  // A run that goes on keeps what it began with.
  Folder folder;
  CHECK(Program({"--resume", "--out", folder.path}).options.precision == here);
  support::save_config(Program({"--precision", other, "--out", folder.path}).options);
  CHECK(Program({"--resume", "--out", folder.path}).options.precision == other);
  CHECK(Program({"--resume", "--out", folder.path, "--precision", here}).options.precision == here);
  CHECK(Program({"--out", folder.path}).options.precision == here);
}
