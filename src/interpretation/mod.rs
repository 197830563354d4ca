//! From recognised chromosomes to the record of a cell, for either assay. The daemon, `analyze` and `evaluate` call the
//! same function, so that the figures are the daemon's.
//!
//! Pure: a frame, what was recognised on it and settings give a [`Cell`]; no clock, file, network or configuration.

mod dicentric;
mod edge;
pub mod edit;
pub mod kept;
mod outlines;
pub mod pictures;
mod pieces;
mod selection;
mod side_by_side;

pub use selection::{SelectedBoxes, short_arm};
pub use side_by_side::each_of;

use uuid::Uuid;

use domain::{
    Assay, BoundingBox, Captured, Cell, Chromosome, Doubt, Outline, Said, SexDisclosure, Simulated,
    frame::{Frame, Pixels},
};
use dosimetry::dicentric::{Fit, Judged, Piece, ScorerSettings, group_distance};
use imaging::ChromosomeProfile;
use karyotype::{FittedSettings, measure, screen_structure};
use recognition::{Provenance, Recognised};

/// What a record says besides what was recognised.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// Station.
    pub station: String,
    /// Case in force.
    pub case: Option<String>,
    /// Slide in force.
    pub slide: Option<String>,
    /// Colony, in an in-situ culture.
    pub colony: Option<String>,
    /// The frame was replayed.
    pub replayed: bool,
}

/// How cells are interpreted.
#[derive(Debug, Clone)]
pub struct InterpretationSettings {
    /// What is scored.
    pub assay: Assay,
    /// Selection, assignment and thresholds of karyotypes.
    pub karyotype: FittedSettings,
    /// Least and greatest sum of centromeres with which a cell of the dicentric assay counts as complete.
    pub accepted_centromeres: [u32; 2],
    /// How strictly the machine calls dicentrics, and which cells it counts.
    pub scorer: ScorerSettings,
    /// Threads among which the chromosomes of a cell are shared out; answers do not depend on it.
    pub threads: usize,
}

/// The record of one recognised cell, under `id`.
///
/// The karyotype assay selects chromosomes and classes jointly, measures, orients and screens them for structural
/// candidates. The dicentric assay takes every object that the detector accepts (dicentrics, rings and fragments fit no
/// class) once, joins the parts of those cut at a centromere, and says of each what it is: see [`Cell::dicentric`].
pub fn interpret(
    frame: &Frame,
    recognised: &Recognised,
    provenance: &Provenance,
    labels: &Labels,
    settings: &InterpretationSettings,
    id: Uuid,
) -> Cell {
    let mut cell = unmarked(frame, recognised, provenance, labels, id);
    cell.simulated = frame.info.truth.as_deref().map(|truth| Simulated {
        karyotype: dicentric::truth_of(truth, &cell.region)
            .filter(|_| settings.karyotype.judged(recognised.in_context).sex == SexDisclosure::Shown)
            .map(|truth| truth.karyotype.clone()),
    });
    match settings.assay {
        Assay::Karyotype => karyotyped(&mut cell, frame, recognised, settings),
        Assay::Dicentric => {
            let (pieces, doubles) = pieces::cell_pieces(recognised, selection::accepted(recognised), &frame.pixels);
            let (chromosomes, measures): (Vec<_>, Vec<_>) =
                pieces.into_iter().map(|p| (p.chromosome, p.measured)).unzip();
            let fit = Fit::of(provenance.stain);
            let judged = measures.iter().map(|m| m.as_ref().map(|m| Judged::of(m, fit, &settings.scorer))).collect();
            let seen = dicentric::Seen { fit, judged, doubles, distance: group_distance(&measures) };
            cell.chromosomes = chromosomes;
            at_edge(&mut cell, frame, recognised);
            outlines::look_around(&mut cell, frame);
            measured(&mut cell, frame, settings.threads);
            dicentric::score(&mut cell, frame.info.truth.as_deref().unwrap_or_default(), seen, settings);
        }
    }
    cell
}

