//! The supervisor: watches the monitors and reports what it finds.

use std::{sync::Arc, time::Duration};

use super::monitor::StageMonitor;
use crate::station::{Health, Level};

/// Work on one frame for so long counts as a hang.
pub const HANGS_AFTER: Duration = Duration::from_secs(30);

/// What the supervisor found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// All stages work or wait for work.
    Well,
    /// A stage hangs: the watchdog is no longer fed.
    Hangs(String),
    /// A stage has used up its budget of panics: the daemon ends with exit code 70.
    Broken(String),
}

/// Checks every monitor and copies its figures and its level to the state of the daemon.
pub fn supervise(monitors: &[Arc<StageMonitor>], health: &Health) -> Finding {
    let mut finding = Finding::Well;
    for monitor in monitors {
        let (done, busy, waiting) = monitor.figures();
        health.set_stage_figures(monitor.name(), done, busy, waiting);
        if monitor.is_beyond_budget() {
            health.stage(monitor.name(), |s| {
                s.level = Level::Failed;
                s.reason = "it panics again and again".into();
            });
            finding = Finding::Broken(monitor.name().to_owned());
        } else if let Some(time) = monitor.busy_for().filter(|t| *t >= HANGS_AFTER) {
            let seconds = time.as_secs() / 10 * 10;
            health.stage(monitor.name(), |s| {
                s.level = Level::Degraded;
                s.reason = format!("has worked on one frame for more than {seconds} s");
            });
            if finding == Finding::Well {
                finding = Finding::Hangs(monitor.name().to_owned());
            }
        } else {
            health.stage(monitor.name(), |s| {
                if s.level != Level::Ok {
                    s.level = Level::Ok;
                    s.reason.clear();
                }
            });
        }
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, station::Birth};

    #[test]
    fn a_hanging_stage_is_reported_until_it_goes_on() {
        let clock = ManualClock::default();
        let health = Health::new(Birth::default());
        let monitor = StageMonitor::new("recognise", Arc::new(clock.clone()));
        health.add_stage("recognise");
        let monitors = [monitor.clone()];
        let found = monitor.run(0, || {
            clock.advance(Duration::from_secs(31));
            supervise(&monitors, &health)
        });
        assert_eq!(found, Ok(Finding::Hangs("recognise".into())));
        assert_eq!(health.state(String::new()).level, Level::Degraded);
        assert_eq!(supervise(&monitors, &health), Finding::Well);
        assert_eq!(health.state(String::new()).level, Level::Ok);
    }
}
