#pragma once

#include <algorithm>
#include <cstring>

#include "binary.hpp"
#include "files.hpp"
#include "json.hpp"
#include "safetensors.hpp"

namespace sslcake::inline v0::io {
namespace detail {

inline constexpr std::uint64_t safetensors_max_header = 100'000'000;

/// A type as the file names it. `conversion`: what the numbers are on disk, where we have no such type.
struct StoredType {
  const char* name;
  std::uint64_t bytes;
  DType dtype;
  enum Conversion { none, half, int32 } conversion = none;
};

/// In the order in which the original library sorts tensors (from the end), so that our files equal its files.
inline constexpr StoredType stored_types[] = {
    {"BOOL", 1, DType::boolean},  {"U8", 1, DType::uint8}, {"F16", 2, DType::float32, StoredType::half},
    {"BF16", 2, DType::bfloat16}, {"I32", 4, DType::int64, StoredType::int32},
    {"F32", 4, DType::float32},   {"F64", 8, DType::float64}, {"I64", 8, DType::int64}};

inline const StoredType& stored_type(const std::string& name, const std::string& tensor) {
  for (const auto& type : stored_types)
    if (name == type.name) return type;
  fail("safetensors", "tensor \"", tensor.substr(0, 200), "\" has dtype \"", name.substr(0, 20),
       "\"; known are F64 F32 F16 BF16 I64 I32 U8 BOOL");
}

inline const StoredType* stored_type(DType dtype) {
  const StoredType* type = stored_types;
  while (type->dtype != dtype || type->conversion != StoredType::none) ++type;
  return type;
}

struct StoredTensor {
  std::string name;
  const StoredType* type = nullptr;
  Shape shape;
  std::uint64_t begin = 0, end = 0;
};

inline StoredTensor read_entry(const std::string& name, const Json& entry) {
  const auto bad = [&name](auto&&... what) { fail("safetensors", "tensor \"", name.substr(0, 200), "\": ", what...); };
  if (!entry.is_object()) bad("expected an object with dtype, shape and data_offsets, got ", entry.kind());
  const Json *dtype = entry.find("dtype"), *shape = entry.find("shape"), *offsets = entry.find("data_offsets");
  if (!dtype || !dtype->is_string()) bad("expected \"dtype\", a string");
  if (!shape || !shape->is_array()) bad("expected \"shape\", an array");
  if (!offsets || !offsets->is_array() || offsets->size() != 2) bad("expected \"data_offsets\", an array of two");
  StoredTensor out{name, &stored_type(dtype->as_string(), name), {}, 0, 0};
  if (shape->size() > static_cast<std::size_t>(Shape::capacity))
    bad("has ", shape->size(), " dimensions, at most 8 are possible");
  // Zero extents do not excuse an overflow of the others: a later reshape would meet it.
  std::uint64_t bytes = out.type->bytes;
  bool empty = false;
  for (const auto& extent : shape->items()) {
    if (!extent.is_integer() || extent.as_int() < 0) bad("expected extents that are integers >= 0 and below 2^63");
    out.shape.push_back(extent.as_int());
    const auto e = static_cast<std::uint64_t>(extent.as_int());
    if (e == 0) { empty = true; continue; }
    if (bytes > (std::uint64_t{1} << 62) / e) bad("the shape has more elements than can be counted");
    bytes *= e;
  }
  if (empty) bytes = 0;
  for (const auto& offset : offsets->items())
    if (!offset.is_integer() || offset.as_int() < 0) bad("expected data_offsets that are integers >= 0 and below 2^63");
  out.begin = static_cast<std::uint64_t>(offsets->items()[0].as_int());
  out.end = static_cast<std::uint64_t>(offsets->items()[1].as_int());
  if (out.end < out.begin || out.end - out.begin != bytes)
    bad("data_offsets [", out.begin, ",", out.end, "] do not span the ", bytes, " bytes of ", out.type->name, " ", out.shape);
  return out;
}

/// Checks header and spans against the `data_bytes` that follow it.
inline std::vector<StoredTensor> read_header(std::string_view header, std::uint64_t data_bytes,
                                             std::map<std::string, std::string>& metadata) {
  if (header.empty() || header[0] != '{')
    fail("safetensors", "expected a header that begins with '{'; this is no safetensors file");
  Json json;
  try {
    json = Json::parse(header, {.depth = 4, .values = 4'000'000});
  } catch (const Error& e) {
    fail("safetensors", "the header is not valid: ", e.what());
  }
  std::vector<StoredTensor> out;
  for (const auto& [name, entry] : json.members()) {
    if (name != "__metadata__") {
      out.push_back(read_entry(name, entry));
      continue;
    }
    if (!entry.is_object()) fail("safetensors", "expected __metadata__ to be an object, got ", entry.kind());
    for (const auto& [key, text] : entry.members()) {
      if (!text.is_string())
        fail("safetensors", "expected __metadata__ \"", key.substr(0, 80), "\" to be a string, got ", text.kind());
      metadata[key] = text.as_string();
    }
  }
  // Tensors without elements may share their offset with the next one, hence the second key.
  std::stable_sort(out.begin(), out.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t expected = 0;
  for (const auto& t : out) {
    if (t.begin != expected)
      fail("safetensors", "tensor \"", t.name.substr(0, 200), "\" begins at byte ", t.begin, " of the data, expected ", expected,
           t.begin < expected ? ": it overlaps another one" : ": there is a hole before it");
    expected = t.end;
  }
  if (expected != data_bytes)
    fail("safetensors", "the tensors need ", expected, " bytes, the file holds ", data_bytes,
         expected > data_bytes ? ": it is truncated" : ": something follows the last one");
  return out;
}

inline std::uint64_t little_endian_64(const char* bytes) {
  std::uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

inline Tensor read_tensor(const StoredTensor& stored, std::uint64_t offset, const ReadFn& read) {
  Tensor t(stored.shape, stored.type->dtype);
  const std::uint64_t bytes = stored.end - stored.begin;
  if (bytes == 0) return t;
  if (stored.type->conversion == StoredType::half) {
    std::vector<std::uint16_t> raw(bytes / 2);
    read(offset, raw.data(), bytes);
    std::transform(raw.begin(), raw.end(), t.mutable_data<float>(), half_to_float);
  } else if (stored.type->conversion == StoredType::int32) {
    std::vector<std::int32_t> raw(bytes / 4);
    read(offset, raw.data(), bytes);
    std::copy(raw.begin(), raw.end(), t.mutable_data<std::int64_t>());
  } else {
    auto* p = static_cast<std::uint8_t*>(t.mutable_raw());
    read(offset, p, bytes);
    if (t.dtype() == DType::boolean)  // a bool in memory must be 0 or 1
      for (std::uint64_t i = 0; i < bytes; ++i) p[i] = p[i] != 0;
  }
  return t;
}

inline SafeTensors read_safetensors(std::uint64_t size, const ReadFn& read) {
  if (size < 8) fail("safetensors", "expected at least 8 bytes, got ", size, "; the file is truncated or no safetensors file");
  char prefix[8];
  read(0, prefix, 8);
  const std::uint64_t length = little_endian_64(prefix);
  if (length > safetensors_max_header)
    fail("safetensors", "the header claims ", length, " bytes, at most ", safetensors_max_header,
         " are allowed; this is no safetensors file or a hostile one");
  if (length > size - 8)
    fail("safetensors", "the header claims ", length, " bytes, the file holds ", size - 8, " after its length: it is truncated");
  std::string header(static_cast<std::size_t>(length), '\0');
  read(8, header.data(), length);
  SafeTensors out;
  for (const auto& stored : read_header(header, size - 8 - length, out.metadata))
    out.tensors.emplace_back(stored.name, read_tensor(stored, 8 + length + stored.begin, read));
  return out;
}

}  // namespace detail

SSLCAKE_INLINE SafeTensors load_safetensors(const std::string& path) {
  const InputFile file(path);
  try {
    return detail::read_safetensors(
        file.size(), [&file](std::uint64_t offset, void* to, std::uint64_t bytes) { file.read(offset, to, bytes); });
  } catch (const Error& e) {
    throw Error(std::string(e.what()) + " (" + path + ")");
  }
}

SSLCAKE_INLINE SafeTensors parse_safetensors(std::string_view bytes) {
  return detail::read_safetensors(bytes.size(), [bytes](std::uint64_t offset, void* to, std::uint64_t count) {
    std::memcpy(to, bytes.data() + offset, static_cast<std::size_t>(count));
  });
}

SSLCAKE_INLINE void save_safetensors(const std::string& path, const SafeTensors& file) {
  std::vector<const std::pair<std::string, Tensor>*> order;
  for (const auto& entry : file.tensors) {
    if (!entry.second.defined()) fail("save_safetensors", "the tensor \"", entry.first, "\" is undefined");
    if (!is_utf8(entry.first))
      fail("save_safetensors", "expected names in UTF-8, got \"", entry.first, "\"; the file could not keep it");
    if (entry.first == "__metadata__") fail("save_safetensors", "a tensor cannot have the name __metadata__");
    order.push_back(&entry);
  }
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  for (std::size_t i = 1; i < order.size(); ++i)
    if (order[i]->first == order[i - 1]->first) fail("save_safetensors", "two tensors are named \"", order[i]->first, "\"");
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return detail::stored_type(a->second.dtype()) > detail::stored_type(b->second.dtype());
  });

