#include <doctest/doctest.h>

#include "formula.hpp"
#include "sslcake/io/json.hpp"
#include "sslcake/io/safetensors.hpp"
#include "sslcake/nn/cakenet.hpp"
#include "sslcake/nn/encoder_file.hpp"

using namespace sslcake;

namespace {

std::vector<float> pooled(const nn::AnyEncoder& e) {
  const NoGrad no_grad;
  return e.forward(pictures(2, 16)).pooled.to_vector<float>();
}

/// An encoder that is not as new: its statistics have seen something.
nn::AnyEncoder used(const nn::AnyEncoder& e) {
  fill(e.state());
  e.train();
  pooled(e);
  e.eval();
  return e;
}

/// Rewrites a file after `change`.
template <class Change>
void edit(const std::string& path, Change&& change) {
  auto file = io::load_safetensors(path);
  change(file);
  io::save_safetensors(path, file);
}

}  // namespace

TEST_CASE("save, load: the same network, bit for bit, with what it says of itself") {
  Scratch folder;
  const std::string path = folder / "encoder.safetensors";
  const nn::AnyEncoder encoders[] = {nn::make_encoder("resnet18-w4", {.stem = nn::Stem::small}), nn::make_encoder("resnet50-w4"),
                                     nn::cakenet({.stem_stride = 1, .widths = {8, 12}, .blocks = {2, 1}, .stem_width = 4})};
  for (const auto& encoder : encoders) {
    CAPTURE(encoder.name());
    used(encoder);
    nn::save_encoder(
        path, encoder,
        {.input_size = 32, .mean = {0.4914f, 0.4822f, 0.4465f}, .deviation = {0.25f, 0.5f, 1}, .notes = {{"epochs", "30"}}});
    const auto loaded = nn::load(path);
    CHECK(loaded.encoder().name() == encoder.name());
    CHECK(loaded.encoder().stage_dims() == encoder.stage_dims());
    CHECK_FALSE(loaded.encoder().training());
    CHECK(pooled(loaded.encoder()) == pooled(encoder));
    CHECK(loaded.info().architecture == encoder.name());
    CHECK(loaded.info().version == SSLCAKE_VERSION_STRING);
    CHECK(loaded.info().format == nn::encoder_format);
    CHECK(loaded.info().input_size == 32);
    CHECK(loaded.info().mean == std::array<float, 3>{0.4914f, 0.4822f, 0.4465f});
    CHECK(loaded.info().deviation == std::array<float, 3>{0.25f, 0.5f, 1});
    CHECK(loaded.info().notes == std::map<std::string, std::string>{{"epochs", "30"}});
  }
}

TEST_CASE("a newer format is refused readably") {
  Scratch folder;
  const std::string path = folder / "encoder.safetensors";
  nn::save_encoder(path, nn::cakenet({.width = 4}));
  edit(path, [](io::SafeTensors& f) { f.metadata["sslcake_format"] = "7", f.metadata["sslcake_version"] = "3.2.1"; });
  const std::string message = message_of([&] { nn::load(path); });
  CHECK(contains(message, "format 7, written by sslcake 3.2.1"));
  CHECK(contains(message, "Update sslcake"));
  CHECK(contains(message, path));
}

