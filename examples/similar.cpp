// The most similar pictures of a data set, as an encoder sees them: the quickest way to look into its head.
//
//   similar --encoder FILE.safetensors --data folder:photos --query a.jpg b.jpg      neighbours of one's own pictures
//   similar --run runs/simclr --random 8                                              of pictures of the set itself
//
// Writes similar.png, one row per query: the query in a frame, then its neighbours, nearest first.
#include <algorithm>
#include <cstdio>

#include <sslcake/core/random.hpp>
#include <sslcake/eval/features.hpp>
#include <sslcake/eval/knn.hpp>
#include <sslcake/image/contact_sheet.hpp>
#include <sslcake/image/decode.hpp>
#include <sslcake/image/png.hpp>
#include <sslcake/report/chart.hpp>

#include "support/measure.hpp"

using namespace sslcake;

int main(int argc, char** argv) {
  support::Options options{.program = "similar",
                           .about = "Shows the nearest pictures of a data set to some query pictures, on one contact sheet.",
                           .out = "runs/similar"};
  options.encoder_help = "the encoder's file, encoder.safetensors";
  options.unused = {"--epochs", "--optimizer", "--lr", "--resume", "--precision", "--workers"};
  std::string run;
  std::vector<std::string> files;
  std::int64_t random = 8, neighbours = 8, tile = 112;
  options.extras = {{"--run", &run, "folder of a run: its encoder, its pictures, and where the sheet goes"},
                    {"--query", &files, "picture files to look for"},
                    {"--random", &random, "without --query: so many pictures of the set itself", 1, 200},
                    {"--neighbours", &neighbours, "to show for each", 1, 100},
                    {"--tile", &tile, "side of a picture on the sheet, in pixels", 16, 1024}};

  return support::main_guard(argc, argv, options, [&] {
    support::adopt_run(options, run);
    const auto encoder = support::load_encoder(options);
    support::prepare_out(options, {"similar.png"});
    const auto query_count = files.empty() ? random : static_cast<std::int64_t>(files.size());
    if ((neighbours + 1) * query_count > (std::int64_t{1} << 28) / (tile * tile))
      throw support::UsageError(concat("a sheet of ", query_count, " rows of ", neighbours + 1, " pictures with ", tile,
                                       " pixels a side would be larger than an image file should be; choose a smaller --tile, "
                                       "--neighbours or --random"));

    // Queries: a data set of their own. Files come first, for a mistake in their names is better told at once. Those from
    // the set itself come with the row that they must not find.
    data::DatasetPtr queries;
    eval::FeatureSet wanted;
    if (!files.empty()) {
      queries = std::make_shared<data::FunctionDataset>(query_count, [&](std::int64_t i) {
        return image::load(files[static_cast<std::size_t>(i)]);
      });
      wanted = eval::extract(encoder.encoder, queries, encoder.recipe);
    }
    const auto pictures = support::open_part(options, data::Split::train, encoder.size);
    const auto base = eval::extract(encoder.encoder, pictures, encoder.recipe, {.batch = options.batch});
    std::vector<std::int64_t> own;
    if (files.empty()) {
      own = data::permutation(base.features.dim(0), options.seed);
      own.resize(static_cast<std::size_t>(std::min(random, base.features.dim(0))));
      std::vector<std::int64_t> chosen;
      for (const auto row : own) chosen.push_back(base.indices[static_cast<std::size_t>(row)]);
      queries = std::make_shared<data::Subset>(pictures, chosen);
      wanted = eval::extract(encoder.encoder, queries, encoder.recipe);
    }
    const auto found = eval::nearest(wanted.features, base.features, neighbours + (own.empty() ? 0 : 1));

    std::vector<image::Tile> tiles;
    std::string listing;  // printed when the sheet is there: who reads it may stop reading
    const std::int64_t k = found.indices.dim(1);
    const auto rows = found.indices.to_vector<std::int64_t>();
    const auto similarities = found.similarities.to_vector<float>();
    const auto short_name = [](const std::string& name) {  // butterfly/image_0075.jpg: the class, if there is one, says most
      const auto slash = name.find_last_of('/');
      return slash == std::string::npos || slash == 0 ? name : name.substr(name.find_last_of('/', slash - 1) + 1);
    };
    for (std::size_t q = 0; q < wanted.indices.size(); ++q) {
      const auto query_name = files.empty() ? queries->name(wanted.indices[q]) : files[q];
      tiles.push_back({queries->image(wanted.indices[q]), short_name(query_name), true, image::orange});
      listing += support::one_line(query_name) + "\n";
      std::int64_t shown = 0;
      for (auto j = q * static_cast<std::size_t>(k); j < (q + 1) * static_cast<std::size_t>(k) && shown < neighbours; ++j) {
        if (!own.empty() && rows[j] == own[q]) continue;
        const auto picture = base.indices[static_cast<std::size_t>(rows[j])];
        const std::string similarity = report::number(static_cast<double>(similarities[j]), 3);
        tiles.push_back({pictures->image(picture), similarity + " " + short_name(pictures->name(picture))});
        const std::string room(similarity.size() < 6 ? 6 - similarity.size() : 0, ' ');
        listing += concat("  ", similarity, room, " ", support::one_line(pictures->name(picture)), "\n");
        ++shown;
      }
      for (; shown < neighbours; ++shown) tiles.push_back({});  // a set smaller than a row
    }
    support::save_config_of_use(options);
    const std::string path = options.out + "/similar.png";
    const image::SheetOptions sheet{.columns = static_cast<int>(neighbours) + 1, .tile = static_cast<int>(tile)};
    image::save_png(path, image::contact_sheet(tiles, sheet));
    support::name_skipped(options, {pictures});
    std::printf("%s%s\n", listing.c_str(), path.c_str());
  });
}
