//! What the networks gave for each cell, and what is known of it: gathered once, interpreted as often as needed.

use std::{
    fs,
    io::{BufRead, BufReader, BufWriter, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::evaluate::{
    EvaluateError, Setup,
    dataset::{Field, Skipped, TruthBox, has_doubled_box},
    edit::{AppliedEdit, Edit, edit},
    fields::{no_model, open},
    frame_of,
};
use domain::{BoundingBox, Stain, Status, frame::Frame};
use recognition::{
    Candidate, ComposedRecognizer, DrawnChromosome, LogProbs, Provenance, Recognised, Recognizer, Region,
    inference::Calibration,
};

use super::{
    changes::{self, Changes},
    cut::AppliedCut,
};

/// A cell after the networks.
pub struct RecognisedCell {
    /// Name of its field in the set.
    pub name: String,
    /// Person.
    pub patient: String,
    /// How it was changed; none: as it is.
    pub edit: Option<AppliedEdit>,
    /// How its picture was cut, and the largest share of a chromosome's box that this took; none: not at all.
    pub cut: Option<(AppliedCut, f32)>,
    /// What is known of its numbers.
    pub truth: Changes,
    /// The boxes that a person drew, changed with the cell.
    pub boxes: Vec<TruthBox>,
    /// What the networks gave.
    pub recognised: Recognised,
}

impl RecognisedCell {
    /// Its picture, read again, and changed again where the cell was.
    ///
    /// # Errors
    /// When the picture cannot be read any more.
    pub fn frame(&self, setup: &Setup<'_>) -> Result<Frame, String> {
        let fields = setup.data.fields().map_err(|error| error.to_string())?;
        let field = fields.iter().find(|f| f.name == self.name).ok_or("the set has no such field any more")?;
        let frame = frame_of(&field.path)?;
        if let Some((cut, _)) = self.cut {
            return cut.frame(&frame).ok_or_else(|| "the picture cannot be cut as before".into());
        }
        let Some(applied) = self.edit else { return Ok(frame) };
        let changed = edit(frame, &field.truth, applied.edit, is_bright(setup), applied.seed);
        Ok(changed.ok_or("the picture cannot be changed as before")?.frame)
    }
}

/// Fluorescence: bright chromosomes on a dark background.
fn is_bright(setup: &Setup<'_>) -> bool {
    setup.stain() == Stain::Dapi
}

/// All requested cells, and the models that looked at them.
pub struct Gathered {
    /// The cells.
    pub cells: Vec<RecognisedCell>,
    /// What recognition rests on.
    pub provenance: Provenance,
    /// Calibration of the detector.
    pub calibration: Calibration,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

/// Which cells a run needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedCells {
    /// The cells as they are.
    pub real: bool,
    /// So many changed ones.
    pub edited: usize,
    /// The cells as they are cut to each of these percentages, at each side and at all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<u8>,
}

/// Runs the networks over the cells, or reads what they gave from the file that the set-up names.
///
/// # Errors
/// When there is no model, nothing is left to measure, or the file does not fit.
pub fn gather(setup: &Setup<'_>, requested: &RequestedCells) -> Result<Gathered, EvaluateError> {
    let mut recognizer = open(setup, setup.model, None)?;
    let Some(calibration) = recognizer.detector().map(|detector| detector.manifest().calibration) else {
        return Err(no_model("karyotype", &recognizer));
    };
    let provenance = recognizer.provenance().clone();
    let mut gathered = Gathered { cells: Vec::new(), provenance, calibration, skipped: Vec::new() };
    if let Some(path) = setup.candidates
        && path.exists()
    {
        read(path, setup, requested, &mut gathered)?;
        return Ok(gathered);
    }
    let usable = if requested.edited > 0 { usable(setup)? } else { Vec::new() };
    let fields = if requested.real { setup.data.fields()? } else { &[] };
    let all = fields.len() + requested.edited;
    for (done, field) in fields.iter().enumerate() {
        (setup.progress)(done, all);
        match as_it_is(&mut recognizer, setup, field, &requested.cuts) {
            Ok(cells) => gathered.cells.extend(cells),
            Err(reason) => gathered.skipped.push(Skipped { item: field.name.clone(), reason }),
        }
    }
    let bright = is_bright(setup);
    let mut made = 0;
    // Every round gives each cell another of the three edits.
    for round in 0..30 {
        for (at, field) in usable.iter().enumerate() {
            if made == requested.edited {
                break;
            }
            let what = Edit::ALL[(at + round) % 3];
            let seed = (round * usable.len() + at) as u64;
            match edited(&mut recognizer, field, what, bright, seed) {
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
        write(path, setup, requested, &gathered).map_err(|error| file_error(path, error.to_string()))?;
    }
    Ok(gathered)
}

fn column<'a>(setup: &'a Setup<'_>, field: &str, key: &str) -> &'a str {
    setup.data.cells.get(field).and_then(|row| row.get(key)).map(String::as_str).unwrap_or_default()
}

/// What is known of a cell's numbers: its karyotype or composition in the set's table, else its boxes.
fn truth_of(setup: &Setup<'_>, field: &Field) -> Changes {
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
fn exclusion_reason(setup: &Setup<'_>, field: &str) -> Option<String> {
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
        .filter(|f| f.truth.len() == 46 && changes::of_boxes(&f.truth).is_empty() && !has_doubled_box(&f.truth))
        .filter(|f| matches!(column(setup, &f.name, "status"), "" | "normal"))
        .filter(|f| column(setup, &f.name, "near_duplicate_of").is_empty())
        .collect();
    if usable.is_empty() { Err(setup.data.empty().into()) } else { Ok(usable) }
}

/// A cell, and what the cuts leave of it.
fn as_it_is(
    recognizer: &mut ComposedRecognizer,
    setup: &Setup<'_>,
    field: &Field,
    cuts: &[u8],
) -> Result<Vec<RecognisedCell>, String> {
    if let Some(reason) = exclusion_reason(setup, &field.name) {
        return Err(reason);
    }
    let frame = frame_of(&field.path)?;
    let mut cells = vec![RecognisedCell {
        name: field.name.clone(),
        patient: field.patient.clone(),
        edit: None,
        cut: None,
        truth: truth_of(setup, field),
        boxes: field.truth.clone(),
        recognised: recognised(recognizer, &frame)?,
    }];
    for cut in cuts.iter().flat_map(|kept| AppliedCut::to(*kept)) {
        let (boxes, lost) = cut.boxes(&field.truth, frame.pixels.width(), frame.pixels.height());
        let left = cut.frame(&frame).ok_or("the picture cannot be cut")?;
        cells.push(RecognisedCell {
            name: field.name.clone(),
            patient: field.patient.clone(),
            edit: None,
            cut: Some((cut, lost)),
            truth: truth_of(setup, field),
            boxes,
            recognised: recognised(recognizer, &left)?,
        });
    }
    Ok(cells)
}

/// None where no chromosome or no place is free for the change.
fn edited(
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
        edit: Some(AppliedEdit { edit: what, class: changed.class, seed }),
        cut: None,
        truth: extra.map(|n| (changed.class, n)).into_iter().collect(),
        boxes: changed.truth,
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

/// Name and version of a file of candidates.
const SCHEMA: &str = "candidates/5";

/// First line of a file of candidates: what it was made from.
#[derive(Serialize, Deserialize, PartialEq)]
struct Head {
    schema: String,
    data: String,
    cells: usize,
    models: std::collections::BTreeMap<String, String>,
    requested: RequestedCells,
}

impl Head {
    fn of(setup: &Setup<'_>, requested: &RequestedCells, models: &std::collections::BTreeMap<String, String>) -> Self {
        let data = setup.data.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            schema: SCHEMA.into(),
            data,
            cells: setup.data.len(),
            models: models.clone(),
            requested: requested.clone(),
        }
    }
}

/// One cell in such a file. A candidate is its box, score, probability of a single chromosome, logit of its refined box, log
/// probabilities (none without classes), status, what was drawn of it, and its probability of being a chromosome.
#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    patient: String,
    edit: Option<AppliedEdit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut: Option<(AppliedCut, f32)>,
    truth: Changes,
    boxes: Vec<TruthBox>,
    region: BoundingBox,
    in_context: bool,
    candidates: Vec<KeptCandidate>,
}

type KeptCandidate = (BoundingBox, f32, f32, f32, Option<LogProbs>, Status, Option<DrawnChromosome>, f32);

fn write(path: &Path, setup: &Setup<'_>, requested: &RequestedCells, gathered: &Gathered) -> std::io::Result<()> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    serde_json::to_writer(&mut file, &Head::of(setup, requested, &gathered.provenance.models))?;
    for cell in &gathered.cells {
        file.write_all(b"\n")?;
        let candidates = cell.recognised.candidates.iter();
        let line = Line {
            name: cell.name.clone(),
            patient: cell.patient.clone(),
            edit: cell.edit,
            cut: cell.cut,
            truth: cell.truth.clone(),
            boxes: cell.boxes.clone(),
            region: cell.recognised.region,
            in_context: cell.recognised.in_context,
            candidates: candidates
                .map(|c| {
                    (
                        c.bounds,
                        c.objectness,
                        c.p_single,
                        c.iou_logit,
                        c.log_probs,
                        c.status,
                        c.drawn.clone(),
                        c.probability,
                    )
                })
                .collect(),
        };
        serde_json::to_writer(&mut file, &line)?;
    }
    file.write_all(b"\n")?;
    file.flush()
}

fn file_error(path: &Path, reason: String) -> EvaluateError {
    EvaluateError::Candidates { path: path.to_owned(), reason }
}

fn read(
    path: &Path,
    setup: &Setup<'_>,
    requested: &RequestedCells,
    gathered: &mut Gathered,
) -> Result<(), EvaluateError> {
    let file = fs::File::open(path).map_err(|error| file_error(path, error.to_string()))?;
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let wrong = |reason: String| file_error(path, format!("line {}: {reason}", number + 1));
        let line = line.map_err(|error| wrong(error.to_string()))?;
        if number == 0 {
            let head: Head = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
            if head.schema != SCHEMA {
                let found = head.schema;
                return Err(wrong(format!(
                    "invalid schema '{found}': expected {SCHEMA}: delete it, or name another file"
                )));
            }
            if head != Head::of(setup, requested, &gathered.provenance.models) {
                return Err(wrong("made from other cells or by other models: delete it, or name another file".into()));
            }
            continue;
        }
        let line: Line = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        let candidate =
            |(bounds, objectness, p_single, iou_logit, log_probs, status, drawn, probability): KeptCandidate| {
                Candidate {
                    bounds,
                    objectness,
                    probability,
                    p_single,
                    iou_logit,
                    accepted: false,
                    log_probs,
                    status,
                    drawn,
                }
            };
        let candidates: Vec<Candidate> = line.candidates.into_iter().map(candidate).collect();
        gathered.cells.push(RecognisedCell {
            name: line.name,
            patient: line.patient,
            edit: line.edit,
            cut: line.cut,
            truth: line.truth,
            boxes: line.boxes,
            recognised: Recognised {
                region: line.region,
                quality: Default::default(),
                considered: candidates.len(),
                in_context: line.in_context,
                candidates,
                chromosome_width_px: None,
                timing: Default::default(),
            },
        });
    }
    Ok(())
}
