//! The engine against servers that work, fail, vanish and come back, over HTTP and gRPC.

#[path = "fake.rs"]
mod fake;

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use self::fake::{Does, FakeServer};
use super::*;

const PROTOCOLS: [Protocol; 2] = [Protocol::Http, Protocol::Grpc];
const SOON: Duration = Duration::from_secs(20);

fn tiny() -> ModelFolder {
    ModelFolder::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/models/tiny-detector")).unwrap()
}

fn open(servers: &[&FakeServer], in_flight: usize, timeout: f64) -> Result<KserveEngine, EngineError> {
    let addresses = servers.iter().map(|server| server.url().parse().unwrap()).collect();
    KserveEngine::open(addresses, &KserveConfig { in_flight, timeout, ..KserveConfig::default() })
}

fn session(engine: &KserveEngine) -> Box<dyn Session> {
    let model = tiny();
    engine.load(&model, &model.manifest.file[0]).unwrap()
}

/// Has the network run on a picture of that grey; answers the first value, which must be the grey.
fn ask(session: &mut dyn Session, grey: f32) -> Result<(), String> {
    let data = vec![grey; 16 * 24];
    let outputs = session.run(&[Input { name: "image", shape: &[1, 1, 16, 24], data: &data }]);
    let outputs = outputs.map_err(|error| error.to_string())?;
    assert_eq!((outputs[0].0.as_str(), &outputs[0].1.shape[..]), ("stride8", &[1, 30, 2, 3][..]));
    assert!(outputs[0].1.data.iter().all(|value| *value == grey), "the answer to another request");
    Ok(())
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < SOON, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
    began.elapsed()
}

#[test]
fn a_server_that_is_absent_or_not_ready_is_quoted() {
    for protocol in PROTOCOLS {
        let mut server = FakeServer::start(protocol, Duration::ZERO);
        server.does(Does::Start);
        let error = open(&[&server], 1, 5.0).err().expect("not ready").to_string();
        assert!(error.contains(&server.url()) && error.contains("inference"), "{error}");
        server.kill();
        let error = open(&[&server], 1, 5.0).err().expect("nobody there").to_string();
        assert!(error.contains(&server.url()), "{error}");
        // Another one suffices, and the first is no secret.
        let other = FakeServer::start(protocol, Duration::ZERO);
        let engine = open(&[&server, &other], 1, 5.0).unwrap();
        ask(&mut *session(&engine), 0.5).unwrap();
        let trouble = engine.trouble().expect("one is absent");
        assert!(trouble.starts_with("1 of 2 servers set aside: ") && trouble.contains(&server.url()), "{trouble}");
    }
}

#[test]
fn what_a_server_answers_wrongly_is_another_servers_work_or_an_error() {
    let wrong = [
        (Does::Fail, "out of memory"),
        (Does::OtherNetwork, "shape [1, 12, 2, 3], expected [1, 30, 2, 3]"),
        (Does::Nonsense, "no numbers"),
        (Does::CutOff, ""),
        (Does::Refuse, "unexpected shape"),
    ];
    for (protocol, (does, words)) in PROTOCOLS.iter().flat_map(|protocol| wrong.map(|wrong| (*protocol, wrong))) {
        let (bad, good) = (FakeServer::start(protocol, Duration::ZERO), FakeServer::start(protocol, Duration::ZERO));
        let alone = open(&[&bad], 1, 5.0).unwrap();
        let mut alone = session(&alone);
        bad.does(does);
        let error = ask(&mut *alone, 0.5).unwrap_err();
        assert!(error.contains(words) && error.contains(&bad.url()), "{does:?}: {error}");
        let engine = open(&[&bad, &good], 1, 5.0).unwrap();
        let mut both = session(&engine);
        let mut was_aside = false;
        for n in 0..8 {
            ask(&mut *both, n as f32).unwrap();
            was_aside |= engine.trouble().is_some_and(|trouble| trouble.contains(&bad.url()));
        }
        assert!(was_aside && good.answered() == 8, "{does:?}");
    }
}

#[test]
fn a_request_that_every_server_refuses_sets_none_aside() {
    for protocol in PROTOCOLS {
        let servers = [(); 2].map(|()| FakeServer::start(protocol, Duration::ZERO));
        let engine = open(&[&servers[0], &servers[1]], 1, 5.0).unwrap();
        let mut session = session(&engine);
        servers.iter().for_each(|server| server.does(Does::Refuse));
        let error = ask(&mut *session, 0.5).unwrap_err();
        assert!(servers.iter().all(|server| error.contains(&server.url())), "{error}");
        assert_eq!(engine.trouble(), None);
        servers.iter().for_each(|server| server.does(Does::Work));
        ask(&mut *session, 0.5).unwrap();
    }
}

