//! Triage on windows that a person labelled: is there a metaphase?

use std::collections::BTreeMap;

use serde_json::json;

use recognition::{Triage, TriageOptions, TriageVerdict};

use super::{
    EvaluateError, Report, Setup,
    dataset::Skipped,
    grey_of,
    metrics::{Bootstrap, roc_auc},
};

/// `evaluate triage`: windows labelled `metaphase` against `none`; what is neither (`partial`) counts in the rows alone.
pub fn run(setup: &Setup<'_>) -> Result<Report, EvaluateError> {
    let windows = setup.data.labelled()?;
    let mut report = Report::new("triage", setup);
    report.engine = "imaging alone".to_owned();
    let mut triage = Triage::default();
    // Every group of objects is scored, so that the figure does not depend on the threshold.
    let options = TriageOptions { metaphase: 0.0, ..TriageOptions::default() };
    let least = TriageOptions::default().metaphase;
    let (mut groups, mut scores, mut timed) = (Vec::new(), Vec::new(), Vec::new());
    let mut verdicts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for (done, window) in windows.iter().enumerate() {
        match grey_of(&window.path, window.place) {
            Ok(grey) => {
                let started = std::time::Instant::now();
                let assessment = grey.view().map(|view| triage.assess(view, &options));
                timed.push(Some(started.elapsed().as_secs_f64() * 1e3));
                let (score, verdict) = match assessment {
                    Ok(found) if found.verdict == TriageVerdict::Metaphase && found.quality.metaphase < least => {
                        (found.quality.metaphase, TriageVerdict::NoMetaphase)
                    }
                    Ok(found) => (found.quality.metaphase, found.verdict),
                    Err(_) => (0.0, TriageVerdict::Unusable),
                };
                *verdicts.entry(&window.label).or_default().entry(verdict.label()).or_default() += 1;
                groups.push(window.group.as_str());
                scores.push((f64::from(score), window.label.as_str()));
            }
            Err(reason) => {
                report.data.skipped.push(Skipped { item: window.name.clone(), reason: format!("{reason}: left out") })
            }
        }
        (setup.progress)(done + 1, windows.len());
    }
    report.data.images = scores.len();
    let decided = |label: &str| label == "metaphase" || label == "none";
    let bootstrap = Bootstrap::over(groups.iter().zip(&scores).filter(|(_, s)| decided(s.1)).map(|(group, _)| *group));
    let items: Vec<(f64, bool)> =
        scores.iter().filter(|s| decided(s.1)).map(|(score, label)| (*score, *label == "metaphase")).collect();
    if items.is_empty() {
        return Err(setup.data.empty().into());
    }
    report.figures.push("auc", bootstrap.figure(items.len(), |weights| roc_auc(&items, weights)));
    for (name, side) in [("sensitivity", true), ("specificity", false)] {
        let right: Vec<Option<f64>> = items
            .iter()
            .map(|(score, truth)| (*truth == side).then(|| f64::from((*score >= f64::from(least)) == side)))
            .collect();
        report.figures.push(name, bootstrap.mean(&right));
    }
    report.figures.push("ms_per_window", Bootstrap::over(groups.iter().copied()).mean(&timed));
    report.rows = verdicts
        .into_iter()
        .map(|(label, counts)| json!({"part": format!("labelled {label}"), "cells": counts.values().sum::<usize>(), "verdicts": counts}))
        .collect();
    Ok(report)
}
