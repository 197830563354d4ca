// The plane -> one batch of the crops of a cell's chromosomes, with the mask where the classifier wants one.

__device__ static float sample_at(const Crops& p, const u8* plane, const u8* table, int x, int y)
{
    bool inside = x >= 0 && y >= 0 && x < (int)p.width && y < (int)p.height;
    return (float)(inside ? table[plane[(u64)y * p.width + x]] : (u8)p.pad);
}

// Linear interpolation between the middles of four pixels.
__device__ static float between(const Crops& p, const u8* plane, const u8* table, float place_x, float place_y)
{
    float fx = floorf(place_x - 0.5f), fy = floorf(place_y - 0.5f);
    float wx = place_x - 0.5f - fx, wy = place_y - 0.5f - fy;
    int x = (int)fx, y = (int)fy;
    float upper = sample_at(p, plane, table, x, y) * (1.0f - wx) + sample_at(p, plane, table, x + 1, y) * wx;
    float lower = sample_at(p, plane, table, x, y + 1) * (1.0f - wx) + sample_at(p, plane, table, x + 1, y + 1) * wx;
    return upper * (1.0f - wy) + lower * wy;
}

// Block (b, i) makes pixels b * blockDim.x on of crop i.
extern "C" __global__ void cut_crops(const Crops p, const Crop* crops, const u8* plane, const u8* table, float* out)
{
    u32 area = p.side * p.side;
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= area) return;
    const Crop crop = crops[blockIdx.y];
    u32 x = i % p.side, y = i / p.side, n = p.supersample;
    // Where in the upright crop this pixel comes from.
    if (crop.orientation & 4u) {
        u32 other = x;
        x = y;
        y = other;
    }
    if (crop.orientation & 1u) x = p.side - 1 - x;
    if (crop.orientation & 2u) y = p.side - 1 - y;
    float step = crop.square / (float)(p.side * n);
    float middle = (float)(p.side * n) / 2.0f;
    float value = 0.0f;
    for (u32 j = 0; j < n; ++j) {
        float place_y = crop.y + crop.turn * ((float)(y * n + j) + 0.5f - middle) * step;
        float sum = 0.0f;
        for (u32 k = 0; k < n; ++k) {
            float place_x = crop.x + crop.turn * ((float)(x * n + k) + 0.5f - middle) * step;
            sum += between(p, plane, table, place_x, place_y);
        }
        value += sum;
    }
    float* target = out + (u64)blockIdx.y * p.channels * area + i;
    target[0] = value * (1.0f / (255.0f * p.std * (float)(n * n))) + -p.mean / p.std;
    float across = fabsf((((float)x + 0.5f) / (float)p.side - 0.5f) * crop.square);
    float down = fabsf((((float)y + 0.5f) / (float)p.side - 0.5f) * crop.square);
    float inside = down <= crop.half_height && across <= crop.half_width ? 1.0f : 0.0f;
    for (u32 channel = 1; channel < p.channels; ++channel) target[channel * area] = p.mask_box ? inside : target[0];
}
