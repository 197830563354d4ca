//! What programs meet over HTTP: who is let in, what errors look like, pages of cells, events, metrics, commands.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::web_support::{PageServer, drawing, get, plain_cell, post, request, wait_until};
use domain::{AberrationCounts, DicentricRecord, Exclusion, ScoredBy, Verdict};
use metaphased::{
    station::{Level, RejectReason},
    web::{EventKind, LiveBoxes, LiveFrame, WebError, WebOptions, bind},
};
use serde_json::json;

const TOKEN: &str = "a token of twenty-odd characters";

fn with_token() -> PageServer {
    PageServer::start_with(WebOptions {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        token: Some(TOKEN.into()),
        hosts: vec!["scope.lab".into()],
        ..WebOptions::default()
    })
}

fn commit_plain(server: &PageServer, numbers: std::ops::Range<u64>, case: Option<&str>) {
    use metaphased::store::{CellCommit, FrameCommit};
    for number in numbers {
        let cell = CellCommit { cell: plain_cell(number, case), crops: vec![], thumbnail: None, image: None };
        server.store.commit(&[FrameCommit { cells: vec![cell], ..FrameCommit::default() }]).unwrap();
    }
}

#[test]
fn the_page_and_its_files_come_with_headers_that_keep_it_to_itself() {
    let server = PageServer::start();
    let page = get(&server, "/");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options").unwrap(), "nosniff");
    // With no-referrer a browser sends `Origin: null` with the form for the token, which is then refused.
    assert_eq!(page.header("referrer-policy").unwrap(), "same-origin");
    // No external asset, no inline script, and everything the page names is there.
    let text = page.text();
    assert!(!text.contains("https://") && !text.contains("<script>"), "{text}");
    for piece in text.split(['"', '\'']).filter(|piece| piece.starts_with("assets/")) {
        assert_eq!(get(&server, &format!("/{piece}")).status, 200, "{piece}");
    }
}

#[test]
fn a_rebound_name_is_refused_everywhere() {
    let server = PageServer::start();
    for path in ["/", "/api/v1/status", "/metrics", "/livez"] {
        let answer = request(server.address, "GET", path, "evil.example", &[], "");
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(answer.header("content-type").unwrap(), "application/problem+json");
        assert!(answer.json()["detail"].as_str().unwrap().contains("evil.example"));
    }
}

#[test]
fn a_post_from_another_site_is_refused() {
    let server = PageServer::start();
    let host = server.address.to_string();
    let body = r#"{"trigger": "t1"}"#;
    let status = |origin: &[&str]| {
        let mut lines = vec!["Content-Type: application/json"];
        lines.extend(origin);
        request(server.address, "POST", "/api/v1/trigger", &host, &lines, body).status
    };
    assert_eq!(status(&["Origin: http://evil.example"]), 403);
    assert_eq!(status(&["Origin: null"]), 403);
    assert_eq!(status(&[&format!("Origin: http://{host}")]), 202);
    assert_eq!(status(&[]), 202, "a program on this machine");
}

#[test]
fn with_a_token_nothing_but_the_probes_answers_without_it() {
    let server = with_token();
    let host = server.address.to_string();
    let ask = |path: &str, lines: &[&str]| request(server.address, "GET", path, &host, lines, "");
    for path in
        ["/api/v1/status", "/api/v1/cells", "/api/v1/events", "/api/v1/openapi.json", "/metrics", "/assets/app.js"]
    {
        let answer = ask(path, &[]);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.json()["status"], 401);
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
    }
    assert_eq!(ask("/livez", &[]).status, 200);
    assert_eq!(ask("/readyz", &[]).status, 200);
    assert_eq!(ask("/api/v1/status", &[&format!("Authorization: Bearer {TOKEN}")]).status, 200);
    assert_eq!(ask("/api/v1/status", &["Authorization: Bearer something else"]).status, 401);
    assert_eq!(
        request(server.address, "GET", "/livez", "scope.lab:8080", &[], "").status,
        200,
        "a name from web.hosts"
    );
}

