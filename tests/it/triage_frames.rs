//! Triage on real frames that are hard: what its makers say of each, and at the scale of a search lens.

use imaging::{GrayImage, Polarity, downscale};
use recognition::{Assessment, Triage, TriageOptions, TriageVerdict};
use testing::{shared_data, skipped};

fn grey(file: &str) -> Option<GrayImage> {
    let path = shared_data()?.join("giemsa").join(file);
    let picture = image::open(path).expect("a frame of the set").into_luma8();
    Some(GrayImage { width: picture.width() as usize, height: picture.height() as usize, data: picture.into_raw() })
}

fn look(grey: &GrayImage) -> Assessment {
    let options = TriageOptions { polarity: Polarity::DarkOnBright, ..TriageOptions::default() };
    Triage::default().assess(grey.view().expect("a picture"), &options).clone()
}

/// Frame, verdict, cells: giemsa/README.md says what is wrong with each.
const CASES: [(&str, TriageVerdict, usize); 9] = [
    ("adci/INTC032014-S1.09_A.41.TIF", TriageVerdict::OutOfFocus, 1),
    ("adci/INTC032014-S1.09_A.80.TIF", TriageVerdict::Metaphase, 2),
    ("adci/DC2013_22.04_A.65.TIF", TriageVerdict::Metaphase, 2),
    ("ddx11/2.png", TriageVerdict::Metaphase, 2),
    ("ddx11/4.png", TriageVerdict::Metaphase, 2),
    // Parted chromatids, and pale with nuclei inside: one cell each, worth a look.
    ("adci/INTC032014-2.09_A.52.TIF", TriageVerdict::Metaphase, 1),
    ("adci/INTCO03_2014_3.06_A.134.TIF", TriageVerdict::Metaphase, 1),
    // A long plot is still one cell; a good one is good.
    ("ddx11/6.png", TriageVerdict::Metaphase, 1),
    ("adci/INTC032014-S1.09_A.79.TIF", TriageVerdict::Metaphase, 1),
];

#[test]
fn hard_frames_get_the_verdict_that_a_person_would_give() {
    for (file, verdict, cells) in CASES {
        let Some(grey) = grey(file) else { return skipped("giemsa") };
        let seen = look(&grey);
        assert_eq!((seen.verdict, seen.spreads.len()), (verdict, cells), "{file}: {:#?}", seen.spreads);
    }
}

#[test]
fn nuclei_inside_a_spread_are_no_part_of_it_and_two_cells_do_not_hold_each_other() {
    let Some(pale) = grey("adci/INTCO03_2014_3.06_A.134.TIF") else { return skipped("giemsa") };
    // The two large nuclei below the spread reach down to row 1000.
    assert!(look(&pale).spreads[0].bounds.bottom() < 900.0);
    let two = look(&grey("adci/INTC032014-S1.09_A.80.TIF").expect("the set is here"));
    let [one, other] = [two.spreads[0].bounds, two.spreads[1].bounds];
    assert!(one.intersection(&other) < 0.5 * one.area().min(other.area()), "{one:?} {other:?}");
}

#[test]
fn what_is_sharp_becomes_unsharp_when_it_is_blurred() {
    let Some(sharp) = grey("adci/INTC032014-S1.09_A.79.TIF") else { return skipped("giemsa") };
    // Five means of 9 x 9 make a spot of about 5.8 px standard deviation.
    let mut blurred = sharp.clone();
    for _ in 0..5 {
        blurred = mean9(&blurred);
    }
    assert_eq!(look(&sharp).verdict, TriageVerdict::Metaphase);
    assert_eq!(look(&blurred).verdict, TriageVerdict::OutOfFocus);
}

fn mean9(picture: &GrayImage) -> GrayImage {
    let (w, h) = (picture.width as i64, picture.height as i64);
    let line = |data: &[u8], step: i64, n: i64, across: i64, other: i64| {
        let mut out = vec![0; data.len()];
        for a in 0..other {
            for i in 0..n {
                let sum: u32 =
                    (i - 4..=i + 4).map(|k| u32::from(data[(a * across + k.clamp(0, n - 1) * step) as usize])).sum();
                out[(a * across + i * step) as usize] = (sum / 9) as u8;
            }
        }
        out
    };
    let rows = line(&picture.data, 1, w, w, h);
    GrayImage { data: line(&rows, w, h, 1, w), ..*picture }
}

#[test]
fn a_search_lens_shows_the_cell_of_a_frame_and_not_its_nuclei() {
    for file in ["adci/INTC032014-S1.09_A.79.TIF", "adci/DCScore2013_S10-10_A.29.TIF"] {
        let Some(grey) = grey(file) else { return skipped("giemsa") };
        let mut small = GrayImage::default();
        downscale(grey.view().expect("a picture"), 8, &mut small);
        // Four such views in a field of 1280 x 1024, the rest empty.
        let mut field = GrayImage { width: 1280, height: 1024, data: vec![230; 1280 * 1024] };
        for (left, top) in [(100, 100), (900, 120), (200, 700), (1000, 800)] {
            for (y, row) in small.data.chunks_exact(small.width).enumerate() {
                field.data[(top + y) * 1280 + left..][..small.width].copy_from_slice(row);
            }
        }
        let seen = look(&field);
        assert_eq!((seen.verdict, seen.spreads.len()), (TriageVerdict::Metaphase, 4), "{file}: {:#?}", seen.spreads);
        assert!(seen.spreads.iter().all(|s| s.quality.metaphase > 0.9), "{:#?}", seen.spreads);
    }
}
