//! The classifier on boxes or single chromosomes that a person cut.

use std::path::{Path, PathBuf};

use domain::{
    BoundingBox, ChromosomeClass, Stain,
    frame::{PixelView, Pixels},
};
use karyotype::{Evidence, assign, assign_closed};
use recognition::{
    Classifier, Item, LogProbs, Plane, evidence,
    inference::{InputSpec, ModelFolder, Task, View},
    median_diagonal,
};

use super::{
    EvaluateError, Report, Setup,
    dataset::{Content, SingleCell, SingleChromosome, Skipped},
    fields::best,
    frame_of,
    metrics::{Bootstrap, Confusion, calibration_error, macro_f1},
    report::class_names,
};

/// Answers for the chromosomes of one cell.
struct CellAnswers {
    patient: String,
    truth: Vec<ChromosomeClass>,
    upright: Vec<LogProbs>,
    flipped: Vec<LogProbs>,
    /// No detector ran, so every object counts as found for sure.
    assigned: Vec<Option<ChromosomeClass>>,
    closed: Vec<ChromosomeClass>,
}

/// `evaluate classifier`.
pub fn run(setup: &Setup<'_>) -> Result<Report, EvaluateError> {
    let view = match setup.data.content {
        Content::Fields(_) => View::Field,
        Content::Singles(_) => View::Single,
        Content::Labelled(_) => return Err(setup.data.wrong("boxes or single chromosomes with a class").into()),
    };
    let stain = match &setup.data.content {
        Content::Singles(cells) if setup.stain.is_none() && background_is_dark(cells) => Stain::QBand,
        _ => setup.stain(),
    };
    let model = model(setup, stain, view)?;
    let mut classifier = Classifier::load(&*setup.engine.engine, &model, setup.precision)?;
    let mut report = Report::new("classifier", setup);
    report.models.insert("classifier".to_owned(), classifier.label().to_owned());
    let mut answers = Vec::new();
    let total = setup.data.len();
    let mut done = 0;
    let mut take = |name: &str, cell: Result<Option<CellAnswers>, String>, skipped: &mut Vec<Skipped>| {
        match cell {
            Ok(cell) => answers.extend(cell),
            Err(reason) => skipped.push(Skipped { item: name.to_owned(), reason: format!("{reason}: left out") }),
        }
        done += 1;
        (setup.progress)(done, total);
    };
    match &setup.data.content {
        Content::Fields(fields) => {
            for field in fields {
                let cell = frame_of(&field.path).and_then(|frame| {
                    let spec = &classifier.manifest().input;
                    let mut plane = Plane::default();
                    let (width, height) = (frame.pixels.width(), frame.pixels.height());
                    let whole = BoundingBox::from_corners(0.0, 0.0, width as f32, height as f32);
                    plane.fill(&frame.pixels, &whole, stain, spec);
                    let boxes: Vec<_> = field.truth.iter().filter_map(|t| Some((t.bounds, t.class?))).collect();
                    let planes = vec![&plane; boxes.len()];
                    answer(&mut classifier, setup, &field.patient, &planes, &boxes)
                });
                take(&field.name, cell, &mut report.data.skipped);
            }
        }
        Content::Singles(cells) => {
            let mut sheet = Sheet::default();
            for cell in cells {
                let mut planes = Vec::new();
                let mut boxes = Vec::new();
                for single in &cell.chromosomes {
                    match cut_single(&mut sheet, single, stain, &classifier.manifest().input) {
                        Ok(plane) => {
                            let (w, h) = (plane.width as f32, plane.height as f32);
                            boxes.push((BoundingBox::from_corners(0.0, 0.0, w, h), single.class));
                            planes.push(plane);
                        }
                        Err(reason) => {
                            let item = single.path.display().to_string();
                            report.data.skipped.push(Skipped { item, reason: format!("{reason}: left out") });
                        }
                    }
                }
                let planes: Vec<&Plane> = planes.iter().collect();
                let answers = answer(&mut classifier, setup, &cell.patient, &planes, &boxes);
                take(&cell.name, answers, &mut report.data.skipped);
            }
        }
        Content::Labelled(_) => {}
    }
    if answers.is_empty() {
        return Err(setup.data.empty().into());
    }
    report.data.images = answers.len();
    measure(&answers, &mut report);
    Ok(report)
}

fn model(setup: &Setup<'_>, stain: Stain, view: View) -> Result<ModelFolder, EvaluateError> {
    match setup.model {
        Some(name) => Ok(setup.library.named(name)?),
        None => Ok(setup.library.serving(Task::Classifier, stain, view)?),
    }
}

