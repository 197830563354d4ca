//! What the dicentric assay counts in a cell.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BoundingBox, Damage};

/// Chromosomes of one cell by their centromeres, and the pieces without.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AberrationCounts {
    /// Chromosomes with one centromere, rings not counted.
    pub monocentrics: u32,
    /// Chromosomes with two centromeres.
    pub dicentrics: u32,
    /// Chromosomes with three centromeres.
    pub tricentrics: u32,
    /// Chromosomes with four or more centromeres, as their centromere counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub higher: Vec<u32>,
    /// Centric rings.
    pub rings: u32,
    /// Acentric fragments.
    pub fragments: u32,
    /// Pieces whose centromeres could not be counted.
    pub unclear: u32,
}

impl AberrationCounts {
    /// Sum of centromeres: a k-centric counts k, a ring one, a fragment none.
    pub fn centromeres(&self) -> u32 {
        self.monocentrics + 2 * self.dicentrics + 3 * self.tricentrics + self.higher.iter().sum::<u32>() + self.rings
    }

    /// Dicentric equivalents: a chromosome with k centromeres counts k - 1 (IAEA 2011; docs/guide/radiation.md).
    pub fn dicentric_equivalents(&self) -> u32 {
        self.dicentrics + 2 * self.tricentrics + self.higher.iter().map(|k| k.saturating_sub(1)).sum::<u32>()
    }

    /// Adds a piece of a kind.
    pub fn add(&mut self, kind: PieceKind) {
        let (count, n) = self.of(kind);
        *count += n;
    }

    /// Takes a piece of a kind out; false, and nothing is taken, where the counts hold none.
    pub fn remove(&mut self, kind: PieceKind) -> bool {
        let (count, n) = self.of(kind);
        let left = count.checked_sub(n);
        *count = left.unwrap_or(*count);
        left.is_some()
    }

    /// Where a piece of a kind counts, and how many it is there.
    fn of(&mut self, kind: PieceKind) -> (&mut u32, u32) {
        match kind {
            PieceKind::Monocentric => (&mut self.monocentrics, 1),
            PieceKind::TwoMonocentrics => (&mut self.monocentrics, 2),
            PieceKind::Dicentric => (&mut self.dicentrics, 1),
            PieceKind::Tricentric => (&mut self.tricentrics, 1),
            PieceKind::Ring => (&mut self.rings, 1),
            PieceKind::Fragment => (&mut self.fragments, 1),
            PieceKind::Unclear => (&mut self.unclear, 1),
        }
    }

    /// Fragments that dicentrics and rings leave behind: a chromosome with k centromeres k - 1, a ring one.
    pub fn fragments_expected(&self) -> u32 {
        self.dicentric_equivalents() + self.rings
    }

    /// The record of the cell. `accepted` is the lowest and highest sum of centromeres that counts as complete; it
    /// travels with the record, for it decides which cells are counted.
    pub fn record(self, accepted: [u32; 2], first_division: Option<bool>, scored_by: ScoredBy) -> DicentricRecord {
        let centromeres = self.centromeres();
        DicentricRecord {
            counts: self,
            centromeres,
            complete: (accepted[0]..=accepted[1]).contains(&centromeres),
            accepted_centromeres: accepted,
            first_division,
            scored_by,
            reviewed: Vec::new(),
            not_scored: None,
            scorer: None,
            flags: Vec::new(),
            doubles: 0,
            quickscan: false,
            not_selected: None,
            ranked: None,
        }
    }
}

/// What a piece of a cell is in the dicentric assay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PieceKind {
    /// A chromosome with one centromere.
    Monocentric,
    /// One with two.
    Dicentric,
    /// One with three.
    Tricentric,
    /// One whose ends have joined.
    Ring,
    /// An acentric fragment.
    Fragment,
    /// Two chromosomes with one centromere each that were taken for one piece.
    TwoMonocentrics,
    /// Its centromeres could not be counted.
    #[default]
    Unclear,
}

impl PieceKind {
    /// The damage that a piece of this kind shows.
    pub fn damage(self) -> Damage {
        match self {
            Self::Dicentric | Self::Tricentric => Damage::Dicentric,
            Self::Ring => Damage::Ring,
            Self::Fragment => Damage::Fragment,
            Self::Monocentric | Self::TwoMonocentrics | Self::Unclear => Damage::None,
        }
    }
}

