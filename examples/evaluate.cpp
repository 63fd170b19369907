// What did an encoder learn? Three questions, and the baselines of two:
//
//   kNN            do pictures of one class lie near each other?        raw pixels, the untrained encoder
//   linear probe   can a plane tell the classes apart, stage by stage?
//   fine-tuning    is it a good start where labels are few?             the same network from scratch
//
//   evaluate --run runs/simclr                           all but the last, with the run's own pictures
//   evaluate --run runs/simclr --labels-per-class 40     the last, too
//   evaluate --encoder FILE.safetensors --data cifar10:DIR --out somewhere
//
// Prints one table; writes evaluation.json (until it is whole, evaluation.partial.json) and refreshes report.html. Labels
// measure here, as in the online kNN of pretraining; no encoder was pretrained on them.
#include <chrono>
#include <cstdio>

#include <sslcake/eval/collapse.hpp>
#include <sslcake/eval/features.hpp>
#include <sslcake/eval/fine_tune.hpp>
#include <sslcake/eval/knn.hpp>
#include <sslcake/eval/linear_probe.hpp>
#include <sslcake/io/files.hpp>
#include <sslcake/io/json.hpp>
#include <sslcake/report/report.hpp>

#include "support/measure.hpp"

using namespace sslcake;

/// kNN accuracy of test features among train features, by k, weighted with the temperature (0: plain votes).
double knn(const eval::FeatureSet& train, const eval::FeatureSet& test, std::int64_t k, float temperature) {
  return eval::knn_accuracy(train.features, train.labels, test.features, test.labels, {k, temperature});
}

