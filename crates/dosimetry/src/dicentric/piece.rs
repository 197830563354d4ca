//! What one piece of a cell is: how many centromeres it has, by what is seen along its axis.

use domain::{AberrationCounts, PieceKind, Stain};
use serde::{Deserialize, Serialize};

use super::{banded_fit, selection::SelectionRule, solid_fit};

/// The fitted numbers of a scorer. They rest on the network of outlines, and that is another one for solid stains and for banded ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Solid Giemsa.
    Solid,
    /// Stains that show bands, more or less: G and Q bands, DAPI.
    Banded,
}

impl Fit {
    /// That of a stain.
    pub fn of(stain: Stain) -> Self {
        match stain {
            Stain::Giemsa => Self::Solid,
            Stain::GBand | Stain::QBand | Stain::Dapi => Self::Banded,
        }
    }

    /// Name and version of the scorer with these numbers: a dose and a curve belong together only when the same scorer counted for both.
    /// To be raised with every change that moves a count, of code or of fitted numbers.
    pub fn scorer(self) -> &'static str {
        match self {
            Self::Solid => "axis-2",
            Self::Banded => "axis-3",
        }
    }

    fn dicentric(self) -> &'static Logistic<18> {
        match self {
            Self::Solid => &solid_fit::DICENTRIC,
            Self::Banded => &banded_fit::DICENTRIC,
        }
    }

    fn acentric(self) -> &'static Logistic<7> {
        match self {
            Self::Solid => &solid_fit::ACENTRIC,
            Self::Banded => &banded_fit::ACENTRIC,
        }
    }
}

/// A place along a piece's axis where a centromere may be: what a network sees there, and how the piece narrows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// Where, as a share of the length.
    pub share: f32,
    /// Score of the network's centromere here, 0 to 1; 0 where it sees none.
    pub heat: f32,
    /// How much narrower the piece is here than on either side, 0 to 1.
    pub depth: f32,
    /// The same on the side that narrows less.
    pub both: f32,
    /// How much less darkness lies across it, 0 to 1.
    pub mass: f32,
    /// Mean darkness across it in units of the piece's own.
    pub tone: f32,
}

/// What is measured of a piece.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// Places where a centromere may be, along the axis.
    pub sites: Vec<Site>,
    /// Length over mean width.
    pub aspect: f32,
    /// Aspect in units of the cell's median.
    pub slender: f32,
    /// Length in units of the cell's median.
    pub length: f32,
    /// Area over the cell's median.
    pub area: f32,
    /// Area of the largest hole over its own.
    pub hole: f32,
    /// How far the axis departs from a straight line, in lengths.
    pub bend: f32,
    /// Share of the axis that lies on ground: between chromatids that have parted.
    pub open: f32,
    /// Another piece lies across it.
    pub crossing: bool,
}

/// Why a piece that looks like a dicentric is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// A constriction without centromere lies between the two: two chromosomes end to end.
    Touch,
    /// Another chromosome lies across it.
    Crossing,
    /// It is bent like a folded chromosome.
    Fold,
    /// Its chromatids have parted, each with its own half of the centromere.
    Parted,
    /// One centromere rests on a narrowing of one side alone: beside a spot of stain.
    Spot,
}

impl Filter {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Touch, Self::Crossing, Self::Fold, Self::Parted, Self::Spot];

    /// In words, for the evidence of a chromosome.
    pub fn words(self) -> &'static str {
        match self {
            Self::Touch => "a constriction without centromere between the two: two chromosomes may touch end to end",
            Self::Crossing => "another chromosome lies across it",
            Self::Fold => "it is bent as a folded chromosome is",
            Self::Parted => "its chromatids have parted",
            Self::Spot => "one of the two narrows one side alone, as beside a spot of stain",
        }
    }

    /// Whether it strikes out a piece with these two centromeres.
    fn strikes(self, piece: &Piece, [a, b]: [&Site; 2]) -> bool {
        match self {
            Self::Touch => piece.sites.iter().any(|s| {
                let between = s.share > a.share.min(b.share) && s.share < a.share.max(b.share);
                between && s.heat < UNSEEN && s.both >= TOUCH_DEPTH && s.both > a.both.max(b.both)
            }),
            Self::Crossing => piece.crossing,
            Self::Fold => piece.bend > MOST_BEND,
            Self::Parted => piece.open > MOST_OPEN,
            Self::Spot => [a, b].iter().any(|s| s.heat < SEEN && s.depth >= 0.1 && s.both < 0.25 * s.depth),
        }
    }
}

