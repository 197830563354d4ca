//! The report of a case as HTML to read, print and file. Pure but for [`Gathered`], which reads the store: what a report
//! shows is handed in, and how it is written is the templates' (`layout`).

mod dose;
mod dose_plot;
mod gather;
mod layout;
pub mod scoring_sheet;

pub use dose_plot::DosePlot;
pub use gather::Gathered;
pub use layout::{Layout, ReportError, TEMPLATES};

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use minijinja::{Value, context};
use serde::Serialize;
use uuid::Uuid;

use super::{CaseCells, CaseDose, CaseState};
use domain::{Cell, Exclusion};
use dosimetry::Subject;
use dosimetry::{Level, Protraction};
use karyotype::karyogram::{self, Orientation};

/// What a report is made from.
pub struct Report<'a> {
    /// Station.
    pub station: &'a str,
    /// Version of the program.
    pub version: &'a str,
    /// SHA-256 of the configuration in force, where it is known.
    pub configuration: Option<&'a str>,
    /// When the report is made, RFC 3339.
    pub printed: &'a str,
    /// The case with its cells and reviews.
    pub gathered: &'a Gathered,
    /// Subject data, where the reader may see them.
    pub subject: Option<&'a Subject>,
}

/// A cell as the table of cells lists it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    no: usize,
    taken: &'a str,
    slide: Option<&'a str>,
    place: String,
    found: u32,
    iscn: Option<&'a str>,
    verdict: &'static str,
    confidence: Option<f32>,
    verified_by: Option<&'a str>,
    remark: String,
    excluded: Option<&'a Exclusion>,
}

impl<'a> Row<'a> {
    fn of(at: usize, cell: &'a Cell) -> Self {
        let excluded = cell.excluded.as_ref();
        Self {
            no: at + 1,
            taken: &cell.captured.time,
            slide: cell.slide.as_deref(),
            place: place(cell),
            found: cell.counts.detected,
            iscn: cell.karyotype.iscn.as_deref(),
            verdict: if excluded.is_some() { "excluded" } else { cell.karyotype.verdict.name() },
            confidence: cell.karyotype.posterior,
            verified_by: cell.review.as_ref().map(|review| &*review.by),
            remark: excluded.map_or_else(|| cell.karyotype.reason.clone(), |e| format!("{} ({})", e.reason, e.by)),
            excluded,
        }
    }
}

/// A row of the audit.
#[derive(Debug, Serialize)]
struct Change<'a> {
    time: &'a str,
    by: &'a str,
    no: Option<usize>,
    change: &'a str,
}

/// One karyogram.
#[derive(Debug, Serialize)]
struct Karyogram<'a> {
    no: usize,
    iscn: Option<&'a str>,
    verified_by: Option<&'a str>,
    picture: String,
}

/// A cell line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    iscn: String,
    cells: u32,
    share: f64,
    normal: bool,
    syndromes: Vec<String>,
    karyograms: Vec<Karyogram<'a>>,
}

/// A number under its code in the words of the report.
#[derive(Debug, Serialize)]
struct Count {
    code: &'static str,
    value: u32,
}

