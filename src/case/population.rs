//! The cases of a period, of one store or several: what each gave, trends by month, control charts, outliers. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{AlarmState, CaseDose, CaseState};
use crate::store::CaseRecord;
use dosimetry::Subject;

/// Standard errors from the mean at which a chart has its limits (Shewhart 1931).
const LIMIT: f64 = 3.0;
/// Dispersion from which counts scatter more than Poisson's law, or less, at 5 %.
const DISPERSED: f64 = 1.96;

/// One case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseLine {
    /// Where its store lies.
    pub store: String,
    /// Station that made it; empty where no document says so.
    pub station: String,
    /// Its id.
    pub case: String,
    /// When it was opened, RFC 3339 in UTC.
    pub opened: String,
    /// When it was closed.
    pub closed: Option<String>,
    /// Cells in the store.
    pub cells: u64,
    /// Cells that a person has looked at.
    pub reviewed: u64,
    /// Cells that a person has excluded.
    pub excluded: u64,
    /// Karyotype of the case.
    pub iscn: Option<String>,
    /// Its abnormal cell lines.
    pub findings: Vec<String>,
    /// Cells without a karyotype, of a case that is karyotyped; repeats of a metaphase are left out, as in `judged`.
    pub not_assessable: Option<u64>,
    /// Cells with a karyotype and those without one, of a case that is karyotyped.
    pub judged: Option<u64>,
    /// Counted cells of the dicentric assay.
    pub counted: Option<u64>,
    /// Dicentrics in them.
    pub dicentrics: Option<u64>,
    /// Dose in Gy.
    pub dose: Option<f64>,
    /// Its lower limit.
    pub low: Option<f64>,
    /// Its upper limit.
    pub high: Option<f64>,
    /// Why the dose does not hold for its cells, where it does not.
    pub mismatch: Option<String>,
    /// Dispersion u of the counts.
    pub dispersion_u: Option<f64>,
    /// Alarm, where it is not clear.
    pub alarm: Option<String>,
    /// Subject data, where they may be given out.
    pub subject: Option<Subject>,
}

impl CaseLine {
    /// That of a stored case.
    pub fn of(store: &str, case: &CaseRecord, with_subject: bool) -> Self {
        let read = |text: &Option<String>| text.clone().unwrap_or_default();
        let state: Option<CaseState> = serde_json::from_str(&read(&case.state)).ok();
        let dose: Option<CaseDose> = serde_json::from_str(&read(&case.dose)).ok();
        let found = dose.as_ref().and_then(|dose| dose.estimate.as_ref());
        let karyotyped = state.as_ref().filter(|_| dose.is_none());
        let station = dose.as_ref().map(|d| d.station.clone()).or_else(|| state.as_ref().map(|s| s.station.clone()));
        let word = |alarm: AlarmState| serde_json::to_value(alarm).ok()?.as_str().map(str::to_owned);
        let of_state = |pick: fn(&CaseState) -> u32| state.as_ref().map_or(0, |s| u64::from(pick(s)));
        Self {
            store: store.to_owned(),
            station: station.unwrap_or_default(),
            case: case.id.clone(),
            opened: case.opened.clone(),
            closed: case.closed.clone(),
            cells: case.cells,
            reviewed: dose.as_ref().map_or_else(|| of_state(|s| s.cells.reviewed), |d| d.cells.reviewed),
            excluded: dose.as_ref().map_or_else(|| of_state(|s| s.cells.excluded), |d| d.cells.excluded),
            iscn: karyotyped.and_then(|state| state.iscn.clone()),
            findings: karyotyped
                .map(|state| state.clones.iter().filter(|c| !c.normal).map(|c| c.iscn.clone()).collect())
                .unwrap_or_default(),
            not_assessable: karyotyped.map(|state| u64::from(state.cells.not_assessable)),
            judged: karyotyped.map(|state| u64::from(state.cells.assessable + state.cells.not_assessable)),
            counted: dose.as_ref().map(|dose| dose.cells.counted),
            dicentrics: dose.as_ref().map(|dose| dose.dicentrics),
            dose: found.map(|e| e.dose_gy.value),
            low: found.and_then(|e| e.dose_gy.low),
            high: found.and_then(|e| e.dose_gy.high),
            mismatch: dose.as_ref().filter(|_| found.is_some()).and_then(|dose| dose.mismatch.clone()),
            dispersion_u: found.and_then(|e| e.dispersion.u),
            alarm: dose.as_ref().filter(|d| d.alarm != AlarmState::Clear).and_then(|d| word(d.alarm)),
            subject: case
                .subject
                .as_deref()
                .filter(|_| with_subject)
                .and_then(|text| serde_json::from_str(text).ok())
                .filter(|subject: &Subject| !subject.is_empty()),
        }
    }

    /// What its chart counts: events and how many cells they are of; none where it counts nothing.
    fn events(&self) -> Option<(u64, u64)> {
        self.dicentrics.zip(self.counted).or(self.not_assessable.zip(self.judged)).filter(|(_, cells)| *cells > 0)
    }
}

