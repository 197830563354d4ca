//! Segmentation alone, where no detector serves the stain: it finds and counts objects and knows no classes.

use std::{collections::BTreeMap, time::Instant};

use domain::{BoundingBox, Stain, Status, frame::Frame};
use imaging::{
    GrayImage, Polarity, PrepareOptions, Prepared, Preparer, RegionKind, SegmentOptions, Segmentation, Segmenter,
};

use super::{Candidate, Recognised, Region, grouping::region_of};

/// Pictures and scratch memory of the segmentation; reused for every frame.
#[derive(Default)]
pub struct Segmented {
    grey: GrayImage,
    preparer: Preparer,
    segmenter: Segmenter,
}

impl Segmented {
    /// Finds the objects of every region. A frame that cannot be prepared (all pixels equal) has none.
    pub fn recognise(&mut self, frame: &Frame, stain: Stain, regions: &[Region]) -> Vec<Recognised> {
        let started = Instant::now();
        let (width, height) = (frame.pixels.width() as f32, frame.pixels.height() as f32);
        let mut groups: Vec<Vec<Candidate>> = regions.iter().map(|_| Vec::new()).collect();
        let mut typical_width = None;
        if let Some((_, segmentation)) = self.segment(frame, stain) {
            typical_width = segmentation.chromosome_width;
            for object in segmentation.chromosomes() {
                let b = object.bounds;
                let bounds = BoundingBox::from_corners(b.left as f32, b.top as f32, b.right as f32, b.bottom as f32);
                let Some(group) = region_of(&bounds, regions, width, height) else { continue };
                groups[group].push(Candidate {
                    bounds,
                    objectness: object.score,
                    p_single: 1.0,
                    iou_logit: 0.0,
                    probability: object.score,
                    accepted: true,
                    log_probs: None,
                    status: match object.kind {
                        RegionKind::Single => Status::Single,
                        RegionKind::Touching => Status::Touching,
                        RegionKind::Crossing => Status::Crossing,
                        RegionKind::Nucleus | RegionKind::Debris => Status::Unclear,
                    },
                    drawn: None,
                });
            }
        }
        let spent = started.elapsed();
        regions
            .iter()
            .zip(groups)
            .enumerate()
            .map(|(i, (region, mut candidates))| {
                candidates.sort_by(|a, b| b.objectness.total_cmp(&a.objectness));
                let bounds = candidates.iter().fold(region.bounds, |all, c| all.union(&c.bounds));
                Recognised {
                    region: bounds.clipped(width, height),
                    quality: region.quality,
                    considered: candidates.len(),
                    in_context: false,
                    candidates,
                    chromosome_width_px: typical_width,
                    timing: if i == 0 { BTreeMap::from([("segment", spent)]) } else { BTreeMap::new() },
                }
            })
            .collect()
    }

    /// Prepares a frame and finds its regions; none when all its pixels are equal.
    pub fn segment(&mut self, frame: &Frame, stain: Stain) -> Option<(&Prepared, &Segmentation)> {
        self.grey.read_frame(&frame.pixels);
        let polarity = if stain.is_fluorescence() { Polarity::BrightOnDark } else { Polarity::DarkOnBright };
        let options = PrepareOptions { polarity, ..PrepareOptions::default() };
        let prepared = self.preparer.prepare(self.grey.view().ok()?, &options).ok()?;
        let segmentation = self.segmenter.segment(prepared.plane.view().ok()?, &SegmentOptions::of(prepared));
        Some((prepared, segmentation))
    }
}
