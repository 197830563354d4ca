//! What people and scanners ask of the sources: pause, go on, give a frame, another case.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;

use super::job::{FrameRequest, Reply, SourceContext, TriggerReply};
use crate::{
    config::SourceKind,
    station::{Answer, CommandError, Health, SourceCommand, TriggerFacts, TriggerState, TriggerView},
    store::{Store, StoreError, TriggerRow},
};
use domain::frame::SampleContext;

/// How long whoever sends a trigger waits for what triage sees before the answer says that the frame is still to come.
const FRAME_WITHIN: Duration = Duration::from_secs(3);
/// Frames that pass before that of a trigger.
const SKIPPED: u32 = 1;

/// Carries out commands to the sources.
#[derive(Debug, Clone)]
pub struct SourceControl {
    sources: Vec<Arc<SourceContext>>,
    health: Health,
    store: Store,
}

impl SourceControl {
    /// Over these sources; the case in force is reported to `health`, triggers are kept in `store`.
    pub fn new(sources: Vec<Arc<SourceContext>>, health: Health, store: Store) -> Self {
        Self { sources, health, store }
    }

    /// Whether new cells of a source are added to this case: it is in force, or a frame that was pushed while it was has
    /// no answer yet. Where the store cannot say, they may be.
    pub fn adds_to(&self, case: &str) -> bool {
        let reader = self.store.reader();
        self.sources.iter().any(|source| {
            source.sample().case.as_deref() == Some(case)
                || source.push.is_some() && reader.awaits_answer(&source.name, case).unwrap_or(true)
        })
    }

    /// Carries out a command. `reply` is called once; with a trigger, when triage has seen its frame.
    pub fn execute(&self, command: &SourceCommand, reply: Reply) {
        if let Err(error) = command.check() {
            return reply(Err(error));
        }
        match command {
            SourceCommand::Start { source } => reply(self.set_paused(source.as_deref(), false)),
            SourceCommand::Stop { source } => reply(self.set_paused(source.as_deref(), true)),
            SourceCommand::Snapshot { source } => reply(self.snapshot(source.as_deref())),
            SourceCommand::Case { case, slide, colony } => {
                reply(self.set_sample([case.as_deref(), slide.as_deref(), colony.as_deref()]));
            }
            SourceCommand::Trigger { source, trigger, field, stage_um } => {
                let facts = TriggerFacts { field: field.clone(), stage_um: *stage_um, ..TriggerFacts::default() };
                self.trigger(source.as_deref(), trigger, &facts, reply);
            }
        }
    }

    fn trigger(&self, source: Option<&str>, trigger: &str, facts: &TriggerFacts, reply: Reply) {
        match self.begin_trigger(source, trigger, facts) {
            Ok(Begun::New(source)) => {
                let request = FrameRequest {
                    trigger: Some(trigger.to_owned()),
                    stage_um: facts.stage_um,
                    skip: SKIPPED,
                    reply: Some(TriggerReply::new(reply)),
                    asked: Some(Instant::now()),
                };
                // Nobody else makes requests: it was free a moment ago.
                source.request_frame(request);
            }
            Ok(Begun::Known(view)) => reply(Ok(json!(view))),
            Err(error) => reply(Err(error)),
        }
    }

    /// Answers those who wait for a frame that does not come: they ask for it later.
    pub fn answer_slow(&self) {
        let Some(then) = Instant::now().checked_sub(FRAME_WITHIN) else { return };
        for source in &self.sources {
            if let Some((reply, trigger)) = source.take_slow_reply(then) {
                let seconds = FRAME_WITHIN.as_secs();
                reply.answer(Ok(json!({
                    "source": &*source.name,
                    "trigger": trigger,
                    "state": TriggerState::Waiting,
                    "frame": null,
                    "text": format!("no frame has come within {seconds} s; the next one is taken: ask triggers/<id> for it"),
                })));
            }
        }
    }

    /// Keeps a trigger whose frame can be requested now.
    fn begin_trigger(
        &self,
        source: Option<&str>,
        trigger: &str,
        facts: &TriggerFacts,
    ) -> Result<Begun<'_>, CommandError> {
        let unavailable = |error: StoreError| CommandError::Unavailable(error.to_string());
        let source = self.single(source)?;
        // Numbers and names always become JSON.
        let text = serde_json::to_string(facts).unwrap_or_default();
        if let Some(known) = self.store.reader().trigger(trigger).map_err(unavailable)? {
            if known.source != *source.name || known.facts != text {
                return Err(CommandError::Refused(format!(
                    "trigger '{trigger}' came before ({}, source '{}') for another field: expected an id of its own",
                    known.received, known.source
                )));
            }
            return Ok(Begun::Known(Box::new(known.view())));
        }
        match source.config.kind {
            SourceKind::Push => {
                return Err(CommandError::Refused(format!(
                    "source '{0}' takes no frames itself: push the frame of this field to sources/{0}/frames",
                    source.name
                )));
            }
            SourceKind::Folder => {
                return Err(CommandError::Refused(format!(
                    "source '{}' reads files as they come, so none belongs to a trigger: push the frames to a source \
                     of kind 'push', or write their stage positions into the files",
                    source.name
                )));
            }
            _ => {}
        }
        if source.is_paused() {
            return Err(CommandError::Refused(format!("source '{}' is paused: send 'start' first", source.name)));
        }
        if source.has_request() {
            return Err(busy(source));
        }
        let sample = source.sample();
        let own = |name: &Option<Arc<str>>| name.as_deref().map(str::to_owned);
        let row = TriggerRow {
            id: trigger.to_owned(),
            source: source.name.to_string(),
            case: own(&sample.case),
            facts: text,
            ..TriggerRow::default()
        };
        self.store.begin_trigger(&row, None).map_err(unavailable)?;
        Ok(Begun::New(source))
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

