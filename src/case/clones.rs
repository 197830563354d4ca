//! Which abnormalities are clonal, and the cell lines they make.
//!
//! By the conventions (ISCN): a gain or a structural change seen in two cells, a loss seen in three. What fewer
//! cells show is a chance finding of culture or preparation and does not name the case. The cells of one colony of an
//! in-situ culture descend from one: there a change must be seen in two colonies as well (Cheung et al. 1990 and
//! Featherstone et al. 1994 count colonies as independent).

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use uuid::Uuid;

use super::CellFacts;
use domain::{Sample, Verdict};
use karyotype::iscn::{
    Base, Body, CellLine, Cells, Item, Karyotype, Origin, SexChromosomes, SexComplement, Sign, Span, sort_items,
};

/// One cell as its karyotype says, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub cell: Uuid,
    /// Colony of an in-situ culture; cells without one count as one colony, since nothing distinguishes them.
    colony: Option<Arc<str>>,
    ploidy: u32,
    sex: SexChromosomes,
    items: Vec<Item>,
    /// Nothing unusual was found in it.
    normal: bool,
}

impl Counted {
    /// None when the cell has no readable karyotype.
    pub fn of(cell: &CellFacts) -> Option<Self> {
        let karyotype: Karyotype = cell.karyotype.iscn.as_deref()?.parse().ok()?;
        let line = karyotype.lines.into_iter().next()?;
        let Base::Sex(sex) = line.base else { return None };
        let ploidy = line.ploidy.unwrap_or((line.count.low + 11) / 23).max(1);
        let mut items = line.items;
        // Doubt about one cell is settled by the others.
        items.iter_mut().for_each(|item| item.uncertain = false);
        let normal = cell.karyotype.verdict == Verdict::Normal;
        Some(Self { cell: cell.cell, colony: cell.colony.clone(), ploidy, sex: sex.chromosomes, items, normal })
    }

    /// What is abnormal about it, each under a name that equal ones share.
    fn traits(&self) -> BTreeMap<String, Trait> {
        let mut traits = BTreeMap::new();
        if self.ploidy != 2 {
            traits.insert(format!("{}n", self.ploidy), Trait::Ploidy(self.ploidy));
        }
        if !normal_sex(self.sex, self.ploidy) {
            traits.insert(format!("sex {}", self.sex), Trait::Sex(self.sex));
        }
        let mut copies: BTreeMap<String, u32> = BTreeMap::new();
        for item in &self.items {
            // A second +21 is a trait of its own.
            let name = item.to_string();
            let copy = copies.entry(name.clone()).or_default();
            *copy += 1;
            traits.insert(format!("{name} #{copy}"), Trait::Item(item.clone(), *copy));
        }
        traits
    }
}

fn normal_sex(sex: SexChromosomes, ploidy: u32) -> bool {
    match sex {
        SexChromosomes::Undisclosed => true,
        SexChromosomes::Known { x, y } => x + y == ploidy && x > 0 && (ploidy != 2 || y < 2),
    }
}

/// Something abnormal that cells may share.
#[derive(Debug, Clone, PartialEq)]
enum Trait {
    Ploidy(u32),
    Sex(SexChromosomes),
    /// With which copy of it: a second +21 is another trait.
    Item(Item, u32),
}

impl Trait {
    fn is_loss(&self) -> bool {
        match self {
            Self::Ploidy(_) => false,
            Self::Sex(sex) => sex.number() < 2,
            Self::Item(item, _) => item.sign == Some(Sign::Loss) && matches!(item.body(), Body::Whole(_)),
        }
    }

    /// Cells that must share it.
    fn cells_needed(&self) -> usize {
        if self.is_loss() { 3 } else { 2 }
    }

    fn text(&self) -> String {
        match self {
            Self::Ploidy(ploidy) => format!("{ploidy}n"),
            Self::Sex(sex) => sex.to_string(),
            Self::Item(item, copy) => vec![item.to_string(); *copy as usize].join(","),
        }
    }
}

/// A cell line of a case.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub members: Vec<Uuid>,
    pub normal: bool,
    pub sex: SexChromosomes,
    ploidy: u32,
    items: Vec<Item>,
    /// A cell shows just this, without a chance finding beside it.
    shown: bool,
}

impl Line {
    /// Its findings in short: `+21`, `X`, `3n`, as [`karyotype::syndrome`] names them.
    pub fn codes(&self) -> Vec<String> {
        let mut codes: Vec<String> = self.items.iter().map(ToString::to_string).collect();
        if self.ploidy != 2 {
            codes.push(format!("{}n", self.ploidy));
        } else if !normal_sex(self.sex, 2) {
            codes.push(self.sex.to_string());
        }
        if codes.len() > 1 {
            codes.push(codes.join(","));
        }
        codes
    }