/// Heat below which a network does not see a centromere, and from which it does by itself.
const UNSEEN: f32 = 0.1;
const SEEN: f32 = 0.35;
/// Depth, on both sides, of a constriction at which two may touch.
const TOUCH_DEPTH: f32 = 0.15;
/// Bend of a folded one, in lengths.
const MOST_BEND: f32 = 0.2;
/// Share of the axis on ground from which chromatids have parted.
const MOST_OPEN: f32 = 0.3;
/// Two centromeres lie at least so far apart, in mean widths.
const LEAST_APART: f32 = 0.8;
/// Hole of a ring over its area.
const RING_HOLE: f32 = 0.12;

/// How strictly a scorer calls. What it is belongs to every dose that rests on it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScorerSettings {
    /// Least score with which a piece is called a dicentric, 0 to 1.
    pub strictness: f32,
    /// Score from which a piece that is not called is unclear: a person looks at what may be a dicentric.
    pub doubt: f32,
    /// The filters in force.
    pub filters: Vec<Filter>,
    /// QuickScan: a cell counts as complete when it looks complete, by its number of pieces, instead of by 46 centromeres.
    pub quickscan: bool,
    /// Which cells are counted.
    pub selection: SelectionRule,
}

/// Pieces of a cell that looks complete, unless a selection says otherwise: a few may be joined or doubled, or belong to aberrations.
const LOOKS_COMPLETE: [u32; 2] = [42, 50];

impl ScorerSettings {
    /// Least and greatest number of pieces of a cell that looks complete.
    pub fn complete_look(&self) -> [u32; 2] {
        self.selection.pieces.unwrap_or(LOOKS_COMPLETE)
    }

    /// Which cells count, and what keeps pieces from being called, in words: a part of the scorer's name. `accepted` is the range of
    /// centromeres of a complete cell.
    pub fn selection_words(&self, accepted: [u32; 2]) -> String {
        let [low, high] = if self.quickscan { self.complete_look() } else { accepted };
        let complete = if self.quickscan {
            format!("QuickScan of {low} to {high} pieces")
        } else {
            format!("{low} to {high} centromeres")
        };
        let off: Vec<String> = Filter::ALL
            .into_iter()
            .filter(|filter| !self.filters.contains(filter))
            .map(|filter| format!("{filter:?}").to_lowercase())
            .collect();
        let without = if off.is_empty() { String::new() } else { format!(", without the filters {}", off.join(", ")) };
        let selected = self.selection.words().map_or(String::new(), |words| format!(", {words}"));
        format!("{complete}, none unclear from {}{without}{selected}", self.doubt)
    }
}

/// Strictness unless the configuration says otherwise: see docs/reference/dose.md for the curve it was chosen from.
pub const USUAL_STRICTNESS: f32 = 0.99;

/// Score from which a piece is unclear unless the configuration says otherwise.
pub const USUAL_DOUBT: f32 = 0.3;

impl Default for ScorerSettings {
    fn default() -> Self {
        Self {
            strictness: USUAL_STRICTNESS,
            doubt: USUAL_DOUBT,
            filters: Filter::ALL.to_vec(),
            quickscan: false,
            selection: SelectionRule::default(),
        }
    }
}

