// The kernels on the host. A block's threads are coroutines that give way at barriers, so a kernel sees what it would see
// on a device, one thread after the other.
#include "common.cuh"

#include <functional>
#include <ucontext.h>
#include <vector>

#include "prepare.cu"
#include "decode.cu"
#include "crop.cu"

namespace {

constexpr size_t STACK = 64 * 1024;

struct Block {
    std::vector<ucontext_t> threads;
    std::vector<bool> ended;
    std::vector<char> stacks;
    ucontext_t scheduler;
    unsigned current = 0;
    std::function<void()> body;
};

thread_local Block* block = nullptr;

void thread_main()
{
    block->body();
    block->ended[block->current] = true;
}

// Runs every thread up to its next barrier, in order, until all have ended.
void run_block(unsigned threads, std::function<void()> body)
{
    Block here;
    here.threads.resize(threads);
    here.ended.assign(threads, false);
    here.stacks.resize(threads * STACK);
    here.body = std::move(body);
    block = &here;
    for (unsigned t = 0; t < threads; ++t) {
        ucontext_t& context = here.threads[t];
        getcontext(&context);
        context.uc_stack.ss_sp = here.stacks.data() + t * STACK;
        context.uc_stack.ss_size = STACK;
        context.uc_link = &here.scheduler;
        makecontext(&context, thread_main, 0);
    }
    for (bool left = true; left;) {
        left = false;
        for (unsigned t = 0; t < threads; ++t) {
            if (here.ended[t]) continue;
            here.current = t;
            threadIdx = {t, 0, 0};
            swapcontext(&here.scheduler, &here.threads[t]);
            left = left || !here.ended[t];
        }
    }
    block = nullptr;
}

} // namespace

void __syncthreads() { swapcontext(&block->threads[block->current], &block->scheduler); }

// Runs a kernel by its number in src/params.rs; `args` point to its arguments, as for cuLaunchKernel. Answers 0 for a number
// that it does not know.
extern "C" int metaphased_host_launch(u32 kernel, u32 grid_x, u32 grid_y, u32 threads, void** args)
{
    auto pointer = [&](int i) { return *static_cast<void**>(args[i]); };
    auto bytes = [&](int i) { return static_cast<u8*>(pointer(i)); };
    auto words = [&](int i) { return static_cast<u32*>(pointer(i)); };
    auto keys = [&](int i) { return static_cast<u64*>(pointer(i)); };
    auto floats = [&](int i) { return static_cast<float*>(pointer(i)); };
    auto prepare = [&] { return *static_cast<Prepare*>(args[0]); };
    auto decode = [&] { return *static_cast<Decode*>(args[0]); };
    std::function<void()> body;
    bool barriers = false;
    switch (kernel) {
    case 0: barriers = true; body = [&] { grey_plane(prepare(), bytes(1), bytes(2), words(3)); }; break;
    case 1: barriers = true; body = [&] { ground_table(prepare(), words(1), bytes(2)); }; break;
    case 2: body = [&] { letterbox(*static_cast<Letterbox*>(args[0]), bytes(1), bytes(2), floats(3)); }; break;
    case 3: body = [&] { gather_answers(decode(), floats(1), keys(2), words(3)); }; break;
    case 4: barriers = true; body = [&] { sort_answers(keys(0), words(1)); }; break;
    case 5: body = [&] { decode_boxes(decode(), floats(1), keys(2), words(3), floats(4), words(5)); }; break;
    case 6:
        barriers = true;
        body = [&] { suppress_boxes(decode(), words(1), floats(2), words(3), words(4), words(5), words(6)); };
        break;
    case 7: body = [&] { lend_classes(decode(), words(1), floats(2), words(3), words(4), words(5), floats(6)); }; break;
    case 8:
        body = [&] {
            cut_crops(*static_cast<Crops*>(args[0]), static_cast<Crop*>(pointer(1)), bytes(2), bytes(3), floats(4));
        };
        break;
    default: return 0;
    }
    gridDim = {grid_x, grid_y, 1};
    blockDim = {threads, 1, 1};
    for (u32 y = 0; y < grid_y; ++y) {
        for (u32 x = 0; x < grid_x; ++x) {
            blockIdx = {x, y, 0};
            if (barriers) {
                run_block(threads, body);
            } else {
                for (u32 t = 0; t < threads; ++t) {
                    threadIdx = {t, 0, 0};
                    body();
                }
            }
        }
    }
    return 1;
}