impl Report<'_> {
    /// The page. Its style carries `nonce` where the server's policy asks for one.
    ///
    /// # Errors
    /// What the laboratory's templates cannot do.
    pub fn html(&self, layout: &Layout, nonce: Option<&str>) -> Result<String, ReportError> {
        let Gathered { case, cells, reviews, .. } = self.gathered;
        let state = self.gathered.state();
        let dose = self.dose();
        let rows: Vec<Row<'_>> = cells.iter().enumerate().map(|(at, cell)| Row::of(at, cell)).collect();
        let excluded: Vec<&Row<'_>> = rows.iter().filter(|row| row.excluded.is_some()).collect();
        let numbers: BTreeMap<Uuid, usize> = cells.iter().enumerate().map(|(at, cell)| (cell.cell, at + 1)).collect();
        let reviews: Vec<Change<'_>> = reviews
            .iter()
            .map(|review| Change {
                time: &review.time,
                by: &review.by,
                no: review.cell.and_then(|cell| numbers.get(&cell).copied()),
                change: &review.change,
            })
            .collect();
        let models: BTreeSet<String> =
            cells.iter().flat_map(|cell| cell.models.iter().map(|(task, name)| format!("{task}: {name}"))).collect();
        let kind = if dose.is_some() { "dose" } else { "karyotype" };
        let lab = layout.laboratory();
        let of_kind = || (1..=3).map(|n| lab.texts[&format!("sign.{kind}.{n}")].clone()).collect();
        let foot: Vec<&str> =
            [&*lab.name, self.station, &*case.id].into_iter().filter(|part| !part.is_empty()).collect();
        let scored = cells.iter().any(|cell| cell.dicentric.is_some());
        let context = context! {
            nonce,
            foot => layout::css_string(&foot.join(", ")),
            station => self.station,
            version => self.version,
            configuration => self.configuration,
            printed => self.printed,
            case => context! { id => case.id, opened => case.opened, closed => case.closed },
            simulated => cells.iter().any(|cell| cell.simulated.is_some()),
            clones => self.lines(state.as_ref()),
            chances => state.as_ref().map(|state| &state.chance_findings).filter(|all| !all.is_empty()),
            counts => state.as_ref().map(counts),
            sheet => scored.then(|| scoring_sheet::Sheet::of(cells)),
            signatures => lab.signatures.clone().unwrap_or_else(of_kind),
            drawing => self.drawing().map(Value::from_safe_string),
            subject => self.subject.filter(|subject| !subject.is_empty()),
            corrections => Some(self.gathered.corrections()).filter(|found| found.cells > 0),
            state, dose => dose, cells => rows, excluded, reviews, models,
            ..dose.as_ref().map(dose::context).unwrap_or_default()
        };
        layout.write("report.html", context)
    }

    /// The latest dose.
    fn dose(&self) -> Option<CaseDose> {
        serde_json::from_str(self.gathered.case.dose.as_deref()?).ok()
    }

    /// The cell lines, each with the karyograms that stand for it.
    fn lines(&self, state: Option<&CaseState>) -> Vec<Line<'_>> {
        let Some(state) = state else { return Vec::new() };
        let all: u32 = state.clones.iter().map(|clone| clone.cells).sum();
        let line = |(at, shown): (usize, Vec<usize>)| {
            let clone = &state.clones[at];
            Line {
                iscn: clone.iscn.clone(),
                cells: clone.cells,
                share: f64::from(clone.cells) / f64::from(all.max(1)),
                normal: clone.normal,
                syndromes: clone.syndromes.clone(),
                karyograms: shown.into_iter().filter_map(|at| self.karyogram(at)).collect(),
            }
        };
        self.gathered.clones().into_iter().map(line).collect()
    }

    /// The karyogram of a cell as a picture; none without pictures of its chromosomes.
    fn karyogram(&self, at: usize) -> Option<Karyogram<'_>> {
        let cell = &self.gathered.cells[at];
        let pictures = self.gathered.pictures.get(&cell.cell).filter(|pictures| !pictures.is_empty())?;
        let svg = karyogram::svg(cell, &karyogram::crops_of(cell, pictures, None), Orientation::Upright);
        Some(Karyogram {
            no: at + 1,
            iscn: cell.karyotype.iscn.as_deref(),
            verified_by: cell.review.as_ref().map(|review| &*review.by),
            // A picture of its own: its styles stay inside.
            picture: format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode(svg)),
        })
    }

    /// The estimate on its curve as SVG, where there is one.
    pub fn drawing(&self) -> Option<String> {
        let found = self.dose()?.estimate?;
        let curve = found.curve.curve(found.input.assay).ok()?;
        let protraction = Protraction::from_factor(found.input.protraction)?;
        let picture = DosePlot {
            response: curve.at(protraction),
            band: Level::P95,
            points: &[],
            estimate: Some(&found),
            title: format!("Dose of case {}", self.gathered.case.id),
            to: None,
            size: (900, 520),
        };
        picture.svg().ok()
    }
}

