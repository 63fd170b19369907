#pragma once

#include <algorithm>
#include <cmath>

#include "../io/files.hpp"
#include "../io/json.hpp"
#include "chart.hpp"
#include "curves.hpp"
#include "report.hpp"
#include "style.hpp"

namespace sslcake::inline v0::report {
namespace detail {

/// Settings in nested objects become "outer.inner".
inline void flatten(const io::Json& value, const std::string& name, std::vector<std::pair<std::string, std::string>>& rows) {
  if (value.is_object()) {
    for (const auto& [key, member] : value.members()) flatten(member, name.empty() ? key : name + "." + key, rows);
  } else {
    rows.emplace_back(name, value.is_string() ? value.as_string() : value.dump());
  }
}

/// The text as JSON; null, and a note, where it is none.
inline io::Json parse(const std::string& text, const char* file, std::vector<std::string>& notes) {
  if (text.empty()) return {};
  try {
    return io::Json::parse(text);
  } catch (const Error& e) {
    notes.push_back(concat(file, " could not be read: ", e.what()));
    return {};
  }
}

inline std::string duration(double seconds) {
  const auto s = static_cast<long long>(std::llround(seconds));
  if (s < 60) return concat(s, " s");
  if (s < 3600) return concat(s / 60, " min ", s % 60, " s");
  return concat(s / 3600, " h ", s / 60 % 60, " min");
}

/// One accuracy: name, bar, figure.
inline std::string accuracy_row(const std::string& name, double value, bool quiet) {
  const std::string percent = number(100 * std::clamp(value, 0.0, 1.0), 4);
  return concat("<tr><th scope=\"row\">", escape(name), "</th><td><div class=\"bar\"><i", quiet ? " class=\"quiet\"" : "",
                " style=\"width:", percent, "%\"></i></div></td><td class=\"figure\">", number(100 * value, 4), " %</td></tr>\n");
}

inline std::string results(const io::Json& evaluation) {
  struct Known {
    const char *key, *name;
    bool quiet;  // what the encoder is compared with
  };
  static constexpr Known known[] = {
      {"pixels_knn200", "raw pixels, kNN (k = 200)", true},      {"random_knn200", "untrained encoder, kNN (k = 200)", true},
      {"knn10", "pretrained encoder, kNN (k = 10)", false},      {"knn200", "pretrained encoder, kNN (k = 200)", false},
      {"linear", "pretrained encoder, linear probe", false},     {"from_scratch", "few labels, from scratch", true},
      {"fine_tune", "few labels, pretrained encoder", false},
  };
  std::string rows, facts;
  for (const auto& k : known)
    if (const auto* v = evaluation.find(k.key); v && v->is_number()) rows += accuracy_row(k.name, v->as_double(), k.quiet);
  if (const auto* stages = evaluation.find("stages"); stages && stages->is_array()) {
    int stage = 0;
    for (const auto& v : stages->items())
      if (++stage; v.is_number()) rows += accuracy_row(concat("linear probe after stage ", stage), v.as_double(), false);
  }
  std::vector<std::pair<std::string, std::string>> others;
  for (const auto& [key, value] : evaluation.members()) {
    const auto is_this = [&, k = &key](const Known& x) { return *k == x.key; };
    if (key == "stages" || std::any_of(std::begin(known), std::end(known), is_this)) continue;
    if (value.is_number() && !value.is_integer()) others.emplace_back(key, number(value.as_double(), 4));
    else flatten(value, key, others);
  }
  for (const auto& [name, value] : others)
    facts += concat(facts.empty() ? "" : " · ", escape(name), " ", escape(value));
  return concat("<h2>Results</h2>\n<div class=\"card\"><table>\n", rows, "</table>",
                facts.empty() ? "" : concat("<p class=\"lead\">", facts, "</p>"), "</div>\n");
}

inline std::string charts(const Curves& curves) {
  const std::string x_label = curves.x_is_epoch ? "epoch" : "step";
  std::string out;
  const auto add = [&](const std::vector<Series>& series, ChartOptions options) {
    options.x_label = x_label;
    out += "<div class=\"card\">" + line_chart(series, options) + "</div>\n";
  };
  const auto series = [](const Curve& c) { return Series{c.name, thin_out(c.points)}; };

  if (const auto* loss = curves.find("loss")) {
    std::vector<Series> lines{series(*loss)};
    const auto not_zero = [](const auto& p) { return p.second != 0; };
    if (const auto* chance = curves.find("chance"); chance && std::any_of(chance->points.begin(), chance->points.end(), not_zero))
      lines.push_back({"chance", thin_out(chance->points), true});
    add(lines, {.title = "Loss"});
  }
  std::vector<Series> knn;
  for (const auto& c : curves.all)
    if (c.name.starts_with("knn")) knn.push_back(series(c));
  if (!knn.empty()) add(knn, {.title = "kNN accuracy", .percent = true});

  struct Known {
    const char *key, *title;
  };
  static constexpr Known known[] = {{"deviation", "Deviation per dimension (unit features)"},
                                    {"effective_rank", "Effective rank of the features"},
                                    {"lr", "Learning rate"},
                                    {"images_per_second", "Pictures per second"}};
  // The task's own metrics come before the meters and the machine's figures.
  std::vector<std::string> done{"loss", "chance", "waited"};
  for (const auto& c : curves.all) {
    const bool later = std::any_of(std::begin(known), std::end(known), [&](const Known& k) { return c.name == k.key; });
    if (later || c.name.starts_with("knn") || std::find(done.begin(), done.end(), c.name) != done.end()) continue;
    done.push_back(c.name);
    const auto* finest = curves.find(c.name);
    add({series(finest ? *finest : c)}, {.title = c.name, .percent = c.name.find("accuracy") != std::string::npos});
  }
  for (const auto& k : known)
    if (const auto* c = curves.find(k.key)) add({series(*c)}, {.title = k.title, .from_zero = true});
  return out.empty() ? out : "<h2>Curves</h2>\n<div class=\"charts\">\n" + out + "</div>\n";
}

inline std::string tile(const std::string& value, const std::string& name) {
  return concat("<div class=\"tile\"><b>", escape(value), "</b><span>", escape(name), "</span></div>\n");
}

}  // namespace detail

SSLCAKE_INLINE std::string base64(const std::string& bytes) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t word = 0;
    for (std::size_t j = 0; j < 3; ++j)
      word = word << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j)
      out += i + j <= bytes.size() ? digits[word >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

SSLCAKE_INLINE std::string html(const RunFiles& files) {
  std::vector<std::string> notes = files.notes;
  const io::Json config = detail::parse(files.config_json, "config.json", notes);
  const io::Json evaluation = detail::parse(files.evaluation_json, "evaluation.json", notes);
  const Curves curves = read_curves(files.metrics_jsonl);
  // A single torn line at the end is what a killed run leaves; more are worth a word.
  if (curves.unreadable > 1) notes.push_back(concat(curves.unreadable, " lines of metrics.jsonl could not be read"));

  const auto text_of = [&](const char* key) -> std::string {  // programs keep their options in an object of that name
    const auto* v = config.is_object() ? config.find(key) : nullptr;
    if (const auto* options = config.is_object() ? config.find("options") : nullptr; !v && options && options->is_object())
      v = options->find(key);
    return !v || v->is_null() ? "" : v->is_string() ? v->as_string() : v->dump();
  };
  std::string lead;
  for (const auto& part : {text_of("program"), text_of("encoder"), text_of("data")})
    if (!part.empty()) lead += (lead.empty() ? "" : " · ") + part;

  std::string tiles;
  const auto accuracy_tile = [&](const char* key, const char* name) {
    const auto* v = evaluation.is_object() ? evaluation.find(key) : nullptr;
    const bool there = v && v->is_number();
    if (there) tiles += detail::tile(number(100 * v->as_double(), 3) + " %", name);
    return there;
  };
  if (!accuracy_tile("knn200", "kNN accuracy (k = 200)"))
    if (const auto* c = curves.find("epoch", "knn200"))
      tiles += detail::tile(number(100 * c->points.back().second, 3) + " %", "kNN accuracy (k = 200), online");
  accuracy_tile("linear", "linear probe");
  const auto *epoch_loss = curves.find("epoch", "loss"), *step_loss = curves.find("step", "loss");
  if (epoch_loss) tiles += detail::tile(number(epoch_loss->points.back().second, 4), "loss, last epoch");
  else if (step_loss) tiles += detail::tile(number(step_loss->points.back().second, 4), "loss, last step");
  if (epoch_loss && curves.x_is_epoch) tiles += detail::tile(number(epoch_loss->points.back().first, 4), "epochs");
  if (curves.seconds > 0) tiles += detail::tile(detail::duration(curves.seconds), "training time");

  std::string page = concat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      // The browser itself is told that nothing may be fetched.
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"/>\n"
      "<title>", escape(files.name), "</title>\n<style>", detail::style, "</style>\n</head>\n<body>\n<main>\n",
      "<h1>", escape(files.name), "</h1>\n");
  if (!lead.empty()) page += "<p class=\"lead\">" + escape(lead) + "</p>\n";
  for (const auto& note : notes) page += "<p class=\"note\">" + escape(note) + "</p>\n";
  if (!tiles.empty()) page += "<div class=\"tiles\">\n" + tiles + "</div>\n";
  if (evaluation.is_object()) page += detail::results(evaluation);
  page += detail::charts(curves);
  if (!files.pictures.empty()) {
    page += "<h2>Pictures</h2>\n<div class=\"pictures\">\n";
    for (const auto& [name, bytes] : files.pictures) {
      std::string caption = name.substr(0, name.rfind(".png"));
      std::replace_if(caption.begin(), caption.end(), [](char c) { return c == '_' || c == '-'; }, ' ');
      page += concat("<figure><img alt=\"", escape(caption), "\" src=\"data:image/png;base64,", base64(bytes), "\"/><figcaption>",
                     escape(caption), "</figcaption></figure>\n");
    }
    page += "</div>\n";
  }
  if (config.is_object()) {
    std::vector<std::pair<std::string, std::string>> rows;
    detail::flatten(config, "", rows);
    page += "<h2>Configuration</h2>\n<div class=\"card\"><table class=\"config\">\n";
    for (const auto& [name, value] : rows)
      page += concat("<tr><th scope=\"row\">", escape(name), "</th><td>", escape(value), "</td></tr>\n");
    page += "</table></div>\n";
  }
  return page + "<footer>Written by sslcake " SSLCAKE_VERSION_STRING ".</footer>\n</main>\n</body>\n</html>\n";
}