/// What a piece is by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Probability that it has two centromeres or more.
    pub dicentric: f32,
    /// Probability that it has none.
    pub acentric: f32,
    /// Centromeres that it was called with, two or more; fewer where it was not called.
    pub called: u32,
    /// It was not called, and may be a dicentric all the same.
    pub doubtful: bool,
    /// Its ends have joined.
    pub ring: bool,
    /// The filters that struck it out.
    pub struck: Vec<Filter>,
}

impl Judged {
    /// Of a piece.
    pub fn of(piece: &Piece, fit: Fit, settings: &ScorerSettings) -> Self {
        let ranked = ranked(piece);
        let acentric = fit.acentric().probability(acentric_features(piece, ranked.first().copied()));
        let dicentric = |a: &Site, b: &Site| fit.dicentric().probability(dicentric_features(piece, a, b));
        let mut judged = Self {
            dicentric: 0.0,
            acentric,
            called: 1,
            doubtful: false,
            ring: piece.hole >= RING_HOLE,
            struck: Vec::new(),
        };
        let [first, second, ..] = ranked[..] else { return judged };
        judged.dicentric = dicentric(first, second);
        if judged.dicentric < settings.strictness {
            judged.doubtful = judged.dicentric >= settings.doubt;
            return judged;
        }
        let strikes = |filter: &Filter| filter.strikes(piece, [first, second]);
        judged.struck = settings.filters.iter().copied().filter(strikes).collect();
        if judged.struck.is_empty() {
            let more = ranked[2..].iter().filter(|third| dicentric(first, third) >= settings.strictness);
            judged.called = 2 + more.count() as u32;
        }
        judged
    }
}

/// The places that may be centromeres, best first, no two of them the same one.
fn ranked(piece: &Piece) -> Vec<&Site> {
    let value = |s: &Site| s.heat + 0.7 * s.depth.min(0.5) + 0.5 * s.both.min(0.4);
    let mut all: Vec<&Site> = piece.sites.iter().collect();
    all.sort_by(|a, b| value(b).total_cmp(&value(a)));
    let mut kept: Vec<&Site> = Vec::new();
    for site in all {
        if kept.iter().all(|k| (k.share - site.share).abs() * piece.aspect >= LEAST_APART) {
            kept.push(site);
        }
    }
    kept
}

/// A logistic function over features: weight, mean and spread of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logistic<const N: usize> {
    pub(super) offset: f32,
    pub(super) features: [(f32, f32, f32); N],
}

impl<const N: usize> Logistic<N> {
    fn probability(&self, values: [f32; N]) -> f32 {
        let sum: f32 = values.iter().zip(self.features).map(|(v, (weight, mean, sd))| weight * (v - mean) / sd).sum();
        1.0 / (1.0 + (-(self.offset + sum)).exp())
    }
}

/// How far a place lies from the nearer end, in mean widths.
fn from_end(piece: &Piece, site: &Site) -> f32 {
    site.share.min(1.0 - site.share) * piece.aspect
}

/// Features of a piece with two places, in the order of the fitted numbers.
pub(super) fn dicentric_features(piece: &Piece, a: &Site, b: &Site) -> [f32; 18] {
    let between = piece.sites.iter().filter(|s| s.share > a.share.min(b.share) && s.share < a.share.max(b.share));
    [
        a.heat,
        b.heat,
        a.depth.min(0.5),
        b.depth.min(0.5),
        a.both.min(0.4),
        b.both.min(0.4),
        b.heat * b.both.min(0.4),
        piece.slender.min(2.5),
        piece.length.min(2.5),
        piece.area.min(3.0),
        from_end(piece, b).min(1.0),
        ((a.share - b.share).abs() * piece.aspect).min(2.5),
        between.map(|s| s.depth).fold(0.0, f32::max),
        piece.bend.min(0.3),
        b.tone.clamp(0.7, 1.2),
        piece.aspect.min(8.0),
        f32::from(u8::from(piece.crossing)),
        a.heat * b.heat,
    ]
}

