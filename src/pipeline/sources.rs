//! From a source's configuration to something that opens it.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;

use super::{job::SourceContext, stages::capture::OpenSource};
use crate::{
    camera::{
        Attempts, Demosaiced, FlatFielded, FolderMemory, FolderSettings, FolderSource, Login, MjpegSettings,
        MjpegSource, PushSettings, PushSource, Pushed, SimulatorSettings, SimulatorSource, Source, SourceError,
        genicam::{GenicamSettings, GenicamSource},
        load_flat_field,
    },
    clock::SystemClock,
    config::{Mode, Repeat, SourceConfig, SourceKind, credential, read_password},
    mqtt::Rejected,
    station::{RejectReason, TriggerAnswer, TriggerFacts, TriggerState},
    store::{Answered, FrameCommit, Message, Store, StoreError, TriggerRow},
};
use domain::{
    Assay,
    frame::{Bayer, FileStamp},
};
use slide::{Exposure, SlideSettings};

/// Frames per second of a simulated live camera without a configured rate.
const SIMULATOR_RATE_HZ: f64 = 10.0;

/// How to open the source; `store` knows which files were processed before. Reading a picture of a file takes at most
/// `picture_bytes` bytes of memory.
///
/// # Errors
/// When this build or this version cannot drive such a source, or its flat field cannot be read.
pub fn opener(
    context: &Arc<SourceContext>,
    assay: Assay,
    store: &Store,
    picture_bytes: u64,
) -> Result<OpenSource, SourceError> {
    let config = &context.config;
    let mut open = match config.kind {
        SourceKind::Folder => unfiltered(config, folder(context, store.clone(), picture_bytes)),
        SourceKind::Push => unfiltered(config, pushed(context, store.clone(), picture_bytes)),
        _ => camera(&context.name, config, assay, picture_bytes)?,
    };
    if let Some(path) = &config.flat_field {
        let (flat, mut raw) = (Arc::new(load_flat_field(path)?), open);
        open = Box::new(move || Ok(Box::new(FlatFielded::new(raw()?, flat.clone())) as _));
    }
    Ok(open)
}

/// The source with the luminance of its raw samples, where it has a Bayer filter.
fn unfiltered(config: &SourceConfig, mut open: OpenSource) -> OpenSource {
    // A camera of these kinds knows its filter once it is open.
    let pattern = config.bayer.filter(|_| !matches!(config.kind, SourceKind::V4l2 | SourceKind::Genicam));
    let Some(pattern) = pattern else { return open };
    Box::new(move || Ok(Box::new(Demosaiced::new(open()?, pattern)) as _))
}

/// Keeps in the store which file is being read.
struct Noted {
    store: Store,
    source: Arc<str>,
}

impl Attempts for Noted {
    fn begin(&mut self, file: &str, stamp: FileStamp) -> u32 {
        // A disk that is full must not stop the reading: the commit reports it.
        self.store.begin_attempt(&self.source, file, stamp).unwrap_or_else(|error| {
            tracing::debug!(source = %self.source, file, %error, "not noted that the file is read");
            0
        })
    }

    fn end(&mut self, file: &str) {
        if let Err(error) = self.store.end_attempt(&self.source, file) {
            tracing::debug!(source = %self.source, file, %error, "not noted that the file has been read");
        }
    }
}

fn folder(context: &Arc<SourceContext>, store: Store, picture_bytes: u64) -> OpenSource {
    let config = context.config.clone();
    let name = context.name.clone();
    let path = config.path.clone().unwrap_or_default();
    // Frames may wait in the pipeline while the folder is lost and opened again: no mark holds them yet.
    let memory = Arc::new(Mutex::new(FolderMemory::default()));
    Box::new(move || {
        let marks = store
            .reader()
            .marks(&name)
            .map_err(|error| SourceError::Device(format!("cannot read which files were processed: {error}")))?;
        let source = FolderSource::open(FolderSettings {
            name: name.clone(),
            path: path.clone(),
            repeat: config.repeat.unwrap_or(Repeat::Once),
            settle: config.settle_ms.map_or(FolderSettings::SETTLE, Duration::from_millis),
            clock: Arc::new(SystemClock),
            picture_bytes,
            attempts: Box::new(Noted { store: store.clone(), source: name.clone() }),
            memory: memory.clone(),
            rate_hz: config.rate_hz,
            um_per_px: config.um_per_px,
            notices: true,
            marked: Box::new(move |file| {
                marks.get(file).map(|mark| FileStamp { bytes: mark.bytes, mtime_ns: mark.mtime_ns })
            }),
        })?;
        Ok(Box::new(source) as _)
    })
}

