//! Whether the edge of the frame cuts a cell.
//!
//! Pictures are often cropped tightly round a spread, and nuclei lie on their edges: nearness says little. A chromosome is
//! cut where an object as dark as the cell's chromosomes runs, undiminished, through the outermost rows, is as thin as a
//! chromosome and lies in a box that the detector takes for one. What is left of a chromosome may be too small for that:
//! such a piece asserts nothing, but a loss is then not claimed. Found on validation cells cut at their sides
//! (`metaphased evaluate karyotype DATA --cut`, docs/reference/karyotype.md).

use domain::{BoundingBox, FrameEdge, frame::Pixels};
use imaging::{EdgeStretch, GrayView, ObjectLevels, Outline, Side, edge_stretches};
use recognition::Recognised;

use super::pictures;

/// Width of a chromosome over the diagonal of an ordinary one's box.
const WIDTH_OF_DIAGONAL: f32 = 0.2;
/// A box reaches the frame's edge where it comes this near, in pixels.
const TOUCHES_PX: f32 = 3.0;
/// The outline lies on the edge where it comes this near, in widths of a chromosome.
const OUTLINE_WIDTHS: f32 = 0.12;
/// Share of a chromosome's darkness that a stretch has at least, and its share of what lies four rows further in: the
/// tip of a chromosome that only touches the edge fades.
const LEAST_DARKNESS: (f32, f32) = (0.5, 0.7);
/// The same of a piece that no box holds.
const LEAST_DARKNESS_OF_PIECE: (f32, f32) = (0.9, 0.8);
/// Length of a stretch in widths of a chromosome: shorter ones are dirt, longer ones nuclei.
const LENGTH_WIDTHS: std::ops::RangeInclusive<f32> = 0.3..=8.0;
/// Length of a piece that no box holds: a longer one is more likely a nucleus.
const LENGTH_WIDTHS_OF_PIECE: std::ops::RangeInclusive<f32> = 0.7..=1.9;
/// A chromosome is thin along the edge or across it: the lesser of length and depth, in widths.
const MOST_NARROW: f32 = 1.7;
/// Area of a piece at most, in chromosomes of 4.5 squares of the width.
const MOST_AREA_OF_PIECE: f32 = 2.0;
/// A piece belongs to a spread that comes this near, in widths.
const REACH_WIDTHS: f32 = 3.5;
/// Least score of a box that makes a dark stretch a chromosome.
const LEAST_OBJECTNESS: f32 = 0.3;
/// A stretch longer than this is of a chromosome that lies along the edge, in a box no deeper than this; in widths.
const ALONG_WIDTHS: f32 = 3.0;
/// Share of a stretch that must lie in the box.
const LEAST_IN_BOX: f32 = 0.6;

/// How a spread, the boxes of a cell's chromosomes, lies at the edge of its frame.
pub(super) fn frame_edge(pixels: &Pixels, recognised: &Recognised, spread: &[BoundingBox]) -> FrameEdge {
    let Some(place) = spread.iter().copied().reduce(|a, b| a.union(&b)) else { return FrameEdge::default() };
    let width = WIDTH_OF_DIAGONAL * median_diagonal(spread);
    let frame = [pixels.width() as f32, pixels.height() as f32];
    let near: Vec<Side> =
        Side::ALL.into_iter().filter(|side| side.touches(&place, frame[0], frame[1], REACH_WIDTHS * width)).collect();
    if near.is_empty() {
        return FrameEdge::default();
    }
    let outline = Outline::default().on_edge(spread.iter().copied(), frame[0], frame[1], OUTLINE_WIDTHS * width);
    let margin = 2.0 * REACH_WIDTHS * width;
    let window = BoundingBox::from_corners(
        (place.x - margin).floor(),
        (place.y - margin).floor(),
        (place.right() + margin).ceil(),
        (place.bottom() + margin).ceil(),
    )
    .clipped(frame[0], frame[1]);
    let Some((crop, ..)) = pictures::window(pixels, &window) else {
        return FrameEdge { outline, ..FrameEdge::default() };
    };
    let Ok(view) = GrayView::new(&crop.pixels, crop.width, crop.height) else { return FrameEdge::default() };
    let moved = |b: &BoundingBox| BoundingBox { x: b.x - window.x, y: b.y - window.y, ..*b };
    let spread: Vec<BoundingBox> = spread.iter().map(moved).collect();
    let boxes: Vec<BoundingBox> = recognised
        .candidates
        .iter()
        .take(recognised.considered)
        .filter(|candidate| candidate.objectness >= LEAST_OBJECTNESS)
        .map(|candidate| moved(&candidate.bounds))
        .collect();
    let Some(levels) = ObjectLevels::of(view, &spread) else { return FrameEdge { outline, ..FrameEdge::default() } };
    let stretches = edge_stretches(view, &levels, &near, (6.0 * width) as usize);
    let mut cut: Vec<(Side, usize)> = Vec::new();
    let mut pieces = 0;
    for stretch in &stretches {
        if !is_narrow(stretch, width) {
            continue;
        }
        match box_of(stretch, &boxes, width, view.width(), view.height()) {
            // Bands may part one chromosome's section into several stretches.
            Some(at) if !cut.contains(&(stretch.side, at)) => cut.push((stretch.side, at)),
            Some(_) => {}
            None => pieces += u32::from(is_piece(stretch, &spread, width, view.width(), view.height())),
        }
    }
    FrameEdge { outline, cut: cut.len() as u32, pieces }
}

