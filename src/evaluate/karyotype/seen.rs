//! What the networks saw of each cell, and what is known of it: gathered once, then judged as often as one likes.

use std::{
    fs,
    io::{BufRead, BufReader, BufWriter, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::evaluate::{
    EvaluateError, Setup,
    dataset::{Field, Skipped, TruthBox},
    edit::{Edit, edit},
    fields::{no_model, open},
    frame_of,
};
use domain::{BoundingBox, ChromosomeClass, Stain, Status, frame::Frame};
use recognition::{Candidate, ComposedRecognizer, LogProbs, Recognised, Recognizer, Region, inference::Calibration};

use super::changes::{self, Changes};

/// A cell after the networks.
pub(super) struct RecognisedCell {
    pub name: String,
    pub patient: String,
    /// How it was changed, and the class of the chromosome that was.
    pub edit: Option<(Edit, ChromosomeClass)>,
    /// What is known of its numbers.
    pub truth: Changes,
    /// The boxes that a person drew, changed with the cell.
    pub boxes: Vec<TruthBox>,
    /// Width and height of the picture.
    pub size: [u32; 2],
    pub recognised: Recognised,
}

/// All cells that were asked for, and the models that looked at them.
pub(super) struct Gathered {
    pub cells: Vec<RecognisedCell>,
    pub models: std::collections::BTreeMap<String, String>,
    pub calibration: Calibration,
    pub skipped: Vec<Skipped>,
}

/// Which cells a run wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    /// The cells as they are.
    pub real: bool,
    /// So many changed ones.
    pub edited: usize,
}

/// Runs the networks over the cells, or reads what they gave from the file that the set-up names.
pub(super) fn gather(setup: &Setup<'_>, wanted: Wanted) -> Result<Gathered, EvaluateError> {
    let mut recognizer = open(setup, setup.model, None)?;
    let Some(calibration) = recognizer.detector().map(|detector| detector.manifest().calibration) else {
        return Err(no_model("karyotype", &recognizer));
    };
    let models = recognizer.provenance().models.clone();
    let mut gathered = Gathered { cells: Vec::new(), models, calibration, skipped: Vec::new() };
    if let Some(path) = setup.candidates
        && path.exists()
    {
        read(path, setup, wanted, &mut gathered)?;
        return Ok(gathered);
    }
    let usable = if wanted.edited > 0 { usable(setup)? } else { Vec::new() };
    let fields = if wanted.real { setup.data.fields()? } else { &[] };
    let all = fields.len() + wanted.edited;
    for (done, field) in fields.iter().enumerate() {
        (setup.progress)(done, all);
        match seen(&mut recognizer, setup, field) {
            Ok(cell) => gathered.cells.push(cell),
            Err(reason) => gathered.skipped.push(Skipped { item: field.name.clone(), reason }),
        }
    }
    let bright = setup.stain() == Stain::Dapi;
    let mut made = 0;
    // Every round gives each cell another of the three edits.
    for round in 0..30 {
        for (at, field) in usable.iter().enumerate() {
            if made == wanted.edited {
                break;
            }
            let what = Edit::ALL[(at + round) % 3];
            let seed = (round * usable.len() + at) as u64;
            match seen_edited(&mut recognizer, field, what, bright, seed) {
                Ok(Some(cell)) => {
                    gathered.cells.push(cell);
                    made += 1;
                    (setup.progress)(fields.len() + made, all);
                }
                Ok(None) => {}
                Err(reason) => gathered.skipped.push(Skipped { item: field.name.clone(), reason }),
            }
        }
    }
    if gathered.cells.is_empty() {
        return Err(setup.data.empty().into());
    }
    if let Some(path) = setup.candidates {
        write(path, setup, wanted, &gathered).map_err(|error| file_error(path, error.to_string()))?;
    }
    Ok(gathered)
}

fn column<'a>(setup: &'a Setup<'_>, field: &str, key: &str) -> &'a str {
    setup.data.cells.get(field).and_then(|row| row.get(key)).map(String::as_str).unwrap_or_default()
}

/// What is known of a cell's numbers: its karyotype or composition in the set's table, else its boxes.
pub(super) fn truth_of(setup: &Setup<'_>, field: &Field) -> Changes {
    let iscn = column(setup, &field.name, "iscn");
    if !iscn.is_empty() {
        return changes::of_iscn(iscn);
    }
    match column(setup, &field.name, "composition") {
        "" => changes::of_boxes(&field.truth),
        text => changes::of_composition(text).unwrap_or_else(|| changes::of_boxes(&field.truth)),
    }
}

/// Why a cell cannot serve as truth.
pub(super) fn exclusion_reason(setup: &Setup<'_>, field: &str) -> Option<String> {
    if column(setup, field, "source_chroma").parse::<f64>().is_ok_and(|chroma| chroma > 0.0) {
        return Some("an arrow is drawn into it: left out".into());
    }
    (column(setup, field, "karyotype_code") == "EX")
        .then(|| "too hard to karyotype, by its makers (EX): left out".into())
}

/// Normal cells with every chromosome boxed once, each only once.
fn usable<'a>(setup: &'a Setup<'_>) -> Result<Vec<&'a Field>, EvaluateError> {
    let usable: Vec<&Field> = setup
        .data
        .fields()?
        .iter()
        .filter(|f| exclusion_reason(setup, &f.name).is_none())
        .filter(|f| f.truth.len() == 46 && changes::of_boxes(&f.truth).is_empty() && !doubled(&f.truth))
        .filter(|f| matches!(column(setup, &f.name, "status"), "" | "normal"))
        .filter(|f| column(setup, &f.name, "near_duplicate_of").is_empty())
        .collect();
    if usable.is_empty() { Err(setup.data.empty().into()) } else { Ok(usable) }
}

/// Two classes on one box.
pub(super) fn doubled(truth: &[TruthBox]) -> bool {
    truth.iter().enumerate().any(|(i, a)| truth[..i].iter().any(|b| a.bounds.iou(&b.bounds) > 0.95))
}

fn seen(recognizer: &mut ComposedRecognizer, setup: &Setup<'_>, field: &Field) -> Result<RecognisedCell, String> {
    if let Some(reason) = exclusion_reason(setup, &field.name) {
        return Err(reason);
    }
    let frame = frame_of(&field.path)?;
    Ok(RecognisedCell {
        name: field.name.clone(),
        patient: field.patient.clone(),
        edit: None,
        truth: truth_of(setup, field),
        boxes: field.truth.clone(),
        size: [frame.pixels.width() as u32, frame.pixels.height() as u32],
        recognised: recognised(recognizer, &frame)?,
    })
}

/// None where no chromosome or no ground is free for the change.
fn seen_edited(
    recognizer: &mut ComposedRecognizer,
    field: &Field,
    what: Edit,
    bright: bool,
    seed: u64,
) -> Result<Option<RecognisedCell>, String> {
    let Some(changed) = edit(frame_of(&field.path)?, &field.truth, what, bright, seed) else { return Ok(None) };
    let extra = match what {
        Edit::Gain => Some(1),
        Edit::Loss => Some(-1),
        Edit::Sham => None,
    };
    Ok(Some(RecognisedCell {
        name: field.name.clone(),
        patient: field.patient.clone(),
        edit: Some((what, changed.class)),
        truth: extra.map(|n| (changed.class, n)).into_iter().collect(),
        boxes: changed.truth,
        size: [changed.frame.pixels.width() as u32, changed.frame.pixels.height() as u32],
        recognised: recognised(recognizer, &changed.frame)?,
    }))
}

fn recognised(recognizer: &mut ComposedRecognizer, frame: &Frame) -> Result<Recognised, String> {
    let whole = Region::whole(frame.pixels.width(), frame.pixels.height());
    let mut cells = recognizer.recognise(frame, &[whole]).map_err(|error| error.to_string())?;
    let mut recognised = cells.pop().ok_or("no cell came back for the field")?;
    recognised.candidates.truncate(recognised.considered);
    Ok(recognised)
}

/// First line of a file of candidates: what it was made from.
#[derive(Serialize, Deserialize, PartialEq)]
struct Head {
    schema: String,
    data: String,
    cells: usize,
    models: std::collections::BTreeMap<String, String>,
    wanted: Wanted,
}

impl Head {
    fn of(setup: &Setup<'_>, wanted: Wanted, models: &std::collections::BTreeMap<String, String>) -> Self {
        let data = setup.data.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { schema: "candidates/2".into(), data, cells: setup.data.len(), models: models.clone(), wanted }
    }
}

/// One cell in such a file. A candidate is its box, score, probability of a single chromosome, logit of its refined box and
/// log probabilities (none without classes).
#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    patient: String,
    edit: Option<(Edit, ChromosomeClass)>,
    truth: Changes,
    boxes: Vec<TruthBox>,
    size: [u32; 2],
    candidates: Vec<(BoundingBox, f32, f32, f32, Option<LogProbs>)>,
}

