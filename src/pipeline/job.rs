//! What travels: a frame with all that is known about it so far.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    config::{Mode, SourceConfig},
    station::{DropReason, Ledger, RejectReason, Ticket},
};
use domain::{
    Quality, StagePosition,
    frame::{FileStamp, Frame, FrameId, FrameInfo},
};
use recognition::{Recognised, Regions};

/// A frame on its way through the stages.
#[derive(Debug)]
pub struct Job {
    /// The frame.
    pub frame: Frame,
    /// Its place in the ledger.
    pub ticket: Ticket,
    /// What the source is and what it sample to now.
    pub context: Arc<SourceContext>,
    /// Case and slide in force when it was taken.
    pub sample: SampleContext,
    /// A person or a scanner asked for this very frame: triage does not refuse it and select does not merge it.
    pub requested: bool,
    /// What triage thought.
    pub quality: Quality,
    /// Where triage saw cells.
    pub regions: Regions,
    /// Scene of a live source.
    pub scene: Option<u64>,
    /// What was recognised, one entry a cell.
    pub recognised: Vec<Recognised>,
    /// Time timings by stage.
    pub timings: StageTimings,
}

/// Time that stages timings on a frame.
#[derive(Debug, Clone, Copy, Default)]
pub struct StageTimings {
    /// Triage.
    pub triage: Duration,
    /// Networks and segmentation.
    pub recognise: Duration,
    /// Karyotype or dicentrics, pictures.
    pub interpret: Duration,
}

/// Case, slide and colony.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SampleContext {
    /// Case.
    pub case: Option<Arc<str>>,
    /// Slide.
    pub slide: Option<Arc<str>>,
    /// Colony of an in-situ culture.
    pub colony: Option<Arc<str>>,
}

/// A frame or file that gave no cell, and must be told because somebody waits for it.
#[derive(Debug)]
pub struct Rejection {
    /// Number of the frame.
    pub frame: FrameId,
    /// Its source.
    pub context: Arc<SourceContext>,
    /// Case and slide in force.
    pub sample: SampleContext,
    /// File it was read from.
    pub file: Option<Arc<str>>,
    /// Size and time of that file.
    pub stamp: Option<FileStamp>,
    /// The scanner's event id.
    pub trigger: Option<String>,
    /// Stable reason.
    pub reason: RejectReason,
    /// In words.
    pub text: String,
    /// Its place in the ledger.
    pub ticket: Ticket,
}

/// What all frames of a source share, and what commands change.
#[derive(Debug)]
pub struct SourceContext {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// Configuration.
    pub config: SourceConfig,
    /// Mode in force.
    pub mode: Mode,
    /// Counts.
    pub ledger: Ledger,
    /// No frames are taken.
    pub paused: AtomicBool,
    control: Mutex<Control>,
}

#[derive(Debug, Default)]
struct Control {
    sample: SampleContext,
    requested: Option<FrameRequest>,
}

/// A frame that was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FrameRequest {
    /// The scanner's event id.
    pub trigger: Option<String>,
    /// Where the stage stands.
    pub stage_um: Option<StagePosition>,
}

impl SourceContext {
    /// A source as configured.
    pub fn new(name: &str, config: SourceConfig, ledger: Ledger) -> Arc<Self> {
        let own = |text: &Option<String>| text.as_deref().map(Arc::from);
        let sample = SampleContext { case: own(&config.case), slide: own(&config.slide), colony: own(&config.colony) };
        Arc::new(Self {
            name: name.into(),
            mode: config.mode(),
            config,
            ledger,
            paused: AtomicBool::new(false),
            control: Mutex::new(Control { sample, requested: None }),
        })
    }

    fn with<R>(&self, act: impl FnOnce(&mut Control) -> R) -> R {
        act(&mut self.control.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Case and slide in force.
    pub fn sample(&self) -> SampleContext {
        self.with(|c| c.sample.clone())
    }

    /// What comes from now on sample to this case and slide.
    pub fn set_belongs(&self, sample: SampleContext) {
        self.with(|c| c.sample = sample);
    }

    /// The next frame is requested, whatever triage thinks. False when one is requested already.
    pub fn request_frame(&self, requested: FrameRequest) -> bool {
        self.with(|c| {
            let free = c.requested.is_none();
            if free {
                c.requested = Some(requested);
            }
            free
        })
    }

    /// Takes the wish for a frame, when there is one.
    pub fn take_wanted(&self) -> Option<FrameRequest> {
        self.with(|c| c.requested.take())
    }

    /// Whether frames are taken now.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Relaxed)
    }

    /// True when the source is shed rather than awaited.
    pub fn is_live(&self) -> bool {
        self.mode == Mode::Freshest
    }
}

impl Job {
    /// A frame that was just accepted.
    pub fn new(frame: Frame, ticket: Ticket, context: Arc<SourceContext>, requested: bool) -> Self {
        Self {
            frame,
            ticket,
            sample: context.sample(),
            context,
            requested,
            quality: Quality::default(),
            regions: Regions::new(),
            scene: None,
            recognised: Vec::new(),
            timings: StageTimings::default(),
        }
    }

    /// Ends the frame without a cell. A rejection comes back when somebody waits for the answer: a file, a trigger or a
    /// wish; the frames of a live feed are only counted.
    pub fn reject(self, reason: RejectReason, text: impl Into<String>) -> Option<Rejection> {
        let FrameInfo { id, file, stamp, trigger, .. } = self.frame.info;
        if file.is_none() && trigger.is_none() && !self.requested {
            self.ticket.rejected(reason);
            return None;
        }
        Some(Rejection {
            frame: id,
            context: self.context,
            sample: self.sample,
            file,
            stamp,
            trigger,
            reason,
            text: text.into(),
            ticket: self.ticket,
        })
    }

    /// Ends the frame unfinished.
    pub fn drop_for(self, reason: DropReason) {
        self.ticket.dropped(reason);
    }
}
