//! Redrawing chromosomes, notes, the audit of a cell, lists: over HTTP, with the real records behind.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{path::Path, time::Instant};

use crate::web_support::{PageServer, drawing};
use domain::{Cell, FoundBy, Stain, Verdict};
use metaphased::records::ClassScorer;
use metaphased::store::{CellCommit, FileMark, FileOutcome, FrameCommit, Latest};
use recognition::inference::{EngineName, InferenceConfig, ModelLibrary, choose};
use serde_json::{Value, json};

fn get(server: &PageServer, path: &str) -> Value {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    agent.get(format!("{}/api/v1/{path}", server.url())).call().unwrap().body_mut().read_json().unwrap()
}

fn change(server: &PageServer, cell: &Cell, change: Value) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let url = format!("{}/api/v1/cells/{}/review", server.url(), cell.cell);
    let mut answer = agent.post(url).send_json(json!({ "by": "K. Berg", "change": change })).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
}

fn stored(server: &PageServer, cell: &Cell) -> Cell {
    server.store.reader().cell(cell.cell).unwrap().unwrap().cell().unwrap()
}

fn pictures(server: &PageServer, cell: &Cell) -> usize {
    let url = format!("{}/api/v1/cells/{}/karyogram.svg", server.url(), cell.cell);
    ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap().matches("data-index=").count()
}

/// A line across a chromosome, through its middle and square to its axis.
fn across(cell: &Cell, index: u32) -> [[f32; 2]; 2] {
    let c = cell.chromosomes.iter().find(|c| c.index == index).unwrap();
    let middle = [c.bounds.x + c.bounds.width / 2.0, c.bounds.y + c.bounds.height / 2.0];
    let (sin, cos) = (-c.upright_angle.unwrap()).to_radians().sin_cos();
    [[middle[0] - 20.0 * cos, middle[1] - 20.0 * sin], [middle[0] + 20.0 * cos, middle[1] + 20.0 * sin]]
}

