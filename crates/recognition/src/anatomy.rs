//! The network that draws the chromosome of a box: its outline, its centromeres, its short arm. It sees the crops of the classifier
//! of boxes, and one batch serves a cell.

use std::{panic::resume_unwind, sync::mpsc::sync_channel, thread};

use serde::{Deserialize, Serialize};

use crate::inference::{
    Engine, EngineError, Input, InputSpec, Manifest, ModelError, ModelFolder, Outputs, Precision, Session, Task,
    Thresholds, load, output, run_over,
};
use domain::{BoundingBox, Centromere, FoundBy, Outline, Point, Stain, to_tenths};
use imaging::{Contours, ring_area, ring_corners};

use super::{
    classifier::Item,
    crop::{Cutter, crop_side},
    decode::logit,
    plane::Plane,
};

/// What the network draws of one chromosome, in pixels of the frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrawnChromosome {
    /// Its outline.
    pub outline: Outline,
    /// Its centromeres, the surest first.
    pub centromeres: Vec<Centromere>,
    /// Places that may be centromeres and are not sure enough to be reported: the assay of dicentrics weighs them with what else it sees.
    #[serde(default)]
    pub faint: Vec<Centromere>,
    /// From the middle of the half with the long arm's tip to that of the half with the short arm's, by the probabilities of its
    /// pixels: as long as the chromosome's halves are apart where the network is sure, 0 where it does not know.
    pub short_arm: Point,
    /// How much a single centromere's place says of the way up beside that, by the model.
    pub centromere_weight: f32,
}

/// The square of a frame that a crop shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CropSquare {
    /// Its middle, in pixels of the frame.
    pub middle: Point,
    /// Its side, in pixels of the frame.
    pub side: f32,
}

impl CropSquare {
    /// The square around a box, by the crop rule of a model.
    pub fn of(bounds: &BoundingBox, median: f32, spec: &InputSpec) -> Self {
        let middle = [bounds.x + bounds.width / 2.0, bounds.y + bounds.height / 2.0];
        Self { middle, side: crop_side(bounds, median, spec) }
    }

    /// A place of a crop of `size` pixels a side (the middle of the first pixel at a half) in the frame.
    fn in_frame(&self, [x, y]: Point, size: usize) -> Point {
        let at = |middle: f32, v: f32| middle + (v / size as f32 - 0.5) * self.side;
        [at(self.middle[0], x), at(self.middle[1], y)]
    }
}

/// A network of task anatomy that is ready to run.
pub struct AnatomyNetwork {
    session: Box<dyn Session>,
    manifest: Manifest,
    label: String,
    crops: Vec<f32>,
    cutter: Cutter,
    reader: MapReader,
}

impl AnatomyNetwork {
    /// Loads a model folder for slides of a stain and runs it once on an empty crop.
    ///
    /// # Errors
    /// As for [`Detector::load`](super::Detector::load).
    pub fn load(
        engine: &dyn Engine,
        model: &ModelFolder,
        precision: Option<Precision>,
        stain: Stain,
    ) -> Result<Self, EngineError> {
        let mut manifest = model.manifest.clone();
        manifest.thresholds.mask = manifest.thresholds.mask_for(stain);
        if manifest.task != Task::Anatomy {
            return Err(ModelError::WrongTask {
                model: manifest.name,
                expected: Task::Anatomy.to_string(),
                found: manifest.task.to_string(),
            }
            .into());
        }
        let session = load(engine, model, precision)?;
        let mut network = Self {
            session,
            label: model.label(),
            manifest,
            crops: Vec::new(),
            cutter: Cutter::default(),
            reader: MapReader::default(),
        };
        let empty = Plane { data: vec![220; 64], width: 8, height: 8, left: 0, top: 0 };
        network.draw(&empty, &[BoundingBox::from_corners(0.0, 0.0, 8.0, 8.0)], 8.0)?;
        Ok(network)
    }

    /// What the model says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// `name@hash12`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether crops that were cut for a model with this input serve this network, too.
    pub(super) fn takes_crops_of(&self, other: &InputSpec) -> bool {
        let own = &self.manifest.input;
        let rule = |spec: &InputSpec| {
            (
                spec.channels,
                spec.size,
                spec.mean,
                spec.std,
                spec.polarity,
                spec.pad,
                spec.background,
                spec.crop,
                spec.mask,
            )
        };
        rule(own) == rule(other) && other.doubt.is_none()
    }

