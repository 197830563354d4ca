//! The supervisor: looks at the monitors, carries out commands, and says when the daemon must end.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    job::{FrameRequest, SampleContext, SourceContext},
    monitor::StageMonitor,
};
use crate::station::{Answer, Command, CommandError, Health, Level};

/// Work in hand for so long counts as a hang.
pub const HANGS_AFTER: Duration = Duration::from_secs(30);

/// What the supervisor found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// All stages beat, or rest.
    Well,
    /// A stage hangs: the watchdog is no longer fed.
    Hangs(String),
    /// A stage has used up its budget of panics: the daemon ends with exit code 70.
    Broken(String),
}

/// Looks at every monitor, copies its figures to the picture, and judges.
pub fn look(monitors: &[Arc<StageMonitor>], health: &Health) -> Finding {
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

/// Carries out a command that concerns sources. `None` for one that sample elsewhere (cells and cases).
pub fn control(command: &Command, sources: &[Arc<SourceContext>]) -> Option<Answer> {
    Some(match command {
        Command::Start { source } => pause(source.as_deref(), sources, false),
        Command::Stop { source } => pause(source.as_deref(), sources, true),
        Command::Snapshot { source } => request_frame(source.as_deref(), sources, FrameRequest::default()),
        Command::Trigger { source, trigger, stage_um } => request_frame(
            source.as_deref(),
            sources,
            FrameRequest { trigger: Some(trigger.clone()), stage_um: *stage_um },
        ),
        Command::Case { case, slide, colony } => {
            belong([case.as_deref(), slide.as_deref(), colony.as_deref()], sources)
        }
        Command::Acknowledge { .. }
        | Command::Review { .. }
        | Command::Subject { .. }
        | Command::Close { .. }
        | Command::Reopen { .. }
        | Command::Erase { .. } => return None,
    })
}

fn named<'s>(name: Option<&str>, sources: &'s [Arc<SourceContext>]) -> Result<Vec<&'s SourceContext>, CommandError> {
    let found: Vec<&SourceContext> =
        sources.iter().map(Arc::as_ref).filter(|s| name.is_none_or(|name| *s.name == *name)).collect();
    if found.is_empty() {
        let known = sources.iter().map(|s| &*s.name).collect::<Vec<_>>().join(", ");
        return Err(CommandError::NotFound(match name {
            Some(name) => format!("no source '{name}': known are {known}"),
            None => "there is no source".into(),
        }));
    }
    Ok(found)
}

fn pause(name: Option<&str>, sources: &[Arc<SourceContext>], paused: bool) -> Answer {
    let found = named(name, sources)?;
    for source in &found {
        source.paused.store(paused, std::sync::atomic::Ordering::Relaxed);
    }
    Ok(json!({ "sources": found.iter().map(|s| &*s.name).collect::<Vec<_>>() }))
}

fn request_frame(name: Option<&str>, sources: &[Arc<SourceContext>], requested: FrameRequest) -> Answer {
    let found = named(name, sources)?;
    let [source] = found[..] else {
        return Err(CommandError::Refused("there are several sources: say which with 'source'".into()));
    };
    if source.is_paused() {
        return Err(CommandError::Refused(format!("source '{}' is paused: send 'start' first", source.name)));
    }
    if !source.request_frame(requested) {
        return Err(CommandError::Unavailable(format!("source '{}' has not given the last frame yet", source.name)));
    }
    Ok(json!({ "source": &*source.name }))
}

fn belong(names: [Option<&str>; 3], sources: &[Arc<SourceContext>]) -> Answer {
    for text in names.into_iter().flatten() {
        if text.is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
            return Err(CommandError::Refused(
                "a case, slide or colony is named by 1 to 200 characters without control characters".into(),
            ));
        }
    }
    let [case, slide, colony] = names.map(|name| name.map(Arc::from));
    let sample = SampleContext { case, slide, colony };
    for source in sources {
        source.set_belongs(sample.clone());
    }
    let [case, slide, colony] = names;
    Ok(json!({ "case": case, "slide": slide, "colony": colony }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::SourceConfig,
        pipeline::clock::ManualClock,
        station::{Birth, Ledger},
    };

    fn sources(names: &[&str]) -> Vec<Arc<SourceContext>> {
        names.iter().map(|n| SourceContext::new(n, SourceConfig::default(), Ledger::default())).collect()
    }

    #[test]
    fn commands_reach_the_source_they_name() {
        let sources = sources(&["a", "b"]);
        let stop = Command::Stop { source: Some("b".into()) };
        assert!(control(&stop, &sources).expect("a source's").is_ok());
        assert!(!sources[0].is_paused() && sources[1].is_paused());
        let snapshot = Command::Snapshot { source: None };
        assert!(matches!(control(&snapshot, &sources), Some(Err(CommandError::Refused(_)))), "which of them?");
        let snapshot = Command::Snapshot { source: Some("c".into()) };
        assert!(matches!(control(&snapshot, &sources), Some(Err(CommandError::NotFound(_)))));
        let trigger = Command::Trigger { source: Some("a".into()), trigger: "t1".into(), stage_um: None };
        assert!(control(&trigger, &sources).expect("a source's").is_ok());
        assert!(matches!(control(&trigger, &sources), Some(Err(CommandError::Unavailable(_)))), "one at a time");
        assert_eq!(sources[0].take_wanted().and_then(|w| w.trigger).as_deref(), Some("t1"));
    }

    #[test]
    fn a_case_holds_for_what_comes_from_now_on() {
        let sources = sources(&["a"]);
        let case = Command::Case { case: Some("K 1".into()), slide: None, colony: None };
        assert!(control(&case, &sources).expect("a source's").is_ok());
        assert_eq!(sources[0].sample().case.as_deref(), Some("K 1"));
        let bad = Command::Case { case: Some("a\nb".into()), slide: None, colony: None };
        assert!(matches!(control(&bad, &sources), Some(Err(CommandError::Refused(_)))));
    }

    #[test]
    fn a_hanging_stage_is_told_and_forgiven() {
        let clock = ManualClock::default();
        let health = Health::new(Birth::default());
        let monitor = StageMonitor::new("recognise", Arc::new(clock.clone()));
        health.add_stage("recognise");
        let monitors = [monitor.clone()];
        let found = monitor.run(0, || {
            clock.advance(Duration::from_secs(31));
            look(&monitors, &health)
        });
        assert_eq!(found, Ok(Finding::Hangs("recognise".into())));
        assert_eq!(health.state(String::new()).level, Level::Degraded);
        assert_eq!(look(&monitors, &health), Finding::Well);
        assert_eq!(health.state(String::new()).level, Level::Ok);
    }
}