/// A month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Month {
    /// Such as `2026-11`.
    pub month: String,
    /// Cases opened in it.
    pub cases: u64,
    /// Their cells.
    pub cells: u64,
    /// Cases with an abnormal cell line.
    pub abnormal: u64,
    /// Share of karyotyped cells without a karyotype, 0 to 1.
    pub not_assessable: Option<f64>,
    /// Cases with a dose.
    pub doses: u64,
    /// Dicentrics a counted cell.
    pub yield_: Option<f64>,
}

/// A point of a control chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Case.
    pub case: String,
    /// When it was opened.
    pub opened: String,
    /// Events a cell: dicentrics, or cells that are not assessable.
    pub rate: f64,
    /// Cells.
    pub cells: u64,
    /// Limits, three standard errors from the mean.
    pub low: f64,
    /// The upper one.
    pub high: f64,
    /// Standard errors from the mean.
    pub z: f64,
    /// Outside of the limits.
    pub out: bool,
}

/// A control chart: Poisson counts of dicentrics, or binomial ones of cells that are not assessable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    /// `dicentrics` or `not_assessable`.
    pub of: &'static str,
    /// Mean rate.
    pub mean: f64,
    /// In order of time.
    pub points: Vec<Point>,
}

/// A case that is unlike the others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outlier {
    /// Case.
    pub case: String,
    /// `dispersion`, `dicentrics` or `not_assessable`.
    pub of: &'static str,
    /// What was found.
    pub value: f64,
    /// What the others have on average; none for the dispersion, which is compared with Poisson's law.
    pub mean: Option<f64>,
    /// Standard errors from it.
    pub z: f64,
}

/// The cases of a period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Population {
    /// First day, UTC.
    pub from: String,
    /// Last day, UTC.
    pub to: String,
    /// Each case, in order of time.
    pub cases: Vec<CaseLine>,
    /// By month.
    pub months: Vec<Month>,
    /// Of the control slides.
    pub controls: Vec<Chart>,
    /// Unlike the others, with their statistics.
    pub outliers: Vec<Outlier>,
}

