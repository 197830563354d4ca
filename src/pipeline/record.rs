//! From what was recognised to the record of a cell and its pictures. `analyze` and the daemon call the same.

use std::{io::Cursor, sync::Arc};

use image::{
    ExtendedColorType, ImageEncoder,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
    },
};
use uuid::Uuid;

use domain::{
    BoundingBox, Captured, Cell, Chromosome, Counts, Damage, Karyotype, NOTICE, TrueCell,
    frame::{Frame, PixelView, Pixels},
};
use karyotype::{Evidence, KaryotypeSettings, interpret, karyogram, measure, screen_structure};
use recognition::{Candidate, Provenance, Recognised, choose, unselected};

/// Longer side of a thumbnail in pixels.
const THUMBNAIL: usize = 320;

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

/// The record of one cell, interpreted as a karyotype.
pub fn record(
    frame: &Frame,
    recognised: &Recognised,
    provenance: &Provenance,
    labels: &Labels,
    settings: &KaryotypeSettings,
    id: Uuid,
) -> Cell {
    let selected = choose(recognised, settings);
    let unselected = unselected(recognised, &selected, settings);
    let chosen: Vec<&Candidate> = selected.iter().map(|c| &recognised.candidates[c.candidate]).collect();
    let (mut cell, shapes) = measured(frame, recognised, &chosen, provenance, labels, id);
    let evidence: Option<Vec<Evidence>> = chosen.iter().map(|candidate| candidate.evidence()).collect();
    interpret(&mut cell, evidence.as_deref().unwrap_or_default(), &unselected, settings);
    measure::orient(&mut cell, &shapes);
    screen_structure(&mut cell, &shapes);
    if provenance.models.is_empty() {
        cell.karyotype.reason = "no model was found: chromosomes are segmented and counted, not classified".into();
    }
    cell
}

/// The record of one cell whose classes nobody asks for: every piece that the detector tells, measured. Dicentrics,
/// rings and fragments fit no class, so the selection by classes would leave them out.
pub fn unclassified(
    frame: &Frame,
    recognised: &Recognised,
    provenance: &Provenance,
    labels: &Labels,
    id: Uuid,
) -> Cell {
    let chosen: Vec<&Candidate> = recognised.accepted().collect();
    let (mut cell, _) = measured(frame, recognised, &chosen, provenance, labels, id);
    cell.counts.detected = chosen.len() as u32;
    cell.counts.unclear = chosen.len() as u32;
    cell
}

/// The chosen pieces of a frame with their lengths, before anything is said of them.
fn measured(
    frame: &Frame,
    recognised: &Recognised,
    chosen: &[&Candidate],
    provenance: &Provenance,
    labels: &Labels,
    id: Uuid,
) -> (Cell, Vec<Option<measure::Shape>>) {
    let info = &frame.info;
    let mut cell = Cell {
        schema: Cell::SCHEMA.into(),
        station: labels.station.clone(),
        source: info.source.to_string(),
        cell: id,
        revision: 1,
        case: labels.case.clone(),
        slide: labels.slide.clone(),
        colony: labels.colony.clone(),
        captured: Captured {
            time: info.time.to_string(),
            frame: info.id.0,
            trigger: info.trigger.clone(),
            stage_um: info.stage_um,
            um_per_px: info.um_per_px,
            size: [frame.pixels.width() as u32, frame.pixels.height() as u32],
            file: info.file.as_deref().map(str::to_owned),
        },
        region: recognised.region,
        quality: recognised.quality,
        chromosomes: chosen.iter().enumerate().map(|(n, candidate)| chromosome(n, candidate)).collect(),
        counts: Counts::default(),
        karyotype: Karyotype::default(),
        dicentric: None,
        models: provenance.models.clone(),
        timing_ms: recognised.timing.iter().map(|(k, v)| ((*k).to_owned(), v.as_secs_f32() * 1e3)).collect(),
        replayed: labels.replayed,
        review: None,
        notice: NOTICE.into(),
    };
    let shapes = measure::shapes(&crops(&frame.pixels, &cell));
    measure::lengths(&mut cell, &shapes);
    (cell, shapes)
}

fn chromosome(index: usize, candidate: &Candidate) -> Chromosome {
    Chromosome {
        index: index as u32,
        bounds: candidate.bounds,
        class: None,
        score: candidate.objectness,
        alternatives: Vec::new(),
        status: candidate.status,
        length_um: None,
        relative_length: None,
        centromere_index: None,
        upright_angle: None,
        damage: Damage::None,
        objectness: candidate.objectness,
        evidence: None,
    }
}

/// A chromosome's pixels, for measures and the karyogram; none outside the frame.
pub fn crop(pixels: &Pixels, bounds: &BoundingBox) -> Option<karyogram::Crop> {
    let (samples, width, height) = grey(pixels, rect(bounds, pixels)?, 1);
    Some(karyogram::Crop::new(width, height, samples))
}

