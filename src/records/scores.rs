//! Class scores of chromosomes that a person redrew, by the classifier that the frames of their source go through.

use std::collections::BTreeMap;

use domain::{BoundingBox, Cell, ChromosomeClass, ScoredClass, Stain, frame::Pixels};
use recognition::{
    Classifier, Item, Plane,
    inference::{ChosenEngine, InferenceConfig, ModelLibrary, Task, View},
    median_diagonal,
};

/// Probabilities below this are left out of a record, and all but the three best.
const LEAST: f32 = 0.01;
const MOST: usize = 3;

/// What the classifier says of one chromosome.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Probability of each class.
    pub classes: Vec<f32>,
    /// The best ones, for the record.
    pub alternatives: Vec<ScoredClass>,
}

/// What the classifier says of some chromosomes, and which it was.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassScores {
    /// `name@hash12`.
    pub model: String,
    /// In the order asked for.
    pub scored: Vec<Scored>,
}

/// Loads the classifier of a stain when it is first asked for.
pub struct ClassScorer {
    inference: InferenceConfig,
    library: ModelLibrary,
    engine: ChosenEngine,
    stains: BTreeMap<String, Stain>,
    loaded: BTreeMap<&'static str, Option<Classifier>>,
    plane: Plane,
}

impl ClassScorer {
    /// For sources with these stains.
    pub fn new(
        inference: InferenceConfig,
        library: ModelLibrary,
        engine: ChosenEngine,
        stains: BTreeMap<String, Stain>,
    ) -> Self {
        Self { inference, library, engine, stains, loaded: BTreeMap::new(), plane: Plane::default() }
    }

    /// The classes of chromosomes of a cell on its picture; none where no classifier serves its source, or it fails, which is
    /// logged.
    pub fn score(&mut self, cell: &Cell, pixels: &Pixels, indices: &[u32]) -> Option<ClassScores> {
        let stain = *self.stains.get(&cell.source)?;
        let Self { inference, library, engine, loaded, plane, .. } = self;
        let classifier =
            loaded.entry(stain.name()).or_insert_with(|| load(inference, library, engine, stain)).as_mut()?;
        let whole = cell.chromosomes.iter().fold(cell.region, |all, c| all.union(&c.bounds));
        plane.fill(pixels, &with_margin(&whole), stain, &classifier.manifest().input);
        let median = median_diagonal(cell.chromosomes.iter().map(|c| &c.bounds));
        let bounds = |index: &u32| cell.chromosomes.iter().find(|c| c.index == *index).map(|c| c.bounds);
        let items: Vec<Item<'_>> =
            indices.iter().filter_map(bounds).map(|bounds| Item { plane, bounds, flipped: false }).collect();
        let model = classifier.label().to_owned();
        match classifier.classify(&items, median) {
            Ok(found) => Some(ClassScores { model, scored: found.iter().map(|one| scored(&one.log_probs)).collect() }),
            Err(error) => {
                tracing::warn!(%error, cell = %cell.cell, "redrawn chromosomes were not classified again");
                None
            }
        }
    }
}

fn load(
    inference: &InferenceConfig,
    library: &ModelLibrary,
    engine: &ChosenEngine,
    stain: Stain,
) -> Option<Classifier> {
    let model = match &inference.classifier {
        Some(name) => library.named(name),
        None => library.serving(Task::Classifier, stain, View::Field),
    };
    let loaded = model
        .map_err(|error| error.to_string())
        .and_then(|model| Classifier::load(&*engine.engine, &model, None).map_err(|error| error.to_string()));
    loaded.inspect_err(|error| tracing::info!(error, "redrawn chromosomes are not classified again")).ok()
}

/// Crops reach beyond their boxes.
fn with_margin(bounds: &BoundingBox) -> BoundingBox {
    let margin = 40.0 + 0.15 * bounds.width.max(bounds.height);
    BoundingBox::from_corners(bounds.x - margin, bounds.y - margin, bounds.right() + margin, bounds.bottom() + margin)
}

fn scored(log_probs: &[f32]) -> Scored {
    let classes: Vec<f32> = log_probs.iter().take(ChromosomeClass::COUNT).map(|p| p.exp().clamp(0.0, 1.0)).collect();
    let mut alternatives: Vec<ScoredClass> =
        ChromosomeClass::all().zip(&classes).map(|(class, score)| ScoredClass { class, score: *score }).collect();
    alternatives.sort_by(|a, b| b.score.total_cmp(&a.score));
    alternatives.retain(|one| one.score >= LEAST);
    alternatives.truncate(MOST);
    Scored { classes, alternatives }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_gets_the_three_best_classes() {
        let mut log_probs = [1e-4_f32.ln(); ChromosomeClass::COUNT + 1];
        for (class, p) in [(20, 0.6), (21, 0.3), (18, 0.05), (19, 0.02)] {
            log_probs[class] = f32::ln(p);
        }
        let found = scored(&log_probs);
        let names: Vec<String> = found.alternatives.iter().map(|one| one.class.to_string()).collect();
        assert_eq!(names, ["21", "22", "19"]);
        assert!((found.classes[20] - 0.6).abs() < 1e-5);
    }
}
