//! Figures of the objects of a set laid out as `objects.csv` (file, case, kind), for `scripts/fit-shapes`.
//!
//! `cargo run --example object_features -- DATA` prints one line an object: case, kind, 25 figures.

use std::{collections::BTreeMap, path::PathBuf};

use imaging::{GrayImage, ObjectJudge};
use metaphased::{camera::files::read_image, evaluate::DataSet};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("give the folder that holds objects.csv")?);
    let data = DataSet::open(&folder, None)?;
    let mut judge = ObjectJudge::default();
    let mut widths: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
    let mut crops = Vec::new();
    for object in data.labelled()? {
        let mut grey = GrayImage::default();
        grey.read_frame(&read_image(&object.path)?.pixels);
        widths.entry(&object.group).or_default().extend(judge.width(grey.view()?));
        crops.push((object, grey));
    }
    for (object, grey) in &crops {
        let of_case = widths.get_mut(object.group.as_str()).ok_or("a case without objects")?;
        of_case.sort_unstable_by(f32::total_cmp);
        let width = of_case.get(of_case.len() / 2).copied().unwrap_or(1.0);
        if let Some(figures) = judge.features(grey.view()?, width) {
            println!("{},{},{}", object.group, object.label, figures.map(|v| v.to_string()).join(","));
        }
    }
    Ok(())
}
