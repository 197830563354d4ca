//! The dose of a case as its cells arrive: the `dose/1` message.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use super::alarm::AlarmState;
use domain::{Coded, DicentricRecord, NOTICE, Said, ScoredBy};
use dosimetry::Subject;
use dosimetry::dicentric::{Counting, NotCounted, Rank, counted};
use dosimetry::{
    CountedBy, Curve, DosimetryError, Estimate, Fading, Gray, Mismatch, Response, Sample, Settings, estimate,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a station turns cells into a dose.
#[derive(Debug, Clone)]
pub struct DoseSettings {
    /// Calibration curve.
    pub curve: Curve,
    /// Method, levels, circumstances of the exposure.
    pub settings: Settings,
    /// "Cells needed" are for limits this far from the estimate: 0.5 Gy is what triage asks for.
    pub half_width: Gray,
    /// Cells of a triage score.
    pub triage_cells: u64,
    /// Counted cells before an alarm may go out.
    pub alarm_min_cells: u64,
    /// Cells, or dicentrics, of a full assay: whichever comes first.
    pub full: (u64, u64),
    /// Whether the document contains the subject data that the dose uses.
    pub publish_subject: bool,
}

impl DoseSettings {
    /// 50 cells for triage, 500 cells or 100 dicentrics for a full assay, +- 0.5 Gy.
    pub fn new(curve: Curve, settings: Settings) -> Self {
        Self {
            curve,
            settings,
            half_width: Gray::clamped(0.5),
            triage_cells: 50,
            alarm_min_cells: 50,
            full: (500, 100),
            publish_subject: false,
        }
    }
}

/// How far the scoring of a case has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Fewer cells than a triage score.
    #[default]
    Started,
    /// Enough to sort people (50 cells, or 30 dicentrics).
    Triage,
    /// A full assay (500 cells or 100 dicentrics).
    Full,
}

/// Numbers of cells of a case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoseCells {
    /// All that hold an aberration record.
    pub seen: u64,
    /// That count towards the dose.
    pub counted: u64,
    /// Not counted: neither a machine nor a person has scored them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_scored: u64,
    /// Not counted: not as many centromeres as a complete cell has.
    pub incomplete: u64,
    /// Not counted: in a later division.
    pub second_division: u64,
    /// Not counted: an aberration is unclear and no person has reviewed it.
    pub unclear: u64,
    /// Not counted: left out by the scorer's selection of cells.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_selected: u64,
    /// Counted by QuickScan: complete by their look.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub quickscan: u64,
    /// Not counted: excluded by a person.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub excluded: u64,
    /// Counted, and scored by a person.
    pub reviewed: u64,
    /// Counted with dicentrics that a machine called and no person has looked at.
    pub awaiting_review: u64,
}

/// Dicentrics that are enough for triage and for an alarm, whatever the number of cells (IAEA 2011, 14.4).
const ENOUGH_DICENTRICS: u64 = 30;

/// Months after an exposure within which a half-time of years is called inappropriate (IAEA 2011, 9.7.4.4).
const EARLY_MONTHS: f64 = 12.0;

/// What to know of the correction for the time since the exposure.
fn early_flag(subject: &Subject, fading: Fading) -> Option<Said> {
    let Fading::HalfLife(half_life) = fading else { return None };
    let months = subject.months_since().filter(|months| *months > 0.0)?;
    (months < EARLY_MONTHS).then(|| {
        let text = format!(
            "the dose is corrected for the time since the exposure with a half-time of {half_life} months, which is meant for delays of \
             years: within the first year patients kept a plateau of some 20 weeks"
        );
        Said::new("flag_early", text).with("months", half_life)
    })
}

