//! The scoring sheet: one line a cell, with all that decides whether and how it counts.
//!
//! ISO 19238:2023 has such a sheet in its annex G. Its text was not available: the columns are what a dose rests on, to be
//! compared with the standard by whoever has it.

use serde::Serialize;

use super::place;
use domain::Cell;
use dosimetry::dicentric::{Counting, NotCounted};

/// Names of the columns of [`row`].
pub const COLUMNS: [&str; 18] = [
    "no",
    "cell",
    "slide",
    "place",
    "time",
    "centromeres",
    "monocentrics",
    "dicentrics",
    "tricentrics",
    "higher",
    "rings",
    "fragments",
    "excess_fragments",
    "unclear",
    "first_division",
    "counted",
    "scored_by",
    "reviewed_by",
];

fn not_counted(why: NotCounted) -> &'static str {
    match why {
        NotCounted::NotScored => "no: not scored",
        NotCounted::Incomplete => "no: incomplete",
        NotCounted::SecondDivision => "no: later division",
        NotCounted::Unclear => "no: unclear counts",
        NotCounted::NotSelected => "no: not selected",
    }
}

/// Which of the cells of a case count, as its dose has it.
pub fn counting<'c>(cells: impl IntoIterator<Item = &'c Cell>) -> Counting {
    let records = cells.into_iter().filter(|cell| cell.excluded.is_none()).filter_map(|cell| cell.dicentric.as_ref());
    Counting::of(records)
}

/// Whether a cell of the dicentric assay counts among those of its case, else why not; empty for one of another assay.
pub fn counted_words(cell: &Cell, counting: &Counting) -> String {
    let Some(record) = &cell.dicentric else { return String::new() };
    match (&cell.excluded, counting.counted(record), &record.not_selected) {
        (Some(exclusion), ..) => format!("no: excluded, {}", exclusion.reason),
        (None, Ok(()), _) => "yes".into(),
        (None, Err(why @ NotCounted::NotSelected), Some(reason)) => format!("{}, {reason}", not_counted(why)),
        (None, Err(why @ NotCounted::NotSelected), None) => {
            format!("{}, others of the case look more like a whole cell", not_counted(why))
        }
        (None, Err(why), _) => not_counted(why).into(),
    }
}

/// A cell of a case as a line of the sheet; fields are empty where it was not scored.
pub fn row(number: usize, cell: &Cell, counting: &Counting) -> [String; 18] {
    let slide = cell.slide.clone().unwrap_or_default();
    let by = cell.review.as_ref().map(|review| review.by.clone()).unwrap_or_default();
    let start = [number.to_string(), cell.cell.to_string(), slide, place(cell), cell.captured.time.clone()];
    let unscored = |why: String| {
        let mut fields: [String; 18] = Default::default();
        fields[..5].clone_from_slice(&start);
        fields[15] = why;
        fields[17].clone_from(&by);
        fields
    };
    let Some(d) = &cell.dicentric else { return unscored(String::new()) };
    if d.not_scored.is_some() {
        return unscored(counted_words(cell, counting));
    }
    let [no, id, slide, place, time] = start;
    // Each exchange and each ring leaves one fragment; what is over was lost without an exchange.
    let excess = d.counts.fragments.saturating_sub(d.counts.fragments_expected());
    [
        no,
        id,
        slide,
        place,
        time,
        if d.quickscan { "QuickScan".into() } else { d.centromeres.to_string() },
        d.counts.monocentrics.to_string(),
        d.counts.dicentrics.to_string(),
        d.counts.tricentrics.to_string(),
        d.counts.higher.iter().map(u32::to_string).collect::<Vec<_>>().join(" "),
        d.counts.rings.to_string(),
        d.counts.fragments.to_string(),
        excess.to_string(),
        d.counts.unclear.to_string(),
        d.first_division.map_or("not known", |yes| if yes { "yes" } else { "no" }).to_owned(),
        counted_words(cell, counting),
        d.scored_by.name().to_owned(),
        by,
    ]
}

