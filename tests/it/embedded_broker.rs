//! The embedded broker with mosquitto's clients and the daemon's own session, MQTT 3.1.1 and 5.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use metaphased::mqtt::{EmbeddedBroker, EmbeddedError};

use crate::broker::{Subscriber, free_port, mosquitto_is_missing, publish, wait_until};

const VERSIONS: [[&str; 2]; 2] = [["-V", "mqttv311"], ["-V", "mqttv5"]];

fn start() -> u16 {
    EmbeddedBroker::start(Some(free_port())).unwrap().port()
}

/// `mosquitto_sub` with `arguments`; its lines once it ended.
fn listen(port: u16, arguments: &[&str]) -> thread::JoinHandle<Vec<String>> {
    let child = Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-F", "%t|%q|%r|%p"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    thread::spawn(move || {
        let output = child.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    })
}

fn lines(port: u16, arguments: &[&str]) -> Vec<String> {
    listen(port, arguments).join().unwrap()
}

#[test]
fn it_takes_the_port_it_is_given_or_the_first_free_one() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    assert!(matches!(EmbeddedBroker::start(Some(port)), Err(EmbeddedError::Taken { .. })));
    let broker = EmbeddedBroker::start(None).unwrap();
    assert!((1883..1983).contains(&broker.port()));
    let next = EmbeddedBroker::start(None).unwrap();
    assert_ne!(broker.port(), next.port(), "the next free one");
}

#[test]
fn every_version_and_service_reaches_every_other() {
    if mosquitto_is_missing("versions and QoS") {
        return;
    }
    let port = start();
    for reader in VERSIONS {
        for granted in ["0", "1", "2"] {
            let subscriber = Subscriber::on(port, &[&reader[..], &["-q", granted]].concat());
            for writer in VERSIONS {
                for service in ["0", "1", "2"] {
                    let topic = format!("to-{}-{granted}/from-{}-{service}", reader[1], writer[1]);
                    publish(port, &topic, "x", &[&writer[..], &["-q", service]].concat());
                    assert_eq!(subscriber.next_on(&topic).payload, "x");
                    assert_eq!(subscriber.on_topic(&topic).len(), 1, "{topic}: once");
                }
            }
        }
    }
}

#[test]
fn retained_messages_come_first_and_an_empty_one_removes() {
    if mosquitto_is_missing("retained messages") {
        return;
    }
    let port = start();
    publish(port, "a/1", "old", &["-r"]);
    publish(port, "a/1", "new", &["-r"]);
    publish(port, "a/2", "gone", &["-r"]);
    publish(port, "a/2", "", &["-r"]);
    publish(port, "b/1", "other", &["-r"]);
    for version in VERSIONS {
        let heard = lines(port, &[&version[..], &["-q", "1", "-t", "a/+", "-W", "1"]].concat());
        assert_eq!(heard, ["a/1|1|1|new"], "{version:?}");
    }
    // MQTT 5: retained ones not wanted, and the flag kept as it was published.
    let none = lines(port, &["-V", "mqttv5", "-t", "a/+", "-W", "1", "--retain-handling", "never"]);
    assert_eq!(none, [""; 0]);
    let live = listen(port, &["-V", "mqttv5", "-t", "c", "-C", "1", "-W", "5", "--retain-as-published"]);
    thread::sleep(Duration::from_millis(300));
    publish(port, "c", "now", &["-r"]);
    assert_eq!(live.join().unwrap(), ["c|0|1|now"]);
}

#[test]
fn a_client_that_vanishes_leaves_its_last_will_and_one_that_says_goodbye_does_not() {
    if mosquitto_is_missing("last wills") {
        return;
    }
    let port = start();
    let watcher = Subscriber::on(port, &[]);
    for version in VERSIONS {
        let topic = format!("will/{}", version[1]);
        let will = ["--will-topic", &topic, "--will-payload", "lost", "--will-qos", "1", "--will-retain"];
        // Publishes and says goodbye. (mosquitto_sub, when its time is up, asks for its will in MQTT 5.)
        publish(port, "goodbye", "x", &[&version[..], &will].concat());
        assert!(watcher.on_topic(&topic).is_empty(), "{topic}");
        let mut vanishing = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", "none"])
            .args(version)
            .args(will)
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(300));
        vanishing.kill().unwrap();
        vanishing.wait().unwrap();
        assert_eq!(watcher.next_on(&topic).payload, "lost");
        assert_eq!(lines(port, &["-t", &topic, "-C", "1", "-W", "5"]), [format!("{topic}|0|1|lost")]);
    }
}

