//! The kernels, on emulated threads, against the host's steps: one by one, and as a whole on a real cell.

use std::{path::Path, sync::Arc, sync::Mutex};

use metaphased_cuda::Device;

use super::*;
use crate::{
    ComposedRecognizer, Plane as HostPlane, Recognised, Recognition, Recognizer, Region,
    inference::{ChosenEngine, CpuEngine, Doubt, EmulatedDeviceEngine, ModelLibrary},
};
use domain::frame::{FrameInfo, PixelBuffer, PixelFormat};
use testing::{shared_data, skipped};

/// The built-in engine with the kernels on emulated threads for a device.
fn emulated() -> ChosenEngine {
    let engine = EmulatedDeviceEngine::new(2, Arc::new(Mutex::new(Device::host())));
    ChosenEngine::alone(Arc::new(engine), "test")
}

fn shipped() -> ModelLibrary {
    ModelLibrary::of(vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")])
}

fn real_frame(name: &str) -> Option<Frame> {
    let path = shared_data()?.join("cil/images").join(name);
    let grey = image::open(path).expect("the image").into_luma8();
    let (width, height) = (grey.width() as usize, grey.height() as usize);
    let pixels = Pixels::new(PixelBuffer::from_bytes(&grey), PixelFormat::Mono8, width, height, 8).expect("whole");
    Some(Frame { info: FrameInfo::of_tool("test"), pixels })
}

fn close(a: &Recognised, b: &Recognised) {
    assert_eq!((a.candidates.len(), a.considered), (b.candidates.len(), b.considered));
    for (a, b) in a.candidates.iter().zip(&b.candidates) {
        let (p, q) = (a.bounds, b.bounds);
        let apart = [p.x - q.x, p.y - q.y, p.width - q.width, p.height - q.height];
        assert!(apart.iter().all(|d| d.abs() < 1e-3), "{p:?} {q:?}");
        assert!((a.objectness - b.objectness).abs() < 1e-5);
        let (p, q) = (a.log_probs.expect("classes"), b.log_probs.expect("classes"));
        let worst = p.iter().zip(&q).map(|(p, q)| (p.exp() - q.exp()).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{worst}");
    }
}

#[test]
fn a_real_cell_through_the_kernels_is_the_cell_of_the_host() {
    let Some(frame) = real_frame("103064.webp") else {
        return skipped("a_real_cell_through_the_kernels_is_the_cell_of_the_host");
    };
    let whole = Region::whole(frame.pixels.width(), frame.pixels.height());
    let cpu = ChosenEngine::alone(Arc::new(CpuEngine::new(2)), "test");
    // Once as the models are, once with every chromosome classified again in all orientations.
    for doubt in [None, Some(Doubt { below: 1.0, turns: (1..=7).collect() })] {
        let [host, device] = [cpu.clone(), emulated()].map(|chosen| {
            let mut recognizer = ComposedRecognizer::open(&Recognition::default(), &shipped(), &chosen).unwrap();
            if doubt.is_some() {
                recognizer.classifier().expect("shipped").manifest.input.doubt = doubt.clone();
            }
            recognizer.recognise(&frame, std::slice::from_ref(&whole)).unwrap().remove(0)
        });
        assert!(host.accepted().count() > 30, "{}", host.accepted().count());
        close(&host, &device);
    }
}

#[test]
fn a_prefetched_frame_gives_what_it_gives_in_its_turn() {
    let names = ["103064.webp", "103071.webp", "103072.webp"];
    let frames: Vec<Frame> = names
        .iter()
        .enumerate()
        .filter_map(|(n, name)| {
            let mut frame = real_frame(name)?;
            frame.info.id = FrameId(n as u64);
            Some(frame)
        })
        .collect();
    let [a, b, c] = &frames[..] else {
        return skipped("a_prefetched_frame_gives_what_it_gives_in_its_turn");
    };
    let open = || ComposedRecognizer::open(&Recognition::default(), &shipped(), &emulated()).unwrap();
    let run = |recognizer: &mut ComposedRecognizer, frame: &Frame| {
        let whole = Region::whole(frame.pixels.width(), frame.pixels.height());
        recognizer.recognise(frame, &[whole]).unwrap().remove(0)
    };
    let mut plain = open();
    let expected: Vec<Recognised> = frames.iter().map(|frame| run(&mut plain, frame)).collect();

    let mut ahead = open();
    assert!(ahead.supports_prefetch());
    ahead.prefetch(b);
    close(&run(&mut ahead, a), &expected[0]);
    ahead.prefetch(c);
    close(&run(&mut ahead, b), &expected[1]);
    // A prefetched frame may be left out, and one that comes may not have been prefetched.
    ahead.prefetch(b);
    ahead.prefetch(a);
    close(&run(&mut ahead, c), &expected[2]);
    close(&run(&mut ahead, b), &expected[1]);
    close(&run(&mut ahead, a), &expected[0]);
}

/// Grey values that no resampling leaves alone.
fn texture(i: usize) -> u8 {
    (90 + ((i * 2_654_435_761) >> 13) % 140) as u8
}

fn frame_of(format: PixelFormat, width: usize, height: usize) -> Pixels {
    let grey: Vec<u8> = (0..width * height * if format == PixelFormat::Rgb8 { 3 } else { 1 }).map(texture).collect();
    match format {
        PixelFormat::Mono16 => {
            let words: Vec<u16> = grey.iter().enumerate().map(|(i, v)| u16::from(*v) * 16 + (i % 16) as u16).collect();
            Pixels::new(PixelBuffer::from_words(&words), format, width, height, 12).unwrap()
        }
        _ => Pixels::new(PixelBuffer::from_bytes(&grey), format, width, height, 8).unwrap(),
    }
}

#[test]
fn plane_and_input_are_bit_for_bit_those_of_the_host() {
    let spec = shipped().named("detector-metaphase").unwrap().manifest.input;
    let window = BoundingBox { x: 3.4, y: 5.0, width: 150.2, height: 97.0 };
    let mut device = Device::host();
    for (format, stain) in [
        (PixelFormat::Mono8, Stain::GBand),
        (PixelFormat::Mono8, Stain::Dapi),
        (PixelFormat::Mono16, Stain::GBand),
        (PixelFormat::Rgb8, Stain::GBand),
    ] {
        let pixels = frame_of(format, 171, 113);
        let mut host = HostPlane::default();
        host.fill(&pixels, &window, stain, &spec);
        let (mut frame, mut plane) = (Buffer::default(), Plane::default());
        match pixels.view() {
            PixelView::Mono8(samples) | PixelView::Rgb8(samples) => device.upload(&mut frame, samples),
            PixelView::Mono16(samples) => device.upload(&mut frame, samples),
        }
        .unwrap();
        let under = pixels_under(&window, 171, 113);
        device.prepare(&preparation(&pixels, under, stain, &spec), &frame, &mut plane).unwrap();
        let (samples, width) = device.read_plane(&plane).unwrap();
        assert_eq!((samples, width), (host.data.clone(), host.width), "{format:?} {stain:?}");
        for (to_width, to_height) in [(101, 64), (151, 97), (260, 170), (9, 5)] {
            let (stride, rows) = (to_width + 7, to_height + 3);
            let letterbox = Letterbox {
                from_width: host.width as u32,
                from_height: host.height as u32,
                to_width: to_width as u32,
                to_height: to_height as u32,
                stride: stride as u32,
                rows: rows as u32,
                channels: 1,
                mean: spec.mean,
                std: spec.std,
                pad: spec.pad,
            };
            let mut out = Buffer::default();
            device.letterbox(&letterbox, &plane, &mut out).unwrap();
            let found: Vec<f32> = device.download(&out, stride * rows).unwrap();
            let mut expected = vec![(spec.pad / 255.0 - spec.mean) / spec.std; stride * rows];
            host.resize_into(&mut expected, stride, (to_width, to_height), spec.mean, spec.std);
            let differ = found.iter().zip(&expected).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
            assert_eq!(differ, 0, "{to_width} x {to_height} of {} values", expected.len());
        }
    }
}

#[test]
fn parameters_that_leave_their_buffers_are_refused() {
    let mut device = Device::host();
    let pixels = frame_of(PixelFormat::Mono8, 32, 16);
    let spec = shipped().named("detector-metaphase").unwrap().manifest.input;
    let mut frame = Buffer::default();
    device.upload(&mut frame, &[0u8; 100]).unwrap();
    let prepare = preparation(&pixels, (0, 0, 32, 16), Stain::GBand, &spec);
    let error = device.prepare(&prepare, &frame, &mut Plane::default()).unwrap_err();
    assert!(error.to_string().contains("512 are needed"), "{error}");
    let outside = Prepare { left: 8, ..prepare };
    assert!(device.prepare(&outside, &frame, &mut Plane::default()).is_err());
}

mod decoding {
    use super::*;
    use crate::{
        decode::decode,
        inference::{Manifest, Tensor, Thresholds},
        suppress,
    };
    use proptest::prelude::*;

    /// A map whose cells answer at random, some at the same place and some at the same score.
    fn map(rows: usize, columns: usize, seed: u64) -> Tensor {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        let cells = rows * columns;
        let mut data = vec![0.0; 30 * cells];
        for i in 0..cells {
            for side in 0..4 {
                data[side * cells + i] = next() * 30.0 - 2.0;
            }
            // A few steps only, so that some are equal.
            data[4 * cells + i] = (next() * 20.0).floor() / 2.0 - 7.0;
            for class in 0..24 {
                data[(5 + class) * cells + i] = next() * 8.0;
            }
        }
        Tensor { shape: vec![1, 30, rows, columns], data }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn answers_after_suppression_are_those_of_the_host(
            rows in 1usize..40, columns in 1usize..60, seed in any::<u64>(), average in prop::option::of(0.3f32..0.9)) {
            let text = include_str!("../../../../models/detector-metaphase/model.toml");
            let mut manifest = Manifest::parse(text).unwrap();
            manifest.thresholds = Thresholds { average_iou: average, ..manifest.thresholds };
            let classes: Vec<ChromosomeClass> = ChromosomeClass::all().collect();
            let map = map(rows, columns, seed);
            let (width, height) = (columns as f32 * 12.0, rows as f32 * 12.0);
            let mut answers = decode(&map, 8, &manifest, &classes, 0.1);
            answers.retain_mut(|d| {
                let b = d.bounds;
                let inside = BoundingBox::from_corners(b.x * 1.5, b.y * 1.5, b.right() * 1.5, b.bottom() * 1.5)
                    .clipped(width, height);
                d.bounds = BoundingBox { x: inside.x + 7.0, y: inside.y + 5.0, ..inside };
                inside.width >= 1.0 && inside.height >= 1.0
            });
            let expected = suppress(&answers, &manifest.thresholds);
            let parameters = Decode {
                rows: rows as u32, columns: columns as u32, stride: 8, classes: 24, channels: 30,
                score_channel: score_channel(&manifest) as u32, most: MAX_DETECTIONS as u32, least: logit(0.1),
                class_temperature: manifest.calibration.class_temperature,
                back_x: 1.5, back_y: 1.5, width, height, left: 7.0, top: 5.0,
                iou: manifest.thresholds.nms_iou, same_class_iou: manifest.thresholds.nms_same_class_iou,
                average_iou: average.unwrap_or(-1.0),
                class_index: std::array::from_fn(|i| i as u8),
            };
            let mut device = Device::host();
            let mut buffer = Buffer::default();
            device.upload(&mut buffer, &map.data).unwrap();
            let found = device.decode(&parameters, &buffer, &mut Answers::default()).unwrap();
            prop_assert_eq!(found.len(), expected.len());
            for (f, e) in found.iter().zip(&expected) {
                prop_assert_eq!([f.x, f.y, f.width, f.height], [e.bounds.x, e.bounds.y, e.bounds.width, e.bounds.height]);
                prop_assert!((f.score - e.score).abs() < 1e-6);
                let worst = f.log_probs.iter().zip(e.classes.unwrap()).map(|(p, q)| (p.exp() - q.exp()).abs());
                prop_assert!(worst.fold(0.0, f32::max) < 1e-5);
            }
        }
    }
}