/// Why a dose does not hold for who counted, with its code.
fn said_of(mismatch: &Mismatch) -> Said {
    let text = mismatch.to_string();
    match mismatch {
        Mismatch::OtherScorer { of_curve, others } => {
            Said::new("flag_other_scorer", text).with("of_curve", of_curve).with("others", others.join("; "))
        }
        Mismatch::ByPeople { of_curve, cells, of } => {
            Said::new("flag_by_people", text).with("of_curve", of_curve).with("cells", cells).with("of", of)
        }
        Mismatch::ByMachine => Said::new("flag_curve_by_people", text),
        Mismatch::Unsaid => Said::new("flag_scorer_unknown", text),
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Running counts of a case: a cell costs nothing to add, and a corrected one is taken out and added again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DoseTally {
    sums: Sums,
    /// Cells of which only the best of the case count, the best first; those that are alike together with their number.
    ranked: BTreeMap<Rank, Vec<(Scored, u64)>>,
}

/// Sums over cells.
#[derive(Debug, Clone, Default, PartialEq)]
struct Sums {
    cells: DoseCells,
    histogram: Vec<u64>,
    rings: u64,
    fragments: u64,
    by_machine: u64,
    /// Counted cells that a machine scored and of which nobody knows whether they are in their first division.
    division_unknown: u64,
    /// Counted cells that a machine scored, by the scorer that did.
    scorers: BTreeMap<Arc<str>, u64>,
}

/// What a cell adds to a tally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scored {
    counted: Result<(), NotCounted>,
    dicentrics: u32,
    rings: u32,
    fragments: u32,
    by: ScoredBy,
    quickscan: bool,
    first_division: Option<bool>,
    scorer: Option<Arc<str>>,
    rank: Option<Rank>,
}

impl From<&DicentricRecord> for Scored {
    fn from(record: &DicentricRecord) -> Self {
        Self {
            counted: counted(record),
            dicentrics: record.counts.dicentric_equivalents(),
            rings: record.counts.rings,
            fragments: record.counts.fragments,
            by: record.scored_by,
            quickscan: record.quickscan,
            first_division: record.first_division,
            scorer: record.scorer.as_ref().map(|scorer| scorer.label().into()),
            rank: Rank::of(record),
        }
    }
}

impl Sums {
    /// Adds so many cells that are alike, or takes them out.
    fn change(&mut self, cell: &Scored, by: i64) {
        let one = |count: &mut u64| *count = count.saturating_add_signed(by);
        let many = |sum: &mut u64, n: u32| *sum = sum.saturating_add_signed(by * i64::from(n));
        one(&mut self.cells.seen);
        if let Err(why) = cell.counted {
            return one(match why {
                NotCounted::NotScored => &mut self.cells.not_scored,
                NotCounted::Incomplete => &mut self.cells.incomplete,
                NotCounted::SecondDivision => &mut self.cells.second_division,
                NotCounted::Unclear => &mut self.cells.unclear,
                NotCounted::NotSelected => &mut self.cells.not_selected,
            });
        }
        one(&mut self.cells.counted);
        if cell.quickscan {
            one(&mut self.cells.quickscan);
        }
        let k = cell.dicentrics as usize;
        if self.histogram.len() <= k {
            self.histogram.resize(k + 1, 0);
        }
        one(&mut self.histogram[k]);
        many(&mut self.rings, cell.rings);
        many(&mut self.fragments, cell.fragments);
        match cell.by {
            ScoredBy::Review => one(&mut self.cells.reviewed),
            ScoredBy::Machine => {
                one(&mut self.by_machine);
                if cell.first_division.is_none() {
                    one(&mut self.division_unknown);
                }
                if let Some(scorer) = &cell.scorer {
                    one(self.scorers.entry(scorer.clone()).or_default());
                }
                if k > 0 {
                    one(&mut self.cells.awaiting_review);
                }
            }
            ScoredBy::Truth | ScoredBy::Import => {}
        }
    }

    fn dicentrics(&self) -> u64 {
        self.histogram.iter().enumerate().map(|(k, cells)| k as u64 * cells).sum()
    }

    fn sample(&self) -> Result<Sample, DosimetryError> {
        if self.cells.quickscan > 0 && self.cells.quickscan < self.cells.counted {
            return Err(DosimetryError::NotApplicable(format!(
                "{} of the {} counted cells were counted by QuickScan, the others by their centromeres: a dose is for cells of one mode",
                self.cells.quickscan, self.cells.counted
            )));
        }
        Sample::from_histogram(self.histogram.clone())
    }

    /// Who counted.
    fn counted_by(&self) -> CountedBy {
        CountedBy {
            scorers: self.scorers.keys().map(|scorer| scorer.to_string()).collect(),
            by_machine: self.by_machine,
            unnamed: self.by_machine.saturating_sub(self.scorers.values().sum()),
            cells: self.cells.counted,
        }
    }

    /// Whether there are enough cells for an alarm: so many, or 30 dicentrics.
    fn is_enough(&self, cells: u64) -> bool {
        self.cells.counted >= cells || self.dicentrics() >= ENOUGH_DICENTRICS
    }

    /// What a person should know of a machine's counts, beside whether the curve holds for them.
    fn machine_flags(&self) -> Vec<Said> {
        let mut flags = Vec::new();
        let number = self.counted_by().scorers_in_words().len();
        if number > 1 {
            let text = format!("{number} different scorers counted the cells of this case");
            flags.push(Said::new("flag_scorers", text).with("number", number));
        }
        if self.by_machine > 0 && self.by_machine < self.cells.counted {
            let (part, counted) = (self.by_machine, self.cells.counted);
            let text = format!(
                "a machine scored {part} of the {counted} counted cells, people the others: they find different shares of the dicentrics"
            );
            flags.push(Said::new("flag_mixed", text).with("part", part).with("counted", counted));
        }
        if self.division_unknown > 0 {
            let cells = self.division_unknown;
            let text = format!(
                "a machine does not recognise cells in their second division: {cells} of the counted cells may be such"
            );
            flags.push(Said::new("flag_division", text).with("cells", cells));
        }
        flags
    }
}

impl DoseTally {
    /// Adds a cell.
    pub fn add(&mut self, cell: impl Into<Scored>) {
        self.change(cell.into(), 1);
    }

    /// Takes out a cell that was added before, as it was then.
    pub fn remove(&mut self, cell: impl Into<Scored>) {
        self.change(cell.into(), -1);
        self.sums.scorers.retain(|_, cells| *cells > 0);
    }

    /// States how many cells a person has excluded.
    pub fn set_excluded(&mut self, cells: u64) {
        let now = &mut self.sums.cells;
        now.seen = (now.seen + cells).saturating_sub(now.excluded);
        now.excluded = cells;
    }

    fn change(&mut self, cell: Scored, by: i64) {
        let Some(rank) = cell.rank.filter(|_| cell.counted.is_ok()) else { return self.sums.change(&cell, by) };
        let alike = self.ranked.entry(rank).or_default();
        match alike.iter_mut().find(|(other, _)| *other == cell) {
            Some((_, cells)) => *cells = cells.saturating_add_signed(by),
            None => alike.push((cell, u64::from(by > 0))),
        }
        alike.retain(|(_, cells)| *cells > 0);
        if alike.is_empty() {
            self.ranked.remove(&rank);
        }
    }

    /// The sums with the best of the ranked cells.
    fn sums(&self) -> Cow<'_, Sums> {
        if self.ranked.is_empty() {
            return Cow::Borrowed(&self.sums);
        }
        let mut sums = self.sums.clone();
        let number = |alike: &Vec<(Scored, u64)>| alike.iter().map(|(_, cells)| cells).sum();
        let counting = Counting::among(self.ranked.iter().map(|(rank, alike)| (*rank, number(alike))));
        for (rank, alike) in &self.ranked {
            for (cell, cells) in alike {
                let counted = if counting.takes(*rank) { cell.counted } else { Err(NotCounted::NotSelected) };
                sums.change(&Scored { counted, ..cell.clone() }, *cells as i64);
            }
        }
        Cow::Owned(sums)
    }

    /// The counted cells as a sample.
    ///
    /// # Errors
    /// Where there are none, and where some were counted by QuickScan and others not.
    pub fn sample(&self) -> Result<Sample, DosimetryError> {
        self.sums().sample()
    }

    /// Numbers of cells.
    pub fn cells(&self) -> DoseCells {
        self.sums().cells
    }

    /// Dicentrics in the counted cells: a tricentric counts two.
    pub fn dicentrics(&self) -> u64 {
        self.sums().dicentrics()
    }

    /// Who counted the cells, for [`Curve::mismatches`].
    pub fn counted_by(&self) -> CountedBy {
        self.sums().counted_by()
    }

    /// Whether there are enough cells for an alarm: so many, or 30 dicentrics.
    pub fn is_enough(&self, cells: u64) -> bool {
        self.sums().is_enough(cells)
    }

    /// True when every counted dicentric was seen by a person (or was never called by a machine).
    pub fn reviewed(&self) -> bool {
        self.cells().awaiting_review == 0
    }

    /// What the counted cells say about the dose of this subject. The work is some hundred microseconds: ask once a
    /// second, not once a cell.
    pub fn dose(
        &self,
        (station, case): (&str, &str),
        alarm: AlarmState,
        settings: &DoseSettings,
        subject: &Subject,
    ) -> CaseDose {
        let sums = self.sums();
        let dicentrics = sums.dicentrics();
        let quickscan = sums.cells.quickscan > 0;
        let mut flags = Vec::new();
        let mut found = None;
        if sums.cells.counted == 0 {
            flags.push(Said::new("flag_no_cells", "no counted cells yet: no dose"));
        } else {
            match sums.sample().and_then(|sample| of_subject(sample, settings, subject, quickscan)) {
                Ok(estimate) => found = Some(estimate),
                Err(error) => flags.push(Said::new("flag_no_dose", format!("no dose: {error}")).with("reason", error)),
            }
        }
        if !subject.is_empty() && !settings.publish_subject {
            found = found.map(without_subject);
            let text = "the dose uses subject data of the case, which are not published";
            flags.push(Said::new("flag_subject", text));
        }
        let counted_by = sums.counted_by();
        let mismatches = settings.curve.mismatches(&counted_by);
        flags.extend(mismatches.iter().map(said_of));
        flags.extend(sums.machine_flags());
        flags.extend(early_flag(subject, settings.settings.fading));
        let progress = match (sums.cells.counted, dicentrics) {
            (cells, x) if cells >= settings.full.0 || x >= settings.full.1 => Progress::Full,
            (cells, x) if cells >= settings.triage_cells || x >= ENOUGH_DICENTRICS => Progress::Triage,
            _ => Progress::Started,
        };
        if progress == Progress::Started {
            let cells = settings.triage_cells;
            let text = format!("fewer than {cells} cells: too early to sort by dose");
            flags.push(Said::new("flag_few", text).with("cells", cells));
        }
        let cells_needed = found.as_ref().and_then(|e| cells_needed(e, settings));
        let flag_codes = flags.iter().cloned().map(Said::coded).collect();
        let flags = flags.into_iter().map(|said| said.text).collect();
        CaseDose {
            schema: CaseDose::SCHEMA.into(),
            station: station.into(),
            case: case.into(),
            cells: sums.cells,
            dicentrics,
            counts: sums.histogram.clone(),
            rings: sums.rings,
            fragments: sums.fragments,
            progress,
            preliminary: !sums.is_enough(settings.alarm_min_cells),
            scorers: counted_by.scorers,
            mismatch: mismatches.first().map(|why| why.short().to_owned()),
            cells_needed: CellsNeeded { half_width_gy: settings.half_width.value(), cells: cells_needed },
            estimate: found,
            subject: (settings.publish_subject && !subject.is_empty()).then_some(*subject),
            alarm,
            alarm_gy: None,
            flags,
            flag_codes,
            notice: NOTICE.into(),
        }
    }
}