TEST_CASE("files of others: named network, prefixes cut off, heads left out") {
  Scratch folder;
  const std::string path = folder / "model.safetensors";
  const auto encoder = used(nn::make_encoder("resnet18-w4"));
  io::SafeTensors file;
  for (const auto& [name, t] : io::to_state_dict(encoder.state(), io::Axes::theirs))
    if (!ends_with(name, "num_batches_tracked"))
      file.tensors.emplace_back("module.backbone." + name, t);  // as older files lack it
  file.tensors.emplace_back("module.fc.weight", ones({10, 32}));
  file.tensors.emplace_back("module.projection_head.0.weight", ones({32, 32}));
  io::save_safetensors(path, file);

  CHECK(contains(message_of([&] { nn::load(path); }), "does not describe its network"));
  const std::string message = message_of([&] { nn::load(path, {.encoder = "resnet18-w4"}); });
  CHECK(contains(message, "missing: conv1.weight (4,3,7,7)"));
  CHECK(contains(message, "unexpected: module.backbone.conv1.weight (4,3,7,7)"));
  CHECK(contains(message, "LoadOptions::strip"));
  const nn::LoadOptions options{
      .encoder = "resnet18-w4", .strip = {"module.", "backbone."}, .ignore = {"fc.", "projection_head."}};
  const auto loaded = nn::load(path, options);
  CHECK(loaded.info().format == 0);
  const NoGrad no_grad;
  CHECK(loaded.encoder().forward(pictures(1, 64)).pooled.to_vector<float>() ==
        encoder.forward(pictures(1, 64)).pooled.to_vector<float>());

  const auto target = nn::make_encoder("resnet18-w4");
  nn::load_into(target, path, options);
  target.eval();
  CHECK(target.forward(pictures(1, 64)).pooled.to_vector<float>() == encoder.forward(pictures(1, 64)).pooled.to_vector<float>());
  // Another network: every mismatch in one message.
  const std::string other =
      message_of([&] { nn::load(path, {.encoder = "resnet18-w8", .strip = options.strip, .ignore = options.ignore}); });
  CHECK(contains(other, "conv1.weight: expected (8,3,7,7), got (4,3,7,7)"));
  CHECK(contains(other, "layer4.1.bn2.running_var: expected (64), got (32)"));
}

TEST_CASE("descriptions that lie are refused before a network is built from them") {
  Scratch folder;
  const std::string path = folder / "encoder.safetensors";
  const auto refusal = [&](const std::string& from, const std::string& to) {
    nn::save_encoder(path, nn::cakenet({.width = 4}));
    edit(path, [&](io::SafeTensors& f) {
      std::string& config = f.metadata["config"];
      const auto at = config.find(from);
      REQUIRE(at != std::string::npos);
      config.replace(at, from.size(), to);
    });
    return message_of([&] { nn::load(path); });
  };
  CHECK(contains(refusal("[4,8,16]", "[4,8,1000000]"), "larger than the"));
  CHECK(contains(refusal("[1,1,1]", "[1,1,90000]"), "larger than the"));
  CHECK(contains(refusal("[1,1,1]", "[1,1,9223372036854775807]"), "larger than the"));
  CHECK(contains(refusal("[1,1,1]", "[1,1]"), "as many widths"));
  CHECK(contains(refusal("[1,1,1]", "[1,-1,1]"), "larger than the"));
  CHECK(contains(refusal("[4,8,16]", "[4,8,-16]"), "at least 1"));
  CHECK(contains(refusal("[4,8,16]", "[4,8,12]"), "expected (12,8,3,3), got (16,8,3,3)"));
  CHECK(contains(refusal("[4,8,16]", "{}"), "expected an array"));
  CHECK(contains(refusal("\"stem_kernel\":3", "\"stem_kernel\":100000"), "larger than the"));
  CHECK(contains(refusal("\"kind\":\"resnet\"", "\"kind\":\"mlp\""), "of kind resnet or vit, got \"mlp\""));
  CHECK(contains(refusal("{", "{{"), "[json]"));
  for (const auto& [name, value] : {std::pair("mean", "[1,2]"),
                                    {"mean", "1"},
                                    {"deviation", "x"},
                                    {"input_size", "1.5"},
                                    {"sslcake_format", "one"},
                                    {"sslcake_format", "0"}}) {
    const char* key = name;  // Clang 14 lets no lambda capture a binding
    CAPTURE(key);
    nn::save_encoder(path, nn::cakenet({.width = 4}));
    edit(path, [&, value = value](io::SafeTensors& f) { f.metadata[key] = value; });
    CHECK(contains(message_of([&] { nn::load(path); }), path));
  }
}
