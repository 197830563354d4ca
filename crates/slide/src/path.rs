//! How the stage moves over the slide.

use domain::StagePosition;

use super::{VirtualSlide, random::SlideRng, stream};

/// A place to take a frame from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stop {
    /// Middle of the field and height of the focal plane.
    pub stage: StagePosition,
    /// Speed of the stage during the exposure, in um a frame.
    pub motion_um: [f32; 2],
    /// Number of the exposure; the camera's noise follows from it.
    pub exposure: u64,
}

/// A scanner: every field once, row by row, with a little error of the stage and the autofocus.
#[derive(Debug, Clone)]
pub struct ScanPath {
    fields: Option<u64>,
    next: u64,
    seed: u64,
}

impl ScanPath {
    /// Over all fields of the slide; without end when the slide has none.
    pub fn new(slide: &VirtualSlide) -> Self {
        Self { fields: slide.fields(), next: 0, seed: slide.settings().seed }
    }

    /// The next field; none at the slide's end.
    pub fn next(&mut self, slide: &VirtualSlide) -> Option<Stop> {
        if self.fields.is_some_and(|n| self.next >= n) {
            return None;
        }
        let field = self.next;
        self.next += 1;
        let mut rng = SlideRng::new(self.seed, stream::PATH + field);
        Some(stop(slide, field, [0.0; 2], rng.normal_within(0.0, 0.25), 0.3, field, &mut rng))
    }
}

/// A person at the eyepiece: looks for a metaphase, dwells on it for many frames while turning the focus, moves on.
#[derive(Debug, Clone)]
pub struct LivePath {
    fields: Option<u64>,
    field: u64,
    frame: u64,
    left: u32,
    dwell: u32,
    defocus: f32,
    drift: [f32; 2],
    seed: u64,
}

impl LivePath {
    /// Over the slide from its first field.
    pub fn new(slide: &VirtualSlide) -> Self {
        Self {
            fields: slide.fields(),
            field: 0,
            frame: 0,
            left: 0,
            dwell: 0,
            defocus: 0.0,
            drift: [0.0; 2],
            seed: slide.settings().seed,
        }
    }

    /// The next frame; none when the person has seen all fields.
    pub fn next(&mut self, slide: &VirtualSlide) -> Option<Stop> {
        let mut rng = SlideRng::new(self.seed, stream::PATH + (1 << 40) + self.frame);
        if self.left == 0 {
            if self.frame > 0 {
                self.field += 1;
            }
            if self.fields.is_some_and(|n| self.field >= n) {
                return None;
            }
            // Empty fields are passed by; a cell is worth a look.
            self.dwell =
                if slide.has_metaphase(self.field) { 20 + rng.below(20) as u32 } else { 2 + rng.below(3) as u32 };
            self.left = self.dwell;
            self.defocus = rng.normal_within(0.0, 2.0);
            self.drift = [rng.normal_within(0.0, 3.0), rng.normal_within(0.0, 3.0)];
        }
        self.left -= 1;
        let exposure = self.frame;
        self.frame += 1;
        // The hand turns the focus towards sharpness and past it a little.
        self.defocus = self.defocus * 0.72 + rng.normal_within(0.0, 0.12);
        let arriving = self.left + 2 >= self.dwell;
        if arriving {
            self.drift = [self.drift[0] * 0.5, self.drift[1] * 0.5];
        }
        let speed = if arriving { self.drift } else { [0.0; 2] };
        let mut stop = stop(slide, self.field, self.drift, self.defocus, 0.02, exposure, &mut rng);
        stop.motion_um = [speed[0] * 0.15, speed[1] * 0.15];
        Some(stop)
    }
}

fn stop(
    slide: &VirtualSlide,
    field: u64,
    offset: [f32; 2],
    defocus: f32,
    jitter: f32,
    exposure: u64,
    rng: &mut SlideRng,
) -> Stop {
    let [x, y] = slide.field_centre(field);
    let x = x + f64::from(offset[0] + rng.normal_within(0.0, jitter));
    let y = y + f64::from(offset[1] + rng.normal_within(0.0, jitter));
    let z = slide.focal_plane(x, y) + f64::from(defocus);
    Stop { stage: StagePosition { x, y, z: Some(z) }, motion_um: [0.0; 2], exposure }
}
