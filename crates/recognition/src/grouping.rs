//! Which cell a detection belongs to, and which regions make up one cell.
//!
//! Cells are grouped twice, on different evidence. Triage ([`spreads`](super::spreads)) groups dark objects before any
//! network has run: a frame without a cell ends there, and the detector needs the region and the thickness of its
//! chromosomes. It cannot count. Here, after detection, the number of chromosomes is known: regions that make up one cell
//! only together become one. Both the detector's path and segmentation alone use this module.

use domain::BoundingBox;

use super::{Detection, Region};

/// A region with a margin for chromosomes that triage left out.
pub(super) fn with_margin(bounds: &BoundingBox, width: f32, height: f32) -> BoundingBox {
    let margin = 40.0 + 0.15 * bounds.width.max(bounds.height);
    BoundingBox::from_corners(bounds.x - margin, bounds.y - margin, bounds.right() + margin, bounds.bottom() + margin)
        .clipped(width, height)
}

/// Chromosomes from which on a cell is complete, or nearly so: no other region is a part of it.
const COMPLETE_CELL: usize = 45;
/// Chromosomes that the parts of one cell have together: with fewer they stay incomplete and may as well be two cells; a few
/// more than a normal cell's, for boxes that are none.
const CHROMOSOMES_OF_ONE_CELL: std::ops::RangeInclusive<usize> = 35..=48;

/// A region that comes this near to the frame's border, in pixels, runs out of the frame.
const BORDER_PX: f32 = 3.0;

/// The detections of each cell, best first, with the cell's region. A detection that belongs to no region is dropped.
pub(super) fn group_into_cells(
    detections: Vec<Detection>,
    regions: &[Region],
    width: f32,
    height: f32,
) -> Vec<(Region, Vec<Detection>)> {
    let mut parts: Vec<(Region, Vec<Detection>)> = regions.iter().map(|region| (region.clone(), Vec::new())).collect();
    for detection in detections {
        if let Some(owner) = region_of(&detection.bounds, regions, width, height) {
            parts[owner].1.push(detection);
        }
    }
    join_parts(parts, width, height)
}

/// Regions with their detections, best first, where neighbours that make up one cell only together are one: triage splits a
/// spread whose chromosomes lie far from each other.
fn join_parts(mut parts: Vec<(Region, Vec<Detection>)>, width: f32, height: f32) -> Vec<(Region, Vec<Detection>)> {
    let count = |part: &(Region, Vec<Detection>)| part.1.iter().filter(|d| d.accepted).count();
    let near = |a: &Region, b: &Region| {
        with_margin(&a.bounds, width, height).intersection(&with_margin(&b.bounds, width, height)) > 0.0
    };
    // Two that both run out of the frame may be parts of two cells; joined, they would look like a whole one.
    let cut = |part: &(Region, Vec<Detection>)| {
        let b = &part.0.bounds;
        b.x <= BORDER_PX || b.y <= BORDER_PX || b.right() >= width - BORDER_PX || b.bottom() >= height - BORDER_PX
    };
    let one_cell = |a: &(Region, Vec<Detection>), b: &(Region, Vec<Detection>)| {
        let (m, n) = (count(a), count(b));
        m.min(n) > 0
            && m.max(n) < COMPLETE_CELL
            && CHROMOSOMES_OF_ONE_CELL.contains(&(m + n))
            && near(&a.0, &b.0)
            && !(cut(a) && cut(b))
    };
    let pair = |parts: &[(Region, Vec<Detection>)]| {
        let pairs = (0..parts.len()).flat_map(|i| (i + 1..parts.len()).map(move |j| (i, j)));
        pairs.into_iter().find(|(i, j)| one_cell(&parts[*i], &parts[*j]))
    };
    while let Some((i, j)) = pair(&parts) {
        let larger = if count(&parts[j]) > count(&parts[i]) { j } else { i };
        let (quality, thickness_px) = (parts[larger].0.quality, parts[larger].0.thickness_px);
        let (other, more) = parts.remove(j);
        let (region, group) = &mut parts[i];
        let (bounds, edge) = (region.bounds.union(&other.bounds), region.edge.joined(&other.edge));
        *region = Region { bounds, quality, thickness_px, edge };
        group.extend(more);
        group.sort_by(|a, b| b.score.total_cmp(&a.score));
    }
    parts
}

/// The region that a chromosome belongs to: the one whose with_margin bounds hold its middle, the nearest if several do.
pub(super) fn region_of(bounds: &BoundingBox, regions: &[Region], width: f32, height: f32) -> Option<usize> {
    let (x, y) = (bounds.x + bounds.width / 2.0, bounds.y + bounds.height / 2.0);
    let distance = |region: &BoundingBox| {
        let dx = (region.x - x).max(x - region.right()).max(0.0);
        let dy = (region.y - y).max(y - region.bottom()).max(0.0);
        // Inside several: the nearest middle decides.
        let (cx, cy) = (region.x + region.width / 2.0, region.y + region.height / 2.0);
        (dx.hypot(dy), (cx - x).hypot(cy - y))
    };
    regions
        .iter()
        .enumerate()
        .filter(|(_, region)| {
            let wide = with_margin(&region.bounds, width, height);
            (wide.x..=wide.right()).contains(&x) && (wide.y..=wide.bottom()).contains(&y)
        })
        .min_by(|(_, a), (_, b)| {
            let (a, b) = (distance(&a.bounds), distance(&b.bounds));
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
        })
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_one_cell_are_joined_and_two_cells_are_not() {
        let part = |left: f32, right: f32, chromosomes: usize| {
            let bounds = BoundingBox::from_corners(left + 10.0, 10.0, right, 490.0);
            let quality = domain::Quality { focus: chromosomes as f32, ..Default::default() };
            let detection =
                |k: usize| Detection { bounds, score: 0.95 - 0.01 * k as f32, classes: None, accepted: true };
            (Region { quality, bounds, ..Region::whole(1, 1) }, (0..chromosomes).map(detection).collect::<Vec<_>>())
        };
        let cells = |parts: &[(Region, Vec<Detection>)]| join_parts(parts.to_vec(), 2000.0, 500.0);
        let counts = |parts: &[(Region, Vec<Detection>)]| cells(parts).iter().map(|c| c.1.len()).collect::<Vec<_>>();
        assert_eq!(counts(&[part(0.0, 500.0, 29), part(450.0, 800.0, 17)]), [46]);
        assert_eq!(counts(&[part(0.0, 500.0, 20), part(450.0, 800.0, 17), part(810.0, 900.0, 8)]), [45]);
        for two in [(46, 46), (46, 2), (20, 10), (30, 25), (40, 0)] {
            assert_eq!(counts(&[part(0.0, 500.0, two.0), part(450.0, 800.0, two.1)]), [two.0, two.1]);
        }
        assert_eq!(counts(&[part(0.0, 400.0, 29), part(1500.0, 1900.0, 17)]), [29, 17], "far from each other");
        assert_eq!(counts(&[part(-10.0, 500.0, 29), part(450.0, 800.0, 17)]), [46], "one runs out of the frame");
        assert_eq!(counts(&[part(-10.0, 900.0, 29), part(850.0, 2000.0, 17)]), [29, 17], "both run out of the frame");
        let one = &cells(&[part(0.0, 500.0, 17), part(450.0, 800.0, 29)])[0];
        assert_eq!((one.0.bounds.right(), one.0.quality.focus), (800.0, 29.0), "the larger part's quality");
        assert!(one.1.is_sorted_by(|a, b| a.score >= b.score));
    }
}
