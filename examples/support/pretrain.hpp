// What the pretraining programs share, so that each of them shows only its task: from the options to data set, encoder,
// optimiser and trainer settings, and from the trained encoder to the files of a run.
#pragma once

#include <sslcake/augment/recipe.hpp>
#include <sslcake/data/dataset.hpp>
#include <sslcake/kernels/cpu/isa.hpp>
#include <sslcake/nn/encoder.hpp>
#include <sslcake/optim/optimizer.hpp>
#include <sslcake/train/trainer.hpp>

#include "support/program.hpp"

namespace support {

/// Options that all pretraining programs have beside the common ones.
struct Pretraining {
  std::string stem = "auto", schedule = "cosine";
  double momentum = 0.9;       // of SGD; LARS and Muon have their own
  double weight_decay = 5e-4;  // of SGD: what lightly's CIFAR-10 benchmark uses
  double warmup = 0;      // epochs
  double clip = 0, average = 0;
  int accumulate = 1, knn_every = 5;
  int view_size = 0;           // pixels; 0: as the pictures that the encoder is measured with
  std::int64_t knn_limit = 10000;
  double checkpoint_seconds = 300;
};
/// Adds them to the program's command line. What is not given follows from the others: rates from the optimiser (those in
/// `options` and `pretraining` are of sgd), the precision from the kernels.
void add_pretraining_options(Options& options, Pretraining& pretraining);

/// The faster of the precisions that these kernels train well in: bfloat16 where they multiply it, else float32.
const char* precision_for(sslcake::kernels::Isa isa);

/// The data of a run and what the encoder must know of it.
struct Source {
  std::shared_ptr<sslcake::data::Dataset> train;
  std::shared_ptr<sslcake::data::Dataset> base, test;  // with labels, for the online kNN; null where there are none
  int size = 32;                                       // side of the pictures that the encoder is measured with
  // and of the views that it is trained with, at most as large: crops show things larger than whole pictures do, so that smaller
  // views show them as large (Touvron et al. 2019, arXiv 1906.06423), and cost less
  int view_size = 32;
  sslcake::augment::Normalisation normalisation;
};
/// Opens --data. Pictures that cannot be read are named on stderr.
Source open_source(const Options& options, const Pretraining& pretraining);

sslcake::nn::AnyEncoder make_encoder(const Options& options, const Pretraining& pretraining, const Source& source);
sslcake::optim::Optimizer make_optimizer(const Options& options, const Pretraining& pretraining,
                                         const sslcake::Parameters& parameters);

/// Settings of the trainer, with online kNN, progress lines, checkpoints in --out, and Ctrl-C. Writes config.json and
/// views.png (what the task makes of some pictures) into --out.
sslcake::train::FitOptions start_run(const Options& options, const Pretraining& pretraining, const Source& source,
                                     const sslcake::nn::AnyEncoder& encoder, const sslcake::pretext::Views& views);

/// Writes encoder.safetensors and report.html into --out and says what came out.
void finish_run(const Options& options, const Source& source, const sslcake::nn::AnyEncoder& encoder,
                const sslcake::train::FitResult& result);

}  // namespace support
