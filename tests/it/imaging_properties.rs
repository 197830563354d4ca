//! Imaging on pictures that nobody meant to take: a reason or an answer, never a panic.

use crate::imaging_support::ImagingSteps;
use domain::frame::PixelView;
use imaging::{GrayView, ImagingError, Polarity};
use proptest::prelude::*;

/// A picture of one of eight kinds: constant, noise, saturated, stripes, ramp, blobs, a cross of bars, salt and pepper.
fn picture(kind: u8, w: usize, h: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (a, b) = (random() as u8, random() as u8);
    let period = 1 + random() as usize % 30;
    let spots: Vec<(f32, f32, f32)> =
        (0..12).map(|_| ((random() % 200) as f32, (random() % 200) as f32, 1.0 + (random() % 30) as f32)).collect();
    (0..w * h)
        .map(|i| {
            let (x, y) = (i % w, i / w);
            match kind {
                0 => a,
                1 => random() as u8,
                2 => {
                    if random() % 5 == 0 {
                        254
                    } else {
                        255
                    }
                }
                3 => {
                    if (x / period).is_multiple_of(2) {
                        a
                    } else {
                        b
                    }
                }
                4 => ((x + y) * 255 / (w + h)) as u8,
                5 => {
                    if spots.iter().any(|s| (x as f32 - s.0).hypot(y as f32 - s.1) < s.2) {
                        60
                    } else {
                        220
                    }
                }
                6 => {
                    if x.abs_diff(w / 2) < period / 2 || y.abs_diff(h / 2) < period / 2 {
                        80
                    } else {
                        225
                    }
                }
                _ => {
                    if random() % 7 == 0 {
                        a
                    } else {
                        200
                    }
                }
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_picture_gets_an_answer_or_a_reason(
        kind in 0u8..8,
        w in 1usize..120,
        h in 1usize..100,
        seed in any::<u64>(),
        bright in any::<bool>(),
    ) {
        let samples = picture(kind, w, h, seed);
        let polarity = if bright { Polarity::BrightOnDark } else { Polarity::Auto };
        let mut steps = ImagingSteps::default();
        let first = steps.take(PixelView::Mono8(&samples), [w, h], 8, polarity);
        if kind == 0 {
            prop_assert_eq!(&first, &Err(ImagingError::Constant { value: samples[0] }));
        }
        // What lies in the buffers from a picture of another size changes nothing.
        let other = picture(5, 81, 57, seed);
        let _ = steps.take(PixelView::Mono8(&other), [81, 57], 8, Polarity::Auto);
        prop_assert_eq!(steps.take(PixelView::Mono8(&samples), [w, h], 8, polarity), first);
    }

    #[test]
    fn sixteen_bit_samples_of_any_depth_are_read(
        kind in 0u8..8,
        w in 1usize..150,
        h in 1usize..120,
        seed in any::<u64>(),
        bits in 0u8..=20,
        shift in 0u32..9,
    ) {
        let samples: Vec<u16> = picture(kind, w, h, seed).iter().map(|v| u16::from(*v) << shift).collect();
        let _ = ImagingSteps::default().take(PixelView::Mono16(&samples), [w, h], bits, Polarity::Auto);
    }

    #[test]
    fn too_few_samples_count_as_black(w in 1usize..60, h in 1usize..60, missing in 0usize..400) {
        // A driver that states a stride and delivers less: what is missing is black, nothing is read beyond the end.
        let samples = vec![200u8; (w * h).saturating_sub(missing)];
        let _ = ImagingSteps::default().take(PixelView::Mono8(&samples), [w, h], 8, Polarity::Auto);
        let colour = vec![200u8; (3 * w * h).saturating_sub(missing)];
        let _ = ImagingSteps::default().take(PixelView::Rgb8(&colour), [w, h], 8, Polarity::Auto);
    }
}

#[test]
fn sides_that_no_sensor_has_are_refused_and_long_lines_are_not() {
    let mut steps = ImagingSteps::default();
    let empty = steps.take(PixelView::Mono8(&[]), [0, 7], 8, Polarity::Auto);
    assert_eq!(empty, Err(ImagingError::Empty { width: 0, height: 7 }));
    assert!(matches!(GrayView::new(&[], 40_000, 40_000), Err(ImagingError::TooLarge { .. })));
    for size in [[1, 1], [1, 20_000], [20_000, 1], [20_000, 2], [16_400, 3]] {
        let line = picture(3, size[0], size[1], 9);
        let _ = steps.take(PixelView::Mono8(&line), size, 8, Polarity::Auto);
    }
}
