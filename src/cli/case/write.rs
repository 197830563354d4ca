//! What `case` writes: reviews, subject data, closing, erasure. The daemon that has the store does it over its HTTP API; without
//! one the same code runs here.

use std::{path::Path, time::Duration};

use clap::Args;
use jiff::{Timestamp, civil::Date};
use serde_json::{Value, json};
use uuid::Uuid;

use super::table;
use crate::{
    cli::{Exit, Failure, output::print},
    config::Config,
    daemon::PAGE_KEY,
    mqtt::encode_level,
    records::{CaseBook, CaseBookSettings, RecordService},
    station::{RecordCommand, ReviewAction},
    store::{Store, StoreError, StoreOptions, StoreReader},
    web::{LiveHub, Problem, WebOptions},
};
use domain::{AberrationCounts, ChromosomeClass, Damage, DicentricRecord, HasKind, Rejected, ScoredBy, Verdict};
use dosimetry::Subject;
use karyotype::FittedSettings;

/// Arguments of `case review`.
#[derive(Debug, Args)]
pub struct ReviewArgs {
    /// The case.
    id: String,
    /// The cell to correct.
    #[arg(long, value_name = "UUID", requires = "by")]
    cell: Option<Uuid>,
    /// Who corrects it.
    #[arg(long, value_name = "WHO", requires = "cell")]
    by: Option<String>,
    /// Called dicentrics that are: indices of chromosomes, such as 3,17.
    #[arg(long, value_name = "INDEX,...", value_delimiter = ',', requires = "cell")]
    accept: Vec<u32>,
    /// Called dicentrics that are none, and what they are: 17=two-chromosomes, one-chromosome or unclear.
    #[arg(long, value_name = "INDEX=WHAT", value_parser = rejection, requires = "cell")]
    reject: Vec<(u32, Rejected)>,
    /// The class of a chromosome, such as 12=X; none for no single chromosome.
    #[arg(long, value_name = "INDEX=CLASS", value_parser = class, requires = "cell")]
    class: Vec<(u32, Option<ChromosomeClass>)>,
    /// The verdict over the cell: normal, abnormal, not-assessable.
    #[arg(long, value_name = "VERDICT", value_parser = verdict, requires = "cell")]
    verdict: Option<Verdict>,
    /// The counts as a person scored them, such as monocentrics=44,dicentrics=1,fragments=1; what is left out is 0.
    #[arg(long, value_name = "PIECE=N,...", value_parser = aberration_counts, requires = "cell")]
    scored: Option<AberrationCounts>,
    /// Whether the cell is in its first division after the exposure, beside --scored.
    #[arg(long, value_name = "true|false", requires = "scored")]
    first_division: Option<bool>,
    /// Confirm the cell without changes.
    #[arg(long, requires = "cell", conflicts_with_all = ["accept", "reject", "class", "verdict", "scored"])]
    confirm: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Arguments of `case subject`.
#[derive(Debug, Args)]
pub struct SubjectArgs {
    /// The case.
    id: String,
    /// Who sets them; kept in the audit.
    #[arg(long, value_name = "WHO")]
    by: String,
    /// Age at sampling in years.
    #[arg(long, value_name = "YEARS")]
    age: Option<f64>,
    /// Date of the exposure, such as 2026-10-03.
    #[arg(long, value_name = "DATE")]
    exposed: Option<Date>,
    /// Date on which the blood was drawn.
    #[arg(long, value_name = "DATE")]
    sampled: Option<Date>,
    /// Known dose of an earlier exposure in Gy.
    #[arg(long, value_name = "GY")]
    earlier_gy: Option<f64>,
    /// Date of the earlier exposure.
    #[arg(long, value_name = "DATE")]
    earlier_exposed: Option<Date>,
    /// Remove what is there.
    #[arg(long, conflicts_with_all = ["age", "exposed", "sampled", "earlier_gy", "earlier_exposed"])]
    remove: bool,
}

fn indexed(text: &str) -> Result<(u32, &str), String> {
    let wrong = || format!("invalid value '{text}': expected a chromosome's index and what it is, such as 12=...");
    let (index, what) = text.split_once('=').ok_or_else(wrong)?;
    Ok((index.trim().parse().map_err(|_| wrong())?, what.trim()))
}

/// A word as the messages write it, with hyphens allowed.
fn word<T: serde::de::DeserializeOwned>(text: &str, expected: &str) -> Result<T, String> {
    let plain = text.to_lowercase().replace('-', "_");
    serde_json::from_value(Value::String(plain)).map_err(|_| format!("invalid value '{text}': expected {expected}"))
}

fn rejection(text: &str) -> Result<(u32, Rejected), String> {
    let (index, what) = indexed(text)?;
    Ok((index, word(what, "two-chromosomes, one-chromosome or unclear")?))
}

fn class(text: &str) -> Result<(u32, Option<ChromosomeClass>), String> {
    let (index, name) = indexed(text)?;
    if name == "none" {
        return Ok((index, None));
    }
    let found = serde_json::from_value(Value::String(name.to_uppercase()));
    Ok((index, Some(found.map_err(|_| format!("invalid class '{name}': expected 1 to 22, X, Y or none"))?)))
}

fn verdict(text: &str) -> Result<Verdict, String> {
    word(text, "normal, abnormal or not-assessable")
}

fn aberration_counts(text: &str) -> Result<AberrationCounts, String> {
    let mut counts = AberrationCounts::default();
    for part in text.split(',') {
        let wrong = || format!("invalid count '{part}': expected an aberration and its number, such as dicentrics=1");
        let (name, number) = part.split_once('=').ok_or_else(wrong)?;
        let number: u32 = number.trim().parse().ok().filter(|n| *n <= 200).ok_or_else(wrong)?;
        *match name.trim() {
            "monocentrics" => &mut counts.monocentrics,
            "dicentrics" => &mut counts.dicentrics,
            "tricentrics" => &mut counts.tricentrics,
            "rings" => &mut counts.rings,
            "fragments" => &mut counts.fragments,
            "unclear" => &mut counts.unclear,
            _ => {
                let expected = "monocentrics, dicentrics, tricentrics, rings, fragments or unclear";
                return Err(format!("invalid aberration '{name}': expected {expected}"));
            }
        } = number;
    }
    Ok(counts)
}

impl ReviewArgs {
    pub fn run(self, config: &Config, folder: &Path) -> Result<Exit, Failure> {
        let (Some(cell), Some(by)) = (self.cell, &self.by) else { return self.list(folder) };
        let of_case = StoreReader::open(folder)?.cell(cell)?.map(|row| row.cell()).transpose()?;
        let Some(found) = of_case.filter(|found| found.case.as_deref() == Some(&self.id)) else {
            return Err(Failure::new(Exit::NoInput, format!("case {} holds no cell {cell}", self.id)));
        };
        let changes = self.changes(config)?;
        let mut place = Place::of(config, folder)?;
        let mut revision = Some(found.revision);
        for change in changes {
            let body = json!({ "by": by, "revision": revision, "change": change });
            let command = RecordCommand::Review { by: by.clone(), cell, revision, change };
            let answer = place.send(&format!("cells/{cell}/review"), &body, &command)?;
            revision = answer["revision"].as_u64().map(|n| n as u32);
        }
        if self.json {
            print(&json!({ "cell": cell, "revision": revision }).to_string())?;
        } else {
            eprintln!("cell {cell} is at revision {}", revision.unwrap_or_default());
        }
        Ok(Exit::Done)
    }