    fn written(&self, sample: Sample, usual: SexChromosomes, several: bool) -> CellLine {
        let mut items = self.items.clone();
        let mut sex = self.sex;
        if sample == Sample::Neoplastic
            && let (SexChromosomes::Known { x, y }, SexChromosomes::Known { x: ux, y: uy }) = (self.sex, usual)
            && self.ploidy == 2
        {
            // Acquired: gains stand beside the usual complement, losses beside what is left.
            for (class, n, usual) in [(domain::ChromosomeClass::X, x, ux), (domain::ChromosomeClass::Y, y, uy)] {
                let sign = if n > usual { Sign::Gain } else { Sign::Loss };
                items.extend((0..n.abs_diff(usual)).map(|_| Item::whole(sign, class)));
            }
            sex = SexChromosomes::Known { x: x.min(ux), y: y.min(uy) };
        }
        sort_items(&mut items);
        let cells = (several || sample == Sample::Neoplastic)
            .then_some(Cells { number: self.members.len() as u32, composite: false });
        let base = Base::Sex(SexComplement { chromosomes: sex, constitutional: None });
        let mut line = CellLine { count: Span::exact(1), ploidy: Some(self.ploidy), base, items, cells };
        let count = line.expected_count().unwrap_or(23 * self.ploidy);
        line.count = Span::exact(count);
        line.ploidy = None;
        if line.expected_count() != Some(count) {
            line.ploidy = Some(self.ploidy);
        }
        line
    }

    fn complexity(&self) -> usize {
        self.items.len() + usize::from(!normal_sex(self.sex, self.ploidy)) + usize::from(self.ploidy != 2)
    }
}

/// An abnormality that too few cells show.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chance {
    pub text: String,
    pub members: Vec<Uuid>,
    /// Cells that would make it clonal.
    pub needed: usize,
    pub loss: bool,
    /// Enough cells show it, but all of one colony: a change that arose in culture looks like that.
    pub one_colony: bool,
}

/// Colonies that an abnormality must be seen in, of an in-situ culture.
const COLONIES_NEEDED: usize = 2;

/// How many colonies these cells come from.
pub(super) fn colonies<'c>(cells: impl Iterator<Item = &'c Counted>) -> usize {
    cells.map(|cell| cell.colony.as_deref()).collect::<BTreeSet<_>>().len()
}

/// The cell lines in the order in which they are written, and the chance findings.
pub(super) fn lines(cells: &[Counted], sample: Sample) -> (Vec<Line>, Vec<Chance>) {
    let traits: Vec<BTreeMap<String, Trait>> = cells.iter().map(Counted::traits).collect();
    let mut bearers: BTreeMap<&str, (Vec<Uuid>, &Trait)> = BTreeMap::new();
    for (cell, own) in cells.iter().zip(&traits) {
        for (name, what) in own {
            bearers.entry(name).or_insert((Vec::new(), what)).0.push(cell.cell);
        }
    }
    let independent = |of: &[Uuid]| {
        let of: HashSet<&Uuid> = of.iter().collect();
        sample != Sample::InSitu || colonies(cells.iter().filter(|c| of.contains(&c.cell))) >= COLONIES_NEEDED
    };
    let clonal: BTreeSet<&str> = bearers
        .iter()
        .filter(|(_, (of, what))| of.len() >= what.cells_needed() && independent(of))
        .map(|(name, _)| *name)
        .collect();
    let chances: Vec<Chance> = bearers
        .iter()
        .filter(|(name, _)| !clonal.contains(*name))
        .map(|(_, (members, what))| Chance {
            text: what.text(),
            members: members.clone(),
            needed: what.cells_needed(),
            loss: what.is_loss(),
            one_colony: members.len() >= what.cells_needed(),
        })
        .collect();
    // "-11,-11" says what "-11" of the same cells says.
    let chances = told_once(chances);

    // Cells with the same clonal abnormalities make a line; a combination that too few show falls back to the
    // largest one that it contains.
    let mut sets: Vec<BTreeSet<&str>> = traits
        .iter()
        .map(|own| own.keys().map(String::as_str).filter(|name| clonal.contains(name)).collect())
        .collect();
    // How many cells have each combination, and the last of them. Those that are enough stay so: they only gain.
    let mut sizes: BTreeMap<BTreeSet<&str>, (usize, usize)> = BTreeMap::new();
    for (number, set) in sets.iter().enumerate() {
        let (size, last) = sizes.entry(set.clone()).or_default();
        (*size, *last) = (*size + 1, number);
    }
    let enough = |set: &BTreeSet<&str>, size: usize| {
        let all_losses = set.iter().all(|name| bearers[name].1.is_loss());
        set.is_empty() || size >= if all_losses { 3 } else { 2 }
    };
    sizes.retain(|set, (size, _)| enough(set, *size));
    for (number, set) in sets.iter_mut().enumerate().filter(|(_, set)| !set.is_empty()) {
        if sizes.contains_key(set) {
            continue;
        }
        let contained = sizes.iter_mut().filter(|(other, _)| other.len() < set.len() && other.is_subset(set));
        *set = match contained.max_by_key(|(other, (_, last))| (other.len(), *last)) {
            Some((other, (_, last))) => {
                *last = number.max(*last);
                other.clone()
            }
            None => BTreeSet::new(),
        };
    }
    let usual = usual_sex(cells);
    let mut lines: Vec<(BTreeSet<&str>, SexChromosomes, Line)> = Vec::new();
    for ((cell, set), own) in cells.iter().zip(&sets).zip(&traits) {
        // A cell that is abnormal by chance alone belongs to no line: the normal one counts normal cells.
        if set.is_empty() && !cell.normal {
            continue;
        }
        let shown = own.keys().map(String::as_str).eq(set.iter().copied());
        let mut line = Line { members: vec![cell.cell], normal: true, sex: usual, ploidy: 2, items: Vec::new(), shown };
        for name in set {
            line.normal = false;
            match bearers[name].1 {
                Trait::Ploidy(ploidy) => {
                    line.ploidy = *ploidy;
                    line.sex = cell.sex;
                }
                Trait::Sex(sex) => line.sex = *sex,
                Trait::Item(item, _) => line.items.push(item.clone()),
            }
        }
        // Two normal sexes in one case are two lines (chimera, or cells of the mother).
        if line.ploidy == 2 && normal_sex(line.sex, 2) && normal_sex(cell.sex, 2) {
            line.sex = cell.sex;
        }
        match lines.iter_mut().find(|(s, sex, _)| s == set && *sex == line.sex) {
            Some((_, _, known)) => {
                known.members.push(cell.cell);
                known.shown |= shown;
            }
            None => lines.push((set.clone(), line.sex, line)),
        }
    }
    let mut lines: Vec<Line> = lines.into_iter().map(|(_, _, line)| line).collect();
    // A karyotype that no cell has names no case: what is left when the chance findings are taken from cells that all have some.
    lines.retain(|line| line.shown);
    // A single cell of the other sex is named to the reviewer, not written.
    let normal = lines.iter().filter(|l| l.normal).count();
    if normal > 1 && lines.iter().any(|l| l.normal && l.members.len() > 1) {
        lines.retain(|l| !l.normal || l.members.len() > 1);
    }
    order(&mut lines, sample);
    (lines, chances)
}

