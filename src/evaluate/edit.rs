//! Real cells with a known change: a homologue pasted in, a chromosome painted out, or (as a negative) one moved.
//!
//! A copy is turned by a quarter, a half or three quarters and laid on free background; what is painted out takes
//! the grain of the background beside it. Only chromosomes that no other box touches are changed.

use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use domain::{
    BoundingBox, ChromosomeClass,
    frame::{Frame, PixelBuffer, PixelFormat, PixelView, Pixels},
};
use imaging::{Crop, full_range, luma};

use super::dataset::TruthBox;

/// What was done to a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edit {
    /// A homologue was pasted in.
    Gain,
    /// A chromosome was painted out.
    Loss,
    /// A chromosome was moved: nothing changed in number.
    Sham,
}

impl Edit {
    /// All edits.
    pub const ALL: [Self; 3] = [Self::Gain, Self::Loss, Self::Sham];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gain => "gain",
            Self::Loss => "loss",
            Self::Sham => "sham",
        }
    }
}

/// An edit that was made: with the seed it can be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedEdit {
    /// What was done.
    pub edit: Edit,
    /// Class of the chromosome that was pasted in, painted out or moved.
    pub class: ChromosomeClass,
    /// Seed of the choice of chromosome and place.
    pub seed: u64,
}

/// An edited cell.
pub(super) struct Edited {
    pub frame: Frame,
    /// Class of the chromosome that was pasted in, painted out or moved.
    pub class: ChromosomeClass,
    /// The boxes afterwards.
    pub truth: Vec<TruthBox>,
}

struct Gray {
    width: usize,
    height: usize,
    samples: Vec<u8>,
}

/// Changes a cell; none where no chromosome or no place is free for it.
pub(super) fn edit(frame: Frame, truth: &[TruthBox], edit: Edit, bright: bool, seed: u64) -> Option<Edited> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut image = gray(&frame.pixels);
    let free = |t: &&TruthBox| truth.iter().filter(|o| o.bounds.intersection(&t.bounds) > 0.0).count() == 1;
    let candidates: Vec<&TruthBox> = truth.iter().filter(free).filter(|t| t.class.is_some()).collect();
    let number = |class: ChromosomeClass| truth.iter().filter(|t| t.class == Some(class)).count();
    let mut classes: Vec<ChromosomeClass> = candidates.iter().filter_map(|t| t.class).collect();
    classes.sort();
    classes.dedup();
    // A cell without X does not live: such an edit would be no loss that anybody meets.
    classes.retain(|c| edit != Edit::Loss || *c != ChromosomeClass::X || number(*c) > 1);
    for _ in 0..24 {
        let class = *classes.choose(&mut rng)?;
        let of_class: Vec<&&TruthBox> = candidates.iter().filter(|t| t.class == Some(class)).collect();
        let source = of_class.choose(&mut rng)?.bounds;
        let Some(cut) = cut(&image, &source, bright) else { continue };
        let place = match edit {
            Edit::Loss => None,
            _ => match free_place(&image, &cut, truth, bright, &mut rng) {
                Some(place) => Some(place),
                None => continue,
            },
        };
        if edit != Edit::Gain {
            paint_out(&mut image, &cut, bright, &mut rng);
        }
        let mut boxes = truth.to_vec();
        if edit != Edit::Gain {
            boxes.retain(|t| t.bounds != source);
        }
        if let Some((x, y, quarters)) = place {
            paste(&mut image, &cut, x, y, quarters, bright);
            let (w, h) = cut.turned(quarters);
            let bounds = BoundingBox { x: x as f32, y: y as f32, width: w as f32, height: h as f32 };
            boxes.push(TruthBox { bounds, class: Some(class) });
        }
        let buffer = PixelBuffer::from_bytes(&image.samples);
        let pixels = Pixels::new(buffer, PixelFormat::Mono8, image.width, image.height, 8).ok()?;
        return Some(Edited { frame: Frame { info: frame.info, pixels }, class, truth: boxes });
    }
    None
}