/// The pictures of a cell's chromosomes, one each.
pub fn crops(pixels: &Pixels, cell: &Cell) -> Vec<Option<karyogram::Crop>> {
    cell.chromosomes.iter().map(|chromosome| crop(pixels, &chromosome.bounds)).collect()
}

/// A rectangle of whole pixels inside the frame.
#[derive(Debug, Clone, Copy)]
struct Rect {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

fn rect(bounds: &BoundingBox, pixels: &Pixels) -> Option<Rect> {
    let (w, h) = (pixels.width(), pixels.height());
    let clipped = bounds.clipped(w as f32, h as f32);
    let (left, top) = (clipped.x.floor() as usize, clipped.y.floor() as usize);
    let width = (clipped.right().ceil() as usize).min(w).saturating_sub(left);
    let height = (clipped.bottom().ceil() as usize).min(h).saturating_sub(top);
    (width > 0 && height > 0).then_some(Rect { left, top, width, height })
}

/// Grey levels of a part of the frame; deep pixels are brought to 8 bits.
fn grey(pixels: &Pixels, r: Rect, step: usize) -> (Vec<u8>, usize, usize) {
    let (width, height) = (r.width.div_ceil(step), r.height.div_ceil(step));
    let stride = pixels.width();
    let shift = pixels.valid_bits().saturating_sub(8);
    let mut out = Vec::with_capacity(width * height);
    for y in (r.top..r.top + r.height).step_by(step) {
        for x in (r.left..r.left + r.width).step_by(step) {
            let i = y * stride + x;
            out.push(match pixels.view() {
                PixelView::Mono8(samples) => samples[i],
                PixelView::Mono16(samples) => (samples[i] >> shift).min(255) as u8,
                PixelView::Rgb8(samples) => {
                    let [r, g, b] = [samples[3 * i], samples[3 * i + 1], samples[3 * i + 2]].map(u32::from);
                    ((2126 * r + 7152 * g + 722 * b) / 10_000) as u8
                }
            });
        }
    }
    (out, width, height)
}

/// A chromosome's picture as PNG.
pub fn crop_png(pixels: &Pixels, bounds: &BoundingBox) -> Option<Vec<u8>> {
    let (samples, width, height) = grey(pixels, rect(bounds, pixels)?, 1);
    let mut out = Vec::new();
    PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Adaptive)
        .write_image(&samples, width as u32, height as u32, ExtendedColorType::L8)
        .ok()?;
    Some(out)
}

/// A small JPEG of the cell.
pub fn thumbnail_jpeg(pixels: &Pixels, region: &BoundingBox) -> Option<Vec<u8>> {
    let r = rect(region, pixels)?;
    let step = r.width.max(r.height).div_ceil(THUMBNAIL).max(1);
    let (samples, width, height) = grey(pixels, r, step);
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, 80)
        .write_image(&samples, width as u32, height as u32, ExtendedColorType::L8)
        .ok()?;
    Some(out)
}

/// The whole frame as PNG, in its own depth.
pub fn frame_png(pixels: &Pixels) -> Option<Vec<u8>> {
    let mut out = Cursor::new(Vec::new());
    let encoder = PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Adaptive);
    let (width, height) = (pixels.width() as u32, pixels.height() as u32);
    match pixels.view() {
        PixelView::Mono8(samples) => encoder.write_image(samples, width, height, ExtendedColorType::L8),
        PixelView::Mono16(samples) => {
            encoder.write_image(bytemuck::cast_slice(samples), width, height, ExtendedColorType::L16)
        }
        PixelView::Rgb8(samples) => encoder.write_image(samples, width, height, ExtendedColorType::Rgb8),
    }
    .ok()?;
    Some(out.into_inner())
}

/// Ids for cells: UUID version 7 from the time of capture.
pub fn new_id(time: jiff::Timestamp) -> Uuid {
    let seconds = u64::try_from(time.as_second()).unwrap_or(0);
    let nanos = u32::try_from(time.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
}

/// The labels of a frame of a source.
pub fn labels(station: &str, sample: &super::job::SampleContext, replayed: bool) -> Labels {
    let own = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    Labels {
        station: station.to_owned(),
        case: own(&sample.case),
        slide: own(&sample.slide),
        colony: own(&sample.colony),
        replayed,
    }
}

/// The record of the virtual slide's truth that goes with a region, where there is one.
pub fn truth_of<'t>(truth: &'t [TrueCell], region: &BoundingBox) -> Option<&'t TrueCell> {
    truth
        .iter()
        .map(|cell| (cell.region.intersection(region), cell))
        .filter(|(shared, _)| *shared > 0.0)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, cell)| cell)
}
