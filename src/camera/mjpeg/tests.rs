//! A stream from a server that misbehaves.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::mpsc,
};

use super::*;
use crate::shutdown::Shutdown;
use domain::frame::FramePool;

fn jpeg(level: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
    image::GrayImage::from_pixel(64, 48, image::Luma([level])).write_with_encoder(encoder).expect("it encodes");
    bytes
}

fn part(bytes: &[u8]) -> Vec<u8> {
    let head = format!("--b\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", bytes.len());
    [head.as_bytes(), bytes, b"\r\n"].concat()
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n";

/// Serves each connection as `serve` does, one after the other; gives the address and the heads of the requests.
fn server(mut serve: impl FnMut(usize, &mut TcpStream) + Send + 'static) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/stream?x=1", listener.local_addr().expect("an address"));
    let (sender, heads) = mpsc::channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let head = request(&mut stream);
            if sender.send(head).is_err() {
                return;
            }
            serve(number, &mut stream);
        }
    });
    (address, heads)
}

fn request(stream: &mut impl Read) -> String {
    let mut head = String::new();
    let mut input = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") && input.read_line(&mut head).is_ok_and(|n| n > 0) {}
    head
}

fn settings(url: &str) -> MjpegSettings {
    MjpegSettings {
        name: "scope".into(),
        address: url.parse().expect("an address"),
        login: None,
        authority: None,
        patience: Duration::from_millis(400),
        picture_bytes: 1 << 20,
        um_per_px: Some(0.1),
    }
}

struct Eyes {
    buffers: Buffers,
    _shutdown: Shutdown,
}

impl Eyes {
    fn new() -> Self {
        let shutdown = Shutdown::default();
        Self { buffers: Buffers::new(FramePool::new(2), false, shutdown.receiver()), _shutdown: shutdown }
    }

    /// The grey levels of all frames until the source fails, and why it does; late pictures are counted in `late`.
    fn until_lost(&self, source: &mut MjpegSource, late: &mut u32) -> (Vec<u8>, String) {
        let mut levels = Vec::new();
        loop {
            match source.next(&self.buffers) {
                Ok(Capture::Frame(frame)) => match frame.pixels.view() {
                    domain::frame::PixelView::Mono8(samples) => levels.push(samples[0]),
                    other => panic!("{other:?}"),
                },
                Ok(Capture::Superseded) => *late += 1,
                Ok(Capture::Nothing) => {}
                Ok(other) => panic!("{other:?}"),
                Err(error) => return (levels, error.to_string()),
            }
        }
    }
}

#[test]
fn a_cut_part_costs_one_picture_and_a_stall_the_connection() {
    let (url, heads) = server(|_, stream| {
        let cut = part(&jpeg(90))[..300].to_vec();
        for bytes in [HEAD.as_bytes().to_vec(), b"\r\n".to_vec(), part(&jpeg(50)), cut, part(&jpeg(200))] {
            stream.write_all(&bytes).expect("it listens");
            // So that no picture is late.
            thread::sleep(Duration::from_millis(60));
        }
        thread::sleep(Duration::from_secs(2));
    });
    let login = Login { name: "kb".into(), password: "a:b".into() };
    let mut source = MjpegSource::open(MjpegSettings { login: Some(login), ..settings(&url) }).expect("a stream");
    let head = heads.recv().expect("a request");
    assert!(head.starts_with("GET /stream?x=1 HTTP/1.1\r\n") && head.contains("Basic a2I6YTpi"), "{head}");
    let (levels, why) = Eyes::new().until_lost(&mut source, &mut 0);
    assert_eq!(levels.len(), 2, "{levels:?}: {why}");
    assert!(levels[0].abs_diff(50) < 4 && levels[1].abs_diff(200) < 4, "{levels:?}");
    assert!(why.contains("nothing came for 0.4 s") && !why.contains("x=1"), "{why}");
    assert_eq!(source.missed().transport_errors, 1);
}

#[test]
fn a_server_that_hangs_up_is_asked_again_and_chunks_are_read() {
    let (url, _heads) = server(|number, stream| {
        let body = part(&jpeg(if number == 0 { 30 } else { 120 }));
        let head = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body, b"\r\n"].concat()).expect("it listens");
        thread::sleep(Duration::from_millis(100));
    });
    for level in [30, 120] {
        let mut source = MjpegSource::open(settings(&url)).expect("a stream");
        let (levels, why) = Eyes::new().until_lost(&mut source, &mut 0);
        assert!(matches!(levels[..], [found] if u8::abs_diff(found, level) < 4), "{levels:?}");
        assert!(why.contains("ended"), "{why}");
    }
}

