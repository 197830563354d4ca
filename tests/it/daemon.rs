//! The daemon as a person starts it: banner, page, cells, commands, stop.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::broker::{Subscriber, mosquitto_is_missing, publish};
use serde_json::{Value, json};

/// A daemon in a folder of its own.
pub struct Daemon {
    pub child: Child,
    pub page: String,
    pub lines: mpsc::Receiver<String>,
}

impl Daemon {
    pub fn command(folder: &Path, config: &str) -> Command {
        let file = folder.join("metaphased.toml");
        fs::write(&file, config).expect("the configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_metaphased"));
        command
            .args(["--config", file.to_str().expect("a path"), "--engine", "cpu"])
            .env("XDG_STATE_HOME", folder.join("state"))
            .env_remove("STATE_DIRECTORY")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    pub fn start(folder: &Path, config: &str) -> Self {
        Self::of(Self::command(folder, config))
    }

    /// Waits for the banner.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.spawn().expect("it starts");
        let stderr = child.stderr.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut seen = String::new();
        let page = loop {
            let line = lines.recv_timeout(Duration::from_secs(120)).unwrap_or_else(|_| panic!("no banner:\n{seen}"));
            seen.push_str(&line);
            seen.push('\n');
            if let Some((_, url)) = line.split_once("page     ") {
                break url.trim().to_owned();
            }
        };
        Self { child, page, lines }
    }

    pub fn get(&self, route: &str) -> Value {
        let text = self.text(route);
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
    }

    pub fn text(&self, route: &str) -> String {
        let mut response = ureq::get(format!("{}{route}", self.page)).call().expect("the page answers");
        response.body_mut().read_to_string().expect("text")
    }

    /// Waits until `done` says so of the counters of the source `scope`.
    pub fn wait(&self, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + Duration::from_secs(180);
        loop {
            let sources = self.get("/api/v1/sources");
            let stats = &sources["sources"][0]["stats"];
            if done(&sources["sources"][0]) {
                return stats.clone();
            }
            assert!(Instant::now() < until, "{what}: {sources:#}\n{:?}", self.lines.try_iter().collect::<Vec<_>>());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().expect("kill is there");
        assert!(sent.success());
    }

    pub fn ends_within(mut self, limit: Duration) -> ExitStatus {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return status;
            }
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already gone in a test that went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn adds_up(stats: &Value) -> bool {
    let n = |v: &Value| v.as_u64().expect("a count");
    let sum = |v: &Value| v.as_object().expect("by reason").values().map(n).sum::<u64>();
    n(&stats["accepted"])
        == n(&stats["stored"])
            + n(&stats["merged"])
            + n(&stats["in_flight"])
            + sum(&stats["rejected"])
            + sum(&stats["dropped"])
}

/// A port of the system's choice for the embedded broker, so that tests may run side by side.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

const SIMULATOR: &str = "[source.scope]\nkind = \"simulator\"\nsize = [680, 512]\num_per_px = 0.13\nrate_hz = 4\n[triage]\nwindow_ms = 200\n";

#[test]
fn the_first_run_shows_cells_and_stops_cleanly() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!("{SIMULATOR}[mqtt]\nembedded_port = {}\n", free_port());
    let daemon = Daemon::start(folder.path(), &config);
    let stats = daemon.wait("a cell", |source| source["stats"]["stored"].as_u64() > Some(0));
    assert!(adds_up(&stats), "{stats:#}");
    let cells = daemon.get("/api/v1/cells?limit=5");
    let cell = &cells["cells"][0];
    assert_eq!(cell["schema"], "cell/1", "{cells:#}");
    assert!(cell["notice"].as_str().is_some_and(|n| n.contains("Research use only")));
    assert!(daemon.text("/metrics").contains("metaphased_frames_accepted_total"));
    daemon.signal("-INT");
    let status = daemon.ends_within(Duration::from_secs(6));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn every_file_of_a_folder_ends_as_a_cell_or_a_rejection_and_is_not_read_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let slides = folder.path().join("slides");
    let made = Command::new(env!("CARGO_BIN_EXE_metaphased"))
        .args(["simulate", "--cells", "2", "--seed", "7", "--out"])
        .arg(&slides)
        .output()
        .expect("simulate runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::write(slides.join("broken.png"), b"\x89PNG\r\n\x1a\nbroken").expect("a file");
    let files = metaphased::camera::list_files(&slides).expect("a folder").len() as u64;
    let config = format!(
        "[source.scope]\nkind = \"folder\"\npath = \"slides\"\num_per_px = 0.0645\n[mqtt]\nembedded_port = {}\n",
        free_port()
    );
    let daemon = Daemon::start(folder.path(), &config);
    // The counters of this answer are sampled, the activity is not: wait for both.
    let finished = |source: &Value| source["state"]["activity"] == "finished";
    let stats = daemon.wait("the end of the folder", |source| {
        let stats = &source["stats"];
        finished(source) && stats["accepted"].as_u64() == Some(files) && stats["in_flight"].as_u64() == Some(0)
    });
    assert!(adds_up(&stats), "{stats:#}");
    assert_eq!(stats["accepted"].as_u64(), Some(files), "{stats:#}");
    assert!(stats["stored"].as_u64() >= Some(1), "{stats:#}");
    assert!(stats["rejected"]["unreadable"].as_u64() >= Some(1), "{stats:#}");
    assert_eq!(stats["dropped"], serde_json::json!({}), "{stats:#}");
    daemon.signal("-TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(6)).code(), Some(0));

    let daemon = Daemon::start(folder.path(), &config);
    daemon.wait("the end of the folder", finished);
    let metrics = daemon.text("/metrics");
    let accepted = metrics.lines().find(|line| line.starts_with("metaphased_frames_accepted_total{"));
    assert_eq!(accepted.and_then(|line| line.rsplit(' ').next()), Some("0"), "all files are marked: {accepted:?}");
}

#[test]
fn a_file_that_ends_the_process_each_time_is_set_aside_and_the_others_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let slides = folder.path().join("slides");
    fs::create_dir(&slides).expect("a folder");
    // Large enough that its reading takes a while.
    image::GrayImage::new(16_000, 12_000).save(slides.join("a.png")).expect("a picture");
    image::GrayImage::new(64, 64).save(slides.join("b.png")).expect("a picture");
    let config = format!(
        "[source.scope]\nkind = \"folder\"\npath = \"slides\"\num_per_px = 0.1\n[mqtt]\nembedded_port = {}\n",
        free_port()
    );
    let database = folder.path().join("state/metaphased").join(metaphased::store::DATABASE);
    for attempt in 1..=2 {
        let mut child = Daemon::command(folder.path(), &config).stderr(Stdio::null()).spawn().expect("it starts");
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let reading = rusqlite::Connection::open_with_flags(&database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
                .and_then(|store| {
                    store.query_row("SELECT number FROM attempts WHERE path = 'a.png'", [], |row| row.get::<_, u32>(0))
                });
            if reading == Ok(attempt) {
                break;
            }
            assert!(Instant::now() < until, "it is not being read: {reading:?}");
            std::thread::yield_now();
        }
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }
    let daemon = Daemon::start(folder.path(), &config);
    let stats = daemon.wait("the end", |source| {
        source["stats"]["accepted"].as_u64() == Some(2) && source["stats"]["in_flight"].as_u64() == Some(0)
    });
    assert_eq!(stats["rejected"]["unreadable"].as_u64(), Some(1), "{stats:#}");
    let marks = metaphased::store::StoreReader::open(&folder.path().join("state/metaphased"))
        .and_then(|store| store.marks("scope"))
        .expect("marks");
    assert!(marks["a.png"].reason.as_deref().is_some_and(|why| why.contains("ended the process 2 times")), "{marks:?}");
    assert_eq!(marks.len(), 2, "the one behind it was read");
}

#[test]
fn a_second_signal_does_not_wait_for_what_is_in_the_queues() {
    let folder = tempfile::tempdir().expect("a folder");
    let slides = folder.path().join("slides");
    let made = Command::new(env!("CARGO_BIN_EXE_metaphased"))
        .args(["simulate", "--cells", "8", "--seed", "3", "--out"])
        .arg(&slides)
        .output()
        .expect("simulate runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let config = "[source.scope]\nkind = \"folder\"\npath = \"slides\"\nrepeat = \"loop\"\num_per_px = 0.0645\n\
                      [mqtt]\nurl = \"off\"\n[shutdown]\ntimeout = 60.0\n";
        let daemon = Daemon::start(folder.path(), config);
        daemon.wait("full queues", |source| source["stats"]["in_flight"].as_u64() >= Some(4));
        daemon.signal(signal);
        while !daemon.lines.recv_timeout(Duration::from_secs(20)).expect("it says so").contains("stopping") {}
        daemon.signal(signal);
        assert_eq!(daemon.ends_within(Duration::from_secs(2)).code(), Some(code));
    }
}

/// A pipe holds 64 KiB; each file gives some lines of this log.
#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let slides = folder.path().join("slides");
    fs::create_dir(&slides).expect("a folder");
    let files = 600;
    for number in 0..files {
        fs::write(slides.join(format!("{number:0100}.png")), b"\x89PNG\r\n\x1a\nbroken").expect("a file");
    }
    let config = format!(
        "[source.scope]\nkind = \"folder\"\npath = \"slides\"\num_per_px = 0.0645\n[log]\nlevel = \"trace\"\n\
         [mqtt]\nembedded_port = {}\n",
        free_port()
    );
    let mut child = Daemon::command(folder.path(), &config).spawn().expect("it starts");
    let mut unread = BufReader::with_capacity(256, child.stderr.take().expect("piped"));
    let page = loop {
        let mut line = String::new();
        assert!(unread.read_line(&mut line).expect("text") > 0, "no banner");
        if let Some((_, url)) = line.split_once("page     ") {
            break url.trim().to_owned();
        }
    };
    let daemon = Daemon { child, page, lines: mpsc::channel().1 };
    daemon.wait("every file is answered", |source| source["stats"]["rejected"]["unreadable"].as_u64() == Some(files));
    daemon.signal("-TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(6)).code(), Some(0));
    let mut rest = Vec::new();
    unread.read_to_end(&mut rest).expect("bytes");
    assert!(rest.len() >= 60_000, "the pipe was full: {} bytes", rest.len());
}

#[cfg(unix)]
#[test]
fn an_environment_that_is_no_utf8_does_not_end_the_start() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Daemon::command(folder.path(), "[mqtt]\nurl = \"off\"\n");
    command.arg("print-config").env("OTHER", OsStr::from_bytes(b"x\xff"));
    assert!(command.output().expect("it starts").status.success());
    let wrong = command.env("METAPHASED__STATION", OsStr::from_bytes(b"x\xff")).output().expect("it starts");
    assert_eq!(wrong.status.code(), Some(78), "{}", String::from_utf8_lossy(&wrong.stderr));
}