  Json header = Json::object();
  if (!file.metadata.empty()) {
    Json metadata = Json::object();
    for (const auto& [key, text] : file.metadata) metadata.set(key, text);
    header.set("__metadata__", metadata);
  }
  Json::Object members = header.members();
  std::uint64_t offset = 0;
  for (const auto* entry : order) {
    const Tensor& t = entry->second;
    Json::Array shape(t.shape().begin(), t.shape().end());
    Json entry_json = Json::object();
    entry_json.set("dtype", detail::stored_type(t.dtype())->name).set("shape", std::move(shape));
    entry_json.set("data_offsets", Json::Array{offset, offset + t.bytes()});
    members.emplace_back(entry->first, std::move(entry_json));
    offset += t.bytes();
  }
  std::string text = Json(std::move(members)).dump();
  text.append((8 - text.size() % 8) % 8, ' ');

  OutputFile out(path);
  char prefix[8];
  for (int i = 0; i < 8; ++i) prefix[i] = static_cast<char>(text.size() >> (8 * i) & 255);
  out.write(prefix, 8);
  out.write(text);
  for (const auto* entry : order) {
    const Tensor here = entry->second.to(Device::cpu);
    out.write(here.raw(), here.bytes());
  }
  out.commit();
}

}  // namespace sslcake::inline v0::io