/// Without the first copy of what the same cells show twice.
fn told_once(chances: Vec<Chance>) -> Vec<Chance> {
    let doubled = |c: &Chance| {
        let more = format!("{},", c.text);
        chances.iter().any(|other| other.text.starts_with(&more) && other.members == c.members)
    };
    chances.iter().filter(|c| !doubled(c)).cloned().collect()
}

/// The normal sex complement of most cells, else the one that the abnormal ones come from.
pub(super) fn usual_sex(cells: &[Counted]) -> SexChromosomes {
    let undisclosed = cells.iter().any(|c| c.sex == SexChromosomes::Undisclosed);
    if undisclosed {
        return SexChromosomes::Undisclosed;
    }
    let has_y = |c: &&Counted| matches!(c.sex, SexChromosomes::Known { y, .. } if y > 0);
    let normal: Vec<&Counted> = cells.iter().filter(|c| c.ploidy == 2 && normal_sex(c.sex, 2)).collect();
    let pool = if normal.is_empty() { cells.iter().collect() } else { normal };
    let males = pool.iter().copied().filter(has_y).count();
    if 2 * males > pool.len() { SexChromosomes::Known { x: 1, y: 1 } } else { SexChromosomes::Known { x: 2, y: 0 } }
}

/// Abnormal lines first: constitutional ones by size, of equal ones gain before loss; neoplastic ones from the
/// simpler to the more complex where related, by size where not. The normal line last; of two, the larger first, XX
/// before XY.
fn order(lines: &mut [Line], sample: Sample) {
    let sexes = |line: &Line| matches!(line.sex, SexChromosomes::Known { y, .. } if y > 0);
    let chromosomes = |line: &Line| line.written(Sample::Constitutional, line.sex, false).count.low;
    lines.sort_by(|a, b| {
        let size = || b.members.len().cmp(&a.members.len());
        let by_kind = a.normal.cmp(&b.normal);
        let by_rule = if a.normal {
            size().then(sexes(a).cmp(&sexes(b)))
        } else {
            size().then(chromosomes(b).cmp(&chromosomes(a)))
        };
        by_kind.then(by_rule)
    });
    if sample == Sample::Neoplastic {
        let abnormal = lines.iter().filter(|l| !l.normal).count();
        let related = lines[..abnormal]
            .iter()
            .enumerate()
            .any(|(i, a)| lines[i + 1..abnormal].iter().any(|b| a.items.iter().any(|item| b.items.contains(item))));
        if related {
            lines[..abnormal].sort_by_key(Line::complexity);
        }
    }
}

/// The case in ISCN form; none without lines.
pub(super) fn written(lines: &[Line], usual: SexChromosomes, sample: Sample) -> Option<Karyotype> {
    if lines.is_empty() {
        return None;
    }
    let several = lines.len() > 1;
    let origin = match sample {
        _ if !several => None,
        _ if lines.iter().filter(|l| l.normal).count() > 1 => Some(Origin::Chimera),
        Sample::Constitutional | Sample::InSitu => Some(Origin::Mosaic),
        Sample::Neoplastic => None,
    };
    let lines = lines.iter().map(|line| line.written(sample, usual, several)).collect();
    Some(Karyotype { origin, lines, recipient_lines: None })
}