int main(int argc, char** argv) {
  support::Options options{.program = "evaluate",
                           .about = "Measures an encoder: kNN, linear probes, fine-tuning (--epochs, --batch, --lr are its).",
                           .out = "runs/evaluate", .batch = 64, .lr = 0.03};
  options.encoder_help = "the encoder's file, encoder.safetensors";
  options.unused = {"--optimizer", "--resume", "--precision", "--workers"};
  std::string run;
  std::int64_t labels_per_class = 0;
  eval::ProbeOptions probe;
  options.extras = {{"--run", &run, "folder of a run: its encoder, its pictures, and where the results go"},
                    {"--labels-per-class", &labels_per_class, "fine-tune with so many labels of each class; 0: do not", 0, 1e6},
                    {"--probe-epochs", &probe.epochs, "of the linear probes", 1, 1e5}};

  return support::main_guard(argc, argv, options, [&] {
    const auto start = std::chrono::steady_clock::now();
    support::adopt_run(options, run);
    const auto [encoder, info, size, recipe, normalisation] = support::load_encoder(options);
    support::prepare_out(options, {"evaluation.json", "report.html"});
    // The untrained twin: the same shape, fresh weights.
    const nn::AnyEncoder fresh = encoder.config() ? nn::make_encoder(*encoder.config()) : encoder;
    move_to(fresh.state(), options.where());
    const auto [train_set, test_set, held_out] = support::open_labelled(options, size);
    // Are there enough labels? Better asked now than after everything else.
    if (labels_per_class > 0) eval::balanced_subset(data::labels_of(*train_set), labels_per_class, options.seed);
    io::Json result = io::Json::object();
    result.set("train_pictures", train_set->size()).set("test_pictures", test_set->size());
    if (held_out) result.set("test_part", "a fifth, held out; pretraining on this folder has seen it, without labels");
    std::printf("%lld train and %lld test pictures of %s\n", static_cast<long long>(train_set->size()),
                static_cast<long long>(test_set->size()), options.data.c_str());
    const auto note = [&](const char* key, double value) {
      result.set(key, value);
      return support::percent(value);
    };
    const auto doing = [](const char* what) { std::fprintf(stderr, "evaluate: %s ...\n", what); };

    const std::string whole = options.out + "/evaluation.json", partial = options.out + "/evaluation.partial.json";
    const auto save = [&](const std::string& path) {
      result.set("seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      io::write_atomically(path, result.dump(2) + "\n");
    };
    // After every stage: who stops a long evaluation keeps what was found, beside what an earlier one found in full. A disk
    // that is full by now may have room at the end.
    const auto save_so_far = [&] {
      try {
        save(partial);
      } catch (const Error& e) {
        std::fprintf(stderr, "evaluate: warning: %s\n", e.what());
      }
    };

    std::vector<std::vector<std::string>> table{{"", "kNN, k = 10", "kNN, k = 200", "linear"}};
    doing("raw pixels");
    {
      const auto [train, test] = eval::pixels(train_set, test_set, std::min(size, 32), options.where());
      table.push_back({"raw pixels", "", note("pixels_knn200", knn(train, test, 200, 0.1f)), ""});
    }
    if (encoder.config()) {
      doing("the untrained encoder");
      const auto train = eval::extract(fresh, train_set, recipe), test = eval::extract(fresh, test_set, recipe);
      table.push_back({"untrained encoder", "", note("random_knn200", knn(train, test, 200, 0.1f)), ""});
    }
    doing("the pretrained encoder");
    const auto train = eval::extract(encoder, train_set, recipe, {.stages = true});
    const auto test = eval::extract(encoder, test_set, recipe, {.stages = true});
    const auto linear = [&](const Tensor& a, const Tensor& b) {
      return eval::linear_probe(a, train.labels, b, test.labels, probe).accuracy;
    };
    table.push_back({"pretrained encoder", note("knn10", knn(train, test, 10, 0)), note("knn200", knn(train, test, 200, 0.1f)),
                     note("linear", linear(train.features, test.features))});
    save_so_far();
    doing("linear probes of the stages");
    io::Json stages = io::Json::array();
    for (std::size_t s = 0; s < train.stages.size(); ++s) {
      stages.push_back(linear(train.stages[s], test.stages[s]));
      table.push_back({concat("  after stage ", s + 1), "", "", support::percent(stages.items().back().as_double())});
    }
    result.set("stages", stages);
    std::printf("\n%s", support::table(table).c_str());
    if (test.features.dim(0) >= 2) {
      const auto meters = eval::collapse(test.features);
      result.set("deviation", meters.deviation).set("effective_rank", meters.effective_rank);
      std::printf("\nfeatures: %s\n", meters.text.c_str());
    }

    result.set("encoder", encoder.name()).set("data", options.data);
    io::Json used = io::Json::object();  // in a run's folder, config.json is the run's
    used.set("encoder", options.encoder).set("size", size).set("limit", options.limit).set("seed", std::to_string(options.seed));
    used.set("probe-epochs", probe.epochs).set("probe-lr", probe.lr).set("probe-weight-decay", probe.weight_decay);
    if (labels_per_class > 0)
      used.set("labels-per-class", labels_per_class).set("epochs", options.epochs).set("batch", options.batch)
          .set("lr", options.lr);
    result.set("options", used);
    save_so_far();
    if (labels_per_class > 0) {
      doing("fine-tuning, and the same from scratch");
      const auto found = eval::fine_tune(encoder, fresh, train_set, test_set,
                                         {.labels_per_class = labels_per_class, .size = size, .normalisation = normalisation,
                                          .epochs = static_cast<int>(options.epochs), .batch = options.batch, .lr = options.lr,
                                          .seed = options.seed});
      result.set("labels_per_class", labels_per_class);
      std::printf("\n%s", support::table({{concat(labels_per_class, " labels per class"), "accuracy"},
                                          {"  from scratch", note("from_scratch", found.from_scratch)},
                                          {"  pretrained encoder", note("fine_tune", found.fine_tune)}}).c_str());
    }
    support::save_config_of_use(options);
    support::name_skipped(options, {train_set, test_set});
    save(whole);
    io::remove_file(partial);
    report::write_report(options.out);
    std::printf("\n%s/evaluation.json, %s/report.html\n", options.out.c_str(), options.out.c_str());
  });
}