/// Features of a piece with its best place, in the order of the fitted numbers.
pub(super) fn acentric_features(piece: &Piece, best: Option<&Site>) -> [f32; 7] {
    let best = best.copied().unwrap_or_default();
    [
        best.heat,
        best.depth.min(0.5),
        best.both.min(0.4),
        from_end(piece, &best).min(1.0),
        piece.slender.min(2.5),
        piece.length.min(2.5),
        piece.area.min(3.0),
    ]
}

/// What each piece of a cell is, with a score of 0 to 1; a piece that could not be measured is unclear.
///
/// Dicentrics and rings are called by each piece alone. Fragments are called by the cell together: a complete cell holds 46
/// centromeres, so that the number of its pieces says how many of them have none. The least centric ones are those, as long as
/// they look acentric themselves; the others stay chromosomes. One that surely looks acentric and is not needed to make up the
/// sum is unclear.
pub fn score_pieces(pieces: &[Option<Judged>]) -> Vec<(PieceKind, f32)> {
    let mut scored: Vec<(PieceKind, f32)> = pieces
        .iter()
        .map(|judged| match judged {
            None => (PieceKind::Unclear, 0.0),
            Some(j) if j.called > 2 => (PieceKind::Tricentric, j.dicentric),
            Some(j) if j.called == 2 => (PieceKind::Dicentric, j.dicentric),
            Some(j) if j.ring => (PieceKind::Ring, 1.0 - j.acentric),
            // It looks like a dicentric and something speaks against it: a person decides.
            Some(j) if j.doubtful || !j.struck.is_empty() => (PieceKind::Unclear, 1.0 - j.dicentric),
            Some(j) => (PieceKind::Monocentric, (1.0 - j.dicentric) * (1.0 - j.acentric)),
        })
        .collect();
    let mut counts = AberrationCounts::default();
    scored.iter().for_each(|(kind, _)| counts.add(*kind));
    // Most of what is unclear has one centromere.
    let surplus = (counts.centromeres() + counts.unclear).saturating_sub(WHOLE);
    // More than a cell with these aberrations has: two cells, or objects that are none. No sum says which.
    let surplus = if surplus > counts.fragments_expected() + MOST_EXCESS { 0 } else { surplus as usize };
    let mut single: Vec<(usize, f32)> = scored
        .iter()
        .zip(pieces)
        .enumerate()
        .filter(|(_, ((kind, _), _))| *kind == PieceKind::Monocentric)
        .filter_map(|(i, (_, judged))| Some((i, judged.as_ref()?.acentric)))
        .collect();
    single.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (place, (i, acentric)) in single.into_iter().enumerate() {
        scored[i] = match (place < surplus, acentric) {
            (true, p) if p >= MAY_BE_ACENTRIC => (PieceKind::Fragment, p),
            (false, p) if p >= IS_ACENTRIC => (PieceKind::Unclear, p),
            _ => continue,
        };
    }
    scored
}

/// Centromeres of a complete human cell.
const WHOLE: u32 = 46;
/// Fragments that a cell may have beside those of its dicentrics and rings, for the sum to say that they are fragments.
const MOST_EXCESS: u32 = 2;
/// Probability from which a piece may be a fragment where the cell has one too many, and from which it is none else.
const MAY_BE_ACENTRIC: f32 = 0.05;
const IS_ACENTRIC: f32 = 0.7;

#[cfg(test)]
mod tests {
    use super::*;

    fn site(share: f32, heat: f32, depth: f32) -> Site {
        Site { share, heat, depth, both: depth * 0.9, mass: depth, tone: 0.97 }
    }