fn gray(pixels: &Pixels) -> Gray {
    let samples = match pixels.view() {
        PixelView::Mono8(s) => s.to_vec(),
        PixelView::Mono16(s) => s.iter().map(|v| full_range(*v, pixels.valid_bits())).collect(),
        PixelView::Rgb8(s) => s.as_chunks::<3>().0.iter().map(|rgb| luma(*rgb)).collect(),
    };
    Gray { width: pixels.width(), height: pixels.height(), samples }
}

/// A chromosome cut out of its box.
struct Cut {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    samples: Vec<u8>,
    /// The chromosome, a little grown.
    mask: Vec<bool>,
    /// Level of the background beside it.
    background: u8,
}

impl Cut {
    /// Width and height after so many quarter turns.
    fn turned(&self, quarters: u8) -> (usize, usize) {
        if quarters.is_multiple_of(2) { (self.width, self.height) } else { (self.height, self.width) }
    }
}

fn cut(image: &Gray, bounds: &BoundingBox, bright: bool) -> Option<Cut> {
    let b = bounds.clipped(image.width as f32, image.height as f32);
    let (left, top) = (b.x as usize, b.y as usize);
    let (width, height) = ((b.right() as usize).min(image.width) - left, (b.bottom() as usize).min(image.height) - top);
    if width < 6 || height < 6 {
        return None;
    }
    let samples: Vec<u8> =
        (0..height).flat_map(|y| image.samples[(top + y) * image.width + left..][..width].iter().copied()).collect();
    let crop = Crop { width, height, pixels: samples.clone(), mask: Vec::new(), bright };
    let piece = crop.chromosome_mask()?;
    let inside: Vec<bool> =
        (0..width * height).map(|i| piece.darkness((i % width) as f32, (i / width) as f32).is_some()).collect();
    let area = inside.iter().filter(|m| **m).count();
    // Nearly the whole box, or hardly any of it: the cut has failed.
    if area * 20 < width * height || area * 20 > 19 * width * height {
        return None;
    }
    let reach = 2_isize;
    let mask: Vec<bool> = (0..width * height)
        .map(|i| {
            let (x, y) = ((i % width) as isize, (i / width) as isize);
            (-reach..=reach).any(|dy| {
                (-reach..=reach).any(|dx| {
                    let (px, py) = (x + dx, y + dy);
                    px >= 0
                        && py >= 0
                        && (px as usize) < width
                        && (py as usize) < height
                        && inside[py as usize * width + px as usize]
                })
            })
        })
        .collect();
    let mut around: Vec<u8> = samples.iter().zip(&mask).filter(|(_, m)| !**m).map(|(s, _)| *s).collect();
    if around.len() < 8 {
        return None;
    }
    around.sort_unstable();
    let background = around[around.len() / 2];
    Some(Cut { left, top, width, height, samples, mask, background })
}

/// A place for a copy that touches no box and is nothing but background: left, top and quarter turns.
fn free_place(
    image: &Gray,
    cut: &Cut,
    truth: &[TruthBox],
    bright: bool,
    rng: &mut ChaCha8Rng,
) -> Option<(usize, usize, u8)> {
    for _ in 0..400 {
        let quarters = rng.random_range(0..4_u8);
        let (w, h) = cut.turned(quarters);
        if w + 4 >= image.width || h + 4 >= image.height {
            return None;
        }
        let (x, y) = (rng.random_range(2..image.width - w - 2), rng.random_range(2..image.height - h - 2));
        let place = BoundingBox { x: x as f32 - 2.0, y: y as f32 - 2.0, width: w as f32 + 4.0, height: h as f32 + 4.0 };
        if truth.iter().any(|t| t.bounds.intersection(&place) > 0.0) {
            continue;
        }
        let stained = (y..y + h)
            .flat_map(|row| &image.samples[row * image.width + x..][..w])
            .filter(|s| {
                let darker = if bright {
                    i16::from(**s) - i16::from(cut.background)
                } else {
                    i16::from(cut.background) - i16::from(**s)
                };
                darker > 40
            })
            .count();
        if stained * 200 < w * h {
            return Some((x, y, quarters));
        }
    }
    None
}

