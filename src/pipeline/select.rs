//! Select: a live camera shows one scene for many frames; the best of them goes on, once.
//!
//! Frames are grouped by a small signature of the picture and by the stage's position. A scene's frames are gathered
//! for a window; then the best goes on. Later frames of the same scene count as merged, until the scene changes. A source
//! whose frames come further apart than the window has nothing to gather: its frames go on at once.
//! Bookkeeping of microseconds: it runs on the thread of triage. Pure: the clock is handed in.

use std::time::{Duration, Instant};

use domain::{StagePosition, frame::PixelView};
use imaging::luma;

/// Signature pixels a side.
const SIDE: usize = 24;
/// Correlation from which two pictures show the same scene.
const SAME_SCENE: f32 = 0.75;
/// Stage distance in micrometres from which it is another scene, whatever the picture.
const OTHER_FIELD_UM: f64 = 20.0;

/// A picture in 24 x 24 mean levels, brought to zero mean and unit length.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature([f32; SIDE * SIDE]);

impl Signature {
    /// Of the pixels of a frame; samples about 9 pixels a cell.
    pub fn of(view: PixelView<'_>, width: usize, height: usize) -> Self {
        match view {
            PixelView::Mono8(samples) => Self::sampled(width, height, |i| f32::from(samples[i])),
            PixelView::Mono16(samples) => Self::sampled(width, height, |i| f32::from(samples[i])),
            PixelView::Rgb8(samples) => Self::sampled(width, height, |i| {
                f32::from(luma([samples[3 * i], samples[3 * i + 1], samples[3 * i + 2]]))
            }),
        }
    }

    fn sampled(width: usize, height: usize, at: impl Fn(usize) -> f32) -> Self {
        let mut cells = [0.0f32; SIDE * SIDE];
        for (n, cell) in cells.iter_mut().enumerate() {
            let (left, right) = (n % SIDE * width / SIDE, (n % SIDE + 1) * width / SIDE);
            let (top, bottom) = (n / SIDE * height / SIDE, (n / SIDE + 1) * height / SIDE);
            let mut sum = 0.0;
            let mut count = 0.0;
            let (dx, dy) = (((right - left) / 8).max(1), ((bottom - top) / 8).max(1));
            for y in (top..bottom).step_by(dy) {
                for x in (left..right).step_by(dx) {
                    sum += at(y * width + x);
                    count += 1.0;
                }
            }
            *cell = if count > 0.0 { sum / count } else { 0.0 };
        }
        let mean = cells.iter().sum::<f32>() / cells.len() as f32;
        cells.iter_mut().for_each(|v| *v -= mean);
        let norm = cells.iter().map(|v| v * v).sum::<f32>().sqrt();
        if norm > 1e-3 {
            cells.iter_mut().for_each(|v| *v /= norm);
        }
        Self(cells)
    }

    /// Correlation with another picture, -1 to 1.
    pub fn likeness(&self, other: &Self) -> f32 {
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum()
    }
}

/// What select needs to know of a frame.
#[derive(Debug, Clone)]
pub struct SceneFeatures {
    /// The picture in small.
    pub signature: Signature,
    /// Where the stage stood.
    pub stage_um: Option<StagePosition>,
    /// How good the frame is; higher is better.
    pub score: f32,
}

/// What select decided.
#[derive(Debug, PartialEq)]
pub enum Choice<T> {
    /// This one goes on, in the scene of that number.
    Go(T, u64),
    /// Another frame stands for this one.
    Merged(T),
}

#[derive(Debug)]
struct Scene<T> {
    number: u64,
    signature: Signature,
    stage_um: Option<StagePosition>,
    until: Instant,
    /// The best frame so far; none once it has gone on.
    best: Option<(T, f32)>,
}

/// Gaps between frames that must all be longer than the window before a frame goes on at once.
const SLOW_GAPS: u32 = 3;

/// Groups the frames of one live source into scenes.
#[derive(Debug)]
pub struct Select<T> {
    window: Duration,
    scene: Option<Scene<T>>,
    scenes: u64,
    last_frame: Option<Instant>,
    /// How many gaps between frames in a row were longer than the window.
    slow_gaps: u32,
}

impl<T> Select<T> {
    /// Gathers each scene for `window`.
    pub fn new(window: Duration) -> Self {
        Self { window, scene: None, scenes: 0, last_frame: None, slow_gaps: 0 }
    }

    /// Number of the scene that is looked at, from 1; 0 before the first.
    pub fn scene(&self) -> u64 {
        self.scenes
    }

    /// A frame came, whatever is on it: says how fast the source is.
    pub fn saw(&mut self, now: Instant) {
        let gap = self.last_frame.replace(now).map(|last| now.saturating_duration_since(last));
        self.slow_gaps = if gap.is_some_and(|gap| gap > self.window) { self.slow_gaps + 1 } else { 0 };
    }

    /// Takes a frame with a metaphase; what is decided by it is handed to `decided`.
    pub fn offer(&mut self, entry: T, features: SceneFeatures, now: Instant, mut decided: impl FnMut(Choice<T>)) {
        let same = self.scene.as_ref().is_some_and(|scene| {
            let near = match (scene.stage_um, features.stage_um) {
                (Some(a), Some(b)) => (a.x - b.x).hypot(a.y - b.y) < OTHER_FIELD_UM,
                _ => true,
            };
            near && scene.signature.likeness(&features.signature) >= SAME_SCENE
        });
        if !same {
            self.flush(&mut decided);
            self.scenes += 1;
            let window = if self.slow_gaps >= SLOW_GAPS { Duration::ZERO } else { self.window };
            self.scene = Some(Scene {
                number: self.scenes,
                signature: features.signature,
                stage_um: features.stage_um,
                until: now + window,
                best: Some((entry, features.score)),
            });
        } else if let Some(scene) = &mut self.scene {
            match &mut scene.best {
                Some((best, score)) if features.score > *score => {
                    let worse = std::mem::replace(best, entry);
                    *score = features.score;
                    // The scene is compared by its best frame, so that a slow drift ends it in time.
                    scene.signature = features.signature;
                    scene.stage_um = features.stage_um;
                    decided(Choice::Merged(worse));
                }
                _ => decided(Choice::Merged(entry)),
            }
        }
        self.tick(now, decided);
    }

