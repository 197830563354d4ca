//! From a source's configuration to something that opens it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{job::SourceContext, stages::capture::OpenSource};
use crate::{
    camera::{
        Attempts, Demosaiced, FlatFielded, FolderMemory, FolderSettings, FolderSource, SimulatorSettings,
        SimulatorSource, SourceError, load_flat_field,
    },
    clock::SystemClock,
    config::{Mode, Repeat, SourceConfig, SourceKind},
    store::Store,
};
use domain::{Assay, frame::FileStamp};
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
        _ => camera(&context.name, config, assay)?,
    };
    if let Some(path) = &config.flat_field {
        let (flat, mut raw) = (Arc::new(load_flat_field(path)?), open);
        open = Box::new(move || Ok(Box::new(FlatFielded::new(raw()?, flat.clone())) as _));
    }
    Ok(open)
}

/// The source with the luminance of its raw samples, where it has a Bayer filter.
fn unfiltered(config: &SourceConfig, mut open: OpenSource) -> OpenSource {
    let Some(pattern) = config.bayer else { return open };
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

/// How to open a source that needs no store: a camera or the simulator, as it is, without a flat field.
///
/// # Errors
/// When this build or this version cannot drive such a source.
pub fn camera(name: &Arc<str>, config: &SourceConfig, assay: Assay) -> Result<OpenSource, SourceError> {
    Ok(unfiltered(config, device(name, config, assay)?))
}

fn device(name: &Arc<str>, config: &SourceConfig, assay: Assay) -> Result<OpenSource, SourceError> {
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
                    rate_hz: config.rate_hz.or(live.then_some(SIMULATOR_RATE_HZ)),
                })?;
                Ok(Box::new(source) as _)
            }))
        }
        SourceKind::Webcam => webcam(name, config),
        kind => Err(SourceError::Unsupported(format!(
            "source '{name}': kind \"{}\" is not built yet in this version; use simulator, folder or webcam",
            kind.name()
        ))),
    }
}

#[cfg(feature = "webcam")]
fn webcam(name: Arc<str>, config: SourceConfig) -> Result<OpenSource, SourceError> {
    Ok(Box::new(move || {
        let settings = crate::camera::WebcamSettings {
            name: name.clone(),
            device: config.device.clone(),
            size: config.size,
            rate_hz: config.rate_hz,
            um_per_px: config.um_per_px,
        };
        Ok(Box::new(crate::camera::WebcamSource::open(settings)?) as _)
    }))
}

#[cfg(not(feature = "webcam"))]
fn webcam(name: Arc<str>, _: SourceConfig) -> Result<OpenSource, SourceError> {
    Err(SourceError::Unsupported(format!(
        "source '{name}': this build drives no webcam; build it with --features webcam"
    )))
}