impl From<Damage> for PieceKind {
    /// What shows no damage that the assay counts is one chromosome.
    fn from(damage: Damage) -> Self {
        match damage {
            Damage::Dicentric => Self::Dicentric,
            Damage::Ring => Self::Ring,
            Damage::Fragment => Self::Fragment,
            _ => Self::Monocentric,
        }
    }
}

/// What a piece was taken for, and how surely.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScoredPiece {
    /// What it is.
    pub kind: PieceKind,
    /// How sure whoever scored it is: a machine's score of the kind, 0 to 1; 1 of a person.
    pub score: f32,
    /// Who scored it.
    pub scored_by: ScoredBy,
}

/// Who counted the aberrations of a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScoredBy {
    /// The program.
    #[default]
    Machine,
    /// A person, here.
    Review,
    /// The virtual slide, which knows.
    Truth,
    /// Somebody elsewhere; the counts were imported.
    Import,
}

impl ScoredBy {
    /// As written in messages and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Review => "review",
            Self::Truth => "truth",
            Self::Import => "import",
        }
    }
}

/// The aberration record of a cell in the dicentric assay.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DicentricRecord {
    /// What was counted.
    #[serde(flatten)]
    pub counts: AberrationCounts,
    /// Sum of centromeres.
    pub centromeres: u32,
    /// Whether the cell counts as complete under the accepted range of centromeres.
    pub complete: bool,
    /// The accepted range of centromeres, lowest and highest, that `complete` used.
    pub accepted_centromeres: [u32; 2],
    /// Whether the cell is in its first division after exposure, where known.
    pub first_division: Option<bool>,
    /// Who counted.
    pub scored_by: ScoredBy,
    /// Called dicentrics that a person has accepted or rejected, by their `index` in the cell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewed: Vec<u32>,
    /// Why neither machine nor person has scored the cell; its counts are then no counts. None once somebody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_scored: Option<String>,
    /// The scorer that counted, where a machine did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scorer: Option<ScorerUsed>,
    /// What a person should look at, in words: a dicentric without its fragment, or the other way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Objects of the detector that were left out because another holds most of the same pixels.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub doubles: u32,
    /// Scored by QuickScan: `complete` says that the cell looks complete, its centromeres were not counted to 46.
    #[serde(default, skip_serializing_if = "is_false")]
    pub quickscan: bool,
    /// Why the scorer's selection of cells leaves it out; such a cell is not counted whoever has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_selected: Option<String>,
    /// Where it stands in a selection of the best cells of its case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranked: Option<Ranked>,
}

/// Where a cell stands among the cells of its case, of which the best count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ranked {
    /// How far it is from a whole cell; 0 is best.
    pub distance: f32,
    /// So many of the case count, and what is as good as the last of them.
    pub best: u32,
}

impl DicentricRecord {
    /// The same record as QuickScan makes it: as complete as it looks, whatever its sum of centromeres.
    #[must_use]
    pub fn by_look(self, looks_complete: bool) -> Self {
        Self { quickscan: true, complete: looks_complete, ..self }
    }

    /// Dicentric equivalents; none where nobody has scored the cell.
    pub fn dicentric_equivalents(&self) -> Option<u32> {
        self.not_scored.is_none().then(|| self.counts.dicentric_equivalents())
    }

    /// The cell in a few words, for headlines and tables. A cell that nobody has scored says so, and one of which the machine left
    /// pieces unclear does not say that it is free of dicentrics.
    pub fn headline(&self) -> String {
        let left_out = if self.not_selected.is_some() { ", not selected" } else { "" };
        format!("{}{left_out}", self.counts_in_words())
    }

