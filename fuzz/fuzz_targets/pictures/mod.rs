//! Reading the pictures of a file, and what holds for each.

use std::path::Path;

use domain::frame::PixelBuffer;
use metaphased::camera::files::ImageFile;

/// What `memory.picture` is set to here, in bytes: `-rss_limit_mb=512` leaves the corpus as much again and more.
const MOST: u64 = 64 << 20;

/// Reads all pictures of the file, up to eight; how many were read.
pub fn read_all(path: &Path) -> usize {
    let Ok(mut file) = ImageFile::open_within(path, MOST) else { return 0 };
    let pages = file.pages();
    assert!(pages > 0, "a file that was opened has a picture, or an error for one");
    let mut read = 0;
    for page in 0..pages.min(8) {
        let Ok(page) = file.read(page, |bytes| Some(PixelBuffer::unpooled(bytes))) else { continue };
        let facts = &page.facts;
        assert!(facts.um_per_px.is_none_or(|um| um.is_finite() && um > 0.0), "{facts:?}");
        assert!(facts.stage_um.is_none_or(|at| [Some(at.x), Some(at.y), at.z].into_iter().flatten().all(f64::is_finite)), "{facts:?}");
        read += 1;
    }
    read
}
