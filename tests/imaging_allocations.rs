//! A camera's second frame costs imaging no allocation.

use domain::{Stain, frame::PixelView};
use imaging::Polarity;
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
    drop(profiler);
}