#[test]
fn a_silent_server_is_given_up_after_its_time() {
    for protocol in PROTOCOLS {
        let (bad, good) = (FakeServer::start(protocol, Duration::ZERO), FakeServer::start(protocol, Duration::ZERO));
        let engine = open(&[&bad, &good], 1, 0.3).unwrap();
        let mut session = session(&engine);
        bad.does(Does::Hang);
        let began = Instant::now();
        for n in 0..8 {
            ask(&mut *session, n as f32).unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(3), "one time-out, not one for each request");
        assert_eq!(good.answered(), 8);
        bad.does(Does::Work);
        until("it is taken back", || engine.trouble().is_none());
    }
}

/// Ends the workers of a test that fails, too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn servers_that_are_killed_cost_no_request_and_are_taken_back() {
    for protocol in PROTOCOLS {
        let mut servers = [(); 2].map(|()| FakeServer::start(protocol, Duration::from_millis(5)));
        let engine = open(&[&servers[0], &servers[1]], 2, 5.0).unwrap();
        let (stop, done, slowest) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|worker| {
                    let mut session = session(&engine);
                    let (stop, done, slowest) = (&stop, &done, &slowest);
                    scope.spawn(move || {
                        while !stop.load(SeqCst) {
                            let began = Instant::now();
                            let n = done.fetch_add(1, SeqCst);
                            ask(&mut *session, (worker * 100_000 + n) as f32).expect("an answer");
                            slowest.fetch_max(began.elapsed().as_millis() as usize, SeqCst);
                        }
                    })
                })
                .collect();
            let stop = Stop(&stop);
            for victim in [0, 1, 0] {
                until("both work", || servers.iter().all(|server| server.answered() > 20));
                servers[victim].kill();
                let noticed = until("its end is noticed", || engine.trouble().is_some());
                let before = done.load(SeqCst);
                until("the other works on", || done.load(SeqCst) > before + 20);
                servers[victim].start_again();
                let back = until("it is taken back", || engine.trouble().is_none());
                println!("{protocol:?}: noticed after {noticed:?}, taken back after {back:?}");
                servers.iter().for_each(|server| server.record.answered.store(0, SeqCst));
            }
            drop(stop);
            workers.into_iter().for_each(|worker| worker.join().expect("every request was answered"));
        });
        println!("{protocol:?}: {done:?} requests, none lost, slowest {slowest:?} ms");
    }
}

#[test]
fn with_every_server_gone_the_error_comes_at_once_and_loading_again_takes_back_whoever_is_there() {
    for protocol in PROTOCOLS {
        let mut servers = [(); 2].map(|()| FakeServer::start(protocol, Duration::ZERO));
        let engine = open(&[&servers[0], &servers[1]], 1, 5.0).unwrap();
        let mut session = session(&engine);
        servers.iter_mut().for_each(FakeServer::kill);
        let began = Instant::now();
        for _ in 0..3 {
            let error = ask(&mut *session, 0.5).unwrap_err();
            assert!(servers.iter().all(|server| error.contains(&server.url())), "{error}");
        }
        let model = tiny();
        assert!(engine.load(&model, &model.manifest.file[0]).is_err());
        assert!(began.elapsed() < Duration::from_secs(3));
        servers[1].start_again();
        let mut session = engine.load(&model, &model.manifest.file[0]).expect("one is back");
        ask(&mut *session, 0.25).unwrap();
    }
}

/// Requests a second of so many workers over 0.5 s.
fn rate(servers: &[FakeServer], in_flight: usize, workers: usize) -> f64 {
    let engine = open(&servers.iter().collect::<Vec<_>>(), in_flight, 5.0).unwrap();
    let (began, done) = (Instant::now(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..workers {
            let mut session = session(&engine);
            let done = &done;
            scope.spawn(move || {
                while began.elapsed() < Duration::from_millis(500) {
                    ask(&mut *session, 0.5).unwrap();
                    done.fetch_add(1, SeqCst);
                }
            });
        }
    });
    done.load(SeqCst) as f64 / began.elapsed().as_secs_f64()
}

#[test]
fn two_servers_do_twice_as_much_and_none_has_more_than_its_bound() {
    for protocol in PROTOCOLS {
        let servers = || [(); 2].map(|()| FakeServer::start(protocol, Duration::from_millis(5)));
        let one = rate(&servers()[..1], 2, 8);
        let two = servers();
        let both = rate(&two, 2, 8);
        println!("{protocol:?}: 5 ms, 2 at once, 8 workers: {one:.0}/s with one server, {both:.0}/s with two");
        assert!(both > 1.3 * one, "{one} {both}");
        assert!(two.iter().all(|server| server.record.most.load(SeqCst) == 2));
        for (count, in_flight, workers) in [(1, 4, 4), (2, 4, 8), (2, 8, 16), (2, 16, 32)] {
            let rate = rate(&servers()[..count], in_flight, workers);
            println!("{protocol:?}: 5 ms, {count} servers, {in_flight} at once, {workers} workers: {rate:.0}/s");
        }
    }
}