fn median_diagonal(boxes: &[BoundingBox]) -> f32 {
    let mut diagonals: Vec<f32> = boxes.iter().map(|b| b.width.hypot(b.height)).collect();
    diagonals.sort_unstable_by(f32::total_cmp);
    diagonals.get(diagonals.len() / 2).copied().unwrap_or(0.0)
}

/// As dark as chromosomes where it leaves the picture, and as thin as one.
fn is_narrow(stretch: &EdgeStretch, width: f32) -> bool {
    let (least, of_inner) = LEAST_DARKNESS;
    let length = stretch.length() as f32;
    stretch.outermost >= least
        && stretch.outermost >= of_inner * stretch.inner
        && LENGTH_WIDTHS.contains(&(length / width))
        && length.min(stretch.depth as f32) <= MOST_NARROW * width
}

/// The box at the edge that holds most of the stretch, the first of several.
fn box_of(stretch: &EdgeStretch, boxes: &[BoundingBox], chromosome: f32, width: usize, height: usize) -> Option<usize> {
    let place = stretch.bounds(width, height);
    let long = stretch.length() as f32 > ALONG_WIDTHS * chromosome;
    boxes.iter().position(|b| {
        let reached = match stretch.side {
            Side::Left => BoundingBox::from_corners(0.0, b.y, b.right(), b.bottom()),
            Side::Right => BoundingBox::from_corners(b.x, b.y, width as f32, b.bottom()),
            Side::Top => BoundingBox::from_corners(b.x, 0.0, b.right(), b.bottom()),
            Side::Bottom => BoundingBox::from_corners(b.x, b.y, b.right(), height as f32),
        };
        // A long stretch is a chromosome that lies along the edge; beside one that does not it is a nucleus.
        let deep = if matches!(stretch.side, Side::Left | Side::Right) { b.width } else { b.height };
        stretch.side.touches(b, width as f32, height as f32, TOUCHES_PX)
            && (!long || deep <= ALONG_WIDTHS * chromosome)
            && reached.intersection(&place) >= LEAST_IN_BOX * place.area()
    })
}

/// May be what is left of a chromosome of the spread.
fn is_piece(stretch: &EdgeStretch, spread: &[BoundingBox], width: f32, columns: usize, rows: usize) -> bool {
    let place = stretch.bounds(columns, rows);
    let gap = |b: &BoundingBox| {
        let apart = |low: f32, high: f32, low2: f32, high2: f32| (low - high2).max(low2 - high).max(0.0);
        apart(b.x, b.right(), place.x, place.right()).max(apart(b.y, b.bottom(), place.y, place.bottom()))
    };
    let (least, of_inner) = LEAST_DARKNESS_OF_PIECE;
    stretch.outermost >= least
        && stretch.outermost >= of_inner * stretch.inner
        && LENGTH_WIDTHS_OF_PIECE.contains(&(stretch.length() as f32 / width))
        && stretch.area as f32 <= MOST_AREA_OF_PIECE * 4.5 * width * width
        && spread.iter().any(|b| gap(b) <= REACH_WIDTHS * width)
}
