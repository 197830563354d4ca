//! The shape of one chromosome: its axis, its two chromatids, how its bands lie along it. In micrometres.

use super::{
    banding,
    genome::ChromosomePlan,
    ideogram,
    look::{Bands, StainLook, Surface},
    random::SlideRng,
};

/// Distance between the samples of [`Profile`] in um.
pub const STEP: f32 = 0.05;
/// Distance between the points of the axis in um, about.
const AXIS_STEP: f32 = 0.3;

/// What changes along a chromosome, sampled from one end to the other.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Optical density (or brightness).
    pub density: Vec<f32>,
    /// Half width of a chromatid in um.
    pub girth: Vec<f32>,
    /// How far it reaches beyond each end of the axis, in um.
    pub lead: f32,
}

/// A chromosome as it lies on the slide, relative to its cell's centre.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Points of the axis.
    pub axis: Vec<[f32; 2]>,
    /// The two chromatids, point for point with the axis.
    pub chromatids: [Vec<[f32; 2]>; 2],
    /// What changes along it.
    pub profile: Profile,
    /// Length of the axis in um.
    pub length: f32,
    /// What the rounded ends add to it, both together, in um.
    pub tips: f32,
    /// Largest distance of the outline from the axis in um.
    pub reach: f32,
    /// True for a ring.
    pub closed: bool,
    /// Places of the centromeres as parts of the length, 0 to 1.
    pub centromeres: Vec<f32>,
    /// What it looks like close by.
    pub surface: Surface,
    /// Where in the texture its grain lies.
    pub grain: usize,
}

impl Shape {
    /// Draws the shape of a chromosome, centred on the origin.
    pub fn draw(plan: &ChromosomePlan, look: &StainLook, rng: &mut SlideRng) -> Self {
        let scale = look.scale();
        let units = plan.extent(scale).max(1.0);
        // Even within a cell some chromosomes are drawn out more than others.
        let whole = (units * look.condensation * rng.around(1.0, 0.05)).max(0.5);
        // The rounded ends reach beyond the axis.
        let tips = if plan.ring { 0.0 } else { (1.5 * look.chromatid).min(0.5 * whole) };
        let length = whole - tips;
        // Measured bands lie on the whole length, drawn ones on the axis between the rounded ends.
        let lead = if scale == banding::Scale::Measured { 0.5 * tips } else { 0.0 };
        let on_axis = |c: f32| (c / units * (1.0 + 2.0 * lead / length) - lead / length).clamp(0.0, 1.0);
        let centromeres: Vec<f32> = plan.centromeres_on(scale).into_iter().map(on_axis).collect();
        let axis = if plan.ring { circle(length, rng) } else { curve(length, &centromeres, look, rng) };
        let profile = profile(plan, look, [length, lead], &centromeres, rng);
        let mut shape = Self {
            chromatids: [axis.clone(), axis.clone()],
            axis,
            profile,
            length,
            tips,
            reach: 0.0,
            closed: plan.ring,
            centromeres,
            surface: look.surface,
            grain: rng.below(1 << 18),
        };
        shape.part(look, rng);
        shape
    }

    /// Sets the chromatids beside the axis.
    fn part(&mut self, look: &StainLook, rng: &mut SlideRng) {
        let n = self.axis.len();
        let wobble = [Wobble::new(rng, look.wander), Wobble::new(rng, look.wander)];
        for i in 0..n {
            let t = i as f32 / (n - 1) as f32;
            let [nx, ny] = self.normal(i);
            let away = self.centromeres.iter().map(|c| (c - t).abs() * self.length).fold(f32::MAX, f32::min);
            let near = if self.centromeres.is_empty() { 0.0 } else { libm::expf(-(away / 0.38) * (away / 0.38)) };
            let open = if away == f32::MAX { 1.0 } else { 1.0 - libm::expf(-away / 1.1) };
            let girth = self.profile.girth_at(t, self.length);
            for side in 0..2 {
                let spacing = (look.spacing * (1.0 - look.constriction * 1.1 * near)).max(0.1)
                    + look.parting * open * (1.0 + 0.5 * wobble[side].at(t));
                let offset = girth * (spacing + wobble[side].at(t) * open);
                let sign = if side == 0 { 1.0 } else { -1.0 };
                self.chromatids[side][i] = [self.axis[i][0] + sign * offset * nx, self.axis[i][1] + sign * offset * ny];
                self.reach = self.reach.max(offset + girth);
            }
        }
    }

    /// Unit normal of the axis at a point.
    fn normal(&self, i: usize) -> [f32; 2] {
        let n = self.axis.len();
        let (before, after) = if self.closed {
            (self.axis[(i + n - 2) % (n - 1)], self.axis[(i + 1) % (n - 1)])
        } else {
            (self.axis[i.saturating_sub(1)], self.axis[(i + 1).min(n - 1)])
        };
        let (dx, dy) = (after[0] - before[0], after[1] - before[1]);
        let length = libm::sqrtf(dx * dx + dy * dy).max(1e-6);
        [-dy / length, dx / length]
    }

