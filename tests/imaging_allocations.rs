//! A camera's second frame costs imaging no allocation.

use domain::{
    Stain,
    frame::{FramePool, PixelView},
};
use imaging::{Polarity, RawFrame, RawLayout};
use slide::{Samples, SlideSettings, VirtualSlide};

#[path = "it/imaging_support/mod.rs"]
mod imaging_support;
use imaging_support::ImagingSteps;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

#[test]
fn frames_after_the_first_allocate_nothing() {
    let profiler = dhat::Profiler::builder().testing().build();
    for (stain, polarity) in [(Stain::GBand, Polarity::DarkOnBright), (Stain::Dapi, Polarity::BrightOnDark)] {
        let size = [340usize, 256];
        let settings =
            SlideSettings { stain, width: 340, height: 256, um_per_px: 0.2, bits: 12, ..SlideSettings::default() };
        let mut slide = VirtualSlide::new(settings).expect("a slide");
        let stop = slide.at_cell(0);
        let mut deep = vec![0u16; size[0] * size[1]];
        slide.render(&stop, Samples::Mono16(&mut deep)).expect("drawn");
        let mut steps = ImagingSteps::default();
        let mut look = || steps.take(PixelView::Mono16(&deep), size, 12, polarity).expect("a picture");
        let regions = look();
        assert!(regions > 15, "{stain:?}: {regions} regions on a metaphase");
        let before = dhat::HeapStats::get();
        for _ in 0..2 {
            assert_eq!(look(), regions);
        }
        let after = dhat::HeapStats::get();
        assert_eq!(after.total_blocks - before.total_blocks, 0, "{stain:?}");
    }
    from_a_drivers_memory();
    drop(profiler);
}

/// Frames of a camera, from its driver's memory into buffers of the pool.
fn from_a_drivers_memory() {
    let pool = FramePool::new(2);
    for layout in [
        RawLayout::Grey8,
        RawLayout::Grey16 { bits: 12, big_endian: false },
        RawLayout::Packed10,
        RawLayout::Packed12,
        RawLayout::LumaFirst,
        RawLayout::Bgr8,
    ] {
        let [width, height] = [346, 20];
        let bytes = vec![5; layout.row_bytes(width) * height];
        let frame = RawFrame { layout, width, height, stride: 0, bytes: &bytes };
        let read = || {
            let buffer = pool.try_take(frame.buffer_bytes()).expect("all are back");
            drop(frame.read(buffer).expect("it is whole"));
        };
        // Each of the two buffers grows once.
        (0..2).for_each(|_| read());
        let before = dhat::HeapStats::get().total_blocks;
        (0..10).for_each(|_| read());
        assert_eq!(dhat::HeapStats::get().total_blocks - before, 0, "{layout:?}");
    }
}
