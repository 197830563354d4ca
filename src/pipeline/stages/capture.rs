//! Capture: one thread for each source. Opens it, opens it again when it fails, and accepts its frames.

use std::{sync::Arc, time::Duration};

use crossbeam_channel::select;

use super::StageContext;
use crate::{
    camera::{BadFrame, Buffers, Capture, Source, SourceError},
    config::SourceKind,
    pipeline::{
        edges::EdgeSender,
        job::{FrameRequest, Job, Rejection, SourceContext},
    },
    station::{DropReason, Level, RejectReason},
};
use domain::frame::{Frame, FrameId};

/// Opens a source; called again after each failure.
pub type OpenSource = Box<dyn FnMut() -> Result<Box<dyn Source>, SourceError> + Send>;

/// Seconds between attempts to open a failed source; the last one repeats.
const REOPEN_AFTER_S: &[u64] = &[1, 2, 5, 10, 30];
/// Those of a camera: it is asked for at once when it is plugged in again, and asking costs nothing.
const REOPEN_CAMERA_AFTER_S: &[u64] = &[1, 2];

/// The capture stage of one source.
pub struct CaptureStage {
    /// Monitor, clock, health and shutdown.
    pub context: StageContext,
    /// Its source.
    pub source: Arc<SourceContext>,
    /// How to open it.
    pub open: OpenSource,
    /// Where pixels go.
    pub buffers: Buffers,
    /// Frames for triage.
    pub frames: EdgeSender<Job>,
    /// Files that cannot be read, straight to commit.
    pub rejections: EdgeSender<super::commit::Outcome>,
}

impl CaptureStage {
    /// Runs until the source is finished or the daemon stops.
    pub fn run(mut self) {
        let waits = match self.source.config.kind {
            SourceKind::V4l2 | SourceKind::Webcam | SourceKind::Genicam | SourceKind::Mjpeg => REOPEN_CAMERA_AFTER_S,
            _ => REOPEN_AFTER_S,
        };
        let mut failures = 0;
        let mut said = String::new();
        let mut count = 0u64;
        while !self.context.shutdown.is_draining() {
            match self.session(&mut count, &mut failures) {
                Ok(()) => break,
                Err(error) => {
                    let wait = waits[failures.min(waits.len() - 1)];
                    // What goes on for hours is said once.
                    let text = error.to_string();
                    if failures == 0 || text != said {
                        tracing::warn!(source = %self.source.name, %error, retry_s = wait, "source lost");
                        said = text;
                    }
                    failures += 1;
                    self.context.health.source(&self.source.name, |s| {
                        s.level = Level::Failed;
                        s.activity = "lost".into();
                        s.reason = format!("{error}; trying again every {wait} s");
                    });
                    self.context.clock.wait(Duration::from_secs(wait), self.context.shutdown.draining());
                }
            }
        }
    }

    /// Opens the source and takes frames until it ends.
    fn session(&mut self, count: &mut u64, failures: &mut usize) -> Result<(), SourceError> {
        let mut source = (self.open)()?;
        self.report("running");
        let device = source.device().unwrap_or_default();
        self.context.health.source(&self.source.name, |s| s.device = device);
        let mut size = None;
        let mut was_paused = false;
        let mut trouble = None;
        while !self.context.shutdown.is_draining() {
            let paused = self.source.is_paused();
            if paused != was_paused {
                self.report(if paused { "paused" } else { "running" });
                (was_paused, trouble) = (paused, None);
            }
            if paused {
                select! {
                    recv(self.source.resumed()) -> _ => {}
                    recv(self.context.shutdown.draining()) -> _ => {}
                }
                continue;
            }
            let buffers = &self.buffers;
            let capture = self.context.monitor.run(0, || source.next(buffers));
            let missed = source.missed();
            self.source.ledger.add_device_gaps(missed.device_gaps);
            self.source.ledger.add_transport_errors(missed.transport_errors);
            let capture = match capture {
                Ok(capture) => capture?,
                Err(panicked) => {
                    self.context.record_panic(&panicked.0);
                    return Err(SourceError::Device(format!("the source panicked: {}", panicked.0)));
                }
            };
            let now_troubled = source.trouble();
            if now_troubled != trouble {
                if let (None, Some(trouble)) = (&trouble, &now_troubled) {
                    tracing::warn!(source = %self.source.name, trouble, "source troubled");
                }
                self.report_trouble(now_troubled.as_deref());
                trouble = now_troubled;
            }
            match capture {
                Capture::Frame(mut frame) => {
                    *failures = 0;
                    *count += 1;
                    frame.info.id = FrameId(*count);
                    let now = [frame.pixels.width() as u32, frame.pixels.height() as u32];
                    if size != Some(now) {
                        size = Some(now);
                        self.context.health.source(&self.source.name, |s| s.size = Some(now));
                    }
                    self.accept(frame);
                }
                Capture::Bad(mut bad) => {
                    *count += 1;
                    bad.id = FrameId(*count);
                    self.reject(bad);
                }
                Capture::Superseded => self.source.ledger.accept().dropped(DropReason::Superseded),
                Capture::NoBuffer if self.source.is_live() => {
                    self.source.ledger.accept().dropped(DropReason::PoolEmpty);
                    // A source that gives frames at once must not spin while the pool is empty.
                    self.buffers.wait(Duration::from_millis(1));
                }
                Capture::NoBuffer | Capture::Nothing => {}
                Capture::Finished => {
                    self.report("finished");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn accept(&self, mut frame: Frame) {
        if let Some(fault) = frame.info.flags.fault() {
            // A request waits for the next one.
            return self.reject(BadFrame::of(frame, RejectReason::DeviceError, fault.into()));
        }
        let requested = self.source.take_request();
        let is_requested = requested.is_some();
        let mut reply = None;
        if let Some(FrameRequest { trigger, stage_um, reply: waiting, .. }) = requested {
            frame.info.trigger = trigger.or(frame.info.trigger);
            frame.info.stage_um = stage_um.or(frame.info.stage_um);
            reply = waiting;
        }
        tracing::trace!(source = %self.source.name, frame = frame.info.id.0, "accepted");
        let mut job = Job::new(frame, self.source.ledger.accept(), self.source.clone(), is_requested);
        job.reply = reply;
        super::hand_on(&self.frames, job);
    }

    fn reject(&self, bad: BadFrame) {
        let ticket = self.source.ledger.accept();
        let rejection = Rejection {
            frame: bad.id,
            context: self.source.clone(),
            sample: bad.sample.unwrap_or_else(|| self.source.sample()),
            quality: None,
            file: bad.file,
            stamp: bad.stamp,
            trigger: bad.trigger,
            reason: bad.reason,
            text: bad.text,
            ticket,
            place: None,
        };
        super::commit::reject(&self.rejections, rejection);
    }

    /// Reports what does not go well while the source runs on, or that all is well again.
    fn report_trouble(&self, trouble: Option<&str>) {
        let Some(trouble) = trouble else { return self.report("running") };
        self.context.health.source(&self.source.name, |s| {
            s.level = Level::Degraded;
            s.reason = trouble.into();
        });
    }

    fn report(&self, activity: &str) {
        self.context.health.source(&self.source.name, |s| {
            s.level = Level::Ok;
            s.activity = activity.into();
            s.reason.clear();
        });
    }
}
