//! Every step of imaging in turn, for tests that hand it all kinds of pictures.

use domain::frame::PixelView;
use imaging::{
    AxisScratch, GrayImage, ImagingError, MedialAxis, ObjectJudge, Polarity, PrepareOptions, Preparer, SegmentOptions,
    Segmenter, Separator,
};
use recognition::{Triage, TriageOptions};

/// Every step of imaging with its buffers, for tests that hand it all kinds of pictures.
#[derive(Debug, Default)]
pub struct ImagingSteps {
    grey: GrayImage,
    triage: Triage,
    preparer: Preparer,
    segmenter: Segmenter,
    separator: Separator,
    judge: ObjectJudge,
    axis: MedialAxis,
    axis_scratch: AxisScratch,
    straight: GrayImage,
}

impl ImagingSteps {
    /// Takes a picture through triage, preparation, segmentation, separation, axis and straightening, and checks that
    /// what comes out is sound. Returns the number of regions.
    ///
    /// # Errors
    /// Why the picture cannot be worked on.
    ///
    /// # Panics
    /// When an answer is unsound: a region outside the picture, a mask that disagrees with its area, a score beyond 0 to 1.
    pub fn take(
        &mut self,
        samples: PixelView<'_>,
        [width, height]: [usize; 2],
        valid_bits: u8,
        polarity: Polarity,
    ) -> Result<usize, ImagingError> {
        self.grey.read(samples, width, height, valid_bits);
        let view = self.grey.view()?;
        let seen = self.triage.assess(view, &TriageOptions { polarity, ..TriageOptions::default() });
        for spread in &seen.spreads {
            let b = spread.bounds;
            assert!(b.x >= 0.0 && b.right() <= width as f32 && b.bottom() <= height as f32, "{b:?}");
            assert!((0.0..=1.0).contains(&spread.quality.metaphase), "{spread:?}");
        }
        self.judge.cluster(view, 9.0);
        let prepared = self.preparer.prepare(view, &PrepareOptions { polarity, ..PrepareOptions::default() })?;
        assert_eq!((prepared.plane.width, prepared.plane.height), (width, height));
        let plane = prepared.plane.view()?;
        let found = self.segmenter.segment(plane, &SegmentOptions::of(prepared));
        let chromosome_width = found.chromosome_width.unwrap_or(8.0);
        for region in &found.regions {
            assert!(region.bounds.right <= width && region.bounds.bottom <= height, "{region:?}");
            assert!((0.0..=1.0).contains(&region.score), "{region:?}");
            let mask = found.mask(region);
            assert_eq!(mask.iter().filter(|m| **m != 0).count(), region.area, "{region:?}");
        }
        for region in found.chromosomes().take(8) {
            self.axis.trace(found.mask(region), region.bounds, &mut self.axis_scratch);
            self.axis.straighten(plane, 8, &mut self.straight);
            let own = self.separator.separate(plane, region.bounds, &[], chromosome_width);
            assert!(own.is_none_or(|own| own.bounds.right <= width && own.bounds.bottom <= height));
        }
        Ok(found.regions.len())
    }
}
