//! A metaphase: where its chromosomes lie. In micrometres around its centre.

use super::{genome::ChromosomePlan, look::StainLook, random::SlideRng, shape::Shape};

/// One chromosome of a metaphase.
#[derive(Debug, Clone)]
pub struct Placed {
    /// What it is.
    pub plan: ChromosomePlan,
    /// How it lies.
    pub shape: Shape,
    /// Chromosomes of the cell that it touches or crosses, by index.
    pub touching: Vec<u32>,
    /// Those of them whose axis it crosses.
    pub crossing: Vec<u32>,
}

/// A cell in metaphase.
#[derive(Debug, Clone)]
pub struct Metaphase {
    /// Number of the cell on the slide.
    pub cell: u32,
    /// Centre in um on the slide.
    pub centre: [f64; 2],
    /// Height of its plane above the slide's in um.
    pub height: f32,
    /// Its karyotype in ISCN, as far as that can say it.
    pub karyotype: String,
    /// Its chromosomes.
    pub chromosomes: Vec<Placed>,
    /// How far it reaches from its centre, in um.
    pub reach: f32,
}

/// How close chromosomes may lie.
#[derive(Debug, Clone, Copy)]
pub struct Spreading {
    /// Share of the spread's area that chromosomes cover, 0.05 to 0.4.
    pub cover: f32,
    /// Chance that a chromosome may touch others.
    pub touch: f32,
    /// Chance that it may cross others.
    pub cross: f32,
    /// Chance that it may fall anyhow. Otherwise no tip lies upon another chromosome, no two tips meet, and at most [`BURIED`] of a
    /// length lies upon another.
    pub careless: f32,
}

/// Largest share of a chromosome's length that lies upon another in a good preparation.
const BURIED: f32 = 0.25;
/// How far a tip may reach into another there, in um, and how far two tips stay apart.
const DIPPED: f32 = 0.15;
/// See [`DIPPED`].
const APART: f32 = 0.1;

/// Lays out the chromosomes of a cell.
pub fn lay_out(
    plans: Vec<ChromosomePlan>,
    look: &StainLook,
    spreading: Spreading,
    rng: &mut SlideRng,
) -> (Vec<Placed>, f32) {
    let mut shapes: Vec<(ChromosomePlan, Shape)> = plans
        .into_iter()
        .map(|plan| {
            let shape = Shape::draw(&plan, look, rng);
            (plan, shape)
        })
        .collect();
    rng.shuffle(&mut shapes);
    let area: f32 = shapes.iter().map(|(_, s)| 2.0 * s.reach * s.length).sum();
    let aspect = rng.between(0.72, 1.0);
    let radius = libm::sqrtf(area / (std::f32::consts::PI * spreading.cover * aspect)).max(4.0);
    let lean = rng.between(0.0, 6.3);
    let (sin, cos) = (libm::sinf(lean), libm::cosf(lean));
    // Some spreads are rings: the middle of the spindle stays empty.
    let hollow = if rng.chance(0.2) { rng.between(0.02, 0.2) } else { 0.0 };
    let mut placed: Vec<Placed> = Vec::with_capacity(shapes.len());
    let mut reach = 0.0f32;
    for (plan, shape) in shapes {
        let free = rng.uniform();
        let wanted = if free < spreading.cross {
            -2.0
        } else if free < spreading.cross + spreading.touch {
            -0.45
        } else {
            0.15
        };
        let careless = spreading.careless >= 1.0 || rng.chance(spreading.careless);
        let mut best: Option<(f32, Shape)> = None;
        for _ in 0..60 {
            let out = libm::powf(rng.between(hollow, 1.0), 0.55) * radius;
            let around = rng.between(0.0, 6.3);
            let (x, y) = (out * libm::cosf(around), out * aspect * libm::sinf(around));
            let mut trial = shape.clone();
            trial.placed(rng.between(0.0, 6.3), [cos * x - sin * y, sin * x + cos * y]);
            let clear = placed.iter().map(|other| clearance(&trial, &other.shape)).fold(f32::MAX, f32::min);
            if clear >= wanted && (careless || placed.iter().all(|other| lies_well(&trial, &other.shape))) {
                best = Some((clear, trial));
                break;
            }
            if best.as_ref().is_none_or(|(old, _)| clear > *old) {
                best = Some((clear, trial));
            }
        }
        let Some((_, shape)) = best else { continue };
        for p in &shape.axis {
            reach = reach.max(libm::sqrtf(p[0] * p[0] + p[1] * p[1]) + shape.reach);
        }
        placed.push(Placed { plan, shape, touching: Vec::new(), crossing: Vec::new() });
    }
    shade(&mut placed, look, radius, rng);
    note_neighbours(&mut placed);
    (placed, reach)
}

