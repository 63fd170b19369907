#include "support/pretrain.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include <sslcake/data/loader.hpp>
#include <sslcake/data/open.hpp>
#include <sslcake/eval/features.hpp>
#include <sslcake/eval/knn.hpp>
#include <sslcake/image/contact_sheet.hpp>
#include <sslcake/image/png.hpp>
#include <sslcake/io/files.hpp>
#include <sslcake/nn/encoder_file.hpp>
#include <sslcake/optim/adam.hpp>
#include <sslcake/optim/lars.hpp>
#include <sslcake/optim/make.hpp>
#include <sslcake/optim/muon.hpp>
#include <sslcake/report/report.hpp>
#include <sslcake/train/checkpoint.hpp>

#include "support/measure.hpp"

namespace support {

using namespace sslcake;

const char* precision_for(kernels::Isa isa) {
  return isa == kernels::Isa::avx512bf16 || isa == kernels::Isa::amx ? "bfloat16" : "float32";
}

namespace {

struct Rates {
  double lr, weight_decay, momentum = 0;
};

/// What an optimiser trains with unless told otherwise; `sgd` is the program's own.
Rates rates_of(const std::string& optimizer, const Rates& sgd) {
  const auto own = [](const auto& defaults) {
    Rates rates{defaults.lr, defaults.weight_decay};
    if constexpr (requires { defaults.momentum; }) rates.momentum = defaults.momentum;
    return rates;
  };
  if (optimizer == "adam") return own(optim::AdamOptions{});
  if (optimizer == "adamw") return own(optim::AdamWOptions{});
  if (optimizer == "lars") return own(optim::LARSOptions{});
  return optimizer == "muon" ? own(optim::MuonOptions{}) : sgd;
}

/// "; adam: 0.001, adamw: 0.001, lars: 0.3 ...": of --help.
std::string other_rates(double Rates::*which) {
  std::string text;
  for (const std::string name : {"adam", "adamw", "lars", "muon"})
    text += concat(text.empty() ? "; " : ", ", name, ": ", rates_of(name, {}).*which);
  return text;
}

/// --precision auto: a run that goes on keeps what it began with.
std::string precision_of(const Options& o) {
  if (o.resume) {
    try {
      const auto begun = stored_option(o.out, "precision");
      if (begun == "float32" || begun == "bfloat16") return begun;
    } catch (const Error&) {  // a damaged config.json: the trainer compares with the checkpoint
    }
  }
  return o.where() == Device::cuda ? "bfloat16" : precision_for(kernels::isa());
}

}  // namespace

void add_pretraining_options(Options& options, Pretraining& p) {
  options.precision = "auto";
  options.lr_help = other_rates(&Rates::lr);
  options.settle = [&options, &p, sgd = Rates{options.lr, p.weight_decay, p.momentum}] {
    if (options.optimizer == "muon" && options.where() == Device::cuda)
      throw UsageError("--optimizer muon computes on the CPU only; leave out --device cuda, or choose another optimiser");
    const auto rates = rates_of(options.optimizer, sgd);
    if (!options.was_given("--lr")) options.lr = rates.lr;
    if (!options.was_given("--weight-decay")) p.weight_decay = rates.weight_decay;
    if (!options.was_given("--momentum") && rates.momentum > 0) p.momentum = rates.momentum;
    if (options.precision == "auto") options.precision = precision_of(options);
  };
  const std::vector<Extra> more = {
      {"--stem",
       &p.stem,
       "first layers: small (3x3, no pooling), imagenet (7x7, pooling), auto (small up to 64 pixels)",
       0,
       0,
       {"auto", "small", "imagenet"}},
      {"--view-size", &p.view_size, "side of the training views in pixels, 0: --size; smaller ones cost less", 0, 4096},
      {"--schedule", &p.schedule, "of the learning rate: cosine or constant", 0, 0, {"cosine", "constant"}},
      {"--warmup", &p.warmup, "epochs of linear warm-up", 0, 1e6},
      {"--momentum", &p.momentum, concat("of sgd, lars and muon; muon: ", optim::MuonOptions{}.momentum), 0, 0.9999},
      {"--weight-decay", &p.weight_decay, "weight decay" + other_rates(&Rates::weight_decay), 0, 10},
      {"--clip", &p.clip, "largest gradient norm, 0: unlimited", 0, 1e6},
      {"--average", &p.average, "decay of an average of the weights, which then is the result; 0: none", 0, 0.99999},
      {"--accumulate", &p.accumulate, "pieces that a batch is cut into, where the task allows it", 1, 1024},
      {"--knn-every", &p.knn_every,
       "epochs between two measurements by kNN (needs labels; they are not trained on), 0: only the last", 0, 1e6},
      {"--knn-limit", &p.knn_limit, "training pictures that the online kNN compares with", 1, 1e9},
      {"--checkpoint-seconds", &p.checkpoint_seconds,
       "seconds between checkpoints inside an epoch, 0: only at its end; on a GPU 60 unless given, and then none at its end", 0,
       1e9}};
  options.extras.insert(options.extras.end(), more.begin(), more.end());
}

namespace {

bool starts_with(const std::string& text, const char* beginning) { return text.rfind(beginning, 0) == 0; }

/// Published channel statistics of the CIFAR sets, else those of ImageNet.
augment::Normalisation normalisation_of(const std::string& data) {
  if (starts_with(data, "cifar")) return {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}};
  return {};
}

int size_of(const Options& o) {
  if (o.size > 0) return static_cast<int>(o.size);
  if (starts_with(o.data, "folder")) return 112;
  if (starts_with(o.data, "stl10")) return 96;
  return 32;
}

/// Two runs in one folder would mix. The lock is of this process: the system opens it when the process ends, however it ends.
void lock_folder(const std::string& path) {
  io::make_folders(path);
  const int folder = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;  // may be written but not read: writing goes on without a lock
  if (flock(folder, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)  // other errors: a file system without locks
    fail("out", "another process trains in ", path, "; wait for it, or choose another --out");
}

/// What a run writes among its own pictures would be trained on, and a resume would find more of them than the start.
void expect_out_elsewhere(const Options& o) {
  namespace fs = std::filesystem;
  if (!starts_with(o.data, "folder:") || o.data == "folder:") return;
  std::error_code unknown;  // then nothing is known of links, and opening the folder will tell
  const auto place = [&](const std::string& path) { return fs::weakly_canonical(fs::absolute(path + "/.", unknown), unknown); };
  const auto out = place(o.out), pictures = place(o.data.substr(7));
  const auto below = [](const fs::path& top, const fs::path& path) {
    return std::mismatch(top.begin(), top.end(), path.begin(), path.end()).first == top.end();
  };
  const auto plain = [&](const std::string& path) {  // links are followed among the pictures, too
    auto place = (fs::absolute(path, unknown) / ".").lexically_normal();
    return place.has_filename() ? place : place.parent_path();
  };
  if (!unknown && (below(pictures, out) || below(plain(o.data.substr(7)), plain(o.out))))
    throw UsageError(concat("--out ", o.out, " lies inside of the pictures, ", o.data,
                            ": what is written there may be trained on; choose an --out elsewhere"));
}

/// Which pictures these are, wherever they lie: what a resume compares.
std::string identity(const data::Dataset& pictures) {
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < pictures.size(); ++i)
    for (const char c : pictures.name(i) + '\n') sum = (sum ^ static_cast<unsigned char>(c)) * 1099511628211u;  // FNV-1a
  return concat(pictures.size(), " files whose names have the checksum ", sum);
}

/// Eight pictures from all over the set (in a folder, neighbours are of one class), one row each: the picture, and the views
/// that the task makes of it.
void save_views(const std::string& path, const Source& source, const pretext::Views& views, std::uint64_t seed) {
  std::vector<image::Image> pictures;
  const auto plain = augment::evaluation(source.size, source.normalisation);
  std::vector<float> numbers(static_cast<std::size_t>(3 * source.size * source.size));
  const int columns = 1 + static_cast<int>(views.size()) * (views.size() > 2 ? 1 : 3);
  const std::int64_t rows = std::min<std::int64_t>(8, source.train->size());
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t i = row * source.train->size() / rows;
    image::Image picture;
    try {
      picture = source.train->image(i);
    } catch (const data::UnreadablePicture&) {
      continue;
    }
    Random unused(seed, Purpose::augment);
    plain.make(unused, picture, numbers.data());
    pictures.push_back(plain.picture(numbers.data()));
    for (std::size_t c = 0; c + 1 < static_cast<std::size_t>(columns); ++c) {  // drawn as the loader draws them, epoch by epoch
      const std::size_t v = c % views.size();
      const auto& view = views[v];
      Random random(seed, Purpose::augment, c / views.size(), static_cast<std::uint64_t>(i),
                    static_cast<std::uint32_t>(view.draw_of(v)));
      view.recipe.make(random, picture, numbers.data());
      pictures.push_back(view.recipe.picture(numbers.data()));
    }
  }
  if (!pictures.empty()) image::save_png(path, image::contact_sheet(pictures, {.columns = columns}));
}

}  // namespace

