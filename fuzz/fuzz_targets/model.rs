//! Any text as model.toml.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recognition::inference::{Manifest, ModelFolder};

fuzz_target!(|text: &str| {
    let Ok(manifest) = Manifest::parse(text) else { return };
    let _ = manifest.chromosome_classes();
    let _ = (manifest.single_channel(), manifest.refines(), manifest.map_channels());
    let folder = ModelFolder { path: "models".into(), manifest };
    assert!(!folder.label().is_empty());
});
