//! What tests share: where the real images are, and sample cells.

use std::path::{Path, PathBuf};

use domain::{
    BoundingBox, Captured, Cell, Chromosome, ChromosomeClass, Counts, FrameEdge, Karyotype, Quality, ScoredClass,
    Status, Verdict,
};
use karyotype::{Evidence, KaryotypeSettings, Unselected, interpret};
use uuid::Uuid;

/// The folder of real data sets (`$METAPHASED_SHARED_DATA`, else `../shared/data` beside the checkout), or none.
/// Tests that need it print that they were skipped: [`skipped`].
pub fn shared_data() -> Option<PathBuf> {
    let folder = std::env::var_os("METAPHASED_SHARED_DATA")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    folder.is_dir().then_some(folder)
}

/// Says aloud that a test was left out.
pub fn skipped(test: &str) {
    eprintln!("SKIPPED: {test} needs ../shared/data");
}

/// A whole cell of 46 chromosomes for tests of what carries cells on; its number chooses the id and the frame.
pub fn sample_cell(number: u64, case: Option<&str>, verdict: Verdict) -> Cell {
    let classes = (0..46).map(|i| ChromosomeClass::from_index(i / 2).unwrap_or(ChromosomeClass::X));
    let chromosomes = classes
        .enumerate()
        .map(|(i, class)| Chromosome {
            class: Some(class),
            score: 0.97,
            alternatives: vec![ScoredClass { class, score: 0.95 }],
            status: Status::Single,
            length_um: Some(4.2),
            relative_length: Some(3.1),
            centromere_index: Some(0.4),
            upright_angle: Some(12.0),
            ..Chromosome::at(i as u32, BoundingBox { x: 20.0 * i as f32, y: 40.0, width: 18.0, height: 64.5 }, 0.99)
        })
        .collect();
    // Version 7: 48 bits of time, then the number.
    let id = Uuid::from_u128((0x0192_b0d0_0000_u128 << 80) | (7 << 76) | (2 << 62) | u128::from(number));
    let captured = Captured {
        um_per_px: Some(0.1),
        file: Some(format!("{number:06}.png")),
        ..Captured::at("2026-11-22T16:00:00Z", number, [1280, 1024])
    };
    Cell {
        case: case.map(str::to_owned),
        region: BoundingBox { x: 10.0, y: 20.0, width: 1000.0, height: 900.0 },
        quality: Quality { focus: 0.9, metaphase: 0.95, spread: 0.8 },
        frame_edge: Some(FrameEdge::default()),
        chromosomes,
        counts: Counts { detected: 46, normal: 46, undamaged: 46, ..Counts::default() },
        karyotype: Karyotype {
            iscn: Some("46,XX".into()),
            posterior: Some(0.9),
            verdict,
            reason: "every class twice".into(),
            findings: Vec::new(),
            ..Karyotype::default()
        },
        models: [("classifier".to_owned(), "bands@0123456789ab".to_owned())].into(),
        timing_ms: [("detect".to_owned(), 7.5)].into(),
        replayed: true,
        ..Cell::new(id, "lab-1", "scope", captured)
    }
}

/// A clear cell with the given copy numbers of some classes, else 46,XX, interpreted with the settings that ship.
pub fn karyotyped_cell(copy_numbers: &[(&str, usize)]) -> Cell {
    let mut cell = Cell::new(Uuid::nil(), "test", "test", Captured::at("2026-11-22T00:00:00Z", 0, [1000, 1000]));
    let mut evidence = Vec::new();
    for class in ChromosomeClass::all() {
        let usual = if class == ChromosomeClass::Y { 0 } else { 2 };
        let copies = copy_numbers.iter().find(|(name, _)| *name == class.name()).map_or(usual, |(_, n)| *n);
        let mut probabilities = [0.00001 / 23.0; ChromosomeClass::COUNT];
        probabilities[class.index()] = 0.99999;
        evidence.extend((0..copies).map(|_| Evidence::from_probabilities(&probabilities, 0.001, 0.999)));
    }
    for (index, object) in evidence.iter().enumerate() {
        let bounds = BoundingBox { x: 10.0 * index as f32, y: 0.0, width: 8.0, height: 20.0 };
        let chromosome = Chromosome::at(index as u32, bounds, object.objectness);
        cell.chromosomes.push(Chromosome { status: Status::Single, ..chromosome });
    }
    interpret(&mut cell, &evidence, &Unselected::default(), &KaryotypeSettings::default());
    cell
}