impl Population {
    /// Of these cases, those opened from one day to another, both included. `control`: how the names of control slides begin;
    /// they are no cases of the trends.
    pub fn of(mut cases: Vec<CaseLine>, from: &str, to: &str, control: Option<&str>) -> Self {
        cases.retain(|case| case.opened.get(..10).is_some_and(|day| (from..=to).contains(&day)));
        cases.sort_by(|a, b| (&a.opened, &a.case).cmp(&(&b.opened, &b.case)));
        let is_control = |case: &CaseLine| control.is_some_and(|prefix| case.case.starts_with(prefix));
        let (controls, others): (Vec<&CaseLine>, Vec<&CaseLine>) = cases.iter().partition(|case| is_control(case));
        let months = months(&others);
        let outliers = outliers(&others);
        let controls = charts(&controls);
        Self { from: from.into(), to: to.into(), months, controls, outliers, cases }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn months(cases: &[&CaseLine]) -> Vec<Month> {
    let mut by_month: BTreeMap<&str, Vec<&CaseLine>> = BTreeMap::new();
    for case in cases {
        by_month.entry(case.opened.get(..7).unwrap_or_default()).or_default().push(case);
    }
    let month = |(month, cases): (&str, Vec<&CaseLine>)| {
        let sum = |pick: &dyn Fn(&CaseLine) -> u64| cases.iter().map(|case| pick(case)).sum::<u64>();
        let karyotyped = sum(&|case| case.judged.unwrap_or(0));
        Month {
            month: month.to_owned(),
            cases: cases.len() as u64,
            cells: sum(&|case| case.cells),
            abnormal: sum(&|case| u64::from(!case.findings.is_empty())),
            not_assessable: share(sum(&|case| case.not_assessable.unwrap_or(0)), karyotyped),
            doses: sum(&|case| u64::from(case.dose.is_some())),
            yield_: share(sum(&|case| case.dicentrics.unwrap_or(0)), sum(&|case| case.counted.unwrap_or(0))),
        }
    };
    by_month.into_iter().map(month).collect()
}

/// A chart of each assay that has points.
fn charts(cases: &[&CaseLine]) -> Vec<Chart> {
    let of = |dicentric: bool| {
        let own: Vec<(&CaseLine, (u64, u64))> = cases
            .iter()
            .filter(|case| case.dicentrics.is_some() == dicentric)
            .filter_map(|case| Some((*case, case.events()?)))
            .collect();
        let (events, cells) = own.iter().fold((0, 0), |sum, (_, (x, n))| (sum.0 + x, sum.1 + n));
        let mean = share(events, cells)?;
        let points = own.iter().map(|(case, (x, n))| {
            let rate = *x as f64 / *n as f64;
            // Counts of dicentrics are Poisson's, those of cells binomial.
            let variance = if dicentric { mean } else { mean * (1.0 - mean) } / *n as f64;
            let error = variance.sqrt();
            let z = if error > 0.0 { (rate - mean) / error } else { 0.0 };
            Point {
                case: case.case.clone(),
                opened: case.opened.clone(),
                rate,
                cells: *n,
                low: (mean - LIMIT * error).max(0.0),
                high: mean + LIMIT * error,
                z,
                out: z.abs() > LIMIT,
            }
        });
        Some(Chart { of: if dicentric { "dicentrics" } else { "not_assessable" }, mean, points: points.collect() })
    };
    [of(true), of(false)].into_iter().flatten().collect()
}

/// Cases whose counts scatter unlike Poisson's law, and karyotyped ones with unusually many or few cells that are not assessable. A
/// high dose is a result and no outlier.
fn outliers(cases: &[&CaseLine]) -> Vec<Outlier> {
    let dispersed = cases.iter().filter_map(|case| {
        let u = case.dispersion_u.filter(|u| u.abs() > DISPERSED)?;
        Some(Outlier { case: case.case.clone(), of: "dispersion", value: u, mean: None, z: u })
    });
    let karyotyped: Vec<&CaseLine> = cases.iter().copied().filter(|case| case.dicentrics.is_none()).collect();
    let charts = charts(&karyotyped);
    let missed = charts.iter().flat_map(|chart| {
        chart.points.iter().filter(|point| point.out).map(|point| Outlier {
            case: point.case.clone(),
            of: chart.of,
            value: point.rate,
            mean: Some(chart.mean),
            z: point.z,
        })
    });
    dispersed.chain(missed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(case: &str, opened: &str) -> CaseLine {
        let record = CaseRecord {
            id: case.into(),
            opened: format!("{opened}T08:00:00Z"),
            closed: None,
            subject: Some(r#"{"age":53.0}"#.into()),
            state: None,
            dose: None,
            cells: 100,
        };
        CaseLine::of("store", &record, false)
    }

    fn dosed(case: &str, opened: &str, dicentrics: u64, u: f64) -> CaseLine {
        CaseLine { counted: Some(500), dicentrics: Some(dicentrics), dispersion_u: Some(u), ..line(case, opened) }
    }

    #[test]
    fn the_days_of_the_period_are_both_included_and_subject_data_left_out() {
        let cases = ["2026-09-30", "2026-10-01", "2026-10-31", "2026-11-01"].map(|day| line(day, day));
        let found = Population::of(cases.to_vec(), "2026-10-01", "2026-10-31", None);
        let names: Vec<&str> = found.cases.iter().map(|case| &*case.case).collect();
        assert_eq!(names, ["2026-10-01", "2026-10-31"]);
        assert!(found.cases[0].subject.is_none());
        assert_eq!((found.months.len(), found.months[0].cases, found.months[0].cells), (1, 2, 200));
    }

    #[test]
    fn a_control_slide_outside_of_three_standard_errors_is_out() {
        // Nine slides of 50 dicentrics in 500 cells and one of 100: the mean is 0.11, an error 0.0148.
        let mut cases: Vec<CaseLine> =
            (1..=9).map(|n| dosed(&format!("control {n}"), &format!("2026-10-0{n}"), 50, 0.1)).collect();
        cases.push(dosed("control 10", "2026-10-10", 100, 0.1));
        cases.push(dosed("K-1", "2026-10-11", 300, 3.4));
        let found = Population::of(cases, "2026-10-01", "2026-10-31", Some("control"));
        let chart = &found.controls[0];
        assert_eq!((chart.of, chart.points.len()), ("dicentrics", 10));
        assert!((chart.mean - 0.11).abs() < 1e-9);
        let out: Vec<&Point> = chart.points.iter().filter(|point| point.out).collect();
        assert_eq!(out.len(), 1);
        assert!((out[0].z - 0.09 / (0.11_f64 / 500.0).sqrt()).abs() < 1e-9 && out[0].case == "control 10");
        // Of the cases themselves the scatter is reported, not the dose.
        assert_eq!(found.outliers.len(), 1);
        assert_eq!((found.outliers[0].case.as_str(), found.outliers[0].of), ("K-1", "dispersion"));
        assert_eq!((found.months[0].cases, found.months[0].yield_), (1, Some(0.6)));
    }

    #[test]
    fn repeats_of_a_metaphase_are_no_cells_that_could_have_been_assessed() {
        // Ten cells, five of them repeats: two of the five metaphases are not assessable.
        let state = serde_json::json!({
            "schema": "case/1", "station": "lab-1", "case": "K-1", "slides": [], "iscn": null,
            "cells": { "seen": 10, "repeats": 5, "assessable": 3, "normal": 3, "abnormal": 0, "not_assessable": 2, "reviewed": 0 },
            "cells_target": 20, "cells_needed": 17, "extended": null, "clones": [], "chance_findings": [], "excludes": null,
            "excluded": null, "review": [], "notice": "",
        });
        let record = CaseRecord {
            id: "K-1".into(),
            opened: "2026-10-05T08:00:00Z".into(),
            closed: None,
            subject: None,
            state: Some(state.to_string()),
            dose: None,
            cells: 10,
        };
        let line = CaseLine::of("store", &record, false);
        assert_eq!(line.events(), Some((2, 5)));
        let found = Population::of(vec![line], "2026-10-01", "2026-10-31", None);
        assert_eq!(found.months[0].not_assessable, Some(0.4));
    }
}
