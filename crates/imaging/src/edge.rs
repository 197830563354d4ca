//! What lies on the edge of a picture: dark stretches of its outermost rows, and how much of an outline.

use domain::BoundingBox;

use super::{Components, plane::GrayView};

/// A side of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Column 0.
    Left,
    /// The last column.
    Right,
    /// Row 0.
    Top,
    /// The last row.
    Bottom,
}

impl Side {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Left, Self::Right, Self::Top, Self::Bottom];

    /// Whether a box comes within `tolerance` pixels of this side of a picture.
    pub fn touches(self, bounds: &BoundingBox, width: f32, height: f32, tolerance: f32) -> bool {
        match self {
            Self::Left => bounds.x <= tolerance,
            Self::Right => bounds.right() >= width - tolerance,
            Self::Top => bounds.y <= tolerance,
            Self::Bottom => bounds.bottom() >= height - tolerance,
        }
    }
}

/// What is background and what is an object, in grey levels of a picture of either polarity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObjectLevels {
    /// Level of the background.
    background: f32,
    /// How far a typical object's pixel lies below it (above it: negative).
    contrast: f32,
}

/// Share of the darkest pixels' contrast below which a pixel in a box is background.
const LEAST_CONTRAST: f32 = 0.25;

impl ObjectLevels {
    /// As the objects in `boxes` show them. None without boxes, or where these do not differ from the rest.
    pub fn of(view: GrayView<'_>, boxes: &[BoundingBox]) -> Option<Self> {
        let mut inside = vec![false; view.width() * view.height()];
        for bounds in boxes {
            let clipped = bounds.clipped(view.width() as f32, view.height() as f32);
            let columns = clipped.x as usize..clipped.right() as usize;
            for y in clipped.y as usize..clipped.bottom() as usize {
                inside[y * view.width()..][columns.clone()].fill(true);
            }
        }
        let (mut within, mut without) = ([0_u32; 256], [0_u32; 256]);
        for (v, inside) in view.data().iter().zip(&inside) {
            (if *inside { &mut within } else { &mut without })[usize::from(*v)] += 1;
        }
        let all: [u32; 256] = std::array::from_fn(|v| within[v] + without[v]);
        let bright_field = percentile(&within, 0.5)? <= percentile(&without, 0.5).unwrap_or(255.0);
        let background = percentile(&all, if bright_field { 0.9 } else { 0.1 })?;
        let mut contrasts = [0_u32; 256];
        for (v, n) in within.iter().enumerate() {
            let contrast = if bright_field { background - v as f32 } else { v as f32 - background };
            contrasts[contrast.clamp(0.0, 255.0) as usize] += n;
        }
        let least = LEAST_CONTRAST * percentile(&contrasts, 0.95)?;
        contrasts.iter_mut().enumerate().for_each(|(c, n)| *n *= u32::from(c as f32 > least));
        let contrast = percentile(&contrasts, 0.5).filter(|contrast| *contrast >= 1.0)?;
        Some(Self { background, contrast: if bright_field { contrast } else { -contrast } })
    }

    /// How much of an object a grey level is: 0 background, 1 a typical object.
    fn share(&self, level: u8) -> f32 {
        (self.background - f32::from(level)) / self.contrast
    }
}

fn percentile(counts: &[u32; 256], share: f64) -> Option<f32> {
    let total: u64 = counts.iter().map(|n| u64::from(*n)).sum();
    let wanted = (share * total as f64).ceil().max(1.0) as u64;
    let mut seen = 0;
    counts
        .iter()
        .position(|n| {
            seen += u64::from(*n);
            seen >= wanted && total > 0
        })
        .map(|level| level as f32)
}

/// A stretch of an object on the outermost rows of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EdgeStretch {
    /// On which side.
    pub side: Side,
    /// First pixel along the side.
    pub from: usize,
    /// Pixel after the last.
    pub to: usize,
    /// How deep the object reaches into the picture from here: the median over the stretch, at most the depth looked at.
    pub depth: usize,
    /// Mean share of an object on the two outermost rows: 1 is as dark as a typical object.
    pub outermost: f32,
    /// The same four rows further in.
    pub inner: f32,
    /// Area of the object in pixels.
    pub area: usize,
}

impl EdgeStretch {
    /// Its length in pixels.
    pub fn length(&self) -> usize {
        self.to - self.from
    }

    /// The pixels of the picture's outermost row that it takes.
    pub fn bounds(&self, width: usize, height: usize) -> BoundingBox {
        let (from, to) = (self.from as f32, self.to as f32);
        let (width, height) = (width as f32, height as f32);
        match self.side {
            Side::Left => BoundingBox::from_corners(0.0, from, 1.0, to),
            Side::Right => BoundingBox::from_corners(width - 1.0, from, width, to),
            Side::Top => BoundingBox::from_corners(from, 0.0, to, 1.0),
            Side::Bottom => BoundingBox::from_corners(from, height - 1.0, to, height),
        }
    }
}

