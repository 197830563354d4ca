//! What the outlines of a cell's chromosomes say together: which touch, which cross, and what none of them holds.

use super::pictures;
use domain::{BoundingBox, Cell, Chromosome, Outline, Status, frame::Frame};
use imaging::{Cutout, Lie, Rect, leftover, lies};
use karyotype::measure::{Landmarks, ShortArm};

/// Pixels around a cell's region in which material is looked for that no outline holds, in median box diagonals: a chromosome that was not found may
/// lie at the rim.
const RIM: f32 = 0.5;

/// Enters how the chromosomes lie, by their outlines, and the material that no outline holds. A cell without outlines stays as it is.
pub(super) fn look_around(cell: &mut Cell, frame: &Frame) {
    if cell.chromosomes.iter().all(|c| c.outline.is_none()) {
        return;
    }
    let (width, height) = (frame.pixels.width(), frame.pixels.height());
    let cut = |c: &Chromosome| c.outline.as_ref().and_then(|outline| Cutout::of(&outline.rings, width, height));
    let cutouts: Vec<Option<Cutout>> = cell.chromosomes.iter().map(cut).collect();
    for (chromosome, lie) in cell.chromosomes.iter_mut().zip(lies(&cutouts)) {
        let sure = chromosome.outline.as_ref().is_some_and(Outline::is_sure);
        chromosome.status = match lie {
            Some(Lie::Alone) if sure => Status::Single,
            Some(Lie::Touching) if sure => Status::Touching,
            Some(Lie::Crossing) if sure => Status::Crossing,
            _ => Status::Unclear,
        };
    }
    cell.leftover = field_of(cell, frame).and_then(|(field, left, top)| {
        let own = |(c, cutout): (&Chromosome, Option<Cutout>)| cutout.or_else(|| whole_box(&c.bounds, width, height));
        let moved = |mut cutout: Cutout| {
            let b = cutout.bounds;
            // The field holds all boxes and more; what begins outside of it all the same is no material of it.
            let corner = b.left.checked_sub(left).zip(b.top.checked_sub(top));
            corner.map(|(x, y)| {
                cutout.bounds = Rect { left: x, top: y, right: x + b.width(), bottom: y + b.height() };
                cutout
            })
        };
        let all: Vec<Cutout> = cell.chromosomes.iter().zip(cutouts).filter_map(own).filter_map(moved).collect();
        leftover(&field, &all)
    });
}

/// The picture of the cell's region with a rim, and its corner.
fn field_of(cell: &Cell, frame: &Frame) -> Option<(imaging::Crop, usize, usize)> {
    let boxes = cell.chromosomes.iter().map(|c| &c.bounds);
    let rim = RIM * recognition::median_diagonal(boxes);
    let r = cell.chromosomes.iter().fold(cell.region, |all, c| all.union(&c.bounds));
    let grown = BoundingBox::from_corners(r.x - rim, r.y - rim, r.right() + rim, r.bottom() + rim);
    pictures::window(&frame.pixels, &grown)
}

/// A chromosome without outline holds its whole box.
fn whole_box(bounds: &BoundingBox, width: usize, height: usize) -> Option<Cutout> {
    let b = bounds.clipped(width as f32, height as f32);
    let rect = Rect {
        left: b.x.floor() as usize,
        top: b.y.floor() as usize,
        right: b.right().ceil() as usize,
        bottom: b.bottom().ceil() as usize,
    };
    (rect.width() > 0 && rect.height() > 0).then(|| Cutout::full(rect))
}

/// Where each chromosome's crop begins, and where its short arm points.
pub(super) fn landmarks(cell: &Cell, short_arms: &[Option<ShortArm>]) -> Vec<Landmarks> {
    let mark = |(c, short_arm): (&Chromosome, &Option<ShortArm>)| {
        let [left, top, ..] = c.picture_bounds(cell.captured.size);
        Landmarks { corner: [left, top], short_arm: *short_arm }
    };
    cell.chromosomes.iter().zip(short_arms).map(mark).collect()
}
