//! Memory that reading a picture may take, held by the allocator.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use domain::frame::PixelBuffer;
use metaphased::camera::files::ImageFile;

/// What `memory.picture` is set to here, in bytes.
const MOST: u64 = 64 << 20;
/// What may be in use at once: the picture, and as much again for descriptions, twice over while they become text.
const LIMIT: usize = 256 << 20;

struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

fn taken(bytes: usize) {
    if IN_USE.fetch_add(bytes, Relaxed) + bytes > LIMIT {
        // A panic would need memory, too.
        std::process::abort();
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

// Hands everything on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

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
        assert!(facts.stage_um.is_none_or(|at| [at.x, at.y, at.z].iter().all(|v| v.is_finite())), "{facts:?}");
        read += 1;
    }
    read
}
