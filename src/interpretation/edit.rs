//! What a person redraws on a cell: chromosomes parted, joined, outlined and added, and measured again. Pure.
//!
//! Length, middle line, centromere index and way up of what was redrawn are measured again on the kept picture. Class scores
//! are entered by whoever has the networks; without them the record says that they were not measured again.

use super::{outlines, pictures};
use domain::{
    BoundingBox, Cell, Chromosome, Damage, FoundBy, Outline, Point, ScoredClass, Status, frame::Pixels, to_tenths,
};
use imaging::{Contours, Cutout, Rect, simplified};
use karyotype::measure;

/// Least area of a chromosome in pixels.
const LEAST_AREA: usize = 12;
/// Corners of an outline at most.
const MOST_CORNERS: usize = 2000;
/// How far a corner may lie from the drawn edge, in pixels.
const TOLERANCE: f32 = 0.4;
/// Parts that lie further apart than this many pixels are not joined.
const WIDEST_GAP: usize = 24;
/// Evidence of what a person drew.
const DRAWN: &str = "as a person drew it; its class scores were not measured again";

/// What cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No picture of the cell was kept.
    #[error(
        "no picture of the cell was kept: it cannot be measured again (store.keep_images = \"all\" keeps those to come)"
    )]
    NoPicture,
    /// There is no such chromosome.
    #[error("the cell has no chromosome {0}")]
    NoChromosome(u32),
    /// A line or outline makes no sense.
    #[error("invalid {what}: expected {expected}")]
    Drawing {
        /// `line`, `outline` or `indices`.
        what: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// A part has hardly any pixel.
    #[error("the line does not part chromosome {0}: on one side of it nothing is left")]
    NotParted(u32),
    /// The parts lie apart.
    #[error("the parts lie more than {WIDEST_GAP} pixels apart: they are not one chromosome")]
    Apart,
}

/// Parts a chromosome along a line of two or more places in the frame, which is thought to go on beyond its ends. The part
/// left of it (seen along the line) keeps the index, the other one gets the next free. Neither has a class.
///
/// # Errors
/// When the line leaves a part empty.
pub fn split(cell: &mut Cell, pixels: &Pixels, index: u32, line: &[Point]) -> Result<[u32; 2], EditError> {
    if line.len() < 2 || line.len() > MOST_CORNERS || !line.iter().flatten().all(|v| v.is_finite()) {
        return Err(EditError::Drawing { what: "line", expected: "two or more places [x, y] in the frame" });
    }
    let at = position(cell, index)?;
    let whole = cutout(&cell.chromosomes[at], pixels).ok_or(EditError::NotParted(index))?;
    let part = |left: bool| {
        let mut part = whole.clone();
        let (bounds, width) = (part.bounds, part.bounds.width());
        for (i, pixel) in part.mask.iter_mut().enumerate() {
            let place = [(bounds.left + i % width) as f32 + 0.5, (bounds.top + i / width) as f32 + 0.5];
            *pixel &= u8::from(is_left(line, place) == left);
        }
        outlined(&part).ok_or(EditError::NotParted(index))
    };
    let (first, second) = (part(true)?, part(false)?);
    let other = next_index(cell);
    let old = Chromosome { damage: Damage::None, ..cell.chromosomes[at].clone() };
    cell.chromosomes[at] = redrawn(&old, index, first, None);
    cell.chromosomes.push(redrawn(&old, other, second, None));
    Ok([index, other])
}

/// Joins chromosomes to one: it takes the index and the class of the largest; a gap between them is bridged.
///
/// # Errors
/// When they lie too far apart.
pub fn join(cell: &mut Cell, pixels: &Pixels, indices: &[u32]) -> Result<u32, EditError> {
    let mut places = indices.iter().map(|index| position(cell, *index)).collect::<Result<Vec<_>, _>>()?;
    places.sort_unstable();
    places.dedup();
    if places.len() < 2 {
        return Err(EditError::Drawing { what: "indices", expected: "two or more chromosomes" });
    }
    let parts: Vec<Cutout> = places.iter().filter_map(|at| cutout(&cell.chromosomes[*at], pixels)).collect();
    let outline = bridged(&parts, pixels).ok_or(EditError::Apart)?;
    let areas = places.iter().map(|at| (*at, cutout(&cell.chromosomes[*at], pixels).map_or(0, |part| part.area())));
    let largest = areas.max_by_key(|(_, area)| *area).map_or(places[0], |(at, _)| at);
    let old = cell.chromosomes[largest].clone();
    cell.chromosomes[largest] = redrawn(&old, old.index, outline, old.class);
    let kept = old.index;
    let gone: Vec<u32> = places.iter().map(|at| cell.chromosomes[*at].index).filter(|index| *index != kept).collect();
    cell.chromosomes.retain(|c| !gone.contains(&c.index));
    Ok(kept)
}