/// From this share of a typical object on a pixel belongs to one.
const OBJECT_SHARE: f32 = 0.5;
/// Rows that count as the outermost.
const OUTERMOST_ROWS: usize = 2;
/// Rows that are compared with them.
const INNER_ROWS: std::ops::Range<usize> = 5..9;

/// Every stretch of an object on the given sides of a picture, looked into to a depth of `depth` pixels.
pub fn edge_stretches(view: GrayView<'_>, levels: &ObjectLevels, sides: &[Side], depth: usize) -> Vec<EdgeStretch> {
    let (width, height) = (view.width(), view.height());
    let mut found = Vec::new();
    if width.min(height) < INNER_ROWS.end {
        return found;
    }
    let dark: [u8; 256] = std::array::from_fn(|v| u8::from(levels.share(v as u8) > OBJECT_SHARE));
    let mask: Vec<u8> = view.data().iter().map(|v| dark[usize::from(*v)]).collect();
    let mut components = Components::default();
    components.find(&mask, width);
    for side in sides {
        let upright = matches!(side, Side::Top | Side::Bottom);
        let (along, across) = if upright { (width, height) } else { (height, width) };
        // Column and row of a pixel by its place along the side and its distance from it.
        let place = |at: usize, from_edge: usize| match side {
            Side::Left => (from_edge, at),
            Side::Right => (width - 1 - from_edge, at),
            Side::Top => (at, from_edge),
            Side::Bottom => (at, height - 1 - from_edge),
        };
        let mean = |at: usize, rows: std::ops::Range<usize>| {
            let n = rows.len() as f32;
            rows.map(|row| levels.share(view.at(place(at, row).0, place(at, row).1))).sum::<f32>() / n
        };
        let outermost: Vec<f32> = (0..along).map(|at| mean(at, 0..OUTERMOST_ROWS)).collect();
        let mut from = 0;
        for stretch in outermost.chunk_by(|a, b| (*a > OBJECT_SHARE) == (*b > OBJECT_SHARE)) {
            let to = from + stretch.len();
            if stretch[0] > OBJECT_SHARE {
                let mut depths: Vec<usize> = (from..to)
                    .map(|at| {
                        let dark = |row: &usize| mask[place(at, *row).1 * width + place(at, *row).0] != 0;
                        (0..depth.min(across)).take_while(dark).count()
                    })
                    .collect();
                depths.sort_unstable();
                let on_stretch = |x: usize, y: usize| {
                    let (at, row) = match side {
                        Side::Left => (y, x),
                        Side::Right => (y, width - 1 - x),
                        Side::Top => (x, y),
                        Side::Bottom => (x, height - 1 - y),
                    };
                    (from..to).contains(&at) && row < OUTERMOST_ROWS
                };
                found.push(EdgeStretch {
                    side: *side,
                    from,
                    to,
                    depth: depths[depths.len() / 2],
                    outermost: stretch.iter().sum::<f32>() / stretch.len() as f32,
                    inner: (from..to).map(|at| mean(at, INNER_ROWS)).sum::<f32>() / stretch.len() as f32,
                    area: area_at(&components, *side, width, height, on_stretch),
                });
            }
            from = to;
        }
    }
    found
}

/// Area of the largest component that holds a pixel of a stretch on this side.
fn area_at(
    components: &Components,
    side: Side,
    width: usize,
    height: usize,
    on_stretch: impl Fn(usize, usize) -> bool,
) -> usize {
    let near = |i: &usize| {
        let b = components.bounds(*i);
        match side {
            Side::Left => b.left < OUTERMOST_ROWS,
            Side::Right => b.right + OUTERMOST_ROWS > width,
            Side::Top => b.top < OUTERMOST_ROWS,
            Side::Bottom => b.bottom + OUTERMOST_ROWS > height,
        }
    };
    let holds = |i: &usize| {
        components.runs(*i).iter().any(|run| (run.start..run.end).any(|x| on_stretch(x as usize, run.y as usize)))
    };
    (0..components.len()).filter(near).filter(holds).map(|i| components.area(i)).max().unwrap_or(0)
}

/// The outline of a spread; keeps its buffers.
#[derive(Debug, Clone, Default)]
pub struct Outline {
    points: Vec<[f32; 2]>,
    hull: Vec<[f32; 2]>,
}

