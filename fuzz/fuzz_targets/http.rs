//! Any request to the real server: method and target on the first line, the body behind it. None may fail inside.
#![no_main]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::LazyLock,
    time::Duration,
};

use domain::Verdict;
use libfuzzer_sys::fuzz_target;
use metaphased::{
    station::{Birth, Health, command_channel},
    store::{CellCommit, FrameCommit, Store, StoreOptions},
    web::{LiveHub, LiveSource, WebOptions, WebParts, bind},
};
use testing::sample_cell;

mod scratch;

static SERVER: LazyLock<SocketAddr> = LazyLock::new(|| {
    let store = Store::open(&scratch::folder().join("store"), StoreOptions::default()).expect("a store");
    for number in 1..=3 {
        let cell = sample_cell(number, Some("K-17"), Verdict::Normal);
        let commit = CellCommit { cell, crops: Vec::new(), thumbnail: None, image: None };
        store.commit(&[FrameCommit { cells: vec![commit], ..FrameCommit::default() }]).expect("a cell is stored");
    }
    let (commands, inbox) = command_channel(8);
    std::thread::spawn(move || {
        for envelope in inbox {
            let checked = envelope.command.check();
            envelope.answer(checked.map(|()| serde_json::json!({})));
        }
    });
    let bound = bind(WebOptions { listen: Some(([127, 0, 0, 1], 0).into()), ..WebOptions::default() }).expect("a port");
    let address = bound.address();
    let hub = LiveHub::new([LiveSource { name: "scope".into(), bright_field: true }]);
    let parts = WebParts { health: Health::new(Birth::default()), hub, store: store.reader(), commands, inlet: None, laboratory: None };
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(bound.serve(parts, std::future::pending())).expect("it answers");
    });
    address
});

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, body) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    // Streams do not end by themselves.
    if line.windows(6).any(|w| w == b"events" || w == b"stream") {
        return;
    }
    let mut stream = TcpStream::connect(*SERVER).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(8))).expect("a limit");
    let mut request = line.to_vec();
    let head = format!(
        " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    request.extend(head.as_bytes());
    request.extend(body);
    // It may hang up before it has read all.
    let _ = stream.write_all(&request);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert!(error.kind() == std::io::ErrorKind::ConnectionReset, "no answer: {error}");
        return;
    }
    assert!(!answer.starts_with(b"HTTP/1.1 500"), "{}", String::from_utf8_lossy(&answer));
});
