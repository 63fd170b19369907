// Views of pictures: crop with an antialiased resize, flip, colour jitter, greyscale, solarise, blur, rotation, cutout,
// normalisation and quarter turns, as augment/ does them on the CPU (there are the definitions and the papers).
//
// A block makes a view from beginning to end. Its colours wait in three planes of float32: in shared memory where the view is
// small, else in scratch memory, of which every resident block has its part and gives it to its next view, so that much of it
// stays in the L2 cache. A view is made in stages: each gathers colours (from the picture, or from other pixels of the planes),
// applies the operations that need no other pixel while they are in registers, and stores them in planes or, normalised, as
// the result. A stage ends where an operation needs other pixels, or where contrast needs the mean of all of them.
//
// Every thread has the same pixels in every run and partial sums are added in a fixed order: the same bits each time.
#include "augment_blur.cuh"
#include "augment_resize.cuh"
#include "launch.cuh"

namespace sslcake::inline v0::kernels::cuda {
namespace view_stages {
namespace {

__device__ __forceinline__ void rotate(const View& view, const Chain& chain, const ViewOperation& operation, double& sum) {
  const int size = view.size, n = size * size;
  const float cosine = operation.amount, sine = operation.second, centre = 0.5f * static_cast<float>(size - 1);
  for_tile(view, chain, {0, 0, size, size}, sum, [&](int i, float (&x)[3]) {
    const int row = i / size;
    const float dx = static_cast<float>(i - row * size) - centre, dy = static_cast<float>(row) - centre;
    const float from_x = centre + cosine * dx - sine * dy, from_y = centre + sine * dx + cosine * dy;
    const float floor_x = floorf(from_x), floor_y = floorf(from_y), u = from_x - floor_x, v = from_y - floor_y;
    const int x0 = static_cast<int>(floor_x), y0 = static_cast<int>(floor_y);
    for (int c = 0; c < 3; ++c) {
      const float* plane = view.planes + c * n;
      const auto value = [&](int px, int py) {
        return px >= 0 && px < size && py >= 0 && py < size ? plane[py * size + px] : 0.0f;
      };
      x[c] = (1 - v) * ((1 - u) * value(x0, y0) + u * value(x0 + 1, y0)) +
             v * ((1 - u) * value(x0, y0 + 1) + u * value(x0 + 1, y0 + 1));
    }
  });
}

/// The pixels where they are, or left and right exchanged.
__device__ __forceinline__ void keep(const View& view, const Chain& chain, bool flipped, double& sum) {
  const int size = view.size, n = size * size;
  for_tile(view, chain, {0, 0, size, size}, sum, [&](int i, float (&x)[3]) {
    if (flipped) {
      const int row = i / size;
      i = 2 * row * size + size - 1 - i;
    }
    for (int c = 0; c < 3; ++c) x[c] = view.planes[c * n + i];
  });
}

__device__ __forceinline__ bool moves_pixels(Kind kind) {
  return kind == Kind::flip || kind == Kind::blur || kind == Kind::rotate;
}

__device__ void make_view(View view, const Work& work, const std::uint8_t* bytes, double* sums) {
  const ViewProgram& p = *view.program;
  const int count = p.count < ViewProgram::most_operations ? p.count : ViewProgram::most_operations;
  float mean = 0;
  bool has_mean = false;
  for (int stage = 0, next = 0;; ++stage) {
    const bool moves = stage > 0 && moves_pixels(p.operations[next].kind);
    Chain chain{moves ? next + 1 : next, 0, false, false, mean, moves ? view.others : view.planes};
    for (chain.end = chain.begin; chain.end < count; ++chain.end) {
      const Kind kind = p.operations[chain.end].kind;
      if (moves_pixels(kind) || (kind == Kind::contrast && !(has_mean && chain.end == chain.begin))) break;
    }
    chain.last = chain.end == count;
    chain.wants_sum = !chain.last && p.operations[chain.end].kind == Kind::contrast;
    double sum = 0;
    if (stage == 0) {
      resize(view, chain, work, bytes, sum);
    } else if (moves && p.operations[next].kind == Kind::blur) {
      blur(view, chain, work, p.operations[next], sum);
    } else if (moves && p.operations[next].kind == Kind::rotate) {
      rotate(view, chain, p.operations[next], sum);
    } else {
      keep(view, chain, moves, sum);
    }
    if (chain.last) break;
    has_mean = chain.wants_sum;
    const double size = static_cast<double>(view.size);
    if (has_mean) mean = static_cast<float>(block_sum(sum, sums) / (size * size));
    __syncthreads();
    if (moves) {
      float* const moved = view.others;
      view.others = view.planes;
      view.planes = moved;
    }
    next = chain.end;
  }
}

/// Blocks take the views one after the other as they get free. planes: (grid,2,3,size,size), or null: shared memory.
__global__ void __launch_bounds__(most_threads, 2)
    views_kernel(std::int64_t count, const std::uint8_t* bytes, const ViewProgram* programs, int size, int line_numbers,
                 float* planes, unsigned* taken, bool narrow, void* images) {
  __shared__ ViewProgram program;
  __shared__ float staging[most_threads / 32 * 96];
  __shared__ float weights[blur_weights];
  __shared__ double sums[33];
  __shared__ std::int64_t number;
  const int thread = static_cast<int>(threadIdx.x), tile = size < most_tile ? size : most_tile;
  const std::int64_t plane_numbers = static_cast<std::int64_t>(3) * size * size;
  Work work;
  work.across = reinterpret_cast<Tap*>(dynamic_shared());
  work.down = work.across + tile;
  work.lines = reinterpret_cast<float*>(work.down + tile);
  work.line_numbers = line_numbers;
  work.weights = weights;
  View view;
  view.program = &program;
  view.size = size;
  view.planes = planes ? planes + 2 * plane_numbers * blockIdx.x : work.lines + line_numbers;
  view.others = view.planes + plane_numbers;
  view.narrow = narrow;
  view.staging = staging + thread / 32 * 96;
  for (;;) {
    __syncthreads();  // nobody is in the view before any more
    if (thread == 0) number = static_cast<std::int64_t>(atomicAdd(taken, 1u));
    __syncthreads();
    if (number >= count) return;
    constexpr int words = sizeof(ViewProgram) / 4;
    static_assert(sizeof(ViewProgram) % 4 == 0);
    const std::uint32_t* from = reinterpret_cast<const std::uint32_t*>(programs + number);
    for (int i = thread; i < words; i += static_cast<int>(blockDim.x)) reinterpret_cast<std::uint32_t*>(&program)[i] = from[i];
    view.image = static_cast<char*>(images) + number * plane_numbers * (narrow ? 2 : 4);
    __syncthreads();
    make_view(view, work, bytes, sums);
  }
}

void views(std::int64_t count, const std::uint8_t* bytes, const ViewProgram* programs, int size, DType out, void* images) {
  if (count < 1) return;
  const std::size_t view_bytes = std::size_t{6} * static_cast<std::size_t>(size) * static_cast<std::size_t>(size) * sizeof(float);
  const bool small = size <= 48;  // two sets of planes leave room for a second block
  const int line_numbers = small ? 4096 : 12288;
  const std::size_t tile = static_cast<std::size_t>(size < most_tile ? size : most_tile);
  const std::size_t shared =
      2 * tile * sizeof(Tap) + static_cast<std::size_t>(line_numbers) * sizeof(float) + (small ? view_bytes : 0);
  // Scratch memory for as many views as are in work at a time, but not without limit where views are huge.
  constexpr std::size_t most_bytes = std::size_t{2} << 30;
  std::int64_t blocks = std::int64_t{multiprocessors()} * (small ? 4 : 2);
  if (!small && static_cast<std::size_t>(blocks) * view_bytes > most_bytes)
    blocks = static_cast<std::int64_t>(most_bytes / view_bytes);
  blocks = blocks < 1 ? 1 : blocks < count ? blocks : count;
  const Scratch<float> planes(small ? 0 : blocks * static_cast<std::int64_t>(view_bytes / sizeof(float)));
  const Scratch<unsigned> taken(1);
  check(cudaMemsetAsync(taken.data(), 0, sizeof(unsigned), stream()), "augment");
  launch("augment", views_kernel, static_cast<unsigned>(blocks), size <= 32 ? 256u : static_cast<unsigned>(most_threads), shared,
         count, bytes, programs, size, line_numbers, planes.data(), taken.data(), out == DType::bfloat16, images);
}

}  // namespace
}  // namespace view_stages

void install(Augment& table) { table.views = view_stages::views; }

}  // namespace sslcake::inline v0::kernels::cuda
