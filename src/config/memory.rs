//! How much memory pictures may take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Memory for pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryConfig {
    /// Most memory that one picture of a file may take while it is read, such as `1 GiB`; larger ones are rejected as
    /// `unsupported`.
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)? ?([KMGT]i?B|B)$"))]
    pub picture: String,
    /// Most memory that the frames of one source may take together, such as `1 GiB`; one that is larger goes alone.
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)? ?([KMGT]i?B|B)$"))]
    pub frames: String,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { picture: "1 GiB".into(), frames: "1 GiB".into() }
    }
}

impl MemoryConfig {
    /// Bytes of one picture while it is read.
    pub fn picture_bytes(&self) -> u64 {
        bytes(&self.picture).unwrap_or(1 << 30)
    }

    /// Bytes of the frames of a source.
    pub fn frames_bytes(&self) -> u64 {
        bytes(&self.frames).unwrap_or(1 << 30)
    }
}

/// A size such as `20 GiB` in bytes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim() {
        "B" => 1.0,
        "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((number * factor) as u64)
}
