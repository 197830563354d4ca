//! `/metrics`: counters for Prometheus, read from the daemon's picture at each scrape.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
    routing::get,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::{App, LiveHub, problem::Problem, tries::Tries};
use crate::{
    station::{FrameCounts, Health, Level},
    store::LogCounts,
};

/// The registry behind the route.
pub struct Metrics(Mutex<Registry>);

impl Metrics {
    /// Metrics of this daemon.
    pub fn new(health: Health, hub: LiveHub, tries: Arc<Tries>, log: LogCounts) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Picture { health, hub, tries, log }));
        Self(Mutex::new(registry))
    }

    /// The metrics as OpenMetrics text.
    ///
    /// # Errors
    /// Never in practice: writing into a string.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        let registry = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<impl IntoResponse, Problem> {
    let text = app.metrics.text().map_err(|_| {
        Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "The metrics could not be written as text.")
    })?;
    let (kind, text) = if wants_plain(&headers) {
        ("text/plain; version=0.0.4; charset=utf-8", plain(&text))
    } else {
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", text)
    };
    Ok(([(header::CONTENT_TYPE, kind)], text))
}

/// Whether only plain text is asked for: by collectors that know no OpenMetrics, and by browsers, which would save it.
fn wants_plain(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("text/") && !accept.contains("application/openmetrics-text")
}

/// OpenMetrics as the text format before it, in which counters are declared with their whole name.
fn plain(text: &str) -> String {
    let counters: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut plain = String::with_capacity(text.len() + 64);
    for line in text.lines().filter(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(kind), Some(name), Some(rest)) if counters.contains(&name) => {
                plain.push_str(&format!("# {kind} {name}_total {rest}\n"));
            }
            _ => {
                plain.push_str(line);
                plain.push('\n');
            }
        }
    }
    plain
}

#[derive(Debug)]
struct Picture {
    health: Health,
    hub: LiveHub,
    tries: Arc<Tries>,
    log: LogCounts,
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Writes metrics one after the other.
struct Writer<'e>(DescriptorEncoder<'e>);

