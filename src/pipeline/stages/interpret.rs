//! Interpret: from what was recognised to finished records, their pictures and messages. No pixels go further.

use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::{
    StageContext,
    commit::{self, Outcome, Shown},
};
use crate::{
    case::SeenSpread,
    config::{Config, KeepImages, OutboxFull, SourceKind},
    interpretation::{InterpretationSettings, Labels, each_of, interpret, new_id, pictures},
    pipeline::{edges::EdgeSender, finds, job::Job},
    station::{DropReason, RejectReason},
    store::{CellCommit, Crop, FrameCommit, ImageFolder, Latest, Message, StoredImage, keeps_image, may_drop},
    web::{LiveBoxes, LiveFrame, LiveHub},
};
use domain::Cell;
use karyotype::FittedSettings;
use recognition::Provenance;

/// Threads among which the chromosomes of one cell are shared out at most: more gain nothing.
const MOST_THREADS: usize = 4;

/// What the interpret stage is configured with.
pub struct InterpretSettings {
    /// Station.
    pub station: String,
    /// Assay and thresholds.
    pub interpretation: InterpretationSettings,
    /// Which frames are kept.
    pub keep_images: KeepImages,
    /// Whether messages carry small pictures.
    pub thumbnails: bool,
    /// Whether the picture of the last cell is published on a topic of its own.
    pub last_picture: bool,
    /// What is dropped when the outbox is full.
    pub outbox_full: OutboxFull,
}

impl InterpretSettings {
    /// As configured.
    pub fn from_config(config: &Config) -> Self {
        Self {
            station: config.station.clone(),
            interpretation: InterpretationSettings {
                assay: config.assay,
                karyotype: FittedSettings::of(config.karyotype.sex, config.karyotype.sample),
                accepted_centromeres: config.dicentric.accepted_centromeres,
                scorer: config.dicentric.scorer(),
                threads: std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS),
            },
            keep_images: config.store.keep_images,
            thumbnails: config.mqtt.thumbnails,
            last_picture: config.mqtt.thumbnails && config.mqtt.home_assistant,
            outbox_full: config.mqtt.outbox_full,
        }
    }
}

/// A worker of the interpret stage.
pub struct InterpretStage {
    /// Monitor, clock and health.
    pub context: StageContext,
    /// Its number among the workers, from 0.
    pub worker: usize,
    /// Its settings.
    pub settings: Arc<InterpretSettings>,
    /// Recognised frames, each for one of the workers.
    pub input: Receiver<(Job, Arc<Provenance>)>,
    /// Finished cells.
    pub output: EdgeSender<Outcome>,
    /// Folder for pictures of frames.
    pub images: ImageFolder,
    /// The live view, where the page is served.
    pub hub: Option<LiveHub>,
}

impl InterpretStage {
    /// Runs until the recognise stage has ended and its last frame is interpreted.
    pub fn run(self) {
        for (job, provenance) in &self.input {
            if self.context.shutdown.is_abandoned() {
                job.drop_for(DropReason::Shutdown);
            } else {
                self.process(job, &provenance);
            }
        }
    }

    fn process(&self, mut job: Job, provenance: &Provenance) {
        let _span = tracing::debug_span!("frame", source = %job.context.name, frame = job.frame.info.id.0).entered();
        job.spend(self.context.clock.now(), |timings| &mut timings.queue);
        let result = self.context.monitor.run_as(self.worker, self.input.len(), || self.cells(&job, provenance));
        job.spend(self.context.clock.now(), |timings| &mut timings.interpret);
        match result {
            Err(panicked) => {
                self.context.record_panic(&panicked.0);
                let text = format!("interpretation failed on this frame: {}", panicked.0);
                self.reject(job, RejectReason::StageFailed, text);
            }
            Ok((cells, _)) if cells.is_empty() => {
                self.reject(job, RejectReason::NoChromosomes, "no chromosome was found where triage saw a cell".into());
            }
            Ok((mut cells, shown)) => {
                for cell in &mut cells {
                    let timings = &job.timings;
                    let times = [
                        ("queue", timings.queue),
                        ("triage", timings.triage),
                        ("select", timings.select),
                        ("recognise", timings.recognise),
                        ("interpret", timings.interpret),
                    ];
                    cell.cell.timing_ms.extend(times.map(|(k, v)| (k.to_owned(), v.as_secs_f32() * 1e3)));
                }
                self.send(job, cells, shown);
            }
        }
    }