    /// Draws the chromosomes of boxes on a plane, in order, in one batch; none where the network sees no chromosome. `median` is the
    /// median diagonal of the boxes of their cell in pixels.
    ///
    /// # Errors
    /// When the engine fails or gives another shape than the manifest says.
    pub fn draw(
        &mut self,
        plane: &Plane,
        boxes: &[BoundingBox],
        median: f32,
    ) -> Result<Vec<Option<DrawnChromosome>>, EngineError> {
        let spec = &self.manifest.input;
        let side = spec.size.unwrap_or(96);
        let one = spec.channels * side * side;
        let mut crops = std::mem::take(&mut self.crops);
        crops.resize(boxes.len() * one, 0.0);
        for (bounds, crop) in boxes.iter().zip(crops.chunks_exact_mut(one)) {
            self.cutter.cut(&Item { plane, bounds: *bounds, flipped: false }, median, side, spec, crop);
        }
        let drawn = self.draw_crops(&crops, boxes, median);
        self.crops = crops;
        drawn
    }

    /// The same with crops that have been cut already, one for each box.
    ///
    /// # Errors
    /// As for [`draw`](Self::draw).
    pub(super) fn draw_crops(
        &mut self,
        crops: &[f32],
        boxes: &[BoundingBox],
        median: f32,
    ) -> Result<Vec<Option<DrawnChromosome>>, EngineError> {
        if boxes.is_empty() {
            return Ok(Vec::new());
        }
        let Self { session, manifest, reader, .. } = self;
        let manifest = &*manifest;
        let (spec, thresholds) = (&manifest.input, &manifest.thresholds);
        let (side, step) = (spec.size.unwrap_or(96), manifest.output.subpixel);
        let shape = [boxes.len(), spec.channels, side, side];
        let inputs = [Input { name: &spec.tensor, shape: &shape, data: crops }];
        let mut drawn = Vec::with_capacity(boxes.len());
        let mut read = |first: usize, count: usize, outputs: Outputs| -> Result<(), EngineError> {
            let maps = output(&outputs, manifest)?;
            let expected = [count, manifest.output.maps.len() * step * step, side / step, side / step];
            if maps.shape != expected {
                return Err(ModelError::WrongShape {
                    model: manifest.name.clone(),
                    tensor: manifest.output.tensor.clone(),
                    expected: format!("{expected:?}"),
                    found: format!("{:?}", maps.shape),
                }
                .into());
            }
            let one = maps.data.len() / count;
            drawn.extend(boxes[first..first + count].iter().zip(maps.data.chunks_exact(one)).map(
                |(bounds, logits)| reader.read(logits, side, step, &CropSquare::of(bounds, median, spec), thresholds),
            ));
            Ok(())
        };
        // Maps are read beside the network's work on the next crops, which waits where the reader is two runs behind.
        let (maps, unread) = sync_channel(1);
        thread::scope(|scope| {
            let reading =
                scope.spawn(move || unread.iter().try_for_each(|(first, count, outputs)| read(first, count, outputs)));
            let run = run_over(&mut **session, boxes.len(), &inputs, |first, count, outputs| {
                // A reader that has gone has an error of its own to report.
                let _ = maps.send((first, count, outputs));
                Ok(())
            });
            drop(maps);
            let read = reading.join().unwrap_or_else(|panic| resume_unwind(panic));
            run.and(read)
        })?;
        Ok(drawn)
    }
}

/// Holes smaller than this share of the whole are noise.
const SMALLEST_HOLE: f32 = 0.02;
/// Half the side of the square that a centromere must be the hottest of, in pixels of the crop.
const PEAK_REACH: usize = 3;
/// Score from which a place may be a centromere.
const FAINT: f32 = 0.1;
/// Beyond this logit a probability is 0 or 1.
const SURE_LOGIT: f32 = 6.0;

fn sigmoid(v: f32) -> f32 {
    if v > SURE_LOGIT {
        1.0
    } else if v < -SURE_LOGIT {
        0.0
    } else {
        1.0 / (1.0 + (-v).exp())
    }
}

/// Reads the maps of one chromosome; keeps its buffers.
#[derive(Default)]
pub(super) struct MapReader {
    map: Vec<f32>,
    level: Vec<f32>,
    contours: Contours,
    rings: Vec<Vec<Point>>,
}