/// Cells for limits that lie `half_width_gy` from the estimate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CellsNeeded {
    /// Half the width that is asked for, in Gy.
    pub half_width_gy: f64,
    /// Cells in all, about; none where the curve's own error is wider, or there is no dose yet.
    pub cells: Option<u64>,
}

/// The `dose/1` message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaseDose {
    /// `dose/1`.
    pub schema: String,
    /// Station.
    pub station: String,
    /// Id of the case.
    pub case: String,
    /// Numbers of cells.
    pub cells: DoseCells,
    /// Dicentrics in the counted cells: a tricentric counts two.
    pub dicentrics: u64,
    /// Counted cells with 0, 1, 2, ... dicentrics.
    pub counts: Vec<u64>,
    /// Centric rings in the counted cells; they are no part of the dose.
    pub rings: u64,
    /// Acentric fragments in the counted cells.
    pub fragments: u64,
    /// How far the scoring has come.
    pub progress: Progress,
    /// Too few cells for an alarm yet: fewer than `dose.alarm_min_cells` and fewer than 30 dicentrics. The dose is a first look.
    #[serde(default)]
    pub preliminary: bool,
    /// The scorers (version, strictness, selection of cells, networks) that counted the cells which a machine scored. A curve
    /// holds for cells of the scorer that its own were counted by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scorers: Vec<String>,
    /// Why the dose does not hold for these cells, in a few words: somebody else counted for the curve than counted them. The first
    /// of the flags that say it in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<String>,
    /// Cells needed for narrower limits.
    pub cells_needed: CellsNeeded,
    /// Yield, dose, dispersion, part of the body, limits, curve and warnings; none before the first counted cell.
    pub estimate: Option<Estimate>,
    /// Subject data that the dose uses; only where `dose.publish_subject` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// The alarm of the case.
    pub alarm: AlarmState,
    /// Its level in Gy, where one is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm_gy: Option<f64>,
    /// What a person should know beyond the estimate's warnings.
    pub flags: Vec<String>,
    /// The codes of these words, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flag_codes: Vec<Coded>,
    /// Research use only.
    pub notice: String,
}

