//! `metaphased dose limits`.

use super::{bad_data, bad_option, counts, curve, parse, show};
use crate::cli::{
    Exit, Failure,
    output::{print, print_json},
};
use clap::Args;
use dosimetry::{Control, CurveUsed, DosimetryError, Gray, Sample, Yield, characteristic_limits, compare_with_control};
use serde::Serialize;

#[derive(Debug, Args)]
pub struct Limits {
    /// Sizes of samples, such as 50,500: limits are given for each.
    #[arg(long, value_name = "N,...", allow_hyphen_values = true)]
    cells: String,
    /// Dicentrics found in a sample of the first size: compared with the control.
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    dicentrics: Option<String>,
    /// Cells of the control group.
    #[arg(
        long,
        value_name = "N",
        requires = "control_dicentrics",
        conflicts_with = "background",
        allow_hyphen_values = true
    )]
    control_cells: Option<String>,
    /// Dicentrics in the control group.
    #[arg(long, value_name = "X", requires = "control_cells", allow_hyphen_values = true)]
    control_dicentrics: Option<String>,
    /// Background per cell, taken as known; without it and a control, that of the curve.
    #[arg(long, value_name = "RATE", value_parser = parse::rate)]
    background: Option<Yield>,
    /// Curve that turns counts into doses.
    #[arg(long, value_name = "ID|FILE")]
    curve: Option<String>,
    /// Two-sided error of the first kind.
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// Error of the second kind.
    #[arg(long, default_value_t = 0.1)]
    beta: f64,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    cells: u64,
    /// Largest count that is not significant.
    decision: u64,
    detection: f64,
    decision_gy: Option<f64>,
    detection_gy: Option<f64>,
}

#[derive(Serialize)]
struct Comparison {
    dicentrics: u64,
    cells: u64,
    p_value: Option<f64>,
    exceeds_decision_threshold: bool,
}

#[derive(Serialize)]
struct ControlUsed {
    cells: Option<u64>,
    dicentrics: Option<u64>,
    background_per_cell: f64,
}

#[derive(Serialize)]
struct Input {
    control: ControlUsed,
    alpha: f64,
    beta: f64,
}

#[derive(Serialize)]
struct Output {
    schema: &'static str,
    input: Input,
    curve: CurveUsed,
    /// Of the first size.
    limits: Option<Row>,
    rows: Vec<Row>,
    comparison: Option<Comparison>,
    warnings: Vec<String>,
}

impl Limits {
    pub fn run(&self) -> Result<Exit, Failure> {
        let curve = curve::load(self.curve.as_deref())?;
        let control = self.control(&curve)?;
        let sizes = counts::counts("--cells", &self.cells)?;
        let row = |&cells: &u64| -> Result<Row, DosimetryError> {
            let found = characteristic_limits(&control, cells, self.alpha, self.beta, Some(curve.acute()))?;
            Ok(Row {
                cells,
                decision: found.decision_threshold,
                detection: found.detection_limit,
                decision_gy: found.dose_at_decision.map(Gray::value),
                detection_gy: found.dose_at_detection.map(Gray::value),
            })
        };
        let wrong = |error: DosimetryError| match error {
            DosimetryError::Quantity { what: "alpha" | "beta", .. } => bad_option(error),
            other => bad_data(other),
        };
        let rows = sizes.iter().map(row).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        let comparison = match &self.dicentrics {
            Some(x) => Some(self.compare(counts::count("--dicentrics", x)?, &rows[0], &control)?),
            None => None,
        };
        let mut warnings = curve.warnings();
        if matches!(control, Control::Rate(_)) && self.background.is_none() {
            warnings.push("no control was given: the background of the curve is taken as known".into());
        }
        let (cells, dicentrics, background_per_cell) = match &control {
            Control::Counted(s) => (Some(s.cells()), Some(s.aberrations()), s.mean().value()),
            Control::Rate(rate) => (None, None, rate.value()),
        };
        let output = Output {
            schema: "dose-limits/1",
            input: Input {
                control: ControlUsed { cells, dicentrics, background_per_cell },
                alpha: self.alpha,
                beta: self.beta,
            },
            curve: (&curve).into(),
            limits: sizes.first().map(row).transpose().map_err(wrong)?,
            rows,
            comparison,
            warnings,
        };
        if self.json {
            print_json(&output)?
        } else {
            self.show(&output)?
        }
        Ok(Exit::Done)
    }

    fn control(&self, curve: &dosimetry::Curve) -> Result<Control, Failure> {
        match (&self.control_cells, &self.control_dicentrics, self.background) {
            (Some(n), Some(x), _) => {
                let (n, x) = (counts::count("--control-cells", n)?, counts::count("--control-dicentrics", x)?);
                Ok(Control::Counted(Sample::from_totals(n, x).map_err(bad_data)?))
            }
            (_, _, Some(rate)) => Ok(Control::Rate(rate)),
            _ => {
                let c = curve.coefficients()[0].max(0.0);
                Ok(Control::Rate(Yield::new(c).map_err(bad_data)?))
            }
        }
    }

    fn compare(&self, x: u64, first: &Row, control: &Control) -> Result<Comparison, Failure> {
        let sample = Sample::from_totals(first.cells, x).map_err(bad_data)?;
        let p_value = match control {
            Control::Counted(control) => Some(compare_with_control(&sample, control)),
            Control::Rate(_) => None,
        };
        let exceeds_decision_threshold = x > first.decision;
        Ok(Comparison { dicentrics: x, cells: first.cells, p_value, exceeds_decision_threshold })
    }

    fn show(&self, output: &Output) -> Result<(), Failure> {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING).set_header([
            "cells",
            "decision threshold",
            "detection limit",
            "least dose reported, Gy",
            "dose detected, Gy",
        ]);
        for row in &output.rows {
            table.add_row([
                row.cells.to_string(),
                format!("{} dicentrics", row.decision),
                format!("{:.2} dicentrics", row.detection),
                show(row.decision_gy),
                show(row.detection_gy),
            ]);
        }
        let mut text = format!("{table}\n");
        text += &format!(
            "A count above the threshold is significant at {} (two-sided); the detection limit is missed with \
             probability {}.\n",
            self.alpha, self.beta
        );
        if let Some(c) = &output.comparison {
            let verdict = if c.exceeds_decision_threshold { "above" } else { "not above" };
            let p = c.p_value.map(|p| format!(", p = {p:.3e} against the control")).unwrap_or_default();
            text += &format!("{} dicentrics in {} cells: {verdict} the decision threshold{p}\n", c.dicentrics, c.cells);
        }
        print(&text)?;
        output.warnings.iter().for_each(|w| eprintln!("note: {w}"));
        Ok(())
    }
}