/// Draws the outline of a chromosome again, or adds one where `index` is none.
///
/// # Errors
/// When the outline encloses hardly anything or leaves the frame.
pub fn outline(cell: &mut Cell, pixels: &Pixels, index: Option<u32>, rings: &[Vec<Point>]) -> Result<u32, EditError> {
    let [width, height] = [pixels.width(), pixels.height()];
    let wrong = EditError::Drawing {
        what: "outline",
        expected: "closed lines of three or more places [x, y] in the frame that enclose 12 pixels or more",
    };
    let inside = |p: &Point| (0.0..=width as f32).contains(&p[0]) && (0.0..=height as f32).contains(&p[1]);
    let corners: usize = rings.iter().map(Vec::len).sum();
    if rings.is_empty() || corners > MOST_CORNERS || rings.iter().any(|ring| ring.len() < 3 || !ring.iter().all(inside))
    {
        return Err(wrong);
    }
    let drawn = Cutout::of(rings, width, height).filter(|cutout| cutout.area() >= LEAST_AREA).ok_or(wrong.clone())?;
    let outline = outlined(&drawn).ok_or(wrong)?;
    match index {
        Some(index) => {
            let at = position(cell, index)?;
            let old = cell.chromosomes[at].clone();
            cell.chromosomes[at] = redrawn(&old, index, outline, old.class);
            Ok(index)
        }
        None => {
            let index = next_index(cell);
            let model = Chromosome::at(index, BoundingBox::from_corners(0.0, 0.0, 0.0, 0.0), 1.0);
            cell.chromosomes.push(redrawn(&model, index, outline, None));
            Ok(index)
        }
    }
}

/// Measures these chromosomes again: length, middle line, centromere index, way up. The others stay as they are.
pub fn measure_again(cell: &mut Cell, pixels: &Pixels, changed: &[u32]) {
    let shapes = measure::profiles(&pictures::crops(pixels, cell));
    let mut measured = cell.clone();
    let marks = outlines::landmarks(&measured, &vec![None; measured.chromosomes.len()]);
    measure::orient(&mut measured, &shapes, &marks);
    for (chromosome, new) in cell.chromosomes.iter_mut().zip(measured.chromosomes) {
        if changed.contains(&chromosome.index) {
            *chromosome = Chromosome { stance: chromosome.stance, ..new };
        }
    }
}

/// Enters what the classifier `model` says of a redrawn chromosome: `classes` has the probability of each class.
pub fn enter_scores(cell: &mut Cell, index: u32, classes: &[f32], alternatives: Vec<ScoredClass>, model: &str) {
    let Some(chromosome) = cell.chromosomes.iter_mut().find(|c| c.index == index) else { return };
    if let Some(score) = chromosome.class.and_then(|class| classes.get(class.index())) {
        chromosome.score = *score;
    }
    chromosome.alternatives = alternatives;
    chromosome.evidence = Some(format!("as a person drew it; class scores by {model}").into());
}

/// Whether a person drew the chromosome, and nobody has said yet which it is or that it is none.
pub fn awaits_class(chromosome: &Chromosome) -> bool {
    let drawn = chromosome.outline.as_ref().is_some_and(|outline| outline.source == FoundBy::Person);
    drawn && chromosome.class.is_none() && chromosome.objectness > 0.5
}

/// Whether a person drew the chromosome and its way up is still to be measured, now that it has a class.
pub fn is_unmeasured(chromosome: &Chromosome) -> bool {
    let drawn = chromosome.outline.as_ref().is_some_and(|outline| outline.source == FoundBy::Person);
    drawn && chromosome.class.is_some() && chromosome.upright_angle.is_none()
}

fn position(cell: &Cell, index: u32) -> Result<usize, EditError> {
    cell.chromosomes.iter().position(|c| c.index == index).ok_or(EditError::NoChromosome(index))
}