#[test]
fn a_second_daemon_on_the_same_store_is_asked_to_try_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!("{SIMULATOR}[mqtt]\nurl = \"off\"\n");
    let daemon = Daemon::start(folder.path(), &config);
    let second = Daemon::command(folder.path(), &config).output().expect("it starts");
    assert_eq!(second.status.code(), Some(75), "{}", String::from_utf8_lossy(&second.stderr));
    drop(daemon);
}

#[test]
fn a_configured_port_that_is_taken_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("a port").port();
    let config = format!("[web]\nlisten = \"127.0.0.1:{port}\"\n[mqtt]\nurl = \"off\"\n");
    let mut child = Daemon::command(folder.path(), &config).spawn().expect("it starts");
    let mut output = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut output).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(69), "{output}");
    assert!(output.contains(&port.to_string()), "{output}");
}

#[test]
fn a_wrong_configuration_is_reported_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Daemon::command(folder.path(), "station = \"Lab 1\"\n").output().expect("it starts");
    assert_eq!(output.status.code(), Some(78));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("metaphased.toml:1:1: station"), "{errors}");
}

#[test]
fn commands_over_the_broker_are_carried_out_and_answered() {
    if mosquitto_is_missing("commands_over_the_broker_are_carried_out_and_answered") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    // A scene that a person looks at: triage lets nothing pass by itself, so that only what is asked for comes.
    let config = format!(
        "[source.scope]\nkind = \"simulator\"\nsize = [680, 512]\num_per_px = 0.13\nrate_hz = 4\n\
         [triage]\nmetaphase = 1.0\n[mqtt]\nembedded_port = {port}\nthumbnails = true\nhome_assistant = true\n"
    );
    let daemon = Daemon::start(folder.path(), &config);
    let heard = Subscriber::on(port, &[]);
    let root = |topic: &str| format!("metaphased/lab-1/{topic}");
    let birth = heard.until_on(&root("birth"), |_| true).json();
    let ask = |name: &str, id: &str, values: Value| -> Value {
        let mut message = values;
        message["id"] = id.into();
        publish(port, &root(&format!("command/{name}")), &message.to_string(), &[]);
        heard.until_on(&root(&format!("result/{name}")), |m| m.json()["id"] == id).json()
    };
    assert_eq!(birth["schema"], "birth/1");
    assert_eq!(heard.next_on(&root("availability")).payload, "online");
    let announced = heard.next_on("homeassistant/device/metaphased-lab-1/config").json();
    assert_eq!(announced["availability_topic"], root("availability"));

    // A case, then a snapshot: one cell that belongs to it, whatever triage thinks.
    let answer = ask("case", "a1", json!({ "case": "K/17", "slide": "2" }));
    assert_eq!(answer["ok"], true, "{answer}");
    let answer = ask("snapshot", "a2", json!({ "source": "scope" }));
    assert_eq!(answer["ok"], true, "{answer}");
    let cell = heard.until_on(&root("cell"), |_| true).json();
    assert_eq!((&cell["case"], &cell["slide"], &cell["revision"]), (&json!("K/17"), &json!("2"), &json!(1)));
    assert!(cell["thumbnail_jpeg"].as_str().is_some_and(|jpeg| jpeg.starts_with("/9j/")), "a JPEG in base64");
    let case = heard.until_on(&root("case/K%2F17"), |_| true);
    assert_eq!(case.json()["schema"], "case/1");

    // A correction comes back as the next revision; one of an old revision is refused.
    let review = |id: &str, revision: u32| {
        let change = json!({ "action": "verdict", "verdict": "abnormal" });
        ask("review", id, json!({ "by": "kb", "cell": cell["cell"], "revision": revision, "change": change }))
    };
    let answer = review("a3", 1);
    assert_eq!(answer["data"]["revision"], 2, "{answer}");
    let next = heard.until_on(&root("cell"), |m| m.json()["revision"] == 2).json();
    assert_eq!((&next["cell"], &next["karyotype"]["verdict"]), (&cell["cell"], &json!("abnormal")));
    let answer = review("a4", 1);
    assert_eq!(answer["ok"], false, "{answer}");
    assert!(answer["error"].as_str().is_some_and(|e| e.contains("revision 2")), "{answer}");

    // A paused source takes nothing until it is started again.
    assert_eq!(ask("stop", "a5", json!({}))["data"]["sources"], json!(["scope"]));
    daemon.wait("the pause", |source| source["state"]["activity"] == "paused");
    let answer = ask("snapshot", "a6", json!({}));
    assert!(answer["error"].as_str().is_some_and(|e| e.contains("paused")), "{answer}");
    assert_eq!(ask("start", "a7", json!({ "source": "scope" }))["ok"], true);
    let answer = ask("start", "a8", json!({ "source": "scope2" }));
    assert!(answer["error"].as_str().is_some_and(|e| e.contains("known are scope")), "{answer}");
    let answer = ask("acknowledge", "a9", json!({ "by": "kb" }));
    assert_eq!(answer["ok"], false, "there is no alarm: {answer}");
    let answer = ask("snapshot", "a10", json!({ "sorce": "scope" }));
    assert!(answer["error"].as_str().is_some_and(|e| e.contains("sorce")), "{answer}");

    daemon.signal("-TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(6)).code(), Some(0));
}

#[test]
fn every_configuration_that_ships_starts() {
    let shipped = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
    let start = |name: &str, folder: &Path, settings: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metaphased"));
        command
            .arg("--config")
            .arg(shipped(name))
            .args(["--engine", "cpu"])
            .envs(settings.iter().copied())
            .env("METAPHASED__STORE__PATH", folder.join("store"))
            .env("METAPHASED__MQTT__EMBEDDED_PORT", free_port().to_string())
            .env("METAPHASED__WEB__LISTEN", format!("127.0.0.1:{}", free_port()))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Daemon::of(command)
    };
    let folder = tempfile::tempdir().expect("a folder");
    let incoming = folder.path().display().to_string();
    for (name, settings) in [
        ("metaphased.toml", &[][..]),
        ("scanner.toml", &[("METAPHASED__SOURCE__SCANNER__PATH", incoming.as_str())][..]),
        ("radiation-station.toml", &[][..]),
        // Without a camera it starts all the same and looks for one.
        ("live-feed.toml", &[][..]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let daemon = start(name, folder.path(), settings);
        assert_eq!(daemon.text("/livez").trim(), "ok", "{name}");
        daemon.signal("-TERM");
        assert_eq!(daemon.ends_within(Duration::from_secs(10)).code(), Some(0), "{name}");
    }
}

/// Waits until a line of the log has these words.
fn log_says(daemon: &Daemon, words: &str) -> String {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        let line = daemon.lines.recv_timeout(rest).unwrap_or_else(|_| panic!("the log does not say: {words}"));
        if line.contains(words) {
            return line;
        }
    }
}

