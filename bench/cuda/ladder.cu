// A bfloat16 matrix product on the GPU in seven steps, from one thread per number to the library's kernel: each is checked
// against float64, timed, and says why it is faster than the one before. To be read from top to bottom;
// include/sslcake/kernels/cuda/product_bfloat16.cu is the last step.
//
//   C (n,n) = A (n,n) · B (n,n)^T, row-major bfloat16, sums in float32, random normal numbers
//
// usage: cuda_ladder [N] [--peak TFLOPS] [--json FILE]      (4096, a multiple of 128; 790; steps 5 to 7 are run at 2N as well)
#include <sslcake/kernels/cuda/instructions.cuh>
#include <sslcake/kernels/cuda/launch.cuh>
#include <sslcake/kernels/cuda/product_bfloat16.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace cuda = sslcake::kernels::cuda;
using cuda::Bf16, cuda::check, cuda::launch, cuda::stream;

// 1. One thread per number of C. Neighbouring threads hold neighbouring rows: each read of A touches 32 lines of the cache,
// for 2 bytes of each.
__global__ void one_thread_per_number(int n, const Bf16* a, const Bf16* b, Bf16* c) {
  const int row = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x),
            column = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  const Bf16 *from_a = a + static_cast<std::int64_t>(row) * n, *from_b = b + static_cast<std::int64_t>(column) * n;
  float sum = 0;
  for (int k = 0; k < n; ++k) sum += cuda::widen(from_a[k]) * cuda::widen(from_b[k]);
  c[static_cast<std::int64_t>(row) * n + column] = cuda::narrow<Bf16>(sum);
}

// 2. A warp per number: the lanes read neighbouring numbers of a row, and add their sums up at the end. What is read is used,
// but everything is read n times.
__global__ void coalesced(int n, const Bf16* a, const Bf16* b, Bf16* c) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int row = static_cast<int>(blockIdx.y) * 2 + warp / 4, column = static_cast<int>(blockIdx.x) * 4 + warp % 4;
  const Bf16 *from_a = a + static_cast<std::int64_t>(row) * n, *from_b = b + static_cast<std::int64_t>(column) * n;
  float sum = 0;
  for (int k = lane; k < n; k += 32) sum += cuda::widen(from_a[k]) * cuda::widen(from_b[k]);
  sum = cuda::warp_sum(sum);
  if (lane == 0) c[static_cast<std::int64_t>(row) * n + column] = cuda::narrow<Bf16>(sum);
}

// 3. Tiles of 32 x 32 in shared memory: a number that was fetched serves 32 threads. Two reads of shared memory for two
// multiply-adds (two bfloat16 in a word) remain.
__global__ void shared_tiles(int n, const Bf16* a, const Bf16* b, Bf16* c) {
  __shared__ std::uint32_t tile_a[32][17], tile_b[32][17];  // 17: a column's words lie in different banks
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const int row = static_cast<int>(blockIdx.y) * 32 + y, column = static_cast<int>(blockIdx.x) * 32 + x;
  // Half of the threads copy a word of A, half one of B.
  const int copied = y % 16 * 2 + x / 16, word = x % 16;
  const Bf16* from = y < 16 ? a + static_cast<std::int64_t>(static_cast<int>(blockIdx.y) * 32 + copied) * n
                            : b + static_cast<std::int64_t>(static_cast<int>(blockIdx.x) * 32 + copied) * n;
  float sum = 0;
  for (int k = 0; k < n; k += 32) {
    (y < 16 ? tile_a : tile_b)[copied][word] = *reinterpret_cast<const std::uint32_t*>(from + k + word * 2);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      const std::uint32_t left = tile_a[y][i], right = tile_b[x][i];
      sum += cuda::widen_low(left) * cuda::widen_low(right);
      sum += cuda::widen_high(left) * cuda::widen_high(right);
    }
    __syncthreads();
  }
  c[static_cast<std::int64_t>(row) * n + column] = cuda::narrow<Bf16>(sum);
}

