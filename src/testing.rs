//! For tests alone: where the shared data sets are.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::{
    frame::PixelView,
    imaging::{
        AxisScratch, GrayImage, ImagingError, MedialAxis, ObjectJudge, Polarity, PrepareOptions, Preparer,
        SegmentOptions, Segmenter, Separator,
    },
    recognition::{Triage, TriageOptions},
};

use crate::cell::{
    BoundingBox, Captured, Cell, Chromosome, ChromosomeClass, Counts, Damage, Karyotype, NOTICE, Quality, ScoredClass,
    Status, Verdict,
};

/// The folder of real data sets (`$METAPHASED_SHARED_DATA`, else `../shared/data` beside the checkout), or none.
/// Tests that need it print that they were skipped: [`skipped`].
pub fn shared_data() -> Option<PathBuf> {
    let folder = std::env::var_os("METAPHASED_SHARED_DATA")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    folder.is_dir().then_some(folder)
}

/// Says aloud that a test was left out.
pub fn skipped(test: &str) {
    eprintln!("SKIPPED: {test} needs ../shared/data");
}

/// A whole cell of 46 chromosomes for tests of what carries cells on; its number chooses the id and the frame.
pub fn sample_cell(number: u64, case: Option<&str>, verdict: Verdict) -> Cell {
    let classes = (0..46).map(|i| ChromosomeClass::from_index(i / 2).unwrap_or(ChromosomeClass::X));
    let chromosomes = classes
        .enumerate()
        .map(|(i, class)| Chromosome {
            index: i as u32,
            bounds: BoundingBox { x: 20.0 * i as f32, y: 40.0, width: 18.0, height: 64.5 },
            class: Some(class),
            score: 0.97,
            alternatives: vec![ScoredClass { class, score: 0.95 }],
            status: Status::Single,
            length_um: Some(4.2),
            relative_length: Some(3.1),
            centromere_index: Some(0.4),
            upright_angle: Some(12.0),
            damage: Damage::None,
            objectness: 0.99,
            evidence: None,
        })
        .collect();
    Cell {
        schema: Cell::SCHEMA.into(),
        station: "lab-1".into(),
        source: "scope".into(),
        // Version 7: 48 bits of time, then the number.
        cell: Uuid::from_u128((0x0192_b0d0_0000_u128 << 80) | (7 << 76) | (2 << 62) | u128::from(number)),
        revision: 1,
        case: case.map(str::to_owned),
        slide: None,
        colony: None,
        captured: Captured {
            time: "2026-11-22T16:00:00Z".into(),
            frame: number,
            trigger: None,
            stage_um: None,
            um_per_px: Some(0.1),
            size: [1280, 1024],
            file: Some(format!("{number:06}.png")),
        },
        region: BoundingBox { x: 10.0, y: 20.0, width: 1000.0, height: 900.0 },
        quality: Quality { focus: 0.9, metaphase: 0.95, spread: 0.8 },
        chromosomes,
        counts: Counts { detected: 46, normal: 46, undamaged: 46, ..Counts::default() },
        karyotype: Karyotype {
            iscn: Some("46,XX".into()),
            posterior: Some(0.9),
            verdict,
            reason: "every class twice".into(),
            findings: Vec::new(),
        },
        dicentric: None,
        models: [("classifier".to_owned(), "bands@0123456789ab".to_owned())].into(),
        timing_ms: [("detect".to_owned(), 7.5)].into(),
        replayed: true,
        review: None,
        notice: NOTICE.into(),
    }
}

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
