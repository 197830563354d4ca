//! `case export`: a case as files that a person and other programs can read.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{case_json, frames::write_ome_tiff, report, review_json, whole};
use crate::{
    case::report::{Gathered, scoring_sheet},
    cli::{Exit, Failure, write_karyogram},
    config::Config,
    store::{CellRow, StoreError, StoreReader},
};
use domain::Cell;
use dosimetry::dicentric::Counting;
use karyotype::karyogram::{self, Orientation};

fn writing<E: fmt::Display>(path: &Path) -> impl Fn(E) -> Failure {
    move |error| Failure::writing(path, error)
}

/// Writes the case to the folder `out`.
pub fn export(store: &StoreReader, config: &Config, id: &str, out: &Path) -> Result<Exit, Failure> {
    let whole = whole(store, id)?;
    let lines = |name: &str, lines: &mut dyn Iterator<Item = String>| {
        let path = out.join(name);
        let write = || {
            let mut file = BufWriter::new(File::create(&path)?);
            for line in lines {
                writeln!(file, "{line}")?;
            }
            file.flush()
        };
        write().map_err(writing(&path))
    };
    fs::create_dir_all(out).map_err(writing(out))?;
    lines("case.json", &mut std::iter::once(case_json(&whole.case).to_string()))?;
    lines("cells.jsonl", &mut whole.rows.iter().map(|row| row.document.clone()))?;
    lines("reviews.jsonl", &mut whole.reviews.iter().map(|review| review_json(review).to_string()))?;

    let path = out.join("cells.csv");
    let mut table = csv::Writer::from_path(&path).map_err(writing(&path))?;
    table.write_record(COLUMNS).map_err(writing(&path))?;
    let mut frames = Frames::default();
    let every = whole.rows.iter().map(CellRow::cell).collect::<Result<Vec<Cell>, _>>()?;
    let counting = scoring_sheet::counting(&every);
    for (at, cell) in every.iter().enumerate() {
        let number = format!("{:04}", at + 1);
        let frame = frames.write(store, out, &number, cell)?;
        table.write_record(columns(&number, cell, &counting, frame)).map_err(writing(&path))?;
        let folder = out.join("chromosomes").join(&number);
        let mut pictures = store.crops(cell.cell)?;
        // Of a chromosome that was joined to another the picture stays, in case that is taken back.
        pictures.retain(|(index, _)| cell.chromosomes.iter().any(|c| c.index == *index));
        for (index, png) in &pictures {
            fs::create_dir_all(&folder).map_err(writing(&folder))?;
            let path = folder.join(format!("{index:02}.png"));
            fs::write(&path, png).map_err(writing(&path))?;
        }
        if cell.chromosomes.iter().any(|c| c.class.is_some()) {
            let folder = out.join("karyograms");
            let crops = karyogram::crops_of(cell, &pictures, None);
            write_karyogram(&folder, &number, cell, &crops, Orientation::Upright)?;
        }
    }
    table.flush().map_err(writing(&path))?;
    let gathered = Gathered::read(store, id)?.ok_or_else(|| StoreError::NoSuchCase(id.into()))?;
    let html = report::html(config, &gathered, &report::layout(config, None)?)?;
    lines("report.html", &mut std::iter::once(html))?;
    if let Some(drawing) = report::report(config, &gathered, None, "").drawing() {
        lines("dose.svg", &mut std::iter::once(drawing))?;
    }
    let cells = &gathered.cells;
    if cells.iter().any(|cell| cell.dicentric.is_some()) {
        let path = out.join("scoring.csv");
        let mut table = csv::Writer::from_path(&path).map_err(writing(&path))?;
        table.write_record(scoring_sheet::COLUMNS).map_err(writing(&path))?;
        for (number, cell) in cells.iter().enumerate() {
            table.write_record(scoring_sheet::row(number + 1, cell, &counting)).map_err(writing(&path))?;
        }
        table.flush().map_err(writing(&path))?;
    }
    let (cells, reviews) = (whole.rows.len(), whole.reviews.len());
    eprintln!("{}: {cells} cells, {} frames, {reviews} reviews", out.display(), frames.written.len());
    for why in &frames.lost {
        eprintln!("metaphased: {why}");
    }
    Ok(if frames.lost.is_empty() { Exit::Done } else { Exit::Data })
}

/// The frames that are written, each once: two cells of a frame share its file.
#[derive(Default)]
struct Frames {
    written: BTreeMap<PathBuf, String>,
    /// Kept pictures that could not be written, and why.
    lost: Vec<String>,
}

impl Frames {
    /// Writes the kept frame of a cell; its name below `out`, empty where none is kept or it cannot be read.
    fn write(&mut self, store: &StoreReader, out: &Path, number: &str, cell: &Cell) -> Result<String, Failure> {
        let Some(kept) = store.image(cell.cell)? else { return Ok(String::new()) };
        if let Some(known) = self.written.get(&kept) {
            return Ok(known.clone());
        }
        let folder = out.join("frames");
        fs::create_dir_all(&folder).map_err(writing(&folder))?;
        let name = format!("frames/{number}.ome.tif");
        match write_ome_tiff(&out.join(&name), &kept, number, cell) {
            Ok(()) => {
                self.written.insert(kept, name.clone());
                Ok(name)
            }
            Err(error) => {
                self.lost.push(format!("cell {number}: no frame of {}: {error}", kept.display()));
                Ok(String::new())
            }
        }
    }
}

const COLUMNS: [&str; 22] = [
    "no",
    "cell",
    "revision",
    "time",
    "source",
    "slide",
    "file",
    "stage_x_um",
    "stage_y_um",
    "detected",
    "abnormal",
    "damaged",
    "verdict",
    "iscn",
    "reason",
    "centromeres",
    "dicentrics",
    "rings",
    "complete",
    "frame",
    "unclear",
    "counted",
];

fn columns(number: &str, cell: &Cell, counting: &Counting, frame: String) -> [String; 22] {
    let optional = |value: Option<String>| value.unwrap_or_default();
    let stage = cell.captured.stage_um;
    let scored = cell.dicentric.as_ref().filter(|record| record.not_scored.is_none());
    [
        number.to_owned(),
        cell.cell.to_string(),
        cell.revision.to_string(),
        cell.captured.time.clone(),
        cell.source.clone(),
        optional(cell.slide.clone()),
        optional(cell.captured.file.clone()),
        optional(stage.map(|stage| stage.x.to_string())),
        optional(stage.map(|stage| stage.y.to_string())),
        cell.counts.detected.to_string(),
        cell.counts.abnormal.to_string(),
        cell.counts.damaged.to_string(),
        cell.karyotype.verdict.name().to_owned(),
        optional(cell.karyotype.iscn.clone()),
        cell.karyotype.reason.clone(),
        optional(scored.map(|d| d.centromeres.to_string())),
        optional(scored.map(|d| d.counts.dicentric_equivalents().to_string())),
        optional(scored.map(|d| d.counts.rings.to_string())),
        optional(scored.map(|d| d.complete.to_string())),
        frame,
        optional(scored.map(|d| d.counts.unclear.to_string())),
        scoring_sheet::counted_words(cell, counting),
    ]
}