    fn changes(&self, config: &Config) -> Result<Vec<ReviewAction>, Failure> {
        let mut changes: Vec<ReviewAction> = Vec::new();
        changes.extend(self.scored.as_ref().map(|pieces| {
            let accepted = config.dicentric.accepted_centromeres;
            let record = pieces.clone().record(accepted, self.first_division, ScoredBy::Review);
            ReviewAction::Dicentric { record: Box::new(record) }
        }));
        changes.extend(self.accept.iter().map(|&index| ReviewAction::Damage { index, damage: Damage::Dicentric }));
        changes.extend(self.reject.iter().map(|&(index, seen)| ReviewAction::RejectDicentric { index, seen }));
        changes.extend(self.class.iter().map(|&(index, class)| ReviewAction::Class { index, class }));
        changes.extend(self.verdict.map(|verdict| ReviewAction::Verdict { verdict }));
        changes.extend(self.confirm.then_some(ReviewAction::Confirm));
        if changes.is_empty() {
            let ways = "--accept, --reject, --class, --verdict, --scored or --confirm";
            return Err(Failure::usage(format!("nothing to correct: give {ways}")));
        }
        Ok(changes)
    }

    /// Called dicentrics that no person has looked at.
    fn list(&self, folder: &Path) -> Result<Exit, Failure> {
        let whole = super::whole(&StoreReader::open(folder)?, &self.id)?;
        let mut waiting = Vec::new();
        for row in &whole.rows {
            let cell = row.cell()?;
            let Some(DicentricRecord { reviewed, scored_by, .. }) = &cell.dicentric else { continue };
            let open = |c: &&domain::Chromosome| {
                *scored_by == ScoredBy::Machine && c.damage == Damage::Dicentric && !reviewed.contains(&c.index)
            };
            for c in cell.chromosomes.iter().filter(open) {
                waiting.push((cell.cell, c.index, c.score, c.evidence.clone().map(String::from).unwrap_or_default()));
            }
        }
        if self.json {
            let rows = waiting.iter().map(|(cell, index, score, evidence)| {
                json!({ "cell": cell, "chromosome": index, "score": score, "evidence": evidence })
            });
            print(&json!({ "case": self.id, "waiting": rows.collect::<Vec<_>>() }).to_string())?;
        } else if waiting.is_empty() {
            eprintln!("case {}: no called dicentric is awaiting review", self.id);
        } else {
            let mut rows = table(["cell", "chromosome", "score", "evidence"]);
            for (cell, index, score, evidence) in waiting {
                rows.add_row([cell.to_string(), index.to_string(), format!("{:.0} %", score * 100.0), evidence]);
            }
            print(&rows.to_string())?;
        }
        Ok(Exit::Done)
    }
}

impl SubjectArgs {
    pub fn run(self, config: &Config, folder: &Path) -> Result<Exit, Failure> {
        let Self { age, exposed, sampled, earlier_gy, earlier_exposed, remove, .. } = self;
        let subject = Subject { age, exposed, sampled, earlier_gy, earlier_exposed };
        if subject.is_empty() && !remove {
            let ways = "--age, --exposed, --sampled, --earlier-gy with --earlier-exposed, or --remove";
            return Err(Failure::usage(format!("no subject data: give {ways}")));
        }
        subject.check(config.dose.fading.into()).map_err(Failure::usage)?;
        let subject = (!remove).then_some(subject);
        let body = json!({ "by": self.by, "subject": subject });
        let command = RecordCommand::Subject { by: self.by.clone(), case: self.id.clone(), subject };
        Place::of(config, folder)?.send(&format!("cases/{}/subject", encode_level(&self.id)), &body, &command)?;
        eprintln!("{}: subject data {}", self.id, if remove { "removed" } else { "set" });
        Ok(Exit::Done)
    }
}

/// Closes a case, or reopens it.
pub fn set_closed(config: &Config, folder: &Path, id: &str, by: &str, closed: bool) -> Result<Exit, Failure> {
    let (by, case) = (by.to_owned(), id.to_owned());
    let body = json!({ "by": by });
    let (action, command) = if closed {
        ("close", RecordCommand::Close { by, case })
    } else {
        ("reopen", RecordCommand::Reopen { by, case })
    };
    Place::of(config, folder)?.send(&format!("cases/{}/{action}", encode_level(id)), &body, &command)?;
    eprintln!("{id}: {}", if closed { "closed" } else { "open again" });
    Ok(Exit::Done)
}

/// Erases a case.
pub fn erase(config: &Config, folder: &Path, id: &str, by: &str) -> Result<Exit, Failure> {
    if by.trim().is_empty() {
        return Err(Failure::usage("--by is empty: expected the name of the person who asks for the erasure"));
    }
    let command = RecordCommand::Erase { by: by.into(), case: id.into() };
    let mut place = Place::of(config, folder)?;
    let erased = place.send(&format!("cases/{}/erase", encode_level(id)), &json!({ "by": by }), &command)?;
    let later = match place {
        Place::Here(_) => " The broker's copies of its retained topics go when the daemon connects next.",
        Place::Daemon { .. } => "",
    };
    eprintln!("erased: {} cells and {} pictures.{later}", erased["cells"], erased["images"]);
    Ok(Exit::Done)
}

/// Who writes to the store.
enum Place {
    /// Nobody has it: this command.
    Here(Box<RecordService>),
    /// The daemon, at this address.
    Daemon { url: String, token: Option<String> },
}

impl Place {
    fn of(config: &Config, folder: &Path) -> Result<Self, Failure> {
        // A wrong path must not make a new, empty store.
        let reader = StoreReader::open(folder)?;
        let options = StoreOptions { outbox_cap: u64::MAX, quota: None };
        match Store::open(folder, options) {
            Ok(store) => {
                let settings = CaseBookSettings::from_config(config)?;
                let karyotype = FittedSettings::of(config.karyotype.sex, config.karyotype.sample);
                let cases = CaseBook::new(settings, store.clone());
                Ok(Self::Here(Box::new(RecordService { store, cases, karyotype, scorer: None, hub: LiveHub::new([]) })))
            }
            Err(busy @ StoreError::InUse(_)) => {
                let page = reader.meta(PAGE_KEY)?.filter(|url| !url.is_empty());
                let url = page.ok_or_else(|| {
                    let exit = Exit::from(busy.kind());
                    Failure::new(exit, format!("{busy}, and it has no HTTP API (web.listen = \"off\"): stop it first"))
                })?;
                let options = WebOptions::from_config(&config.web)?;
                Ok(Self::Daemon { url, token: options.and_then(|options| options.token) })
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Carries out `command` here, or posts `body` to `route` of the daemon.
    fn send(&mut self, route: &str, body: &Value, command: &RecordCommand) -> Result<Value, Failure> {
        match self {
            Self::Here(records) => Ok(records.execute(command, &Timestamp::now().to_string())?),
            Self::Daemon { url, token } => post(url, token.as_deref(), route, body),
        }
    }
}

fn post(url: &str, token: Option<&str>, route: &str, body: &Value) -> Result<Value, Failure> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .build()
        .into();
    let url = url.trim_end_matches('/');
    let mut request = agent.post(format!("{url}/api/v1/{route}")).header("Content-Type", "application/json");
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut response = request.send(body.to_string()).map_err(|error| {
        let text = format!("the daemon has the store, and does not answer at {url}: {error}");
        Failure::new(Exit::TryAgain, text)
    })?;
    let status = response.status();
    let text = response.body_mut().read_to_string().unwrap_or_default();
    if status.is_success() {
        return Ok(serde_json::from_str(&text).unwrap_or(Value::Null));
    }
    let detail = serde_json::from_str::<Problem>(&text).map_or_else(|_| format!("HTTP {status}"), |p| p.detail);
    let exit = match status.as_u16() {
        401 | 403 => Exit::NotPermitted,
        404 => Exit::NoInput,
        400 | 409 | 422 => Exit::Data,
        _ => Exit::TryAgain,
    };
    Err(Failure::new(exit, detail))
}
