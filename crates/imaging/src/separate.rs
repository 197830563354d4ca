//! One chromosome in a detector's box: its own mask, without the neighbours that reach into the box.

use super::{
    Region, SegmentOptions, Segmenter, crop,
    plane::{GrayImage, GrayView, Rect},
};

/// The mask of one chromosome.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Separated {
    /// The smallest rectangle around it, in pixels of the picture.
    pub bounds: Rect,
    /// `bounds.width() * bounds.height()` zeros and ones.
    pub mask: Vec<u8>,
    /// IoU of `bounds` with the box that was asked for, 0 to 1: low where another chromosome was meant.
    pub fit: f32,
}

/// Cuts chromosomes out of boxes; keeps its buffers.
#[derive(Debug, Clone, Default)]
pub struct Separator {
    segmenter: Segmenter,
    crop: GrayImage,
    chosen: Vec<usize>,
    separated: Separated,
}

impl Separator {
    /// Finds the chromosome that the box `target` means on a prepared plane whose chromosomes are `width` pixels wide;
    /// `others` are the boxes of its neighbours. Pieces inside the box that no neighbour's box explains better belong to
    /// it. None when nothing dark lies in the box.
    pub fn separate(&mut self, plane: GrayView<'_>, target: Rect, others: &[Rect], width: f32) -> Option<&Separated> {
        let area = target.grown((width / 2.0).max(4.0) as usize, plane.width(), plane.height());
        if area.width() < 3 || area.height() < 3 {
            return None;
        }
        crop(plane, area, &mut self.crop);
        let view = self.crop.view().ok()?;
        let options = SegmentOptions { chromosome_width: Some(width.max(2.0)), ..SegmentOptions::default() };
        self.segmenter.segment(view, &options);
        let found = self.segmenter.segmentation();
        let place = |r: &Region| shifted(&r.bounds, area.left, area.top);
        // What the target explains better than any neighbour, best first.
        let claim = |b: &Rect| {
            let own = iou(b, &target);
            let other = others.iter().map(|o| iou(b, o)).fold(0.0, f32::max);
            (own, own - 0.8 * other)
        };
        let (first, _) = found
            .regions
            .iter()
            .enumerate()
            .filter(|(_, r)| r.kind.is_chromosome() || r.area * 4 > target.area())
            .map(|(i, r)| (i, claim(&place(r)).1))
            .max_by(|a, b| a.1.total_cmp(&b.1))?;
        self.chosen.clear();
        self.chosen.push(first);
        let mut bounds = place(&found.regions[first]);
        for (i, region) in found.regions.iter().enumerate() {
            let b = place(region);
            let joined = bounds.union(&b);
            let foreign = others.iter().any(|o| overlap(&b, o) > 0.7 && iou(&b, o) > 0.15);
            if i != first
                && overlap(&b, &target) > 0.85
                && !foreign
                && iou(&joined, &target) > iou(&bounds, &target) + 0.05
            {
                bounds = joined;
                self.chosen.push(i);
            }
        }
        let out = &mut self.separated;
        out.bounds = bounds;
        out.mask.clear();
        out.mask.resize(bounds.area(), 0);
        for &i in &self.chosen {
            let region = &found.regions[i];
            let b = place(region);
            let lines = found.mask(region).chunks_exact(b.width());
            for (y, line) in lines.enumerate() {
                let at = (b.top + y - bounds.top) * bounds.width() + b.left - bounds.left;
                for (o, &m) in out.mask[at..at + line.len()].iter_mut().zip(line) {
                    *o |= m;
                }
            }
        }
        out.fit = iou(&bounds, &target);
        Some(out)
    }
}

fn shifted(r: &Rect, x: usize, y: usize) -> Rect {
    Rect { left: r.left + x, top: r.top + y, right: r.right + x, bottom: r.bottom + y }
}

fn shared(a: &Rect, b: &Rect) -> f32 {
    let w = a.right.min(b.right).saturating_sub(a.left.max(b.left));
    let h = a.bottom.min(b.bottom).saturating_sub(a.top.max(b.top));
    (w * h) as f32
}

/// Share of `a` that lies in `b`.
fn overlap(a: &Rect, b: &Rect) -> f32 {
    shared(a, b) / (a.area().max(1) as f32)
}

fn iou(a: &Rect, b: &Rect) -> f32 {
    let i = shared(a, b);
    i / ((a.area() + b.area()) as f32 - i).max(1.0)
}
