#include <doctest/doctest.h>

#include <clocale>
#include <cmath>
#include <limits>

#include "scratch.hpp"
#include "sslcake/io/json.hpp"

using namespace sslcake;
using io::Json;

TEST_CASE("values, in both directions") {
  const std::string text = R"({"a":[1,-2,0.5,1e300,true,false,null],"b":{"c":"x\"\\\n"},"d":[],"e":{}})";
  const Json json = Json::parse(" \n\t" + text + "\r\n");
  CHECK(json.at("a").items()[0].as_int() == 1);
  CHECK(json.at("a").items()[1].as_int() == -2);
  CHECK(json.at("a").items()[2].as_double() == 0.5);
  CHECK(json.at("a").items()[0].as_double() == 1.0);
  CHECK(json.at("a").items()[6].is_null());
  CHECK(json.at("b").at("c").as_string() == "x\"\\\n");
  CHECK(json.find("z") == nullptr);
  CHECK(Json::parse(json.dump()) == json);
  CHECK(Json::parse(json.dump(2)) == json);
  CHECK(json.dump() == R"({"a":[1,-2,0.5,1e+300,true,false,null],"b":{"c":"x\"\\\n"},"d":[],"e":{}})");
}

TEST_CASE("building") {
  Json json;
  json.set("name", "run").set("epochs", 3).set("lr", 0.06).set("on", true).set("list", std::vector<int>{1, 2});
  json.set("epochs", 4);
  Json lines;
  lines.push_back(1).push_back("two");
  json.set("lines", lines);
  CHECK(json.dump() == R"({"name":"run","epochs":4,"lr":0.06,"on":true,"list":[1,2],"lines":[1,"two"]})");
  CHECK(json.dump(2).substr(0, 20) == "{\n  \"name\": \"run\",\n ");
  CHECK(Json::array().dump(2) == "[]");
  CHECK(Json(std::size_t{7}).as_int() == 7);
  CHECK_THROWS_AS(Json(std::uint64_t{1} << 63), Error);
}

TEST_CASE("numbers: shortest round trip, never the locale's") {
  for (const double value : {0.1, 1.0 / 3, 1e-310, 123456789012345680.0, -0.0, 5e-324, std::numeric_limits<double>::max()}) {
    const std::string text = Json(value).dump();
    const double back = Json::parse(text).as_double();
    CHECK(back == value);
    CHECK(std::signbit(back) == std::signbit(value));
  }
  CHECK(Json(1.0).dump() == "1.0");
  CHECK_FALSE(Json::parse("1.0").is_integer());
  CHECK(Json(0.1f).dump() == "0.1");
  CHECK(static_cast<float>(Json::parse(Json(0.4914f).dump()).as_double()) == 0.4914f);
  CHECK(Json(std::nanf("")).dump() == "null");
  CHECK(Json(std::nan("")).dump() == "null");
  CHECK(Json(-std::numeric_limits<double>::infinity()).dump() == "null");
  CHECK(Json::parse("9223372036854775807").as_int() == std::numeric_limits<std::int64_t>::max());
  CHECK(Json::parse("9223372036854775808").as_double() == 9223372036854775808.0);
  const std::string before = std::setlocale(LC_ALL, nullptr);
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", ""}) std::setlocale(LC_ALL, name);
  CHECK(Json(1234567.25).dump() == "1234567.25");
  CHECK(Json::parse("0.5").as_double() == 0.5);
  std::setlocale(LC_ALL, before.c_str());
}

TEST_CASE("strings: escapes and UTF-8") {
  CHECK(Json::parse(R"("\u00e9\ud83d\ude00\u0041\/\b\f\r\t")").as_string() == "\xc3\xa9\xf0\x9f\x98\x80" "A/\b\f\r\t");
  const std::string control("\x01\x1f", 2);
  CHECK(Json(control).dump() == "\"\\u0001\\u001f\"");
  CHECK(Json::parse(Json(control).dump()).as_string() == control);
  CHECK(Json("bad \xff name").dump() == "\"bad \xef\xbf\xbd name\"");
  CHECK(io::is_utf8("caf\xc3\xa9"));
  CHECK(io::is_utf8(""));
  for (const char* bad : {"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\""})
    CHECK((contains(message_of([&] { Json::parse(bad); }), "not valid UTF-8") && !io::is_utf8(bad)));
  for (const char* bad : {R"("\ud83d")", R"("\ud83dA")", R"("\ude00")", R"("\ud83d\u0041")"})
    CHECK(contains(message_of([&] { Json::parse(bad); }), "surrogate"));
}

TEST_CASE("what is not JSON is refused, with its place") {
  const char* bad[] = {"",         " ",           "{",           "[",        "[1",    "[1,", "[1,]",     "{\"a\"", "{\"a\":",
                       "{\"a\":1", "{\"a\":1,}",  "{a:1}",       "[1 2]",    "nul",   "tru", "01",       "-",      "1.",
                       ".5",       "1e",          "1e+",         "+1",       "0x1",   "NaN", "Infinity", "1 2",    "\"abc",
                       "\"\\x\"",  "\"\\u12g4\"", "\"\\u-123\"", "\"a\nb\"", "1e999", "'a'", "[1]]",     "{}{}"};
  for (const char* text : bad) {
    CAPTURE(text);
    CHECK(contains(message_of([&] { Json::parse(text); }), "[json]"));
  }
  CHECK(contains(message_of([] { Json::parse("[1,\n 2,,3]"); }), "line 2, column 4"));
  CHECK(contains(message_of([] { Json::parse(R"({"a":1,"b":2,"a":3})"); }), "\"a\" appears twice"));
}

TEST_CASE("limits against hostile texts") {
  CHECK(contains(message_of([] { Json::parse(std::string(1'000'000, '[')); }), "nested deeper than 64"));
  CHECK_NOTHROW(Json::parse(std::string(64, '[') + std::string(64, ']')));
  CHECK_THROWS_AS(Json::parse(std::string(65, '[') + std::string(65, ']')), Error);
  CHECK(contains(message_of([] { Json::parse("[1,2,3,4]", {.depth = 2, .values = 4}); }), "more than 4 values"));
  CHECK_NOTHROW(Json::parse("[1,2,3]", {.depth = 1, .values = 4}));
}

TEST_CASE("asking for the wrong kind says what it is") {
  const Json json = Json::parse(R"({"a":"x","n":1.5})");
  CHECK(contains(message_of([&] { json.at("a").as_int(); }), "expected an integer, got a string"));
  CHECK(contains(message_of([&] { json.at("n").as_int(); }), "expected an integer, got a number"));
  CHECK(contains(message_of([&] { json.at("b"); }), "no member \"b\""));
  CHECK(contains(message_of([&] { json.items(); }), "expected an array, got an object"));
  CHECK(contains(message_of([] { Json(1).set("a", 2); }), "expected an object, got an integer"));
}