SSLCAKE_INLINE void write_report(const std::string& folder) {
  if (!io::is_folder(folder))
    fail("write_report", "expected the folder of a run, got ", folder, " (it does not exist or is no folder)");
  RunFiles files;
  const std::string real = io::real_path(folder.empty() ? "." : folder);
  files.name = real.substr(real.rfind('/') + 1);
  if (files.name.empty()) files.name = "run";
  constexpr std::uint64_t most = 64u << 20;
  const auto text = [&](const char* name) -> std::string {
    const std::string path = folder + "/" + name;
    if (!io::exists(path)) return "";
    try {
      return io::read_file(path, most);
    } catch (const Error& e) {
      files.notes.push_back(e.what());
      return "";
    }
  };
  files.config_json = text("config.json");
  files.metrics_jsonl = text("metrics.jsonl");
  files.evaluation_json = text("evaluation.json");

  std::vector<std::string> names;
  for (auto& name : io::list_folder(folder).files)
    if (name.ends_with(".png")) names.push_back(std::move(name));
  std::uint64_t embedded = 0;
  for (const auto& name : names) {
    std::string bytes = text(name.c_str());
    if (!bytes.starts_with("\x89PNG")) continue;
    if (embedded += bytes.size(); embedded > most) {
      files.notes.push_back(name + " and later pictures were left out: the page would be too large");
      break;
    }
    files.pictures.emplace_back(name, std::move(bytes));
  }
  io::write_atomically(folder + "/report.html", html(files));
}

}  // namespace sslcake::inline v0::report