#[test]
fn of_a_stream_that_is_faster_than_the_pipeline_the_newest_picture_is_taken() {
    let (url, _heads) = server(|_, stream| {
        let mut bytes = [HEAD.as_bytes(), b"\r\n"].concat();
        (0..10).for_each(|n| bytes.extend(part(&jpeg(20 * n))));
        stream.write_all(&bytes).expect("it listens");
        thread::sleep(Duration::from_millis(300));
    });
    let mut source = MjpegSource::open(settings(&url)).expect("a stream");
    thread::sleep(Duration::from_millis(200));
    let mut late = 0;
    let (levels, _) = Eyes::new().until_lost(&mut source, &mut late);
    assert!(matches!(levels[..], [newest] if newest.abs_diff(180) < 4), "{levels:?}");
    assert_eq!(late, 9, "and the others are counted");
}

#[test]
fn pictures_of_a_pause_are_neither_late_nor_handed_on() {
    let (url, _heads) = server(|_, stream| {
        let mut bytes = [HEAD.as_bytes(), b"\r\n"].concat();
        (0..5).for_each(|_| bytes.extend(part(&jpeg(40))));
        stream.write_all(&bytes).expect("it listens");
        // Longer than pictures stay fresh: the clock of the source is the machine's.
        thread::sleep(STALE_AFTER + Duration::from_millis(400));
        stream.write_all(&part(&jpeg(200))).expect("it listens");
        thread::sleep(Duration::from_millis(300));
    });
    let patience = Duration::from_secs(3);
    let mut source = MjpegSource::open(MjpegSettings { patience, ..settings(&url) }).expect("a stream");
    thread::sleep(STALE_AFTER + Duration::from_millis(200));
    let mut late = 0;
    let (levels, _) = Eyes::new().until_lost(&mut source, &mut late);
    assert!(matches!(levels[..], [fresh] if fresh.abs_diff(200) < 4), "{levels:?}");
    assert_eq!(late, 0, "nobody asked for them");
}

#[test]
fn what_is_no_stream_is_refused_with_what_would_be_right() {
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "X-Y: 0123456789\r\n".repeat(6000));
    for (answer, words) in [
        ("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n\r\n", "'password_file'"),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "expected multipart/x-mixed-replace"),
        (&*endless, "a head of more than 65536 bytes"),
    ] {
        let answer = answer.to_owned();
        // It may hang up before all of a head is sent.
        let (url, _heads) = server(move |_, stream| drop(stream.write_all(answer.as_bytes())));
        let error = MjpegSource::open(settings(&url)).err().expect("no stream").to_string();
        assert!(error.contains(words), "{error}");
    }
    let error = MjpegSource::open(settings("http://127.0.0.1:1/")).err().expect("nobody is there").to_string();
    assert!(error.contains("127.0.0.1:1 cannot be reached"), "{error}");
}

#[test]
fn a_stream_over_tls_needs_a_certificate_that_is_trusted() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new("openssl")
        .args(
            "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=cam -addext".split(' '),
        )
        .args(["subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .current_dir(folder.path())
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("SKIPPED: a stream over TLS needs openssl");
        return;
    }
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("a file");
    let (cert, key) = (read("cert.pem"), read("key.pem"));
    let chain = vec![CertificateDer::from_pem_slice(&cert).expect("a certificate")];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(&key).expect("a key"))
        .expect("a pair");
    let config = Arc::new(config);
    let listener = TcpListener::bind("localhost:0").expect("a port");
    let url = format!("https://localhost:{}/", listener.local_addr().expect("an address").port());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = rustls::ServerConnection::new(config.clone()).expect("a connection");
            let mut stream = rustls::StreamOwned::new(connection, stream);
            if request(&mut stream).is_empty() {
                continue;
            }
            let body = [HEAD.as_bytes(), b"\r\n", &part(&jpeg(70)), &part(&jpeg(80))[..40]].concat();
            let _ = stream.write_all(&body);
            thread::sleep(Duration::from_millis(200));
        }
    });
    let patient = MjpegSettings { patience: Duration::from_secs(5), ..settings(&url) };
    let error = MjpegSource::open(MjpegSettings { authority: None, ..patient.clone() }).err().map(|e| e.to_string());
    assert!(error.as_deref().is_some_and(|why| why.contains("'ca_file'")), "{error:?}");
    let mut source = MjpegSource::open(MjpegSettings { authority: Some(cert), ..patient }).expect("it is trusted");
    let (levels, _) = Eyes::new().until_lost(&mut source, &mut 0);
    assert!(matches!(levels[..], [found] if u8::abs_diff(found, 70) < 4), "{levels:?}");
}