/// Both ways up, and the assignments over the cell.
fn answer(
    classifier: &mut Classifier,
    setup: &Setup<'_>,
    patient: &str,
    planes: &[&Plane],
    boxes: &[(BoundingBox, ChromosomeClass)],
) -> Result<Option<CellAnswers>, String> {
    if boxes.is_empty() {
        return Ok(None);
    }
    let median = median_diagonal(boxes.iter().map(|(bounds, _)| bounds));
    let mut both = [false, true].map(|flip| {
        let items: Vec<Item<'_>> = planes
            .iter()
            .zip(boxes)
            .enumerate()
            // Every other chromosome is turned, the same ones in every run.
            .map(|(i, (plane, (bounds, _)))| Item { plane, bounds: *bounds, flipped: flip && i % 2 == 1 })
            .collect();
        let classified = classifier.classify(&items, median).map_err(|error| error.to_string())?;
        Ok::<_, String>(classified.into_iter().map(|c| c.log_probs).collect())
    });
    let flipped = std::mem::replace(&mut both[1], Ok(Vec::new()))?;
    let upright = std::mem::replace(&mut both[0], Ok(Vec::new()))?;
    let evidence: Vec<Evidence> = upright.iter().map(|log_probs| evidence(log_probs, 0.999)).collect();
    let assigned = assign(&evidence, setup.karyotype.judged(false)).classes;
    let closed = assign_closed(&evidence, setup.karyotype.judged(false));
    let truth = boxes.iter().map(|(_, class)| *class).collect();
    Ok(Some(CellAnswers { patient: patient.to_owned(), truth, upright, flipped, assigned, closed }))
}

fn measure(answers: &[CellAnswers], report: &mut Report) {
    let bootstrap = Bootstrap::over(answers.iter().map(|cell| cell.patient.as_str()));
    let share = |right: &dyn Fn(&CellAnswers, usize) -> bool| {
        let parts: Vec<(f64, f64)> = answers
            .iter()
            .map(|cell| {
                let n = cell.truth.len();
                ((0..n).filter(|i| right(cell, *i)).count() as f64, n as f64)
            })
            .collect();
        bootstrap.ratio(&parts)
    };
    let n = answers.iter().map(|cell| cell.truth.len()).sum();
    let right = |log_probs: &LogProbs, truth: ChromosomeClass| best(log_probs) == truth.index();
    let figures = &mut report.figures;
    figures.push("accuracy", share(&|cell, i| right(&cell.upright[i], cell.truth[i])));
    figures.push("accuracy_flipped", share(&|cell, i| right(&cell.flipped[i], cell.truth[i])));
    figures.push("accuracy_assigned", share(&|cell, i| cell.assigned[i] == Some(cell.truth[i])));
    figures.push(
        "accuracy_assigned_closed",
        share(&|cell, i| cell.closed.get(i).is_some_and(|class| *class == cell.truth[i])),
    );
    let pairs = |weights: &[u32]| {
        let mut all = Vec::new();
        for (cell, weight) in answers.iter().zip(weights) {
            all.extend(cell.truth.iter().zip(&cell.upright).map(|(t, p)| (t.index(), best(p), *weight)));
        }
        macro_f1(all.into_iter(), ChromosomeClass::COUNT)
    };
    figures.push("macro_f1", bootstrap.figure(n, pairs));
    let calibration = |weights: &[u32]| {
        let mut all = Vec::new();
        for (cell, weight) in answers.iter().zip(weights) {
            for (truth, log_probs) in cell.truth.iter().zip(&cell.upright) {
                let answer = best(log_probs);
                all.push((f64::from(log_probs[answer].exp()), answer == truth.index(), *weight));
            }
        }
        calibration_error(all.into_iter())
    };
    figures.push("ece", bootstrap.figure(n, calibration));
    let mut confusion = Confusion::new(class_names());
    for cell in answers {
        for (truth, log_probs) in cell.truth.iter().zip(&cell.upright) {
            confusion.add(truth.index(), best(log_probs));
        }
    }
    report.set_confusion(confusion);
}

/// The sheet read last: its chromosomes come one after the other.
#[derive(Default)]
struct Sheet {
    path: PathBuf,
    grey: Plane,
}

impl Sheet {
    fn open(&mut self, path: &Path) -> Result<&Plane, String> {
        if self.path != path {
            self.path = PathBuf::new();
            self.grey = grey_of(&frame_of(path)?.pixels);
            self.path = path.to_owned();
        }
        Ok(&self.grey)
    }
}

/// 8-bit grey of a picture, levels as they are.
fn grey_of(pixels: &Pixels) -> Plane {
    let data = match pixels.view() {
        PixelView::Mono8(samples) => samples.to_vec(),
        PixelView::Mono16(samples) => {
            let shift = pixels.valid_bits().saturating_sub(8);
            samples.iter().map(|v| (v >> shift).min(255) as u8).collect()
        }
        // Equal channels in every set of singles known; the green one stands for all.
        PixelView::Rgb8(samples) => samples.chunks_exact(3).map(|rgb| rgb[1]).collect(),
    };
    Plane { data, width: pixels.width(), height: pixels.height(), left: 0, top: 0 }
}