#[test]
fn a_browser_comes_in_by_the_form_or_by_a_link_and_keeps_a_cookie_that_is_not_the_token() {
    let server = with_token();
    let host = server.address.to_string();
    let form = request(server.address, "GET", "/", &host, &[], "");
    assert_eq!(form.status, 401);
    assert!(form.text().contains("<form method=\"post\" action=\"login\""));
    let send = |token: &str| {
        let lines = ["Content-Type: application/x-www-form-urlencoded", &format!("Origin: http://{host}")];
        request(server.address, "POST", "/login", &host, &lines, &format!("token={}", token.replace(' ', "+")))
    };
    let wrong = send("wrong");
    assert_eq!(wrong.status, 401);
    assert!(wrong.header("set-cookie").is_none());
    let entered = send(TOKEN);
    assert_eq!((entered.status, entered.header("location").as_deref()), (303, Some("./")));
    let cookie = entered.header("set-cookie").unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("twenty"),
        "{cookie}"
    );
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    assert_eq!(request(server.address, "GET", "/api/v1/status", &host, &[&cookie], "").status, 200);

    let link = request(server.address, "GET", &format!("/?token={}", TOKEN.replace(' ', "%20")), &host, &[], "");
    assert_eq!((link.status, link.header("location").as_deref()), (303, Some("./")), "the token leaves the address");
    assert!(link.header("set-cookie").is_some());
}

#[test]
fn beyond_loopback_a_token_is_a_must_and_a_taken_port_is_told() {
    let open = WebOptions { listen: Some("0.0.0.0:0".parse().unwrap()), ..WebOptions::default() };
    assert!(matches!(bind(open), Err(WebError::Open(_))));

    let first = bind(WebOptions { listen: Some("127.0.0.1:0".parse().unwrap()), ..WebOptions::default() }).unwrap();
    let taken = WebOptions { listen: Some(first.address()), ..WebOptions::default() };
    let error = bind(taken).unwrap_err();
    assert!(matches!(error, WebError::Taken { .. }) && error.to_string().contains("web.listen"), "{error}");
}

#[test]
fn a_taken_default_port_gives_the_next_free_one() {
    let first = bind(WebOptions::default()).unwrap();
    let second = bind(WebOptions::default()).unwrap();
    assert!(second.address().port() > first.address().port());
    assert!(first.address().ip().is_loopback() && second.address().ip().is_loopback());
}

#[test]
fn every_error_is_a_problem_that_says_what_would_be_right() {
    let server = PageServer::start();
    let id = plain_cell(1, None).cell;
    let cases = [
        ("GET", "/api/v1/nothing".to_owned(), 404),
        ("GET", format!("/api/v1/cells/{id}"), 404),
        ("GET", "/api/v1/cells/no-uuid".to_owned(), 400),
        ("GET", "/api/v1/cells?limit=0".to_owned(), 400),
        ("GET", "/api/v1/cells?verdict=odd".to_owned(), 400),
        ("GET", "/api/v1/cells?scoring=odd".to_owned(), 400),
        ("GET", "/api/v1/cells?no_such_filter=1".to_owned(), 400),
        ("GET", "/api/v1/cells?after=nonsense".to_owned(), 400),
        ("GET", "/api/v1/cases/none".to_owned(), 404),
        ("GET", "/api/v1/sources/other/frame.jpg".to_owned(), 404),
        ("GET", "/api/v1/events?live=other".to_owned(), 404),
        ("DELETE", "/api/v1/cells".to_owned(), 405),
    ];
    for (method, path, status) in cases {
        let answer = request(server.address, method, &path, &server.address.to_string(), &[], "");
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type").unwrap(), "application/problem+json", "{path}");
        let problem = answer.json();
        assert_eq!(problem["status"], status);
        assert!(
            !problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty(),
            "{path}"
        );
    }
    let broken = request(
        server.address,
        "POST",
        "/api/v1/trigger",
        &server.address.to_string(),
        &["Content-Type: application/json"],
        "{",
    );
    assert_eq!((broken.status, broken.json()["status"].as_u64()), (400, Some(400)));
}

