//! A page server for tests: the real server, store, hub and commands, fed with fabricated cells by a thread that
//! stands for the pipeline.
#![allow(clippy::unwrap_used, missing_docs, dead_code)]

pub mod browser;
pub mod drawing;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use domain::{
    Cell, Quality,
    frame::{FrameFlags, FrameId, FrameInfo},
};
use jiff::Timestamp;
use karyotype::FittedSettings;
use metaphased::{
    config::Config,
    records::{CaseBook, CaseBookSettings, RecordService},
    station::{
        Birth, Command, CommandError, CommandInbox, EngineState, Health, Level, RejectReason, SourceCommand,
        SourceFacts, SourceState, command_channel,
    },
    store::{CellCommit, FrameCommit, Store, StoreOptions},
    web::{EventKind, LiveBoxes, LiveFrame, LiveHub, LiveSource, WebOptions, WebParts, bind},
};
use serde_json::{Value, json};

/// A server that runs until it is dropped.
pub struct PageServer {
    pub address: SocketAddr,
    pub health: Health,
    pub hub: LiveHub,
    pub store: Store,
    runtime: Option<tokio::runtime::Runtime>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl PageServer {
    /// On a free loopback port, without a token.
    pub fn start() -> Self {
        Self::start_with(WebOptions { listen: Some("127.0.0.1:0".parse().unwrap()), ..WebOptions::default() })
    }

    /// With a laboratory's folder for the reports.
    pub fn start_for(laboratory: &Path) -> Self {
        let options = WebOptions { listen: Some("127.0.0.1:0".parse().unwrap()), ..WebOptions::default() };
        Self::start_in(options, Some(laboratory.to_owned()))
    }

    pub fn start_with(options: WebOptions) -> Self {
        Self::start_in(options, None)
    }

    pub fn start_in(options: WebOptions, laboratory: Option<PathBuf>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
        let health = health();
        let hub = LiveHub::new([LiveSource { name: "scope".into(), bright_field: true }]);
        let (commands, inbox) = command_channel(8);
        let bound = bind(options).unwrap();
        let address = bound.address();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let parts = WebParts {
            health: health.clone(),
            hub: hub.clone(),
            store: store.reader(),
            commands,
            inlet: None,
            laboratory,
        };
        runtime.spawn(async move {
            bound.serve(parts, async { drop(stopped.await) }).await.unwrap();
        });
        let mut server = Self {
            address,
            health,
            hub,
            store,
            runtime: Some(runtime),
            stop: Some(stop),
            stopped: Arc::default(),
            threads: Vec::new(),
            _folder: folder,
        };
        server.answer_commands(inbox);
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stores a cell with its pictures and tells the page.
    pub fn commit(&self, field: &drawing::Field) {
        let commit = CellCommit {
            crops: field.crops(),
            thumbnail: Some(field.thumbnail()),
            image: None,
            cell: field.cell.clone(),
        };
        self.store.commit(&[FrameCommit { cells: vec![commit], ..FrameCommit::default() }]).unwrap();
        self.health.count_stored(1);
        self.hub.publish(EventKind::Cell, &field.cell);
    }

    /// A thread that plays the pipeline: a new field every `every`, several live frames of each.
    pub fn play(&mut self, every: Duration, mut next: impl FnMut(u64) -> drawing::Field + Send + 'static) {
        let (hub, health, stopped) = (self.hub.clone(), self.health.clone(), self.stopped.clone());
        let store = self.store.clone();
        self.threads.push(std::thread::spawn(move || {
            let ledger = health.ledgers().remove("scope").unwrap();
            let mut number = 1000;
            for scene in 0.. {
                let mut field = next(scene);
                field.cell.captured.time = Timestamp::now().to_string();
                let began = Instant::now();
                let mut told = false;
                while began.elapsed() < every {
                    if stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    number += 1;
                    let ticket = ledger.accept();
                    if hub.picture_due("scope") {
                        let quality = Quality { focus: field.cell.quality.focus, ..field.cell.quality };
                        hub.show(LiveFrame::of(&info(number), &field.pixels(), quality, Some(scene)).unwrap());
                    }
                    if !told && began.elapsed() > every / 4 && field.holds_cell {
                        field.cell.captured.frame = number;
                        field.cell.case = health.state(String::new()).case;
                        hub.boxes(&LiveBoxes::of(&field.cell, Some(scene)));
                        let commit = CellCommit {
                            crops: field.crops(),
                            thumbnail: Some(field.thumbnail()),
                            image: None,
                            cell: field.cell.clone(),
                        };
                        store.commit(&[FrameCommit { cells: vec![commit], ..FrameCommit::default() }]).unwrap();
                        health.count_stored(1);
                        hub.publish(EventKind::Cell, &field.cell);
                        told = true;
                        ticket.stored();
                    } else if field.holds_cell {
                        ticket.merged();
                    } else {
                        ticket.rejected(RejectReason::NoMetaphase);
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }));
    }

    fn answer_commands(&mut self, inbox: CommandInbox) {
        let health = self.health.clone();
        let settings = CaseBookSettings::from_config(&Config::default()).unwrap();
        let records = RecordService {
            store: self.store.clone(),
            cases: CaseBook::new(settings, self.store.clone()),
            karyotype: FittedSettings::default(),
            scorer: None,
            hub: self.hub.clone(),
        };
        self.threads.push(std::thread::spawn(move || {
            while let Ok(envelope) = inbox.recv() {
                let (command, reply) = envelope.split();
                reply(match command {
                    Command::Record(command) => records.execute(&command, &Timestamp::now().to_string()),
                    Command::Source(SourceCommand::Case { case, slide, .. }) => {
                        health.set_case(case, slide);
                        Ok(json!({}))
                    }
                    Command::Source(SourceCommand::Trigger { source: Some(source), .. }) if source != "scope" => {
                        Err(CommandError::NotFound(format!("there is no source '{source}'")))
                    }
                    Command::Source(SourceCommand::Trigger { trigger, .. }) => Ok(json!({ "trigger": trigger })),
                    _ => Err(CommandError::Refused("not in this test".into())),
                });
            }
        }));
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        drop(self.stop.take());
        // Ends the server with its part of the command channel, and so the thread that answers.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(3));
        }
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

fn health() -> Health {
    let facts = SourceFacts { kind: "simulator".into(), mode: "freshest".into(), stain: "g-band".into() };
    let health = Health::new(Birth {
        schema: "birth/1".into(),
        station: "lab-1".into(),
        started: Timestamp::now().to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        assay: "karyotype".into(),
        sources: [("scope".to_owned(), facts)].into(),
        engine: "cpu".into(),
        ..Birth::default()
    });
    health.add_source(
        "scope",
        SourceState {
            kind: "simulator".into(),
            mode: "freshest".into(),
            activity: "running".into(),
            ..SourceState::default()
        },
    );
    for stage in ["triage", "select", "recognise", "interpret", "commit"] {
        health.add_stage(stage);
    }
    health.engine(|engine| *engine = EngineState { name: "cpu".into(), ..EngineState::default() });
    health.broker(|broker| {
        broker.connected = true;
        broker.url = "mqtt://127.0.0.1:1883".into();
    });
    health
}

/// Takes the broker away, as the session does when the connection is lost, or gives it back.
pub fn broker_is(health: &Health, connected: bool) {
    health.broker(|broker| {
        broker.connected = connected;
        broker.level = if connected { Level::Ok } else { Level::Degraded };
        broker.reason = match connected {
            true => String::new(),
            false => {
                "not reachable at mqtt://127.0.0.1:1883; results wait in the store and are sent when it is back".into()
            }
        };
    });
}

fn info(number: u64) -> FrameInfo {
    FrameInfo { id: FrameId(number), um_per_px: Some(0.1), flags: FrameFlags::default(), ..FrameInfo::of_tool("scope") }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.head, self.text()))
    }

    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// A request written by hand, so that every header can be wrong. `extra` holds further header lines.
pub fn request(address: SocketAddr, method: &str, path: &str, host: &str, extra: &[&str], body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let extra: String = extra.iter().map(|line| format!("{line}\r\n")).collect();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n{extra}\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, body: bytes[end + 4..].to_vec(), head }
}

/// A GET as a program on the same machine sends it.
pub fn get(server: &PageServer, path: &str) -> Answer {
    request(server.address, "GET", path, &server.address.to_string(), &[], "")
}

/// A POST of JSON as a program on the same machine sends it.
pub fn post(server: &PageServer, path: &str, body: &Value) -> Answer {
    let kind = "Content-Type: application/json";
    request(server.address, "POST", path, &server.address.to_string(), &[kind], &body.to_string())
}

/// Waits until `holds`, or fails after `patience`.
pub fn wait_until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The cell with this number, without pictures.
pub fn plain_cell(number: u64, case: Option<&str>) -> Cell {
    testing::sample_cell(number, case, domain::Verdict::Normal)
}
