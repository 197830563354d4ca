// Frame -> grey plane with its histogram -> table that brings the ground to its level -> resized, normalised input.

__device__ static u8 grey_of(const Prepare& p, const u8* frame, u32 x, u32 y)
{
    u64 at = (u64)(p.top + y) * p.frame_width + p.left + x;
    u32 value;
    if (p.format == 0) {
        value = frame[at];
    } else if (p.format == 1) {
        u32 v = ((const u16*)frame)[at];
        v = v < p.white ? v : p.white;
        value = (v * 255u + p.white / 2) / p.white;
    } else {
        const u8* rgb = frame + 3 * at;
        value = (19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + (1u << 15)) >> 16;
    }
    return (u8)(p.invert ? 255 - value : value);
}

// `histogram` holds 256 zeros before. Any grid, 256 threads a block.
extern "C" __global__ void grey_plane(const Prepare p, const u8* frame, u8* plane, u32* histogram)
{
    __shared__ u32 local[256];
    local[threadIdx.x] = 0;
    __syncthreads();
    u32 area = p.width * p.height;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < area; i += gridDim.x * blockDim.x) {
        u8 value = grey_of(p, frame, i % p.width, i / p.width);
        plane[i] = value;
        atomicAdd(&local[value], 1u);
    }
    __syncthreads();
    atomicAdd(&histogram[threadIdx.x], local[threadIdx.x]);
}

// One block of 256 threads.
extern "C" __global__ void ground_table(const Prepare p, const u32* histogram, u8* table)
{
    __shared__ u32 ground;
    if (threadIdx.x == 0) {
        double wanted = (double)p.percentile * (double)(p.width * p.height);
        u64 sum = 0;
        ground = 255;
        for (u32 level = 0; level < 256; ++level) {
            sum += histogram[level];
            if ((double)sum >= wanted) {
                ground = level;
                break;
            }
        }
        if (ground < 1) ground = 1;
    }
    __syncthreads();
    u32 v = threadIdx.x;
    if (p.has_background) {
        float gain = p.level / (float)ground;
        float value = rintf((float)v * gain);
        v = (u32)(value < 0.0f ? 0.0f : value > 255.0f ? 255.0f : value);
    }
    table[threadIdx.x] = (u8)v;
}

// The source samples that one target sample draws on.
struct Taps {
    u32 first, count;
    double begin, end; // when shrinking
    float share;       // of the second sample, when growing
    bool grows;
};

__device__ static Taps taps_of(u32 from, u32 to, u32 i)
{
    Taps t;
    double ratio = (double)from / (double)to;
    t.grows = ratio <= 1.0;
    t.begin = t.end = 0.0;
    t.share = 0.0f;
    if (t.grows) {
        double at = ((double)i + 0.5) * ratio - 0.5;
        double last = (double)from - 1.0;
        at = at < 0.0 ? 0.0 : at > last ? last : at;
        if (from < 2) {
            t.first = 0;
            t.count = 1;
            return t;
        }
        u32 first = (u32)floor(at);
        t.first = first < from - 2 ? first : from - 2;
        t.count = 2;
        t.share = (float)(at - (double)t.first);
        return t;
    }
    t.begin = (double)i * ratio;
    t.end = (double)(i + 1) * ratio;
    if (t.end > (double)from) t.end = (double)from;
    t.first = (u32)floor(t.begin);
    u32 last = (u32)ceil(t.end);
    if (last < t.first + 1) last = t.first + 1;
    if (last > from) last = from;
    t.count = last - t.first;
    return t;
}

__device__ static float tap_weight(const Taps& t, u32 k)
{
    if (t.grows) return t.count == 1 ? 1.0f : k == 0 ? 1.0f - t.share : t.share;
    double j = (double)(t.first + k);
    double right = t.end < j + 1.0 ? t.end : j + 1.0;
    double left = t.begin > j ? t.begin : j;
    double weight = (right - left) / (t.end - t.begin);
    return (float)(weight > 0.0 ? weight : 0.0);
}

#define KEPT_WEIGHTS 8

// One thread a value of the padded input.
extern "C" __global__ void letterbox(const Letterbox p, const u8* plane, const u8* table, float* out)
{
    u32 area = p.stride * p.rows;
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= area) return;
    u32 x = i % p.stride, y = i / p.stride;
    float value = (p.pad / 255.0f - p.mean) / p.std;
    if (x < p.to_width && y < p.to_height) {
        Taps across = taps_of(p.from_width, p.to_width, x);
        Taps down = taps_of(p.from_height, p.to_height, y);
        float weights[KEPT_WEIGHTS];
        for (u32 k = 0; k < down.count && k < KEPT_WEIGHTS; ++k) weights[k] = tap_weight(down, k);
        float sum = 0.0f;
        for (u32 dx = 0; dx < across.count; ++dx) {
            float line = 0.0f;
            for (u32 dy = 0; dy < down.count; ++dy) {
                float weight = dy < KEPT_WEIGHTS ? weights[dy] : tap_weight(down, dy);
                u8 sample = table[plane[(u64)(down.first + dy) * p.from_width + across.first + dx]];
                line += weight * (float)sample;
            }
            sum += tap_weight(across, dx) * line;
        }
        value = sum * (1.0f / (255.0f * p.std)) + -p.mean / p.std;
    }
    for (u32 channel = 0; channel < p.channels; ++channel) out[channel * area + i] = value;
}
