use super::*;
use crate::tests_support::cell_with;

/// A real cell's chromosomes as single crops, upright already.
fn real_cell(sheet: &str) -> Option<(Cell, Vec<Option<Crop>>)> {
    let folder = testing::shared_data()?.join("pki3");
    let mut rows = csv::Reader::from_path(folder.join("index.csv")).ok()?;
    let picture = image::open(folder.join("cells").join(format!("{sheet}.png"))).ok()?.to_luma8();
    let mut cell = cell_with(&[]);
    let model = cell.chromosomes[0].clone();
    cell.chromosomes.clear();
    let mut crops = Vec::new();
    for row in rows.records().map_while(Result::ok).filter(|r| &r[1] == sheet) {
        let number = |i: usize| row[i].parse::<u32>().unwrap();
        let (x, y, w, h) = (number(5), number(6), number(7), number(8));
        let crop = image::imageops::crop_imm(&picture, x, y, w, h).to_image();
        let mut chromosome = model.clone();
        chromosome.index = crops.len() as u32;
        chromosome.class = row[3].parse().ok();
        chromosome.score = 0.7 + 0.3 * (crops.len() % 7) as f32 / 7.0;
        chromosome.upright_angle = Some(0.0);
        cell.chromosomes.push(chromosome);
        crops.push(Some(Crop {
            width: w as usize,
            height: h as usize,
            pixels: crop.into_raw(),
            mask: Vec::new(),
            bright: false,
        }));
    }
    crate::recount(&mut cell, &Default::default());
    cell.captured.um_per_px = Some(0.07);
    Some((cell, crops))
}

#[test]
fn every_chromosome_stands_once_with_class_and_score() {
    let cell = cell_with(&[("21", 3)]);
    let crop = Crop { width: 20, height: 50, pixels: vec![60; 1000], mask: vec![1; 1000], bright: false };
    let crops = vec![Some(crop); cell.chromosomes.len()];
    let svg = svg(&cell, &crops, Orientation::Upright);
    assert_eq!(svg.matches("data-index=").count(), 47);
    assert_eq!(svg.matches("data-class=").count(), 24);
    assert!(svg.contains("47,XX,+21") && svg.contains("class marked"));
    let mut reader = quick_xml::Reader::from_str(&svg);
    loop {
        if reader.read_event().expect("well-formed") == quick_xml::events::Event::Eof {
            break;
        }
    }
    let png = image::load_from_memory(&png(&cell, &crops, Orientation::Straight, 2).unwrap()).unwrap();
    assert!(png.width() >= 1900);
}

#[test]
fn undisclosed_sex_chromosomes_are_not_drawn() {
    let mut cell = cell_with(&[("X", 1), ("Y", 1)]);
    let settings = crate::KaryotypeSettings { sex: domain::SexDisclosure::Undisclosed, ..Default::default() };
    crate::recount(&mut cell, &settings);
    let crop = Crop { width: 20, height: 50, pixels: vec![60; 1000], mask: vec![1; 1000], bright: false };
    let svg = svg(&cell, &vec![Some(crop); 46], Orientation::Upright);
    assert_eq!(svg.matches("data-index=").count(), 44);
    assert!(!svg.contains("data-class=\"X\"") && svg.contains("46,U") && svg.contains("not shown"));
}

#[test]
fn a_cell_without_pictures_gives_an_empty_sheet() {
    let cell = cell_with(&[]);
    assert!(svg(&cell, &[], Orientation::Upright).ends_with("</svg>"));
    assert!(!png(&cell, &[], Orientation::Upright, 1).unwrap().is_empty());
}

/// Writes karyograms of real cells to look at: `cargo test --lib karyogram_samples -- --ignored`.
#[test]
#[ignore = "writes pictures to look at"]
fn karyogram_samples() {
    let Some(folder) = testing::shared_data() else { return testing::skipped("karyogram_samples") };
    let out = std::env::temp_dir().join("karyograms");
    std::fs::create_dir_all(&out).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder.join("pki3/cells")).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    for path in names.iter().step_by(26).take(20) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (cell, crops) = real_cell(&name).unwrap();
        std::fs::write(out.join(format!("{name}.png")), png(&cell, &crops, Orientation::Upright, 1).unwrap()).unwrap();
        std::fs::write(out.join(format!("{name}.svg")), svg(&cell, &crops, Orientation::Upright)).unwrap();
    }
}
