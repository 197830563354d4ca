//! Real cells by person: the cases in which the annotation has a clone, and what the recognised cells make of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    case::{CaseSettings, CaseState},
    evaluate::Setup,
};
use domain::Cell;

use super::{
    Outcome,
    changes::{cell_of_annotation, written},
};

/// One row a person whose annotated cells have a clone that is not normal.
pub(super) fn rows(setup: &Setup<'_>, outcomes: &[Outcome<'_>]) -> Vec<Value> {
    let repeated = |o: &Outcome<'_>| {
        let row = setup.data.cells.get(&o.input.name);
        row.and_then(|r| r.get("near_duplicate_of")).is_some_and(|of| !of.is_empty())
    };
    let mut persons: BTreeMap<&str, Vec<&Outcome<'_>>> = BTreeMap::new();
    for o in outcomes.iter().filter(|o| !repeated(o)) {
        persons.entry(&o.input.patient).or_default().push(o);
    }
    let mut rows = Vec::new();
    for (patient, of) in persons {
        let numbered = |cells: Vec<Cell>| -> Vec<Cell> {
            let number = |(i, cell): (usize, Cell)| Cell { cell: Uuid::from_u128(i as u128 + 1), ..cell };
            cells.into_iter().enumerate().map(number).collect()
        };
        let case = |cells: &[Cell]| CaseState::of("evaluate", patient, cells, &CaseSettings::default());
        let truth = case(&numbered(
            of.iter().map(|o| cell_of_annotation(&o.input.boxes, setup.karyotype.judged(false))).collect(),
        ));
        if truth.clones.iter().all(|clone| clone.normal) {
            continue;
        }
        let reported = case(&numbered(of.iter().map(|o| o.cell.clone()).collect()));
        let cells: Vec<Value> = of
            .iter()
            .map(|o| json!({ "cell": o.input.name, "truth": written(&o.input.truth), "iscn": o.cell.karyotype.iscn }))
            .collect();
        rows.push(json!({
            "part": format!("case {patient}"),
            "cells": of.len(),
            "annotated": truth.iscn,
            "told": reported.iscn,
            "assessable": reported.cells.assessable,
            "chance_findings": reported.chance_findings,
            "each": cells,
        }));
    }
    rows
}