impl Writer<'_> {
    /// One metric with its rows; a metric without rows is left out.
    fn metric<'l, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels<'l>, M)>,
    ) -> Result<(), fmt::Error> {
        let mut rows = rows.into_iter().peekable();
        let Some((_, first)) = rows.peek() else { return Ok(()) };
        let mut metric = self.0.encode_descriptor(name, help, None, first.metric_type())?;
        for (labels, value) in rows {
            value.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A metric without labels.
    fn single(&mut self, name: &str, help: &str, value: impl EncodeMetric) -> Result<(), fmt::Error> {
        let metric = self.0.encode_descriptor(name, help, None, value.metric_type())?;
        value.encode(metric)
    }
}

impl Collector for Picture {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let health = &self.health;
        let counts: Vec<(String, FrameCounts)> =
            health.ledgers().into_iter().map(|(name, ledger)| (name, ledger.counts())).collect();
        let stats = health.stats(String::new(), std::time::Duration::ZERO);
        let state = health.state(String::new());
        let birth = health.birth();
        let mut writer = Writer(encoder);

        let by_source = |count: fn(&FrameCounts) -> u64| {
            counts.iter().map(move |(name, c)| (vec![("source", name.as_str())], ConstCounter::new(count(c))))
        };
        let by_reason = |count: for<'a> fn(&'a FrameCounts) -> &'a BTreeMap<&'static str, u64>| {
            counts.iter().flat_map(move |(name, c)| {
                let row = move |(reason, n): (&&'static str, &u64)| {
                    (vec![("source", name.as_str()), ("reason", *reason)], ConstCounter::new(*n))
                };
                count(c).iter().map(row)
            })
        };
        writer.metric("metaphased_frames_accepted", "Frames taken in", by_source(|c| c.accepted))?;
        writer.metric("metaphased_frames_stored", "Frames that gave a stored cell", by_source(|c| c.stored))?;
        writer.metric("metaphased_frames_rejected", "Frames that gave no cell", by_reason(|c| &c.rejected))?;
        let merged = "Frames for which another frame of the same scene stood";
        writer.metric("metaphased_frames_merged", merged, by_source(|c| c.merged))?;
        writer.metric("metaphased_frames_dropped", "Frames given up", by_reason(|c| &c.dropped))?;
        let gaps = "Frames that the device numbered and that never came";
        writer.metric("metaphased_device_gaps", gaps, by_source(|c| c.device_gaps))?;
        let broken = "Frames that the transport lost or broke";
        writer.metric("metaphased_transport_errors", broken, by_source(|c| c.transport_errors))?;
        let waiting =
            counts.iter().map(|(name, c)| (vec![("source", name.as_str())], ConstGauge::new(c.waiting as i64)));
        writer.metric("metaphased_frames_waiting", "Pushed frames that wait in the spool", waiting)?;
        let busy =
            counts.iter().map(|(name, c)| (vec![("source", name.as_str())], ConstGauge::new(i64::from(c.is_busy()))));
        writer.metric("metaphased_source_busy", "1 while a further frame would be refused", busy)?;
        let in_flight =
            counts.iter().map(|(name, c)| (vec![("source", name.as_str())], ConstGauge::new(c.in_flight as i64)));
        writer.metric("metaphased_frames_in_flight", "Frames on their way", in_flight)?;

        let counter = |n: u64| ConstCounter::new(n);
        writer.single("metaphased_cells_stored", "Cells written to the store", counter(stats.cells_stored))?;
        let published = "Cells that the broker acknowledged";
        writer.single("metaphased_cells_published", published, counter(stats.cells_published))?;
        let resent = "Messages sent again after a lost connection";
        writer.single("metaphased_messages_resent", resent, counter(stats.resent))?;
        let pictures = "Pictures of frames that could not be written";
        writer.single("metaphased_pictures_not_kept", pictures, counter(state.store.pictures_not_kept))?;
        let help = "Bytes in the log of the store's database";
        writer.single("metaphased_store_log_bytes", help, ConstGauge::new(self.log.bytes() as i64))?;
        let copies = [("thread", self.log.by_thread()), ("commit", self.log.by_commit())];
        let copies = copies.map(|(by, n)| (vec![("by", by)], counter(n)));
        writer.metric("metaphased_store_log_copies", "How often the log was copied into the database", copies)?;
        let [reviewed, corrections] = self.hub.reviewed();
        let help = "Karyotyped cells that a person has looked at, since the start";
        writer.single("metaphased_cells_reviewed", help, counter(reviewed))?;
        let help = "Boxes that people added and deleted, and classes that they changed, since the start";
        writer.single("metaphased_corrections", help, counter(corrections))?;
        let tokens = "Requests with a wrong token or cookie";
        writer.single("metaphased_wrong_tokens", tokens, counter(self.tries.count()))?;
        let passwords = "Logins with a wrong name or password";
        writer.single("metaphased_wrong_passwords", passwords, counter(self.tries.passwords()))?;
        let depth = ConstGauge::new(stats.outbox_depth as i64);
        writer.single("metaphased_outbox_depth", "Messages that wait for the broker", depth)?;
        let aside = ConstGauge::new(state.broker.set_aside as i64);
        let help = "Messages that are larger than the broker takes and wait in the store";
        writer.single("metaphased_messages_set_aside", help, aside)?;
        let connected = ConstGauge::new(i64::from(state.broker.connected));
        writer.single("metaphased_broker_connected", "1 while connected to the broker", connected)?;

        let by_stage = || stats.stages.iter().map(|(name, s)| (vec![("stage", name.as_str())], s));
        let done = by_stage().map(|(labels, s)| (labels, ConstCounter::new(s.done)));
        writer.metric("metaphased_stage_frames", "Frames done by a stage", done)?;
        let busy = by_stage().map(|(labels, s)| (labels, ConstCounter::new(s.mean_ms * s.done as f64 / 1e3)));
        writer.metric("metaphased_stage_busy_seconds", "Time that a stage spent on frames", busy)?;
        let waiting = by_stage().map(|(labels, s)| (labels, ConstGauge::new(s.waiting as i64)));
        writer.metric("metaphased_stage_waiting", "Frames that wait before a stage", waiting)?;
        let restarts =
            state.stages.iter().map(|(name, s)| (vec![("stage", name.as_str())], counter(s.restarts.into())));
        writer.metric("metaphased_stage_restarts", "How often a stage was rebuilt after a panic", restarts)?;

        let parts = [
            ("overall", state.level),
            ("engine", state.engine.level),
            ("store", state.store.level),
            ("broker", state.broker.level),
        ];
        let sources =
            state.sources.iter().map(|(name, s)| (vec![("part", "source"), ("name", name.as_str())], s.level));
        let levels = parts.into_iter().map(|(part, level)| (vec![("part", part), ("name", "")], level)).chain(sources);
        let levels = levels.map(|(labels, level)| (labels, ConstGauge::new(number(level))));
        writer.metric("metaphased_health", "0 ok, 1 degraded, 2 failed", levels)?;
        let labels = vec![("version", birth.version.as_str()), ("engine", state.engine.name.as_str())];
        writer.metric("metaphased_build_info", "Version of the daemon", [(labels, ConstGauge::new(1_i64))])
    }
}

fn number(level: Level) -> i64 {
    match level {
        Level::Ok => 0,
        Level::Degraded => 1,
        Level::Failed => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::station::{Birth, RejectReason, SourceState};

    #[test]
    fn the_counting_equation_can_be_read_from_the_metrics() {
        let health = Health::new(Birth::default());
        let ledger = health.add_source("scope", SourceState::default());
        let under_way = ledger.accept();
        ledger.accept().stored();
        ledger.accept().merged();
        ledger.accept().rejected(RejectReason::NoMetaphase);
        let text = Metrics::new(health, LiveHub::new([]), Arc::default(), LogCounts::default()).text().expect("text");
        for line in [
            "metaphased_frames_accepted_total{source=\"scope\"} 4",
            "metaphased_frames_stored_total{source=\"scope\"} 1",
            "metaphased_frames_rejected_total{source=\"scope\",reason=\"no_metaphase\"} 1",
            "metaphased_frames_merged_total{source=\"scope\"} 1",
            "metaphased_frames_in_flight{source=\"scope\"} 1",
            "metaphased_cells_stored_total 0",
            "metaphased_outbox_depth 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nin\n{text}");
        }
        drop(under_way);
        // The older text format declares counters by their whole name.
        let older = plain(&text);
        assert!(
            older.contains("# TYPE metaphased_cells_stored_total counter\n") && !older.contains("# EOF"),
            "{older}"
        );
        assert!(older.contains("# TYPE metaphased_outbox_depth gauge\n"), "{older}");
    }

    #[test]
    fn plain_text_is_given_where_only_that_is_asked_for() {
        let wants = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, header::HeaderValue::from_static(accept));
            wants_plain(&headers)
        };
        assert!(wants("text/plain") && wants("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!wants("*/*") && !wants("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"));
        assert!(!wants_plain(&HeaderMap::new()));
    }
}
