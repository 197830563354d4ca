// A detector's map -> answers in order -> boxes -> greedy suppression -> one record a chromosome.

// Keys sort as answers do: the higher logit first, the earlier cell among equals.
__device__ static u64 key_of(float logit, u32 cell)
{
    u32 bits = __float_as_uint(logit);
    // Unsigned order of these is ascending order of floats; turned round, descending.
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return ((u64)~bits << 32) | cell;
}

// `count` is 0 before. Any grid.
extern "C" __global__ void gather_answers(const Decode p, const float* map, u64* keys, u32* count)
{
    u32 cells = p.rows * p.columns;
    const float* scores = map + (u64)p.score_channel * cells;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < cells; i += gridDim.x * blockDim.x) {
        if (scores[i] >= p.least) keys[atomicAdd(count, 1u)] = key_of(scores[i], i);
    }
}

// Bitonic sort by one block; `keys` has room for `count` rounded up to a power of two.
extern "C" __global__ void sort_answers(u64* keys, const u32* count)
{
    u32 n = 1;
    while (n < *count) n *= 2;
    for (u32 i = *count + threadIdx.x; i < n; i += blockDim.x) keys[i] = ~0ull;
    __syncthreads();
    for (u32 size = 2; size <= n; size *= 2) {
        for (u32 step = size / 2; step > 0; step /= 2) {
            for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
                u32 other = i ^ step;
                if (other > i && ((keys[i] > keys[other]) == ((i & size) == 0))) {
                    u64 swap = keys[i];
                    keys[i] = keys[other];
                    keys[other] = swap;
                }
            }
            __syncthreads();
        }
    }
}

__device__ static float clamped(float value, float most)
{
    return value < 0.0f ? 0.0f : value > most ? most : value;
}

// One thread an answer, the best `most`: box in pixels of the frame, score, log probabilities. `state` becomes the answer's
// class (24: none) or GONE for a box with nothing left inside the plane.
#define GONE 255u
extern "C" __global__ void decode_boxes(
    const Decode p, const float* map, const u64* keys, const u32* count, float* records, u32* state)
{
    u32 n = *count < p.most ? *count : p.most;
    u32 rank = blockIdx.x * blockDim.x + threadIdx.x;
    if (rank >= n) return;
    u32 cells = p.rows * p.columns;
    u32 cell = (u32)(keys[rank] & 0xffffffffu);
    float* record = records + (u64)rank * RECORD;
    float x = ((float)(cell % p.columns) + 0.5f) * (float)p.stride;
    float y = ((float)(cell / p.columns) + 0.5f) * (float)p.stride;
    float left = x - map[cell], top = y - map[cells + cell];
    float width = x + map[2 * cells + cell] - left, height = y + map[3 * cells + cell] - top;
    width = width > 0.0f ? width : 0.0f;
    height = height > 0.0f ? height : 0.0f;
    // To the plane, as the reference does it: corners, width from corners, corners again, clipped.
    float x0 = left * p.back_x, y0 = top * p.back_y;
    float w = (left + width) * p.back_x - x0, h = (top + height) * p.back_y - y0;
    w = w > 0.0f ? w : 0.0f;
    h = h > 0.0f ? h : 0.0f;
    float right = clamped(x0 + w, p.width), bottom = clamped(y0 + h, p.height);
    x0 = clamped(x0, p.width);
    y0 = clamped(y0, p.height);
    w = right - x0 > 0.0f ? right - x0 : 0.0f;
    h = bottom - y0 > 0.0f ? bottom - y0 : 0.0f;
    float logit = map[(u64)p.score_channel * cells + cell];
    float score = 1.0f / (1.0f + expf(-logit));
    record[0] = x0 + p.left;
    record[1] = y0 + p.top;
    record[2] = w;
    record[3] = h;
    record[4] = score;
    u32 best = CLASSES;
    if (p.classes > 0) {
        const float* logits = map + 5ull * cells + cell;
        float highest = logits[0];
        for (u32 c = 1; c < p.classes; ++c) highest = logits[(u64)c * cells] > highest ? logits[(u64)c * cells] : highest;
        float sum = 0.0f;
        for (u32 c = 0; c < p.classes; ++c) sum += expf((logits[(u64)c * cells] - highest) / p.class_temperature);
        float shift = logf(sum);
        for (u32 c = 0; c < CLASSES; ++c) record[5 + c] = -30.0f;
        for (u32 c = 0; c < p.classes; ++c) {
            float value = (logits[(u64)c * cells] - highest) / p.class_temperature - shift;
            record[5 + p.class_index[c]] = value > -30.0f ? value : -30.0f;
        }
        best = 0;
        for (u32 c = 1; c < CLASSES; ++c)
            if (record[5 + c] > record[5 + best]) best = c;
    } else {
        for (u32 c = 0; c < CLASSES; ++c) record[5 + c] = 0.0f;
    }
    bool inside = w >= 1.0f && h >= 1.0f && isfinite(score);
    state[rank] = inside ? best : GONE;
}

