#include "support/measure.hpp"

#include <cstdio>
#include <map>
#include <sslcake/data/folder.hpp>
#include <sslcake/data/open.hpp>
#include <sslcake/io/files.hpp>
#include <sslcake/io/safetensors.hpp>

namespace support {

namespace data = sslcake::data;

void adopt_run(Options& o, const std::string& run) {
  if (run.empty()) return;
  if (!sslcake::io::is_folder(run))
    throw UsageError("--run expects the folder of a run, got \"" + run + "\", which " +
                     (sslcake::io::exists(run) ? "is no folder" : "does not exist"));
  const bool earlier = o.was_typed("--run");  // what --config says then is another run's
  if (o.encoder.empty() || (earlier && !o.was_typed("--encoder"))) o.encoder = run + "/encoder.safetensors";
  if (!o.was_given("--out")) o.out = run;
  if (earlier ? o.was_typed("--data") : o.was_given("--data")) return;
  const std::string data = stored_option(run, "data");
  if (data.empty()) sslcake::fail("run", run, " has no config.json that names its pictures; name them with --data");
  if (data.starts_with("folder:") && !sslcake::io::is_folder(data.substr(7)))
    sslcake::fail("run", "the pictures that ", run, "/config.json names, ", data,
                  ", are not there (a path is seen from the current "
                  "folder); name them with --data");
  o.data = data;
}

namespace {

/// In a program's words what is wrong with a safetensors file that is no encoder of ours; nothing where it is something else.
void explain_foreign_file(const std::string& path) {
  const auto metadata = sslcake::io::load_safetensors(path).metadata;
  if (metadata.contains("checkpoint_format")) {
    const auto run = path.rfind("/checkpoint/");
    sslcake::fail("encoder", path, " is a checkpoint; the encoder is ", run == std::string::npos ? "RUN" : path.substr(0, run),
                  "/encoder.safetensors, which a run writes at its end (--resume finishes it)");
  }
  if (!metadata.contains("config"))
    sslcake::fail("encoder", path,
                  " does not say which network it holds, as a run's encoder.safetensors does; of a file from elsewhere "
                  "(torchvision's), two lines of C++ make one: nn::load with LoadOptions::encoder, and nn::save_encoder");
}

sslcake::nn::Pretrained load_described(const std::string& path) {
  try {
    return sslcake::nn::load(path);
  } catch (const sslcake::Error&) {
    explain_foreign_file(path);
    throw;
  }
}

}  // namespace

Measured load_encoder(const Options& o) {
  if (o.encoder.empty()) throw UsageError("expected --encoder FILE, the encoder.safetensors of a run (or --run DIR)");
  if (!sslcake::io::exists(o.encoder))
    throw UsageError("--encoder expects a file, got \"" + o.encoder + "\", which does not exist (a run writes it at its end)");
  const auto pretrained = load_described(o.encoder);
  Measured m;
  m.encoder = pretrained.encoder();
  move_to(m.encoder.state(), o.where());
  m.info = pretrained.info();
  m.size = static_cast<int>(o.size);
  if (m.size == 0) m.size = m.info.input_size > 0 ? m.info.input_size : 224;  // what torchvision's networks see
  if (const auto config = m.encoder.config())
    if (const auto* vit = std::get_if<sslcake::nn::ViTConfig>(&*config); vit && vit->image_size != m.size)
      throw UsageError(sslcake::concat("--size expects ", vit->image_size, ", which this vision transformer was made for, got ",
                                       m.size, "; leave it out"));
  m.normalisation = {m.info.mean, m.info.deviation};
  m.recipe = sslcake::augment::evaluation(m.size, m.normalisation);
  const auto text = sslcake::concat(o.program, ": ", m.encoder.name(), " from ", o.encoder, ", ", m.size, " x ", m.size,
                                    " pixels, ", m.encoder.dim(), " features\n");
  std::fputs(text.c_str(), stderr);
  return m;
}

data::DatasetPtr open_part(const Options& o, data::Split split, int size) {
  // Pictures of a folder are reduced while they are read, to what the centre crop needs.
  return data::open(
      o.data, split,
      {.limit = o.limit, .seed = o.seed, .strict = o.strict, .size = size, .decode_size = o.scaled_decode ? size : 0});
}

void name_skipped(const Options& o, std::initializer_list<data::DatasetPtr> parts) {
  std::map<std::string, std::string> skipped;  // two parts of one folder skip the same files
  for (const auto& part : parts) {
    if (!part) continue;
    for (const auto& file : part->skipped()) skipped.emplace(file.name, file.reason);
  }
  std::size_t named = 0;
  for (const auto& [name, reason] : skipped)
    if (++named <= 20) std::fprintf(stderr, "%s: skipped %s: %s\n", o.program.c_str(), name.c_str(), reason.c_str());
  if (!skipped.empty())
    std::fprintf(stderr, "%s: %zu unreadable picture%s left out (--strict makes this an error)\n", o.program.c_str(),
                 skipped.size(), skipped.size() == 1 ? " was" : "s were");
}

bool has_test_part(const std::string& spec) { return !spec.starts_with("folder:") || data::has_test_part(spec.substr(7)); }

std::string unlabelled(const data::Dataset& pictures) {
  std::int64_t count = 0, first = 0;
  for (std::int64_t i = pictures.size() - 1; i >= 0; --i)
    if (pictures.label(i) < 0) ++count, first = i;
  if (count == 0) return {};
  return sslcake::concat(count, " of ", pictures.size(), " pictures have no label, the first is ", pictures.name(first),
                         " (in a folder, the first level of folders is the class)");
}

LabelledParts open_labelled(const Options& o, int size) {
  LabelledParts parts;
  parts.train = open_part(o, data::Split::train, size);
  if (has_test_part(o.data)) {
    parts.test = open_part(o, data::Split::test, size);
  } else {
    std::fprintf(stderr, "%s: note: %s has no test part (a folder 'test' or 'val'); a fifth of the pictures is held out, which "
                 "pretraining on this folder has seen, without their labels\n", o.program.c_str(), o.data.c_str());
    const auto [train, test] = data::hold_out(parts.train, 0.2, o.seed);
    parts = {train, test, true};
  }
  for (const auto& part : {parts.train, parts.test})
    if (const auto missing = unlabelled(*part); !missing.empty())
      throw sslcake::Error("[" + o.program + "] expected pictures with labels in " + o.data + ": " + missing +
                           "; put them into the folders of their classes, or take them out");
  return parts;
}

}  // namespace support
