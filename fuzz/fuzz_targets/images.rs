//! Any bytes as a file of a folder: PNG, JPEG, BMP, WebP, TIFF, and what is none of them.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod pictures;
mod scratch;

fuzz_target!(|bytes: &[u8]| {
    pictures::read_all(&scratch::file("picture", bytes));
});
