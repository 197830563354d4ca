//! A real mosquitto, a gate before it that can be shut, and a subscriber that notes what it hears.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Says aloud that a test was left out when mosquitto is not installed.
pub fn mosquitto_is_missing(test: &str) -> bool {
    let found = ["mosquitto", "/usr/sbin/mosquitto"]
        .iter()
        .any(|name| Command::new(name).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok());
    if !found {
        eprintln!("SKIPPED: {test} needs mosquitto and mosquitto-clients");
    }
    !found
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "waited {limit:?} in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A mosquitto without persistence on a port of its own.
pub struct Mosquitto {
    pub port: u16,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Mosquitto {
    pub fn start(extra: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), extra)
    }

    /// With files that `extra` names in `folder`.
    pub fn start_in(folder: tempfile::TempDir, extra: &str) -> Self {
        let port = free_port();
        let config =
            format!("listener {port} 127.0.0.1\npersistence false\nmax_queued_messages 0\nuser root\n{extra}\n");
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let mut broker = Self { port, folder, child: None };
        broker.again();
        broker
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it again on the same port, without anything it knew.
    pub fn again(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let program = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let child = Command::new(program)
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let port = self.port;
        wait_until("mosquitto listens", Duration::from_secs(10), || TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    /// Freezes it (`STOP`) or lets it go on (`CONT`).
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Forwards a port to a broker while it is open. Lets a test decide who is back first after an outage: the subscriber
/// or the daemon. (A broker throws away what nobody subscribes to.)
pub struct Gate {
    pub port: u16,
    open: Arc<AtomicBool>,
}

impl Gate {
    pub fn before(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(AtomicBool::new(true));
        let is_open = open.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Some(far) =
                    is_open.load(Ordering::SeqCst).then(|| TcpStream::connect(("127.0.0.1", broker)).ok()).flatten()
                else {
                    continue;
                };
                for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                    thread::spawn(move || {
                        let mut buffer = [0; 65536];
                        while let Ok(bytes @ 1..) = from.read(&mut buffer) {
                            if to.write_all(&buffer[..bytes]).is_err() {
                                break;
                            }
                        }
                        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                    });
                }
            }
        });
        Self { port, open }
    }

    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
    }
}

/// A message as a subscriber heard it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub topic: String,
    pub retained: bool,
    pub payload: String,
}

impl Heard {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.payload).unwrap()
    }
}

/// `mosquitto_sub` on everything.
pub struct Subscriber {
    child: Child,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Subscriber {
    /// Subscribes to `#` and waits until the subscription stands.
    pub fn on(port: u16, extra: &[&str]) -> Self {
        static PROBE: AtomicU16 = AtomicU16::new(0);
        let mut child = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", "#", "-F", "%t|%r|%p"])
            .args(extra)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let notes = heard.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut parts = line.splitn(3, '|');
                let (Some(topic), Some(retained), Some(payload)) = (parts.next(), parts.next(), parts.next()) else {
                    continue;
                };
                notes.lock().unwrap().push(Heard {
                    topic: topic.to_owned(),
                    retained: retained == "1",
                    payload: payload.to_owned(),
                });
            }
        });
        let subscriber = Self { child, heard };
        let probe = format!("probe/{}", PROBE.fetch_add(1, Ordering::SeqCst));
        wait_until("the subscription stands", Duration::from_secs(10), || {
            publish(port, &probe, "here", extra);
            subscriber.all().iter().any(|heard| heard.topic == probe)
        });
        subscriber
    }

    /// Ends it; what it heard stays.
    pub fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn all(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    pub fn on_topic(&self, topic: &str) -> Vec<Heard> {
        self.all().into_iter().filter(|heard| heard.topic == topic).collect()
    }

    /// The first message on `topic`, waited for.
    pub fn next_on(&self, topic: &str) -> Heard {
        wait_until(&format!("a message on {topic}"), Duration::from_secs(10), || !self.on_topic(topic).is_empty());
        self.on_topic(topic).remove(0)
    }

    /// The latest message on `topic` once `is` holds for it.
    pub fn until_on(&self, topic: &str, is: impl Fn(&Heard) -> bool) -> Heard {
        wait_until(&format!("the right message on {topic}"), Duration::from_secs(20), || {
            self.on_topic(topic).last().is_some_and(&is)
        });
        self.on_topic(topic).pop().unwrap()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.end();
    }
}

pub fn publish(port: u16, topic: &str, payload: &str, extra: &[&str]) {
    Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", topic, "-m", payload])
        .args(extra)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
}