#[test]
fn cells_of_the_dicentric_assay_are_listed_by_what_the_dose_makes_of_them() {
    use metaphased::store::{CellCommit, FrameCommit};
    let server = PageServer::start();
    let counts = |monocentrics, dicentrics, unclear| AberrationCounts {
        monocentrics,
        dicentrics,
        unclear,
        ..AberrationCounts::default()
    };
    let record = |counts: AberrationCounts, by| counts.record([46, 46], None, by);
    let machine = ScoredBy::Machine;
    let not_selected = |record: DicentricRecord| DicentricRecord { not_selected: Some("51 pieces".into()), ..record };
    let not_scored = |record: DicentricRecord| DicentricRecord { not_scored: Some("no outlines".into()), ..record };
    // Of each: with dicentrics, to review, not counted.
    let cells = [
        (Some(record(counts(46, 0, 0), machine)), false, "---"),
        (Some(record(counts(44, 1, 0), machine)), false, "dr-"),
        (Some(record(counts(44, 1, 0), ScoredBy::Review)), false, "d--"),
        (Some(record(counts(44, 0, 2), machine)), false, "-rn"),
        (Some(record(counts(43, 1, 0), ScoredBy::Review)), false, "d-n"),
        (Some(record(counts(40, 0, 0), machine)), false, "--n"),
        (Some(not_scored(record(counts(0, 0, 0), machine))), false, "-rn"),
        (Some(not_selected(record(counts(44, 1, 0), machine))), false, "d-n"),
        (Some(record(counts(44, 1, 0), machine)), true, "d-n"),
        (None, false, "---"),
    ];
    for (number, (record, excluded, _)) in (0..).zip(&cells) {
        let mut cell = plain_cell(number, Some("E-1"));
        cell.dicentric.clone_from(record);
        cell.excluded = excluded.then(|| Exclusion {
            by: "K. Berg".into(),
            time: "2026-11-30T08:00:00Z".into(),
            reason: "two cells".into(),
        });
        let cell = CellCommit { cell, crops: vec![], thumbnail: None, image: None };
        server.store.commit(&[FrameCommit { cells: vec![cell], ..FrameCommit::default() }]).unwrap();
    }
    let listed = |query: &str| -> Vec<String> {
        let answer = get(&server, &format!("/api/v1/cells?{query}")).json();
        answer["cells"].as_array().unwrap().iter().map(|cell| cell["cell"].as_str().unwrap().to_owned()).collect()
    };
    for (letter, scoring) in [('d', "dicentrics"), ('r', "to_review"), ('n', "not_counted")] {
        let expected: Vec<String> = (0..)
            .zip(&cells)
            .filter(|(_, (_, _, lists))| lists.contains(letter))
            .map(|(number, _)| plain_cell(number, None).cell.to_string())
            .collect();
        assert_eq!(listed(&format!("scoring={scoring}&order=oldest")), expected, "{scoring}");
        assert_eq!(listed(&format!("scoring={scoring}&case=E-1&order=oldest")), expected, "{scoring} of a case");
        let newest = listed(&format!("scoring={scoring}&limit=1"));
        assert_eq!(newest, expected[expected.len() - 1..], "{scoring}");
        let mut doubtful = listed(&format!("scoring={scoring}&order=doubt"));
        doubtful.sort();
        assert_eq!(doubtful, expected, "{scoring} by doubt");
        assert!(listed(&format!("scoring={scoring}&case=E-2")).is_empty());
    }
}

#[test]
fn pages_of_cells_come_newest_first_and_miss_none() {
    let server = PageServer::start();
    commit_plain(&server, 0..25, None);
    commit_plain(&server, 25..30, Some("case 7/ä"));
    let mut seen = Vec::new();
    let mut path = "/api/v1/cells?limit=7".to_owned();
    loop {
        let page = get(&server, &path).json();
        let cells = page["cells"].as_array().unwrap();
        seen.extend(cells.iter().map(|cell| cell["captured"]["frame"].as_u64().unwrap()));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/cells?limit=7&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..30).rev().collect::<Vec<_>>());

    let of_case = get(&server, "/api/v1/cells?case=case%207%2F%C3%A4").json();
    assert_eq!(of_case["cells"].as_array().unwrap().len(), 5);
    assert!(of_case["next"].is_null());
    let after = plain_cell(27, None).cell;
    let oldest = get(&server, &format!("/api/v1/cells?order=oldest&after={after}")).json();
    assert_eq!(oldest["cells"].as_array().unwrap().len(), 2, "what came after a known cell");
    let case = get(&server, "/api/v1/cases/case%207%2F%C3%A4").json();
    assert_eq!(case["stored_cells"], 5);
    let report = get(&server, "/api/v1/cases/case%207%2F%C3%A4/report.html");
    assert!(report.status == 200 && report.text().contains("46,XX"));
}