/// What is measured of the pieces of a recognised cell, in the order in which the dicentric assay's record lists them.
pub fn measured_pieces(recognised: &Recognised, pixels: &Pixels) -> Vec<Option<Piece>> {
    let (pieces, _) = pieces::cell_pieces(recognised, selection::accepted(recognised), pixels);
    pieces.into_iter().map(|piece| piece.measured).collect()
}

/// The record before anything is said of chromosomes.
fn unmarked(frame: &Frame, recognised: &Recognised, provenance: &Provenance, labels: &Labels, id: Uuid) -> Cell {
    let info = &frame.info;
    let size = [frame.pixels.width() as u32, frame.pixels.height() as u32];
    let captured = Captured {
        trigger: info.trigger.clone(),
        stage_um: info.stage_um,
        um_per_px: info.um_per_px,
        file: info.file.as_deref().map(str::to_owned),
        ..Captured::at(info.time.to_string(), info.id.0, size)
    };
    Cell {
        case: labels.case.clone(),
        slide: labels.slide.clone(),
        colony: labels.colony.clone(),
        region: recognised.region,
        quality: recognised.quality,
        models: provenance.models.clone(),
        timing_ms: recognised.timing.iter().map(|(k, v)| ((*k).to_owned(), v.as_secs_f32() * 1e3)).collect(),
        replayed: labels.replayed,
        ..Cell::new(id, &labels.station, &*info.source, captured)
    }
}

fn karyotyped(cell: &mut Cell, frame: &Frame, recognised: &Recognised, settings: &InterpretationSettings) {
    let (threads, settings) = (settings.threads, settings.karyotype.judged(recognised.in_context));
    let mut selected = SelectedBoxes::of(recognised, settings);
    cell.chromosomes = selected.chromosomes.clone();
    at_edge(cell, frame, recognised);
    outlines::look_around(cell, frame);
    selected.unselected.leftover = cell.leftover;
    let shapes = measured(cell, frame, threads);
    karyotype::interpret(cell, selected.evidence.as_deref().unwrap_or_default(), &selected.unselected, settings);
    let landmarks = outlines::landmarks(cell, &selected.short_arms);
    measure::orient(cell, &shapes, &landmarks);
    screen_structure(cell, &shapes, &landmarks);
    if cell.models.is_empty() {
        let text = "no model was found: chromosomes are segmented and counted, not classified";
        cell.karyotype.explain(Said::new("no_model", text));
    }
}

/// Enters how the cell lies at the edge of its frame, and that it is not whole where that cuts it.
fn at_edge(cell: &mut Cell, frame: &Frame, recognised: &Recognised) {
    let spread: Vec<BoundingBox> = cell.chromosomes.iter().map(|chromosome| chromosome.bounds).collect();
    let edge = edge::frame_edge(&frame.pixels, recognised, &spread);
    cell.frame_edge = Some(edge);
    cell.doubts = edge.is_cut().then_some(Doubt::CutByFrame).into_iter().collect();
}

/// Enters the lengths of the chromosomes; their shapes come back.
fn measured(cell: &mut Cell, frame: &Frame, threads: usize) -> Vec<Option<ChromosomeProfile>> {
    let shapes = each_of(&cell.chromosomes, threads, |chromosome| {
        let mut shape = ChromosomeProfile::of(&pictures::crop(&frame.pixels, chromosome)?)?;
        shape.sure = chromosome.outline.as_ref().is_some_and(Outline::is_sure);
        Some(shape)
    });
    measure::lengths(cell, &shapes);
    shapes
}

/// A record's chromosome from a candidate.
fn chromosome(index: usize, candidate: &recognition::Candidate) -> Chromosome {
    let drawn = candidate.drawn.as_ref();
    Chromosome {
        status: candidate.status,
        outline: drawn.map(|drawn| drawn.outline.clone()),
        centromeres: drawn.map(|drawn| drawn.centromeres.clone()).unwrap_or_default(),
        ..Chromosome::at(index as u32, candidate.bounds, candidate.objectness)
    }
}

/// Ids for cells: UUID version 7 from the time of capture.
pub fn new_id(time: jiff::Timestamp) -> Uuid {
    let seconds = u64::try_from(time.as_second()).unwrap_or(0);
    let nanos = u32::try_from(time.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
}
