//! What a cell holds: chromosomes as segments of the ideogram, whole or rearranged.

use domain::{ChromosomeClass, Sex};

use super::{banding::Scale, ideogram};

/// A segment of a chromosome, from one place to another in ideogram units from pter; backwards when `from > to`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChromosomeSegment {
    /// Whose.
    pub class: ChromosomeClass,
    /// Where it begins.
    pub from: f32,
    /// Where it ends.
    pub to: f32,
}

impl ChromosomeSegment {
    /// A segment of `class`.
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

    /// Where it begins and ends on a scale.
    pub(super) fn ends(&self, scale: Scale) -> [f32; 2] {
        [self.from, self.to].map(|at| scale.place(self.class, at))
    }

    /// Length on a scale.
    pub(super) fn extent(&self, scale: Scale) -> f32 {
        let [from, to] = self.ends(scale);
        (to - from).abs()
    }

    /// Distance of the centromere from the segment's beginning on a scale, when it holds it.
    fn centromere(&self, scale: Scale) -> Option<f32> {
        let place = ideogram::centromere(self.class);
        let (low, high) = if self.from < self.to { (self.from, self.to) } else { (self.to, self.from) };
        // A break within the centromere leaves it to the larger side; both sides of an isochromosome share one.
        (place > low && place < high)
            .then(|| (scale.place(self.class, place) - scale.place(self.class, self.from)).abs())
    }
}

/// One chromosome of a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct ChromosomePlan {
    /// The class it counts as: that of its centromere, else of its longest segment.
    pub class: ChromosomeClass,
    /// The segments, joined end to end.
    pub segments: Vec<ChromosomeSegment>,
    /// True when its ends are joined.
    pub ring: bool,
    /// What it is in words or ISCN, when it is not the plain chromosome.
    pub name: Option<String>,
}

impl ChromosomePlan {
    /// The normal chromosome.
    pub fn normal(class: ChromosomeClass) -> Self {
        Self {
            class,
            segments: vec![ChromosomeSegment::new(class, 0.0, ideogram::length(class))],
            ring: false,
            name: None,
        }
    }

    /// A rearranged chromosome of at least one segment; empty segments are left out.
    pub fn rearranged(
        class: ChromosomeClass,
        segments: impl IntoIterator<Item = ChromosomeSegment>,
        name: impl Into<String>,
    ) -> Self {
        let segments = segments.into_iter().filter(|segment| segment.length() > 1.0).collect();
        Self { class, segments, ring: false, name: Some(name.into()) }
    }

    /// Length in ideogram units.
    pub fn length(&self) -> f32 {
        self.extent(Scale::Drawn)
    }

    /// Length on a scale.
    pub(super) fn extent(&self, scale: Scale) -> f32 {
        self.segments.iter().map(|segment| segment.extent(scale)).sum()
    }

    /// Places of the centromeres, in ideogram units from the beginning.
    pub fn centromeres(&self) -> Vec<f32> {
        self.centromeres_on(Scale::Drawn)
    }

    /// Places of the centromeres on a scale, from the beginning.
    pub(super) fn centromeres_on(&self, scale: Scale) -> Vec<f32> {
        let mut at = 0.0;
        let mut found: Vec<f32> = Vec::new();
        for (i, segment) in self.segments.iter().enumerate() {
            if let Some(place) = segment.centromere(scale) {
                found.push(at + place);
            }
            at += segment.extent(scale);
            // Two arms joined in the centromere itself (isochromosome, Robertsonian fusion).
            if let Some(next) = self.segments.get(i + 1)
                && segment.to == ideogram::centromere(segment.class)
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

    /// True for a segment without centromere.
    pub fn is_fragment(&self) -> bool {
        self.centromeres().is_empty()
    }
}

/// The chromosomes of a normal cell.
pub fn normal_cell(sex: Sex) -> Vec<ChromosomePlan> {
    let mut plans: Vec<ChromosomePlan> = ChromosomeClass::all()
        .filter(|class| !class.is_sex())
        .flat_map(|class| [ChromosomePlan::normal(class), ChromosomePlan::normal(class)])
        .collect();
    plans.push(ChromosomePlan::normal(ChromosomeClass::X));
    plans.push(ChromosomePlan::normal(match sex {
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
            let plan = ChromosomePlan::normal(class);
            assert_eq!(plan.centromeres(), vec![ideogram::centromere(class)]);
            let end = ChromosomePlan::rearranged(
                class,
                [ChromosomeSegment::new(class, plan.length() * 0.8, plan.length())],
                "ace",
            );
            assert!(end.is_fragment());
        }
    }

    #[test]
    fn joined_arms_share_one_centromere() {
        let x = ChromosomeClass::X;
        let (middle, end) = (ideogram::centromere(x), ideogram::length(x));
        let iso = ChromosomePlan::rearranged(
            x,
            [ChromosomeSegment::new(x, end, middle), ChromosomeSegment::new(x, middle, end)],
            "i(X)(q10)",
        );
        assert_eq!(iso.centromeres(), vec![end - middle]);
    }

    #[test]
    fn a_normal_cell_has_46() {
        assert_eq!(normal_cell(Sex::Male).len(), 46);
        assert_eq!(normal_cell(Sex::Female).iter().filter(|p| p.class == ChromosomeClass::X).count(), 2);
    }
}