Source open_source(const Options& o, const Pretraining& p) {
  expect_out_elsewhere(o);
  Source source;
  source.size = size_of(o);
  source.view_size = p.view_size > 0 ? p.view_size : source.size;
  if (source.view_size > source.size)
    throw UsageError(concat("--view-size expects at most the ", source.size, " pixels that the encoder is measured with, got ",
                            source.view_size, "; see --size"));
  source.normalisation = normalisation_of(o.data);
  const int side = starts_with(o.data, "folder") ? source.size * 3 / 2 : o.size > 0 ? source.size : 0;
  const data::OpenOptions how{
      .limit = o.limit, .seed = o.seed, .strict = o.strict, .size = side, .decode_size = o.scaled_decode ? side : 0};
  source.train = data::open(o.data, data::Split::unlabeled, how);
  try {  // labels are a luxury: without them there is no online kNN
    auto fewer = how;
    fewer.limit = how.limit > 0 ? std::min(how.limit, p.knn_limit) : p.knn_limit;
    auto base = data::open(o.data, data::Split::train, fewer);
    fewer.limit = std::max<std::int64_t>(fewer.limit / 5, 1);
    auto test = data::open(o.data, data::Split::test, fewer);
    std::string missing;
    for (const auto& part : {test, base})
      if (const auto text = unlabelled(*part); !text.empty()) missing = text;
    if (missing.empty()) {
      source.base = base;
      source.test = test;
    } else {
      std::fprintf(stderr, "note: no online kNN: %s\n", missing.c_str());
    }
  } catch (const Error& e) {
    if (o.strict && starts_with(o.data, "folder") && has_test_part(o.data)) throw;
    std::fprintf(stderr, "note: no online kNN: %s\n", e.what());
  }
  name_skipped(o, {source.train, source.base, source.test});
  return source;
}

