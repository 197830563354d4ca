// What every kernel shares: types, and the parameters that src/params.rs mirrors field by field. The arithmetic follows the
// CPU reference (src/recognition) operation by operation, in the same order and precision, and is compiled without
// contraction to fused multiply-add, so that results differ only where exp and log do.

#ifdef METAPHASED_HOST
#include "emulate.h"
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// From a frame to the grey plane of a window.
struct Prepare {
    u32 format; // 0: 8-bit grey, 1: 16-bit grey, 2: 8-bit red, green, blue
    u32 frame_width;
    u32 left, top, width, height; // the window
    u32 white;                    // largest value of a 16-bit sample
    u32 invert;
    u32 has_background;
    float percentile, level;
};

// From the plane to a network's input.
struct Letterbox {
    u32 from_width, from_height, to_width, to_height;
    u32 stride, rows; // of the padded input
    u32 channels;
    float mean, std, pad;
};

// From a detector's map to boxes.
struct Decode {
    u32 rows, columns, stride;
    u32 classes, channels, score_channel;
    u32 most;  // answers that go on to suppression
    float least; // logit of the floor
    float class_temperature;
    float back_x, back_y; // plane pixels for an input pixel
    float width, height, left, top; // the plane in its frame
    float iou, same_class_iou, average_iou; // average_iou below 0: off
    u8 class_index[32]; // class of each class channel
};

// The crops of a cell.
struct Crops {
    u32 side, supersample, channels, mask_box, pad;
    u32 width, height; // of the plane
    float mean, std;
};

// One chromosome to cut out; places in pixels of the plane.
struct Crop {
    float x, y;   // middle
    float square; // side of the square around it
    float half_width, half_height;
    float turn; // 1, or -1 for upside down
    u32 orientation; // bit 0 mirrors left and right, bit 1 top and bottom, bit 2 transposes after that
};

#define CLASSES 24u
// Floats of one answer: x, y, width, height, score, 24 log probabilities.
#define RECORD 29u