impl CaseDose {
    /// Name and major version of the message.
    pub const SCHEMA: &'static str = "dose/1";

    /// Whether nothing is counted because nobody has scored: such a case is not free of dicentrics.
    pub fn is_unscored(&self) -> bool {
        self.cells.counted == 0 && self.cells.unclear + self.cells.not_scored > 0
    }

    /// Lower limit of the whole-body dose, where there is one.
    pub fn lower_limit(&self) -> Option<f64> {
        self.estimate.as_ref().and_then(|e| e.dose_gy.low)
    }
}

/// The estimate with what is known of the person: aberrations lost since the exposure, and those that an earlier
/// exposure has left, which are no part of the dose asked for.
fn of_subject(
    sample: Sample,
    settings: &DoseSettings,
    subject: &Subject,
    quickscan: bool,
) -> Result<Estimate, DosimetryError> {
    let mut of_dose = Settings { quickscan, ..settings.settings.clone() };
    if subject.months_since().is_some() {
        of_dose.remaining = subject.remaining(of_dose.fading)?;
    }
    let sample = with_earlier(sample, &settings.curve, subject, of_dose.fading)?;
    estimate(&sample, &settings.curve, &of_dose)
}

/// The sample, with the aberrations that an earlier exposure of the subject has left as its background.
///
/// # Errors
/// When their number makes no sense.
pub fn with_earlier(
    sample: Sample,
    curve: &Curve,
    subject: &Subject,
    fading: Fading,
) -> Result<Sample, DosimetryError> {
    let Some(earlier) = subject.earlier_yield(curve, fading) else { return Ok(sample) };
    let left = sample.background() + earlier * sample.full_genome_cells();
    let factor = sample.genome_factor();
    sample.with_genome(factor, left)
}

