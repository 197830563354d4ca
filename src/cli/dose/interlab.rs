//! `metaphased dose interlab`.

use std::{collections::BTreeMap, path::PathBuf};

use super::{bad_data_of, parse, read, show};
use crate::cli::{
    Exit, Failure,
    output::{print, print_json},
};
use clap::Args;
use comfy_table::{Table, presets::NOTHING};
use dosimetry::{Interlab, Laboratory, Reference, compare, decimal_number};
use serde::Serialize;

#[derive(Debug, Args)]
#[command(
    after_help = "The file has a row for each result and the columns laboratory, dose (Gy) or yield (per cell), and sample where there
are several; reference and reference_uncertainty where the true value of a sample is known. Others are not read.

Examples:
  metaphased dose interlab results.csv
  metaphased dose interlab results.csv --reference 2.56"
)]
pub struct InterlabArgs {
    /// CSV file of results.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The true value, of a file with one sample; without it results are compared with their robust mean.
    #[arg(long, value_name = "VALUE", value_parser = parse::number)]
    reference: Option<f64>,
    /// Standard uncertainty of the reference.
    #[arg(long, value_name = "U", value_parser = parse::number, requires = "reference", default_value = "0")]
    reference_uncertainty: f64,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Sample {
    sample: String,
    #[serde(flatten)]
    found: Interlab,
}

#[derive(Serialize)]
struct Output {
    schema: &'static str,
    of: &'static str,
    samples: Vec<Sample>,
    notice: &'static str,
}

/// The results of a file: what they are, and by sample the results with the reference that its rows state.
struct Results {
    of: &'static str,
    samples: BTreeMap<String, (Vec<Laboratory>, Option<Reference>)>,
}

impl InterlabArgs {
    pub fn run(&self) -> Result<Exit, Failure> {
        let about = |failure: Failure| failure.about(self.file.display());
        let Results { of, samples } = results(&read(&self.file)?).map_err(Failure::bad_data).map_err(about)?;
        if self.reference.is_some() && samples.len() > 1 {
            return Err(Failure::usage(format!(
                "--reference: the file has {} samples, give each its own in a column reference",
                samples.len()
            )));
        }
        let given = self.reference.map(|value| Reference { value, uncertainty: self.reference_uncertainty });
        let mut compared = Vec::with_capacity(samples.len());
        for (sample, (results, stated)) in samples {
            if given.is_some() && stated.is_some() {
                return Err(Failure::usage("--reference: the file has a column reference, too: give one of the two"));
            }
            let named = |failure: Failure| match sample.is_empty() {
                true => failure,
                false => failure.about(format!("sample {sample}")),
            };
            let found = compare(&results, given.or(stated)).map_err(bad_data_of).map_err(named).map_err(about)?;
            compared.push(Sample { sample, found });
        }
        if self.json {
            print_json(&Output { schema: "dose-interlab/1", of, samples: compared, notice: domain::NOTICE })?;
        } else {
            for sample in &compared {
                print(&lines(sample, of))?;
                sample.found.warnings.iter().for_each(|warning| eprintln!("note: {warning}"));
            }
            eprintln!("{}", domain::NOTICE);
        }
        Ok(Exit::Done)
    }
}

fn lines(Sample { sample, found }: &Sample, of: &str) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["laboratory", of, "deviation", "z", "signal"]);
    for l in &found.laboratories {
        table.add_row([
            l.laboratory.clone(),
            show(Some(l.value)),
            show(Some(l.deviation)),
            format!("{:.2}", l.z),
            l.signal.name().to_owned(),
        ]);
    }
    let head = if sample.is_empty() { String::new() } else { format!("sample {sample}\n") };
    let by = if found.from_reference { "reference" } else { "robust mean" };
    format!(
        "{head}compared with the {by} {} (standard uncertainty {}); robust mean {}, robust standard deviation {}\n{table}",
        show(Some(found.assigned)),
        show(Some(found.assigned_uncertainty)),
        show(Some(found.robust_mean)),
        show(Some(found.robust_sd)),
    )
}