#[test]
fn cells_are_ranked_over_the_whole_store_page_by_page() {
    let server = PageServer::start();
    for (number, (case, focus, posterior)) in
        [("a", 0.2, 0.9), ("b", 0.9, 0.5), ("a", 0.5, 0.7), ("b", 0.7, 0.99)].into_iter().enumerate()
    {
        let mut cell = plain_cell(number as u64, Some(case));
        (cell.quality.focus, cell.karyotype.posterior) = (focus, Some(posterior));
        let cell = metaphased::store::CellCommit { cell, crops: vec![], thumbnail: None, image: None };
        let commit = metaphased::store::FrameCommit { cells: vec![cell], ..Default::default() };
        server.store.commit(&[commit]).unwrap();
    }
    let ranked = |order: &str| {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = get(&server, &format!("/api/v1/cells?order={order}&limit=3{after}")).json();
            found.extend(
                page["cells"].as_array().unwrap().iter().map(|cell| cell["quality"]["focus"].as_f64().unwrap()),
            );
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return found.iter().map(|focus| (focus * 10.0).round() as u32).collect::<Vec<_>>(),
            }
        }
    };
    assert_eq!(ranked("quality"), [9, 7, 5, 2]);
    assert_eq!(ranked("doubt"), [9, 5, 2, 7]);
    assert_eq!(ranked("doubt&case=a"), [5, 2]);
}