    fn counts_in_words(&self) -> String {
        let n = self.counts.dicentric_equivalents();
        let dicentrics = format!("{n} dicentric{}", if n == 1 { "" } else { "s" });
        let unclear = self.counts.unclear;
        if self.not_scored.is_some() {
            "not scored".into()
        } else if unclear > 0 && self.scored_by == ScoredBy::Machine {
            let pieces = format!("{unclear} piece{} to review", if unclear == 1 { "" } else { "s" });
            if n > 0 { format!("{dicentrics} called, {pieces}") } else { pieces }
        } else if self.quickscan && self.complete {
            format!("{dicentrics} (QuickScan)")
        } else if self.quickscan {
            format!("{dicentrics}, does not look complete (QuickScan)")
        } else if self.complete {
            dicentrics
        } else {
            format!("{dicentrics}, incomplete: {} centromeres", self.centromeres)
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What counted the aberrations of a machine-scored cell. A dose and its curve belong together only where these are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScorerUsed {
    /// Name and version of the scorer.
    pub scorer: String,
    /// Its strictness, 0 to 1.
    pub strictness: f32,
    /// Which cells it selects, in words: `46 to 46 centromeres`.
    pub selection: String,
    /// The networks that it rests on, `task: name@hash12`, joined.
    pub models: String,
}

impl ScorerUsed {
    /// All of it in one line: what a curve file and a dose state, and what is compared.
    pub fn label(&self) -> String {
        let Self { scorer, strictness, selection, models } = self;
        format!("{scorer}, strictness {strictness}, {selection}, {models}")
    }
}

/// What a person saw where a dicentric was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rejected {
    /// One chromosome with one centromere.
    OneChromosome,
    /// Two chromosomes that lie end to end or across each other.
    TwoChromosomes,
    /// Nothing that can be decided.
    Unclear,
}

/// A cell as the virtual slide made it: what a simulated source knows beside its pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrueCell {
    /// Where it lies in the frame.
    pub region: BoundingBox,
    /// Its karyotype in ISCN.
    pub karyotype: String,
    /// Its aberrations, in the dicentric assay.
    pub dicentric: Option<DicentricRecord>,
    /// Where its dicentrics, tricentrics (with three centromeres or more), rings and fragments lie.
    pub aberrations: Vec<(BoundingBox, PieceKind)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headline_claims_no_more_than_was_scored() {
        let whole = AberrationCounts { monocentrics: 46, ..Default::default() };
        let of = |counts: AberrationCounts, by| counts.record([46, 46], None, by);
        assert_eq!(of(whole.clone(), ScoredBy::Machine).headline(), "0 dicentrics");
        let open = AberrationCounts { unclear: 2, ..whole.clone() };
        assert_eq!(of(open.clone(), ScoredBy::Machine).headline(), "2 pieces to review");
        assert_eq!(of(open, ScoredBy::Review).headline(), "0 dicentrics");
        let called = AberrationCounts { monocentrics: 43, dicentrics: 1, unclear: 1, ..Default::default() };
        assert_eq!(of(called, ScoredBy::Machine).headline(), "1 dicentric called, 1 piece to review");
        let lost = AberrationCounts { monocentrics: 41, dicentrics: 1, ..Default::default() };
        assert_eq!(of(lost, ScoredBy::Review).headline(), "1 dicentric, incomplete: 43 centromeres");
        let quick = AberrationCounts { monocentrics: 40, dicentrics: 2, ..Default::default() };
        let quick = |complete| of(quick.clone(), ScoredBy::Review).by_look(complete).headline();
        assert_eq!(
            (&*quick(true), &*quick(false)),
            ("2 dicentrics (QuickScan)", "2 dicentrics, does not look complete (QuickScan)")
        );
        let mut left_out = of(whole, ScoredBy::Machine);
        left_out.not_selected = Some("it has 51 pieces".into());
        assert_eq!(left_out.headline(), "0 dicentrics, not selected");
        let mut unseen = of(AberrationCounts { unclear: 47, ..Default::default() }, ScoredBy::Machine);
        unseen.not_scored = Some("no network has drawn its chromosomes".into());
        assert_eq!((unseen.headline().as_str(), unseen.dicentric_equivalents()), ("not scored", None));
    }

    #[test]
    fn every_kind_of_piece_goes_in_and_out() {
        use PieceKind::*;
        let mut counts = AberrationCounts::default();
        let all = [Monocentric, Dicentric, Tricentric, Ring, Fragment, TwoMonocentrics, Unclear];
        all.iter().for_each(|kind| counts.add(*kind));
        assert_eq!((counts.centromeres(), counts.fragments_expected()), (3 + 2 + 3 + 1, 4));
        assert!(all.iter().all(|kind| counts.remove(*kind)));
        assert_eq!(counts, AberrationCounts::default());
    }

    #[test]
    fn a_tricentric_counts_as_two_dicentrics() {
        let record = AberrationCounts { dicentrics: 3, tricentrics: 1, higher: vec![4], ..Default::default() };
        assert_eq!(record.dicentric_equivalents(), 3 + 2 + 3);
    }
}
