//! How many messages a second go through the durable outbox to a broker: commits in groups of 100 on one side, PUBACKs
//! at QoS 1 on the other. Called by scripts/bench-mqtt.

use std::{
    thread,
    time::{Duration, Instant},
};

use metaphased::{
    config::MqttConfig,
    mqtt::{BrokerSettings, MqttSession},
    station::{Birth, Health, command_channel},
    store::{FrameCommit, Message, Store, StoreOptions},
};

use crate::Outcome;

/// Measures and prints one JSON object.
pub fn run(port: u16, messages: u64, bytes: usize, read_back: bool) -> Outcome {
    let folder = std::env::temp_dir().join(format!("outbox_rate.{}", std::process::id()));
    let store = Store::open(&folder, StoreOptions { outbox_cap: u64::MAX, quota: None })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let config = MqttConfig { url: format!("mqtt://127.0.0.1:{port}"), ..MqttConfig::default() };
    let (commands, _inbox) = command_channel(1);
    let health = Health::new(Birth::default());
    let settings = BrokerSettings::new(&config, "bench", None)?;
    let mut session = MqttSession::start(runtime.handle(), settings, store.clone(), health, commands)?;
    if !session.wait_connected(Duration::from_secs(10)) {
        return Err("no broker".into());
    }

    let message =
        Message { topic: "cell".into(), payload: "x".repeat(bytes), retain: false, droppable: false, case: None };
    let started = Instant::now();
    let producer = thread::spawn({
        let store = store.clone();
        move || {
            let (mut left, mut longest) = (messages, Duration::ZERO);
            while left > 0 {
                let group = left.min(100);
                let frame = FrameCommit { messages: vec![message.clone(); group as usize], ..FrameCommit::default() };
                let began = Instant::now();
                store.commit(&[frame])?;
                longest = longest.max(began.elapsed());
                if read_back {
                    // What the store holds in memory is taken, so that the session finds it on the disk alone.
                    store.fresh_after(i64::MAX, 0);
                }
                left -= group;
            }
            Ok::<_, metaphased::store::StoreError>((started.elapsed(), longest))
        }
    });
    while session.acknowledged() < messages {
        thread::sleep(Duration::from_millis(1));
    }
    let seconds = started.elapsed().as_secs_f64();
    let (committed, longest) = producer.join().map_err(|_| "the producer panicked")??;
    let log = store.reader().log_counts();
    println!(
        "{{\"messages\": {messages}, \"bytes\": {bytes}, \"seconds\": {seconds:.3}, \"committed_in\": {:.3}, \
         \"longest_commit_ms\": {:.1}, \"log_copies\": {}, \"log_copies_by_commits\": {}, \"per_s\": {:.0}}}",
        committed.as_secs_f64(),
        longest.as_secs_f64() * 1e3,
        log.by_thread(),
        log.by_commit(),
        messages as f64 / seconds
    );
    session.stop(Duration::from_secs(2));
    drop(store);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