fn paint_out(image: &mut Gray, cut: &Cut, _bright: bool, rng: &mut ChaCha8Rng) {
    let background: Vec<u8> = cut.samples.iter().zip(&cut.mask).filter(|(_, m)| !**m).map(|(s, _)| *s).collect();
    // The middle half of the background's levels: its grain without specks.
    let mut sorted = background.clone();
    sorted.sort_unstable();
    let (low, high) = (sorted[sorted.len() / 4], sorted[3 * sorted.len() / 4]);
    for (i, _) in cut.mask.iter().enumerate().filter(|(_, m)| **m) {
        let (x, y) = (cut.left + i % cut.width, cut.top + i / cut.width);
        image.samples[y * image.width + x] = rng.random_range(low..=high);
    }
}

fn paste(image: &mut Gray, cut: &Cut, x: usize, y: usize, quarters: u8, bright: bool) {
    let (w, h) = cut.turned(quarters);
    for ty in 0..h {
        for tx in 0..w {
            let (sx, sy) = match quarters {
                0 => (tx, ty),
                1 => (ty, cut.height - 1 - tx),
                2 => (cut.width - 1 - tx, cut.height - 1 - ty),
                _ => (cut.width - 1 - ty, tx),
            };
            let i = sy * cut.width + sx;
            if !cut.mask[i] {
                continue;
            }
            let at = &mut image.samples[(y + ty) * image.width + x + tx];
            // What the chromosome takes from the light (or adds to it) is taken at the new place.
            *at = if bright {
                at.saturating_add(cut.samples[i].saturating_sub(cut.background))
            } else {
                at.saturating_sub(cut.background.saturating_sub(cut.samples[i]))
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::frame::FrameInfo;

    fn cell() -> (Frame, Vec<TruthBox>) {
        let (width, height) = (200, 160);
        let mut samples = vec![220_u8; width * height];
        let mut truth = Vec::new();
        for (n, class) in ["1", "1", "21"].iter().enumerate() {
            let (left, top) = (20 + 60 * n, 20);
            for y in top..top + 40 {
                samples[y * width + left..y * width + left + 10].fill(60);
            }
            let bounds = BoundingBox { x: left as f32 - 5.0, y: top as f32 - 5.0, width: 20.0, height: 50.0 };
            truth.push(TruthBox { bounds, class: class.parse().ok() });
        }
        let pixels = Pixels::new(PixelBuffer::from_bytes(&samples), PixelFormat::Mono8, width, height, 8).unwrap();
        (Frame { info: FrameInfo::of_tool("test"), pixels }, truth)
    }

    fn dark(frame: &Frame) -> usize {
        gray(&frame.pixels).samples.iter().filter(|s| **s < 120).count()
    }

    #[test]
    fn edits_change_the_stained_area_by_one_chromosome_or_not_at_all() {
        for seed in 0..5 {
            let one = 400.0;
            for (what, change) in [(Edit::Gain, 1.0), (Edit::Loss, -1.0), (Edit::Sham, 0.0)] {
                let (frame, truth) = cell();
                let before = dark(&frame) as f64;
                let edited = edit(frame, &truth, what, false, seed).unwrap();
                let after = dark(&edited.frame) as f64;
                assert!((after - before - change * one).abs() < 0.05 * one, "{what:?}: {before} {after}");
                assert!(["1", "21"].contains(&edited.class.name()));
                assert_eq!(edited.truth.len() as f64, 3.0 + change);
                // Every box afterwards holds a chromosome.
                for t in &edited.truth {
                    let b = t.bounds;
                    let image = gray(&edited.frame.pixels);
                    let inside = (b.y as usize..b.bottom() as usize)
                        .flat_map(|y| &image.samples[y * 200 + b.x as usize..y * 200 + b.right() as usize]);
                    assert!(inside.filter(|s| **s < 120).count() > 300, "{what:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn a_crowded_cell_is_left_alone() {
        let (frame, mut truth) = cell();
        let all = BoundingBox { x: 0.0, y: 0.0, width: 200.0, height: 160.0 };
        truth.push(TruthBox { bounds: all, class: None });
        assert!(edit(frame, &truth, Edit::Gain, false, 1).is_none());
    }
}
