// TensorRT behind the C functions of shim.h. Compiles unchanged against TensorRT 10 and 11 and TensorRT-RTX 1.x; the
// libraries are opened at run time, so nothing is linked.
#include "shim.h"

#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <algorithm>
#include <cstdio>
#include <dlfcn.h>
#include <map>
#include <memory>
#include <mutex>
#include <string>

using namespace nvinfer1;

#define MT_TEXT_(x) #x
#define MT_TEXT(x) MT_TEXT_(x)
#ifdef TRT_MAJOR_RTX
#define MT_FLAVOUR "TensorRT-RTX "
#define MT_INFER "libtensorrt_rtx.so." MT_TEXT(NV_TENSORRT_MAJOR)
#define MT_PARSER "libtensorrt_onnxparser_rtx.so." MT_TEXT(NV_TENSORRT_MAJOR)
#define MT_VERSION MT_TEXT(TRT_MAJOR_RTX) "." MT_TEXT(TRT_MINOR_RTX) "." MT_TEXT(TRT_PATCH_RTX)
#else
#define MT_FLAVOUR "TensorRT "
#define MT_INFER "libnvinfer.so." MT_TEXT(NV_TENSORRT_MAJOR)
#define MT_PARSER "libnvonnxparser.so." MT_TEXT(NV_TENSORRT_MAJOR)
#define MT_VERSION MT_TEXT(NV_TENSORRT_MAJOR) "." MT_TEXT(NV_TENSORRT_MINOR) "." MT_TEXT(NV_TENSORRT_PATCH)
#endif

namespace {

// Keeps what TensorRT says of errors until somebody asks. Builders and runtimes may log from several threads.
class Log final : public ILogger {
public:
    void log(Severity severity, char const* text) noexcept override {
        if (severity > Severity::kERROR) return;
        std::lock_guard<std::mutex> guard(mutex_);
        // One mistake can be told a thousand times over.
        if (text_.size() < 4096) text_ += (text_.empty() ? "" : "\n") + std::string(text);
    }
    void take(char* text, size_t room) {
        std::lock_guard<std::mutex> guard(mutex_);
        std::snprintf(text, room, "%s", text_.c_str());
        text_.clear();
    }

private:
    std::mutex mutex_;
    std::string text_;
};

class Monitor final : public IProgressMonitor {
public:
    Monitor(MtProgress tell, void* user) : tell_(tell), user_(user) {}
    void phaseStart(char const* phase, char const* parent, int32_t steps) noexcept override {
        std::lock_guard<std::mutex> guard(mutex_);
        if (parent == nullptr) steps_[phase] = steps;
    }
    bool stepComplete(char const* phase, int32_t step) noexcept override {
        std::lock_guard<std::mutex> guard(mutex_);
        auto known = steps_.find(phase);
        if (known != steps_.end()) tell_(user_, phase, step + 1, known->second);
        return true;
    }
    void phaseFinish(char const*) noexcept override {}

private:
    MtProgress tell_;
    void* user_;
    std::mutex mutex_;
    std::map<std::string, int32_t> steps_;
};

Dims dims_of(int64_t const* values, int32_t rank) {
    Dims dims{};
    dims.nbDims = std::min<int32_t>(rank, Dims::MAX_DIMS);
    std::copy(values, values + dims.nbDims, dims.d);
    return dims;
}

int32_t copy_dims(Dims const& dims, int64_t* values) {
    for (int32_t i = 0; i < dims.nbDims; ++i) values[i] = dims.d[i];
    return dims.nbDims;
}

} // namespace

struct MtLibrary {
    Log log;
    void* infer = nullptr;
    void* parser = nullptr;
    void* (*builder)(void*, int32_t) = nullptr;
    void* (*runtime)(void*, int32_t) = nullptr;
    void* (*onnx)(void*, void*, int) = nullptr;
    int32_t (*version)() = nullptr;
    // Engines need their runtime for as long as they live; it loads one at a time.
    std::mutex loading;
    std::unique_ptr<IRuntime> running;
};

