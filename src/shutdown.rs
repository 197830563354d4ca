//! The end of the daemon, in two steps, for threads and for asynchronous tasks.
//!
//! First everything drains: sources end, and what was accepted is finished. When that takes too long the rest is
//! abandoned. There is one [`Shutdown`], the sender; every wait races a [`ShutdownReceiver`], so that nobody polls and
//! nothing wakes up while nothing happens. A `Shutdown` that is dropped has taken both steps.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use tokio::sync::watch;

/// Disconnects when its step is taken; never carries anything. For `select!` and `recv_timeout`.
pub type StepReceiver = Receiver<Infallible>;

/// One step: open until its only sender is dropped.
#[derive(Debug)]
struct Step(Mutex<Option<(Sender<Infallible>, watch::Sender<()>)>>);

#[derive(Debug, Clone)]
struct Taken {
    channel: StepReceiver,
    task: watch::Receiver<()>,
}

impl Step {
    fn new() -> (Self, Taken) {
        // With a capacity: a `select!` on a channel without one takes memory from the heap each time it waits.
        let (sender, channel) = bounded(1);
        let (watched, task) = watch::channel(());
        (Self(Mutex::new(Some((sender, watched)))), Taken { channel, task })
    }

    fn take(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Taken {
    fn is_taken(&self) -> bool {
        self.channel.try_recv() == Err(TryRecvError::Disconnected)
    }

    async fn wait(mut self) {
        // Nothing is ever sent: this ends when the step's sender is dropped.
        while self.task.changed().await.is_ok() {}
    }
}

/// The sender of the shutdown.
#[derive(Debug)]
pub struct Shutdown {
    drain: Step,
    abandon: Step,
    receiver: ShutdownReceiver,
}

/// The receiving end of the shutdown. Cloning shares it.
#[derive(Debug, Clone)]
pub struct ShutdownReceiver {
    drain: Taken,
    abandon: Taken,
}

impl Default for Shutdown {
    fn default() -> Self {
        let (drain, draining) = Step::new();
        let (abandon, abandoned) = Step::new();
        Self { drain, abandon, receiver: ShutdownReceiver { drain: draining, abandon: abandoned } }
    }
}

impl Shutdown {
    /// A receiver of both steps.
    pub fn receiver(&self) -> ShutdownReceiver {
        self.receiver.clone()
    }

    /// First step: sources end, and what was accepted is finished.
    pub fn drain(&self) {
        self.drain.take();
    }

    /// Second step: what is still unfinished is given up.
    pub fn abandon(&self) {
        self.drain.take();
        self.abandon.take();
    }
}

impl ShutdownReceiver {
    /// True once sources are to end.
    pub fn is_draining(&self) -> bool {
        self.drain.is_taken()
    }

    /// True once what is unfinished is to be given up.
    pub fn is_abandoned(&self) -> bool {
        self.abandon.is_taken()
    }

    /// Disconnects when draining begins.
    pub fn draining(&self) -> &StepReceiver {
        &self.drain.channel
    }

    /// Disconnects when the rest is abandoned.
    pub fn abandoned(&self) -> &StepReceiver {
        &self.abandon.channel
    }

    /// Completes when draining begins.
    pub fn until_draining(&self) -> impl Future<Output = ()> + Send + 'static {
        self.drain.clone().wait()
    }

    /// Completes when the rest is abandoned.
    pub fn until_abandoned(&self) -> impl Future<Output = ()> + Send + 'static {
        self.abandon.clone().wait()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    fn is_ready(future: impl Future<Output = ()>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn draining_comes_before_abandoning_for_threads_and_tasks_alike() {
        let shutdown = Shutdown::default();
        let receiver = shutdown.receiver();
        assert!(!receiver.is_draining() && !is_ready(receiver.until_draining()));
        shutdown.drain();
        assert!(receiver.is_draining() && is_ready(receiver.until_draining()));
        assert!(!receiver.is_abandoned() && !is_ready(receiver.until_abandoned()));
        shutdown.abandon();
        assert!(receiver.is_abandoned() && is_ready(receiver.until_abandoned()));
    }

    #[test]
    fn a_waiting_thread_wakes_without_a_time_limit() {
        let shutdown = Shutdown::default();
        let receiver = shutdown.receiver();
        let waiter = std::thread::spawn(move || receiver.abandoned().recv());
        shutdown.abandon();
        assert!(waiter.join().expect("it ends").is_err());
    }

    #[test]
    fn a_sender_that_is_gone_has_taken_both_steps() {
        let receiver = Shutdown::default().receiver();
        assert!(receiver.is_draining() && receiver.is_abandoned());
    }
}