fn pushed(context: &Arc<SourceContext>, store: Store, picture_bytes: u64) -> OpenSource {
    let context = context.clone();
    Box::new(move || {
        let Some(queue) = context.push.clone() else {
            return Err(SourceError::Unsupported("frames are not pushed to this source".into()));
        };
        Ok(Box::new(PushSource::new(PushSettings {
            name: context.name.clone(),
            queue,
            um_per_px: context.config.um_per_px,
            picture_bytes,
            attempts: Box::new(Noted { store: store.clone(), source: context.name.clone() }),
        })))
    })
}

/// Takes up what an earlier run has accepted and not answered: pushed frames go into their queues again, triggers whose
/// fields nobody can take any more are rejected.
///
/// # Errors
/// What the store said.
pub fn restore_triggers(contexts: &[Arc<SourceContext>], station: &str, store: &Store) -> Result<(), StoreError> {
    let spool = store.spool();
    for row in store.reader().waiting_triggers()? {
        let Some(file) = &row.file else {
            store.commit(&[interrupted(station, row)])?;
            continue;
        };
        let queue = contexts.iter().filter(|context| *context.name == *row.source).find_map(|c| c.push.as_ref());
        let Some(queue) = queue else {
            tracing::warn!(
                source = row.source,
                trigger = row.id,
                "a pushed frame waits for a source that is not configured"
            );
            continue;
        };
        // Written by this program: what another version wrote must not lose the frame.
        let facts = serde_json::from_str(&row.facts).unwrap_or_else(|error| {
            tracing::warn!(trigger = row.id, %error, "what was said with a pushed frame cannot be read");
            TriggerFacts { case: row.case.clone(), ..TriggerFacts::default() }
        });
        queue.push(Pushed { trigger: row.id, path: spool.locate(file), bytes: row.bytes, facts });
    }
    Ok(())
}

/// What becomes of a trigger whose frame the last run did not finish.
fn interrupted(station: &str, row: TriggerRow) -> FrameCommit {
    let reason = RejectReason::Interrupted;
    let text = "the daemon stopped before this field was finished: trigger it again under another id".to_owned();
    let answer = TriggerAnswer {
        state: TriggerState::Rejected,
        reason: Some(reason.label().into()),
        text: Some(text.clone()),
        ..TriggerAnswer::default()
    };
    let message = Rejected {
        trigger: Some(row.id.clone()),
        case: row.case,
        ..Rejected::new(station, &row.source, Timestamp::now().to_string(), reason, text)
    };
    FrameCommit {
        // Words and names always become JSON. A full outbox must not hinder the start.
        messages: Message::rejected(&message, true).into_iter().collect(),
        answer: serde_json::to_string(&answer).ok().map(|answer| Answered { trigger: row.id, answer }),
        ..FrameCommit::default()
    }
}

/// How to open a source that needs no store: a camera or the simulator, as it is, without a flat field. Reading a picture
/// that was compressed takes at most `picture_bytes` bytes of memory.
///
/// # Errors
/// When this build or this version cannot drive such a source.
pub fn camera(
    name: &Arc<str>,
    config: &SourceConfig,
    assay: Assay,
    picture_bytes: u64,
) -> Result<OpenSource, SourceError> {
    Ok(unfiltered(config, device(name, config, assay, picture_bytes)?))
}

fn device(name: &Arc<str>, config: &SourceConfig, assay: Assay, picture_bytes: u64) -> Result<OpenSource, SourceError> {
    let (name, config) = (name.clone(), config.clone());
    match config.kind {
        SourceKind::Simulator => {
            let defaults = SlideSettings::default();
            let [width, height] = config.size.unwrap_or([defaults.width, defaults.height]);
            let slide = SlideSettings {
                seed: config.seed.unwrap_or(1),
                assay,
                stain: config.stain,
                karyotype: config.karyotype.clone(),
                exposure: Exposure { dose_gy: config.dose_gy.unwrap_or(0.0), fraction: config.fraction.unwrap_or(1.0) },
                width,
                height,
                um_per_px: config.um_per_px.unwrap_or(defaults.um_per_px),
                cells: config.cells,
                crowding: config.crowding.unwrap_or(defaults.crowding),
                filter: config.bayer,
                ..defaults
            };
            // Tried once here, so that a wrong karyotype is reported at the start and not again and again.
            slide::VirtualSlide::new(slide.clone())
                .map_err(|error| SourceError::Unsupported(format!("source '{name}': {error}")))?;
            let live = config.mode() == Mode::Freshest;
            Ok(Box::new(move || {
                let source = SimulatorSource::open(SimulatorSettings {
                    name: name.clone(),
                    slide: slide.clone(),
                    stage: config.stage.unwrap_or_default(),
                    machine_scored: config.machine_scored,
                    rate_hz: config.rate_hz.or(live.then_some(SIMULATOR_RATE_HZ)),
                })?;
                Ok(Box::new(source) as _)
            }))
        }
        SourceKind::Mjpeg => mjpeg(name, config, picture_bytes),
        SourceKind::V4l2 => v4l2(name, config, picture_bytes),
        SourceKind::Webcam => webcam(name, config, picture_bytes),
        SourceKind::Genicam => genicam(name, config),
        kind @ (SourceKind::Folder | SourceKind::Push) => {
            Err(SourceError::Unsupported(format!("source '{name}': kind \"{}\" is no camera", kind.name())))
        }
    }
}

