//! What travels: a frame with all that is known about it so far.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::order::Place;
use crate::{
    config::{Mode, SourceConfig},
    station::{DropReason, Health, Ledger, RejectReason, SourceState, Ticket},
};
use domain::{
    Quality, StagePosition,
    frame::{FileStamp, Frame, FrameId, FrameInfo},
};
use recognition::{Recognised, Regions};

/// A frame in the pipeline.
#[derive(Debug)]
pub struct Job {
    /// The frame.
    pub frame: Frame,
    /// Its place in the ledger.
    pub ticket: Ticket,
    /// Its source.
    pub context: Arc<SourceContext>,
    /// Case and slide in force when it was taken.
    pub sample: SampleContext,
    /// A person or a scanner asked for this very frame: triage does not reject it and select does not merge it.
    pub requested: bool,
    /// Scores of triage.
    pub quality: Quality,
    /// Where triage found cells.
    pub regions: Regions,
    /// Scene of a live source.
    pub scene: Option<u64>,
    /// What was recognised, one entry for each cell.
    pub recognised: Vec<Recognised>,
    /// Its place among the frames of its source, from recognise on.
    pub place: Option<Place>,
    /// Time by stage, and between stages.
    pub timings: StageTimings,
    /// Until when its time is counted; at first when it arrived.
    pub counted: Instant,
}

/// Time that a frame spent in the stages and between them.
#[derive(Debug, Clone, Copy, Default)]
pub struct StageTimings {
    /// Waiting for the best frame of its scene.
    pub select: Duration,
    /// Waiting for a stage that was at work on others.
    pub queue: Duration,
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

/// A frame or file that gave no cell and is published as rejected because somebody waits for it.
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
    /// Its place among the frames of its source, where recognise has taken it.
    pub place: Option<Place>,
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
    control: Mutex<Control>,
    /// Wakes the capture stage when a pause ends.
    wake: Sender<()>,
    resumed: Receiver<()>,
}

#[derive(Debug, Default)]
struct Control {
    paused: bool,
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
    /// A source as configured, which counts in `health` under its name.
    pub fn register(name: &str, config: SourceConfig, health: &Health) -> Arc<Self> {
        let state = SourceState {
            kind: config.kind.name().into(),
            mode: config.mode().name().into(),
            activity: "starting".into(),
            ..SourceState::default()
        };
        let ledger = health.add_source(name, state);
        Self::new(name, config, ledger)
    }

    /// A source as configured.
    pub fn new(name: &str, config: SourceConfig, ledger: Ledger) -> Arc<Self> {
        let own = |text: &Option<String>| text.as_deref().map(Arc::from);
        let sample = SampleContext { case: own(&config.case), slide: own(&config.slide), colony: own(&config.colony) };
        let (wake, resumed) = bounded(1);
        Arc::new(Self {
            name: name.into(),
            mode: config.mode(),
            config,
            ledger,
            control: Mutex::new(Control { paused: false, sample, requested: None }),
            wake,
            resumed,
        })
    }

    fn with<R>(&self, act: impl FnOnce(&mut Control) -> R) -> R {
        act(&mut self.control.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Case and slide in force.
    pub fn sample(&self) -> SampleContext {
        self.with(|c| c.sample.clone())
    }

    /// Sets the case and slide of the frames that follow.
    pub fn set_sample(&self, sample: SampleContext) {
        self.with(|c| c.sample = sample);
    }

    /// Requests the next frame, whatever its triage. False when one is requested already.
    pub fn request_frame(&self, requested: FrameRequest) -> bool {
        self.with(|c| {
            let free = c.requested.is_none();
            if free {
                c.requested = Some(requested);
            }
            free
        })
    }

    /// Takes the request for a frame, when there is one.
    pub fn take_request(&self) -> Option<FrameRequest> {
        self.with(|c| c.requested.take())
    }

    /// Pauses the source, or lets it go on.
    pub fn set_paused(&self, paused: bool) {
        self.with(|c| c.paused = paused);
        if !paused {
            // A wake-up that is already there serves as well.
            let _ = self.wake.try_send(());
        }
    }

    /// Whether the source takes no frames now.
    pub fn is_paused(&self) -> bool {
        self.with(|c| c.paused)
    }

    /// Receives when a pause may have ended.
    pub fn resumed(&self) -> &Receiver<()> {
        &self.resumed
    }

    /// True when the newest frame displaces older ones rather than waiting for them.
    pub fn is_live(&self) -> bool {
        self.mode == Mode::Freshest
    }
}

impl Job {
    /// A frame that was just accepted.
    pub fn new(frame: Frame, ticket: Ticket, context: Arc<SourceContext>, requested: bool) -> Self {
        Self {
            counted: frame.info.arrived,
            frame,
            ticket,
            sample: context.sample(),
            context,
            requested,
            quality: Quality::default(),
            regions: Regions::new(),
            scene: None,
            recognised: Vec::new(),
            place: None,
            timings: StageTimings::default(),
        }
    }

    /// Ends the frame without a cell. A rejection comes back when somebody waits for the answer: a file, a trigger or a
    /// request; other frames of a live source are only counted.
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
            place: self.place,
        })
    }

    /// Counts the time since the last count, until `now`, where it belongs.
    pub fn spend(&mut self, now: Instant, on: fn(&mut StageTimings) -> &mut Duration) {
        *on(&mut self.timings) += now.saturating_duration_since(self.counted);
        self.counted = now;
    }

    /// Ends the frame unfinished.
    pub fn drop_for(self, reason: DropReason) {
        self.ticket.dropped(reason);
    }
}