#[test]
fn a_session_that_is_kept_holds_messages_until_the_client_is_back() {
    if mosquitto_is_missing("persistent sessions") {
        return;
    }
    let port = start();
    for version in [&["-V", "mqttv311", "-c"][..], &["-V", "mqttv5", "-c", "-x", "60"]] {
        let client = [version, &["-i", version[1], "-q", "1", "-t", "kept/#"]].concat();
        lines(port, &[&client[..], &["-W", "1"]].concat());
        publish(port, "kept/1", "first", &[]);
        publish(port, "kept/2", "second", &[]);
        let back = lines(port, &[&client[..], &["-C", "2", "-W", "5"]].concat());
        assert_eq!(back, ["kept/1|1|0|first", "kept/2|1|0|second"]);
    }
    // A clean session begins with nothing.
    publish(port, "kept/3", "third", &[]);
    assert_eq!(lines(port, &["-i", "mqttv311", "-q", "1", "-t", "kept/#", "-W", "1"]), [""; 0]);
}

#[test]
fn unsubscribed_topics_stay_silent() {
    if mosquitto_is_missing("unsubscribing") {
        return;
    }
    let port = start();
    publish(port, "x/1", "one", &["-r"]);
    for version in VERSIONS {
        let client = [&version[..], &["-t", "x/#", "-t", "y", "-U", "x/#", "-W", "2", "-R"]].concat();
        let heard = listen(port, &client);
        thread::sleep(Duration::from_millis(500));
        publish(port, "x/1", "two", &[]);
        publish(port, "y", "three", &[]);
        assert_eq!(heard.join().unwrap(), ["y|0|0|three"]);
    }
}

/// CONNECT of 3.1.1 as `name`, keep-alive `seconds`.
fn raw_client(port: u16, name: &str, seconds: u8) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut packet = vec![0x10, 12 + name.len() as u8, 0, 4];
    packet.extend(b"MQTT\x04\x02\x00");
    packet.extend([seconds, 0, name.len() as u8]);
    packet.extend(name.as_bytes());
    stream.write_all(&packet).unwrap();
    let mut accepted = [0; 4];
    stream.read_exact(&mut accepted).unwrap();
    assert_eq!(accepted, [0x20, 2, 0, 0]);
    stream
}

/// How long until the broker closes the connection.
fn closed_after(mut stream: TcpStream) -> Duration {
    let since = Instant::now();
    let mut rest = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut rest);
    since.elapsed()
}

#[test]
fn silence_beyond_the_keep_alive_and_a_second_client_of_the_same_name_end_a_connection() {
    let port = start();
    let silent = closed_after(raw_client(port, "silent", 1));
    assert!((1.2..4.0).contains(&silent.as_secs_f64()), "one and a half times the keep-alive: {silent:?}");
    let first = raw_client(port, "twin", 60);
    let _second = raw_client(port, "twin", 60);
    assert!(closed_after(first) < Duration::from_secs(5));
}

#[test]
fn what_is_no_mqtt_is_closed_and_hurts_nobody() {
    let port = start();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x10, 0xff, 0xff, 0xff, 0x7f], &[0; 64], b"\x30\x03\x00\x01a"] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(bytes).unwrap();
        assert!(closed_after(stream) < Duration::from_secs(9), "{bytes:?}");
    }
    // MQTT 3.1 is answered as 3.1.1 says.
    let mut old = TcpStream::connect(("127.0.0.1", port)).unwrap();
    old.write_all(b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a").unwrap();
    let mut refused = [0; 4];
    old.read_exact(&mut refused).unwrap();
    assert_eq!(refused, [0x20, 2, 0, 1]);
    raw_client(port, "fine", 60);
}

#[test]
fn a_subscriber_that_does_not_read_is_ended_and_the_others_hear_everything() {
    if mosquitto_is_missing("slow subscribers") {
        return;
    }
    let port = start();
    let mut stuck = raw_client(port, "stuck", 0);
    stuck.write_all(b"\x82\x08\x00\x01\x00\x03big\x00").unwrap();
    let mut sender = raw_client(port, "sender", 0);
    let mut packet = vec![0x30];
    // 1,000,000 bytes after the fixed header.
    packet.extend([0xc0, 0x84, 0x3d, 0, 3]);
    packet.extend(b"big");
    packet.resize(1_000_000 + 4, 7);
    let since = Instant::now();
    for _ in 0..60 {
        sender.write_all(&packet).unwrap();
    }
    let heard = Subscriber::on(port, &[]);
    publish(port, "after", "still here", &[]);
    assert_eq!(heard.next_on("after").payload, "still here");
    assert!(since.elapsed() < Duration::from_secs(20));
    assert!(closed_after(stuck) < Duration::from_secs(10));
}

#[test]
fn many_messages_arrive_in_order() {
    if mosquitto_is_missing("order") {
        return;
    }
    let port = start();
    for version in VERSIONS {
        let reader = listen(port, &[&version[..], &["-q", "1", "-t", "n", "-C", "5000", "-W", "30"]].concat());
        thread::sleep(Duration::from_millis(300));
        let mut writer = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", "n", "-l"])
            .args(version)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let text: String = (0..5000).map(|number| format!("{number}\n")).collect();
        writer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let expected: Vec<_> = (0..5000).map(|number| format!("n|1|0|{number}")).collect();
        assert_eq!(reader.join().unwrap(), expected);
        wait_until("the writer ends", Duration::from_secs(5), || writer.try_wait().unwrap().is_some());
    }
}
