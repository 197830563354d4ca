//! The page as a person sees it, in Chromium.
#![allow(clippy::unwrap_used, missing_docs)]

mod web_support;

use std::time::Duration;

use metaphased::{cell::Verdict, web::WebOptions};
use web_support::{PageServer, broker_is, drawing};

fn fields(scene: u64) -> drawing::Field {
    match scene % 5 {
        1 => drawing::field(scene, &["21".parse().unwrap()], Verdict::Abnormal),
        3 => drawing::empty(scene),
        4 => drawing::field(scene, &[], Verdict::NotAssessable),
        _ => drawing::field(scene, &[], Verdict::Normal),
    }
}

/// Not a test: keeps a page open for looking at it. `cargo test --test web_page -- --ignored look --nocapture`
#[test]
#[ignore = "runs until it is killed; for looking at the page"]
fn look() {
    let listen = std::env::var("LISTEN").unwrap_or("127.0.0.1:8099".into()).parse().unwrap();
    let mut server = PageServer::start_with(WebOptions { listen: Some(listen), ..WebOptions::default() });
    server.play(Duration::from_secs(4), fields);
    eprintln!("{}", server.url());
    let mut lost = false;
    loop {
        std::thread::sleep(Duration::from_millis(300));
        if std::path::Path::new("/tmp/broker-lost").exists() != lost {
            lost = !lost;
            broker_is(&server.health, !lost);
        }
    }
}