#[test]
fn a_hang_up_takes_over_what_it_can_or_nothing_and_says_what_needs_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let config = |more: &str| {
        format!("[mqtt]\nurl = \"off\"\n[log]\nformat = \"json\"\n{more}[web]\nlisten = \"127.0.0.1:{port}\"\n")
    };
    let daemon = Daemon::start(folder.path(), &config(""));
    let write = |text: &str| fs::write(folder.path().join("metaphased.toml"), text).expect("the configuration");
    let refused = |host: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        agent.get(format!("{}/livez", daemon.page)).header("Host", host).call().expect("an answer").status() == 403
    };
    assert!(refused("scope.lab"));

    write(&(config("") + "hosts = [\"scope.lab\"]\n[triage]\nfocus = 0.9\n[shutdown]\ntimeout = 3.0\n"));
    daemon.signal("-HUP");
    let line = log_says(&daemon, "the configuration was read again");
    assert!(line.contains("triage.focus, web.hosts"), "{line}");
    let line = log_says(&daemon, "these changes require a restart");
    assert!(line.contains("shutdown.timeout"), "{line}");
    assert!(!refused("scope.lab"));
    // At 0.9 the simulator's frames are out of focus.
    let blurred = |source: &Value| source["stats"]["rejected"]["out_of_focus"].as_u64().is_some_and(|n| n > 0);
    daemon.wait("frames beyond the new threshold", blurred);

    // One mistake: nothing is taken over, and all of them are in the log.
    write(&(config("") + "hosts = []\n[triage]\nfocus = 7.0\n[dose]\ncurve = \"co61\"\n"));
    daemon.signal("-HUP");
    let line = log_says(&daemon, "everything stays as it was");
    assert!(line.contains("triage.focus"), "{line}");
    assert!(!refused("scope.lab"), "the names are still those of before");

    // Signals without a meaning end nothing.
    for name in ["-USR1", "-USR2", "-ALRM"] {
        daemon.signal(name);
    }
    assert_eq!(daemon.text("/livez").trim(), "ok");
    daemon.signal("-TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(6)).code(), Some(0));
}