impl MapReader {
    /// `logits` are the channels of one crop of `size` pixels a side: three maps, each as `step`² channels. None where no pixel
    /// belongs to a chromosome.
    pub fn read(
        &mut self,
        logits: &[f32],
        size: usize,
        step: usize,
        square: &CropSquare,
        thresholds: &Thresholds,
    ) -> Option<DrawnChromosome> {
        let one = size * size;
        let [mask, heat, short] = [0, 1, 2].map(|k| &logits[k * one..(k + 1) * one]);
        whole_map(mask, size, step, &mut self.map);
        let cut = logit(thresholds.mask);
        let level = if cut == 0.0 {
            &self.map
        } else {
            self.level.clear();
            self.level.extend(self.map.iter().map(|v| v - cut));
            &self.level
        };
        self.rings.clear();
        let rings = &mut self.rings;
        let area = self.contours.trace(level, size, |ring| rings.push(ring.to_vec()));
        if area == 0 {
            return None;
        }
        let score = self.expected_overlap(size);
        let least = SMALLEST_HOLE * ring_area(&self.rings[0]);
        let rings = self.rings.iter().filter(|ring| ring_area(ring) >= least);
        let outline = Outline {
            source: FoundBy::Network,
            score,
            rings: rings
                .map(|ring| ring_corners(ring.iter().map(|p| square.in_frame(*p, size))))
                .filter(|ring| ring.len() >= 3)
                .collect(),
        };
        if outline.rings.is_empty() {
            return None;
        }
        let short_arm = self.short_arm(short, size, step, square);
        let mut centromeres = self.centromeres(heat, size, step, square, thresholds);
        let sure = centromeres.partition_point(|c| c.score >= thresholds.centromere);
        let faint = centromeres.split_off(sure);
        Some(DrawnChromosome { outline, centromeres, faint, short_arm, centromere_weight: thresholds.way_centromere })
    }

    /// What mask and chromosome share over what both have, by the probabilities of the pixels.
    fn expected_overlap(&self, size: usize) -> f32 {
        let (mut shared, mut inside, mut outside) = (0.0, 0.0, 0.0);
        for (y, row) in self.map.chunks_exact(size).enumerate() {
            let (left, piece) = self.contours.row(y);
            for (x, v) in above(row, -SURE_LOGIT) {
                if piece.get(x.wrapping_sub(left)).is_some_and(|own| *own) {
                    shared += sigmoid(v);
                    inside += 1.0;
                } else {
                    outside += sigmoid(v);
                }
            }
        }
        shared / (inside + outside)
    }

    /// From the middle of the half of the long arm to that of the short arm's; of bent ones, too.
    fn short_arm(&self, logits: &[f32], size: usize, step: usize, square: &CropSquare) -> Point {
        // A pixel of the channels is enough: the halves are large.
        let side = size / step;
        let (mut short, mut long) = ([0.0_f32; 3], [0.0_f32; 3]);
        for y in 0..side {
            let (left, piece) = self.contours.row(y * step);
            let first = left.div_ceil(step);
            let own = piece.get(first * step - left..).unwrap_or_default().iter().step_by(step);
            for x in own.zip(first..side).filter(|(own, _)| **own).map(|(_, x)| x) {
                let i = y * side + x;
                let mean = (0..step * step).map(|k| logits[k * side * side + i]).sum::<f32>() / (step * step) as f32;
                let p = sigmoid(mean);
                for (half, weight) in [(&mut short, p), (&mut long, 1.0 - p)] {
                    half[0] += weight * x as f32;
                    half[1] += weight * y as f32;
                    half[2] += weight;
                }
            }
        }
        let least = 0.02 * (short[2] + long[2]);
        if short[2] <= least || long[2] <= least {
            return [0.0, 0.0];
        }
        let scale = square.side / side as f32;
        [0, 1].map(|axis| (short[axis] / short[2] - long[axis] / long[2]) * scale)
    }