// 4. 8 x 8 numbers of C in the registers of each thread: sixteen numbers read serve 64 multiply-adds.
__global__ void __launch_bounds__(256) register_tiles(int n, const Bf16* a, const Bf16* b, Bf16* c) {
  constexpr int depth = 16;
  alignas(16) __shared__ float tile_a[depth][132], tile_b[depth][132];
  const int thread = static_cast<int>(threadIdx.x), x = thread % 16, y = thread / 16;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.y) * 128,
                     first_column = static_cast<std::int64_t>(blockIdx.x) * 128;
  float sums[8][8] = {};
  for (int k = 0; k < n; k += depth) {
    const int copied = thread % 128, half = thread / 128 * 8;  // eight numbers of a row of A, and of B
    const uint4 of_a = *reinterpret_cast<const uint4*>(a + (first_row + copied) * n + k + half);
    const uint4 of_b = *reinterpret_cast<const uint4*>(b + (first_column + copied) * n + k + half);
    const std::uint32_t words_a[4] = {of_a.x, of_a.y, of_a.z, of_a.w}, words_b[4] = {of_b.x, of_b.y, of_b.z, of_b.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      tile_a[half + 2 * i][copied] = cuda::widen_low(words_a[i]), tile_a[half + 2 * i + 1][copied] = cuda::widen_high(words_a[i]);
      tile_b[half + 2 * i][copied] = cuda::widen_low(words_b[i]), tile_b[half + 2 * i + 1][copied] = cuda::widen_high(words_b[i]);
    }
    __syncthreads();
#pragma unroll
    for (int d = 0; d < depth; ++d) {
      float left[8], right[8];
      *reinterpret_cast<float4*>(left) = *reinterpret_cast<const float4*>(&tile_a[d][y * 4]);
      *reinterpret_cast<float4*>(left + 4) = *reinterpret_cast<const float4*>(&tile_a[d][64 + y * 4]);
      *reinterpret_cast<float4*>(right) = *reinterpret_cast<const float4*>(&tile_b[d][x * 4]);
      *reinterpret_cast<float4*>(right + 4) = *reinterpret_cast<const float4*>(&tile_b[d][64 + x * 4]);
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j) sums[i][j] += left[i] * right[j];
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 8; ++i)
#pragma unroll
    for (int j = 0; j < 8; j += 4) {
      Bf16* to = c + (first_row + i / 4 * 64 + y * 4 + i % 4) * n + first_column + j / 4 * 64 + x * 4;
      *reinterpret_cast<uint2*>(to) =
          make_uint2(cuda::pack(sums[i][j], sums[i][j + 1]), cuda::pack(sums[i][j + 2], sums[i][j + 3]));
    }
}

// What steps 5 and 6 share: a block of eight warps for 128 x 128 numbers of C, each warp 64 x 32 of them.
struct WarpTile {
  static constexpr int rows = 4, columns = 4;  // of 16, and of 8
  int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  int row = warp / 4 * 64, column = warp % 4 * 32;
  float sums[rows][columns][4] = {};

  /// One step of 16; place(row, piece): where 8 numbers of a row of the tile begin.
  template <class PlaceA, class PlaceB>
  __device__ __forceinline__ void step(int k, PlaceA&& place_a, PlaceB&& place_b) {
    std::uint32_t left[rows][4], right[columns][2];
#pragma unroll
    for (int i = 0; i < rows; ++i) cuda::ldmatrix_x4(left[i], place_a(row + i * 16 + lane % 16, k * 2 + lane / 16));
#pragma unroll
    for (int j = 0; j < columns; j += 2) {
      std::uint32_t r[4];
      cuda::ldmatrix_x4(r, place_b(column + j * 8 + lane % 8 + lane / 16 * 8, k * 2 + lane / 8 % 2));
      right[j][0] = r[0], right[j][1] = r[1], right[j + 1][0] = r[2], right[j + 1][1] = r[3];
    }
#pragma unroll
    for (int i = 0; i < rows; ++i)
#pragma unroll
      for (int j = 0; j < columns; ++j) cuda::mma(sums[i][j], left[i], right[j]);
  }
  __device__ __forceinline__ void store(int n, std::int64_t first_row, std::int64_t first_column, Bf16* c) const {
#pragma unroll
    for (int i = 0; i < rows; ++i)
#pragma unroll
      for (int j = 0; j < columns; ++j)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          *reinterpret_cast<std::uint32_t*>(c + (first_row + row + i * 16 + half * 8 + lane / 4) * n + first_column + column +
                                            j * 8 + lane % 4 * 2) = cuda::pack(sums[i][j][half * 2], sums[i][j][half * 2 + 1]);
  }
};