/// A single chromosome dark on white, trimmed and with its grey levels spread as the model wants it.
fn cut_single(sheet: &mut Sheet, single: &SingleChromosome, stain: Stain, spec: &InputSpec) -> Result<Plane, String> {
    let grey = sheet.open(&single.path)?;
    let [x, y, width, height] = single.place.unwrap_or([0, 0, grey.width, grey.height]);
    if x + width > grey.width || y + height > grey.height {
        return Err(format!(
            "place [{x}, {y}, {width}, {height}] leaves the sheet of {} x {}",
            grey.width, grey.height
        ));
    }
    let invert = stain.is_fluorescence();
    let mut data = Vec::with_capacity(width * height);
    for row in y..y + height {
        let line = &grey.data[row * grey.width + x..row * grey.width + x + width];
        data.extend(line.iter().map(|v| if invert { 255 - v } else { *v }));
    }
    let mut plane = Plane { data, width, height, left: 0, top: 0 };
    if let Some(blank) = spec.trim {
        trim(&mut plane, blank);
    }
    if let Some(stretch) = spec.stretch {
        spread(&mut plane.data, stretch.percentile, stretch.level);
    }
    Ok(plane)
}

/// Cuts off rows and columns at the edges with no pixel as dark as `blank`.
fn trim(plane: &mut Plane, blank: u8) {
    let (width, height) = (plane.width, plane.height);
    let dark_row = |y: &usize| plane.data[y * width..(y + 1) * width].iter().any(|v| *v <= blank);
    let dark_column = |x: &usize| (0..height).any(|y| plane.data[y * width + x] <= blank);
    let (Some(top), Some(bottom)) = ((0..height).find(dark_row), (0..height).rev().find(dark_row)) else { return };
    let (Some(left), Some(right)) = ((0..width).find(dark_column), (0..width).rev().find(dark_column)) else { return };
    let data = (top..=bottom).flat_map(|y| plane.data[y * width + left..=y * width + right].iter().copied()).collect();
    *plane = Plane { data, width: right - left + 1, height: bottom - top + 1, left: 0, top: 0 };
}

/// Sends the darkest share of the pixels to `level` and leaves white in place.
fn spread(data: &mut [u8], percentile: f32, level: f32) {
    let mut histogram = [0usize; 256];
    for value in data.iter() {
        histogram[usize::from(*value)] += 1;
    }
    let wanted = f64::from(percentile) * data.len() as f64;
    let mut sum = 0usize;
    let low = histogram
        .iter()
        .position(|count| {
            sum += count;
            sum as f64 >= wanted
        })
        .unwrap_or(0)
        .min(254) as f32;
    let gain = (255.0 - level) / (255.0 - low);
    for value in data {
        *value = ((f32::from(*value) - low) * gain + level).round_ties_even().clamp(0.0, 255.0) as u8;
    }
}

/// Whether singles lie on black: the corners of the first few of them.
fn background_is_dark(cells: &[SingleCell]) -> bool {
    let mut sheet = Sheet::default();
    let mut corners = Vec::new();
    for single in cells.iter().flat_map(|cell| &cell.chromosomes).take(30) {
        let Ok(grey) = sheet.open(&single.path) else { continue };
        let [x, y, width, height] = single.place.unwrap_or([0, 0, grey.width, grey.height]);
        for (cx, cy) in [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)] {
            corners.push(grey.at((x + cx) as isize, (y + cy) as isize, 255));
        }
    }
    corners.sort_unstable();
    corners.get(corners.len() / 2).is_some_and(|middle| *middle < 128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_is_trimmed_and_its_levels_are_spread() {
        let mut plane = Plane { data: vec![255; 30], width: 6, height: 5, left: 0, top: 0 };
        for (x, y, v) in [(2, 1, 100), (3, 1, 100), (2, 2, 120), (3, 3, 240)] {
            plane.data[y * 6 + x] = v;
        }
        trim(&mut plane, 247);
        assert_eq!((plane.width, plane.height), (2, 3));
        spread(&mut plane.data, 0.02, 20.0);
        assert_eq!(plane.data[..3], [20, 20, 50]);
        assert_eq!(plane.data[4], 255);
        let mut empty = Plane { data: vec![255; 4], width: 2, height: 2, left: 0, top: 0 };
        trim(&mut empty, 247);
        assert_eq!(empty.width, 2, "an empty picture stays as it is");
    }
}
