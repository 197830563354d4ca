//! The same metaphase seen in two overlapping fields counts once.

use domain::{BoundingBox, Cell};

/// Share of boxes that must find their counterpart where the stage says that the fields overlap.
const LIKE_NEAR: f32 = 0.6;
/// The same where nothing is known of the stage.
const LIKE_ANYWHERE: f32 = 0.85;
/// Fewest boxes for which likeness is judged.
const MIN_COMMON_BOXES: usize = 15;

/// For each cell, the one that it repeats and that counts in its place: of the pictures of one metaphase the one that its
/// frame cuts least, of equal ones the first. A cell repeats another of the same slide when their chromosomes lie alike,
/// and the stage, where both know it, stood near enough for the fields to overlap.
pub(super) fn repeats(cells: &[&Cell]) -> Vec<Option<usize>> {
    let mut of: Vec<Option<usize>> = vec![None; cells.len()];
    for later in 1..cells.len() {
        let counted = |at: &usize| of[*at].is_none() && same_metaphase(cells[*at], cells[later]);
        let Some(counts) = (0..later).find(counted) else { continue };
        if cut(cells[later]) < cut(cells[counts]) {
            for place in &mut of[..later] {
                *place = place.map(|of| if of == counts { later } else { of });
            }
            of[counts] = Some(later);
        } else {
            of[later] = Some(counts);
        }
    }
    of
}

/// Chromosomes of a cell that its frame cuts.
fn cut(cell: &Cell) -> u32 {
    cell.frame_edge.map_or(0, |edge| edge.cut)
}

fn same_metaphase(a: &Cell, b: &Cell) -> bool {
    if a.slide != b.slide || a.captured.um_per_px != b.captured.um_per_px {
        return false;
    }
    let wanted = match (a.captured.stage_um, b.captured.stage_um, a.captured.um_per_px) {
        (Some(p), Some(q), Some(um)) => {
            let apart = |d: f64, side: u32| d.abs() > f64::from(side) * um;
            if apart(p.x - q.x, a.captured.size[0]) || apart(p.y - q.y, a.captured.size[1]) {
                return false;
            }
            LIKE_NEAR
        }
        _ => LIKE_ANYWHERE,
    };
    likeness(a, b) >= wanted
}

/// Share of the boxes of the larger cell that have a counterpart in the other, both laid over each other: 0 to 1. Of a
/// cell that its frame cuts only the part that is there can have one. The fields may be shifted, not turned.
fn likeness(a: &Cell, b: &Cell) -> f32 {
    let either_cut = cut(a) + cut(b) > 0;
    let boxes = |cell: &Cell| -> Vec<BoundingBox> { cell.chromosomes.iter().map(|c| c.bounds).collect() };
    let (a, b) = (boxes(a), boxes(b));
    let most = a.len().max(b.len());
    let fewest = a.len().min(b.len());
    if fewest < MIN_COMMON_BOXES || !either_cut && most - fewest > most / 4 {
        return 0.0;
    }
    // The largest boxes are the safest to recognise; each pair of them proposes a shift. Of a cell that is cut some of
    // them may lie outside.
    let looked_at = if either_cut { 12 } else { 4 };
    let largest = |boxes: &[BoundingBox]| -> Vec<BoundingBox> {
        let mut sorted = boxes.to_vec();
        sorted.sort_by(|p, q| q.area().total_cmp(&p.area()));
        sorted.truncate(looked_at);
        sorted
    };
    let centre = |r: &BoundingBox| (r.x + r.width / 2.0, r.y + r.height / 2.0);
    let mut best = 0;
    for p in largest(&a) {
        for q in largest(&b) {
            let (pc, qc) = (centre(&p), centre(&q));
            let (dx, dy) = (pc.0 - qc.0, pc.1 - qc.1);
            if p.iou(&BoundingBox { x: q.x + dx, y: q.y + dy, ..q }) < 0.7 {
                continue;
            }
            let alike = |r: &&BoundingBox| {
                let moved = BoundingBox { x: r.x + dx, y: r.y + dy, ..**r };
                a.iter().any(|other| other.iou(&moved) >= 0.6)
            };
            best = best.max(b.iter().filter(alike).count());
        }
    }
    best as f32 / if either_cut { fewest } else { most } as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{FrameEdge, StagePosition};
    use testing::karyotyped_cell;

    /// Boxes strewn by a small linear congruence, so that no two cells look alike.
    fn strewn(mut seed: u32, shift: (f32, f32)) -> Cell {
        let mut cell = karyotyped_cell(&[]);
        for c in &mut cell.chromosomes {
            let mut next = |range: u32| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((seed >> 8) % range) as f32
            };
            c.bounds = BoundingBox {
                x: next(600) + shift.0,
                y: next(600) + shift.1,
                width: 10.0 + next(40),
                height: 10.0 + next(60),
            };
        }
        cell
    }

    fn at(mut cell: Cell, x: f64) -> Cell {
        cell.captured.um_per_px = Some(0.1);
        cell.captured.stage_um = Some(StagePosition { x, y: 0.0, z: 0.0 });
        cell
    }

    #[test]
    fn a_metaphase_in_two_overlapping_fields_is_one() {
        let (a, b) = (at(strewn(1, (0.0, 0.0)), 0.0), at(strewn(1, (300.0, 10.0)), 30.0));
        assert_eq!(repeats(&[&a, &b]), [None, Some(0)]);
    }

    #[test]
    fn the_field_that_holds_the_whole_cell_takes_its_place() {
        let whole = at(strewn(1, (300.0, 10.0)), 30.0);
        let mut half = at(strewn(1, (0.0, 0.0)), 0.0);
        half.chromosomes.retain(|c| c.bounds.x + c.bounds.width / 2.0 < 400.0);
        half.frame_edge = Some(FrameEdge { outline: 0.3, cut: 4, pieces: 0 });
        let left = half.chromosomes.len();
        assert!((20..40).contains(&left), "{left}");
        let mut less = half.clone();
        less.frame_edge = Some(FrameEdge { outline: 0.3, cut: 2, pieces: 0 });
        assert_eq!(repeats(&[&half, &whole]), [Some(1), None]);
        assert_eq!(repeats(&[&whole, &half]), [None, Some(0)]);
        assert_eq!(repeats(&[&half, &less, &whole]), [Some(2), Some(2), None]);
        let other = at(strewn(2, (300.0, 10.0)), 30.0);
        assert_eq!(repeats(&[&half, &other]), [None, None]);
    }

    #[test]
    fn other_metaphases_and_far_fields_are_not() {
        let (a, b) = (strewn(1, (0.0, 0.0)), strewn(2, (0.0, 0.0)));
        assert_eq!(repeats(&[&a, &b]), [None, None]);
        let (a, far) = (at(strewn(1, (0.0, 0.0)), 0.0), at(strewn(1, (0.0, 0.0)), 5000.0));
        assert_eq!(repeats(&[&a, &far]), [None, None]);
        let mut other_slide = at(strewn(1, (0.0, 0.0)), 0.0);
        other_slide.slide = Some("2".into());
        assert_eq!(repeats(&[&a, &other_slide]), [None, None]);
    }
}