/// An index that no chromosome of the cell has.
fn next_index(cell: &Cell) -> u32 {
    cell.chromosomes.iter().map(|c| c.index + 1).max().unwrap_or(0)
}

/// A chromosome with another outline: what was measured on the one before goes.
fn redrawn(old: &Chromosome, index: u32, outline: Outline, class: Option<domain::ChromosomeClass>) -> Chromosome {
    let bounds = outline.bounds().unwrap_or(old.bounds);
    let score = if class.is_some() { old.score } else { 1.0 };
    Chromosome {
        class,
        score,
        status: Status::Single,
        damage: old.damage,
        evidence: Some(DRAWN.into()),
        outline: Some(outline),
        ..Chromosome::at(index, bounds, 1.0)
    }
}

/// The pixels of a chromosome: those in its outline, else the object in its box.
fn cutout(chromosome: &Chromosome, pixels: &Pixels) -> Option<Cutout> {
    let (width, height) = (pixels.width(), pixels.height());
    if let Some(outline) = &chromosome.outline {
        return Cutout::of(&outline.rings, width, height);
    }
    let mask = pictures::crop(pixels, chromosome)?.chromosome_mask()?;
    let [left, top, ..] = chromosome.picture_bounds([width as u32, height as u32]).map(|v| v as usize);
    let bounds = Rect { left, top, right: left + mask.width, bottom: top + mask.height };
    Some(Cutout { bounds, mask: mask.mask })
}

/// The outline of the largest piece of some pixels; none where it is no chromosome's.
fn outlined(cutout: &Cutout) -> Option<Outline> {
    let map: Vec<f32> = cutout.mask.iter().map(|m| f32::from(*m) - 0.5).collect();
    let (left, top) = (cutout.bounds.left as f32, cutout.bounds.top as f32);
    let mut rings = Vec::new();
    let area = Contours::default().trace(&map, cutout.bounds.width(), |ring| {
        let moved: Vec<Point> = ring.iter().map(|p| [to_tenths(p[0] + left), to_tenths(p[1] + top)]).collect();
        rings.push(closed(&moved));
    });
    rings.retain(|ring| ring.len() >= 3);
    (area >= LEAST_AREA && !rings.is_empty()).then_some(Outline { source: FoundBy::Person, score: 1.0, rings })
}

/// A closed line without corners that it does not need.
fn closed(ring: &[Point]) -> Vec<Point> {
    let Some(first) = ring.first() else { return Vec::new() };
    // A closed line has no ends to simplify between: it is opened at its first corner and at the one furthest from that.
    let off = |p: &Point| (p[0] - first[0]).hypot(p[1] - first[1]);
    let far = (0..ring.len()).max_by(|a, b| off(&ring[*a]).total_cmp(&off(&ring[*b]))).unwrap_or(0);
    let mut back: Vec<Point> = ring[far..].to_vec();
    back.push(*first);
    let mut line = simplified(&ring[..=far], TOLERANCE);
    line.extend(simplified(&back, TOLERANCE).into_iter().skip(1));
    line.pop();
    line
}

/// One outline around parts that lie apart by at most [`WIDEST_GAP`]: their pixels grow until they meet, and shrink again.
fn bridged(parts: &[Cutout], pixels: &Pixels) -> Option<Outline> {
    if !are_near(parts) {
        return None;
    }
    let first = parts.first()?.bounds;
    let all = parts.iter().map(|part| part.bounds).fold(first, |a, b| Rect {
        left: a.left.min(b.left),
        top: a.top.min(b.top),
        right: a.right.max(b.right),
        bottom: a.bottom.max(b.bottom),
    });
    let bounds = Rect {
        left: all.left.saturating_sub(WIDEST_GAP),
        top: all.top.saturating_sub(WIDEST_GAP),
        right: (all.right + WIDEST_GAP).min(pixels.width()),
        bottom: (all.bottom + WIDEST_GAP).min(pixels.height()),
    };
    let width = bounds.width();
    let mut mask = vec![0_u8; bounds.area()];
    for (x, y) in parts.iter().flat_map(Cutout::inside) {
        mask[(y - bounds.top) * width + x - bounds.left] = 1;
    }
    let mut grown = mask.clone();
    for steps in 0..=WIDEST_GAP / 2 {
        if is_one(&grown, width) {
            let mut shrunk = grown.clone();
            (0..steps).for_each(|_| shrunk = spread(&shrunk, width, 0));
            // What was there stays, whatever shrinking took at the rim.
            shrunk.iter_mut().zip(&mask).for_each(|(pixel, own)| *pixel |= *own);
            if is_one(&shrunk, width) {
                return outlined(&Cutout { bounds, mask: shrunk });
            }
        }
        grown = spread(&grown, width, 1);
    }
    None
}

