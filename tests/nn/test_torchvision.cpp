// Round trips with torchvision and timm themselves. Needs a Python with torch, torchvision, timm, numpy and safetensors, named by
// the environment variable SSLCAKE_PYTHON; without it only the fixtures of test_resnet.cpp and test_vit.cpp are compared.
#include <doctest/doctest.h>

#include <cstdlib>

#include "../worse.hpp"
#include "formula.hpp"
#include "sslcake/io/npy.hpp"
#include "sslcake/nn/encoder_file.hpp"

using namespace sslcake;

namespace {
std::string python() {
  const char* path = std::getenv("SSLCAKE_PYTHON");
  if (!path || !*path) MESSAGE("skipped: SSLCAKE_PYTHON names no Python with torchvision");
  return path ? path : "";
}
bool check_torchvision(const std::string& arguments) {
  return std::system((python() + " -W ignore '" SSLCAKE_SOURCE_DIR "/scripts/check_torchvision.py' " + arguments).c_str()) == 0;
}
/// encoder.safetensors, pictures.npy and features.npy.
void save_encoder_and_features(const Scratch& folder, const nn::AnyEncoder& encoder, int size) {
  const Tensor images = pictures(2, size);
  for (int i = 0; i < 3; ++i) encoder.forward(pictures(8, size));  // statistics that are not those of a new network
  encoder.eval();
  const NoGrad no_grad;
  nn::save_encoder(folder / "encoder.safetensors", encoder);
  io::save_npy(folder / "pictures.npy", images);
  io::save_npy(folder / "features.npy", encoder.forward(images).pooled);
}
}  // namespace

TEST_CASE("what we save loads into torchvision with strict=True and gives the same features") {
  if (python().empty()) return;
  Scratch folder;
  for (const auto& [kind, stem] : {std::pair("resnet18", nn::Stem::imagenet),
                                   {"resnet50", nn::Stem::imagenet},
                                   {"resnet34-w16", nn::Stem::small},
                                   {"cakenet", nn::Stem::small},
                                   {"vit_tiny_patch8", nn::Stem::imagenet}}) {
    const std::string name = kind;  // Clang 14 lets no lambda capture a binding
    CAPTURE(name);
    save_encoder_and_features(folder, nn::make_encoder(name, {.stem = stem, .image_size = 64}), 64);
    CHECK(check_torchvision("load '" + folder / "encoder.safetensors" + "' '" + folder / "pictures.npy" + "' '" +
                            folder / "features.npy" + "'"));
  }
}

TEST_CASE("README.md's Python lines load cakenet-w32 and give its features") {
  if (python().empty()) return;
  Scratch folder;
  save_encoder_and_features(folder, nn::make_encoder("cakenet-w32", {.stem = nn::Stem::small}), 32);
  CHECK(check_torchvision("readme '" + folder.path + "'"));
}

TEST_CASE("torchvision's files load here and give torchvision's features") {
  if (python().empty()) return;
  Scratch folder;
  for (const char* name : {"resnet18", "resnet50", "vit_tiny_patch16_224"}) {
    CAPTURE(name);
    REQUIRE(check_torchvision(std::string("make ") + name + " '" + folder / "e.safetensors" + "' '" + folder / "x.npy" + "' '" +
                              folder / "y.npy" + "'"));
    const auto loaded =
        nn::load(folder / "e.safetensors",
                 {.encoder = std::string(name).substr(0, std::string(name).find("_224")), .ignore = {"fc.", "head."}});
    const NoGrad no_grad;
    const auto found = loaded.encoder().forward(io::load_npy(folder / "x.npy")).pooled.to_vector<double>();
    const auto folded = loaded.extractor().forward(io::load_npy(folder / "x.npy")).pooled.to_vector<double>();
    const auto expected = io::load_npy(folder / "y.npy").to_vector<double>();
    REQUIRE(found.size() == expected.size());
    double most = 0, worst = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      most = std::max(most, std::abs(expected[i]));
      worst = test::worse(test::worse(worst, std::abs(found[i] - expected[i])), std::abs(folded[i] - expected[i]));
    }
    MESSAGE(std::string(name) << ": relative error " << worst / most);
    CHECK(worst <= 1e-4 * most);
  }
}