nn::AnyEncoder make_encoder(const Options& o, const Pretraining& p, const Source& source) {
  const bool small = p.stem == "small" || (p.stem == "auto" && source.size <= 64);
  if (!small && source.view_size <= 64)
    std::fprintf(stderr, "warning: the imagenet stem leaves little of %d pixels; --stem small is meant for up to 64\n",
                 source.view_size);
  try {
    const auto encoder =
        nn::make_encoder(o.encoder, {.stem = small ? nn::Stem::small : nn::Stem::imagenet, .image_size = source.size});
    if (const auto config = encoder.config();
        config && std::holds_alternative<nn::ViTConfig>(*config) && source.view_size != source.size)
      throw UsageError(concat("--view-size ", source.view_size, ": the vision transformer ", o.encoder,
                              " sees pictures of one size only, here ", source.size, "; leave it out, or change --size"));
    move_to(encoder.state(), o.where());  // where it goes, the rest of the task and its pictures follow
    return encoder;
  } catch (const Error& e) {
    throw UsageError(
        concat("--encoder ", o.encoder, " cannot be made for --size ", source.size, ": ", e.what(), "; choose another"));
  }
}

optim::Optimizer make_optimizer(const Options& o, const Pretraining& p, const Parameters& parameters) {
  optim::Options how{.lr = o.lr, .weight_decay = p.weight_decay};
  if (o.optimizer == "sgd" || o.optimizer == "lars" || o.optimizer == "muon") how.momentum = p.momentum;
  if (o.optimizer == "muon") how.nesterov = p.momentum > 0;
  return optim::make(o.optimizer, parameters, how);
}

