// The page of a run: one HTML file that needs nothing else, no network and no script, so that it can be mailed, archived
// and opened in ten years. Curves are SVG, pictures are embedded, colours follow the reader's light or dark setting.
//
//   report::write_report("runs/first");   // reads what the run left there, writes runs/first/report.html
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "../core/error.hpp"

namespace sslcake::inline v0::report {

/// What a page is made of: texts of files, empty where there are none.
struct RunFiles {
  std::string name;             // heading
  std::string config_json;      // a table of all settings
  std::string metrics_jsonl;    // curves
  std::string evaluation_json;  // a table of results; accuracies from 0 to 1
  std::vector<std::pair<std::string, std::string>> pictures;  // file name, bytes of the PNG
  std::vector<std::string> notes;  // printed under the heading
};

/// The page as text. A file that cannot be understood becomes a note on the page, never an error.
std::string html(const RunFiles& files);

/// Reads config.json, metrics.jsonl, evaluation.json and *.png of a run's folder, as far as they are there, and writes
/// report.html beside them (atomically). Errors: the folder does not exist, or may not be written to.
void write_report(const std::string& folder);

/// RFC 4648.
std::string base64(const std::string& bytes);

}  // namespace sslcake::inline v0::report

#ifndef SSLCAKE_COMPILED
#include "report_inl.hpp"
#endif