#[test]
fn corrections_of_a_case_are_counted_from_the_machines_records() {
    let server = PageServer::start();
    commit_plain(&server, 1..3, Some("K-1"));
    assert_eq!(get(&server, "/api/v1/cases/K-9/corrections").status, 404);
    let untouched = json!({ "cells": 0, "corrections": 0, "untouched": 0, "mean": null });
    assert_eq!(get(&server, "/api/v1/cases/K-1/corrections").json(), untouched);
    let cells = get(&server, "/api/v1/cells?case=K-1&order=oldest").json()["cells"].clone();
    let [first, second] = [0, 1].map(|at| format!("/api/v1/cells/{}/review", cells[at]["cell"].as_str().unwrap()));
    let other =
        cells[0]["chromosomes"].as_array().unwrap().iter().find(|c| c["class"] != cells[0]["chromosomes"][0]["class"]);
    let change =
        json!({ "action": "class", "index": cells[0]["chromosomes"][0]["index"], "class": other.unwrap()["class"] });
    for (path, change) in
        [(&first, change), (&first, json!({ "action": "confirm" })), (&second, json!({ "action": "confirm" }))]
    {
        let answer = post(&server, path, &json!({ "by": "K. Berg", "change": change }));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let found = json!({ "cells": 2, "corrections": 1, "untouched": 1, "mean": 0.5 });
    let metrics = get(&server, "/metrics").text();
    for line in ["metaphased_cells_reviewed_total 2", "metaphased_corrections_total 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    assert_eq!(get(&server, "/api/v1/cases/K-1/corrections").json(), found);
    assert!(
        get(&server, "/api/v1/cases/K-1/report.html")
            .text()
            .contains("boxes added and deleted, classes changed): 1 (0.50")
    );
}

#[test]
fn a_cell_has_its_pictures() {
    let server = PageServer::start();
    let field = drawing::field(3, &["21".parse().unwrap()], Verdict::Abnormal);
    server.commit(&field);
    let base = format!("/api/v1/cells/{}", field.cell.cell);
    assert_eq!(get(&server, &base).json()["karyotype"]["iscn"], "47,XX,+21");
    let thumbnail = get(&server, &format!("{base}/thumbnail.jpg"));
    assert_eq!(thumbnail.header("content-type").unwrap(), "image/jpeg");
    let crop = get(&server, &format!("{base}/chromosomes/5.png"));
    assert_eq!(crop.header("content-type").unwrap(), "image/png");
    assert_eq!(get(&server, &format!("{base}/chromosomes/99.png")).status, 404);

    let karyogram = get(&server, &format!("{base}/karyogram.svg"));
    assert_eq!(karyogram.header("content-type").unwrap(), "image/svg+xml");
    assert_eq!(karyogram.text().matches("data-index").count(), 47, "every chromosome stands in it");

    // The frame was not kept: its chromosomes are put back where they lay.
    let composed = get(&server, &format!("{base}/image.png"));
    assert_eq!(composed.header("metaphased-picture").unwrap(), "composed");
    let picture = image::load_from_memory(&composed.body).unwrap().into_luma8();
    assert_eq!(picture.dimensions(), field.image.dimensions());
    for chromosome in &field.cell.chromosomes {
        let centre = chromosome.bounds;
        let (x, y) = ((centre.x + centre.width / 2.0) as u32, (centre.y + centre.height / 2.0) as u32);
        let (found, drawn) = (picture.get_pixel(x, y).0[0], field.image.get_pixel(x, y).0[0]);
        assert!(found.abs_diff(drawn) < 60, "box {}: {found} for {drawn}", chromosome.index);
    }
}

#[test]
fn a_correction_is_stored_and_a_late_one_is_refused() {
    let server = PageServer::start();
    let field = drawing::field(4, &[], Verdict::Normal);
    server.commit(&field);
    let path = format!("/api/v1/cells/{}/review", field.cell.cell);
    let body = json!({ "by": "K. Berg", "revision": 1, "change": { "action": "class", "index": 0, "class": "X" } });
    assert_eq!(post(&server, &path, &body).status, 200);
    let cell = get(&server, &format!("/api/v1/cells/{}", field.cell.cell)).json();
    assert_eq!((&cell["revision"], &cell["review"]["by"]), (&json!(2), &json!("K. Berg")));
    assert_eq!(cell["chromosomes"][0]["class"], "X");
    let late = post(&server, &path, &body);
    assert_eq!(late.status, 409);
    assert!(late.json()["detail"].as_str().unwrap().contains("revision 2"));
    let nobody = json!({ "by": " ", "change": { "action": "confirm" } });
    assert_eq!(post(&server, &path, &nobody).status, 400);
}

#[test]
fn commands_are_handed_to_the_daemon_by_name() {
    let server = PageServer::start();
    assert_eq!(post(&server, "/api/v1/commands/case", &json!({ "case": "c-9", "slide": null })).status, 200);
    assert_eq!(get(&server, "/api/v1/status").json()["state"]["case"], "c-9");
    assert_eq!(post(&server, "/api/v1/commands/dance", &json!({})).status, 400);
    assert_eq!(post(&server, "/api/v1/trigger", &json!({ "trigger": "t", "source": "nowhere" })).status, 404);
    assert_eq!(post(&server, "/api/v1/sources/scope/frames", &json!({})).status, 409, "it takes its frames itself");
}

/// Reads events until one of the kind comes; gives its data.
fn event(stream: &mut BufReader<TcpStream>, kind: &str) -> serde_json::Value {
    let mut current = String::new();
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended before '{kind}'");
        if let Some(name) = line.strip_prefix("event: ") {
            current = name.trim().to_owned();
        } else if let Some(data) = line.strip_prefix("data: ")
            && current == kind
        {
            return serde_json::from_str(data).unwrap();
        }
    }
}

fn listen(address: SocketAddr, path: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    BufReader::new(stream)
}

#[test]
fn events_bring_the_state_first_then_cells_and_changes() {
    let server = PageServer::start();
    let mut stream = listen(server.address, "/api/v1/events");
    assert_eq!(event(&mut stream, "state")["level"], "ok");
    server.commit(&drawing::field(5, &[], Verdict::Normal));
    assert_eq!(event(&mut stream, "cell")["karyotype"]["iscn"], "46,XX");
    crate::web_support::broker_is(&server.health, false);
    let state = event(&mut stream, "state");
    assert_eq!((&state["level"], &state["broker"]["connected"]), (&json!("degraded"), &json!(false)));
}

#[test]
fn nothing_is_prepared_until_someone_watches_and_the_watch_ends_with_the_listener() {
    let server = PageServer::start();
    assert!(!server.hub.watchers("scope"));
    let quiet = listen(server.address, "/api/v1/events");
    let mut stream = listen(server.address, "/api/v1/events?live=scope");
    event(&mut stream, "state");
    wait_until("the watch begins", Duration::from_secs(5), || server.hub.watchers("scope"));

    let mut field = drawing::field(6, &[], Verdict::Normal);
    field.cell.captured.frame = 17;
    let mut info = domain::frame::FrameInfo::of_tool("scope");
    info.id = domain::frame::FrameId(17);
    server.hub.show(LiveFrame::of(&info, &field.pixels(), field.cell.quality, Some(3)).unwrap());
    let frame = event(&mut stream, "frame");
    assert_eq!((&frame["frame"], &frame["size"]), (&json!(17), &json!([1360, 1024])));
    let jpeg = get(&server, "/api/v1/sources/scope/frame.jpg?frame=17");
    assert_eq!(jpeg.header("content-type").unwrap(), "image/jpeg");
    assert_eq!(image::load_from_memory(&jpeg.body).unwrap().width(), 1360);
    assert_eq!(get(&server, "/api/v1/sources/scope/frame.jpg?frame=1").status, 404);
    server.hub.boxes(&LiveBoxes::of(&field.cell, Some(3)));
    let boxes = event(&mut stream, "boxes");
    assert_eq!(boxes["boxes"].as_array().unwrap().len(), 46);
    assert_eq!(boxes["note"]["frame"], 17, "the page can go back to the frame");

    drop(stream);
    wait_until("the watch ends", Duration::from_secs(20), || {
        // A closed connection shows when something is written to it.
        server.hub.publish(EventKind::Stats, &json!({}));
        !server.hub.watchers("scope")
    });
    drop(quiet);
}

#[test]
fn the_metrics_hold_the_counting_equation() {
    let server = PageServer::start();
    let ledger = server.health.ledgers().remove("scope").unwrap();
    let under_way = ledger.accept();
    ledger.accept().stored();
    ledger.accept().merged();
    ledger.accept().rejected(RejectReason::Unreadable);
    ledger.accept().rejected(RejectReason::NoMetaphase);
    let answer = get(&server, "/metrics");
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = answer.text();
    let sum = |name: &str| -> f64 {
        text.lines()
            .filter(|line| line.starts_with(&format!("{name}{{")))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    };
    let parts = [
        "frames_stored_total",
        "frames_rejected_total",
        "frames_merged_total",
        "frames_dropped_total",
        "frames_in_flight",
    ];
    let parts: f64 = parts.iter().map(|name| sum(&format!("metaphased_{name}"))).sum();
    assert_eq!(sum("metaphased_frames_accepted_total"), 5.0, "{text}");
    assert_eq!(parts, 5.0, "{text}");
    assert!(text.ends_with("# EOF\n"));
    drop(under_way);
}

#[test]
fn readiness_follows_the_health() {
    let server = PageServer::start();
    assert_eq!(get(&server, "/readyz").status, 200);
    server.health.store(|store| {
        store.level = Level::Failed;
        store.reason = "the disk is full: free some space".into();
    });
    let answer = get(&server, "/readyz");
    assert_eq!(answer.status, 503);
    assert!(answer.json()["detail"].as_str().unwrap().contains("free some space"));
    assert_eq!(get(&server, "/livez").status, 200, "it lives all the same");
}

#[test]
fn a_listener_who_stays_does_not_hold_the_daemon_when_it_stops() {
    let server = PageServer::start();
    let mut stream = listen(server.address, "/api/v1/events?live=scope");
    event(&mut stream, "state");
    let began = Instant::now();
    drop(server);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn every_operation_of_the_description_is_answered() {
    let server = PageServer::start();
    let description = get(&server, "/api/v1/openapi.json").json();
    let mut operations = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        // With a source that does not exist, so that the events end.
        let address = path.replace("{index}", "1").replace("{id}", "nothing").replace("{name}", "nothing");
        let address = format!("{address}?live=nothing");
        for method in methods.as_object().unwrap().keys() {
            let answer =
                request(server.address, &method.to_uppercase(), &address, &server.address.to_string(), &[], "");
            operations += 1;
            let detail = match answer.status {
                404 => answer.text(),
                status => format!("status {status}"),
            };
            assert!(answer.status != 405 && !detail.contains("There is nothing at this address"), "{method} {path}");
        }
    }
    assert!(operations > 15, "{operations}");
}

#[test]
fn a_half_request_is_ended_and_does_not_keep_others_out() {
    use std::io::Read;
    let server = PageServer::start();
    // More than may be connected at once.
    let connections: Vec<_> = (0..300)
        .map(|number| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            // Some have begun a request, some only came.
            if number % 2 == 0 {
                write!(stream, "GET / HTTP/1.1\r\nHost: {}\r\nX-Slow:", server.address).unwrap();
            }
            stream
        })
        .collect();
    let began = Instant::now();
    assert_eq!(get(&server, "/livez").status, 200);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    for mut stream in connections.into_iter().take(256) {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        // Its end, with or without an answer (408), or a reset.
        assert!(!stream.read_to_end(&mut Vec::new()).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock));
    }
}