__device__ static float overlap(const float* a, const float* b)
{
    float right = fminf(a[0] + a[2], b[0] + b[2]), left = fmaxf(a[0], b[0]);
    float bottom = fminf(a[1] + a[3], b[1] + b[3]), top = fmaxf(a[1], b[1]);
    float w = right - left, h = bottom - top;
    float shared = w > 0.0f && h > 0.0f ? w * h : 0.0f;
    float all = a[2] * a[3] + b[2] * b[3] - shared;
    return all > 0.0f ? shared / all : 0.0f;
}

#define KEPT 0xffffffffu

// One block. Best first, a box falls to the first kept one that it overlaps too much: `fell[i]` is that one's rank, or KEPT.
// `kept` lists the ranks that stay, `found` counts them.
extern "C" __global__ void suppress_boxes(
    const Decode p, const u32* count, const float* records, const u32* state, u32* fell, u32* kept, u32* found)
{
    u32 n = *count < p.most ? *count : p.most;
    float same = p.same_class_iou < p.iou ? p.same_class_iou : p.iou;
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) fell[i] = state[i] == GONE ? i : KEPT;
    __syncthreads();
    for (u32 winner = 0; winner < n; ++winner) {
        // Written before the last barrier by whoever beat it, so every thread sees the same.
        if (fell[winner] != KEPT) continue;
        for (u32 i = winner + 1 + threadIdx.x; i < n; i += blockDim.x) {
            if (fell[i] != KEPT) continue;
            float limit = state[i] < CLASSES && state[i] == state[winner] ? same : p.iou;
            if (overlap(records + (u64)winner * RECORD, records + (u64)i * RECORD) > limit) fell[i] = winner;
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        u32 stays = 0;
        for (u32 i = 0; i < n; ++i)
            if (fell[i] == KEPT) kept[stays++] = i;
        *found = stays;
    }
}

// One block a kept box, at least 32 threads: its record, with the classes that what fell to it lends, goes to `out`.
extern "C" __global__ void lend_classes(const Decode p, const u32* count, const float* records, const u32* fell,
    const u32* kept, const u32* found, float* out)
{
    u32 n = *count < p.most ? *count : p.most;
    u32 place = blockIdx.x, c = threadIdx.x;
    if (place >= *found || c >= RECORD) return;
    u32 winner = kept[place];
    const float* mine = records + (u64)winner * RECORD;
    float value = mine[c];
    if (c >= 5 && p.average_iou >= 0.0f && p.classes > 0) {
        float sum = expf(value) * mine[4], weight = mine[4];
        for (u32 i = winner + 1; i < n; ++i) {
            const float* other = records + (u64)i * RECORD;
            if (fell[i] != winner || overlap(mine, other) < p.average_iou) continue;
            sum += expf(other[c]) * other[4];
            weight += other[4];
        }
        if (weight > 0.0f) value = logf(fmaxf(sum / weight, 1e-13f));
    }
    out[(u64)place * RECORD + c] = value;
}
