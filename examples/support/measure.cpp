#include "support/measure.hpp"

#include <cstdio>
#include <map>
#include <sslcake/data/open.hpp>
#include <sslcake/io/files.hpp>
#include <sslcake/io/json.hpp>

namespace support {

namespace data = sslcake::data;
using sslcake::io::Json;

void adopt_run(Options& o, const std::string& run) {
  if (run.empty()) return;
  if (!sslcake::io::exists(run)) throw UsageError("--run expects the folder of a run, got \"" + run + "\", which does not exist");
  if (o.encoder.empty()) o.encoder = run + "/encoder.safetensors";
  if (!o.was_given("--out")) o.out = run;
  const std::string config = run + "/config.json";
  if (o.was_given("--data") || !sslcake::io::exists(config)) return;
  const Json file = Json::parse(sslcake::io::read_file(config, 1 << 20));
  const Json* options = file.is_object() ? file.find("options") : nullptr;
  if (const Json* spec = options && options->is_object() ? options->find("data") : nullptr; spec && spec->is_string())
    o.data = spec->as_string();
}

Measured load_encoder(const Options& o) {
  if (o.encoder.empty()) throw UsageError("expected --encoder FILE, the encoder.safetensors of a run (or --run DIR)");
  if (!sslcake::io::exists(o.encoder))
    throw UsageError("--encoder expects a file, got \"" + o.encoder + "\", which does not exist (a run writes it at its end)");
  const auto pretrained = sslcake::nn::load(o.encoder);
  Measured m;
  m.encoder = pretrained.encoder();
  m.info = pretrained.info();
  m.size = static_cast<int>(o.size);
  if (m.size == 0) m.size = m.info.input_size > 0 ? m.info.input_size : 224;  // what torchvision's networks see
  m.normalisation = {m.info.mean, m.info.deviation};
  m.recipe = sslcake::augment::evaluation(m.size, m.normalisation);
  const auto text = sslcake::concat(o.program, ": ", m.encoder.name(), " from ", o.encoder, ", ", m.size, " x ", m.size,
                                    " pixels, ", m.encoder.dim(), " features\n");
  std::fputs(text.c_str(), stderr);
  return m;
}

data::DatasetPtr open_part(const Options& o, data::Split split, int size) {
  // Pictures of a folder are reduced while they are read, to what the centre crop needs.
  return data::open(o.data, split, {.limit = o.limit, .seed = o.seed, .strict = o.strict, .size = size, .decode_size = o.scaled_decode ? size : 0});
}

void name_skipped(const Options& o, std::initializer_list<data::DatasetPtr> parts) {
  std::map<std::string, std::string> skipped;  // two parts of one folder skip the same files
  for (const auto& part : parts)
    for (const auto& file : part->skipped()) skipped.emplace(file.name, file.reason);
  std::size_t named = 0;
  for (const auto& [name, reason] : skipped)
    if (++named <= 20) std::fprintf(stderr, "%s: skipped %s: %s\n", o.program.c_str(), name.c_str(), reason.c_str());
  if (!skipped.empty())
    std::fprintf(stderr, "%s: %zu unreadable picture%s left out (--strict makes this an error)\n", o.program.c_str(),
                 skipped.size(), skipped.size() == 1 ? " was" : "s were");
}

LabelledParts open_labelled(const Options& o, int size) {
  LabelledParts parts;
  parts.train = open_part(o, data::Split::train, size);
  try {
    parts.test = open_part(o, data::Split::test, size);
  } catch (const sslcake::Error& e) {
    if (!o.data.starts_with("folder:")) throw;
    std::fprintf(stderr, "%s: note: no test part (%s); a fifth of the pictures is held out\n", o.program.c_str(), e.what());
    const auto [train, test] = data::hold_out(parts.train, 0.2, o.seed);
    parts = {train, test};
  }
  for (const auto& part : {parts.train, parts.test})
    if (!data::has_labels(*part))
      throw sslcake::Error("[" + o.program + "] expected pictures with labels in " + o.data +
                           "; in a folder, the first level of folders is the class");
  return parts;
}

}  // namespace support