/// Without a byte for so long a stream counts as stalled, unless configured.
const STALLED_AFTER: Duration = Duration::from_secs(2);

fn mjpeg(name: Arc<str>, config: SourceConfig, picture_bytes: u64) -> Result<OpenSource, SourceError> {
    let wrong = |key: &str, why: String| SourceError::Unsupported(format!("source '{name}': {key}: {why}"));
    let unread = |key: &str, path: &Path, error| wrong(key, format!("{} cannot be read: {error}", path.display()));
    let password = config.password_file.as_deref().map(credential);
    let password = password.map(|path| read_password(&path).map_err(|error| unread("password_file", &path, error)));
    let authority = config.ca_file.as_deref().map(credential);
    let authority = authority.map(|path| std::fs::read(&path).map_err(|error| unread("ca_file", &path, error)));
    let settings = MjpegSettings {
        address: config.url.as_deref().unwrap_or_default().parse().map_err(|why| wrong("url", why))?,
        login: config.username.clone().zip(password.transpose()?).map(|(name, password)| Login { name, password }),
        authority: authority.transpose()?,
        patience: config.stall_ms.map_or(STALLED_AFTER, Duration::from_millis),
        picture_bytes,
        um_per_px: config.um_per_px,
        name: name.clone(),
    };
    Ok(Box::new(move || Ok(Box::new(MjpegSource::open(settings.clone())?) as _)))
}

#[cfg(target_os = "linux")]
fn v4l2(name: Arc<str>, config: SourceConfig, picture_bytes: u64) -> Result<OpenSource, SourceError> {
    use crate::camera::v4l2::{V4l2Settings, V4l2Source};
    let wrong = |error| SourceError::Unsupported(format!("source '{name}': {error}"));
    let settings = V4l2Settings {
        name: name.clone(),
        device: config.device,
        format: config.format.as_deref().map(str::parse).transpose().map_err(wrong)?,
        size: config.size,
        rate_hz: config.rate_hz,
        // What is no whole number was refused with the configuration.
        controls: config.controls.into_iter().filter_map(|(name, value)| Some((name, value.whole()?))).collect(),
        bayer: config.bayer,
        um_per_px: config.um_per_px,
        picture_bytes,
    };
    settings.check()?;
    Ok(Box::new(move || {
        let source = V4l2Source::open(settings.clone())?;
        let pattern = source.bayer();
        Ok(without_filter(Box::new(source), pattern))
    }))
}

/// The source with the luminance of its raw samples, where they lie behind a filter.
fn without_filter(source: Box<dyn Source>, pattern: Option<Bayer>) -> Box<dyn Source> {
    match pattern {
        Some(pattern) => Box::new(Demosaiced::new(source, pattern)),
        None => source,
    }
}

fn genicam(name: Arc<str>, config: SourceConfig) -> Result<OpenSource, SourceError> {
    let settings = GenicamSettings {
        name,
        device: config.device,
        format: config.format,
        size: config.size,
        rate_hz: config.rate_hz,
        controls: config.controls,
        bayer: config.bayer,
        um_per_px: config.um_per_px,
    };
    settings.check()?;
    Ok(Box::new(move || {
        let source = GenicamSource::open(settings.clone())?;
        let pattern = source.bayer();
        Ok(without_filter(Box::new(source), pattern))
    }))
}

#[cfg(not(target_os = "linux"))]
fn v4l2(name: Arc<str>, _: SourceConfig, _: u64) -> Result<OpenSource, SourceError> {
    Err(SourceError::Unsupported(format!("source '{name}': Video4Linux is Linux's; use kind \"webcam\"")))
}

#[cfg(feature = "webcam")]
fn webcam(name: Arc<str>, config: SourceConfig, picture_bytes: u64) -> Result<OpenSource, SourceError> {
    Ok(Box::new(move || {
        let settings = crate::camera::WebcamSettings {
            name: name.clone(),
            device: config.device.clone(),
            size: config.size,
            rate_hz: config.rate_hz,
            um_per_px: config.um_per_px,
            picture_bytes,
        };
        Ok(Box::new(crate::camera::WebcamSource::open(settings)?) as _)
    }))
}

#[cfg(not(feature = "webcam"))]
fn webcam(name: Arc<str>, _: SourceConfig, _: u64) -> Result<OpenSource, SourceError> {
    Err(SourceError::Unsupported(format!(
        "source '{name}': this build drives no webcam; build it with --features webcam"
    )))
}