/// Reads the file; what is wrong is said with its line.
fn results(text: &str) -> Result<Results, String> {
    let separator = if text.lines().next().unwrap_or_default().contains(';') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .trim(csv::Trim::All)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let head: Vec<String> = reader.headers().map_err(|e| e.to_string())?.iter().map(str::to_lowercase).collect();
    let column = |names: &[&str]| {
        let mut found = head.iter().enumerate().filter(|(_, name)| names.contains(&name.as_str())).map(|(at, _)| at);
        match (found.next(), found.next()) {
            (first, None) => Ok(first),
            _ => Err(format!("found several columns of {}: expected one", names.join(" or "))),
        }
    };
    let laboratory = column(&["laboratory", "lab"])?;
    let (dose, yielded) = (column(&["dose", "dose_gy"])?, column(&["yield"])?);
    let (Some(laboratory), Some(value)) = (laboratory, dose.or(yielded)) else {
        return Err(format!("found the columns {}; expected laboratory, dose or yield, and sample", head.join(", ")));
    };
    if dose.is_some() && yielded.is_some() {
        return Err("found the columns dose and yield: expected one of them".into());
    }
    let (sample, reference) = (column(&["sample"])?, column(&["reference"])?);
    let uncertainty = column(&["reference_uncertainty"])?;
    let mut samples: BTreeMap<String, (Vec<Laboratory>, Option<Reference>)> = BTreeMap::new();
    for (at, row) in reader.records().enumerate() {
        let line = at + 2;
        let row = row.map_err(|error| format!("line {line}: {error}"))?;
        let field = |column: Option<usize>| column.and_then(|c| row.get(c)).filter(|text| !text.is_empty());
        let number = |column: Option<usize>, name: &str| match field(column) {
            None => Ok(None),
            Some(text) => decimal_number(text, separator == b';')
                .map(Some)
                .map_err(|error| format!("line {line}, column '{name}': {error}")),
        };
        let name = field(Some(laboratory)).ok_or_else(|| format!("line {line}: it names no laboratory"))?;
        let value = number(Some(value), &head[value])?
            .ok_or_else(|| format!("line {line}: laboratory '{name}' gives no result"))?;
        let stated = number(reference, "reference")?
            .map(|value| {
                Ok::<_, String>(Reference {
                    value,
                    uncertainty: number(uncertainty, "reference_uncertainty")?.unwrap_or(0.0),
                })
            })
            .transpose()?;
        let first = !samples.contains_key(field(sample).unwrap_or_default());
        let (results, of_sample) = samples.entry(field(sample).unwrap_or_default().to_owned()).or_default();
        if !first && *of_sample != stated {
            return Err(format!(
                "line {line}: another reference than the rows of this sample before: expected the same"
            ));
        }
        *of_sample = stated;
        results.push(Laboratory { name: name.to_owned(), value });
    }
    if samples.is_empty() {
        return Err("no rows below the header".into());
    }
    Ok(Results { of: if dose.is_some() { "dose, Gy" } else { "yield" }, samples })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_gathered_by_sample_with_their_reference() {
        let found = results("lab;sample;dose;reference\nA1;1;2.5892;2.56\nA2;1;2.6110;2.56\nA1;2;3,1461;3.41\n")
            .expect("results");
        assert_eq!((found.of, found.samples.len()), ("dose, Gy", 2));
        let (first, reference) = &found.samples["1"];
        assert_eq!((first.len(), reference.expect("a reference").value), (2, 2.56));
        assert_eq!(found.samples["2"].0[0].value, 3.1461);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, words) in [
            ("laboratory,value\nA,1\n", "expected laboratory, dose or yield"),
            ("laboratory,dose,yield\nA,1,2\n", "one of them"),
            ("laboratory,dose\n", "no rows"),
            ("laboratory,dose\nA,1\nB,much\n", "line 3"),
            ("laboratory,dose\nA,1\n,2\n", "line 3: it names no"),
            ("laboratory,dose\nA,\n", "'A' gives no result"),
            ("laboratory,dose,reference\nA,1,1\nB,1,2\n", "another reference"),
            ("laboratory,dose,dose\nA,1,2\n", "several columns"),
        ] {
            let error = results(text).err().expect(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
