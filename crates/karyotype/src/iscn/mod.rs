//! ISCN: the written form of a karyotype. Typed model, parser, printer, and a validator that does the sums.
//!
//! Rules after ISCN 2024 (An International System for Human Cytogenomic Nomenclature) for banded karyotypes in
//! the short system; in situ hybridisation, arrays and sequencing are refused by name. docs/reference/karyotype.md
//! lists what is checked.

mod bands;
mod check;
mod count;
mod item;
mod model;
mod parse;
mod print;
mod words;

pub use check::sort_items;
pub use model::*;

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::Serialize;

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Readable and with a right count, but not ISCN form.
    Convention,
    /// Unreadable, or the count is wrong.
    Fatal,
}

/// One thing wrong with a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// How bad.
    pub severity: Severity,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// What `iscn check` says about one string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// The string as given.
    pub string: String,
    /// True when nothing is wrong with it.
    pub valid: bool,
    /// The worst fault.
    pub severity: Option<Severity>,
    /// Counts as written, one a cell line, joined by `/`.
    pub modal_count: String,
    /// Sex complements as written, one a cell line, joined by `/`.
    pub sex_complement: String,
    /// Abnormalities in plain words.
    pub abnormalities: Vec<String>,
    /// What is wrong; several faults joined by `; `.
    pub reason: Option<String>,
}

/// Reads and judges a karyotype string.
pub fn check(text: &str) -> Report {
    let (reading, faults) = read(text);
    let severity = check::worst(&faults);
    // What is worst decides; lesser faults beside a fatal one only distract.
    let mut reasons: Vec<&str> =
        faults.iter().filter(|f| Some(f.severity) == severity).map(|f| f.reason.as_str()).collect();
    reasons.dedup();
    Report {
        string: text.to_owned(),
        valid: severity.is_none(),
        severity,
        modal_count: reading.counts,
        sex_complement: complements(&reading.karyotype, &reading.complements),
        abnormalities: words::abnormalities(&reading.karyotype),
        reason: severity.map(|_| reasons.join("; ")),
    }
}

fn read(text: &str) -> (parse::Reading, Vec<Fault>) {
    let mut reading = parse::read(text);
    let mut faults = std::mem::take(&mut reading.faults);
    if check::worst(&faults) != Some(Severity::Fatal) {
        faults.extend(check::faults(&reading.karyotype, &reading.partial));
    }
    (reading, faults)
}

/// A line that is written relative to another lists no sex chromosomes; then equal neighbours are said once.
fn complements(karyotype: &Karyotype, complements: &[(&'static str, String)]) -> String {
    let relative = karyotype.lines.iter().any(|line| count::is_relative(&line.base));
    let mut text = String::new();
    let mut last = None;
    for (slant, complement) in complements {
        if relative && (complement.is_empty() || last == Some(complement)) {
            continue;
        }
        text.push_str(slant);
        text.push_str(complement);
        last = Some(complement);
    }
    text
}

/// A string that is no karyotype.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no karyotype: {reason}")]
pub struct ParseKaryotypeError {
    /// The string.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl FromStr for Karyotype {
    type Err = ParseKaryotypeError;

    /// Reads a karyotype; convention faults pass, fatal ones do not.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (reading, faults) = read(text);
        match faults.into_iter().find(|f| f.severity == Severity::Fatal) {
            Some(fault) => Err(ParseKaryotypeError { text: text.to_owned(), reason: fault.reason }),
            None => Ok(reading.karyotype),
        }
    }
}

impl CellLine {
    /// The count that the abnormalities add up to; none for composites, ranges, incomplete or relative lines.
    pub fn expected_count(&self) -> Option<u32> {
        if count::is_relative(&self.base) {
            return None;
        }
        let sum = count::sums(std::slice::from_ref(self), &[false])[0];
        sum.exact.then(|| u32::try_from(sum.expected).ok()).flatten()
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fatal => "fatal",
            Self::Convention => "convention",
        })
    }
}

#[cfg(test)]
mod tests;