/// Whether each part is reached from the first over gaps between boxes of at most [`WIDEST_GAP`].
fn are_near(parts: &[Cutout]) -> bool {
    let gap = |a: &Rect, b: &Rect| {
        let apart = |low: usize, high: usize, low2: usize, high2: usize| {
            low.saturating_sub(high2).max(low2.saturating_sub(high))
        };
        apart(a.left, a.right, b.left, b.right).max(apart(a.top, a.bottom, b.top, b.bottom))
    };
    let mut reached = vec![0];
    let mut at = 0;
    while at < reached.len() && reached[at] < parts.len() {
        let from = &parts[reached[at]].bounds;
        let next: Vec<usize> =
            (0..parts.len()).filter(|i| !reached.contains(i) && gap(from, &parts[*i].bounds) <= WIDEST_GAP).collect();
        reached.extend(next);
        at += 1;
    }
    !parts.is_empty() && reached.len() == parts.len()
}

/// Whether all pixels of a mask hang together.
fn is_one(mask: &[u8], width: usize) -> bool {
    let map: Vec<f32> = mask.iter().map(|m| f32::from(*m) - 0.5).collect();
    let all = mask.iter().filter(|m| **m != 0).count();
    all > 0 && Contours::default().trace(&map, width, |_| {}) == all
}

/// The mask with every pixel that has a neighbour of `value` set to it.
fn spread(mask: &[u8], width: usize, value: u8) -> Vec<u8> {
    let height = mask.len() / width.max(1);
    let mut out = mask.to_vec();
    for (i, pixel) in out.iter_mut().enumerate() {
        let (x, y) = (i % width, i / width);
        let rows = y.saturating_sub(1)..(y + 2).min(height);
        let columns = x.saturating_sub(1)..(x + 2).min(width);
        if rows.flat_map(|y| columns.clone().map(move |x| y * width + x)).any(|n| mask[n] == value) {
            *pixel = value;
        }
    }
    out
}

