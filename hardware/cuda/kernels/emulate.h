// CUDA's words for a C++ compiler: threads of a block take turns on one host thread.
#pragma once
#include <cmath>
#include <cstring>

using std::isfinite;

#define __device__
#define __global__
#define __shared__ static thread_local

struct Place {
    unsigned x, y, z;
};
static thread_local Place threadIdx, blockIdx, blockDim, gridDim;

void __syncthreads();

static inline unsigned atomicAdd(unsigned* at, unsigned value)
{
    unsigned old = *at;
    *at = old + value;
    return old;
}

static inline unsigned __float_as_uint(float value)
{
    unsigned bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}
