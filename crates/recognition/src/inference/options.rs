//! Keys of the networks and of what runs them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EngineName {
    /// The best that is available.
    #[default]
    Auto,
    /// rten, in this process.
    Cpu,
    /// ONNX Runtime, where it is installed.
    Onnxruntime,
    /// TensorRT on an NVIDIA GPU.
    Tensorrt,
    /// A KServe v2 server (Triton, OpenVINO Model Server).
    Kserve,
}

/// What happens when the engine fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// The daemon says so and waits or rejects; never an empty slide.
    #[default]
    Deny,
    /// The `cpu` engine takes over, which `state` and every message report.
    Cpu,
}

/// Networks and what runs them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InferenceConfig {
    /// Engine.
    pub engine: EngineName,
    /// What happens when it fails.
    pub fallback: Fallback,
    /// Name of the detector's model folder; unset: chosen by stain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector: Option<String>,
    /// Name of the classifier's model folder; unset: chosen by stain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classifier: Option<String>,
    /// Name of the model folder that draws outlines; unset: chosen by stain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anatomy: Option<String>,
    /// Folder that holds the model folders; unset: searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<PathBuf>,
    /// KServe: address of the server, `http://host:8000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Threads for inference; 0: one a core.
    #[schemars(range(min = 0, max = 1024))]
    pub threads: usize,
    /// Frames that are recognised side by side, with the threads shared among them; 0: one a thread. A frame that comes alone has
    /// all threads.
    #[schemars(range(min = 0, max = 1024))]
    pub workers: usize,
    /// ONNX Runtime: execution provider.
    pub provider: Provider,
    /// ONNX Runtime: its shared library; TensorRT: the folder of its libraries; unset: searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<PathBuf>,
}

/// Execution provider of ONNX Runtime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// The processor.
    #[default]
    Cpu,
    /// Intel's OpenVINO.
    Openvino,
    /// NVIDIA CUDA.
    Cuda,
    /// NVIDIA TensorRT.
    Tensorrt,
}
