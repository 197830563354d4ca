//! The alarm of a case: raised when the lower limit of the dose passes a level, cleared when it has fallen well below.

use domain::{NOTICE, Said};
use dosimetry::Gray;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// When an alarm is raised and cleared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlarmSettings {
    /// Raised when the lower limit of the dose reaches this.
    pub level: Gray,
    /// Cleared when it has fallen this far below the level, so that one cell cannot toggle it.
    pub hysteresis: Gray,
    /// Counted cells before it may be raised, unless 30 dicentrics come first.
    pub min_cells: u64,
    /// Hold it until a person has seen the dicentrics that a machine called.
    pub needs_review: bool,
}

/// Where the alarm of a case stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    /// No alarm.
    #[default]
    Clear,
    /// The level is passed, and a person has to see the called dicentrics before the alarm goes out.
    Held,
    /// Out, and nobody has answered.
    Raised,
    /// Out, and somebody has answered.
    Acknowledged,
}

/// What became of an alarm: the transitions that are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmEvent {
    /// The lower limit passed the level.
    Raised,
    /// Somebody answered.
    Acknowledged,
    /// The lower limit fell well below the level.
    Cleared,
}

/// The `alarm/1` message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlarmMessage {
    /// `alarm/1`.
    pub schema: String,
    /// Station.
    pub station: String,
    /// Id of the case.
    pub case: String,
    /// What happened.
    pub state: AlarmEvent,
    /// Level in Gy.
    pub level_gy: f64,
    /// Lower limit of the dose in Gy when it happened, where there was one.
    pub lower_limit_gy: Option<f64>,
    /// Who acknowledged.
    pub by: Option<String>,
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// Why, in words.
    pub reason: String,
    /// The code of these words: `alarm_lower_limit`, `alarm_no_dose` or `alarm_acknowledged`; the values are `lower_limit_gy`, `level_gy` and `by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// Research use only.
    pub notice: String,
}

impl AlarmMessage {
    /// Name and major version of the message.
    pub const SCHEMA: &'static str = "alarm/1";
}

/// Why an alarm cannot be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AcknowledgeError {
    /// There is none.
    #[error("case {0} has no raised alarm")]
    NotRaised(String),
    /// Somebody was there before.
    #[error("the alarm of case {case} was acknowledged by {by} already")]
    Already {
        /// The case.
        case: String,
        /// Who.
        by: String,
    },
    /// Nobody is named.
    #[error("say who acknowledges (`by`)")]
    Nobody,
}

/// What the lower limit of a dose rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// There are enough cells, or dicentrics, for an alarm.
    pub enough: bool,
    /// Every called dicentric was seen by a person.
    pub reviewed: bool,
}

/// The alarm of one case. Kept with the case, so that a restart does not raise it again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alarm {
    state: AlarmState,
    by: Option<String>,
}

impl Alarm {
    /// Where it stands.
    pub fn state(&self) -> AlarmState {
        self.state
    }

    /// Takes the newest lower limit (none: no dose) and what it rests on; gives the message to publish, where something changed.
    /// `time` is RFC 3339.
    pub fn update(
        &mut self,
        (station, case): (&str, &str),
        settings: &AlarmSettings,
        lower_limit: Option<f64>,
        basis: Basis,
        time: &str,
    ) -> Option<AlarmMessage> {
        let Basis { enough, reviewed } = basis;
        let level = settings.level.value();
        let above = lower_limit.is_some_and(|low| low >= level);
        let well_below = lower_limit.is_none_or(|low| low < level - settings.hysteresis.value());
        let next = match self.state {
            AlarmState::Clear | AlarmState::Held if above && !enough => AlarmState::Clear,
            AlarmState::Clear | AlarmState::Held if above && (reviewed || !settings.needs_review) => AlarmState::Raised,
            AlarmState::Clear if above => AlarmState::Held,
            // Nothing went out yet: a limit below the level takes a held alarm back at once.
            AlarmState::Held if !above => AlarmState::Clear,
            AlarmState::Raised | AlarmState::Acknowledged if well_below => AlarmState::Clear,
            same => same,
        };
        let before = std::mem::replace(&mut self.state, next);
        let words = |low: f64| {
            Said::new("alarm_lower_limit", format!("the lower limit of the dose is {low:.2} Gy, the level {level} Gy"))
        };
        let reason = lower_limit.map_or(Said::new("alarm_no_dose", "the case has no dose any more"), words);
        let event = match (before, next) {
            (AlarmState::Clear | AlarmState::Held, AlarmState::Raised) => AlarmEvent::Raised,
            (AlarmState::Raised | AlarmState::Acknowledged, AlarmState::Clear) => AlarmEvent::Cleared,
            _ => return None,
        };
        self.by = None;
        Some(message((station, case), event, settings, lower_limit, None, time, reason))
    }

    /// Somebody answers the alarm.
    pub fn acknowledge(
        &mut self,
        (station, case): (&str, &str),
        settings: &AlarmSettings,
        by: &str,
        lower_limit: Option<f64>,
        time: &str,
    ) -> Result<AlarmMessage, AcknowledgeError> {
        let by = by.trim();
        match self.state {
            _ if by.is_empty() => Err(AcknowledgeError::Nobody),
            AlarmState::Clear | AlarmState::Held => Err(AcknowledgeError::NotRaised(case.into())),
            AlarmState::Acknowledged => Err(AcknowledgeError::Already {
                case: case.into(),
                by: self.by.clone().unwrap_or_else(|| "somebody".into()),
            }),
            AlarmState::Raised => {
                self.state = AlarmState::Acknowledged;
                self.by = Some(by.into());
                let reason = Said::new("alarm_acknowledged", format!("acknowledged by {by}"));
                let place = (station, case);
                Ok(message(place, AlarmEvent::Acknowledged, settings, lower_limit, Some(by), time, reason))
            }
        }
    }
}

