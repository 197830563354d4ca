//! Chromosomes cut out without the neighbours that reach into their boxes.

use domain::BoundingBox;

use super::{
    BACKGROUND, Separator,
    axis::{AxisScratch, MedialAxis},
    chromosome::{Crop, darker_than_background, grow},
    components::Components,
    plane::{GrayImage, Rect},
};

/// An object that fills less of its box than this is another one than was meant: then the dark object in the middle stays.
const MIN_BOX_FIT: f32 = 0.55;

/// How far the dark surroundings of a mask join it, in pixels.
const MASK_GROWTH: usize = 2;

/// The crops with masks, where neighbours could be separated; those that have a mask keep it. `boxes` go with `crops`,
/// one each, in pixels of the frame; a crop begins at its box's left and top.
pub fn isolate(crops: &[Option<Crop>], boxes: &[BoundingBox]) -> Vec<Option<Crop>> {
    let mut widths: Vec<f32> = crops.iter().flatten().filter_map(width).collect();
    widths.sort_unstable_by(f32::total_cmp);
    let Some(width) = widths.get(widths.len() / 2).copied() else { return crops.to_vec() };
    let mut separator = Separator::default();
    let one = |(own, crop): (usize, &Option<Crop>)| {
        let mut crop = crop.clone()?;
        if crop.mask.is_empty()
            && own < boxes.len()
            && let Some(mask) = own_mask(&crop, boxes, own, width, &mut separator)
        {
            crop.mask = mask;
        }
        Some(crop)
    };
    crops.iter().enumerate().map(one).collect()
}

/// The mask of the chromosome that box `own` means; none where no other box reaches into it or nothing fits it.
fn own_mask(
    crop: &Crop,
    boxes: &[BoundingBox],
    own: usize,
    chromosome_width: f32,
    separator: &mut Separator,
) -> Option<Vec<u8>> {
    let (w, h) = (crop.width, crop.height);
    let grey = crop.dark_on_light();
    let plane = GrayImage { width: w, height: h, data: with_fixed_background(&grey)? };
    let whole = Rect { left: 0, top: 0, right: w, bottom: h };
    let (left, top) = (boxes[own].x.max(0.0).floor(), boxes[own].y.max(0.0).floor());
    let others: Vec<Rect> = boxes
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != own)
        .filter_map(|(_, b)| within((b.x - left, b.y - top, b.right() - left, b.bottom() - top), w, h))
        .collect();
    if others.is_empty() {
        return None;
    }
    let found = separator.separate(plane.view().ok()?, whole, &others, chromosome_width)?;
    if found.fit <= MIN_BOX_FIT {
        return None;
    }
    let mut mask = vec![0_u8; w * h];
    let b = found.bounds;
    for (y, row) in found.mask.chunks_exact(b.width()).enumerate() {
        let at = (b.top + y) * w + b.left;
        mask[at..at + row.len()].copy_from_slice(row);
    }
    // Light bands and the outline's half tones belong to the chromosome: the dark surroundings of the mask join it.
    let dark = darker_than_background(&grey);
    for _ in 0..MASK_GROWTH {
        grow(&mut mask, w, |i| dark[i] > 0);
    }
    grow(&mut mask, w, |_| true);
    drop_specks(&mut mask, w);
    without_bars(&mut mask, w);
    Some(mask)
}

/// Cuts off what lies far from the middle line: the arms of a chromosome that crosses this one. Nothing is cut where the line
/// does not lead from side to side of the box, which is `width` wide: then it is not this chromosome's.
fn without_bars(mask: &mut [u8], width: usize) {
    let height = mask.len() / width;
    let mut axis = MedialAxis::default();
    axis.trace(mask, Rect { left: 0, top: 0, right: width, bottom: height }, &mut AxisScratch::default());
    let Some(usual) = axis.usual_width() else { return };
    let reach = (0.5 * MAX_RELATIVE_WIDTH * usual + 1.0).powi(2);
    let near = |i: usize| {
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        axis.points.iter().any(|[px, py]| (px - x).powi(2) + (py - y).powi(2) <= reach)
    };
    let kept: Vec<usize> = (0..mask.len()).filter(|i| mask[*i] > 0 && near(*i)).collect();
    let span = |of: &dyn Fn(&usize) -> usize| {
        let (low, high) = (kept.iter().map(of).min(), kept.iter().map(of).max());
        high.zip(low).map_or(0, |(high, low)| high - low + 1)
    };
    let least = |side: usize| side as f32 - BOX_MARGIN * usual;
    let fills = span(&|i| i % width) as f32 >= least(width) && span(&|i| i / width) as f32 >= least(height);
    if fills && axis.length >= 1.5 * usual {
        mask.fill(0);
        kept.into_iter().for_each(|i| mask[i] = 1);
    }
}