// 5. Tensor cores multiply 16 x 16 by 16 x 8 in one instruction. Fed by copies that everybody waits for, and from rows of 64
// bytes of which four at a time lie in the same banks.
__global__ void __launch_bounds__(256) tensor_cores(int n, const Bf16* a, const Bf16* b, Bf16* c) {
  alignas(128) __shared__ Bf16 tile_a[128][32], tile_b[128][32];
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.y) * 128,
                     first_column = static_cast<std::int64_t>(blockIdx.x) * 128;
  const int thread = static_cast<int>(threadIdx.x);
  WarpTile tile;
  for (int k = 0; k < n; k += 32) {
    for (int i = thread; i < 128 * 4; i += 256) {
      *reinterpret_cast<uint4*>(&tile_a[i / 4][i % 4 * 8]) =
          *reinterpret_cast<const uint4*>(a + (first_row + i / 4) * n + k + i % 4 * 8);
      *reinterpret_cast<uint4*>(&tile_b[i / 4][i % 4 * 8]) =
          *reinterpret_cast<const uint4*>(b + (first_column + i / 4) * n + k + i % 4 * 8);
    }
    __syncthreads();
#pragma unroll
    for (int step = 0; step < 2; ++step)
      tile.step(
          step, [&](int row, int piece) { return &tile_a[row][piece * 8]; },
          [&](int row, int piece) { return &tile_b[row][piece * 8]; });
    __syncthreads();
  }
  tile.store(n, first_row, first_column, c);
}

// 6. The copies run in the background, two tiles ahead (cp.async, a ring of three), and the 16-byte pieces of a row of 128
// bytes are swizzled, so that no two of the rows that ldmatrix reads lie in the same banks.
constexpr int ring = 3, ring_tile = 128 * 128;  // bytes: 128 rows of 64 numbers
__global__ void __launch_bounds__(256, 2) pipelined(int n, const Bf16* a, const Bf16* b, Bf16* c) {
  unsigned char* shared = cuda::dynamic_shared();
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.y) * 128,
                     first_column = static_cast<std::int64_t>(blockIdx.x) * 128;
  const int piece = static_cast<int>(threadIdx.x) % 8, row = static_cast<int>(threadIdx.x) / 8;
  const Bf16 *from_a = a + (first_row + row) * n + piece * 8, *from_b = b + (first_column + row) * n + piece * 8;
  const auto copy = [&](int slot, int k) {
    unsigned char* to = shared + slot * 2 * ring_tile + row * 128 + (piece ^ (row % 8)) * 16;
#pragma unroll
    for (int i = 0; i < 128; i += 32) {
      cuda::cp_async16(to + i * 128, from_a + static_cast<std::int64_t>(i) * n + k);
      cuda::cp_async16(to + ring_tile + i * 128, from_b + static_cast<std::int64_t>(i) * n + k);
    }
  };
  for (int slot = 0; slot < ring - 1; ++slot) {
    if (slot * 64 < n) copy(slot, slot * 64);
    cuda::cp_async_commit();
  }
  WarpTile tile;
  for (int k = 0, slot = 0; k < n; k += 64, slot = (slot + 1) % ring) {
    cuda::cp_async_wait<ring - 2>();
    __syncthreads();
    if (k + (ring - 1) * 64 < n) copy((slot + ring - 1) % ring, k + (ring - 1) * 64);
    cuda::cp_async_commit();
    const unsigned char* at = shared + slot * 2 * ring_tile;
    const auto place = [&](int r, int p) { return at + r * 128 + (p ^ (r % 8)) * 16; };
#pragma unroll
    for (int step = 0; step < 4; ++step) tile.step(step, place, [&](int r, int p) { return place(r, p) + ring_tile; });
  }
  tile.store(n, first_row, first_column, c);
}

// 7. The library: 64 x 64 numbers of C a warp, so that each fragment read serves more products; fragments are loaded a step
// ahead; blocks that run at one time share rows in the second cache; any size.

/// Normal numbers from a counter (Box and Muller, 1958).
__global__ void draw(std::int64_t count, std::uint32_t seed, Bf16* to) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  std::uint32_t bits[2];
  for (int j = 0; j < 2; ++j) {
    std::uint32_t x = static_cast<std::uint32_t>(i) * 2 + static_cast<std::uint32_t>(j) + seed * 0x9e3779b9u;
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    bits[j] = x ^ x >> 16;
  }
  const float u = (static_cast<float>(bits[0] >> 8) + 0.5f) / 16777216.0f, v = static_cast<float>(bits[1] >> 8) / 16777216.0f;
  to[i] = cuda::narrow<Bf16>(sqrtf(-2 * __logf(u)) * cosf(6.28318531f * v));
}