struct MtBuilder {
    // Freed from the last to the first: the configuration before the timing cache that it uses.
    std::unique_ptr<IBuilder> builder;
    std::unique_ptr<INetworkDefinition> network;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    std::unique_ptr<ITimingCache> timing;
#pragma GCC diagnostic pop
    std::unique_ptr<IBuilderConfig> config;
    std::unique_ptr<nvonnxparser::IParser> parser;
    IOptimizationProfile* profile = nullptr;
};

struct MtBlob {
    std::unique_ptr<IHostMemory> memory;
};

struct MtEngine {
    std::unique_ptr<ICudaEngine> engine;
};

struct MtContext {
    std::unique_ptr<IExecutionContext> context;
};

extern "C" {

const char* mt_headers(void) { return MT_FLAVOUR MT_VERSION; }
const char* mt_infer_name(void) { return MT_INFER; }
const char* mt_parser_name(void) { return MT_PARSER; }

MtLibrary* mt_open(const char* infer, const char* parser, char* why, size_t room) {
    auto library = std::make_unique<MtLibrary>();
    auto refuse = [&](std::string const& text) {
        std::snprintf(why, room, "%s", text.c_str());
        mt_close(library.release());
        return nullptr;
    };
    auto words = [] {
        char const* text = dlerror();
        return std::string(text ? text : "no reason given");
    };
    // The parser looks for symbols of the first library, so that one is open to all.
    library->infer = dlopen(infer, RTLD_NOW | RTLD_GLOBAL);
    if (!library->infer) return refuse(words());
    library->parser = dlopen(parser, RTLD_NOW | RTLD_LOCAL);
    if (!library->parser) return refuse(words());
    auto find = [&](void* from, char const* name, auto& slot) {
        slot = reinterpret_cast<std::remove_reference_t<decltype(slot)>>(dlsym(from, name));
        return slot != nullptr;
    };
    if (!find(library->infer, "createInferBuilder_INTERNAL", library->builder)
        || !find(library->infer, "createInferRuntime_INTERNAL", library->runtime)
        || !find(library->infer, "getInferLibVersion", library->version)
        || !find(library->parser, "createNvOnnxParser_INTERNAL", library->onnx))
        return refuse(words());
    // The layout of TensorRT's classes holds within a major version, from the headers' own on.
    int32_t const found = library->version();
    if (found / 10000 != NV_TENSORRT_MAJOR || found < NV_TENSORRT_VERSION) {
        char text[256];
        std::snprintf(text, sizeof text, "%s is version %d.%d.%d, this build needs %s or a later one of the same major version",
            infer, found / 10000, found / 100 % 100, found % 100, mt_headers());
        return refuse(text);
    }
    return library.release();
}

void mt_close(MtLibrary* library) {
    if (!library) return;
    library->running.reset();
    // Never unloaded: TensorRT keeps threads and exit handlers of its own.
    delete library;
}

int32_t mt_version(const MtLibrary* library) { return library->version(); }
void mt_error(MtLibrary* library, char* text, size_t room) { library->log.take(text, room); }

MtBuilder* mt_parse(MtLibrary* library, const char* onnx) {
    auto made = std::make_unique<MtBuilder>();
    made->builder.reset(static_cast<IBuilder*>(library->builder(&library->log, NV_TENSORRT_VERSION)));
    if (!made->builder) return nullptr;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    // Types are the file's in TensorRT 11 and TensorRT-RTX anyway; TensorRT 10 must be told.
    uint32_t const typed = 1U << static_cast<uint32_t>(NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
#pragma GCC diagnostic pop
    made->network.reset(made->builder->createNetworkV2(typed));
    made->config.reset(made->builder->createBuilderConfig());
    if (!made->network || !made->config) return nullptr;
    // f32 means f32: the 10-bit fractions of TF32 would move boxes.
    made->config->clearFlag(BuilderFlag::kTF32);
    made->parser.reset(static_cast<nvonnxparser::IParser*>(
        library->onnx(made->network.get(), &library->log, NV_ONNX_PARSER_VERSION)));
    if (!made->parser) return nullptr;
    if (!made->parser->parseFromFile(onnx, static_cast<int>(ILogger::Severity::kERROR))) {
        for (int32_t i = 0; i < made->parser->getNbErrors(); ++i) {
            auto const* error = made->parser->getError(i);
            std::string text = std::string("node ") + error->nodeName() + " (" + error->nodeOperator() + "): " + error->desc();
            library->log.log(ILogger::Severity::kERROR, text.c_str());
        }
        return nullptr;
    }
    return made.release();
}

int mt_profile(MtBuilder* builder, const char* input, const int64_t* least, const int64_t* usual, const int64_t* most, int32_t rank) {
    if (!builder->profile) builder->profile = builder->builder->createOptimizationProfile();
    auto* profile = builder->profile;
    return profile && profile->setDimensions(input, OptProfileSelector::kMIN, dims_of(least, rank))
        && profile->setDimensions(input, OptProfileSelector::kOPT, dims_of(usual, rank))
        && profile->setDimensions(input, OptProfileSelector::kMAX, dims_of(most, rank));
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
int mt_timing_load(MtBuilder* builder, const void* data, size_t size) {
    builder->timing.reset(builder->config->createTimingCache(data, size));
    return builder->timing && builder->config->setTimingCache(*builder->timing, false);
}

MtBlob* mt_timing(MtBuilder* builder) {
    auto const* cache = builder->config->getTimingCache();
    auto* memory = cache ? cache->serialize() : nullptr;
    return memory ? new MtBlob{std::unique_ptr<IHostMemory>(memory)} : nullptr;
}
#pragma GCC diagnostic pop

MtBlob* mt_build(MtBuilder* builder, MtProgress tell, void* user) {
    if (builder->profile && builder->config->addOptimizationProfile(builder->profile) < 0) return nullptr;
    Monitor monitor(tell, user);
    if (tell) builder->config->setProgressMonitor(&monitor);
    auto* memory = builder->builder->buildSerializedNetwork(*builder->network, *builder->config);
    builder->config->setProgressMonitor(nullptr);
    return memory ? new MtBlob{std::unique_ptr<IHostMemory>(memory)} : nullptr;
}

void mt_builder_free(MtBuilder* builder) { delete builder; }

const void* mt_blob_data(const MtBlob* blob) { return blob->memory->data(); }
size_t mt_blob_size(const MtBlob* blob) { return blob->memory->size(); }
void mt_blob_free(MtBlob* blob) { delete blob; }

MtEngine* mt_load(MtLibrary* library, const void* plan, size_t size) {
    std::lock_guard<std::mutex> guard(library->loading);
    if (!library->running)
        library->running.reset(static_cast<IRuntime*>(library->runtime(&library->log, NV_TENSORRT_VERSION)));
    if (!library->running) return nullptr;
    auto* engine = library->running->deserializeCudaEngine(plan, size);
    return engine ? new MtEngine{std::unique_ptr<ICudaEngine>(engine)} : nullptr;
}

int32_t mt_tensor_count(const MtEngine* engine) { return engine->engine->getNbIOTensors(); }

int32_t mt_tensor(const MtEngine* engine, int32_t index, const char** name, int32_t* is_input, int32_t* type, int64_t* dims) {
    *name = engine->engine->getIOTensorName(index);
    if (!*name) return -1;
    *is_input = engine->engine->getTensorIOMode(*name) == TensorIOMode::kINPUT;
    *type = static_cast<int32_t>(engine->engine->getTensorDataType(*name));
    return copy_dims(engine->engine->getTensorShape(*name), dims);
}

void mt_engine_free(MtEngine* engine) { delete engine; }

MtContext* mt_context(MtEngine* engine) {
    auto* context = engine->engine->createExecutionContext();
    return context ? new MtContext{std::unique_ptr<IExecutionContext>(context)} : nullptr;
}

int mt_set_shape(MtContext* context, const char* input, const int64_t* dims, int32_t rank) {
    return context->context->setInputShape(input, dims_of(dims, rank));
}

int32_t mt_shape(MtContext* context, const char* tensor, int64_t* dims) {
    return copy_dims(context->context->getTensorShape(tensor), dims);
}

int mt_set_address(MtContext* context, const char* tensor, void* device) {
    return context->context->setTensorAddress(tensor, device);
}

int mt_enqueue(MtContext* context, void* stream) { return context->context->enqueueV3(static_cast<cudaStream_t>(stream)); }
void mt_context_free(MtContext* context) { delete context; }

} // extern "C"
