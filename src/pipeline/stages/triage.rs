//! Triage and select: one thread a source. Looks at every frame for a few milliseconds; the worth-while go on.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{StageContext, commit};
use crate::{
    pipeline::{
        edges::{EdgeSender, Sent},
        job::Job,
        select::{Choice, SceneFeatures, Select, Signature},
    },
    station::{DropReason, RejectReason},
    web::{LiveFrame, LiveHub},
};
use domain::{Quality, frame::Frame};
use recognition::{Region, Regions};

/// What triage says of a frame.
#[derive(Debug, Clone, Default)]
pub struct Assessment {
    /// Scores from 0 to 1.
    pub quality: Quality,
    /// Why it does not go on, with words; none when it does.
    pub refused: Option<(RejectReason, Cow<'static, str>)>,
}

/// Looks at a frame; holds its own scratch memory.
pub trait Assess: Send {
    /// Scores the frame and fills `regions` (handed in empty) with where its cells are.
    fn assess(&mut self, frame: &Frame, regions: &mut Regions) -> Assessment;
}

/// The triage stage of one source.
pub struct TriageStage {
    /// What it has at hand.
    pub context: StageContext,
    /// Makes the part that looks; again after a panic.
    pub make: Box<dyn FnMut() -> Box<dyn Assess> + Send>,
    /// How long the frames of a scene are gathered; none: every frame goes on by itself.
    pub window: Option<Duration>,
    /// Frames from capture.
    pub input: Receiver<Job>,
    /// Frames for recognise.
    pub output: EdgeSender<Job>,
    /// Refusals that must be told.
    pub rejections: EdgeSender<commit::Outcome>,
    /// People who watch.
    pub hub: Option<LiveHub>,
}

impl TriageStage {
    /// Runs until capture has ended and the last frame is through.
    pub fn run(mut self) {
        let mut assess = (self.make)();
        let mut select: Option<Select<Job>> = self.window.map(Select::new);
        loop {
            let wait = match select.as_ref().and_then(Select::due) {
                Some(due) => due.saturating_duration_since(self.context.clock.now()).min(Duration::from_millis(50)),
                None => Duration::from_millis(50),
            };
            match self.input.recv_timeout(wait) {
                Ok(job) if self.context.abandoned() => job.drop_for(DropReason::Shutdown),
                Ok(job) => self.look(job, &mut assess, select.as_mut()),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(select) = &mut select {
                        let output = &self.output;
                        select.tick(self.context.clock.now(), |choice| pass(output, choice));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // The best frame of the last scene is finished in the drain, too.
        if let Some(select) = &mut select {
            let output = &self.output;
            select.interrupt(|choice| pass(output, choice));
        }
    }

    fn look(&mut self, mut job: Job, assess: &mut Box<dyn Assess>, select: Option<&mut Select<Job>>) {
        let _span = tracing::debug_span!("frame", source = %job.context.name, frame = job.frame.info.id.0).entered();
        let begun = Instant::now();
        let Job { frame, regions, .. } = &mut job;
        let result = self.context.monitor.run(self.input.len(), || assess.assess(frame, regions));
        job.timings.triage = begun.elapsed();
        let assessment = match result {
            Ok(assessment) => assessment,
            Err(panicked) => {
                self.context.record_panic(&panicked.0);
                *assess = (self.make)();
                let text = format!("triage failed on this frame: {}", panicked.0);
                return self.reject(job, RejectReason::StageFailed, &text);
            }
        };
        job.quality = assessment.quality;
        let live = self.live(&job);
        if job.requested {
            if job.regions.is_empty() {
                job.regions.push(Region::whole(job.frame.pixels.width(), job.frame.pixels.height()));
            }
            self.show(live, None);
            return pass(&self.output, Choice::Go(job, 0));
        }
        if let Some((reason, text)) = assessment.refused {
            self.show(live, None);
            // One blurred frame does not end a scene; no metaphase does.
            if let (Some(select), RejectReason::Empty | RejectReason::NoMetaphase) = (select, reason) {
                select.interrupt(|choice| pass(&self.output, choice));
            }
            return self.reject(job, reason, &text);
        }
        match select {
            None => {
                self.show(live, None);
                pass(&self.output, Choice::Go(job, 0));
            }
            Some(select) => {
                let pixels = &job.frame.pixels;
                let quality = job.quality;
                let features = SceneFeatures {
                    signature: Signature::of(pixels.view(), pixels.width(), pixels.height()),
                    stage_um: job.frame.info.stage_um,
                    score: quality.metaphase * (0.2 + quality.focus) * (0.2 + quality.spread),
                };
                select.offer(job, features, self.context.clock.now(), |choice| pass(&self.output, choice));
                // Only now is it known which scene the frame sample to: boxes of another must not lie on it.
                self.show(live, Some(select.scene()));
            }
        }
    }

    /// The frame for the page, where someone watches and a new picture is due.
    fn live(&self, job: &Job) -> Option<LiveFrame> {
        self.hub.as_ref().filter(|hub| hub.picture_due(&job.context.name))?;
        LiveFrame::of(&job.frame.info, &job.frame.pixels, job.quality, None)
    }

    fn show(&self, live: Option<LiveFrame>, scene: Option<u64>) {
        if let (Some(hub), Some(mut live)) = (&self.hub, live) {
            live.note.scene = scene;
            hub.show(live);
        }
    }

    fn reject(&self, job: Job, reason: RejectReason, text: &str) {
        tracing::trace!(reason = reason.label(), text, "refused");
        if let Some(rejection) = job.reject(reason, text) {
            commit::reject(&self.rejections, rejection);
        }
    }
}

fn pass(output: &EdgeSender<Job>, choice: Choice<Job>) {
    match choice {
        Choice::Merged(job) => job.ticket.merged(),
        Choice::Go(mut job, scene) => {
            job.scene = (scene > 0).then_some(scene);
            let mode = job.context.mode;
            match output.send(job, mode) {
                Sent::Done => {}
                Sent::Displaced(older) => older.drop_for(DropReason::Superseded),
                Sent::Abandoned(job) => job.drop_for(DropReason::Shutdown),
            }
        }
    }
}
