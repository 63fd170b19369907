// Features of all pictures of a data set, for other programs:
//
//   embed --encoder FILE.safetensors --data folder:photos --out runs/photos
//
//   features.npy   (N,D) float32, one row per picture      import numpy; f = numpy.load("features.npy")
//   files.txt      N lines: which picture each row is
//   labels.npy     (N) int64, where the data set has labels
#include <algorithm>
#include <cstdio>

#include <sslcake/eval/features.hpp>
#include <sslcake/io/files.hpp>
#include <sslcake/io/npy.hpp>

#include "support/measure.hpp"

using namespace sslcake;

int main(int argc, char** argv) {
  support::Options options{.program = "embed", .about = "Writes an encoder's features of all pictures of a data set.",
                           .out = "runs/embed"};
  options.encoder_help = "the encoder's file, encoder.safetensors";
  options.unused = {"--epochs", "--optimizer", "--lr", "--resume", "--precision", "--workers"};
  std::string run, part = "train";
  std::int64_t stage = 0;
  options.extras = {{"--run", &run, "folder of a run: its encoder, its pictures, and where the features go"},
                    {"--part", &part, "train, test or unlabeled", 0, 0, {"train", "test", "unlabeled"}},
                    {"--stage", &stage, "features after this stage, averaged over the picture; 0: the encoder's own", 0, 100}};

  return support::main_guard(argc, argv, options, [&] {
    support::adopt_run(options, run);
    const auto encoder = support::load_encoder(options);
    support::prepare_out(options, {"features.npy", "files.txt", "labels.npy"});
    const auto split = part == "test" ? data::Split::test : part == "unlabeled" ? data::Split::unlabeled : data::Split::train;
    const auto pictures = support::open_part(options, split, encoder.size);
    const auto dims = encoder.encoder.stage_dims();
    if (stage > static_cast<std::int64_t>(dims.size()))
      throw support::UsageError(concat("--stage expects a number up to ", dims.size(), " for this encoder, got ", stage));
    support::need_room(options,
                       pictures->size() * 4 * (stage > 0 ? dims[static_cast<std::size_t>(stage - 1)] : encoder.encoder.dim()));
    const auto set = eval::extract(encoder.encoder, pictures, encoder.recipe, {.batch = options.batch, .stages = stage > 0});
    const Tensor features = stage > 0 ? set.stages[static_cast<std::size_t>(stage - 1)] : set.features;

    std::string names;
    for (const auto i : set.indices) names += support::one_line(pictures->name(i)) + "\n";
    support::save_config_of_use(options);
    io::save_npy(options.out + "/features.npy", features);
    io::write_atomically(options.out + "/files.txt", names);
    const auto labels = set.labels.to_vector<std::int64_t>();
    if (std::all_of(labels.begin(), labels.end(), [](auto label) { return label >= 0; }))
      io::save_npy(options.out + "/labels.npy", set.labels);
    else {
      io::remove_file(options.out + "/labels.npy");  // of other pictures
      std::fprintf(stderr, "embed: note: no labels.npy: %s\n", support::unlabelled(*pictures).c_str());
    }
    support::name_skipped(options, {pictures});
    std::printf("%lld pictures, %lld features each: features.npy and files.txt in %s\n", static_cast<long long>(features.dim(0)),
                static_cast<long long>(features.dim(1)), options.out.c_str());
  });
}
