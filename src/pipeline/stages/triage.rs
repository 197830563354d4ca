//! Triage and select: one thread for each source. Scores every frame within a few milliseconds and passes on those
//! with a metaphase.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, never, select};

use super::{StageContext, commit};
use crate::{
    pipeline::{
        edges::EdgeSender,
        finds,
        job::Job,
        select::{Choice, SceneFeatures, Select, Signature},
    },
    station::{DropReason, RejectReason, TriggerState},
    web::{LiveFrame, LiveHub},
};
use domain::{Quality, frame::Frame};
use recognition::{Region, Regions};

/// The result of triage for a frame.
#[derive(Debug, Clone, Default)]
pub struct Assessment {
    /// Scores from 0 to 1.
    pub quality: Quality,
    /// Why it does not go on, with an explanation; none when it does.
    pub refused: Option<(RejectReason, Cow<'static, str>)>,
}

/// Assesses frames; holds its own scratch memory.
pub trait Assess: Send {
    /// Scores the frame and fills `regions` (handed in empty) with where its cells are.
    fn assess(&mut self, frame: &Frame, regions: &mut Regions) -> Assessment;
}

/// The triage stage of one source.
pub struct TriageStage {
    /// Monitor, clock, health and shutdown.
    pub context: StageContext,
    /// Makes the assessor; again after a panic.
    pub make: Box<dyn FnMut() -> Box<dyn Assess> + Send>,
    /// How long the frames of a scene are gathered; none: every frame goes on by itself.
    pub window: Option<Duration>,
    /// Frames from capture.
    pub input: Receiver<Job>,
    /// Frames for recognise.
    pub output: EdgeSender<Job>,
    /// Rejections that are published.
    pub rejections: EdgeSender<commit::Outcome>,
    /// The live view, where the page is served.
    pub hub: Option<LiveHub>,
}

impl TriageStage {
    /// Runs until capture has ended and the last frame is through.
    pub fn run(mut self) {
        let mut assess = (self.make)();
        let mut scenes: Option<Select<Job>> = self.window.map(Select::new);
        let (mut timer, mut timer_due) = (never(), None);
        loop {
            // One timer for each scene: it is set again only when another scene is due.
            let due = scenes.as_ref().and_then(Select::due);
            if due != timer_due {
                let clock = &self.context.clock;
                timer = due.map_or_else(never, |due| clock.after(due.saturating_duration_since(clock.now())));
                timer_due = due;
            }
            select! {
                recv(self.input) -> job => match job {
                    Ok(job) if self.context.shutdown.is_abandoned() => job.drop_for(DropReason::Shutdown),
                    Ok(job) => self.assess(job, &mut assess, scenes.as_mut()),
                    Err(_) => break,
                },
                recv(timer) -> _ => {
                    timer_due = None;
                    if let Some(scenes) = &mut scenes {
                        let output = &self.output;
                        let now = self.context.clock.now();
                        scenes.tick(now, |choice| pass(output, choice, now));
                    }
                }
            }
        }
        // The best frame of the last scene is finished in the drain, too.
        if let Some(scenes) = &mut scenes {
            let output = &self.output;
            let now = self.context.clock.now();
            scenes.interrupt(|choice| pass(output, choice, now));
        }
    }

