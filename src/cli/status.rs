//! `status`: the running daemon's health in words, asked over its HTTP API.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use clap::Args;
use ureq::Agent;

use super::{Exit, Failure, Global, config, output::print};
use crate::{
    station::Level,
    web::{DEFAULT_PORT, Status, WebOptions},
};

/// Ports after the default one at which a daemon is sought when none is configured: it takes the next free one.
const PORTS_SOUGHT: u16 = 10;

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusCommand {
    /// Address of the daemon's page; without it, `web.listen` of the configuration or the default ports.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with the access token; without it, `web.token_file` of the configuration.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// One JSON object: state, counters and facts.
    #[arg(long)]
    json: bool,
}

/// What came of asking one address.
enum Reply {
    Answered(String, Box<Status>),
    /// Nobody listens there, or somebody else does.
    Absent(String),
}

impl StatusCommand {
    /// Asks the daemon and prints its answer.
    pub fn run(&self, global: &Global) -> Result<Exit, Failure> {
        let mut web = config::load(global, None)?.config.web;
        if let Some(file) = &self.token_file {
            web.token_file = Some(file.clone());
        }
        let options = WebOptions::from_config(&web)?;
        let options = match (options, &self.url) {
            (Some(options), _) => options,
            (None, Some(_)) => WebOptions::default(),
            (None, None) => {
                return Err(Failure::unavailable("web.listen is off: the daemon has no HTTP API to ask"));
            }
        };
        let agent = agent();
        let mut last = String::new();
        for url in addresses(self.url.as_deref(), &options) {
            match ask(&agent, &url, options.token.as_deref())? {
                Reply::Answered(text, status) => {
                    if self.json {
                        print(text.trim_end())?;
                    } else {
                        print(words(&url, &status).trim_end())?;
                    }
                    return Ok(Exit::Done);
                }
                Reply::Absent(why) => last = format!("no metaphased answers at {url}: {why}"),
            }
        }
        Err(Failure::unavailable(format!("{last}\nStart it with 'metaphased', or name its address with --url")))
    }
}

/// The daemon that answers where the configuration or the default ports say, with its page's address.
///
/// # Errors
/// When one answers and wants another token.
pub(super) fn running(options: &WebOptions) -> Result<Option<(String, Box<Status>)>, Failure> {
    let agent = agent();
    for url in addresses(None, options) {
        if let Reply::Answered(_, status) = ask(&agent, &url, options.token.as_deref())? {
            return Ok(Some((url, status)));
        }
    }
    Ok(None)
}

fn agent() -> Agent {
    let config = Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).http_status_as_error(false);
    config.build().into()
}

/// Where to ask: the given address, the configured one, or the default ports.
fn addresses(url: Option<&str>, options: &WebOptions) -> Vec<String> {
    match (url, options.listen) {
        (Some(url), _) => vec![url.trim_end_matches('/').to_owned()],
        (None, Some(mut address)) => {
            if address.ip().is_unspecified() {
                address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
            }
            vec![format!("http://{address}")]
        }
        (None, None) => {
            (DEFAULT_PORT..=DEFAULT_PORT + PORTS_SOUGHT).map(|port| format!("http://127.0.0.1:{port}")).collect()
        }
    }
}

fn ask(agent: &Agent, url: &str, token: Option<&str>) -> Result<Reply, Failure> {
    let mut request = agent.get(format!("{url}/api/v1/status"));
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut response = match request.call() {
        Ok(response) => response,
        Err(error) => return Ok(Reply::Absent(error.to_string())),
    };
    let status = response.status();
    let text = response.body_mut().read_to_string().unwrap_or_default();
    if status == 401 {
        let text =
            format!("{url} requires its access token: give --token-file, or a configuration with web.token_file");
        return Err(Failure::new(Exit::NotPermitted, text));
    }
    match serde_json::from_str::<Status>(&text) {
        Ok(known) if status.is_success() => Ok(Reply::Answered(text, Box::new(known))),
        _ => Ok(Reply::Absent(format!("something else answers there (HTTP {status})"))),
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Degraded => "DEGRADED",
        Level::Failed => "FAILED",
    }
}

/// The status as a person reads it.
fn words(url: &str, status: &Status) -> String {
    let Status { state, stats, birth, .. } = status;
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        // Writing into a string cannot fail.
        let _ = writeln!(out, "{name:<10} {text}");
    };
    let with = |text: &str, reason: &str| match reason {
        "" => text.to_owned(),
        reason => format!("{text}: {reason}"),
    };
    line("station", format!("{}, metaphased {}, {} assay, page {url}", birth.station, birth.version, birth.assay));
    line("health", level(state.level).to_owned());
    for (name, source) in &state.sources {
        let counts = stats.sources.get(name).cloned().unwrap_or_default();
        let text = format!(
            "{name} ({}, {}) {}, {:.1} frames/s, {} accepted, {} stored, {} rejected, {} merged, {} dropped, {} in flight",
            source.kind,
            source.mode,
            if source.activity.is_empty() { level(source.level) } else { &source.activity },
            counts.frames_per_s,
            counts.accepted,
            counts.stored,
            counts.rejected.values().sum::<u64>(),
            counts.merged,
            counts.dropped.values().sum::<u64>(),
            counts.in_flight,
        );
        line("source", with(&text, &source.reason));
        if !source.device.is_empty() {
            line("", source.device.clone());
        }
        for hint in &source.hints {
            line("", hint.clone());
        }
    }
    for (name, stage) in state.stages.iter().filter(|(_, stage)| stage.level != Level::Ok) {
        line("stage", with(&format!("{name} {}", level(stage.level)), &stage.reason));
    }
    line("engine", with(&format!("{} {}", state.engine.name, level(state.engine.level)), &state.engine.reason));
    for (task, model) in &state.engine.models {
        line("model", format!("{task}: {model}"));
    }
    let broker = if state.broker.connected { "connected" } else { "not connected" };
    line("broker", with(&format!("{} {broker}", state.broker.url), &state.broker.reason));
    line("store", with(level(state.store.level), &state.store.reason));
    line(
        "cells",
        format!(
            "{} stored ({:.1}/min), {} published, {} messages wait for the broker",
            stats.cells_stored, stats.cells_per_min, stats.cells_published, stats.outbox_depth
        ),
    );
    if let Some(case) = &state.case {
        line("case", with(case, &state.slide.as_ref().map(|slide| format!("slide {slide}")).unwrap_or_default()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::station::{BrokerState, SourceState, State};

    #[test]
    fn what_is_wrong_is_said_with_its_reason() {
        let mut state = State { level: Level::Degraded, ..State::default() };
        let source = SourceState { kind: "webcam".into(), activity: "lost".into(), ..SourceState::default() };
        state.sources.insert("scope".into(), SourceState { reason: "plug the camera in again".into(), ..source });
        state.broker = BrokerState { url: "mqtt://broker".into(), connected: true, ..BrokerState::default() };
        let status = Status { schema: "status/1".into(), state, stats: Default::default(), birth: Default::default() };
        let text = words("http://127.0.0.1:8080", &status);
        assert!(text.contains("DEGRADED") && text.contains("lost"), "{text}");
        assert!(text.contains("plug the camera in again") && text.contains("mqtt://broker connected"), "{text}");
    }
}
