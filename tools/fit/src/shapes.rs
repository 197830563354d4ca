//! The model that decides between one chromosome and several in a cut-out object.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    path::Path,
};

use imaging::{GrayImage, OBJECT_FEATURES, ObjectJudge};
use metaphased::{camera::files::read_image, evaluate::DataSet};
use nalgebra::{DMatrix, DVector};

use crate::{
    Outcome,
    output::{significant, write_rust},
    regression::{auc, logistic},
};

/// Ridge on standardised figures; 1, 3, 10, 20 and 40 were compared, 10 was best by a hair.
const RIDGE: f64 = 10.0;

/// An object of the set.
struct Object {
    case: String,
    cluster: bool,
    figures: [f64; OBJECT_FEATURES],
}

/// Weights on raw figures, and the bias.
type Model = ([f64; OBJECT_FEATURES], f64);

/// Fits, prints the AUC with each case left out, and writes the weights of all cases where that is asked for.
pub fn run(clusters: &Path, write: bool) -> Outcome {
    let objects = read(clusters)?;
    let cases: BTreeSet<&str> = objects.iter().map(|o| o.case.as_str()).collect();
    let mut scored: Vec<(&str, bool, f64)> = Vec::new();
    for &held in &cases {
        let (left, kept): (Vec<&Object>, Vec<&Object>) = objects.iter().partition(|o| o.case == held);
        let model = fit(&kept)?;
        scored.extend(left.iter().map(|o| (held, o.cluster, score(&model, &o.figures))));
    }
    let area = |of: &dyn Fn(&str) -> bool| {
        let group = |cluster| scored.iter().filter(|s| of(s.0) && s.1 == cluster).map(|s| s.2).collect::<Vec<f64>>();
        auc(&group(true), &group(false))
    };
    let mean = cases.iter().map(|case| area(&|c| c == *case)).sum::<f64>() / cases.len() as f64;
    println!(
        "{} objects of {} cases, each case left out: AUC {:.3} pooled, {mean:.3} mean over cases",
        objects.len(),
        cases.len(),
        area(&|_| true)
    );
    if !write {
        return Ok(());
    }
    let (weights, bias) = fit(&objects.iter().collect::<Vec<_>>())?;
    let numbers = weights.map(|w| significant(w, 5)).join(", ");
    let body = format!(
        "pub(super) const BIAS: f32 = {};\npub(super) const WEIGHTS: [f32; {OBJECT_FEATURES}] = [{numbers}];\n",
        significant(bias, 5)
    );
    let path = "crates/imaging/src/fitted/object_weights.rs";
    write_rust(path, "Weights of the logistic model of objects.", "shapes CLUSTERS --write", &body)
}

/// The figures of every object, with the median width of its case's objects.
fn read(clusters: &Path) -> Result<Vec<Object>, Box<dyn Error>> {
    let data = DataSet::open(clusters, None)?;
    let mut judge = ObjectJudge::default();
    let mut widths: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    let mut crops = Vec::new();
    for object in data.labelled()? {
        let mut grey = GrayImage::default();
        grey.read_frame(&read_image(&object.path)?.pixels);
        widths.entry(object.group.clone()).or_default().extend(judge.width(grey.view()?));
        crops.push((object, grey));
    }
    widths.values_mut().for_each(|of_case| of_case.sort_unstable_by(f32::total_cmp));
    let mut objects = Vec::new();
    for (object, grey) in crops {
        let of_case = &widths[&object.group];
        let width = of_case.get(of_case.len() / 2).copied().unwrap_or(1.0);
        if let Some(figures) = judge.features(grey.view()?, width) {
            let cluster = object.label == "cluster";
            objects.push(Object { case: object.group.clone(), cluster, figures: figures.map(f64::from) });
        }
    }
    Ok(objects)
}

/// A ridge logistic regression on standardised figures, brought back to raw ones.
fn fit(objects: &[&Object]) -> Result<Model, Box<dyn Error>> {
    let n = objects.len() as f64;
    let mean = |i: usize| objects.iter().map(|o| o.figures[i]).sum::<f64>() / n;
    let means: [f64; OBJECT_FEATURES] = std::array::from_fn(mean);
    let spread = |i: usize| (objects.iter().map(|o| (o.figures[i] - means[i]).powi(2)).sum::<f64>() / n).sqrt() + 1e-6;
    let spreads: [f64; OBJECT_FEATURES] = std::array::from_fn(spread);
    let x = DMatrix::from_fn(objects.len(), OBJECT_FEATURES + 1, |row, i| {
        if i == OBJECT_FEATURES { 1.0 } else { (objects[row].figures[i] - means[i]) / spreads[i] }
    });
    let y = DVector::from_iterator(objects.len(), objects.iter().map(|o| f64::from(u8::from(o.cluster))));
    let fitted = logistic(&x, &y, RIDGE, true).ok_or("the figures do not suffice for a fit")?;
    let weights: [f64; OBJECT_FEATURES] = std::array::from_fn(|i| fitted[i] / spreads[i]);
    let shift: f64 = weights.iter().zip(&means).map(|(w, m)| w * m).sum();
    Ok((weights, fitted[OBJECT_FEATURES] - shift))
}

fn score((weights, bias): &Model, figures: &[f64; OBJECT_FEATURES]) -> f64 {
    figures.iter().zip(weights).map(|(v, w)| v * w).sum::<f64>() + bias
}