#[test]
fn a_clump_is_parted_joined_and_taken_back() {
    let server = PageServer::start();
    let field = drawing::field(21, &[], Verdict::Normal);
    server.commit(&field);
    let cell = &field.cell;
    let line = across(cell, 0);
    assert_eq!(change(&server, cell, json!({ "action": "split", "index": 0, "line": line })).0, 200);
    let parted = stored(&server, cell);
    assert_eq!((parted.chromosomes.len(), parted.counts.detected, parted.revision), (47, 47, 2));
    let halves: Vec<_> = parted.chromosomes.iter().filter(|c| [0, 46].contains(&c.index)).collect();
    assert!(halves.iter().all(|c| c.class.is_none() && c.relative_length.is_some()), "{halves:?}");
    assert!(halves.iter().all(|c| c.outline.as_ref().unwrap().source == FoundBy::Person));
    assert_eq!(pictures(&server, cell), 47, "both parts have a picture");
    // What is missing of class 1 may be one of the parts: no loss is claimed.
    let verdict = |cell: &Cell| (cell.karyotype.verdict, cell.karyotype.reason.clone(), cell.karyotype.findings.len());
    let waiting = "2 redrawn chromosomes have no class yet".to_owned();
    assert_eq!(verdict(&parted), (Verdict::NotAssessable, waiting, 0));
    // With its class a part is laid the right way up.
    change(&server, cell, json!({ "action": "class", "index": 46, "class": "21" }));
    let one = stored(&server, cell);
    assert!(one.chromosomes[46].upright_angle.is_some());
    assert_eq!(verdict(&one).1, "one redrawn chromosome has no class yet");
    // The other one is none: now the cell is counted by its classes again.
    change(&server, cell, json!({ "action": "class", "index": 0, "class": null }));
    assert_ne!(stored(&server, cell).karyotype.verdict, Verdict::NotAssessable);

    assert_eq!(change(&server, cell, json!({ "action": "join", "indices": [0, 46] })).0, 200);
    let joined = stored(&server, cell);
    assert_eq!((joined.chromosomes.len(), pictures(&server, cell)), (46, 46));
    assert_eq!(change(&server, cell, json!({ "action": "revert", "revision": 1 })).0, 200);
    let back = stored(&server, cell);
    assert_eq!((back.revision, back.karyotype.iscn.as_deref()), (6, Some("46,XX")));
    assert_eq!(back.chromosomes, cell_after_reading(cell).chromosomes);
    assert_eq!(pictures(&server, cell), 46);
    let words: Vec<String> = get(&server, &format!("cells/{}/reviews", cell.cell))["reviews"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["change"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(words[0], "chromosome 0: parted into 0 and 46");
    assert_eq!(words[4], "back to revision 1");
}

/// As the record reads once it was written: places to a tenth.
fn cell_after_reading(cell: &Cell) -> Cell {
    serde_json::from_str(&serde_json::to_string(cell).unwrap()).unwrap()
}

#[test]
fn what_a_person_draws_is_added_and_what_makes_no_sense_is_refused() {
    let server = PageServer::start();
    let field = drawing::field(22, &[], Verdict::Normal);
    server.commit(&field);
    let cell = &field.cell;
    let b = cell.chromosomes[5].bounds;
    let ring = json!([[[b.x, b.y], [b.right(), b.y], [b.right(), b.bottom()], [b.x, b.bottom()]]]);
    assert_eq!(change(&server, cell, json!({ "action": "outline", "index": null, "rings": ring })).0, 200);
    let added = stored(&server, cell);
    assert_eq!((added.chromosomes.len(), added.chromosomes[46].index), (47, 46));
    assert_eq!(change(&server, cell, json!({ "action": "outline", "index": 5, "rings": ring })).0, 200);
    assert_eq!(stored(&server, cell).chromosomes[5].class, cell.chromosomes[5].class);
    for (wrong, words) in [
        (json!({ "action": "split", "index": 99, "line": [[0, 0], [1, 1]] }), "no chromosome 99"),
        (json!({ "action": "split", "index": 3, "line": [[0, 0]] }), "invalid line"),
        (json!({ "action": "join", "indices": [0, 1] }), "pixels apart"),
        (json!({ "action": "outline", "index": 3, "rings": [[[0, 0], [1, 0], [1, 1]]] }), "invalid outline"),
        (json!({ "action": "turn", "index": 3, "angle": 270 }), "invalid angle"),
        (json!({ "action": "revert", "revision": 9 }), "no earlier revision 9"),
        (json!({ "action": "comment", "text": " " }), "invalid text"),
    ] {
        let (status, answer) = change(&server, cell, wrong.clone());
        assert!([404, 409].contains(&status), "{wrong}: {status}");
        assert!(answer["detail"].as_str().unwrap().contains(words), "{wrong}: {answer}");
    }
    let before = stored(&server, cell).review;
    assert_eq!(change(&server, cell, json!({ "action": "comment", "text": "satellites" })).0, 200);
    let noted = stored(&server, cell);
    assert_eq!((noted.comments[0].text.as_str(), &noted.review), ("satellites", &before));
}

#[test]
fn lists_are_searched_and_ranked_and_rejected_files_named() {
    let server = PageServer::start();
    let mut cells = Vec::new();
    for (seed, posterior, focus) in [(31, 0.9, 0.2), (32, 0.4, 0.9), (33, 0.7, 0.5)] {
        let mut field = drawing::field(seed, &[], Verdict::Normal);
        field.cell.case = Some("K-17".into());
        field.cell.karyotype.posterior = Some(posterior);
        field.cell.quality.focus = focus;
        field.cell.captured.file = Some(format!("slide_{seed}.tif"));
        server.commit(&field);
        cells.push(field.cell);
    }
    let order = |query: &str| -> Vec<usize> {
        let page = get(&server, &format!("cells?{query}"));
        let place = |c: &Value| cells.iter().position(|cell| cell.cell.to_string() == c["cell"]).unwrap();
        page["cells"].as_array().unwrap().iter().map(place).collect()
    };
    assert_eq!(order("case=K-17&order=doubt"), [1, 2, 0]);
    assert_eq!(order("case=K-17&order=quality"), [1, 2, 0]);
    assert_eq!(order("case=K-17&order=quality&limit=2"), [1, 2]);
    let next = get(&server, "cells?case=K-17&order=quality&limit=2")["next"].as_str().unwrap().to_owned();
    assert_eq!(order(&format!("case=K-17&order=quality&limit=2&after={next}")), [0]);
    change(&server, &cells[1], json!({ "action": "confirm" }));
    assert_eq!(order("case=K-17&order=doubt"), [2, 0, 1], "what was looked at comes last");
    assert_eq!(order("order=doubt"), [2, 0, 1], "over the whole store, too");
    assert_eq!(get(&server, &format!("cells?case=K-17&order=doubt&after={}", cells[0].cell))["status"], 400);
    assert_eq!(order("search=SLIDE_32"), [1]);
    assert_eq!(order("search=slide%2532").len(), 0, "a sign of patterns is only a sign");
    assert_eq!(order("search=46,XX").len(), 3);

    let mark = |path: &str, outcome| FileMark {
        source: "scope".into(),
        path: path.into(),
        bytes: 9,
        mtime_ns: 0,
        outcome,
        reason: (outcome == FileOutcome::Rejected).then(|| "corrupt: no picture".into()),
    };
    for (path, outcome) in [("a.tif", FileOutcome::Rejected), ("b.tif", FileOutcome::Cells)] {
        server.store.commit(&[FrameCommit { mark: Some(mark(path, outcome)), ..FrameCommit::default() }]).unwrap();
    }
    let rejected = get(&server, "rejected");
    assert_eq!((&rejected["rejected"][0]["file"], &rejected["next"]), (&"a.tif".into(), &Value::Null));
    assert_eq!(rejected["rejected"][0]["reason"], "corrupt: no picture");
    assert_eq!(rejected["rejected"].as_array().unwrap().len(), 1);
    assert_eq!(get(&server, "rejected?source=other")["rejected"], json!([]));
    // One transaction, one time: pages leave none of them out.
    let marks = ["c.tif", "d.tif", "e.tif"]
        .map(|path| FrameCommit { mark: Some(mark(path, FileOutcome::Rejected)), ..FrameCommit::default() });
    server.store.commit(&marks).unwrap();
    let (mut named, mut next) = (Vec::new(), String::new());
    for _ in 0..4 {
        let page = get(&server, &format!("rejected?limit=1{next}"));
        named.push(page["rejected"][0]["file"].as_str().unwrap().to_owned());
        next = page["next"].as_str().map_or(String::new(), |next| {
            format!("&before={}", percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC))
        });
    }
    named.sort();
    assert_eq!((named, next.as_str()), (["a.tif", "c.tif", "d.tif", "e.tif"].map(String::from).to_vec(), ""));
    assert_eq!(get(&server, "rejected?before=yesterday")["status"], 400);

    let lean = &get(&server, "cases?lean=true")["cases"][0];
    assert_eq!((&lean["case"], &lean["stored_cells"], &lean["dose"]), (&"K-17".into(), &3.into(), &Value::Null));
    assert_eq!(lean["state"]["cells"]["reviewed"], 1, "{lean}");
    assert!(lean["state"]["clones"].is_null());
}

#[test]
fn redrawn_chromosomes_are_classified_by_the_classifier_of_their_source() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let inference = InferenceConfig { engine: EngineName::Cpu, ..InferenceConfig::default() };
    let engine = choose(&inference).unwrap();
    let stains = [("scope".to_owned(), Stain::GBand)].into();
    let mut scorer = ClassScorer::new(inference, ModelLibrary::find(Some(&models), None), engine, stains);
    let field = drawing::field(23, &[], Verdict::Normal);
    let found = scorer.score(&field.cell, &field.pixels(), &[3, 7]).expect("a classifier serves the stain");
    assert!(found.model.starts_with("classifier-metaphase@"), "{}", found.model);
    assert_eq!(found.scored.len(), 2);
    for one in &found.scored {
        let sum: f32 = one.classes.iter().sum();
        assert!((one.classes.len(), one.alternatives.len()) <= (24, 3) && sum <= 1.001, "{one:?}");
        assert!(one.alternatives.is_sorted_by(|a, b| a.score >= b.score), "{one:?}");
    }
    let elsewhere = Cell { source: "other".into(), ..field.cell.clone() };
    assert_eq!(scorer.score(&elsewhere, &field.pixels(), &[3]), None, "its stain is not known");
}