#[test]
fn too_few_handles_are_reported_with_the_number_that_is_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::command(folder.path(), "[mqtt]\nurl = \"off\"\n[web]\nlisten = \"127.0.0.1:0\"\n");
    let limited = |limit: &str| {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit {limit} && exec \"$0\" \"$@\"")).arg(daemon.get_program());
        command
            .args(daemon.get_args())
            .env("XDG_STATE_HOME", folder.path().join("state"))
            .env_remove("STATE_DIRECTORY");
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    };
    let output = limited("-n 20").output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("may open 20 files and sockets and needs 52"), "{said}");

    // The soft limit is raised as far as it goes, and with the least number everything works.
    for limit in ["-Sn 20", "-n 52"] {
        let daemon = Daemon::of(limited(limit));
        daemon.wait("a cell", |source| source["stats"]["stored"].as_u64().is_some_and(|n| n > 0));
        daemon.signal("-TERM");
        assert_eq!(daemon.ends_within(Duration::from_secs(6)).code(), Some(0), "{limit}");
    }
}

#[test]
fn a_picture_that_cannot_be_kept_is_counted_and_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("store/images")).expect("a folder");
    // Files where the folders of the days should be: no account can write into them.
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    for day in [today, today.tomorrow().expect("there is one")] {
        fs::write(folder.path().join(format!("store/images/{day}")), "in the way").expect("a file");
    }
    let config = "[store]\npath = \"store\"\nkeep_images = \"all\"\n[mqtt]\nurl = \"off\"\n\
                  [web]\nlisten = \"127.0.0.1:0\"\n[source.scope]\nkind = \"simulator\"\ncells = 2\n";
    let daemon = Daemon::start(folder.path(), config);
    daemon.wait("a cell", |source| source["stats"]["stored"].as_u64().is_some_and(|n| n > 0));
    let store = daemon.get("/api/v1/status")["state"]["store"].clone();
    assert!(store["pictures_not_kept"].as_u64().is_some_and(|n| n > 0), "{store}");
    assert_eq!(store["level"], "degraded", "{store}");
    assert!(store["reason"].as_str().is_some_and(|r| r.starts_with("pictures of frames are not kept")), "{store}");
    assert!(!daemon.text("/metrics").contains("metaphased_pictures_not_kept_total 0"));
}

