//! Where exactly a chromosome lies: its outline, its middle line, its centromeres.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::BoundingBox;

/// A place in the frame `[x, y]` in pixels; the middle of the first pixel is `[0.5, 0.5]`.
pub type Point = [f32; 2];

/// Rounded to a tenth of a pixel, as messages give places.
pub fn to_tenths(v: f32) -> f32 {
    (v * 10.0).round() / 10.0
}

/// Who found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// The network of task `anatomy`.
    Network,
    /// Grey levels and shapes alone.
    Segmentation,
    /// A person.
    Person,
}

/// The outline of one chromosome. Where two cross, both outlines hold the crossing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outline {
    /// Who drew it.
    pub source: FoundBy,
    /// How much of it and of the chromosome they are expected to share (IoU), 0 to 1.
    pub score: f32,
    /// Closed lines of corners `[x, y]` in pixels of the frame, to a tenth. A pixel belongs to the chromosome when its middle lies
    /// inside an odd number of them: the first goes around it, others are its holes.
    pub rings: Vec<Vec<Point>>,
}

/// Expected overlap from which measures rest on an outline without reserve. Frozen on validation cells with the weights 0.1.0: of composed
/// cells' outlines with this score or more 0.99 share 0.8 or more with the truth (`evaluate outlines`).
pub const SURE_OUTLINE: f32 = 0.88;

impl Outline {
    /// Whether measures may rest on it without reserve.
    pub fn is_sure(&self) -> bool {
        self.score >= SURE_OUTLINE
    }

    /// The smallest box around it; none for an outline without corners.
    pub fn bounds(&self) -> Option<BoundingBox> {
        let mut points = self.rings.iter().flatten();
        let first = points.next()?;
        let (mut low, mut high) = (*first, *first);
        for p in points {
            for axis in 0..2 {
                low[axis] = low[axis].min(p[axis]);
                high[axis] = high[axis].max(p[axis]);
            }
        }
        Some(BoundingBox::from_corners(low[0], low[1], high[0], high[1]))
    }

    /// Its area in square pixels, holes taken out.
    pub fn area(&self) -> f32 {
        let mut areas = self.rings.iter().map(|ring| ring_area(ring).abs());
        areas.next().map_or(0.0, |outer| (outer - areas.sum::<f32>()).max(0.0))
    }
}

/// Signed area inside a closed line.
fn ring_area(ring: &[Point]) -> f32 {
    let next = ring.iter().cycle().skip(1);
    ring.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f32>() / 2.0
}

/// Material as dark and as thick as chromosomes that no outline holds: a chromosome that was not found, or dirt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Leftover {
    /// Its share in all dark material of the cell's region, 0 to 1.
    pub share: f32,
    /// The largest connected piece, in areas of the cell's median chromosome.
    pub largest: f32,
}

/// A centromere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Centromere {
    /// Where, `[x, y]` in pixels of the frame.
    pub at: Point,
    /// How sure it is, 0 to 1.
    pub score: f32,
    /// Who found it.
    pub source: FoundBy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_knows_its_box_and_its_area() {
        let square = |a: f32, b: f32| vec![[a, a], [b, a], [b, b], [a, b]];
        let outline =
            Outline { source: FoundBy::Network, score: 0.9, rings: vec![square(2.0, 12.0), square(5.0, 7.0)] };
        assert_eq!(outline.area(), 96.0);
        assert_eq!(outline.bounds(), Some(BoundingBox::from_corners(2.0, 2.0, 12.0, 12.0)));
        assert_eq!(Outline { rings: Vec::new(), ..outline }.bounds(), None);
    }
}