/// How long the lists take: `cargo nextest run --test it -E 'test(lists_of_a_large_store)' --run-ignored all --no-capture`.
#[test]
#[ignore = "fills a store of 10,000 cells and prints times"]
fn lists_of_a_large_store() {
    let server = PageServer::start();
    for block in 0..100 {
        let frames: Vec<FrameCommit> = (0..100)
            .map(|n| {
                let number = block * 100 + n;
                let mut cell = testing::sample_cell(number, Some(&format!("K-{}", number / 20)), Verdict::Normal);
                cell.captured.file = Some(format!("slide-{number}.tif"));
                let commit = CellCommit { cell, crops: Vec::new(), thumbnail: None, image: None };
                FrameCommit { cells: vec![commit], ..FrameCommit::default() }
            })
            .collect();
        server.store.commit(&frames).unwrap();
    }
    for case in 0..500 {
        let id = format!("K-{case}");
        let cells: Vec<Cell> =
            server.store.reader().cells_of_case(&id).unwrap().iter().map(|row| row.cell().unwrap()).collect();
        let state = metaphased::case::CaseState::of("lab-1", &id, &cells, &Default::default());
        let payload = serde_json::to_string(&state).ok();
        server.store.put_latest(&Latest { topic: format!("case/{id}"), payload, case: Some(id) }).unwrap();
    }
    for path in [
        "cases",
        "cases?lean=true",
        "cells?limit=60",
        "cells?limit=60&verdict=normal",
        "cells?limit=60&search=slide-77",
        "cells?limit=60&search=nothing",
        "cells?limit=60&case=K-17&order=doubt",
        "cells?limit=60&order=doubt",
        "cells?limit=60&order=quality",
        "cells?limit=60&order=quality&after=9000",
        "cells?limit=60&order=doubt&verdict=normal&search=46",
    ] {
        let mut times: Vec<f64> = (0..9)
            .map(|_| {
                let began = Instant::now();
                let url = format!("{}/api/v1/{path}", server.url());
                let size = ureq::get(url).call().unwrap().body_mut().read_to_vec().unwrap().len();
                assert!(size > 10);
                began.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_unstable_by(f64::total_cmp);
        println!("{path}: {:.1} ms (median of 9, longest {:.1})", times[4], times[8]);
    }
}