fn write(path: &Path, setup: &Setup<'_>, wanted: Wanted, gathered: &Gathered) -> std::io::Result<()> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    serde_json::to_writer(&mut file, &Head::of(setup, wanted, &gathered.models))?;
    for cell in &gathered.cells {
        file.write_all(b"\n")?;
        let candidates = cell.recognised.candidates.iter();
        let line = Line {
            name: cell.name.clone(),
            patient: cell.patient.clone(),
            edit: cell.edit,
            truth: cell.truth.clone(),
            boxes: cell.boxes.clone(),
            size: cell.size,
            candidates: candidates.map(|c| (c.bounds, c.objectness, c.p_single, c.iou_logit, c.log_probs)).collect(),
        };
        serde_json::to_writer(&mut file, &line)?;
    }
    file.write_all(b"\n")?;
    file.flush()
}

fn file_error(path: &Path, reason: String) -> EvaluateError {
    EvaluateError::Candidates { path: path.to_owned(), reason }
}

fn read(path: &Path, setup: &Setup<'_>, wanted: Wanted, gathered: &mut Gathered) -> Result<(), EvaluateError> {
    let file = fs::File::open(path).map_err(|error| file_error(path, error.to_string()))?;
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let wrong = |reason: String| file_error(path, format!("line {}: {reason}", number + 1));
        let line = line.map_err(|error| wrong(error.to_string()))?;
        if number == 0 {
            let head: Head = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
            if head != Head::of(setup, wanted, &gathered.models) {
                return Err(wrong("made from other cells or by other models: delete it, or name another file".into()));
            }
            continue;
        }
        let line: Line = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        let candidate = |(bounds, objectness, single, found, log_probs)| Candidate {
            bounds,
            objectness,
            probability: gathered.calibration.probability(objectness, single, found),
            p_single: single,
            iou_logit: found,
            accepted: false,
            log_probs,
            status: Status::Unclear,
        };
        let candidates: Vec<Candidate> = line.candidates.into_iter().map(candidate).collect();
        gathered.cells.push(RecognisedCell {
            name: line.name,
            patient: line.patient,
            edit: line.edit,
            truth: line.truth,
            boxes: line.boxes,
            size: line.size,
            recognised: Recognised {
                region: BoundingBox { x: 0.0, y: 0.0, width: line.size[0] as f32, height: line.size[1] as f32 },
                quality: Default::default(),
                considered: candidates.len(),
                candidates,
                chromosome_width_px: None,
                timing: Default::default(),
            },
        });
    }
    Ok(())
}