/// The estimate without the figures that reveal the subject.
fn without_subject(mut estimate: Estimate) -> Estimate {
    estimate.input.remaining = None;
    estimate.input.background = None;
    estimate.yield_at_exposure = None;
    estimate.dose_gy_uncorrected = None;
    estimate
}

/// Cells until the limits are as near as asked: the error of the counts shrinks with them, that of the curve does not.
/// By the delta method; exact limits of few counts are a little wider.
fn cells_needed(found: &Estimate, settings: &DoseSettings) -> Option<u64> {
    let response: Response<'_> =
        settings.curve.at(settings.settings.protraction).with_remaining(settings.settings.remaining);
    let dose = Gray::new(found.dose_gy.value).ok()?;
    let step = 1e-3;
    let next = Gray::new(dose.value() + step).ok()?;
    let slope = (response.yield_at(next).value() - response.yield_at(dose).value()) / step;
    let error = settings.half_width.value() * slope / 1.96;
    let of_curve = response.error_at(dose).value();
    let variance = error * error - of_curve * of_curve;
    let y = found.yield_.value.max(response.yield_at(Gray::ZERO).value());
    let cells = (y / variance).ceil();
    (variance > 0.0 && cells.is_finite() && cells < 1e9).then_some((cells as u64).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dosimetry::{CellSurvival, Exposure, Scoring, built_in};
    use rand::SeedableRng;

    const LAB: (&str, &str) = ("lab", "7");
    const NOBODY: Subject =
        Subject { age: None, exposed: None, sampled: None, earlier_gy: None, earlier_exposed: None };

    fn settings() -> DoseSettings {
        DoseSettings::new(built_in("co60_barquinero1995").expect("curve"), Settings::default())
    }

    fn exposed(dose: f64, fraction: f64, cells: usize) -> Vec<DicentricRecord> {
        let curve = built_in("co60_barquinero1995").expect("curve");
        let exposure = Exposure::new(&curve, Gray::clamped(dose), fraction, CellSurvival::default()).expect("exposure");
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        (0..cells).map(|_| exposure.draw(&mut rng).record()).collect()
    }

    fn tally(records: &[DicentricRecord]) -> DoseTally {
        let mut tally = DoseTally::default();
        records.iter().for_each(|r| tally.add(r));
        tally
    }

    #[test]
    fn the_dose_converges_to_that_of_the_exposure() {
        let records = exposed(2.0, 1.0, 1000);
        let mut widths = Vec::new();
        for cells in [20, 100, 1000] {
            let dose = tally(&records[..cells]).dose(LAB, AlarmState::Clear, &settings(), &NOBODY);
            let limits = dose.estimate.expect("an estimate").dose_gy;
            let (low, high) = (limits.low.expect("low"), limits.high.expect("high"));
            assert!(low < 2.0 && 2.0 < high, "{cells} cells: {low} to {high}");
            widths.push(high - low);
        }
        assert!(widths[0] > widths[1] && widths[1] > widths[2]);
    }

    #[test]
    fn half_a_body_is_distinguished_from_a_whole_one() {
        let dose = tally(&exposed(4.0, 0.5, 1000)).dose(LAB, AlarmState::Clear, &settings(), &NOBODY);
        let estimate = dose.estimate.expect("an estimate");
        let part = estimate.partial_body.expect("u exceeds 1.96");
        assert!(part.dose_gy.low.expect("low") < 4.0 && 4.0 < part.dose_gy.high.expect("high"), "{part:?}");
        assert!((part.fraction.value - 0.5).abs() < 0.2, "{part:?}");
    }

    #[test]
    fn a_corrected_cell_is_counted_once() {
        let records = exposed(3.0, 1.0, 50);
        let mut running = tally(&records);
        let before = running.clone();
        let mut changed = records[7].clone();
        changed.first_division = Some(false);
        running.remove(&records[7]);
        running.add(&changed);
        assert_eq!((running.cells().counted, running.cells().second_division), (49, 1));
        running.remove(&changed);
        running.add(&records[7]);
        assert_eq!(running, before);
    }

    #[test]
    fn progress_goes_from_triage_to_a_full_assay() {
        let at = |cells| tally(&exposed(0.5, 1.0, cells)).dose(LAB, AlarmState::Clear, &settings(), &NOBODY).progress;
        assert_eq!((at(10), at(50), at(500)), (Progress::Started, Progress::Triage, Progress::Full));
    }

    #[test]
    fn no_counted_cell_gives_no_dose_and_says_so() {
        let dose = DoseTally::default().dose(LAB, AlarmState::Clear, &settings(), &NOBODY);
        assert_eq!((dose.estimate.is_none(), dose.lower_limit()), (true, None));
        assert!(dose.flags[0].contains("no counted cells"));
    }

    #[test]
    fn machine_calls_wait_for_a_person_and_are_flagged() {
        let mut records = exposed(4.0, 1.0, 60);
        records.iter_mut().for_each(|r| r.scored_by = ScoredBy::Machine);
        let running = tally(&records);
        assert!(!running.reviewed());
        let dose = running.dose(LAB, AlarmState::Clear, &settings(), &NOBODY);
        assert!(dose.flags.iter().any(|f| f.contains("machine")));
        records.iter_mut().for_each(|r| r.scored_by = ScoredBy::Review);
        assert!(tally(&records).reviewed());
    }

    #[test]
    fn a_machines_dose_states_its_scorer_and_whether_the_curve_was_made_with_it() {
        let used = |strictness| domain::ScorerUsed {
            scorer: "axis-1".into(),
            strictness,
            selection: "46 to 46 centromeres".into(),
            models: "anatomy: a@1".into(),
        };
        let mut records = exposed(2.0, 1.0, 60);
        for record in &mut records {
            record.scored_by = ScoredBy::Machine;
            record.scorer = Some(used(0.7));
        }
        let with = |records: &[DicentricRecord], scorer: Option<&str>| {
            let mut settings = settings();
            let mut about = settings.curve.about().clone();
            about.scoring = Some(Scoring::Automatic);
            about.scorer = scorer.map(str::to_owned);
            settings.curve = settings.curve.with_about(about);
            tally(records).dose(LAB, AlarmState::Clear, &settings, &NOBODY)
        };
        let same = with(&records, Some(&used(0.7).label()));
        assert_eq!(same.scorers, [used(0.7).label()]);
        assert!(same.flags.is_empty(), "{:?}", same.flags);
        let other = with(&records, Some(&used(0.9).label()));
        assert!(other.flags.iter().any(|flag| flag.contains("no dose by this curve holds")), "{:?}", other.flags);
        assert!(with(&records, None).flags.iter().any(|flag| flag.contains("does not say which scorer")));
        // One cell among them that names no scorer is not passed over.
        records[9].scorer = None;
        let partly = with(&records, Some(&used(0.7).label()));
        assert_eq!(partly.mismatch.as_deref(), Some("another scorer's curve"));
        assert!(
            partly.flags.iter().any(|flag| flag.contains("unnamed scorer (in 1 of the cells)")),
            "{:?}",
            partly.flags
        );
        records[9].scorer = Some(used(0.7));
        let mut all = tally(&records);
        records.iter().for_each(|record| all.remove(record));
        let sums = Sums { histogram: all.sums.histogram.clone(), ..Sums::default() };
        assert_eq!(all, DoseTally { sums, ..DoseTally::default() });
        // A dose that does not hold says so in a few words, too.
        assert_eq!((same.mismatch, other.mismatch.as_deref()), (None, Some("another scorer's curve")));
        assert!(with(&records, None).mismatch.is_some());
        records.iter_mut().for_each(|record| record.first_division = None);
        let unknown = with(&records, Some(&used(0.7).label()));
        assert!(unknown.flags.iter().any(|flag| flag.contains("second division: 60")), "{:?}", unknown.flags);
    }

    #[test]
    fn of_ranked_cells_the_best_count_whatever_order_they_come_in() {
        let ranked = |distance: f32, dicentrics: u32| {
            let mut record = exposed(0.0, 1.0, 1).remove(0);
            record.counts.dicentrics = dicentrics;
            record.scored_by = ScoredBy::Machine;
            record.ranked = Some(domain::Ranked { distance, best: 3 });
            record
        };
        // Two are as good as the third.
        let mut records =
            vec![ranked(4.0, 5), ranked(1.0, 0), ranked(2.0, 1), ranked(3.0, 2), ranked(3.0, 0), ranked(9.0, 7)];
        let seen = |tally: &DoseTally| (tally.cells().counted, tally.cells().not_selected, tally.dicentrics());
        let forward = tally(&records);
        assert_eq!(seen(&forward), (4, 2, 3));
        records.reverse();
        assert_eq!(seen(&tally(&records)), (4, 2, 3));
        let mut fewer = forward.clone();
        fewer.remove(&ranked(1.0, 0));
        fewer.remove(&ranked(2.0, 1));
        assert_eq!(seen(&fewer), (3, 1, 7));
        fewer.add(&ranked(2.0, 1));
        fewer.add(&ranked(1.0, 0));
        assert_eq!(seen(&fewer), seen(&forward));
        // One that does not count for another reason is not in the way of others.
        let mut incomplete = ranked(0.5, 0);
        incomplete.complete = false;
        fewer.add(&incomplete);
        assert_eq!((seen(&fewer), fewer.cells().incomplete), (seen(&forward), 1));
    }

    #[test]
    fn quickscan_needs_a_curve_of_its_own_and_no_other_cells_beside_it() {
        let quick: Vec<DicentricRecord> = exposed(2.0, 1.0, 60).into_iter().map(|r| r.by_look(true)).collect();
        let with = |records: &[DicentricRecord], quickscan| {
            let mut settings = settings();
            let about = dosimetry::About { quickscan, ..settings.curve.about().clone() };
            settings.curve = settings.curve.with_about(about);
            tally(records).dose(LAB, AlarmState::Clear, &settings, &NOBODY)
        };
        let refused = with(&quick, false);
        assert!(refused.estimate.is_none() && refused.flags[0].contains("QuickScan"), "{:?}", refused.flags);
        let found = with(&quick, true);
        assert_eq!((found.cells.quickscan, found.estimate.is_some()), (60, true));
        let mixed = with(&[&quick[..], &exposed(2.0, 1.0, 10)].concat(), true);
        assert!(mixed.estimate.is_none() && mixed.flags[0].contains("60 of the 70"), "{:?}", mixed.flags);
    }

    #[test]
    fn a_dose_is_preliminary_until_there_are_enough_cells_or_dicentrics() {
        let dose = |gray, cells| tally(&exposed(gray, 1.0, cells)).dose(LAB, AlarmState::Clear, &settings(), &NOBODY);
        assert!(dose(1.0, 20).preliminary && !dose(1.0, 50).preliminary);
        let few = dose(5.0, 25);
        assert!(few.dicentrics >= 30 && !few.preliminary, "{}", few.dicentrics);
    }

    #[test]
    fn a_cell_that_nobody_scored_is_seen_and_counted_apart() {
        let mut record = exposed(0.0, 1.0, 1).remove(0);
        record.not_scored = Some("no outlines".into());
        let dose = tally(&[record]).dose(LAB, AlarmState::Clear, &settings(), &NOBODY);
        assert_eq!((dose.cells.seen, dose.cells.not_scored, dose.cells.counted), (1, 1, 0));
        assert!(dose.estimate.is_none());
    }

    #[test]
    fn more_cells_are_needed_at_low_doses_for_narrow_limits() {
        let dose = tally(&exposed(1.0, 1.0, 500)).dose(LAB, AlarmState::Clear, &settings(), &NOBODY);
        let needed = dose.cells_needed.cells.expect("a number of cells");
        assert!((10..500).contains(&needed), "{needed}");
        let mut narrow = settings();
        narrow.half_width = Gray::clamped(0.01);
        let dose = tally(&exposed(1.0, 1.0, 500)).dose(LAB, AlarmState::Clear, &narrow, &NOBODY);
        assert_eq!(dose.cells_needed.cells, None, "the curve alone is less sure than that");
    }

    #[test]
    fn what_is_known_of_the_person_changes_the_dose_and_is_not_published() {
        let tally = tally(&exposed(2.0, 1.0, 1000));
        let of = |text: &str, settings: &DoseSettings| {
            let subject: Subject = serde_json::from_str(text).expect("subject data");
            tally.dose(LAB, AlarmState::Clear, settings, &subject)
        };
        let value = |dose: &CaseDose| dose.estimate.as_ref().expect("an estimate").dose_gy.value;
        let plain = value(&of("{}", &settings()));
        let late = of(r#"{"age":41,"exposed":"2025-01-01","sampled":"2026-01-01"}"#, &settings());
        assert!(value(&late) > plain * 1.08, "{} after a year, {plain} at once", value(&late));
        let before = of(r#"{"sampled":"2026-01-01","earlier_gy":1,"earlier_exposed":"2025-12-01"}"#, &settings());
        assert!(value(&before) < plain - 0.2, "{} beside an earlier gray, {plain} without", value(&before));
        for dose in [&late, &before] {
            let text = serde_json::to_string(dose).expect("JSON");
            for secret in ["2025-", "2026-", "\"age", "remaining", "\"background\"", "uncorrected", "subject\":"] {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
            assert!(dose.flags.iter().any(|f| f.contains("subject data")));
        }
        let open = DoseSettings { publish_subject: true, ..settings() };
        let open = of(r#"{"age":41}"#, &open);
        assert_eq!(open.subject.expect("published").age, Some(41.0));
    }
}