fn message(
    (station, case): (&str, &str),
    state: AlarmEvent,
    settings: &AlarmSettings,
    lower_limit_gy: Option<f64>,
    by: Option<&str>,
    time: &str,
    reason: Said,
) -> AlarmMessage {
    AlarmMessage {
        schema: AlarmMessage::SCHEMA.into(),
        station: station.into(),
        case: case.into(),
        state,
        level_gy: settings.level.value(),
        lower_limit_gy,
        by: by.map(str::to_owned),
        time: time.into(),
        reason: reason.text,
        reason_code: Some(reason.code.into()),
        notice: NOTICE.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: (&str, &str) = ("lab", "7");
    const SURE: Basis = Basis { enough: true, reviewed: true };
    const UNSEEN: Basis = Basis { enough: true, reviewed: false };
    const NOON: &str = "2026-11-22T12:00:00Z";

    fn settings(needs_review: bool) -> AlarmSettings {
        AlarmSettings { level: Gray::clamped(1.0), hysteresis: Gray::clamped(0.1), min_cells: 50, needs_review }
    }

    fn events(alarm: &mut Alarm, settings: &AlarmSettings, limits: &[f64]) -> Vec<AlarmEvent> {
        limits.iter().filter_map(|low| alarm.update(PLACE, settings, Some(*low), SURE, NOON)).map(|m| m.state).collect()
    }

    #[test]
    fn a_limit_that_trembles_around_the_level_raises_one_alarm() {
        let mut alarm = Alarm::default();
        let found = events(&mut alarm, &settings(false), &[0.5, 0.99, 1.0, 0.95, 1.02, 0.91, 1.5]);
        assert_eq!(found, [AlarmEvent::Raised]);
        assert_eq!(events(&mut alarm, &settings(false), &[0.89, 0.95, 1.0]), [AlarmEvent::Cleared, AlarmEvent::Raised]);
    }

    #[test]
    fn no_alarm_goes_out_before_there_are_enough_cells_and_none_that_is_out_falls_silent() {
        let (mut alarm, settings) = (Alarm::default(), settings(false));
        let few = Basis { enough: false, reviewed: true };
        assert_eq!(alarm.update(PLACE, &settings, Some(1.4), few, NOON), None);
        assert_eq!(alarm.state(), AlarmState::Clear);
        assert!(alarm.update(PLACE, &settings, Some(1.4), SURE, NOON).is_some());
        // A cell that a person takes out again brings the number below the least.
        assert_eq!(alarm.update(PLACE, &settings, Some(1.4), few, NOON), None);
        assert_eq!(alarm.state(), AlarmState::Raised);
    }

    #[test]
    fn an_alarm_is_held_until_the_dicentrics_are_reviewed() {
        let (mut alarm, settings) = (Alarm::default(), settings(true));
        assert_eq!(alarm.update(PLACE, &settings, Some(1.4), UNSEEN, NOON), None);
        assert_eq!(alarm.state(), AlarmState::Held);
        assert!(alarm.acknowledge(PLACE, &settings, "ana", None, NOON).is_err());
        let out = alarm.update(PLACE, &settings, Some(1.3), SURE, NOON).expect("raised after the review");
        assert_eq!((out.state, out.lower_limit_gy), (AlarmEvent::Raised, Some(1.3)));
    }

    #[test]
    fn a_review_that_takes_the_dose_away_takes_a_held_alarm_back_without_a_word() {
        let (mut alarm, settings) = (Alarm::default(), settings(true));
        alarm.update(PLACE, &settings, Some(1.4), UNSEEN, NOON);
        assert_eq!(alarm.update(PLACE, &settings, Some(0.2), SURE, NOON), None);
        assert_eq!(alarm.state(), AlarmState::Clear);
    }

    #[test]
    fn an_acknowledgement_names_somebody_and_lasts_until_the_alarm_clears() {
        let (mut alarm, settings) = (Alarm::default(), settings(false));
        assert_eq!(
            alarm.acknowledge(PLACE, &settings, "ana", None, NOON),
            Err(AcknowledgeError::NotRaised("7".into()))
        );
        alarm.update(PLACE, &settings, Some(2.0), SURE, NOON);
        assert_eq!(alarm.acknowledge(PLACE, &settings, "  ", None, NOON), Err(AcknowledgeError::Nobody));
        let said = alarm.acknowledge(PLACE, &settings, "ana", Some(2.0), NOON).expect("acknowledged");
        assert_eq!((said.state, said.by.as_deref()), (AlarmEvent::Acknowledged, Some("ana")));
        let again = alarm.acknowledge(PLACE, &settings, "ben", None, NOON).expect_err("once is enough");
        assert!(again.to_string().contains("ana"));
        assert!(alarm.update(PLACE, &settings, Some(3.0), SURE, NOON).is_none());
        assert_eq!(alarm.update(PLACE, &settings, None, SURE, NOON).map(|m| m.state), Some(AlarmEvent::Cleared));
    }

    #[test]
    fn a_restart_does_not_raise_it_again() {
        let (mut alarm, settings) = (Alarm::default(), settings(false));
        alarm.update(PLACE, &settings, Some(2.0), SURE, NOON);
        let kept = serde_json::to_string(&alarm).expect("JSON");
        let mut back: Alarm = serde_json::from_str(&kept).expect("JSON");
        assert_eq!(back.update(PLACE, &settings, Some(2.1), SURE, NOON), None);
    }
}
