//! GenICam cameras: the fake GigE Vision camera of Aravis, over the network of this machine.

use std::{
    collections::BTreeMap,
    fs::File,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use domain::frame::{Bayer, DeviceClock, Frame, FrameFlags, FramePool, PixelView};
use metaphased::{
    camera::{
        Buffers, Capture, Source, SourceError,
        genicam::{GenicamSettings, GenicamSource, find, list},
    },
    config::ControlValue,
    shutdown::Shutdown,
};
use serde_json::Value;

use super::cameras::{Daemon, accepted, activity};

const SIZE: [u32; 2] = [200, 120];

/// The camera of Aravis as a process. It has one port, so tests take turns, also those of other processes.
struct Fake {
    process: Child,
    serial: &'static str,
    _turn: File,
}

impl Fake {
    /// None where it is not installed. `arguments` besides the address.
    fn start(serial: &'static str, arguments: &[&str]) -> Option<Self> {
        let turn = File::create(std::env::temp_dir().join("metaphased-fake-camera.lock")).expect("a lock");
        turn.lock().expect("a turn");
        match Self::process(serial, arguments) {
            Some(process) => Some(Self { process, serial, _turn: turn }),
            None => {
                eprintln!("SKIPPED: the camera of Aravis is not here: apt-get install aravis-tools");
                None
            }
        }
    }

    fn process(serial: &str, arguments: &[&str]) -> Option<Child> {
        let mut command = Command::new("arv-fake-gv-camera-0.8");
        command.args(["-i", "127.0.0.1", "-s", serial]).args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
    }

    fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    fn again(&mut self) {
        self.process = Self::process(self.serial, &[]).expect("it was here before");
    }

    fn settings(&self) -> GenicamSettings {
        GenicamSettings {
            name: "scope".into(),
            device: Some(self.serial.into()),
            format: None,
            size: Some(SIZE),
            rate_hz: None,
            controls: BTreeMap::new(),
            bayer: None,
            um_per_px: None,
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A camera and what it needs to be asked for frames.
struct Camera {
    source: GenicamSource,
    buffers: Buffers,
    _shutdown: Shutdown,
}

impl Camera {
    /// Opens it as soon as it is up.
    fn open(settings: &GenicamSettings) -> Self {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            match GenicamSource::open(settings.clone()) {
                Ok(source) => {
                    let shutdown = Shutdown::default();
                    let buffers = Buffers::new(FramePool::new(4), false, shutdown.receiver());
                    return Self { source, buffers, _shutdown: shutdown };
                }
                Err(SourceError::NotFound(_)) if Instant::now() < until => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn next(&mut self) -> Result<Capture, SourceError> {
        self.source.next(&self.buffers)
    }

    /// The next frame that is one.
    fn frame(&mut self) -> Frame {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            match self.next().expect("it goes on") {
                Capture::Frame(frame) if frame.info.flags == FrameFlags::default() => return frame,
                // A busy machine may lose packets.
                _ => assert!(Instant::now() < until, "no frame: {:?}", self.source.trouble()),
            }
        }
    }
}

fn text(words: &str) -> ControlValue {
    ControlValue::Text(words.into())
}

fn with<const N: usize>(settings: GenicamSettings, controls: [(&str, ControlValue); N]) -> GenicamSettings {
    GenicamSettings { controls: controls.map(|(name, value)| (name.to_owned(), value)).into(), ..settings }
}

/// The camera's own picture, a ramp that moves with the number of the frame.
fn ramp(number: u32) -> impl Iterator<Item = u16> {
    let at = move |i: u32| (i % SIZE[0] + i / SIZE[0] + number) % 255;
    (0..SIZE[0] * SIZE[1]).map(move |i| at(i) as u16)
}

/// Share of samples that are close to the one `step` after them.
fn share_of_close(row: &[u8], step: usize) -> f64 {
    let close = row.windows(step + 1).filter(|w| w[0].abs_diff(w[step]) <= 16).count();
    close as f64 / (row.len() - step) as f64
}

#[test]
fn frames_of_each_format_are_those_that_the_camera_draws() {
    let Some(fake) = Fake::start("GV1", &[]) else { return };
    let open =
        |format: Option<&str>| Camera::open(&GenicamSettings { format: format.map(Into::into), ..fake.settings() });
    let mut camera = open(Some("Mono8"));
    for _ in 0..3 {
        let frame = camera.frame();
        let number = frame.info.device_sequence.expect("it counts");
        let PixelView::Mono8(found) = frame.pixels.view() else { panic!("8 bits") };
        assert!(found.iter().map(|s| u16::from(*s)).eq(ramp(number)), "{number}: {:?}", &found[..8]);
        let time = frame.info.device_time.expect("it says it");
        assert_eq!(time.clock, DeviceClock::Device);
        assert!(jiff::Timestamp::now().duration_since(frame.info.time).abs().as_secs() < 2);
    }
    drop(camera);
    // The deepest grey, as none is asked for.
    let mut camera = open(None);
    let frame = camera.frame();
    let number = frame.info.device_sequence.expect("it counts");
    let PixelView::Mono16(found) = frame.pixels.view() else { panic!("16 bits") };
    // The camera fills the lower byte with all or nothing.
    assert!(found.iter().map(|s| s >> 8).eq(ramp(number)), "{number}: {:?}", &found[..8]);
    drop(camera);
    for (format, pattern) in
        [("BayerRG8", Bayer::Rggb), ("BayerGR8", Bayer::Grbg), ("BayerGB8", Bayer::Gbrg), ("BayerBG8", Bayer::Bggr)]
    {
        let mut camera = open(Some(format));
        assert_eq!(camera.source.bayer(), Some(pattern));
        let frame = camera.frame();
        let PixelView::Mono8(found) = frame.pixels.view() else { panic!("{format}") };
        // Samples of one colour are a ramp, those beside each other are of two.
        let row = &found[..SIZE[0] as usize];
        assert!(share_of_close(row, 2) > 0.9 && share_of_close(row, 1) < 0.5, "{format}: {row:?}");
    }
    let mut camera = open(Some("RGB8"));
    let frame = camera.frame();
    let PixelView::Rgb8(found) = frame.pixels.view() else { panic!("colours") };
    let row = &found[..3 * SIZE[0] as usize];
    assert!(share_of_close(row, 3) > 0.9 && share_of_close(row, 1) < 0.5, "{row:?}");
}

#[test]
fn settings_are_taken_as_they_are_and_reported_or_refused() {
    let Some(fake) = Fake::start("GV2", &[]) else { return };
    let whole = ControlValue::Whole;
    let wanted = with(
        GenicamSettings { format: Some("Mono8".into()), rate_hz: Some(50.0), ..fake.settings() },
        [
            ("ExposureTimeAbs", ControlValue::Number(2500.0)),
            ("GainAuto", text("Off")),
            ("GainRaw", whole(3)),
            ("OffsetX", whole(16)),
            ("OffsetY", whole(8)),
            ("GevSCPSPacketSize", whole(1200)),
        ],
    );
    let mut camera = Camera::open(&wanted);
    let device = camera.source.device().expect("it says what it took");
    for words in [
        "Aravis-Fake-GV2 (Aravis Fake): Mono8 200 x 120 at 50.0000 frames/s",
        "ExposureTimeAbs = 2500",
        "GainRaw = 3",
        "OffsetX = 16",
        "OffsetY = 8",
        "packets of 1200 bytes",
    ] {
        assert!(device.contains(words), "{device}");
    }
    // Brighter by its gain: what was set has an effect.
    let frame = camera.frame();
    let PixelView::Mono8(found) = frame.pixels.view() else { panic!("8 bits") };
    assert!(found.iter().filter(|s| **s == 255).count() > found.len() / 3, "{:?}", &found[..8]);
    let text_of = |error: SourceError| error.to_string();
    let busy = text_of(GenicamSource::open(fake.settings()).expect_err("in use"));
    assert!(busy.contains("another program controls it"), "{busy}");
    let listed = list().expect("Aravis is here");
    assert!(matches!(&listed[..], [(found, Err(_))] if found.serial == "GV2"), "{listed:?}");
    drop(camera);
    let refused = |settings: GenicamSettings| {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            match GenicamSource::open(settings.clone()) {
                Err(SourceError::NotFound(text)) if settings.device.as_deref() == Some("GV2") => {
                    assert!(Instant::now() < until, "{text}");
                }
                outcome => return text_of(outcome.expect_err("refused")),
            }
        }
    };
    let one = |name: &str, value| with(fake.settings(), [(name, value)]);
    for (settings, words) in [
        (
            GenicamSettings { format: Some("Mono12".into()), ..fake.settings() },
            "no format Mono12: set `format` to one of",
        ),
        (
            GenicamSettings { size: Some([4000, 100]), ..fake.settings() },
            "invalid value '4000' of Width: expected 1 to 2048",
        ),
        (one("Gian", whole(1)), "has no feature 'Gian'"),
        (one("GainRaw", whole(99)), "invalid value '99' of GainRaw: expected 0 to 10"),
        (one("GainRaw", text("high")), "invalid value 'high' of GainRaw: expected 0 to 10"),
        (one("ExposureTimeAbs", ControlValue::Number(1.0)), "of ExposureTimeAbs: expected 10 to 10000000"),
        (one("TriggerSource", text("Line7")), "expected \"Line0\", \"Software\""),
        (
            GenicamSettings { format: Some("RGB8".into()), bayer: Some(Bayer::Rggb), ..fake.settings() },
            "not raw samples",
        ),
        (
            GenicamSettings { device: Some("GV9".into()), ..fake.settings() },
            "no GenICam camera 'GV9' answers; those that do",
        ),
    ] {
        let text = refused(settings);
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(find(Some("127.0.0.1")).expect("by its address").serial, "GV2");
    let listed = list().expect("Aravis is here");
    let [(_, Ok(offer))] = &listed[..] else { panic!("{listed:?}") };
    assert!(offer.formats.contains(&("Mono16".into(), true)), "{offer:?}");
    assert!(offer.features.iter().any(|f| f.name == "ExposureTimeAbs" && f.takes.to_string() == "10 to 10000000"));
}

#[test]
fn a_software_trigger_is_fired_by_the_source_for_each_frame() {
    let Some(fake) = Fake::start("GV3", &[]) else { return };
    let controls = [("TriggerSelector", "FrameStart"), ("TriggerSource", "Software"), ("TriggerMode", "On")];
    let settings = with(fake.settings(), controls.map(|(name, value)| (name, text(value))));
    let mut camera = Camera::open(&GenicamSettings { format: Some("Mono8".into()), rate_hz: Some(10.0), ..settings });
    let device = camera.source.device().expect("it says it");
    assert!(device.contains("by software trigger"), "{device}");
    let first = camera.frame().info.device_sequence.expect("it counts");
    let numbers: Vec<u32> = (0..5).map(|_| camera.frame().info.device_sequence.expect("it counts")).collect();
    assert_eq!(numbers, (1..=5).map(|n| first + n).collect::<Vec<_>>(), "one for each trigger");
}

/// What came of a camera in some time.
#[derive(Debug, Default)]
struct Tally {
    frames: u64,
    partial: u64,
    bad: u64,
    superseded: u64,
    no_buffer: u64,
    first: Option<u32>,
    highest: Option<u32>,
}

impl Tally {
    fn add(&mut self, capture: Capture) {
        match capture {
            Capture::Frame(frame) => {
                *if frame.info.flags == FrameFlags::default() { &mut self.frames } else { &mut self.partial } += 1;
                assert!(!frame.info.flags.error);
                let number = frame.info.device_sequence;
                assert!(number.is_some() || frame.info.flags != FrameFlags::default(), "a whole one has its number");
                self.first = self.first.or(number);
                self.highest = self.highest.max(number);
            }
            // Counted from the first whose number is known.
            _ if self.first.is_none() => {}
            Capture::Bad(_) => self.bad += 1,
            Capture::Superseded => self.superseded += 1,
            Capture::NoBuffer => self.no_buffer += 1,
            _ => {}
        }
    }
}

/// `METAPHASED_TEST_FRAMES` of them; the camera's numbers have 16 bits and wrap after the first 136.
#[test]
fn frames_and_lost_packets_add_up() {
    let wanted: u64 = std::env::var("METAPHASED_TEST_FRAMES").map_or(300, |n| n.parse().expect("a number"));
    for lost in [false, true] {
        let arguments: &[&str] = if lost { &["-r", "20"] } else { &[] };
        let Some(fake) = Fake::start("GV4", arguments) else { return };
        let settings = GenicamSettings { format: Some("Mono8".into()), rate_hz: Some(200.0), ..fake.settings() };
        let mut camera = Camera::open(&settings);
        let mut tally = Tally::default();
        let mut missed = 0;
        while tally.frames + tally.partial + tally.superseded < if lost { 300 } else { wanted } {
            tally.add(camera.next().expect("it goes on"));
            missed += camera.source.missed().device_gaps;
        }
        // Up to one that tells how far the camera is: none that was superseded, nor one that is late.
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let before = tally.highest;
            let capture = camera.next().expect("it goes on");
            let is_frame = matches!(capture, Capture::Frame(_));
            tally.add(capture);
            if is_frame && tally.highest > before {
                break;
            }
            assert!(Instant::now() < until, "{tally:?}");
        }
        missed += camera.source.missed().device_gaps;
        let span = u64::from(tally.highest.expect("frames") - tally.first.expect("frames")) + 1;
        println!("genicam  lost packets {lost}: {tally:?}, {missed} missed, of {span} numbers");
        let known = tally.frames + tally.partial + tally.bad + tally.superseded + tally.no_buffer + missed;
        // Where packets are missing some frames still wait for theirs.
        assert!(known == span || lost && known.abs_diff(span) <= 6, "{known} known");
        assert_eq!((tally.bad, tally.no_buffer), (0, 0), "{tally:?}");
        assert!(!lost || tally.partial > 0, "{tally:?}");
    }
}

/// `METAPHASED_TEST_ROUNDS` times; the first time it is away for 10 s.
#[test]
fn the_daemon_reports_a_camera_that_is_gone_and_takes_it_back() {
    let rounds: usize = std::env::var("METAPHASED_TEST_ROUNDS").map_or(2, |n| n.parse().expect("a number"));
    let Some(mut fake) = Fake::start("GV5", &[]) else { return };
    let source = "kind = \"genicam\"\ndevice = \"GV5\"\nformat = \"Mono8\"\nsize = [200, 120]\nrate_hz = 25\n";
    let daemon = Daemon::start(source);
    let second = Duration::from_secs(1);
    daemon.until("frames", 60 * second, |source| accepted(source) > 10);
    println!("genicam  {}", daemon.source()["state"]["device"]);
    let (mut lost, mut back) = (Duration::ZERO, Duration::ZERO);
    for round in 0..rounds {
        fake.kill();
        lost = lost.max(daemon.until("lost", 20 * second, |source| source["state"]["level"] != "ok"));
        std::thread::sleep(if round == 0 { 10 * second } else { second / 2 });
        let before = accepted(&daemon.source());
        fake.again();
        let is_back = |source: &Value| source["state"]["level"] == "ok" && accepted(source) > before;
        back = back.max(daemon.until("back", 60 * second, is_back));
    }
    println!("genicam  gone {rounds} times: reported within {lost:.1?}, frames again within {back:.1?} of its return");
    assert_eq!(activity(&daemon.source()), "running");
    assert!(lost < 2 * second && back < 5 * second, "{lost:?} {back:?}");
}
