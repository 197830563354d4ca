//! What people and scanners ask of the sources: pause, go on, give a frame, another case.

use std::sync::Arc;

use serde_json::json;

use super::job::{FrameRequest, SourceContext};
use domain::frame::SampleContext;

use crate::station::{Answer, CommandError, Health, SourceCommand};

/// Carries out commands to the sources.
#[derive(Debug, Clone)]
pub struct SourceControl {
    sources: Vec<Arc<SourceContext>>,
    health: Health,
}

impl SourceControl {
    /// Over these sources; the case in force is reported to `health`.
    pub fn new(sources: Vec<Arc<SourceContext>>, health: Health) -> Self {
        Self { sources, health }
    }

    /// Whether new cells of a source are added to this case.
    pub fn adds_to(&self, case: &str) -> bool {
        self.sources.iter().any(|source| {
            source.sample().case.as_deref() == Some(case)
                || source.push.as_ref().is_some_and(|queue| queue.holds_case(case))
        })
    }

    /// Carries out a command.
    ///
    /// # Errors
    /// When it names a source that does not exist, or cannot be done now.
    pub fn execute(&self, command: &SourceCommand) -> Answer {
        command.check()?;
        match command {
            SourceCommand::Start { source } => self.set_paused(source.as_deref(), false),
            SourceCommand::Stop { source } => self.set_paused(source.as_deref(), true),
            SourceCommand::Snapshot { source } => self.request_frame(source.as_deref(), FrameRequest::default()),
            SourceCommand::Trigger { source, trigger, stage_um } => {
                let request = FrameRequest { trigger: Some(trigger.clone()), stage_um: *stage_um };
                self.request_frame(source.as_deref(), request)
            }
            SourceCommand::Case { case, slide, colony } => {
                self.set_sample([case.as_deref(), slide.as_deref(), colony.as_deref()])
            }
        }
    }

    fn named(&self, name: Option<&str>) -> Result<Vec<&SourceContext>, CommandError> {
        let sources = self.sources.iter().map(Arc::as_ref);
        let found: Vec<&SourceContext> = sources.filter(|s| name.is_none_or(|name| *s.name == *name)).collect();
        if found.is_empty() {
            let known = self.sources.iter().map(|s| &*s.name).collect::<Vec<_>>().join(", ");
            return Err(CommandError::NotFound(match name {
                Some(name) => format!("no source '{name}': known are {known}"),
                None => "there is no source".into(),
            }));
        }
        Ok(found)
    }

    fn set_paused(&self, name: Option<&str>, paused: bool) -> Answer {
        let found = self.named(name)?;
        found.iter().for_each(|source| source.set_paused(paused));
        Ok(json!({ "sources": found.iter().map(|s| &*s.name).collect::<Vec<_>>() }))
    }

    fn request_frame(&self, name: Option<&str>, request: FrameRequest) -> Answer {
        let [source] = self.named(name)?[..] else {
            return Err(CommandError::Refused("there are several sources: select one with 'source'".into()));
        };
        if source.is_paused() {
            return Err(CommandError::Refused(format!("source '{}' is paused: send 'start' first", source.name)));
        }
        if !source.request_frame(request) {
            return Err(CommandError::Unavailable(format!(
                "source '{}' has not given the last frame yet",
                source.name
            )));
        }
        Ok(json!({ "source": &*source.name }))
    }

    fn set_sample(&self, names: [Option<&str>; 3]) -> Answer {
        let [case, slide, colony] = names.map(|name| name.map(Arc::from));
        let sample = SampleContext { case, slide, colony };
        self.sources.iter().for_each(|source| source.set_sample(sample.clone()));
        let [case, slide, colony] = names;
        self.health.set_case(case.map(str::to_owned), slide.map(str::to_owned));
        Ok(json!({ "case": case, "slide": slide, "colony": colony }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::SourceConfig, station::Birth};

    fn control(names: &[&str]) -> SourceControl {
        let health = Health::new(Birth::default());
        let sources =
            names.iter().map(|name| SourceContext::register(name, SourceConfig::default(), &health)).collect();
        SourceControl::new(sources, health)
    }

    #[test]
    fn commands_reach_the_source_they_name() {
        let control = control(&["a", "b"]);
        assert!(control.execute(&SourceCommand::Stop { source: Some("b".into()) }).is_ok());
        assert!(!control.sources[0].is_paused() && control.sources[1].is_paused());
        let snapshot = SourceCommand::Snapshot { source: None };
        assert!(matches!(control.execute(&snapshot), Err(CommandError::Refused(_))), "which of them?");
        let snapshot = SourceCommand::Snapshot { source: Some("c".into()) };
        assert!(matches!(control.execute(&snapshot), Err(CommandError::NotFound(_))));
        let trigger = SourceCommand::Trigger { source: Some("a".into()), trigger: "t1".into(), stage_um: None };
        assert!(control.execute(&trigger).is_ok());
        assert!(matches!(control.execute(&trigger), Err(CommandError::Unavailable(_))), "one at a time");
        assert_eq!(control.sources[0].take_request().and_then(|w| w.trigger).as_deref(), Some("t1"));
    }

    #[test]
    fn a_pause_that_ends_wakes_the_source() {
        let control = control(&["a"]);
        control.execute(&SourceCommand::Stop { source: None }).expect("it pauses");
        assert!(control.sources[0].is_paused() && control.sources[0].resumed().is_empty());
        control.execute(&SourceCommand::Start { source: None }).expect("it goes on");
        assert!(!control.sources[0].is_paused());
        assert_eq!(control.sources[0].resumed().try_recv(), Ok(()));
    }

    #[test]
    fn a_case_holds_for_the_frames_that_follow() {
        let control = control(&["a"]);
        let case = SourceCommand::Case { case: Some("K 1".into()), slide: None, colony: None };
        assert!(control.execute(&case).is_ok());
        assert!(control.adds_to("K 1") && !control.adds_to("K 2"));
        assert_eq!(control.health.state(String::new()).case.as_deref(), Some("K 1"));
        let bad = SourceCommand::Case { case: Some("a\nb".into()), slide: None, colony: None };
        assert!(matches!(control.execute(&bad), Err(CommandError::Refused(_))));
    }
}