/// Whether a place lies left of a line, seen along it (y runs down).
fn is_left(line: &[Point], place: Point) -> bool {
    let beside = |pair: &[Point]| {
        let ([ax, ay], [bx, by]) = (pair[0], pair[1]);
        let (dx, dy) = (bx - ax, by - ay);
        let along = ((place[0] - ax) * dx + (place[1] - ay) * dy) / (dx * dx + dy * dy).max(1e-6);
        let nearest = along.clamp(0.0, 1.0);
        let off = (place[0] - ax - nearest * dx).hypot(place[1] - ay - nearest * dy);
        (off, dx * (place[1] - ay) - dy * (place[0] - ax))
    };
    line.windows(2).map(beside).min_by(|a, b| a.0.total_cmp(&b.0)).is_some_and(|(_, side)| side < 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::frame::{PixelBuffer, PixelFormat};
    use testing::sample_cell;

    const SIDE: usize = 400;

    /// A frame with two dark bars, one over the other, 4 pixels apart, and a cell with a box over both.
    fn two_bars() -> (Cell, Pixels) {
        let mut grey = vec![230_u8; SIDE * SIDE];
        for y in 100..200 {
            for x in 150..164 {
                if !(148..152).contains(&y) {
                    grey[y * SIDE + x] = 60;
                }
            }
        }
        let pixels = Pixels::new(PixelBuffer::from_bytes(&grey), PixelFormat::Mono8, SIDE, SIDE, 8).expect("a frame");
        let mut cell = sample_cell(1, Some("7"), domain::Verdict::NotAssessable);
        cell.captured.size = [SIDE as u32; 2];
        cell.chromosomes[0].bounds = BoundingBox { x: 145.0, y: 95.0, width: 24.0, height: 110.0 };
        (cell, pixels)
    }

    fn bar(from: f32, to: f32) -> Vec<Vec<Point>> {
        vec![vec![[150.0, from], [164.0, from], [164.0, to], [150.0, to]]]
    }

    #[test]
    fn an_outline_is_drawn_parted_and_joined_again() {
        let (mut cell, pixels) = two_bars();
        let n = cell.chromosomes.len();
        assert_eq!(outline(&mut cell, &pixels, Some(0), &bar(100.0, 200.0)), Ok(0));
        let drawn = cell.chromosomes[0].outline.clone().expect("an outline");
        assert!((drawn.area() - 1400.0).abs() < 30.0 && drawn.source == FoundBy::Person, "{drawn:?}");

        let [first, second] = split(&mut cell, &pixels, 0, &[[140.0, 150.0], [170.0, 150.0]]).expect("it is parted");
        assert_eq!((first, cell.chromosomes.len()), (0, n + 1));
        let of =
            |cell: &Cell, index: u32| cell.chromosomes.iter().find(|c| c.index == index).expect("it is there").clone();
        let (upper, lower) = (of(&cell, first), of(&cell, second));
        assert!(upper.bounds.bottom() < 151.0 && lower.bounds.y > 149.0, "{:?} {:?}", upper.bounds, lower.bounds);
        assert_eq!((upper.class, lower.class), (None, None));
        measure_again(&mut cell, &pixels, &[first, second]);
        let share = of(&cell, first).relative_length.expect("it was measured")
            / of(&cell, second).relative_length.expect("it was measured");
        assert!((0.9..1.1).contains(&share), "{share}");
        assert!(of(&cell, first).axis.len() >= 2);

        let whole = join(&mut cell, &pixels, &[first, second]).expect("they meet");
        assert_eq!(cell.chromosomes.len(), n);
        let area = of(&cell, whole).outline.expect("an outline").area();
        assert!((area - 1400.0).abs() < 40.0, "{area}");
    }

    #[test]
    fn a_gap_is_bridged_and_what_lies_apart_is_not_joined() {
        let (mut cell, pixels) = two_bars();
        let upper = outline(&mut cell, &pixels, None, &bar(100.0, 146.0)).expect("an outline");
        let lower = outline(&mut cell, &pixels, None, &bar(154.0, 200.0)).expect("an outline");
        let far =
            outline(&mut cell, &pixels, None, &[vec![[20.0, 20.0], [34.0, 20.0], [34.0, 60.0]]]).expect("an outline");
        assert_eq!(join(&mut cell.clone(), &pixels, &[upper, far]), Err(EditError::Apart));
        let whole = join(&mut cell, &pixels, &[lower, upper]).expect("a narrow gap");
        let joined = cell.chromosomes.iter().find(|c| c.index == whole).expect("it is there");
        assert!(joined.bounds.y < 101.0 && joined.bounds.bottom() > 199.0, "{:?}", joined.bounds);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let (mut cell, pixels) = two_bars();
        let before = cell.clone();
        let outside = vec![vec![[-5.0, 0.0], [10.0, 0.0], [10.0, 10.0]]];
        assert!(outline(&mut cell, &pixels, Some(0), &outside).is_err());
        assert!(outline(&mut cell, &pixels, Some(0), &[vec![[0.0, 0.0], [2.0, 0.0], [2.0, 2.0]]]).is_err());
        assert_eq!(split(&mut cell, &pixels, 0, &[[1.0, 1.0], [2.0, 1.0]]), Err(EditError::NotParted(0)));
        assert_eq!(split(&mut cell, &pixels, 999, &[[1.0, 1.0], [2.0, 1.0]]), Err(EditError::NoChromosome(999)));
        assert!(split(&mut cell, &pixels, 0, &[[1.0, 1.0]]).is_err());
        assert!(join(&mut cell, &pixels, &[0, 0]).is_err());
        assert_eq!(cell, before);
    }

    #[test]
    fn without_an_outline_the_object_in_the_box_is_parted() {
        let (mut cell, pixels) = two_bars();
        cell.chromosomes[0].bounds = BoundingBox { x: 145.0, y: 95.0, width: 24.0, height: 52.0 };
        let [_, second] = split(&mut cell, &pixels, 0, &[[140.0, 124.0], [170.0, 124.0]]).expect("it is parted");
        assert!(cell.chromosomes.iter().any(|c| c.index == second && c.bounds.y > 122.0));
    }
}
