//! Real cells through the shipped models: every engine gives one answer, and the answer stays what it was.
//!
//! `METAPHASED_BLESS=1 cargo test --test golden_cells` writes the answers anew after a model was replaced.

use std::{fs, path::Path, sync::Arc};

use domain::{
    BoundingBox,
    frame::{Frame, FrameInfo},
};
use karyotype::FittedSettings;
use metaphased::camera::files::read_image;
use recognition::{
    ComposedRecognizer, Recognised, Recognition, Recognizer, Region, choose as choose_chromosomes,
    inference::EngineName,
    inference::InferenceConfig,
    inference::{ChosenEngine, CpuEngine, ModelLibrary, Precision, choose},
};
use serde_json::{Value, json};
use testing::{shared_data, skipped};

/// Cells of persons that no network was trained on.
const CELLS: [&str; 2] = ["1050061", "1052071"];
const GOLDEN: &str = "tests/data/golden/cells.json";

fn library() -> ModelLibrary {
    ModelLibrary::of(vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("models")])
}

fn cells(data: &Path, chosen: &ChosenEngine, precision: Precision) -> (Value, Vec<Recognised>) {
    let recognition = Recognition { precision: Some(precision), ..Recognition::default() };
    let mut recognizer = ComposedRecognizer::open(&recognition, &library(), chosen).expect("the shipped models load");
    let models = json!(recognizer.provenance().models);
    let results = CELLS
        .iter()
        .map(|name| {
            let page = read_image(&data.join(format!("cil/images/{name}.webp"))).expect("the image is there");
            let frame = Frame { info: FrameInfo::of_tool("test"), pixels: page.pixels };
            let whole = Region::whole(frame.pixels.width(), frame.pixels.height());
            recognizer.recognise(&frame, &[whole]).expect("recognised").remove(0)
        })
        .collect();
    (models, results)
}

/// Chosen boxes with class and probability, for people to read in the file.
fn told(cell: &Recognised) -> Value {
    let chosen = choose_chromosomes(cell, FittedSettings::default().judged(cell.in_context));
    json!(
        chosen
            .iter()
            .map(|c| {
                let b = cell.candidates[c.candidate].bounds;
                let corners = [b.x, b.y, b.width, b.height].map(|v| (f64::from(v) * 10.0).round() / 10.0);
                let class = c.class.map(|class| class.name());
                json!({"box": corners, "class": class, "score": (f64::from(c.score) * 1e3).round() / 1e3})
            })
            .collect::<Vec<_>>()
    )
}

fn edges_apart(a: &BoundingBox, b: &BoundingBox) -> f32 {
    let edges = [(a.x, b.x), (a.y, b.y), (a.right(), b.right()), (a.bottom(), b.bottom())];
    edges.iter().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn assert_agree(a: &[Recognised], b: &[Recognised], px: f32, probability: f32) {
    for ((a, b), name) in a.iter().zip(b).zip(CELLS) {
        for theirs in b.accepted() {
            let ours = a
                .candidates
                .iter()
                .min_by(|x, y| {
                    edges_apart(&x.bounds, &theirs.bounds).total_cmp(&edges_apart(&y.bounds, &theirs.bounds))
                })
                .expect("there are candidates");
            assert!(
                edges_apart(&ours.bounds, &theirs.bounds) <= px,
                "{name}: {:?} and {:?}",
                ours.bounds,
                theirs.bounds
            );
            assert!((ours.objectness - theirs.objectness).abs() <= probability, "{name}: {ours:?} and {theirs:?}");
            let (p, q) = (ours.log_probs.expect("classes"), theirs.log_probs.expect("classes"));
            let worst = p.iter().zip(q).map(|(p, q)| (p.exp() - q.exp()).abs()).fold(0.0, f32::max);
            assert!(worst <= probability, "{name}: probabilities {worst} apart at {:?}", theirs.bounds);
        }
        assert_eq!(classes(a), classes(b), "{name}: another karyotype");
    }
}

fn classes(cell: &Recognised) -> Vec<Option<&'static str>> {
    let mut classes: Vec<_> = choose_chromosomes(cell, FittedSettings::default().judged(cell.in_context))
        .iter()
        .map(|c| c.class.map(|class| class.name()))
        .collect();
    classes.sort();
    classes
}

#[test]
fn engines_give_one_answer_on_real_cells_and_it_stays_what_it_was() {
    let test = "engines_give_one_answer_on_real_cells_and_it_stays_what_it_was";
    let Some(data) = shared_data() else { return skipped(test) };
    let cpu = ChosenEngine::alone(Arc::new(CpuEngine::new(2)), "test");
    let (models, reference) = cells(&data, &cpu, Precision::F32);
    for (cell, name) in reference.iter().zip(CELLS) {
        let found = choose_chromosomes(cell, FittedSettings::default().judged(cell.in_context)).len();
        assert!((40..=50).contains(&found), "{name}: {found} chromosomes in a cell of 46");
    }
    match choose(&InferenceConfig { engine: EngineName::Onnxruntime, threads: 2, ..InferenceConfig::default() }) {
        Ok(onnxruntime) => {
            let (_, others) = cells(&data, &onnxruntime, Precision::F32);
            assert_agree(&others, &reference, 1.0, 1e-3);
        }
        Err(error) => eprintln!("SKIPPED: {test}: the comparison with ONNX Runtime ({error})"),
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    let answers: Value = CELLS.iter().zip(&reference).map(|(name, cell)| ((*name).to_owned(), told(cell))).collect();
    if std::env::var_os("METAPHASED_BLESS").is_some() {
        let text = serde_json::to_string_pretty(&json!({"models": models, "cells": answers})).expect("JSON");
        fs::write(&path, text + "\n").expect("written");
        return;
    }
    // Without a file there are no models in it, and the test says so below.
    let golden: Value =
        fs::read_to_string(&path).map_or(Value::Null, |text| serde_json::from_str(&text).expect("JSON"));
    if golden["models"] != models {
        // The engines agree, which is checked above; what the new models say is to be looked at and written down.
        eprintln!("SKIPPED: {test}: {GOLDEN} is of other models: METAPHASED_BLESS=1 cargo test --test golden_cells");
        return;
    }
    for name in CELLS {
        let (was, is) = (&golden["cells"][name], &answers[name]);
        assert_eq!(was.as_array().map(Vec::len), is.as_array().map(Vec::len), "{name}");
        for (was, is) in was.as_array().into_iter().flatten().zip(is.as_array().into_iter().flatten()) {
            assert_eq!(was["class"], is["class"], "{name}");
            for i in 0..4 {
                let (a, b) = (was["box"][i].as_f64().expect("a number"), is["box"][i].as_f64().expect("a number"));
                assert!((a - b).abs() <= 1.0, "{name}: {was} became {is}");
            }
        }
    }
}
