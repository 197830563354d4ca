//! The session with a real mosquitto.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::HashMap,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::broker::{Gate, Mosquitto, Subscriber, mosquitto_is_missing, wait_until};
use domain::Verdict;
use metaphased::{
    config::{MqttConfig, MqttVersion},
    mqtt::{BrokerSettings, MqttSession},
    station::{Birth, CommandInbox, Health, Level, command_channel},
    store::{CellCommit, FrameCommit, Latest, Message, Store, StoreOptions},
};
use testing::sample_cell;

struct Daemon {
    store: Store,
    health: Health,
    session: MqttSession,
    inbox: CommandInbox,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

fn daemon(config: &MqttConfig) -> Daemon {
    daemon_in(tempfile::tempdir().unwrap(), BrokerSettings::new(config, "lab-1", None).unwrap())
}

fn daemon_in(folder: tempfile::TempDir, settings: BrokerSettings) -> Daemon {
    let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    let health = Health::new(Birth { schema: "birth/1".into(), station: "lab-1".into(), ..Birth::default() });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (outbox, inbox) = command_channel(16);
    let session = MqttSession::start(runtime.handle(), settings, store.clone(), health.clone(), outbox).unwrap();
    Daemon { store, health, session, inbox, runtime, _folder: folder }
}

fn plain(port: u16) -> MqttConfig {
    MqttConfig { url: format!("mqtt://127.0.0.1:{port}"), ..MqttConfig::default() }
}

fn cell(number: u64) -> FrameCommit {
    let cell = sample_cell(number, Some("K/17"), Verdict::Normal);
    FrameCommit {
        messages: vec![Message::cell(&cell, None, false).unwrap()],
        latest: vec![Latest {
            topic: metaphased::mqtt::case_topic("K/17"),
            payload: Some(format!("{{\"cells\":{}}}", number + 1)),
            case: cell.case.clone(),
        }],
        cells: vec![CellCommit { cell, crops: Vec::new(), thumbnail: None, image: None }],
        ..FrameCommit::default()
    }
}

fn broker_reason(health: &Health) -> String {
    health.state(String::new()).broker.reason
}

/// The heart of the matter, for both versions. The outage lasts 2 s; `METAPHASED_TEST_OUTAGE_S=30` for the long one.
fn a_broker_that_vanishes_costs_no_cell(version: MqttVersion) {
    let mut mosquitto = Mosquitto::start("allow_anonymous true");
    let gate = Gate::before(mosquitto.port);
    let subscriber = Subscriber::on(mosquitto.port, &[]);
    let mut daemon = daemon(&MqttConfig { version, ..plain(gate.port) });
    assert!(daemon.session.wait_connected(Duration::from_secs(10)));

    let go_on = Arc::new(AtomicBool::new(true));
    let producer = thread::spawn({
        let (store, go_on) = (daemon.store.clone(), go_on.clone());
        move || {
            let mut number = 0;
            while go_on.load(Ordering::SeqCst) {
                store.commit(&(number..number + 10).map(cell).collect::<Vec<_>>()).unwrap();
                number += 10;
                thread::sleep(Duration::from_millis(10));
            }
            number
        }
    });

    let outage = std::env::var("METAPHASED_TEST_OUTAGE_S").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
    let mut subscribers = vec![subscriber];
    for seconds in [outage, 0, 0] {
        wait_until("cells arrive", Duration::from_secs(20), || {
            subscribers.last().unwrap().on_topic("metaphased/lab-1/cell").len() > 100
        });
        gate.set_open(false);
        mosquitto.kill();
        // Time to hear what the broker had still sent; then another one listens, so that nothing is noted twice.
        thread::sleep(Duration::from_millis(200));
        subscribers.last_mut().unwrap().end();
        if seconds > 0 {
            thread::sleep(Duration::from_secs(seconds));
            let state = daemon.health.state(String::new());
            assert_eq!((state.level, state.broker.connected), (Level::Degraded, false));
            assert!(state.broker.reason.contains("start the broker or correct mqtt.url"), "{}", state.broker.reason);
            assert!(daemon.store.outbox_depth() > 100, "cells wait in the outbox");
        }
        mosquitto.again();
        subscribers.push(Subscriber::on(mosquitto.port, &[]));
        gate.set_open(true);
    }
    wait_until("cells arrive again", Duration::from_secs(30), || {
        subscribers.last().unwrap().on_topic("metaphased/lab-1/cell").len() > 100
    });
    go_on.store(false, Ordering::SeqCst);
    let produced = producer.join().unwrap();
    wait_until("the outbox empties", Duration::from_secs(60), || daemon.store.outbox_depth() == 0);

    // Lines of the last messages may still be on their way from mosquitto_sub to us.
    let times = || {
        let mut times: HashMap<String, u32> = HashMap::new();
        for heard in subscribers.iter().flat_map(|subscriber| subscriber.on_topic("metaphased/lab-1/cell")) {
            *times.entry(heard.json()["cell"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        times
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while times().len() < produced as usize && std::time::Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    let times = times();
    let twice = times.values().filter(|times| **times > 1).count() as u64;
    let stats = daemon.health.stats(String::new(), Duration::ZERO);
    println!("{produced} cells, {} arrived, {twice} more than once, {} sent again", times.len(), stats.resent);
    assert_eq!(times.len() as u64, produced, "every cell arrives");
    assert!(twice <= stats.resent, "{twice} came twice, {} were counted", stats.resent);
    assert_eq!(stats.cells_published, produced);

    // What a newcomer is given: the latest of every retained topic.
    let newcomer = Subscriber::on(mosquitto.port, &[]);
    let case = newcomer.next_on("metaphased/lab-1/case/K%2F17");
    assert!(case.retained && case.json()["cells"] == produced, "{case:?}");
    assert_eq!(newcomer.next_on("metaphased/lab-1/availability").payload, "online");
    assert_eq!(newcomer.next_on("metaphased/lab-1/birth").json()["schema"], "birth/1");
    let state = newcomer.until_on("metaphased/lab-1/state", |heard| heard.json()["level"] == "ok");
    assert_eq!(state.json()["broker"]["connected"], true);

    daemon.session.stop(Duration::from_secs(2));
    newcomer.until_on("metaphased/lab-1/availability", |heard| heard.payload == "offline");
}

#[test]
fn a_broker_that_vanishes_costs_no_cell_with_mqtt_311() {
    if !mosquitto_is_missing("the outage test") {
        a_broker_that_vanishes_costs_no_cell(MqttVersion::V311);
    }
}

#[test]
fn a_broker_that_vanishes_costs_no_cell_with_mqtt_5() {
    if !mosquitto_is_missing("the outage test") {
        a_broker_that_vanishes_costs_no_cell(MqttVersion::V5);
    }
}

#[test]
fn a_killed_daemon_is_offline_and_its_cells_come_with_the_next_run() {
    if mosquitto_is_missing("the last will") {
        return;
    }
    let mosquitto = Mosquitto::start("allow_anonymous true");
    let subscriber = Subscriber::on(mosquitto.port, &[]);
    let mut first = daemon(&plain(mosquitto.port));
    assert!(first.session.wait_connected(Duration::from_secs(10)));
    assert_eq!(subscriber.next_on("metaphased/lab-1/availability").payload, "online");
    // No goodbye: the tasks are gone from one moment to the next.
    first.runtime.shutdown_background();
    subscriber.until_on("metaphased/lab-1/availability", |heard| heard.payload == "offline");
    first.store.commit(&[cell(0), cell(1)]).unwrap();

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let settings = BrokerSettings::new(&plain(mosquitto.port), "lab-1", None).unwrap();
    let health = Health::new(Birth::default());
    let (outbox, _inbox) = command_channel(1);
    let second = MqttSession::start(runtime.handle(), settings, first.store.clone(), health.clone(), outbox).unwrap();
    wait_until("both cells arrive", Duration::from_secs(10), || {
        subscriber.on_topic("metaphased/lab-1/cell").len() == 2
    });
    // A stop sends what was committed just before it.
    first.store.commit(&[cell(2)]).unwrap();
    second.stop(Duration::from_secs(2));
    wait_until("the third one, too", Duration::from_secs(10), || {
        subscriber.on_topic("metaphased/lab-1/cell").len() == 3
    });
    assert_eq!(first.store.outbox_depth(), 0);
    assert_eq!(health.stats(String::new(), Duration::ZERO).resent, 0);
}

#[test]
fn commands_are_answered_where_the_asker_waits() {
    if mosquitto_is_missing("commands") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let password_file = folder.path().join("users");
    let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&password_file).args(["lab", "geheim"]).status();
    assert!(made.unwrap().success());
    let lines = format!("allow_anonymous false\npassword_file {}", password_file.display());
    let mosquitto = Mosquitto::start_in(folder, &lines);
    let login = ["-u", "lab", "-P", "geheim"];
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let secret = mosquitto.folder().join("password");
        std::fs::write(&secret, "geheim\n").unwrap();
        let subscriber = Subscriber::on(mosquitto.port, &login);
        let mut daemon = daemon(&MqttConfig {
            version,
            username: Some("lab".into()),
            password_file: Some(secret),
            ..plain(mosquitto.port)
        });
        assert!(daemon.session.wait_connected(Duration::from_secs(10)), "{}", broker_reason(&daemon.health));
        let inbox = daemon.inbox.clone();
        let worker = thread::spawn(move || {
            for envelope in inbox.iter().take(2) {
                envelope.answer(Ok(serde_json::json!({"case": "K-17"})));
            }
        });
        crate::broker::publish(mosquitto.port, "metaphased/lab-1/command/case", r#"{"id":"a1","case":"K-17"}"#, &login);
        let result = subscriber.next_on("metaphased/lab-1/result/case").json();
        assert_eq!((&result["schema"], &result["id"], &result["ok"]), (&"result/1".into(), &"a1".into(), &true.into()));
        crate::broker::publish(mosquitto.port, "metaphased/lab-1/command/dance", "", &login);
        let refused = subscriber.next_on("metaphased/lab-1/result/dance").json();
        assert!(refused["ok"] == false && refused["error"].as_str().unwrap().contains("dance"), "{refused}");

        let answer = if version == MqttVersion::V5 {
            let output = Command::new("mosquitto_rr")
                .args(["-V", "5", "-h", "127.0.0.1", "-p", &mosquitto.port.to_string(), "-W", "10"])
                .args(login)
                .args(["-t", "metaphased/lab-1/command/case", "-e", "me/answer", "-D", "publish"])
                .args(["correlation-data", "c7", "-m", r#"{"id":"b2"}"#, "-F", "%D %p"])
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        } else {
            crate::broker::publish(mosquitto.port, "metaphased/lab-1/command/case", r#"{"id":"b2"}"#, &login);
            subscriber.until_on("metaphased/lab-1/result/case", |heard| heard.json()["id"] == "b2").payload
        };
        assert!(answer.contains(r#""id":"b2""#), "{answer}");
        assert!(version == MqttVersion::V311 || answer.starts_with("c7 "), "correlation data are echoed: {answer}");
        worker.join().unwrap();
        daemon.session.stop(Duration::from_secs(1));
    }
}

#[test]
fn a_wrong_password_is_said_and_the_daemon_goes_on() {
    if mosquitto_is_missing("passwords") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&users).args(["lab", "geheim"]).status().unwrap();
    let lines = format!("allow_anonymous false\npassword_file {}", users.display());
    let mosquitto = Mosquitto::start_in(folder, &lines);
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let wrong = MqttConfig {
            version,
            username: Some("lab".into()),
            password: Some("falsch".into()),
            ..plain(mosquitto.port)
        };
        let daemon = daemon(&wrong);
        wait_until("the reason is told", Duration::from_secs(10), || {
            broker_reason(&daemon.health).contains("check mqtt.")
                || broker_reason(&daemon.health).contains("give mqtt.")
        });
        daemon.store.commit(&[cell(0)]).unwrap();
        assert_eq!(daemon.store.outbox_depth(), 1, "cells are kept");
        assert!(daemon.health.state(String::new()).level == Level::Degraded);
        daemon.session.stop(Duration::from_secs(1));
    }
}

#[test]
fn a_remote_broker_without_credentials_gets_no_say() {
    if mosquitto_is_missing("commands without credentials") {
        return;
    }
    let mosquitto = Mosquitto::start("allow_anonymous true");
    let subscriber = Subscriber::on(mosquitto.port, &[]);
    let mut daemon = daemon(&plain(mosquitto.port));
    assert!(daemon.session.wait_connected(Duration::from_secs(10)));
    subscriber.next_on("metaphased/lab-1/state");
    crate::broker::publish(mosquitto.port, "metaphased/lab-1/command/stop", "{}", &[]);
    let refused = subscriber.next_on("metaphased/lab-1/result/stop").json();
    assert!(refused["error"].as_str().unwrap().contains("commands are off"), "{refused}");
    assert!(daemon.inbox.try_recv().is_err());
}

#[test]
fn an_encrypted_connection_needs_the_right_authority_and_certificate() {
    if mosquitto_is_missing("TLS") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    std::fs::write(file("san"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    for authority in ["ca", "other"] {
        openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -keyout {authority}.key -out {authority}.pem -days 2 -subj /CN={authority} \
             -addext basicConstraints=critical,CA:TRUE"
        ));
    }
    for name in ["server", "client"] {
        openssl(&format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile san"
        ));
    }
    let (ca, other) = (file("ca.pem"), file("other.pem"));
    let (client, key) = (file("client.pem"), file("client.key"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    let lines = format!(
        "allow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true",
        path("ca.pem"),
        path("server.pem"),
        path("server.key")
    );
    let mosquitto = Mosquitto::start(&lines);
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let secure = |authority: &std::path::Path| MqttConfig {
            url: format!("mqtts://localhost:{}", mosquitto.port),
            version,
            ca_file: Some(authority.into()),
            cert_file: Some(client.clone()),
            key_file: Some(key.clone()),
            ..MqttConfig::default()
        };
        let mut right = daemon(&secure(&ca));
        assert!(right.session.wait_connected(Duration::from_secs(10)), "{}", broker_reason(&right.health));
        right.store.commit(&[cell(0)]).unwrap();
        wait_until("the cell is acknowledged", Duration::from_secs(10), || right.store.outbox_depth() == 0);
        right.session.stop(Duration::from_secs(1));

        let wrong = daemon(&secure(&other));
        wait_until("the reason is told", Duration::from_secs(10), || {
            broker_reason(&wrong.health).contains("check mqtt.ca_file")
        });
        wrong.session.stop(Duration::from_secs(1));
    }
}

#[test]
fn stats_and_state_come_by_themselves() {
    if mosquitto_is_missing("stats") {
        return;
    }
    let mosquitto = Mosquitto::start("allow_anonymous true");
    let subscriber = Subscriber::on(mosquitto.port, &[]);
    let mut daemon = daemon(&plain(mosquitto.port));
    assert!(daemon.session.wait_connected(Duration::from_secs(10)));
    subscriber.next_on("metaphased/lab-1/state");
    for number in 0..50 {
        daemon.health.store(|store| store.reason = format!("disk {number} % full"));
        thread::sleep(Duration::from_millis(20));
    }
    subscriber.until_on("metaphased/lab-1/state", |heard| heard.payload.contains("disk 49 % full"));
    let states = subscriber.on_topic("metaphased/lab-1/state").len();
    assert!(states <= 4, "at most one a second: {states}");
    wait_until("stats come every ten seconds", Duration::from_secs(15), || {
        !subscriber.on_topic("metaphased/lab-1/stats").is_empty()
    });
}

#[cfg(feature = "embedded-broker")]
fn the_embedded_broker_serves_the_first_run(version: MqttVersion) {
    use metaphased::mqtt::EmbeddedBroker;
    if mosquitto_is_missing("the embedded broker") {
        return;
    }
    let broker = EmbeddedBroker::start(Some(crate::broker::free_port())).unwrap();
    let mut daemon = daemon(&MqttConfig { commands: Some(true), version, ..plain(broker.port()) });
    assert!(daemon.session.wait_connected(Duration::from_secs(10)), "{}", broker_reason(&daemon.health));
    let subscriber = Subscriber::on(broker.port(), &[]);
    daemon.store.commit(&(0..50).map(cell).collect::<Vec<_>>()).unwrap();
    wait_until("cells arrive", Duration::from_secs(10), || subscriber.on_topic("metaphased/lab-1/cell").len() == 50);
    let newcomer = Subscriber::on(broker.port(), &[]);
    assert_eq!(newcomer.next_on("metaphased/lab-1/availability").payload, "online");
    assert_eq!(newcomer.next_on("metaphased/lab-1/case/K%2F17").json()["cells"], 50);
    crate::broker::publish(broker.port(), "metaphased/lab-1/command/start", "{}", &[]);
    daemon.inbox.recv_timeout(Duration::from_secs(5)).unwrap().answer(Ok(serde_json::Value::Null));
    assert_eq!(subscriber.next_on("metaphased/lab-1/result/start").json()["ok"], true);
    daemon.session.stop(Duration::from_secs(1));
    newcomer.until_on("metaphased/lab-1/availability", |heard| heard.payload == "offline");
}

#[cfg(feature = "embedded-broker")]
#[test]
fn the_embedded_broker_serves_the_first_run_in_mqtt_3() {
    the_embedded_broker_serves_the_first_run(MqttVersion::V311);
}

#[cfg(feature = "embedded-broker")]
#[test]
fn the_embedded_broker_serves_the_first_run_in_mqtt_5() {
    the_embedded_broker_serves_the_first_run(MqttVersion::V5);
}

fn small(number: u64) -> FrameCommit {
    let message = Message {
        topic: "rejected".into(),
        payload: format!("{{\"frame\":{number}}}"),
        retain: false,
        droppable: false,
        case: None,
    };
    FrameCommit { messages: vec![message], ..FrameCommit::default() }
}

/// A cell of 46 chromosomes takes some 11,000 bytes.
fn a_message_that_is_too_large_is_set_aside(version: MqttVersion) {
    let mosquitto = Mosquitto::start("allow_anonymous true\nmax_packet_size 8000");
    let subscriber = Subscriber::on(mosquitto.port, &[]);
    let Daemon { store, health, mut session, runtime, _folder: folder, .. } =
        daemon(&MqttConfig { version, ..plain(mosquitto.port) });
    assert!(session.wait_connected(Duration::from_secs(10)));
    store.commit(&[small(1), cell(2), small(3), cell(4), small(5)]).unwrap();
    wait_until("those behind arrive", Duration::from_secs(60), || {
        subscriber.all().iter().any(|heard| heard.payload == "{\"frame\":5}")
    });
    wait_until("the outbox empties", Duration::from_secs(10), || store.outbox_depth() == 0);
    assert!(subscriber.on_topic("metaphased/lab-1/cell").is_empty());
    let state = subscriber.until_on("metaphased/lab-1/state", |heard| heard.json()["broker"]["set_aside"] == 2).json();
    assert_eq!((&state["level"], &state["broker"]["connected"]), (&"degraded".into(), &true.into()));
    assert!(broker_reason(&health).contains("max_packet_size"), "{}", broker_reason(&health));
    session.stop(Duration::from_secs(2));
    drop((store, runtime));

    // The remedy of the words: a broker that takes more, and a restart.
    let generous = Mosquitto::start("allow_anonymous true");
    let subscriber = Subscriber::on(generous.port, &[]);
    let settings = BrokerSettings::new(&plain(generous.port), "lab-1", None).unwrap();
    let again = daemon_in(folder, settings);
    wait_until("what was set aside arrives", Duration::from_secs(10), || {
        subscriber.on_topic("metaphased/lab-1/cell").len() == 2
    });
    assert_eq!(broker_reason(&again.health), "");
}

#[test]
fn a_message_that_is_too_large_is_set_aside_with_mqtt_311() {
    if !mosquitto_is_missing("messages that are too large") {
        a_message_that_is_too_large_is_set_aside(MqttVersion::V311);
    }
}

#[test]
fn a_message_that_is_too_large_is_set_aside_with_mqtt_5() {
    if !mosquitto_is_missing("messages that are too large") {
        a_message_that_is_too_large_is_set_aside(MqttVersion::V5);
    }
}

#[test]
fn a_broker_that_acknowledges_nothing_is_no_good_broker() {
    if mosquitto_is_missing("the frozen broker") {
        return;
    }
    let mosquitto = Mosquitto::start("allow_anonymous true");
    let settings = BrokerSettings::new(&plain(mosquitto.port), "lab-1", None).unwrap();
    assert_eq!(settings.acknowledge_within, Duration::from_secs(20));
    let settings = BrokerSettings { acknowledge_within: Duration::from_secs(2), ..settings };
    let mut daemon = daemon_in(tempfile::tempdir().unwrap(), settings);
    assert!(daemon.session.wait_connected(Duration::from_secs(10)));
    daemon.store.commit(&[small(1)]).unwrap();
    wait_until("the broker works", Duration::from_secs(10), || daemon.store.outbox_depth() == 0);

    mosquitto.signal("STOP");
    daemon.store.commit(&[small(2)]).unwrap();
    wait_until("the silence is noticed", Duration::from_secs(6), || {
        broker_reason(&daemon.health).contains("has not acknowledged a message for 2 s")
    });
    assert_eq!(daemon.health.state(String::new()).level, Level::Degraded);
    mosquitto.signal("CONT");
    wait_until("the message arrives", Duration::from_secs(30), || daemon.store.outbox_depth() == 0);
    assert_eq!(broker_reason(&daemon.health), "");
}

#[test]
fn what_follows_a_cleared_topic_is_published() {
    if mosquitto_is_missing("the cleared topic") {
        return;
    }
    let mosquitto = Mosquitto::start("allow_anonymous true");
    let subscriber = Subscriber::on(mosquitto.port, &[]);
    let mut daemon = daemon(&plain(mosquitto.port));
    assert!(daemon.session.wait_connected(Duration::from_secs(10)));
    let put = |name: &str, payload: Option<&str>| {
        let topic = metaphased::mqtt::case_topic(name);
        daemon.store.put_latest(&Latest { topic, payload: payload.map(Into::into), case: None }).unwrap();
    };
    put("a", Some("1"));
    put("b", Some("1"));
    subscriber.next_on("metaphased/lab-1/case/b");
    // As when a case is erased: the store forgets the topic, and with it the highest number of a change.
    put("b", None);
    let reader = daemon.store.reader();
    wait_until("it is forgotten", Duration::from_secs(10), || reader.latest_after(0, 9).unwrap().len() == 1);
    put("a", Some("2"));
    subscriber.until_on("metaphased/lab-1/case/a", |heard| heard.payload == "2");
}

/// The disk is full, or another process holds the database.
#[test]
fn a_store_that_cannot_let_go_of_a_row_keeps_the_connection() {
    if mosquitto_is_missing("the store that fails") {
        return;
    }
    let mosquitto = Mosquitto::start("allow_anonymous true");
    let subscriber = Subscriber::on(mosquitto.port, &[]);
    let mut daemon = daemon(&plain(mosquitto.port));
    assert!(daemon.session.wait_connected(Duration::from_secs(10)));
    let database = daemon.store.folder().join(metaphased::store::DATABASE);
    let shell = |statement: &str| {
        let done = Command::new("sqlite3").args(["-cmd", ".timeout 5000"]).arg(&database).arg(statement).status();
        assert!(done.unwrap().success());
    };
    shell("CREATE TRIGGER full BEFORE DELETE ON outbox BEGIN SELECT raise(ABORT, 'disk full'); END");
    daemon.store.commit(&[small(1)]).unwrap();
    thread::sleep(Duration::from_secs(4));
    assert_eq!(daemon.store.outbox_depth(), 1, "it could not be removed");
    daemon.store.commit(&[small(2)]).unwrap();
    thread::sleep(Duration::from_millis(500));
    shell("DROP TRIGGER full");
    wait_until("the outbox empties", Duration::from_secs(15), || daemon.store.outbox_depth() == 0);
    assert_eq!(subscriber.on_topic("metaphased/lab-1/availability").len(), 1, "one connection all the time");
    assert_eq!(subscriber.on_topic("metaphased/lab-1/rejected").len(), 2, "each once");
    assert_eq!(daemon.health.stats(String::new(), Duration::ZERO).resent, 0);
}

/// Two daemons with one client id: each takes the connection from the other, and both say what to do.
fn a_second_client_with_our_id_is_named(version: MqttVersion) {
    let mosquitto = Mosquitto::start("allow_anonymous true");
    let config = MqttConfig { version, ..plain(mosquitto.port) };
    let twins = [daemon(&config), daemon(&config)];
    let names_it = |daemon: &Daemon| {
        let broker = daemon.health.state(String::new()).broker;
        broker.reason.contains("another client has this id ('metaphased-lab-1'): set `station`")
            && broker.level == Level::Degraded
    };
    wait_until("one of them names the other", Duration::from_secs(60), || twins.iter().any(names_it));
}

#[test]
fn with_mqtt_3_a_second_client_with_our_id_is_named() {
    if mosquitto_is_missing("with_mqtt_3_a_second_client_with_our_id_is_named") {
        return;
    }
    a_second_client_with_our_id_is_named(MqttVersion::V311);
}

#[test]
fn with_mqtt_5_a_second_client_with_our_id_is_named() {
    if mosquitto_is_missing("with_mqtt_5_a_second_client_with_our_id_is_named") {
        return;
    }
    a_second_client_with_our_id_is_named(MqttVersion::V5);
}

#[test]
fn a_command_that_is_too_large_is_refused_and_the_next_one_is_done() {
    if mosquitto_is_missing("a_command_that_is_too_large_is_refused_and_the_next_one_is_done") {
        return;
    }
    let mosquitto = Mosquitto::start("allow_anonymous true");
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let config = MqttConfig { version, commands: Some(true), ..plain(mosquitto.port) };
        let mut daemon = daemon(&config);
        assert!(daemon.session.wait_connected(Duration::from_secs(10)));
        let heard = Subscriber::on(mosquitto.port, &[]);
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large.json");
        std::fs::write(&large, format!("{{\"case\": \"{}\"}}", "x".repeat(2 * 1024 * 1024))).unwrap();
        let port = mosquitto.port.to_string();
        let topic = "metaphased/lab-1/command/case";
        let sent = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-f"])
            .arg(&large)
            .status()
            .unwrap();
        assert!(sent.success());
        crate::broker::publish(mosquitto.port, topic, r#"{"case": "K-1"}"#, &[]);
        let refused = heard.until_on("metaphased/lab-1/result/case", |_| true).json();
        assert!(refused["error"].as_str().unwrap().contains("expected at most 1048576"), "{refused}");
        let envelope = daemon.inbox.recv_timeout(Duration::from_secs(10)).expect("the next command");
        assert!(format!("{:?}", envelope.command).contains("K-1"));
        daemon.session.stop(Duration::from_millis(200));
        drop(daemon.runtime);
    }
}