#[test]
fn a_file_that_changes_after_it_was_answered_is_answered_as_the_next_revision_of_its_cell() {
    let Some(data) = testing::shared_data() else {
        return testing::skipped("a file that changes after it was answered");
    };
    let (folder, slides) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let cases = data.join("cases");
    let target = slides.path().join("field.tif");
    fs::copy(cases.join("01-8bit-same-cell.tif"), &target).expect("a picture");
    let config = format!(
        "[source.scope]\nkind = \"folder\"\npath = \"{}\"\nrepeat = \"watch\"\ncase = \"K-1\"\n\
         [mqtt]\nurl = \"off\"\n[web]\nlisten = \"127.0.0.1:0\"\n",
        slides.path().display()
    );
    let daemon = Daemon::start(folder.path(), &config);
    daemon.wait("the first answer", |source| source["stats"]["stored"] == 1);
    let first = daemon.get("/api/v1/cells")["cells"].clone();
    fs::copy(cases.join("02-miniswhite8.tif"), &target).expect("another picture");
    daemon.wait("the second answer", |source| source["stats"]["stored"] == 2);
    let second = daemon.get("/api/v1/cells")["cells"].clone();
    assert_eq!(second.as_array().expect("cells").len(), 1, "{second:#}");
    assert_eq!((&second[0]["cell"], &second[0]["revision"]), (&first[0]["cell"], &json!(2)));
    assert_eq!(daemon.get("/api/v1/cases/K-1")["stored_cells"], 1);
    assert!(daemon.text("/metrics").contains("metaphased_cells_stored_total 2"));
    daemon.signal("-TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(6)).code(), Some(0));
    // The same over a restart.
    let other = cases.join("15-cut-by-the-frame-1.png");
    fs::copy(other, &target).expect("a third picture");
    let daemon = Daemon::start(folder.path(), &config);
    daemon.wait("the third answer", |source| {
        source["stats"]["stored"] == 1 || source["stats"]["rejected"].as_object().is_some_and(|r| !r.is_empty())
    });
    let third = daemon.get("/api/v1/cells")["cells"].clone();
    assert_eq!(third.as_array().expect("cells").len(), 1, "{third:#}");
    assert_eq!(third[0]["cell"], first[0]["cell"]);
}
