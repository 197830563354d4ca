//! Keys of the networks and of what runs them.

use std::{collections::BTreeSet, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ServerAddress;

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
    /// Servers that speak KServe v2 (Triton, OpenVINO Model Server).
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
    /// KServe: address of the only server, `http://host:8000` or, for gRPC, `grpc://host:8001`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// KServe: several servers, and how they are used.
    pub kserve: KserveConfig,
    /// Threads for inference; 0: one a core.
    #[schemars(range(min = 0, max = 1024))]
    pub threads: usize,
    /// Frames that are recognised side by side, with the threads shared among them; 0: one a thread (KServe: one for each request
    /// that the servers take at once, where that is more). A frame that comes alone has all threads.
    #[schemars(range(min = 0, max = 1024))]
    pub workers: usize,
    /// ONNX Runtime: execution provider.
    pub provider: Provider,
    /// ONNX Runtime: its shared library; TensorRT: the folder of its libraries; unset: searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<PathBuf>,
}

/// Servers of the engine `kserve`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KserveConfig {
    /// Addresses of servers with the same networks, `http://host:8000` or `grpc://host:8001`; instead of `inference.url`.
    pub urls: Vec<String>,
    /// Requests at once to each server; more wait.
    #[schemars(range(min = 1, max = 256))]
    pub in_flight: usize,
    /// Seconds after which a server that has not answered a request has failed.
    #[schemars(range(min = 0.1, max = 60.0))]
    pub timeout: f64,
}

impl Default for KserveConfig {
    fn default() -> Self {
        Self { urls: Vec::new(), in_flight: 4, timeout: 10.0 }
    }
}

impl InferenceConfig {
    /// The addresses of the servers of the engine `kserve`: `url`, or `kserve.urls`.
    ///
    /// # Errors
    /// In words, when there is none, both keys are set, one cannot be read or stands there twice.
    pub fn servers(&self) -> Result<Vec<ServerAddress>, String> {
        let urls = match &self.url {
            Some(_) if !self.kserve.urls.is_empty() => return Err("both url and kserve.urls are set".to_owned()),
            Some(url) => std::slice::from_ref(url),
            None => &self.kserve.urls,
        };
        let addresses = urls.iter().map(|url| url.parse()).collect::<Result<Vec<ServerAddress>, String>>()?;
        if addresses.is_empty() {
            return Err("the engine \"kserve\" requires the address of its server".to_owned());
        }
        let mut seen = BTreeSet::new();
        match addresses.iter().find(|address| !seen.insert(*address)) {
            Some(twice) => Err(format!("{twice} is named twice")),
            None => Ok(addresses),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_or_refused() {
        let of = |url: Option<&str>, urls: &[&str]| {
            let kserve = KserveConfig { urls: urls.iter().map(|&url| url.into()).collect(), ..KserveConfig::default() };
            let settings = InferenceConfig { url: url.map(Into::into), kserve, ..InferenceConfig::default() };
            settings.servers().map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(of(Some("http://a:8000"), &[]).unwrap(), "http://a:8000");
        assert_eq!(of(None, &["http://a:8000", "grpc://a:8001"]).unwrap(), "http://a:8000 grpc://a:8001");
        for (url, urls, words) in [
            (None, &[][..], "requires the address"),
            (Some("http://a:8000"), &["http://b:8000"], "both url and kserve.urls"),
            (None, &["http://a:8000", "http://a:8000/"], "named twice"),
            (None, &["http://a:8000", "b"], "invalid address 'b'"),
        ] {
            let error = of(url, urls).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
