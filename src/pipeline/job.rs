//! What travels: a frame with all that is known about it so far.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::order::Place;
use crate::{
    camera::PushQueue,
    config::{Mode, SourceConfig, SourceKind},
    station::{Answer, CommandError, DropReason, Health, Ledger, RejectReason, SourceState, Ticket},
};
use domain::{
    Quality, StagePosition,
    frame::{FileStamp, Frame, FrameId, FrameInfo, SampleContext},
};
use recognition::{Recognised, Regions};

/// Pushed frames that may wait or be on their way, unless configured.
const DEFAULT_SPOOL: u32 = 64;

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
    /// Whoever waits for what triage sees.
    pub reply: Option<TriggerReply>,
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
    /// Scores of triage, where it saw the frame.
    pub quality: Option<Quality>,
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
    /// Its frames that wait, where they are pushed.
    pub push: Option<PushQueue>,
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
#[derive(Debug, Default)]
pub struct FrameRequest {
    /// The scanner's event id.
    pub trigger: Option<String>,
    /// Where the stage stands.
    pub stage_um: Option<StagePosition>,
    /// Frames that pass first: one that arrives just now may have been exposed before it was asked for.
    pub skip: u32,
    /// Whoever waits for what triage sees.
    pub reply: Option<TriggerReply>,
    /// When it was asked for.
    pub asked: Option<Instant>,
}

/// Answers a command.
pub type Reply = Box<dyn FnOnce(Answer) + Send>;

/// The way back to whoever waits for what triage sees. Called exactly once: when it is dropped, too.
pub struct TriggerReply(Option<Reply>);

impl TriggerReply {
    /// Answers with `reply`.
    pub fn new(reply: Reply) -> Self {
        Self(Some(reply))
    }

    /// Answers.
    pub fn answer(mut self, answer: Answer) {
        if let Some(reply) = self.0.take() {
            reply(answer);
        }
    }
}

impl Drop for TriggerReply {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            reply(Err(CommandError::Unavailable("the frame was given up before triage saw it".into())));
        }
    }
}

impl fmt::Debug for TriggerReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TriggerReply")
    }
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
        let push = (config.kind == SourceKind::Push).then(|| {
            let queue = PushQueue::new(config.spool.unwrap_or(DEFAULT_SPOOL).into(), ledger.clone());
            queue.set_sample(sample.clone());
            queue
        });
        Arc::new(Self {
            push,
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
        if let Some(push) = &self.push {
            push.set_sample(sample.clone());
        }
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

    /// Whether a frame is requested and has not come yet.
    pub fn has_request(&self) -> bool {
        self.with(|c| c.requested.is_some())
    }

    /// Takes the request that the frame which has just come is for, when there is one.
    pub fn take_request(&self) -> Option<FrameRequest> {
        self.with(|c| {
            let requested = c.requested.as_mut()?;
            match requested.skip.checked_sub(1) {
                None => c.requested.take(),
                Some(left) => {
                    requested.skip = left;
                    None
                }
            }
        })
    }

    /// Whoever waits for the frame of a request that was made before `then`, with its trigger. The request stands.
    pub fn take_slow_reply(&self, then: Instant) -> Option<(TriggerReply, Option<String>)> {
        self.with(|c| {
            let requested = c.requested.as_mut()?;
            requested.asked.filter(|asked| *asked < then)?;
            Some((requested.reply.take()?, requested.trigger.clone()))
        })
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
            sample: frame.info.sample.clone().unwrap_or_else(|| context.sample()),
            frame,
            ticket,
            context,
            requested,
            quality: Quality::default(),
            regions: Regions::new(),
            scene: None,
            recognised: Vec::new(),
            place: None,
            reply: None,
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
            quality: Some(self.quality),
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