dim3 grid(int x, int y) { return {static_cast<unsigned>(x), static_cast<unsigned>(y)}; }

struct Step {
  const char* name;
  const char* adds;
  void (*run)(int n, const Bf16* a, const Bf16* b, Bf16* c);
};
const Step steps[] = {
    {"1 one thread per number", "the definition",
     [](int n, const Bf16* a, const Bf16* b, Bf16* c) {
       launch("ladder", one_thread_per_number, grid(n / 32, n / 8), dim3(32, 8), 0, n, a, b, c);
     }},
    {"2 coalesced", "lanes read along a row",
     [](int n, const Bf16* a, const Bf16* b, Bf16* c) { launch("ladder", coalesced, grid(n / 4, n / 2), 256, 0, n, a, b, c); }},
    {"3 shared tiles", "a number read serves 32 threads",
     [](int n, const Bf16* a, const Bf16* b, Bf16* c) {
       launch("ladder", shared_tiles, grid(n / 32, n / 32), dim3(32, 32), 0, n, a, b, c);
     }},
    {"4 register tiles", "16 numbers read serve 64 products",
     [](int n, const Bf16* a, const Bf16* b, Bf16* c) {
       launch("ladder", register_tiles, grid(n / 128, n / 128), 256, 0, n, a, b, c);
     }},
    {"5 tensor cores", "16x16x8 products an instruction",
     [](int n, const Bf16* a, const Bf16* b, Bf16* c) {
       launch("ladder", tensor_cores, grid(n / 128, n / 128), 256, 0, n, a, b, c);
     }},
    {"6 pipelined", "copies in the background, swizzled",
     [](int n, const Bf16* a, const Bf16* b, Bf16* c) {
       launch("ladder", pipelined, grid(n / 128, n / 128), 256, ring * 2 * ring_tile, n, a, b, c);
     }},
    {"7 the library", "larger tiles, a step ahead, bands",
     [](int n, const Bf16* a, const Bf16* b, Bf16* c) { cuda::gemm_bfloat16(n, n, n, a, b, c); }},
};

std::vector<float> fetch(std::int64_t count, const Bf16* from) {
  std::vector<std::uint16_t> bits(static_cast<std::size_t>(count));
  check(cudaMemcpyAsync(bits.data(), from, bits.size() * 2, cudaMemcpyDeviceToHost, stream()), "ladder");
  check(cudaStreamSynchronize(stream()), "ladder");
  std::vector<float> out;
  out.reserve(bits.size());
  for (const auto b : bits) {
    const std::uint32_t wide = static_cast<std::uint32_t>(b) << 16;
    out.emplace_back();
    std::memcpy(&out.back(), &wide, 4);
  }
  return out;
}

/// ‖got − expected‖ / ‖expected‖.
double error_of(const std::vector<float>& got, const std::vector<float>& expected) {
  double apart = 0, size = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double d = static_cast<double>(got[i]) - static_cast<double>(expected[i]);
    apart += d * d, size += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
  }
  return std::sqrt(apart / size);
}

struct Row {
  const Step* step;
  int n;
  double milliseconds, teraflops, error;
};

double milliseconds_of(const Step& step, int n, const Bf16* a, const Bf16* b, Bf16* c) {
  static cudaEvent_t begin = nullptr, end = nullptr;
  if (!begin) check(cudaEventCreate(&begin), "ladder"), check(cudaEventCreate(&end), "ladder");
  check(cudaEventRecord(begin, stream()), "ladder");
  step.run(n, a, b, c);
  check(cudaEventRecord(end, stream()), "ladder");
  check(cudaEventSynchronize(end), "ladder");
  float time = 0;
  check(cudaEventElapsedTime(&time, begin, end), "ladder");
  return static_cast<double>(time);
}