impl Outline {
    /// Share of the outline of some boxes, their convex hull, that lies within `tolerance` pixels of the edge of a picture
    /// of `width` x `height`: 0 to 1.
    pub fn on_edge(
        &mut self,
        boxes: impl Iterator<Item = BoundingBox>,
        width: f32,
        height: f32,
        tolerance: f32,
    ) -> f32 {
        self.points.clear();
        self.points
            .extend(boxes.flat_map(|b| [[b.x, b.y], [b.right(), b.y], [b.x, b.bottom()], [b.right(), b.bottom()]]));
        self.find_hull();
        let near = |p: [f32; 2], side: Side| {
            side.touches(&BoundingBox { x: p[0], y: p[1], width: 0.0, height: 0.0 }, width, height, tolerance)
        };
        let (mut all, mut on_edge) = (0.0, 0.0);
        for (i, p) in self.hull.iter().enumerate() {
            let q = self.hull[(i + 1) % self.hull.len()];
            let length = (q[0] - p[0]).hypot(q[1] - p[1]);
            all += length;
            if Side::ALL.iter().any(|side| near(*p, *side) && near(q, *side)) {
                on_edge += length;
            }
        }
        if all > 0.0 { on_edge / all } else { 0.0 }
    }

    /// The convex hull in order, by Andrew's monotone chain (1979).
    fn find_hull(&mut self) {
        self.points.sort_unstable_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
        self.points.dedup();
        self.hull.clear();
        for half in 0..2 {
            let first = self.hull.len();
            for i in 0..self.points.len() {
                let p = self.points[if half == 0 { i } else { self.points.len() - 1 - i }];
                while let [.., a, b] = self.hull[first..]
                    && (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) <= 0.0
                {
                    self.hull.pop();
                }
                self.hull.push(p);
            }
            // The last of one half is the first of the other.
            self.hull.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GrayImage;

    /// Bars of 12 x 60 pixels at these places, some of which leave the picture of 300 x 200.
    fn picture(bars: &[(i32, i32)], invert: bool) -> (GrayImage, Vec<BoundingBox>) {
        let (width, height) = (300, 200);
        let mut image = GrayImage { width, height, data: vec![if invert { 20 } else { 230 }; width * height] };
        let mut boxes = Vec::new();
        for (x, y) in bars {
            for row in (*y).max(0)..(y + 60).min(height as i32) {
                for column in (*x).max(0)..(x + 12).min(width as i32) {
                    image.data[row as usize * width + column as usize] = if invert { 180 } else { 110 };
                }
            }
            let whole = BoundingBox { x: *x as f32, y: *y as f32, width: 12.0, height: 60.0 };
            boxes.push(whole.clipped(width as f32, height as f32));
        }
        (image, boxes)
    }

    #[test]
    fn a_bar_that_leaves_the_picture_is_a_stretch_of_its_width() {
        for invert in [false, true] {
            let (image, boxes) = picture(&[(100, -20), (200, 70), (294, 60)], invert);
            let view = image.view().unwrap();
            let levels = ObjectLevels::of(view, &boxes).expect("levels");
            let found = edge_stretches(view, &levels, &Side::ALL, 50);
            let places: Vec<_> = found.iter().map(|s| (s.side, s.from, s.to, s.depth, s.area)).collect();
            assert_eq!(places, [(Side::Right, 60, 120, 6, 360), (Side::Top, 100, 112, 40, 480)]);
            assert!(found.iter().all(|s| (s.outermost - 1.0).abs() < 0.01), "{found:?}");
            assert!((found[1].inner - 1.0).abs() < 0.01 && found[0].inner < 0.5, "{found:?}");
        }
    }

    #[test]
    fn without_objects_there_is_no_level_and_no_stretch() {
        let (image, _) = picture(&[], false);
        assert_eq!(ObjectLevels::of(image.view().unwrap(), &[]), None);
        let anywhere = BoundingBox { x: 10.0, y: 10.0, width: 20.0, height: 20.0 };
        assert_eq!(ObjectLevels::of(image.view().unwrap(), &[anywhere]), None);
    }

    #[test]
    fn the_outline_on_the_edge_is_a_share_of_the_hull() {
        let middle = BoundingBox { x: 100.0, y: 50.0, width: 20.0, height: 20.0 };
        let mut outline = Outline::default();
        let mut on_edge = |boxes: &[BoundingBox]| outline.on_edge(boxes.iter().copied(), 300.0, 300.0, 2.0);
        assert_eq!(on_edge(&[middle]), 0.0);
        let at_left = BoundingBox { x: 0.0, y: 0.0, width: 100.0, height: 100.0 };
        assert_eq!(on_edge(&[at_left]), 0.5);
        assert_eq!(on_edge(&[]), 0.0);
    }
}