    /// Turns by `angle` and moves to `place`.
    pub fn placed(&mut self, angle: f32, place: [f32; 2]) {
        let (sin, cos) = (libm::sinf(angle), libm::cosf(angle));
        let lines = [&mut self.axis];
        for points in lines.into_iter().chain(self.chromatids.iter_mut()) {
            for p in points.iter_mut() {
                *p = [place[0] + cos * p[0] - sin * p[1], place[1] + sin * p[0] + cos * p[1]];
            }
        }
    }

    /// Point of the axis at the part `t` of the length.
    pub fn point(&self, t: f32) -> [f32; 2] {
        let at = t.clamp(0.0, 1.0) * (self.axis.len() - 1) as f32;
        let i = (at as usize).min(self.axis.len() - 2);
        let f = at - i as f32;
        let (a, b) = (self.axis[i], self.axis[i + 1]);
        [a[0] + f * (b[0] - a[0]), a[1] + f * (b[1] - a[1])]
    }
}

impl Profile {
    /// Half width of a chromatid at the part `t` of an axis of this length.
    fn girth_at(&self, t: f32, length: f32) -> f32 {
        let whole = length + 2.0 * self.lead;
        let part = t * (length / whole) + self.lead / whole;
        self.girth[((part * (self.girth.len() - 1) as f32) as usize).min(self.girth.len() - 1)]
    }
}

/// A slow random function on [0, 1] of about unit size: three waves.
struct Wobble([(f32, f32, f32); 3]);

impl Wobble {
    fn new(rng: &mut SlideRng, size: f32) -> Self {
        let mut wave = |k: f32| (size * rng.normal(0.0, 1.0), k * rng.between(0.7, 1.3), rng.between(0.0, 6.3));
        Self([wave(5.0), wave(11.0), wave(19.0)])
    }

    fn at(&self, t: f32) -> f32 {
        self.0.iter().map(|(a, k, p)| a * libm::sinf(k * t + p)).sum()
    }
}

/// An open axis: a slow bend, sometimes a knee at the centromere or a hook at an end.
fn curve(length: f32, centromeres: &[f32], look: &StainLook, rng: &mut SlideRng) -> Vec<[f32; 2]> {
    let n = ((length / AXIS_STEP) as usize + 2).max(5);
    let limber = (look.bend * libm::sqrtf(length / 5.0)).min(0.8);
    let bend = rng.normal_within(0.0, limber);
    let wave = rng.normal_within(0.0, 0.5 * limber);
    let phase = rng.between(0.0, 6.3);
    let knee = if rng.chance(0.25) { rng.normal_within(0.0, 0.9 * limber) } else { 0.0 };
    let knee_at = centromeres.first().copied().unwrap_or(0.5);
    let hook = if rng.chance(0.3 * limber) { rng.between(-1.2, 1.2) } else { 0.0 };
    let step = length / (n - 1) as f32;
    let mut at = [0.0f32, 0.0];
    let mut points = Vec::with_capacity(n);
    for i in 0..n {
        points.push(at);
        let t = (i as f32 + 0.5) / (n - 1) as f32;
        let smooth = |x: f32| 0.5 + 0.5 * (x * 2.0).clamp(-1.0, 1.0);
        let heading = bend * (t - 0.5) * 2.0
            + wave * libm::sinf(6.3 * t + phase)
            + knee * smooth((t - knee_at) * length / 0.8)
            + hook * smooth((t - 0.85) * 8.0);
        at = [at[0] + step * libm::cosf(heading), at[1] + step * libm::sinf(heading)];
    }
    centred(points)
}

/// A closed axis; the last point is the first again.
fn circle(length: f32, rng: &mut SlideRng) -> Vec<[f32; 2]> {
    let n = ((length / AXIS_STEP) as usize).max(10);
    let radius = length / std::f32::consts::TAU;
    let (flat, phase) = (rng.between(0.0, 0.25), rng.between(0.0, 6.3));
    let point = |i: usize| {
        let angle = std::f32::consts::TAU * (i % n) as f32 / n as f32;
        let r = radius * (1.0 + flat * libm::cosf(2.0 * angle + phase));
        [r * libm::cosf(angle), r * libm::sinf(angle)]
    };
    centred((0..=n).map(point).collect())
}

fn centred(mut points: Vec<[f32; 2]>) -> Vec<[f32; 2]> {
    let n = points.len() as f32;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p[0] / n, y + p[1] / n));
    points.iter_mut().for_each(|p| *p = [p[0] - x, p[1] - y]);
    points
}

