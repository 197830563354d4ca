use super::*;
use domain::{
    Assay,
    frame::{Bayer, PixelBuffer, PixelFormat, PixelView, Pixels},
};
use imaging::Demosaic;

fn small(stain: Stain) -> SlideSettings {
    SlideSettings { stain, width: 700, height: 560, um_per_px: 0.1, cells: Some(3), ..Default::default() }
}

fn picture(slide: &mut VirtualSlide, stop: &Stop) -> (Vec<u8>, FieldTruth) {
    let mut pixels = vec![0; (slide.settings().width * slide.settings().height) as usize];
    let truth = slide.render(stop, Samples::Mono8(&mut pixels)).unwrap();
    (pixels, truth)
}

/// FNV-1a over the samples.
fn hash(pixels: &[u8]) -> u64 {
    pixels.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn the_same_seed_gives_the_same_pixels_whatever_was_looked_at_before() {
    let mut one = VirtualSlide::new(small(Stain::GBand)).unwrap();
    let mut two = VirtualSlide::new(small(Stain::GBand)).unwrap();
    let (first, second) = (one.at_cell(0), one.at_cell(2));
    picture(&mut one, &first);
    let (a, truth) = picture(&mut one, &second);
    let (b, same) = picture(&mut two, &second);
    assert_eq!(hash(&a), hash(&b));
    assert_eq!(truth, same);
    let mut other = VirtualSlide::new(SlideSettings { seed: 2, ..small(Stain::GBand) }).unwrap();
    assert_ne!(hash(&a), hash(&picture(&mut other, &second).0));
}

#[test]
fn a_second_exposure_of_a_field_differs_by_its_noise_alone() {
    let mut slide = VirtualSlide::new(small(Stain::GBand)).unwrap();
    let stop = slide.at_cell(0);
    let (a, _) = picture(&mut slide, &stop);
    let (b, _) = picture(&mut slide, &Stop { exposure: stop.exposure + 1, ..stop });
    assert_ne!(a, b);
    let mean = a.iter().zip(&b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64;
    assert!(mean < 6.0, "{mean}");
}

#[test]
fn boxes_hold_chromosomes_that_differ_from_the_ground_in_every_stain() {
    for stain in [Stain::GBand, Stain::Giemsa, Stain::Dapi, Stain::QBand] {
        let mut slide = VirtualSlide::new(small(stain)).unwrap();
        let stop = slide.at_cell(1);
        let (pixels, truth) = picture(&mut slide, &stop);
        let cell = &truth.cells[0];
        assert_eq!((cell.total, cell.chromosomes.len()), (46, 46), "{stain:?}");
        let mut sorted = pixels.clone();
        sorted.sort_unstable();
        let ground = f64::from(sorted[if stain.is_fluorescence() { sorted.len() / 4 } else { sorted.len() * 3 / 4 }]);
        for chromosome in &cell.chromosomes {
            let b = chromosome.bounds;
            assert!(b.width >= 5.0 && b.height >= 5.0, "{stain:?} {b:?}");
            let (mut least, mut most) = (255u8, 0u8);
            for y in b.y as usize..b.bottom() as usize {
                for x in b.x as usize..b.right() as usize {
                    let v = pixels[y * 700 + x];
                    least = least.min(v);
                    most = most.max(v);
                }
            }
            if stain.is_fluorescence() {
                assert!(f64::from(most) > ground + 30.0, "{stain:?} {b:?}: {most} on {ground}");
            } else {
                assert!(f64::from(least) < ground * 0.75, "{stain:?} {b:?}: {least} on {ground}");
            }
        }
    }
}

#[test]
fn a_trisomy_shows_three_of_its_class() {
    let settings = SlideSettings { karyotype: Some("47,XX,+21".to_owned()), ..small(Stain::GBand) };
    let mut slide = VirtualSlide::new(settings).unwrap();
    for cell in 0..3 {
        let stop = slide.at_cell(cell);
        let (_, truth) = picture(&mut slide, &stop);
        let cell = &truth.cells[0];
        assert_eq!(cell.karyotype, "47,XX,+21");
        assert_eq!(cell.chromosomes.len(), 47);
        assert_eq!(cell.chromosomes.iter().filter(|c| c.class.name() == "21").count(), 3);
    }
}

#[test]
fn dose_shows_in_the_truth_of_the_cells() {
    let exposure = Exposure { dose_gy: 4.0, fraction: 1.0 };
    let settings = SlideSettings { assay: Assay::Dicentric, exposure, cells: Some(60), ..small(Stain::Giemsa) };
    let mut slide = VirtualSlide::new(settings).unwrap();
    let mut found = 0;
    for cell in 0..60 {
        let stop = slide.at_cell(cell);
        let truth = slide.compose(&View { stop, objective: Objective::Working }, None);
        let cell = &truth.cells[0];
        found += cell.dicentrics();
        let centromeres: usize = cell.chromosomes.iter().map(|c| c.centromeres.len()).sum();
        assert_eq!(centromeres, 46);
        for chromosome in &cell.chromosomes {
            assert_eq!(chromosome.dicentric, chromosome.centromeres.len() > 1);
            assert_eq!(chromosome.fragment, chromosome.centromeres.is_empty());
        }
    }
    // A tricentric is one chromosome: slightly fewer dicentrics than equivalents.
    let expected = exposure.by_default_curve().unwrap().expected_yield();
    let mean = found as f64 / 60.0;
    assert!((mean - expected).abs() < 4.0 * (expected / 60.0).sqrt(), "{mean} for {expected}");
}

#[test]
fn labels_agree_with_the_boxes() {
    let mut slide = VirtualSlide::new(small(Stain::GBand)).unwrap();
    let stop = slide.at_cell(0);
    let mut labels = vec![0u16; 700 * 560];
    let truth = slide.labels(&stop, &mut labels).unwrap();
    for chromosome in &truth.cells[0].chromosomes {
        let label = chromosome.index as u16 + 1;
        let mine = labels.iter().enumerate().filter(|(_, l)| **l == label);
        let mut pixels = 0;
        for (at, _) in mine {
            let (x, y) = ((at % 700) as f32, (at / 700) as f32);
            let b = chromosome.bounds;
            assert!(x >= b.x && x < b.right() && y >= b.y && y < b.bottom());
            pixels += 1;
        }
        assert!(pixels > 20, "{label}: {pixels}");
    }
}

#[test]
fn odd_sizes_and_depths_are_drawn_or_refused() {
    for (width, height) in [(1, 1), (7, 3), (333, 1), (1, 257), (641, 479)] {
        for bits in [8, 10, 12, 16] {
            let settings = SlideSettings { width, height, bits, cells: Some(1), ..Default::default() };
            let mut slide = VirtualSlide::new(settings).unwrap();
            let stop = slide.at_cell(0);
            let n = (width * height) as usize;
            if bits == 8 {
                slide.render(&stop, Samples::Mono8(&mut vec![0; n])).unwrap();
                slide.render(&stop, Samples::Mono16(&mut vec![0; n])).unwrap_err();
            } else {
                let mut samples = vec![0; n];
                slide.render(&stop, Samples::Mono16(&mut samples)).unwrap();
                assert!(samples.iter().all(|s| u32::from(*s) < 1 << bits));
                slide.render(&stop, Samples::Mono16(&mut vec![0; n + 1])).unwrap_err();
            }
        }
    }
    for wrong in [
        SlideSettings { width: 0, ..Default::default() },
        SlideSettings { bits: 7, ..Default::default() },
        SlideSettings { um_per_px: f64::NAN, ..Default::default() },
        SlideSettings { karyotype: Some("46,XX,+21".to_owned()), ..Default::default() },
        SlideSettings { exposure: Exposure { dose_gy: -1.0, fraction: 1.0 }, ..Default::default() },
    ] {
        assert!(VirtualSlide::new(wrong.clone()).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_scan_shows_every_cell_once_and_a_person_dwells() {
    let mut slide = VirtualSlide::new(SlideSettings { cells: Some(5), ..small(Stain::GBand) }).unwrap();
    let mut scan = ScanPath::new(&slide);
    let mut seen = Vec::new();
    while let Some(stop) = scan.next(&slide) {
        let truth = slide.compose(&View { stop, objective: Objective::Working }, None);
        seen.extend(truth.cells.iter().filter(|c| c.chromosomes.len() >= 40).map(|c| c.cell));
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    let mut live = LivePath::new(&slide);
    let mut stops = Vec::new();
    while let Some(stop) = live.next(&slide) {
        stops.push(stop);
    }
    assert!(stops.len() >= 5 * 20 + 5 * 2, "{}", stops.len());
    let moved = stops.windows(2).filter(|w| (w[0].stage.x - w[1].stage.x).abs() > 20.0).count();
    assert!(moved < 12, "{moved}");
}

#[test]
fn a_search_field_shows_many_sites_and_defocus_lowers_contrast() {
    let mut slide = VirtualSlide::new(small(Stain::GBand)).unwrap();
    let stop = slide.at_cell(1);
    let mut pixels = vec![0; 700 * 560];
    let truth = slide.render_view(&View { stop, objective: Objective::Search }, Samples::Mono8(&mut pixels)).unwrap();
    assert_eq!(truth.cells.len(), 3);
    let contrast = |pixels: &[u8]| -> f64 {
        pixels.windows(2).map(|w| f64::from(w[0].abs_diff(w[1])).powi(2)).sum::<f64>() / pixels.len() as f64
    };
    let (sharp, _) = picture(&mut slide, &stop);
    let mut off = stop;
    off.stage.z = off.stage.z.map(|z| z + 3.0);
    let (soft, truth) = picture(&mut slide, &off);
    assert!((truth.defocus_um - 3.0).abs() < 0.01);
    assert!(contrast(&sharp) > 1.2 * contrast(&soft), "{} {}", contrast(&sharp), contrast(&soft));
}

/// Mean difference of neighbours in a row, in grey levels: a filter's pattern shows as much more than noise.
fn flicker(pixels: &[u8], width: usize) -> f64 {
    let pairs = pixels.chunks_exact(width).flat_map(|row| row.windows(2));
    let (sum, count) = pairs.fold((0.0, 0.0), |(s, n), pair| (s + f64::from(pair[0].abs_diff(pair[1])), n + 1.0));
    sum / count
}

#[test]
fn behind_a_bayer_filter_the_luminance_shows_what_a_grey_camera_sees() {
    for stain in [Stain::GBand, Stain::Dapi] {
        let grey = SlideSettings { ..small(stain) };
        let (width, height) = (grey.width as usize, grey.height as usize);
        let mut slide = VirtualSlide::new(grey.clone()).unwrap();
        let stop = slide.at_cell(0);
        let (plain, truth) = picture(&mut slide, &stop);
        for filter in [Bayer::Rggb, Bayer::Gbrg] {
            let mut slide = VirtualSlide::new(SlideSettings { filter: Some(filter), ..grey.clone() }).unwrap();
            let (raw, same) = picture(&mut slide, &stop);
            assert_eq!(truth, same, "the filter changes no chromosome");
            let mut pixels = Pixels::new(PixelBuffer::from_bytes(&raw), PixelFormat::Mono8, width, height, 8).unwrap();
            Demosaic::default().luminance(&mut pixels, filter).unwrap();
            let PixelView::Mono8(seen) = pixels.view() else { panic!("8 bits stay 8 bits") };
            let (before, after, usual) = (flicker(&raw, width), flicker(seen, width), flicker(&plain, width));
            assert!(before > 2.5 * usual && before > 4.0 * after, "{stain:?} {filter:?}: {before} {after} {usual}");
            // Both pictures go up and down together.
            let mean = |v: &[u8]| v.iter().map(|v| f64::from(*v)).sum::<f64>() / v.len() as f64;
            let (a, b) = (mean(&plain), mean(seen));
            let product = |p: &[u8], m: f64, q: &[u8], n: f64| -> f64 {
                p.iter().zip(q).map(|(p, q)| (f64::from(*p) - m) * (f64::from(*q) - n)).sum()
            };
            let alike =
                product(&plain, a, seen, b) / (product(&plain, a, &plain, a) * product(seen, b, seen, b)).sqrt();
            assert!(alike > 0.98, "{stain:?} {filter:?}: {alike}");
        }
    }
}

/// Chromosomes a cell that touch and that cross others.
fn crowded(crowding: f32) -> (f32, f32) {
    let mut slide = VirtualSlide::new(SlideSettings { crowding, cells: Some(8), ..SlideSettings::default() }).unwrap();
    let (mut touching, mut crossing) = (0, 0);
    for cell in 0..8 {
        let stop = slide.at_cell(cell);
        let truth = slide.compose(&View { stop, objective: Objective::Working }, None);
        let of = |status| truth.cells[0].chromosomes.iter().filter(|c| c.status == status).count();
        touching += of(Status::Touching);
        crossing += of(Status::Crossing);
    }
    (touching as f32 / 8.0, crossing as f32 / 8.0)
}

#[test]
fn chromosomes_of_a_good_preparation_lie_apart_and_of_a_crowded_one_upon_each_other() {
    let (touching, crossing) = crowded(SlideSettings::default().crowding);
    assert!(touching > 0.5 && touching < 8.0 && crossing < 0.5, "{touching} {crossing}");
    let (touching, crossing) = crowded(0.5);
    assert!(touching + crossing > 12.0 && crossing > 3.0, "{touching} {crossing}");
}

#[test]
fn a_lost_arm_shortens_a_banded_chromosome_by_its_measured_length() {
    let karyotype = Some("46,XX,del(5)(q10)".to_owned());
    let mut slide = VirtualSlide::new(SlideSettings { karyotype, ..SlideSettings::default() }).unwrap();
    let stop = slide.at_cell(0);
    let truth = slide.compose(&View { stop, objective: Objective::Working }, None);
    let fives = truth.cells[0].chromosomes.iter().filter(|c| c.class.name() == "5");
    let (short, whole): (Vec<_>, Vec<_>) = fives.partition(|c| c.name.is_some());
    let part = short[0].length_um / whole[0].length_um;
    assert!((part - whole[0].centromere_index.unwrap()).abs() < 0.06, "{part}");
    assert!((whole[0].centromere_index.unwrap() - 0.276).abs() < 0.01);
}
