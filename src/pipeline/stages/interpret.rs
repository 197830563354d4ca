//! Interpret: from what was recognised to finished records, their pictures and messages. No pixels go further.

use std::{sync::Arc, time::Instant};

use crossbeam_channel::Receiver;

use super::{StageContext, commit};
use crate::{
    config::{Config, KeepImages, OutboxFull, SourceKind},
    interpretation::{InterpretationSettings, Labels, interpret, new_id, pictures},
    pipeline::{edges::EdgeSender, job::Job},
    station::{DropReason, RejectReason},
    store::{CellCommit, Crop, FrameCommit, ImageFolder, Latest, Message, StoredImage, keeps_image, may_drop},
    web::{LiveBoxes, LiveFrame, LiveHub},
};
use domain::Cell;
use karyotype::KaryotypeSettings;
use recognition::Provenance;

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
                karyotype: KaryotypeSettings::of(config.karyotype.sex, config.karyotype.sample),
                accepted_centromeres: config.dicentric.accepted_centromeres,
                scorer: config.dicentric.scorer(),
            },
            keep_images: config.store.keep_images,
            thumbnails: config.mqtt.thumbnails,
            last_picture: config.mqtt.thumbnails && config.mqtt.home_assistant,
            outbox_full: config.mqtt.outbox_full,
        }
    }
}

/// The interpret stage.
pub struct InterpretStage {
    /// Monitor, clock and health.
    pub context: StageContext,
    /// Its settings.
    pub settings: InterpretSettings,
    /// Recognised frames.
    pub input: Receiver<(Job, Arc<Provenance>)>,
    /// Finished cells.
    pub output: EdgeSender<commit::Outcome>,
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
        let begun = Instant::now();
        let result = self.context.monitor.run(self.input.len(), || self.cells(&job, provenance));
        job.timings.interpret = begun.elapsed();
        match result {
            Err(panicked) => {
                self.context.record_panic(&panicked.0);
                let text = format!("interpretation failed on this frame: {}", panicked.0);
                self.reject(job, RejectReason::StageFailed, text);
            }
            Ok(cells) if cells.is_empty() => {
                self.reject(job, RejectReason::NoChromosomes, "no chromosome was found where triage saw a cell".into());
            }
            Ok(mut cells) => {
                for cell in &mut cells {
                    let timings = &job.timings;
                    let times = [
                        ("triage", timings.triage),
                        ("recognise", timings.recognise),
                        ("interpret", timings.interpret),
                    ];
                    cell.cell.timing_ms.extend(times.map(|(k, v)| (k.to_owned(), v.as_secs_f32() * 1e3)));
                }
                self.send(job, cells);
            }
        }
    }

    fn cells(&self, job: &Job, provenance: &Provenance) -> Vec<CellCommit> {
        let labels = self.labels(job);
        let mut image = None;
        job.recognised
            .iter()
            .filter(|recognised| job.requested || recognised.accepted().next().is_some())
            .map(|recognised| {
                let id = new_id(job.frame.info.time);
                let cell = interpret(&job.frame, recognised, provenance, &labels, &self.settings.interpretation, id);
                self.show(&cell, job);
                let pixels = &job.frame.pixels;
                let crops = cell
                    .chromosomes
                    .iter()
                    .filter_map(|c| pictures::crop_png(pixels, c).map(|png| Crop { chromosome: c.index, png }))
                    .collect();
                let thumbnail = pictures::thumbnail_jpeg(pixels, &cell.region);
                let keep = keeps_image(self.settings.keep_images, &cell);
                if keep && image.is_none() {
                    image = self.keep(job, &cell);
                }
                CellCommit { crops, thumbnail, image: if keep { image.clone() } else { None }, cell }
            })
            .collect()
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

    fn show(&self, cell: &Cell, job: &Job) {
        let Some(hub) = self.hub.as_ref().filter(|hub| hub.watchers(&cell.source)) else { return };
        // Frames of a fast source are not all shown; one with a cell is, so that its boxes have a picture.
        let missing = job.scene.is_none() && hub.picture(&cell.source, Some(cell.captured.frame)).is_none();
        if missing
            && hub.picture_due(&cell.source)
            && let Some(live) = LiveFrame::of(&job.frame.info, &job.frame.pixels, job.quality, None)
        {
            hub.show(live);
        }
        hub.boxes(&LiveBoxes::of(cell, job.scene));
    }

    fn send(&self, job: Job, cells: Vec<CellCommit>) {
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
        let frame =
            FrameCommit { cells, messages, latest: picture.into_iter().collect(), mark, ..FrameCommit::default() };
        let Job { ticket, frame: pixels, context, .. } = job;
        let reread = pixels.info.flags.reread;
        // The buffer goes back to the pool here: what waits for the disk holds no pixels.
        let arrived = pixels.info.arrived;
        drop(pixels);
        commit::send(&self.output, commit::Outcome::Cells { frame: Box::new(frame), ticket, context, arrived, reread });
    }

    fn reject(&self, job: Job, reason: RejectReason, text: String) {
        if let Some(rejection) = job.reject(reason, text) {
            commit::reject(&self.output, rejection);
        }
    }
}