fn raw(address: SocketAddr, text: &str) -> String {
    use std::io::Read;
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn probes_answer_without_a_host_and_other_routes_do_not() {
    let server = PageServer::start();
    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = raw(server.address, &format!("GET {path} HTTP/1.0\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.0 200"), "{path}: {answer}");
    }
    let answer = raw(server.address, "GET /api/v1/status HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 400") && answer.contains("Host header"), "{answer}");
}

#[test]
fn a_refusal_names_the_header_and_what_to_set() {
    let server = PageServer::start();
    let host = server.address.to_string();
    let answer = request(server.address, "GET", "/", "scope.lab:8443", &[], "");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("'scope.lab' of the Host header") && detail.contains("web.public_url"), "{detail}");
    let lines = ["Content-Type: application/json", "Origin: https://scope.lab:8443"];
    let answer = request(server.address, "POST", "/api/v1/trigger", &host, &lines, "{}");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("The Origin header 'https://scope.lab:8443'"), "{detail}");
    assert!(detail.contains(&host) && detail.contains("web.public_url"), "{detail}");
}

#[test]
fn metrics_are_plain_text_where_only_that_is_asked_for() {
    let server = PageServer::start();
    let host = server.address.to_string();
    let ask = |accept: &str| request(server.address, "GET", "/metrics", &host, &[&format!("Accept: {accept}")], "");
    let plain = ask("text/plain");
    assert_eq!(plain.header("content-type").unwrap(), "text/plain; version=0.0.4; charset=utf-8");
    assert!(plain.text().contains("# TYPE metaphased_cells_stored_total counter\n") && !plain.text().contains("# EOF"));
    let open = ask("application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text"));
}

