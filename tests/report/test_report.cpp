#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <sslcake/io/files.hpp>
#include <sslcake/report/report.hpp>

using namespace sslcake;

namespace {

// Whether every element that is opened is closed in order. The pages are written so that this holds for all tags,
// with <meta/> and <img/> closing themselves.
std::string first_fault(const std::string& page) {
  std::vector<std::string> open;
  std::size_t at = page.find("<html");
  while ((at = page.find('<', at)) != std::string::npos) {
    const auto end = page.find('>', at);
    if (end == std::string::npos) return "a tag without end: " + page.substr(at, 60);
    const std::string tag = page.substr(at + 1, end - at - 1);
    at = end;
    const std::string name = tag.substr(tag[0] == '/', tag.find_first_of(" /", 1) - (tag[0] == '/'));
    if (tag[0] == '/') {
      if (open.empty() || "/" + open.back() != tag) return "closed out of order: " + tag;
      open.pop_back();
    } else if (tag.back() != '/') {
      if (std::count(tag.begin(), tag.end(), '"') % 2) return "an odd number of quotes: " + tag;
      open.push_back(tag.substr(0, tag.find(' ')));
    }
  }
  return open.empty() ? "" : "never closed: " + open.back();
}

// The smallest PNG there is: one pixel.
const std::string png(
    "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0\x3a\x7e\x9b\x55\0\0\0\nIDATx\x9c\x63\x60\0\0\0\2\0\1\x48\xaf\xa4"
    "\x71\0\0\0\0IEND\xae\x42\x60\x82",
    67);

struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("sslcake_report_" + std::to_string(reinterpret_cast<std::uintptr_t>(this)));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  void put(const std::string& name, const std::string& text) const { io::write_atomically((path / name).string(), text); }
};

}  // namespace

TEST_CASE("base64: the examples of RFC 4648") {
  CHECK(report::base64("") == "");
  CHECK(report::base64("f") == "Zg==");
  CHECK(report::base64("fo") == "Zm8=");
  CHECK(report::base64("foo") == "Zm9v");
  CHECK(report::base64("foob") == "Zm9vYg==");
  CHECK(report::base64("fooba") == "Zm9vYmE=");
  CHECK(report::base64("foobar") == "Zm9vYmFy");
  CHECK(report::base64("\xff\xfe\xfd") == "//79");
}

TEST_CASE("write_report: a whole run becomes one well-formed page that needs nothing else") {
  Folder folder;
  folder.put(
      "config.json",
      R"({"program":"simclr","encoder":"resnet18-w16","data":"folder:/home/<me>/\"x\"","lr":0.06,)"
      R"("augment":{"crop":0.08,"flip":true},"list":[1,2]})");
  std::string log;
  for (int step = 1; step <= 900; ++step) {
    const std::string s = std::to_string(step), epoch = std::to_string((step + 99) / 100);
    log += "{\"kind\":\"step\",\"step\":" + s + ",\"epoch\":" + epoch + ",\"loss\":" + std::to_string(4.0 + 2.0 / step) +
           ",\"chance\":6.2,\"lr\":0.06,\"images_per_second\":900,\"seconds\":" + s + ",\"agreement\":0.5}\n";
    if (step % 100 == 0)
      log += "{\"kind\":\"epoch\",\"step\":" + s + ",\"epoch\":" + epoch +
             ",\"loss\":4.1,\"knn200\":0.4,\"deviation\":0.05,\"effective_rank\":20}\n";
  }
  folder.put("metrics.jsonl", log + "{\"kind\":\"st");
  folder.put(
      "evaluation.json",
      R"({"pixels_knn200":0.31,"random_knn200":0.295,"knn10":0.6,"knn200":0.625,"linear":0.688,)"
      R"("stages":[0.3,0.4,null,0.68],"pictures":60000,"deviation":0.05665524659590965})");
  folder.put("nearest_neighbours.png", png);
  folder.put("not-a-picture.png", "GIF89a");
  folder.put("notes.txt", "not read");
  report::write_report(folder.path.string());
  const std::string page = io::read_file((folder.path / "report.html").string());

  CHECK(first_fault(page) == "");
  // Self-contained: no address, no file, no script.
  CHECK(page.find("http:") == std::string::npos);
  CHECK(page.find("https:") == std::string::npos);
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("<link") == std::string::npos);
  CHECK(page.find("url(") == std::string::npos);
  std::size_t pictures = 0;
  for (std::size_t at = 0; (at = page.find("src=", at)) != std::string::npos; ++at, ++pictures)
    CHECK(page.compare(at, 27, "src=\"data:image/png;base64,") == 0);
  CHECK(pictures == 1);
  CHECK(page.find(report::base64(png)) != std::string::npos);
  CHECK(page.find("nearest neighbours</figcaption>") != std::string::npos);
  // What is in the files is on the page, escaped.
  CHECK(page.find("folder:/home/&lt;me&gt;/&quot;x&quot;") != std::string::npos);
  CHECK(page.find("<me>") == std::string::npos);
  CHECK(page.find(">augment.crop</th><td>0.08<") != std::string::npos);
  CHECK(page.find("62.5 %") != std::string::npos);
  CHECK(page.find("linear probe after stage 4") != std::string::npos);
  CHECK(page.find("stage 3") == std::string::npos);
  CHECK(page.find("pictures 60000 · deviation 0.05666<") != std::string::npos);
  for (const char* title : {"Loss", "kNN accuracy", "agreement", "Effective rank", "Learning rate", "Pictures per second"})
    CHECK_MESSAGE(page.find(std::string("aria-label=\"") + title) != std::string::npos, title);
  CHECK(page.find("15 min 0 s") != std::string::npos);
  CHECK(page.size() < 200000);
  // A second time it replaces itself.
  report::write_report(folder.path.string() + "/");
  CHECK(io::read_file((folder.path / "report.html").string()) == page);
}

TEST_CASE("write_report: an empty folder and damaged files still give a page") {
  Folder folder;
  report::write_report(folder.path.string());
  CHECK(first_fault(io::read_file((folder.path / "report.html").string())) == "");
  folder.put("config.json", "{\"lr\":");
  folder.put("evaluation.json", "[1,2]");
  folder.put("metrics.jsonl", "x\ny\n{\"loss\":1e308,\"step\":\"a\"}\n");
  report::write_report(folder.path.string());
  const std::string page = io::read_file((folder.path / "report.html").string());
  CHECK(first_fault(page) == "");
  CHECK(page.find("config.json could not be read") != std::string::npos);
  CHECK(page.find("2 lines of metrics.jsonl") != std::string::npos);
}

TEST_CASE("write_report: no folder is named") {
  CHECK_THROWS_WITH_AS(report::write_report("/nowhere/at/all"), doctest::Contains("/nowhere/at/all"), Error);
}