    /// The cells of a frame, and what the page shows of them.
    fn cells(&self, job: &Job, provenance: &Provenance) -> (Vec<CellCommit>, Vec<Shown>) {
        let labels = self.labels(job);
        let mut image = None;
        let mut shown = Vec::new();
        let cells = job
            .recognised
            .iter()
            .filter(|recognised| job.requested || recognised.accepted().next().is_some())
            .map(|recognised| {
                let id = new_id(job.frame.info.time);
                let cell = interpret(&job.frame, recognised, provenance, &labels, &self.settings.interpretation, id);
                shown.extend(self.shown(&cell, job));
                let pixels = &job.frame.pixels;
                let threads = self.settings.interpretation.threads;
                let crops = each_of(&cell.chromosomes, threads, |c| {
                    pictures::crop_png(pixels, c).map(|png| Crop { chromosome: c.index, png })
                });
                let crops = crops.into_iter().flatten().collect();
                let thumbnail = pictures::thumbnail_jpeg(pixels, &cell.region);
                let keep = keeps_image(self.settings.keep_images, &cell);
                if keep && image.is_none() {
                    image = self.keep(job, &cell);
                }
                CellCommit { crops, thumbnail, image: if keep { image.clone() } else { None }, cell }
            })
            .collect();
        (cells, shown)
    }

    fn labels(&self, job: &Job) -> Labels {
        let own = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        Labels {
            station: self.settings.station.clone(),
            case: own(&job.sample.case),
            slide: own(&job.sample.slide),
            colony: own(&job.sample.colony),
            replayed: job.context.config.kind == SourceKind::Folder,
        }
    }

    /// Writes the frame beside the database. A picture that cannot be written costs the picture, not the cell.
    fn keep(&self, job: &Job, cell: &Cell) -> Option<StoredImage> {
        let encoded = pictures::frame_png(&job.frame.pixels)?;
        match self.images.keep(&cell.cell.to_string(), "png", job.frame.info.time, &encoded) {
            Ok(image) => {
                self.context.health.picture_kept(None);
                Some(image)
            }
            Err(error) => {
                self.context.health.picture_kept(Some(&error.to_string()));
                tracing::warn!(%error, "picture not kept");
                None
            }
        }
    }

    /// What the page shows of a cell, where someone watches.
    fn shown(&self, cell: &Cell, job: &Job) -> Option<Shown> {
        let hub = self.hub.as_ref().filter(|hub| hub.watchers(&cell.source))?;
        // Frames of a fast source are not all shown; one with a cell is, so that its boxes have a picture.
        let missing = job.scene.is_none() && hub.picture(&cell.source, Some(cell.captured.frame)).is_none();
        let field = if missing && hub.picture_due(&cell.source) {
            LiveFrame::of(&job.frame.info, &job.frame.pixels, job.quality, None)
        } else {
            None
        };
        Some(Shown { field, boxes: LiveBoxes::of(cell, job.scene) })
    }

    fn send(&self, job: Job, cells: Vec<CellCommit>, shown: Vec<Shown>) {
        let droppable = may_drop(self.settings.outbox_full, job.context.mode);
        let messages = cells
            .iter()
            // A record holds nothing that JSON cannot say.
            .filter_map(|cell| {
                let thumbnail = cell.thumbnail.as_deref().filter(|_| self.settings.thumbnails);
                Message::cell(&cell.cell, thumbnail, droppable).ok()
            })
            .collect();
        let last = cells.last().filter(|_| self.settings.last_picture);
        let picture = last.and_then(|cell| Some(Latest::picture(&cell.cell, cell.thumbnail.as_deref()?)));
        let mark = commit::mark(&job.context.name, &job.frame.info.file, job.frame.info.stamp, None);
        let seen: Vec<_> = cells.iter().filter_map(|commit| seen(&job, &commit.cell)).collect();
        let spreads = finds::rows(&job, &seen);
        let latest = picture.into_iter().collect();
        let frame = FrameCommit { cells, messages, latest, mark, spreads, ..FrameCommit::default() };
        let Job { ticket, frame: pixels, context, place, .. } = job;
        let reread = pixels.info.flags.reread;
        // The buffer goes back to the pool here: what waits for the disk holds no pixels.
        let arrived = pixels.info.arrived;
        drop(pixels);
        let frame = Box::new(frame);
        commit::send(&self.output, place, Outcome::Cells { frame, ticket, context, arrived, reread, shown });
    }

    fn reject(&self, job: Job, reason: RejectReason, text: String) {
        if let Some(rejection) = job.reject(reason, text) {
            commit::reject(&self.output, rejection);
        }
    }
}

/// Where on the slide the cell lies.
fn seen(job: &Job, cell: &Cell) -> Option<SeenSpread> {
    let cut = cell.frame_edge.is_some_and(|edge| edge.is_cut());
    finds::find(job, &cell.region, cell.quality, cut, vec![cell.cell])
}