#[test]
fn events_are_not_to_be_gathered_by_a_proxy() {
    let server = PageServer::start();
    let mut stream = TcpStream::connect(server.address).unwrap();
    write!(stream, "GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).unwrap();
    let head: Vec<String> =
        BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    assert!(head.iter().any(|line| line.eq_ignore_ascii_case("x-accel-buffering: no")), "{head:?}");
}

#[test]
fn wrong_tokens_are_counted_and_limited_as_header_cookie_and_form() {
    let server = with_token();
    let host = server.address.to_string();
    let ask = |line: &str| request(server.address, "GET", "/api/v1/status", &host, &[line], "").status;
    let guesses: Vec<String> = (0..12)
        .map(
            |n| if n % 2 == 0 { format!("Authorization: Bearer guess {n}") } else { format!("Cookie: metaphased={n}") },
        )
        .collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asked: Vec<_> = guesses.iter().map(|guess| scope.spawn(|| ask(guess))).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 2, "{statuses:?}");
    let lines = ["Content-Type: application/x-www-form-urlencoded", &format!("Origin: http://{host}")];
    let form = request(server.address, "POST", "/login", &host, &lines, "token=guess");
    assert_eq!((form.status, form.header("retry-after").as_deref()), (429, Some("3")));
    // Three seconds later one more guess is looked at.
    let right = format!("Authorization: Bearer {TOKEN}");
    wait_until("one more guess", Duration::from_secs(10), || ask(&right) == 200);
    let metrics = request(server.address, "GET", "/metrics", &host, &[&format!("Authorization: Bearer {TOKEN}")], "");
    assert!(metrics.text().contains("metaphased_wrong_tokens_total 10"), "{}", metrics.text());
}

#[test]
fn names_are_bounded_over_http() {
    let server = PageServer::start();
    for body in [json!({ "by": "x".repeat(10_000) }), json!({ "by": "a\u{0}b" }), json!({ "by": " " })] {
        let answer = post(&server, "/api/v1/cases/K-1/close", &body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains("`by`"));
    }
    let answer = post(&server, "/api/v1/trigger", &json!({ "trigger": "a\nb" }));
    assert_eq!(answer.status, 400, "{}", answer.text());
    let answer = post(&server, "/api/v1/commands/case", &json!({ "name": "stop" }));
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[test]
fn a_case_that_takes_cells_is_there_before_its_first_one() {
    let server = PageServer::start();
    assert_eq!(get(&server, "/api/v1/cases/K-9").status, 404);
    server.health.set_case(Some("K-9".into()), None);
    let case = get(&server, "/api/v1/cases/K-9");
    assert_eq!(case.status, 200, "{}", case.text());
    assert_eq!(
        case.json(),
        json!({ "case": "K-9", "opened": null, "closed": null, "stored_cells": 0, "state": null, "dose": null })
    );
    assert_eq!(get(&server, "/api/v1/cases/K-8").status, 404);
}
