// The C face of TensorRT that src/ffi.rs declares. Every function that can fail answers null, 0 or a negative number and
// leaves TensorRT's own words for mt_error(). Handles belong to the caller; a library outlives what came from it. A library
// may be used from several threads at once, everything else from one at a time.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct MtLibrary MtLibrary;
typedef struct MtBuilder MtBuilder;
typedef struct MtBlob MtBlob;
typedef struct MtEngine MtEngine;
typedef struct MtContext MtContext;
// A top-level phase of a build: step of steps.
typedef void (*MtProgress)(void* user, const char* phase, int32_t step, int32_t steps);

// "TensorRT 11.4.0" or "TensorRT-RTX 1.7.1": what the headers were of.
const char* mt_headers(void);
// File names of the libraries that fit these headers.
const char* mt_infer_name(void);
const char* mt_parser_name(void);

MtLibrary* mt_open(const char* infer, const char* parser, char* why, size_t room);
void mt_close(MtLibrary*);
// major * 10000 + minor * 100 + patch of the opened library.
int32_t mt_version(const MtLibrary*);
// Takes what TensorRT said of errors since the last call, one message a line.
void mt_error(MtLibrary*, char* text, size_t room);

MtBuilder* mt_parse(MtLibrary*, const char* onnx);
int mt_profile(MtBuilder*, const char* input, const int64_t* least, const int64_t* usual, const int64_t* most, int32_t rank);
int mt_timing_load(MtBuilder*, const void* data, size_t size);
MtBlob* mt_timing(MtBuilder*);
MtBlob* mt_build(MtBuilder*, MtProgress, void* user);
void mt_builder_free(MtBuilder*);

const void* mt_blob_data(const MtBlob*);
size_t mt_blob_size(const MtBlob*);
void mt_blob_free(MtBlob*);

MtEngine* mt_load(MtLibrary*, const void* plan, size_t size);
int32_t mt_tensor_count(const MtEngine*);
// Name, direction, element type (0: 32-bit float) and shape (-1: open) of a tensor; the rank, or -1.
int32_t mt_tensor(const MtEngine*, int32_t index, const char** name, int32_t* is_input, int32_t* type, int64_t* dims);
void mt_engine_free(MtEngine*);

MtContext* mt_context(MtEngine*);
int mt_set_shape(MtContext*, const char* input, const int64_t* dims, int32_t rank);
// Shape under the input shapes that were set; the rank, or -1.
int32_t mt_shape(MtContext*, const char* tensor, int64_t* dims);
int mt_set_address(MtContext*, const char* tensor, void* device);
int mt_enqueue(MtContext*, void* stream);
void mt_context_free(MtContext*);

#ifdef __cplusplus
}
#endif
