//! What a cell holds: chromosomes as pieces of the ideogram, whole or rearranged.

use domain::{ChromosomeClass, Sex};

use super::ideogram;

/// A piece of a chromosome, from one place to another in ideogram units from pter; backwards when `from > to`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// Whose.
    pub class: ChromosomeClass,
    /// Where it begins.
    pub from: f32,
    /// Where it ends.
    pub to: f32,
}

impl Piece {
    /// A piece of `class`.
    pub fn new(class: ChromosomeClass, from: f32, to: f32) -> Self {
        Self { class, from, to }
    }

    /// Length in ideogram units.
    pub fn length(&self) -> f32 {
        (self.to - self.from).abs()
    }

    /// The same read from its other end.
    pub fn reversed(self) -> Self {
        Self { class: self.class, from: self.to, to: self.from }
    }

    /// Distance of the centromere from the piece's beginning, when it holds it.
    fn centromere(&self) -> Option<f32> {
        let place = ideogram::centromere(self.class);
        let (low, high) = if self.from < self.to { (self.from, self.to) } else { (self.to, self.from) };
        // A break within the centromere leaves it to the larger side; both sides of an isochromosome share one.
        (place > low && place < high).then(|| (place - self.from).abs())
    }
}

/// One chromosome of a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The class it counts as: that of its centromere, else of its longest piece.
    pub class: ChromosomeClass,
    /// The pieces, joined end to end.
    pub pieces: Vec<Piece>,
    /// True when its ends are joined.
    pub ring: bool,
    /// What it is in words or ISCN, when it is not the plain chromosome.
    pub name: Option<String>,
}

impl Plan {
    /// The normal chromosome.
    pub fn normal(class: ChromosomeClass) -> Self {
        Self { class, pieces: vec![Piece::new(class, 0.0, ideogram::length(class))], ring: false, name: None }
    }

    /// A rearranged chromosome of at least one piece; empty pieces are left out.
    pub fn rearranged(
        class: ChromosomeClass,
        pieces: impl IntoIterator<Item = Piece>,
        name: impl Into<String>,
    ) -> Self {
        let pieces = pieces.into_iter().filter(|piece| piece.length() > 1.0).collect();
        Self { class, pieces, ring: false, name: Some(name.into()) }
    }

    /// Length in ideogram units.
    pub fn length(&self) -> f32 {
        self.pieces.iter().map(Piece::length).sum()
    }

    /// Places of the centromeres, in units from the beginning.
    pub fn centromeres(&self) -> Vec<f32> {
        let mut at = 0.0;
        let mut found: Vec<f32> = Vec::new();
        for (i, piece) in self.pieces.iter().enumerate() {
            if let Some(place) = piece.centromere() {
                found.push(at + place);
            }
            at += piece.length();
            // Two arms joined in the centromere itself (isochromosome, Robertsonian fusion).
            if let Some(next) = self.pieces.get(i + 1)
                && piece.to == ideogram::centromere(piece.class)
                && next.from == ideogram::centromere(next.class)
            {
                found.push(at);
            }
        }
        found
    }

    /// True for two or more centromeres.
    pub fn is_dicentric(&self) -> bool {
        self.centromeres().len() >= 2
    }

    /// True for a piece without centromere.
    pub fn is_fragment(&self) -> bool {
        self.centromeres().is_empty()
    }
}

/// The chromosomes of a normal cell.
pub fn normal_cell(sex: Sex) -> Vec<Plan> {
    let mut plans: Vec<Plan> = ChromosomeClass::all()
        .filter(|class| !class.is_sex())
        .flat_map(|class| [Plan::normal(class), Plan::normal(class)])
        .collect();
    plans.push(Plan::normal(ChromosomeClass::X));
    plans.push(Plan::normal(match sex {
        Sex::Female => ChromosomeClass::X,
        Sex::Male => ChromosomeClass::Y,
    }));
    plans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_chromosome_has_one_centromere_and_an_end_has_none() {
        for class in ChromosomeClass::all() {
            let plan = Plan::normal(class);
            assert_eq!(plan.centromeres(), vec![ideogram::centromere(class)]);
            let end = Plan::rearranged(class, [Piece::new(class, plan.length() * 0.8, plan.length())], "ace");
            assert!(end.is_fragment());
        }
    }

    #[test]
    fn joined_arms_share_one_centromere() {
        let x = ChromosomeClass::X;
        let (middle, end) = (ideogram::centromere(x), ideogram::length(x));
        let iso = Plan::rearranged(x, [Piece::new(x, end, middle), Piece::new(x, middle, end)], "i(X)(q10)");
        assert_eq!(iso.centromeres(), vec![end - middle]);
    }

    #[test]
    fn a_normal_cell_has_46() {
        assert_eq!(normal_cell(Sex::Male).len(), 46);
        assert_eq!(normal_cell(Sex::Female).iter().filter(|p| p.class == ChromosomeClass::X).count(), 2);
    }
}
