//! Commands, from the page or the broker, carried out.

use jiff::Timestamp;

use super::daemon::Daemon;
use crate::{
    pipeline::supervisor,
    station::{Answer, Command, CommandError},
};

impl Daemon {
    /// Carries out a command.
    pub(super) fn carry_out(&self, command: &Command) -> Answer {
        if let Command::Case { case: Some(case), .. } = command {
            self.records.check_open(case)?;
        }
        if let Command::Erase { case, .. } | Command::Close { case, .. } = command
            && self.pipeline.sources().iter().any(|source| source.sample().case.as_deref() == Some(case))
        {
            return Err(CommandError::Refused(format!(
                "case '{case}' takes cells at this moment: end it first (command `case`, or \"End case\" on the page)"
            )));
        }
        if let Some(answer) = self.records.carry_out(command, &Timestamp::now().to_string()) {
            return answer;
        }
        let answer = supervisor::control(command, self.pipeline.sources())
            .unwrap_or_else(|| Err(CommandError::Refused("this version does not take this command".into())));
        if let (Command::Case { case, slide, .. }, Ok(_)) = (command, &answer) {
            self.health.set_case(case.clone(), slide.clone());
        }
        answer
    }
}
