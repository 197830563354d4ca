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
    /// What the source is and what it belongs to now.
    pub context: Arc<SourceContext>,
    /// Case and slide in force when it was taken.
    pub belongs: Belongs,
    /// A person or a scanner asked for this very frame: triage does not refuse it and select does not merge it.
    pub wanted: bool,
    /// What triage thought.
    pub quality: Quality,
    /// Where triage saw cells.
    pub regions: Regions,
    /// Scene of a live source.
    pub scene: Option<u64>,
    /// What was recognised, one entry a cell.
    pub recognised: Vec<Recognised>,
    /// Time spent by stage.
    pub spent: Spent,
}

/// Time that stages spent on a frame.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// Triage.
    pub triage: Duration,
    /// Networks and segmentation.
    pub recognise: Duration,
    /// Karyotype or dicentrics, pictures.
    pub interpret: Duration,
}

/// Case, slide and colony.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Belongs {
    /// Case.
    pub case: Option<Arc<str>>,
    /// Slide.
    pub slide: Option<Arc<str>>,
    /// Colony of an in-situ culture.
    pub colony: Option<Arc<str>>,
}

/// A frame or file that gave no cell, and must be told because somebody waits for it.
#[derive(Debug)]
pub struct Refusal {
    /// Number of the frame.
    pub frame: FrameId,
    /// Its source.
    pub context: Arc<SourceContext>,
    /// Case and slide in force.
    pub belongs: Belongs,
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
    belongs: Belongs,
    wanted: Option<Wanted>,
}

/// A frame that was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// The scanner's event id.
    pub trigger: Option<String>,
    /// Where the stage stands.
    pub stage_um: Option<StagePosition>,
}

impl SourceContext {
    /// A source as configured.
    pub fn new(name: &str, config: SourceConfig, ledger: Ledger) -> Arc<Self> {
        let own = |text: &Option<String>| text.as_deref().map(Arc::from);
        let belongs = Belongs { case: own(&config.case), slide: own(&config.slide), colony: own(&config.colony) };
        Arc::new(Self {
            name: name.into(),
            mode: config.mode(),
            config,
            ledger,
            paused: AtomicBool::new(false),
            control: Mutex::new(Control { belongs, wanted: None }),
        })
    }

    fn with<R>(&self, act: impl FnOnce(&mut Control) -> R) -> R {
        act(&mut self.control.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Case and slide in force.
    pub fn belongs(&self) -> Belongs {
        self.with(|c| c.belongs.clone())
    }

    /// What comes from now on belongs to this case and slide.
    pub fn set_belongs(&self, belongs: Belongs) {
        self.with(|c| c.belongs = belongs);
    }

    /// The next frame is wanted, whatever triage thinks. False when one is wanted already.
    pub fn want(&self, wanted: Wanted) -> bool {
        self.with(|c| {
            let free = c.wanted.is_none();
            if free {
                c.wanted = Some(wanted);
            }
            free
        })
    }

    /// Takes the wish for a frame, when there is one.
    pub fn take_wanted(&self) -> Option<Wanted> {
        self.with(|c| c.wanted.take())
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
    pub fn new(frame: Frame, ticket: Ticket, context: Arc<SourceContext>, wanted: bool) -> Self {
        Self {
            frame,
            ticket,
            belongs: context.belongs(),
            context,
            wanted,
            quality: Quality::default(),
            regions: Regions::new(),
            scene: None,
            recognised: Vec::new(),
            spent: Spent::default(),
        }
    }

    /// Ends the frame without a cell. A refusal comes back when somebody waits for the answer: a file, a trigger or a
    /// wish; the frames of a live feed are only counted.
    pub fn refuse(self, reason: RejectReason, text: impl Into<String>) -> Option<Refusal> {
        let FrameInfo { id, file, stamp, trigger, .. } = self.frame.info;
        if file.is_none() && trigger.is_none() && !self.wanted {
            self.ticket.rejected(reason);
            return None;
        }
        Some(Refusal {
            frame: id,
            context: self.context,
            belongs: self.belongs,
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