train::FitOptions start_run(const Options& o, const Pretraining& p, const Source& source, const nn::AnyEncoder& encoder,
                            const pretext::Views& views) {
  train::FitOptions fit;
  fit.epochs = static_cast<int>(o.epochs);
  fit.batch = o.batch;
  fit.seed = o.seed;
  fit.schedule = optim::make_schedule(p.schedule);
  fit.warmup_epochs = p.warmup;
  fit.clip = p.clip;
  fit.average = p.average;
  fit.precision = o.precision == "bfloat16" ? DType::bfloat16 : DType::float32;
  fit.accumulate = p.accumulate;
  fit.workers = o.workers > 0 ? o.workers : source.train->in_memory() ? 0 : -1;
  fit.out = o.out;
  fit.resume = o.resume;
  fit.checkpoint_seconds = p.checkpoint_seconds;
  if (o.where() == Device::cuda && p.checkpoint_seconds > 0) {
    fit.checkpoint_epochs = 0;  // epochs may be so short that writing would take longer: only time counts
    if (!o.was_typed("--checkpoint-seconds") && p.checkpoint_seconds == Pretraining{}.checkpoint_seconds)
      fit.checkpoint_seconds = 60;
  }
  fit.monitor_every = p.knn_every;
  fit.progress = progress_printer();
  fit.stop = stop_on_signals();
  fit.settings = {{"data", starts_with(o.data, "folder") ? identity(*source.train) : o.data},
                  {"encoder", o.encoder},
                  {"stem", p.stem},
                  {"limit", std::to_string(o.limit)},
                  {"size", std::to_string(source.size)}};
  if (o.scaled_decode) fit.settings["scaled-decode"] = "true";
  for (const auto& e : o.extras) {  // the task's own numbers and flags: temperature, strength, blur...
    if (const auto* number = std::get_if<float*>(&e.target)) fit.settings[e.name.substr(2)] = concat(**number);
    if (const auto* flag = std::get_if<bool*>(&e.target); flag && **flag) fit.settings[e.name.substr(2)] = "true";
    if (const auto* whole = std::get_if<std::int64_t*>(&e.target); whole && *whole != &p.knn_limit)
      fit.settings[e.name.substr(2)] = concat(**whole);
  }

  const auto recipe = augment::evaluation(source.size, source.normalisation);
  if (source.base)
    fit.monitor = [source, encoder, recipe, how = eval::ExtractOptions{.precision = fit.precision}](int) -> train::Measurement {
      const auto base = eval::extract(encoder, source.base, recipe, how), test = eval::extract(encoder, source.test, recipe, how);
      return {{{"knn200", eval::knn_accuracy(base.features, base.labels, test.features, test.labels)}}, {}};
    };

  lock_folder(o.out);
  if (!o.resume && std::filesystem::exists(o.out + "/checkpoint"))
    fail("out", o.out, " holds an earlier run; continue it with --resume, or choose another --out");
  const bool begins = train::list_checkpoints(o.out + "/checkpoint").empty();
  for (const char* result : {"/encoder.safetensors", "/evaluation.json"})
    if (begins && io::exists(o.out + result))
      fail("out", o.out,
           " holds the results of an earlier run, and no checkpoint to go on from; choose another --out, or remove ", o.out,
           result);
  prepare_out(o, {"encoder.safetensors", "report.html"});
  if (begins) {
    // A run that goes on keeps what it began with, also where the trainer refuses to go on with other options.
    save_config(o);
    save_views(o.out + "/views.png", source, views, o.seed);
  }
  std::fprintf(stderr, "%lld pictures, views of %d x %d; encoder %s: %.1f million multiply-adds a view, %lld features\n",
               static_cast<long long>(source.train->size()), source.view_size, source.view_size, o.encoder.c_str(),
               static_cast<double>(nn::macs(encoder, source.view_size, source.view_size)) / 1e6,
               static_cast<long long>(encoder.dim()));
  if (source.base)
    std::fprintf(stderr, "online kNN: %lld test pictures against %lld training pictures; labels are used for nothing else\n",
                 static_cast<long long>(source.test->size()), static_cast<long long>(source.base->size()));
  return fit;
}

void finish_run(const Options& o, const Source& source, const nn::AnyEncoder& encoder, const train::FitResult& result) {
  name_skipped(o, {source.train, source.base, source.test});
  if (!result.finished) {
    std::fprintf(stderr, "stopped after step %lld; the same command with --resume continues\n",
                 static_cast<long long>(result.steps));
    report::write_report(o.out);
    return;
  }
  nn::EncoderInfo info;
  info.input_size = source.size;
  info.mean = source.normalisation.mean;
  info.deviation = source.normalisation.deviation;
  info.notes = {{"program", o.program}, {"data", o.data}, {"epochs", std::to_string(o.epochs)}, {"seed", std::to_string(o.seed)}};
  nn::save_encoder(o.out + "/encoder.safetensors", encoder, info);
  report::write_report(o.out);
  forget_stop();  // it came too late to stop anything
  std::printf("trained for %s, last loss %.4f: %s/encoder.safetensors\n", train::format_seconds(result.seconds).c_str(),
              result.loss, o.out.c_str());
}

}  // namespace support