/// Density and girth along a chromosome whose axis has this length, with what it reaches beyond either end.
fn profile(
    plan: &ChromosomePlan,
    look: &StainLook,
    [length, lead]: [f32; 2],
    centromeres: &[f32],
    rng: &mut SlideRng,
) -> Profile {
    let whole = length + 2.0 * lead;
    let n = ((whole / STEP) as usize + 2).max(8);
    let stained = rng.around(1.0, 0.05);
    let swell = Wobble::new(rng, look.rough);
    // How far each sample lies from a centromere, and how wide a chromatid is there by that alone.
    let girth = |i: usize, own: f32| {
        let t = i as f32 / (n - 1) as f32 * (whole / length) - lead / length;
        let away = centromeres.iter().map(|c| (c - t).abs() * length).fold(f32::MAX, f32::min);
        let near = if away == f32::MAX { 0.0 } else { libm::expf(-(away / 0.3) * (away / 0.3)) };
        look.chromatid * own * (1.0 - 0.55 * look.constriction * near) * (1.0 + swell.at(t * length * 0.4))
    };
    match look.bands {
        Bands::Measured { tone, contrast } => measured(plan, n, [tone * stained, contrast], lead, girth, rng),
        Bands::Drawn { light, dark, blur } => drawn(plan, look, n, [light * stained, dark * stained, blur], girth, rng),
    }
}

/// The place of `at` (on a scale, from the plan's beginning) in the segment that holds it: which, and where in its chromosome on the scale.
fn place(plan: &ChromosomePlan, scale: banding::Scale, at: f32) -> Option<(domain::ChromosomeClass, f32)> {
    let mut begun = 0.0;
    for (i, segment) in plan.segments.iter().enumerate() {
        let [from, to] = segment.ends(scale);
        let length = (to - from).abs();
        if at <= begun + length || i + 1 == plan.segments.len() {
            let along = (at - begun).clamp(0.0, length);
            return Some((segment.class, if to > from { from + along } else { from - along }));
        }
        begun += length;
    }
    None
}

/// Bands and widths that real chromosomes have; they differ a little from one to the next, and lie a little off.
fn measured(
    plan: &ChromosomePlan,
    n: usize,
    [tone, contrast]: [f32; 2],
    lead: f32,
    girth: impl Fn(usize, f32) -> f32,
    rng: &mut SlideRng,
) -> Profile {
    let scale = banding::Scale::Measured;
    let units = plan.extent(scale).max(1.0);
    let (uneven, drift) = (Wobble::new(rng, 0.03), Wobble::new(rng, 0.008));
    let mut profile = Profile { density: Vec::with_capacity(n), girth: Vec::with_capacity(n), lead };
    for i in 0..n {
        let t = i as f32 / (n - 1) as f32;
        let off = drift.at(t) * 4.0 * t * (1.0 - t);
        let (density, width) = match place(plan, scale, (t + off) * units) {
            Some((class, place)) => (banding::of(class).density(place), banding::of(class).width(place)),
            None => (1.0, 1.0),
        };
        let level = 1.0 + contrast * (density - 1.0) + uneven.at(2.0 * t);
        profile.density.push((tone * level).max(0.05));
        profile.girth.push(girth(i, width));
    }
    profile
}

/// Bands of the ideogram.
fn drawn(
    plan: &ChromosomePlan,
    look: &StainLook,
    n: usize,
    [light, dark, blur]: [f32; 3],
    girth: impl Fn(usize, f32) -> f32,
    rng: &mut SlideRng,
) -> Profile {
    let units = plan.length().max(1.0);
    let mut profile = Profile { density: Vec::with_capacity(n), girth: Vec::with_capacity(n), lead: 0.0 };
    let (mut last_band, mut uneven) = ("", 0.0);
    for i in 0..n {
        let Some((class, place)) = place(plan, banding::Scale::Drawn, i as f32 / (n - 1) as f32 * units) else {
            continue;
        };
        let band = ideogram::band_at(class, place);
        if band.name != last_band {
            last_band = band.name;
            uneven = rng.normal_within(0.0, 0.07);
        }
        profile.density.push(look.level(class, band.stain) + uneven);
        profile.girth.push(girth(i, if band.stain == ideogram::BandStain::Stalk { 0.6 } else { 1.0 }));
    }
    if profile.density.is_empty() {
        profile.density.push(0.5);
        profile.girth.push(look.chromatid);
    }
    smooth(&mut profile.density, (blur / STEP).max(0.5));
    smooth(&mut profile.girth, 1.5);
    profile.density.iter_mut().for_each(|l| *l = (light + (dark - light) * *l).max(0.05));
    profile
}

/// Blurs along the samples with a Gaussian of `sigma` samples; ends are repeated.
fn smooth(values: &mut [f32], sigma: f32) {
    let reach = (sigma * 2.5) as isize + 1;
    let weight: Vec<f32> = (0..=reach).map(|k| libm::expf(-0.5 * (k as f32 / sigma) * (k as f32 / sigma))).collect();
    let total: f32 = weight[0] + 2.0 * weight[1..].iter().sum::<f32>();
    let last = values.len() as isize - 1;
    let old = values.to_vec();
    for (i, value) in values.iter_mut().enumerate() {
        *value = (-reach..=reach)
            .map(|k| weight[k.unsigned_abs()] * old[(i as isize + k).clamp(0, last) as usize])
            .sum::<f32>()
            / total;
    }
}