    /// Lets the best frame go on when its scene's window is over.
    pub fn tick(&mut self, now: Instant, mut decided: impl FnMut(Choice<T>)) {
        if let Some(scene) = &mut self.scene
            && now >= scene.until
            && let Some((best, _)) = scene.best.take()
        {
            decided(Choice::Go(best, scene.number));
        }
    }

    /// Lets the best frame of the scene go on now, whatever the window says; the scene itself stays.
    pub fn flush(&mut self, decided: &mut impl FnMut(Choice<T>)) {
        if let Some(scene) = &mut self.scene
            && let Some((best, _)) = scene.best.take()
        {
            decided(Choice::Go(best, scene.number));
        }
    }

    /// The scene is over: a frame without a metaphase came. The best goes on.
    pub fn interrupt(&mut self, mut decided: impl FnMut(Choice<T>)) {
        self.flush(&mut decided);
        self.scene = None;
    }

    /// When the window of the scene ends, while its best frame waits.
    pub fn due(&self) -> Option<Instant> {
        self.scene.as_ref().filter(|s| s.best.is_some()).map(|s| s.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(pattern: u8, score: f32) -> SceneFeatures {
        let samples: Vec<u8> = (0..96 * 96)
            .map(|i| {
                let (x, y) = ((i % 96) / 8, (i / 96) / 8);
                ((x * 31 + y * 17) as u8).wrapping_mul(pattern).wrapping_add(pattern)
            })
            .collect();
        SceneFeatures { signature: Signature::of(PixelView::Mono8(&samples), 96, 96), stage_um: None, score }
    }

    fn decisions(select: &mut Select<u32>, entry: u32, features: SceneFeatures, now: Instant) -> Vec<Choice<u32>> {
        let mut decisions = Vec::new();
        select.offer(entry, features, now, |choice| decisions.push(choice));
        decisions
    }

    #[test]
    fn one_scene_gives_its_best_frame_once() {
        let start = Instant::now();
        let ms = |n| start + Duration::from_millis(n);
        let mut select = Select::new(Duration::from_millis(100));
        assert_eq!(decisions(&mut select, 1, features(3, 0.5), ms(0)), []);
        assert_eq!(decisions(&mut select, 2, features(3, 0.9), ms(30)), [Choice::Merged(1)]);
        assert_eq!(decisions(&mut select, 3, features(3, 0.2), ms(60)), [Choice::Merged(3)]);
        let mut out = Vec::new();
        select.tick(ms(99), |c| out.push(c));
        assert_eq!(out, []);
        select.tick(ms(100), |c| out.push(c));
        assert_eq!(out, [Choice::Go(2, 1)]);
        assert_eq!(
            decisions(&mut select, 4, features(3, 0.9), ms(500)),
            [Choice::Merged(4)],
            "the scene was taken already"
        );
    }

    #[test]
    fn frames_that_come_further_apart_than_the_window_go_on_at_once() {
        let start = Instant::now();
        let mut select = Select::new(Duration::from_millis(100));
        let mut give = |entry: u32, ms: u64| {
            let now = start + Duration::from_millis(ms);
            select.saw(now);
            // Another scene each time.
            decisions(&mut select, entry, features((2 * entry + 3) as u8, 0.5), now)
        };
        assert_eq!(give(0, 0), []);
        assert_eq!(give(1, 200), [Choice::Go(0, 1)]);
        assert_eq!(give(2, 400), [Choice::Go(1, 2)]);
        assert_eq!(give(3, 600), [Choice::Go(2, 3), Choice::Go(3, 4)], "three long gaps: this one waits no more");
        assert_eq!(give(4, 800), [Choice::Go(4, 5)]);
        assert_eq!(give(5, 850), [], "a short gap: others may come");
        assert_eq!(give(6, 1050), [Choice::Go(5, 6)]);
    }

    #[test]
    fn another_scene_lets_the_last_one_go_at_once() {
        let start = Instant::now();
        let mut select = Select::new(Duration::from_secs(10));
        assert_eq!(decisions(&mut select, 1, features(3, 0.5), start), []);
        assert_eq!(decisions(&mut select, 2, features(7, 0.5), start), [Choice::Go(1, 1)]);
        let mut out = Vec::new();
        select.interrupt(|c| out.push(c));
        assert_eq!(out, [Choice::Go(2, 2)]);
        assert_eq!(select.due(), None);
    }

    #[test]
    fn the_position_of_the_stage_separates_scenes_that_look_alike() {
        let start = Instant::now();
        let mut select = Select::new(Duration::from_secs(10));
        let at = |x| SceneFeatures { stage_um: Some(StagePosition { x, y: 0.0, z: None }), ..features(3, 0.5) };
        assert_eq!(decisions(&mut select, 1, at(0.0), start), []);
        assert_eq!(decisions(&mut select, 2, at(500.0), start), [Choice::Go(1, 1)]);
    }
}