    /// A long piece with a clear centromere a fifth from either end.
    fn dicentric() -> Piece {
        Piece {
            sites: vec![site(0.2, 0.6, 0.35), site(0.8, 0.55, 0.35)],
            aspect: 5.0,
            slender: 1.9,
            length: 2.1,
            area: 2.0,
            ..Piece::default()
        }
    }

    fn monocentric() -> Piece {
        Piece {
            sites: vec![site(0.4, 0.5, 0.3)],
            aspect: 2.6,
            slender: 1.0,
            length: 1.0,
            area: 1.0,
            ..Piece::default()
        }
    }

    fn judged(piece: &Piece) -> Judged {
        Judged::of(piece, Fit::Solid, &ScorerSettings { strictness: 0.7, ..ScorerSettings::default() })
    }

    #[test]
    fn two_clear_centromeres_make_a_dicentric_and_one_does_not() {
        let found = judged(&dicentric());
        assert!(found.dicentric > 0.9 && found.called == 2 && found.struck.is_empty(), "{found:?}");
        let one = judged(&monocentric());
        assert!(one.dicentric < 0.05 && one.acentric < 0.2 && one.called == 1, "{one:?}");
        let mut near = dicentric();
        near.sites[0].share = 0.7;
        assert_eq!(judged(&near).called, 1, "two places half a width apart are one centromere");
    }

    #[test]
    fn banded_stains_are_judged_by_numbers_of_their_own() {
        let settings = ScorerSettings::default();
        let of = |fit| Judged::of(&dicentric(), fit, &settings).dicentric;
        assert_ne!(of(Fit::Solid), of(Fit::Banded));
        assert_eq!([Stain::Giemsa, Stain::GBand, Stain::Dapi].map(Fit::of), [Fit::Solid, Fit::Banded, Fit::Banded]);
    }

    #[test]
    fn a_scorers_name_says_which_cells_it_counts() {
        let usual = ScorerSettings::default();
        assert_eq!(usual.selection_words([46, 46]), "46 to 46 centromeres, none unclear from 0.3");
        let quick = ScorerSettings { quickscan: true, filters: vec![Filter::Touch], ..usual.clone() };
        let words = quick.selection_words([46, 46]);
        assert!(
            words.starts_with("QuickScan of 42 to 50 pieces") && words.contains("without the filters crossing"),
            "{words}"
        );
        let best = SelectionRule { best: Some(250), ..SelectionRule::default() };
        let words = ScorerSettings { selection: best, ..usual }.selection_words([45, 46]);
        assert_eq!(words, "45 to 46 centromeres, none unclear from 0.3, the best 250 of a case");
    }

    #[test]
    fn a_third_centromere_makes_a_tricentric() {
        let mut piece = dicentric();
        piece.sites.insert(1, site(0.5, 0.55, 0.35));
        assert_eq!(judged(&piece).called, 3);
    }

    #[test]
    fn strictness_decides_what_is_called() {
        let weak = Piece { sites: vec![site(0.25, 0.5, 0.3), site(0.75, 0.25, 0.2)], ..dicentric() };
        let score = judged(&weak).dicentric;
        let at = |strictness| {
            Judged::of(&weak, Fit::Solid, &ScorerSettings { strictness, ..ScorerSettings::default() }).called
        };
        assert_eq!((at(score - 0.01), at(score + 0.01)), (2, 1), "{score}");
        let doubtful = |doubt| {
            let settings = ScorerSettings { strictness: score + 0.01, doubt, ..ScorerSettings::default() };
            score_pieces(&[Some(Judged::of(&weak, Fit::Solid, &settings))])[0].0
        };
        assert_eq!((doubtful(score - 0.01), doubtful(score + 0.005)), (PieceKind::Unclear, PieceKind::Monocentric));
    }

