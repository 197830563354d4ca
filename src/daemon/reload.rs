//! The configuration read again while the daemon runs: what can be changed then is, all of it or nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Daemon, facts};
use crate::{
    config::{Config, Loaded},
    records::CaseBookSettings,
    telemetry::Log,
};

/// Keys that are taken over without a restart; a table stands for all its keys.
const LIVE: [&str; 9] = [
    "triage.metaphase",
    "triage.focus",
    "triage.spread",
    "log.level",
    "dose.alarm_gy",
    "dose.alarm_hysteresis_gy",
    "dose.alarm_min_cells",
    "dose.alarm_needs_review",
    "web",
];
/// Keys below those of `LIVE` that require a restart all the same.
const FIXED: [&str; 7] = [
    "web.listen",
    "web.language",
    "web.token_file",
    "web.users_file",
    "web.session_hours",
    "web.user_header",
    "web.proxies",
];

/// How the configuration is read again, and the log whose level may change.
pub struct Reloading<'a> {
    /// Reads and checks it as at the start; as an error every mistake in words.
    pub load: &'a dyn Fn() -> Result<Loaded, String>,
    /// The log.
    pub log: &'a Log,
}

impl Daemon {
    /// Reads the configuration again.
    pub(super) fn reload(&mut self, reloading: &Reloading<'_>) {
        let next = match (reloading.load)() {
            Ok(loaded) => loaded.config,
            Err(mistakes) => {
                tracing::error!(mistakes, "the configuration cannot be used: everything stays as it was");
                return;
            }
        };
        let (live, fixed) = changed(&self.config, &next);
        // Everything that can fail comes first.
        let prepared = CaseBookSettings::from_config(&next)
            .map_err(|error| error.to_string())
            .and_then(|settings| Ok((settings.alarm, next.log.filter()?)));
        let (alarm, filter) = match prepared {
            Ok(prepared) => prepared,
            Err(reason) => {
                tracing::error!(reason, "the configuration cannot be used: everything stays as it was");
                return;
            }
        };
        reloading.log.set_filter(filter);
        self.thresholds.set(&next.triage);
        self.records.set_alarm(alarm);
        if let Some(names) = &self.names {
            names.set(&next.web.hosts, next.web.public_address().and_then(Result::ok));
        }
        take_over(&mut self.config, &next);
        let digest = facts::digest(&self.config);
        self.health.set_birth(|birth| birth.configuration = digest);
        let list = |keys: &[String]| if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") };
        tracing::info!(changed = list(&live), "the configuration was read again");
        if !fixed.is_empty() {
            tracing::warn!(keys = list(&fixed), "these changes require a restart");
        }
    }
}

/// Keys that differ: those that are taken over, and those that require a restart.
fn changed(before: &Config, after: &Config) -> (Vec<String>, Vec<String>) {
    let (before, after) = (values(before), values(after));
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).cloned();
    differing.partition(|key| is_live(key))
}

fn is_live(key: &str) -> bool {
    let is_below = |table: &&str| key.strip_prefix(*table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    LIVE.iter().any(is_below) && !FIXED.contains(&key)
}

/// Every value by its path; lists are values.
fn values(config: &Config) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    // The types hold nothing that JSON cannot.
    flatten(&mut flat, String::new(), serde_json::to_value(config).unwrap_or_default());
    flat
}

fn flatten(flat: &mut BTreeMap<String, Value>, path: String, value: Value) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                flatten(flat, if path.is_empty() { key } else { format!("{path}.{key}") }, inner);
            }
        }
        value => drop(flat.insert(path, value)),
    }
}

fn take_over(config: &mut Config, next: &Config) {
    let triage = &next.triage;
    (config.triage.metaphase, config.triage.focus, config.triage.spread) =
        (triage.metaphase, triage.focus, triage.spread);
    config.log.level.clone_from(&next.log.level);
    let dose = &next.dose;
    (config.dose.alarm_gy, config.dose.alarm_hysteresis_gy, config.dose.alarm_needs_review) =
        (dose.alarm_gy, dose.alarm_hysteresis_gy, dose.alarm_needs_review);
    config.dose.alarm_min_cells = dose.alarm_min_cells;
    config.web.hosts.clone_from(&next.web.hosts);
    config.web.public_url.clone_from(&next.web.public_url);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_key_is_taken_over_or_named_for_a_restart() {
        let before = Config::default();
        let mut after = Config::default();
        after.triage.focus = 0.4;
        after.triage.window_ms = 10;
        after.log.level = "debug".into();
        after.dose.alarm_gy = Some(1.0);
        after.web.hosts = vec!["scope.lab".into()];
        after.web.token_file = Some("token".into());
        after.mqtt.url = "mqtt://broker".into();
        let (live, fixed) = changed(&before, &after);
        assert_eq!(live, ["dose.alarm_gy", "log.level", "triage.focus", "web.hosts"]);
        assert_eq!(fixed, ["mqtt.url", "triage.window_ms", "web.token_file"]);
        let mut now = before;
        take_over(&mut now, &after);
        let (live, left) = changed(&now, &after);
        assert!(live.is_empty(), "{live:?}");
        assert_eq!(left, fixed);
    }
}