    /// Places of the heat, the hottest first.
    fn centromeres(
        &self,
        channels: &[f32],
        size: usize,
        step: usize,
        square: &CropSquare,
        thresholds: &Thresholds,
    ) -> Vec<Centromere> {
        let least = logit(thresholds.centromere.min(FAINT));
        let side = size / step;
        // Most of the map is cold: it is not put together.
        let heat = |x: usize, y: usize| {
            let channel = y % step * step + x % step;
            channels[channel * side * side + y / step * side + x / step]
        };
        let warm = above(channels, least.next_down()).map(|(i, _)| {
            let (channel, place) = (i / (side * side), i % (side * side));
            let (x, y) = (place % side * step + channel % step, place / side * step + channel / step);
            y * size + x
        });
        let mut warm: Vec<usize> = warm.collect();
        warm.sort_unstable();
        let near = |i: usize, reach: usize| {
            let (x, y) = (i % size, i / size);
            let columns = x.saturating_sub(reach)..(x + reach + 1).min(size);
            (y.saturating_sub(reach)..(y + reach + 1).min(size)).flat_map(move |y| columns.clone().map(move |x| (x, y)))
        };
        let mut found: Vec<(f32, Point)> = Vec::new();
        for i in warm {
            let value = heat(i % size, i / size);
            // Inside the drawn chromosome or a pixel from it, as the contract has it: by a probability of a half.
            if near(i, PEAK_REACH).any(|(x, y)| heat(x, y) > value)
                || near(i, 1).all(|(x, y)| self.map[y * size + x] <= 0.0)
            {
                continue;
            }
            let mut sum = [0.0_f32; 3];
            for (x, y) in near(i, thresholds.centromere_reach) {
                let weight = (1.0 / (1.0 + (-heat(x, y)).exp())).powi(2);
                sum[0] += weight * (x as f32 + 0.5);
                sum[1] += weight * (y as f32 + 0.5);
                sum[2] += weight;
            }
            found.push((1.0 / (1.0 + (-value).exp()), [sum[0] / sum[2], sum[1] / sum[2]]));
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut kept: Vec<(f32, Point)> = Vec::new();
        for one in found {
            let apart = |k: &(f32, Point)| (k.1[0] - one.1[0]).hypot(k.1[1] - one.1[1]) >= thresholds.centromere_apart;
            if kept.iter().all(apart) {
                kept.push(one);
            }
        }
        kept.into_iter()
            .map(|(score, at)| Centromere {
                at: square.in_frame(at, size).map(to_tenths),
                score,
                source: FoundBy::Network,
            })
            .collect()
    }
}

/// Values above a bound and their places. Most are not: sixteen at a time are looked at.
fn above(values: &[f32], bound: f32) -> impl Iterator<Item = (usize, f32)> {
    const AT_ONCE: usize = 16;
    let parts = values.chunks(AT_ONCE).enumerate();
    parts.filter(move |(_, part)| part.iter().fold(false, |any, v| any | (*v > bound))).flat_map(move |(k, part)| {
        let own = part.iter().enumerate().filter(move |(_, v)| **v > bound);
        own.map(move |(i, v)| (k * AT_ONCE + i, *v))
    })
}

/// A map from its channels.
fn whole_map(channels: &[f32], size: usize, step: usize, out: &mut Vec<f32>) {
    let side = size / step;
    out.resize(size * size, 0.0);
    for (y, line) in out.chunks_exact_mut(size).enumerate() {
        let of_row = &channels[y % step * step * side * side..];
        let row = |column: usize| &of_row[column * side * side + y / step * side..][..side];
        if step == 2 {
            let pairs = line.as_chunks_mut::<2>().0.iter_mut().zip(row(0)).zip(row(1));
            pairs.for_each(|((pair, left), right)| *pair = [*left, *right]);
        } else {
            for column in 0..step {
                line[column..].iter_mut().step_by(step).zip(row(column)).for_each(|(value, logit)| *value = *logit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imaging::{Rect, fill_rings};

    const SIZE: usize = 96;
    const SQUARE: CropSquare = CropSquare { middle: [210.3, 148.8], side: 120.0 };

    fn thresholds() -> Thresholds {
        Thresholds { mask: 0.6, centromere: 0.3, centromere_apart: 3.0, ..Thresholds::default() }
    }

    /// Channels of three maps, each given by its logit at a place of the frame.
    fn channels(maps: [&dyn Fn(f32, f32) -> f32; 3]) -> Vec<f32> {
        let mut out = vec![0.0; 3 * SIZE * SIZE];
        for (k, map) in maps.iter().enumerate() {
            for i in 0..SIZE * SIZE {
                let (x, y) = (i % SIZE, i / SIZE);
                let [fx, fy] = SQUARE.in_frame([x as f32 + 0.5, y as f32 + 0.5], SIZE);
                let channel = 4 * k + 2 * (y % 2) + x % 2;
                out[channel * 48 * 48 + (y / 2) * 48 + x / 2] = map(fx, fy);
            }
        }
        out
    }

    /// Logit of an upright bar from (200, 110) to (218, 190), steep at its edge.
    fn bar(x: f32, y: f32) -> f32 {
        3.0 * (9.0 - (x - 209.0).abs()).min(40.0 - (y - 150.0).abs())
    }

    fn spot(x: f32, y: f32, at: Point) -> f32 {
        logit((-((x - at[0]).powi(2) + (y - at[1]).powi(2)) / (2.0 * 2.5 * 2.5)).exp().clamp(1e-4, 0.95))
    }

    fn read(maps: [&dyn Fn(f32, f32) -> f32; 3]) -> Option<DrawnChromosome> {
        MapReader::default().read(&channels(maps), SIZE, 2, &SQUARE, &thresholds())
    }

    #[test]
    fn what_was_drawn_comes_back_in_the_frame_to_half_a_pixel() {
        let upper = |_: f32, y: f32| if y < 150.0 { 4.0 } else { -4.0 };
        let drawn = read([&bar, &|x, y| spot(x, y, [209.0, 138.0]), &upper]).unwrap();
        let b = drawn.outline.bounds().unwrap();
        // At a probability of 0.6 the edge lies 0.135 pixels further in.
        for (found, truth) in [(b.x, 200.1), (b.y, 110.1), (b.right(), 217.9), (b.bottom(), 189.9)] {
            assert!((found - truth).abs() < 0.3, "{b:?}");
        }
        let mask = fill_rings(&drawn.outline.rings, Rect { left: 150, top: 90, right: 270, bottom: 210 });
        assert_eq!(mask.iter().map(|m| usize::from(*m)).sum::<usize>(), 18 * 80);
        assert!(drawn.outline.score > 0.9, "{}", drawn.outline.score);
        let [centromere] = drawn.centromeres[..] else { panic!("{:?}", drawn.centromeres) };
        assert!((centromere.at[0] - 209.0).abs() < 0.5 && (centromere.at[1] - 138.0).abs() < 0.5, "{centromere:?}");
        assert!(centromere.score > 0.8);
        // The halves' middles are 40 pixels apart, the short arm's above.
        assert!(drawn.short_arm[0].abs() < 1.0 && (drawn.short_arm[1] + 38.0).abs() < 3.0, "{:?}", drawn.short_arm);
    }

    #[test]
    fn two_centromeres_are_two_and_heat_beside_the_chromosome_is_none() {
        let two = |x: f32, y: f32| spot(x, y, [209.0, 130.0]).max(spot(x, y, [209.0, 170.0]));
        let drawn = read([&bar, &two, &|_, _| 0.0]).unwrap();
        assert_eq!(drawn.centromeres.len(), 2);
        assert!(drawn.short_arm[1].abs() < 0.5, "{:?}", drawn.short_arm);
        let beside = read([&bar, &|x, y| spot(x, y, [240.0, 150.0]), &|_, _| 0.0]).unwrap();
        assert!(beside.centromeres.is_empty());
    }

    #[test]
    fn a_ring_has_a_hole_and_specks_beside_it_are_left_out() {
        let ring = |x: f32, y: f32| {
            let r = (x - 205.0).hypot(y - 150.0);
            (3.0 * (6.0 - (r - 16.0).abs())).max(3.0 * (2.0 - (x - 250.0).hypot(y - 190.0)))
        };
        let drawn = read([&ring, &|_, _| -9.0, &|_, _| 0.0]).unwrap();
        assert_eq!(drawn.outline.rings.len(), 2);
        let truth = std::f32::consts::PI * (22.0_f32.powi(2) - 10.0_f32.powi(2));
        assert!((drawn.outline.area() / truth - 1.0).abs() < 0.05, "{}", drawn.outline.area());
        assert!(drawn.outline.bounds().unwrap().right() < 230.0);
    }

    #[test]
    fn a_network_that_sees_nothing_draws_nothing() {
        assert!(read([&|_, _| -5.0, &|_, _| 5.0, &|_, _| 0.0]).is_none());
        // Above a half and below the threshold.
        assert!(read([&|_, _| 0.2, &|_, _| 5.0, &|_, _| 0.0]).is_none());
    }

    #[test]
    fn a_vague_mask_has_a_low_score() {
        let vague = |x: f32, y: f32| bar(x, y).clamp(-0.5, 0.5);
        assert!(read([&vague, &|_, _| -9.0, &|_, _| 0.0]).unwrap().outline.score < 0.3);
    }

    /// A figure for docs/reference/performance.md: `cargo test -p metaphased-recognition reading_time -- --ignored --nocapture`.
    #[test]
    #[ignore = "measures time"]
    fn reading_time() {
        let channels = channels([&bar, &|x, y| spot(x, y, [209.0, 138.0]), &|_, y| (150.0 - y) / 10.0]);
        let mut reader = MapReader::default();
        let once = |reader: &mut MapReader| {
            let begun = std::time::Instant::now();
            std::hint::black_box(reader.read(&channels, SIZE, 2, &SQUARE, &thresholds()));
            begun.elapsed()
        };
        // The shortest of many: what else runs on the machine does not count.
        println!("{:?} a chromosome", (0..2000).map(|_| once(&mut reader)).min());
    }
}