/// How much wider than usual a chromosome may be at a place of its middle line.
const MAX_RELATIVE_WIDTH: f32 = 1.3;

/// How much smaller than its box a chromosome may be, in its own widths: boxes leave a margin on each side.
const BOX_MARGIN: f32 = 1.2;

/// Drops components with less than a sixth of the mask: specks and corners of neighbours.
fn drop_specks(mask: &mut [u8], width: usize) {
    let mut components = Components::default();
    components.find_4_connected(mask, width);
    let all: usize = (0..components.len()).map(|i| components.area(i)).sum();
    for speck in (0..components.len()).filter(|&i| 6 * components.area(i) < all) {
        components.fill(speck, mask, width, 0);
    }
}

/// About how wide the chromosome of a crop is, in pixels.
fn width(crop: &Crop) -> Option<f32> {
    let diagonal = (crop.width as f32).hypot(crop.height as f32);
    Some(crop.chromosome_mask()?.area() as f32 / diagonal)
}

/// Dark on [`BACKGROUND`], as segmentation expects it; none for a crop without samples.
fn with_fixed_background(grey: &[u8]) -> Option<Vec<u8>> {
    let mut sorted = grey.to_vec();
    sorted.sort_unstable();
    let background = f32::from(*sorted.get(sorted.len() * 19 / 20)?).max(1.0);
    let tone = |v: &u8| (f32::from(*v) * f32::from(BACKGROUND) / background).min(255.0) as u8;
    Some(grey.iter().map(tone).collect())
}

/// The part of a box inside the crop; none when there is next to none.
fn within((left, top, right, bottom): (f32, f32, f32, f32), width: usize, height: usize) -> Option<Rect> {
    let clip = |v: f32, most: usize| v.round().clamp(0.0, most as f32) as usize;
    let r = Rect {
        left: clip(left, width),
        top: clip(top, height),
        right: clip(right, width),
        bottom: clip(bottom, height),
    };
    (r.right > r.left + 1 && r.bottom > r.top + 1).then_some(r)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arms_of_a_crossing_chromosome_are_cut_off_and_a_line_that_does_not_fill_the_box_cuts_nothing() {
        let (w, h) = (28, 100);
        let at = |mask: &[u8], x: usize, y: usize| mask[y * w + x];
        let mut mask: Vec<u8> = (0..w * h)
            .map(|i| {
                let (x, y) = (i % w, i / w);
                u8::from(((7..21).contains(&x) && (6..94).contains(&y)) || (40..54).contains(&y))
            })
            .collect();
        without_bars(&mut mask, w);
        assert_eq!((at(&mask, 1, 47), at(&mask, 26, 47)), (0, 0), "the arms");
        assert_eq!((at(&mask, 14, 47), at(&mask, 14, 10), at(&mask, 14, 90)), (1, 1, 1), "the chromosome");
        // A bar across a larger box: its line does not lead through the box, so it is another's.
        let bar: Vec<u8> =
            (0..80 * 80).map(|i| u8::from((33..47).contains(&(i / 80)) && (4..76).contains(&(i % 80)))).collect();
        let mut mask = bar.clone();
        without_bars(&mut mask, 80);
        assert_eq!(mask, bar);
    }

    #[test]
    fn a_neighbour_that_reaches_into_the_box_is_cut_off() {
        // A slanted bar that fills its box, and one beside it that reaches into the box's corner.
        let boxes = [
            BoundingBox { x: 0.0, y: 0.0, width: 44.0, height: 90.0 },
            BoundingBox { x: 32.0, y: 4.0, width: 70.0, height: 22.0 },
        ];
        let (w, h) = (44, 90);
        let mut pixels = vec![235_u8; w * h];
        for y in 0..h {
            for x in 0..w {
                let middle = 10.0 + 24.0 * (y as f32 - 5.0) / 80.0;
                let own = (x as f32 - middle).abs() < 6.0 && (5..85).contains(&y);
                let other = x >= 35 && (8..22).contains(&y);
                if own || other {
                    pixels[y * w + x] = 70;
                }
            }
        }
        let crops = [Some(Crop { width: w, height: h, pixels, mask: Vec::new(), bright: false }), None];
        let isolated = isolate(&crops, &boxes);
        let mask = &isolated[0].as_ref().unwrap().mask;
        assert_eq!(mask.len(), w * h, "the neighbour was separated");
        let at = |x: usize, y: usize| mask[y * w + x];
        assert_eq!((at(22, 45), at(11, 8), at(33, 80), at(41, 15)), (1, 1, 1, 0));
        assert!(isolated[1].is_none());
    }
}
