//! Any bytes as a picture of any shape and depth through all of imaging.
//!
//! How targets are run: fuzz/README.md.
#![no_main]

use libfuzzer_sys::fuzz_target;
use domain::frame::PixelView;
use imaging::Polarity;
#[path = "../../tests/it/imaging_support/mod.rs"]
mod imaging_support;
use imaging_support::ImagingSteps;

fuzz_target!(|bytes: &[u8]| {
    let [kind, width, height, bits, samples @ ..] = bytes else { return };
    // The sides are stated by the bytes and need not fit the samples.
    let size = [usize::from(*width), usize::from(*height)];
    let polarity = [Polarity::Auto, Polarity::DarkOnBright, Polarity::BrightOnDark][usize::from(kind / 3) % 3];
    let words: Vec<u16>;
    let view = match kind % 3 {
        0 => PixelView::Mono8(samples),
        1 => PixelView::Rgb8(samples),
        _ => {
            words = samples.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
            PixelView::Mono16(&words)
        }
    };
    let _ = ImagingSteps::default().take(view, size, *bits, polarity);
});