/// The counts of a case in two columns; what is nought and usual is left out.
fn counts(state: &CaseState) -> [Vec<Count>; 2] {
    let CaseCells {
        seen,
        repeats,
        assessable,
        normal,
        abnormal,
        not_assessable,
        cut_by_frame,
        reviewed,
        excluded,
        colonies,
    } = state.cells;
    let always = |code, value| Some(Count { code, value });
    let some = |code, value| (value > 0).then_some(Count { code, value });
    let left = [
        always("seen", seen),
        some("repeats", repeats),
        always("excluded", excluded),
        always("reviewed", reviewed),
        always("target", state.cells_target),
        some("needed", state.cells_needed),
    ];
    let right = [
        always("assessable", assessable),
        always("normal", normal),
        always("abnormal", abnormal),
        always("not_assessable", not_assessable),
        some("cut", cut_by_frame),
        colonies.map(|value| Count { code: "colonies", value }),
    ];
    [left, right].map(|column| column.into_iter().flatten().collect())
}

/// Where a cell was found: its file, its place on the stage, or its frame.
fn place(cell: &Cell) -> String {
    match (&cell.captured.file, &cell.captured.stage_um) {
        (Some(file), _) => file.clone(),
        (None, Some(stage)) => format!("{:.0}, {:.0} µm", stage.x, stage.y),
        (None, None) => format!("{}, frame {}", cell.source, cell.captured.frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{case::CaseSettings, laboratory::Laboratory, store::CaseRecord};
    use domain::{NOTICE, Verdict};
    use testing::sample_cell;

    fn gathered(id: &str, cells: Vec<Cell>) -> Gathered {
        let state = CaseState::of("lab", id, &cells, &CaseSettings::default());
        let case = CaseRecord {
            id: id.to_owned(),
            opened: "2026-11-22T10:00:00Z".to_owned(),
            closed: None,
            subject: None,
            cells: cells.len() as u64,
            state: serde_json::to_string(&state).ok(),
            dose: None,
        };
        Gathered { case, cells, reviews: Vec::new(), pictures: BTreeMap::new() }
    }

    fn html(gathered: &Gathered, laboratory: Laboratory) -> Result<String, ReportError> {
        let report = Report {
            station: "lab",
            version: "1",
            configuration: None,
            printed: "2026-11-30T09:00:00Z",
            gathered,
            subject: None,
        };
        report.html(&Layout::new(laboratory)?, Some("n"))
    }

    #[test]
    fn what_people_typed_stays_text() {
        let mut cell = sample_cell(1, None, Verdict::Normal);
        cell.karyotype.reason = "<b>bold</b>".into();
        let page =
            html(&gathered("</style><script>alert(1)</script>", vec![cell]), Laboratory::default()).expect("a page");
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        assert_eq!(page.matches("</style>").count(), 1);
        assert!(page.contains("&lt;b&gt;bold") && page.contains(NOTICE));
    }

    #[test]
    fn a_report_speaks_the_language_of_the_laboratory_and_uses_its_templates() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("it is written");
        write(
            "laboratory.toml",
            "name = \"Institut\"\naddress = [\"Weg 1\"]\nlanguage = \"de\"\ntime_zone = \"Europe/Berlin\"\n[texts]\n\"sign.karyotype.1\" = \"Kürzel\"\n",
        );
        let lab = || Laboratory::read(Some(folder.path())).expect("it is right");
        let case = gathered("K-17", vec![sample_cell(1, None, Verdict::Normal)]);
        let page = html(&case, lab()).expect("a page");
        for part in [
            "<strong>Institut</strong>",
            "Weg 1",
            "Karyotyp: Fall K-17",
            "22.11.2026 11:00",
            "Kürzel",
            "Freigegeben von",
        ] {
            assert!(page.contains(part), "{part} is missing: {page}");
        }
        write("cells.html", "{{ cells|length }} of ours");
        assert!(html(&case, lab()).expect("a page").contains("1 of ours"));
        write("cells.html", "one\n{{ cells.nothing }}");
        let error = html(&case, lab()).expect_err("a wrong name").to_string();
        assert!(error.contains("cells.html:2"), "{error}");
        write("cells.html", "{% if %}");
        let error = html(&case, lab()).expect_err("no template").to_string();
        assert!(error.contains("cells.html:1"), "{error}");
    }
}
