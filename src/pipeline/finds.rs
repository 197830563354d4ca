//! Where on the slide a frame shows a metaphase.

use uuid::Uuid;

use super::{job::Job, stages::commit::mark};
use crate::{
    case::SeenSpread,
    station::{FoundSpread, TriggerAnswer, TriggerState},
    store::{Answered, FrameCommit, SpreadRow},
};
use domain::{BoundingBox, Quality, StagePosition};

/// What is left of the score of a spread that the edge of the frame cuts.
const CUT_SCORE: f32 = 0.25;

/// How good a spread is to work on, 0 to 1: none of metaphase, focus and spread makes up for another.
pub fn score(quality: Quality, cut: bool) -> f32 {
    let whole = if cut { CUT_SCORE } else { 1.0 };
    whole * quality.metaphase * (0.2 + quality.focus) * (0.2 + quality.spread) / 1.44
}

/// A spread of the frame at its place on the stage; none where the frame's stage position or pixel size is not known.
pub fn find(job: &Job, bounds: &BoundingBox, quality: Quality, cut: bool, cells: Vec<Uuid>) -> Option<SeenSpread> {
    let info = &job.frame.info;
    let (stage, um_per_px) = (info.stage_um?, info.um_per_px?);
    let size = [job.frame.pixels.width(), job.frame.pixels.height()].map(|side| side as f64);
    let middle = [bounds.x + bounds.width / 2.0, bounds.y + bounds.height / 2.0].map(f64::from);
    let axes = job.context.config.stage_axes.unwrap_or_default();
    let [x, y] = axes.on_stage([0, 1].map(|axis| (middle[axis] - size[axis] / 2.0) * um_per_px));
    let [width, height] = axes.on_stage([bounds.width, bounds.height].map(|side| f64::from(side) * um_per_px));
    let found = FoundSpread {
        stage_um: StagePosition { x: stage.x + x, y: stage.y + y, z: stage.z },
        size_um: [width.abs(), height.abs()],
        score: score(quality, cut),
        quality,
        cut,
        source: info.source.to_string(),
        frame: info.id.0,
        trigger: info.trigger.clone(),
        time: info.time.to_string(),
    };
    Some(SeenSpread { found, cells })
}

/// The rows of the finds of a frame; none where its slide is not known.
pub fn rows(job: &Job, seen: &[SeenSpread]) -> Vec<SpreadRow> {
    let Some(slide) = &job.sample.slide else { return Vec::new() };
    let row = |seen: &SeenSpread| {
        Some(SpreadRow {
            slide: slide.to_string(),
            case: job.sample.case.as_deref().map(str::to_owned),
            source: job.context.name.to_string(),
            // Numbers, names and words always become JSON.
            document: serde_json::to_string(seen).ok()?,
        })
    };
    seen.iter().filter_map(row).collect()
}

/// What a search frame gave: its finds, and the answer to its trigger.
pub fn commit(job: &Job, seen: Vec<SeenSpread>) -> FrameCommit {
    let spreads = rows(job, &seen);
    let answer = TriggerAnswer {
        state: TriggerState::Found,
        frame: Some(job.frame.info.id.0),
        quality: Some(job.quality),
        metaphases: seen.into_iter().map(|seen| seen.found).collect(),
        ..TriggerAnswer::default()
    };
    let answer = job
        .frame
        .info
        .trigger
        .clone()
        .and_then(|trigger| Some(Answered { trigger, answer: serde_json::to_string(&answer).ok()? }));
    let info = &job.frame.info;
    let mark = mark(&job.context.name, &info.file, info.stamp, None);
    FrameCommit { spreads, answer, mark, ..FrameCommit::default() }
}