    fn assess(&mut self, mut job: Job, assess: &mut Box<dyn Assess>, mut scenes: Option<&mut Select<Job>>) {
        let _span = tracing::debug_span!("frame", source = %job.context.name, frame = job.frame.info.id.0).entered();
        job.spend(self.context.clock.now(), |timings| &mut timings.queue);
        let Job { frame, regions, .. } = &mut job;
        let result = self.context.monitor.run(self.input.len(), || assess.assess(frame, regions));
        job.spend(self.context.clock.now(), |timings| &mut timings.triage);
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
        let now = job.counted;
        if let Some(reply) = job.reply.take() {
            reply.answer(Ok(seen(&job, &assessment)));
        }
        if let Some(scenes) = &mut scenes {
            scenes.saw(now);
        }
        let live = self.live(&job);
        if job.context.config.search {
            self.show(live, None);
            return self.find(job, assessment);
        }
        if job.requested {
            if job.regions.is_empty() {
                job.regions.push(Region::whole(job.frame.pixels.width(), job.frame.pixels.height()));
            }
            self.show(live, None);
            return pass(&self.output, Choice::Go(job, 0), now);
        }
        if let Some((reason, text)) = assessment.refused {
            self.show(live, None);
            // One blurred frame does not end a scene; no metaphase does.
            if let (Some(scenes), RejectReason::Empty | RejectReason::NoMetaphase) = (scenes, reason) {
                scenes.interrupt(|choice| pass(&self.output, choice, now));
            }
            return self.reject(job, reason, &text);
        }
        match scenes {
            None => {
                self.show(live, None);
                pass(&self.output, Choice::Go(job, 0), now);
            }
            Some(scenes) => {
                let pixels = &job.frame.pixels;
                let quality = job.quality;
                // Of the frames of one cell the one that holds all of it is the best, if it can be used.
                let cut = job.regions.first().is_some_and(|region| region.edge.is_cut());
                let features = SceneFeatures {
                    signature: Signature::of(pixels.view(), pixels.width(), pixels.height()),
                    stage_um: job.frame.info.stage_um,
                    score: finds::score(quality, cut),
                };
                scenes.offer(job, features, now, |choice| pass(&self.output, choice, now));
                // Only now is the scene of the frame known: boxes of another must not lie on it.
                self.show(live, Some(scenes.scene()));
            }
        }
    }

    /// Ends a search frame: what triage has found is stored.
    fn find(&self, job: Job, assessment: Assessment) {
        // Before the verdict: without the pixel size triage has not looked for the spreads of a search objective.
        let info = &job.frame.info;
        if info.stage_um.is_none() || info.um_per_px.is_none() {
            let text = "a search frame without its place: expected a stage position and a pixel size";
            return self.reject(job, RejectReason::Unsupported, text);
        }
        if job.sample.slide.is_none() && info.trigger.is_none() {
            let text = "a search frame without a slide, whose finds would go nowhere: expected the key 'slide' or a command 'case' with one";
            return self.reject(job, RejectReason::Unsupported, text);
        }
        if let Some((reason, text)) = assessment.refused {
            return self.reject(job, reason, &text);
        }
        let regions = job.regions.iter();
        let found =
            regions.filter_map(|r| finds::find(&job, &r.bounds, r.quality, r.edge.is_cut(), Vec::new())).collect();
        let frame = Box::new(finds::commit(&job, found));
        let Job { ticket, context, place, frame: Frame { info, .. }, .. } = job;
        let (arrived, reread) = (info.arrived, false);
        let outcome = commit::Outcome::Cells { frame, ticket, context, arrived, reread, shown: Vec::new() };
        commit::send(&self.rejections, place, outcome);
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

/// What triage has seen, for whoever waits for it.
fn seen(job: &Job, assessment: &Assessment) -> serde_json::Value {
    let (verdict, text) = match &assessment.refused {
        None => ("metaphase", "a metaphase"),
        Some((reason, text)) => (reason.label(), &**text),
    };
    let info = &job.frame.info;
    serde_json::json!({
        "source": &*job.context.name,
        "trigger": info.trigger,
        "state": TriggerState::Waiting,
        "frame": info.id.0,
        "quality": job.quality,
        "verdict": verdict,
        "text": text,
    })
}

fn pass(output: &EdgeSender<Job>, choice: Choice<Job>, now: Instant) {
    match choice {
        Choice::Merged(job) => job.ticket.merged(),
        Choice::Go(mut job, scene) => {
            job.scene = (scene > 0).then_some(scene);
            job.spend(now, |timings| &mut timings.select);
            super::hand_on(output, job);
        }
    }
}