    fn single(&self, name: Option<&str>) -> Result<&SourceContext, CommandError> {
        match self.named(name)?[..] {
            [source] => Ok(source),
            _ => Err(CommandError::Refused("there are several sources: select one with 'source'".into())),
        }
    }

    fn snapshot(&self, name: Option<&str>) -> Answer {
        let source = self.single(name)?;
        if source.is_paused() {
            return Err(CommandError::Refused(format!("source '{}' is paused: send 'start' first", source.name)));
        }
        if !source.request_frame(FrameRequest::default()) {
            return Err(busy(source));
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

/// A trigger at its beginning.
enum Begun<'a> {
    /// It is kept, and its frame can be requested.
    New(&'a SourceContext),
    /// It came before.
    Known(Box<TriggerView>),
}

fn busy(source: &SourceContext) -> CommandError {
    CommandError::Unavailable(format!("source '{}' has not given the last frame yet", source.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::SourceConfig, station::Birth, store::StoreOptions};

    fn control_of(sources: &[(&str, SourceKind)]) -> (SourceControl, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), StoreOptions::default()).expect("a store");
        let health = Health::new(Birth::default());
        let source = |(name, kind): &(&str, SourceKind)| {
            SourceContext::register(name, SourceConfig { kind: *kind, ..SourceConfig::default() }, &health)
        };
        let sources = sources.iter().map(source).collect();
        (SourceControl::new(sources, health, store), folder)
    }

    struct Control {
        control: SourceControl,
        _folder: tempfile::TempDir,
    }

    impl std::ops::Deref for Control {
        type Target = SourceControl;

        fn deref(&self) -> &SourceControl {
            &self.control
        }
    }

    impl Control {
        fn execute(&self, command: &SourceCommand) -> Answer {
            self.later(command).recv().expect("an answer")
        }

        fn later(&self, command: &SourceCommand) -> crossbeam_channel::Receiver<Answer> {
            let (sender, receiver) = crossbeam_channel::bounded(1);
            self.control.execute(command, Box::new(move |answer| drop(sender.send(answer))));
            receiver
        }
    }

    fn control(names: &[&str]) -> Control {
        let sources: Vec<_> = names.iter().map(|name| (*name, SourceKind::Simulator)).collect();
        let (control, folder) = control_of(&sources);
        Control { control, _folder: folder }
    }

    #[test]
    fn a_trigger_waits_for_its_frame_and_is_taken_once() {
        let control = control(&["a"]);
        let trigger = |id: &str, field: &str| SourceCommand::Trigger {
            source: None,
            trigger: id.into(),
            field: Some(field.into()),
            stage_um: None,
        };
        let waiting = control.later(&trigger("t1", "A1"));
        assert!(
            waiting.is_empty() && matches!(control.execute(&trigger("t2", "A2")), Err(CommandError::Unavailable(_)))
        );
        assert!(control.sources[0].take_request().is_none(), "a frame that was on its way before is not it");
        let request = control.sources[0].take_request().expect("the next one is");
        assert_eq!(request.trigger.as_deref(), Some("t1"));
        drop(request);
        assert!(matches!(waiting.recv(), Ok(Err(CommandError::Unavailable(_)))), "a frame that is given up is said");
        let again = control.execute(&trigger("t1", "A1")).expect("known");
        assert_eq!((&again["state"], &again["field"]), (&json!("waiting"), &json!("A1")));
        assert!(!control.sources[0].has_request(), "it is not taken again");
        assert!(matches!(control.execute(&trigger("t1", "A7")), Err(CommandError::Refused(_))), "another field");
    }

    #[test]
    fn sources_that_take_no_frames_refuse_a_trigger_and_say_what_would_be_right() {
        let (control, folder) = control_of(&[("files", SourceKind::Folder), ("stage", SourceKind::Push)]);
        let control = Control { control, _folder: folder };
        for (source, words) in [("files", "reads files as they come"), ("stage", "sources/stage/frames")] {
            let (source, trigger) = (Some(source.to_owned()), "t".to_owned());
            let answer = control.execute(&SourceCommand::Trigger { source, trigger, field: None, stage_um: None });
            assert!(matches!(&answer, Err(CommandError::Refused(why)) if why.contains(words)), "{answer:?}");
        }
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
        let snapshot = SourceCommand::Snapshot { source: Some("a".into()) };
        assert!(control.execute(&snapshot).is_ok());
        assert!(matches!(control.execute(&snapshot), Err(CommandError::Unavailable(_))), "one at a time");
        assert!(control.sources[0].take_request().is_some());
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