/// The sheet as the template of the report shows it.
#[derive(Debug, Serialize)]
pub struct Sheet {
    /// Lowest and highest sum of centromeres of a cell that counts.
    accepted: [u32; 2],
    columns: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Column {
    /// As in [`COLUMNS`].
    code: &'static str,
    number: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    counted: bool,
    fields: Vec<String>,
}

/// Columns that the sheet shows: the UUID, the time and the monocentrics are in the CSV file.
const SHOWN: [usize; 15] = [0, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17];

impl Sheet {
    /// That of these cells.
    pub fn of(cells: &[Cell]) -> Self {
        let accepted = cells.iter().find_map(|cell| cell.dicentric.as_ref()).map(|d| d.accepted_centromeres);
        let counting = counting(cells);
        let rows: Vec<[String; 18]> = cells.iter().enumerate().map(|(i, cell)| row(i + 1, cell, &counting)).collect();
        // A column that says nothing in any cell is left out.
        let said = |column: usize| !matches!(column, 2 | 9 | 17) || rows.iter().any(|row| !row[column].is_empty());
        let shown: Vec<usize> = SHOWN.into_iter().filter(|column| said(*column)).collect();
        let field = |row: &[String; 18], column: usize| match &*row[column] {
            // Noughts would hide what there is.
            "0" if (7..=13).contains(&column) => "·".to_owned(),
            text => text.to_owned(),
        };
        Self {
            accepted: accepted.unwrap_or([46, 46]),
            columns: shown.iter().map(|&c| Column { code: COLUMNS[c], number: (5..=13).contains(&c) }).collect(),
            rows: rows
                .iter()
                .map(|row| Row { counted: row[15] == "yes", fields: shown.iter().map(|&c| field(row, c)).collect() })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{AberrationCounts, ScoredBy, Verdict};
    use testing::sample_cell;

    #[test]
    fn a_line_tells_why_a_cell_does_not_count() {
        let mut cell = sample_cell(3, Some("7"), Verdict::NotAssessable);
        let counts = AberrationCounts { monocentrics: 43, dicentrics: 1, fragments: 3, ..AberrationCounts::default() };
        cell.dicentric = Some(counts.record([46, 46], Some(true), ScoredBy::Review));
        let alone = |cell: &Cell| counting([cell]);
        let line = row(1, &cell, &alone(&cell));
        let field = |name: &str| line[COLUMNS.iter().position(|c| *c == name).expect("a column")].as_str();
        assert_eq!((field("centromeres"), field("counted")), ("45", "no: incomplete"));
        assert_eq!((field("fragments"), field("excess_fragments"), field("first_division")), ("3", "2", "yes"));
        let mut quick = cell.clone();
        quick.dicentric = quick.dicentric.map(|record| record.by_look(true));
        let line = row(1, &quick, &alone(&quick));
        assert_eq!((line[5].as_str(), line[15].as_str()), ("QuickScan", "yes"));
        let left_out = |record: domain::DicentricRecord| domain::DicentricRecord {
            not_selected: Some("it has 51 pieces".into()),
            ..record
        };
        quick.dicentric = quick.dicentric.map(left_out);
        assert_eq!(counted_words(&quick, &alone(&quick)), "no: not selected, it has 51 pieces");
        let sheet = Sheet::of(&[cell]);
        assert!(!sheet.rows[0].counted && sheet.accepted == [46, 46]);
        let codes: Vec<&str> = sheet.columns.iter().map(|column| column.code).collect();
        assert!(codes.contains(&"fragments") && !codes.contains(&"higher"), "{codes:?}");
    }

    #[test]
    fn a_cell_that_the_dose_leaves_out_by_rank_is_not_said_to_count() {
        let ranked = |distance| {
            let mut cell = sample_cell(3, Some("7"), Verdict::NotAssessable);
            let whole = AberrationCounts { monocentrics: 46, ..AberrationCounts::default() };
            let record = whole.record([46, 46], None, ScoredBy::Machine);
            let ranked = Some(domain::Ranked { distance, best: 1 });
            cell.dicentric = Some(domain::DicentricRecord { ranked, ..record });
            cell
        };
        let cells = [ranked(2.0), ranked(1.0)];
        let counting = counting(&cells);
        let words = cells.each_ref().map(|cell| counted_words(cell, &counting));
        assert_eq!(words, ["no: not selected, others of the case look more like a whole cell", "yes"]);
        let mut tally = crate::case::DoseTally::default();
        cells.iter().filter_map(|cell| cell.dicentric.as_ref()).for_each(|record| tally.add(record));
        assert_eq!(tally.cells().counted, 1);
        let counted: Vec<bool> = Sheet::of(&cells).rows.iter().map(|row| row.counted).collect();
        assert_eq!(counted, [false, true]);
    }
}