/// Dye and light reach one side of a spread better than the other; in fluorescence by much.
fn shade(placed: &mut [Placed], look: &StainLook, radius: f32, rng: &mut SlideRng) {
    let depth = rng.normal_within(0.0, if look.stain.is_fluorescence() { 0.17 } else { 0.05 });
    let towards = rng.between(0.0, 6.3);
    let (x, y) = (libm::cosf(towards), libm::sinf(towards));
    for one in placed {
        let [cx, cy] = one.shape.point(0.5);
        let factor = (1.0 + depth * (cx * x + cy * y) / radius).max(0.3);
        one.shape.profile.density.iter_mut().for_each(|d| *d *= factor);
    }
}

/// Free space between two chromosomes in um; negative when they touch, down to minus the sum of their half widths.
fn clearance(a: &Shape, b: &Shape) -> f32 {
    let room = a.reach + b.reach;
    let (ca, cb) = (a.point(0.5), b.point(0.5));
    let apart = libm::hypotf(ca[0] - cb[0], ca[1] - cb[1]) - 0.5 * (a.length + b.length) - room;
    if apart > 1.0 {
        return apart;
    }
    let mut least = f32::MAX;
    for p in &a.axis {
        for q in &b.axis {
            let (dx, dy) = (p[0] - q[0], p[1] - q[1]);
            least = least.min(dx * dx + dy * dy);
        }
    }
    libm::sqrtf(least) - room
}

/// Whether two chromosomes lie so that both can be made out: see [`Spreading::careless`].
fn lies_well(a: &Shape, b: &Shape) -> bool {
    let clear = clearance(a, b);
    if clear >= APART {
        return true;
    }
    let room = a.reach + b.reach;
    let apart = |p: &[f32; 2], q: &[f32; 2]| libm::hypotf(p[0] - q[0], p[1] - q[1]);
    let to = |p: &[f32; 2], shape: &Shape| shape.axis.iter().map(|q| apart(p, q)).fold(f32::MAX, f32::min);
    let tips = |shape: &Shape| [shape.axis[0], shape.axis[shape.axis.len() - 1]];
    let (ends, others) = (tips(a), tips(b));
    let buried = |a: &Shape, b: &Shape| {
        a.axis.iter().filter(|p| to(p, b) < 0.5 * room).count() as f32 > BURIED * a.axis.len() as f32
    };
    ends.iter().all(|p| to(p, b) >= room - DIPPED)
        && others.iter().all(|p| to(p, a) >= room - DIPPED)
        && ends.iter().all(|p| others.iter().all(|q| apart(p, q) >= room + APART))
        && !buried(a, b)
        && !buried(b, a)
}

fn note_neighbours(placed: &mut [Placed]) {
    for i in 0..placed.len() {
        for j in i + 1..placed.len() {
            if clearance(&placed[i].shape, &placed[j].shape) > -0.02 {
                continue;
            }
            let cross = crosses(&placed[i].shape.axis, &placed[j].shape.axis);
            placed[i].touching.push(j as u32);
            placed[j].touching.push(i as u32);
            if cross {
                placed[i].crossing.push(j as u32);
                placed[j].crossing.push(i as u32);
            }
        }
    }
}

fn crosses(a: &[[f32; 2]], b: &[[f32; 2]]) -> bool {
    let side = |p: [f32; 2], q: [f32; 2], r: [f32; 2]| (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
    a.windows(2).any(|s| {
        b.windows(2).any(|t| {
            side(s[0], s[1], t[0]) * side(s[0], s[1], t[1]) < 0.0
                && side(t[0], t[1], s[0]) * side(t[0], t[1], s[1]) < 0.0
        })
    })
}