    /// Pieces that look like dicentrics and are none, each with the filter that strikes it.
    fn hard_negatives() -> [(Filter, Piece); 5] {
        let with = |change: &dyn Fn(&mut Piece)| {
            let mut piece = dicentric();
            change(&mut piece);
            piece
        };
        [
            (Filter::Touch, with(&|p| p.sites.insert(1, site(0.5, 0.0, 0.5)))),
            (Filter::Crossing, with(&|p| p.crossing = true)),
            (Filter::Fold, with(&|p| p.bend = 0.25)),
            (Filter::Parted, with(&|p| p.open = 0.5)),
            (Filter::Spot, with(&|p| (p.sites[1].heat, p.sites[1].both, p.length) = (0.3, 0.0, 2.5))),
        ]
    }

    #[test]
    fn each_filter_strikes_its_own_kind_of_false_dicentric_and_can_be_switched_off() {
        for (filter, piece) in hard_negatives() {
            let settings = |filters: Vec<Filter>| ScorerSettings {
                strictness: 0.3,
                doubt: 0.3,
                filters,
                ..ScorerSettings::default()
            };
            let all = Judged::of(&piece, Fit::Solid, &settings(Filter::ALL.to_vec()));
            assert_eq!((all.called, &all.struck[..]), (1, &[filter][..]), "{filter:?} {all:?}");
            let without = Filter::ALL.into_iter().filter(|f| *f != filter).collect();
            let off = Judged::of(&piece, Fit::Solid, &settings(without));
            assert!(off.called >= 2 && off.struck.is_empty(), "{filter:?} {off:?}");
        }
        assert!(judged(&dicentric()).struck.is_empty());
    }

    fn alike(n: usize, dicentric: f32, acentric: f32) -> Vec<Option<Judged>> {
        let called = if dicentric > 0.7 { 2 } else { 1 };
        vec![Some(Judged { dicentric, acentric, called, doubtful: false, ring: false, struck: Vec::new() }); n]
    }

    fn numbers(pieces: &[Option<Judged>]) -> domain::AberrationCounts {
        let mut counts = domain::AberrationCounts::default();
        score_pieces(pieces).iter().for_each(|(kind, _)| counts.add(*kind));
        counts
    }

    #[test]
    fn the_least_centric_piece_is_the_fragment_of_a_dicentric_where_the_sum_is_one_too_many() {
        let cell = [alike(44, 0.01, 0.02), alike(1, 0.9, 0.0), alike(1, 0.0, 0.3)].concat();
        let counts = numbers(&cell);
        assert_eq!((counts.dicentrics, counts.fragments, counts.monocentrics, counts.unclear), (1, 1, 44, 0));
        assert_eq!(counts.centromeres(), 46);
        // The same piece in a cell that is complete without it is a chromosome; one that is surely acentric waits for a person.
        let plain = numbers(&[alike(45, 0.01, 0.02), alike(1, 0.0, 0.3)].concat());
        assert_eq!((plain.fragments, plain.monocentrics), (0, 46));
        let odd = numbers(&[alike(45, 0.01, 0.02), alike(1, 0.0, 0.9)].concat());
        assert_eq!((odd.fragments, odd.unclear), (0, 1));
    }

    #[test]
    fn a_cell_with_too_many_pieces_is_not_made_complete_by_calling_chromosomes_fragments() {
        let counts = numbers(&alike(50, 0.01, 0.01));
        assert_eq!((counts.fragments, counts.centromeres()), (0, 50));
        // Two cells in one: pieces that might be fragments by themselves are too many to be.
        let two = numbers(&alike(88, 0.01, 0.3));
        assert_eq!((two.fragments, two.centromeres()), (0, 88));
        assert_eq!(numbers(&alike(48, 0.01, 0.3)).fragments, 2);
    }

    #[test]
    fn what_could_not_be_measured_or_was_struck_out_is_unclear() {
        let mut cell = alike(46, 0.01, 0.02);
        cell[3] = None;
        if let Some(judged) = &mut cell[5] {
            judged.struck.push(Filter::Touch);
        }
        assert_eq!(numbers(&cell).unclear, 2);
    }
}