/// Runs steps first .. 7 at one size, prints their rows and adds them to `rows`. Whether all were right.
bool climb(int n, int first, double peak, std::vector<Row>& rows) {
  constexpr int sets = 3, sampled = 2;  // inputs that take turns: none is in the cache because the run before used it
  const std::int64_t count = static_cast<std::int64_t>(n) * n;
  const cuda::Scratch<Bf16> inputs(2 * sets * count), c(count);
  for (std::int64_t done = 0; done < 2 * sets; ++done)
    launch("ladder", draw, static_cast<unsigned>((count + 255) / 256), 256, 0, count, static_cast<std::uint32_t>(done + 1),
           inputs.data() + done * count);
  const auto a = [&](int set) { return inputs.data() + 2 * set * count; };
  const auto b = [&](int set) { return inputs.data() + (2 * set + 1) * count; };

  // Rows of C in float64: the first and one in the middle.
  std::vector<float> exact, whole;
  const auto wide_b = fetch(count, b(0));
  for (int s = 0; s < sampled; ++s) {
    const auto row = fetch(n, a(0) + count / sampled * s);
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int k = 0; k < n; ++k)
        sum +=
            static_cast<double>(row[static_cast<std::size_t>(k)]) *
            static_cast<double>(wide_b[static_cast<std::size_t>(j) * static_cast<std::size_t>(n) + static_cast<std::size_t>(k)]);
      exact.push_back(static_cast<float>(sum));
    }
  }

  std::printf("\n%d x %d x %d%*s%10s%10s%8s%10s\n", n, n, n, 44, "", "ms", "TFLOP/s", "%", "error");
  bool right = true;
  for (int i = first - 1; i < 7; ++i) {
    const Step& step = steps[i];
    check(cudaMemsetAsync(c.data(), 0xff, static_cast<std::size_t>(count) * 2, stream()), "ladder");
    const double warm = milliseconds_of(step, n, a(0), b(0), c.data());
    const auto got = fetch(count, c.data());
    std::vector<float> rows_got;
    for (int s = 0; s < sampled; ++s) {
      const auto at = got.begin() + static_cast<std::ptrdiff_t>(count / sampled * s);
      rows_got.insert(rows_got.end(), at, at + n);
    }
    double error = error_of(rows_got, exact);
    if (whole.empty()) whole = got;  // the rows that were not sampled: as the first step has them
    else if (const double apart = error_of(got, whole); !(apart < error)) error = apart;
    right = right && error < 4e-3;  // bfloat16 rounds results by up to 2^-9 of themselves

    std::vector<double> times;
    const int repeats = std::max(3, std::min(20, static_cast<int>(200 / warm)));
    for (int r = 0; r < repeats; ++r) times.push_back(milliseconds_of(step, n, a(r % sets), b(r % sets), c.data()));
    std::sort(times.begin(), times.end());
    const double median = times[times.size() / 2], rate = 2.0 * n * static_cast<double>(count) / median * 1e-9;
    std::printf("%-26s%-36s%10.3f%10.1f%8.1f%10.1e%s\n", step.name, step.adds, median, rate, rate / peak * 100, error,
                error < 4e-3 ? "" : "  WRONG");
    rows.push_back({&step, n, median, rate, error});
  }
  return right;
}

int main(int count, char** arguments) try {
  int n = 4096;
  double peak = 790;
  std::string json;
  for (int i = 1; i < count; ++i) {
    const std::string word = arguments[i];
    if (word == "--peak" && i + 1 < count) peak = std::atof(arguments[++i]);
    else if (word == "--json" && i + 1 < count) json = arguments[++i];
    else n = std::atoi(arguments[i]);
  }
  if (n < 128 || n % 128 != 0 || n > 16384 || !(peak > 0)) {
    std::fprintf(stderr, "usage: %s [N, a multiple of 128 up to 16384] [--peak TFLOPS] [--json FILE]\n", arguments[0]);
    return 2;
  }
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, 0), "ladder");
  std::printf("%s: C = A·B^T in bfloat16, medians; %% of %g TFLOP/s\n", properties.name, peak);
  std::vector<Row> rows;
  bool right = climb(n, 1, peak, rows);
  right = climb(2 * n, 5, peak, rows) && right;
  if (!json.empty()) {
    std::FILE* file = std::fopen(json.c_str(), "w");
    if (!file) {
      std::fprintf(stderr, "cannot write %s\n", json.c_str());
      return 1;
    }
    std::fprintf(file, "{\"device\": \"%s\", \"peak_tflops\": %g, \"rows\": [", properties.name, peak);
    for (std::size_t i = 0; i < rows.size(); ++i)
      std::fprintf(file,
                   "%s\n  {\"step\": \"%s\", \"adds\": \"%s\", \"n\": %d, \"ms\": %.5f, \"tflops\": %.3f, \"share\": %.4f, "
                   "\"error\": %.3e}",
                   i ? "," : "", rows[i].step->name, rows[i].step->adds, rows[i].n, rows[i].milliseconds, rows[i].teraflops,
                   rows[i].teraflops / peak, rows[i].error);
    std::fprintf(file, "\n]}\n");
    std::fclose(file);
  }
  return right ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
