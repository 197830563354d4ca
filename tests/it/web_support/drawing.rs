//! Fabricated fields: banded rods on a bright ground, with the record that a good recogniser would write.

use domain::{
    BoundingBox, Captured, Cell, Chromosome, ChromosomeClass, Counts, Finding, FindingKind, FoundBy, Karyotype, NOTICE,
    Outline, Quality, ScoredClass, StagePosition, Status, Verdict,
    frame::{PixelBuffer, PixelFormat, Pixels},
};
use image::{
    ColorType, DynamicImage, GrayImage, ImageEncoder, Luma, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder,
};
use metaphased::store::Crop;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

const SIZE: [u32; 2] = [1360, 1024];

/// Relative lengths in percent and centromere indexes, 1 to 22, X, Y; rounded.
const SHAPES: [(f32, f32); 24] = [
    (8.4, 0.48),
    (8.0, 0.39),
    (6.8, 0.47),
    (6.3, 0.29),
    (6.1, 0.29),
    (5.9, 0.39),
    (5.4, 0.39),
    (4.9, 0.34),
    (4.8, 0.35),
    (4.8, 0.34),
    (4.8, 0.40),
    (4.7, 0.30),
    (3.7, 0.17),
    (3.6, 0.19),
    (3.5, 0.20),
    (3.4, 0.41),
    (3.3, 0.33),
    (2.9, 0.31),
    (2.7, 0.47),
    (2.6, 0.45),
    (1.9, 0.31),
    (2.0, 0.30),
    (5.1, 0.40),
    (2.2, 0.27),
];

/// A field of view with its truth.
pub struct Field {
    pub image: GrayImage,
    pub cell: Cell,
    pub holds_cell: bool,
}

/// A cell with two of each class, two X, and `more` besides.
pub fn field(seed: u64, more: &[ChromosomeClass], verdict: Verdict) -> Field {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut image = ground(&mut random);
    let pairs = ChromosomeClass::all().filter(|&class| class != ChromosomeClass::Y).flat_map(|class| [class, class]);
    let classes: Vec<_> = pairs.chain(more.iter().copied()).collect();
    let mut places: Vec<(usize, usize)> = (0..8).flat_map(|x| (0..7).map(move |y| (x, y))).collect();
    for i in (1..places.len()).rev() {
        places.swap(i, random.random_range(0..=i));
    }
    let chromosomes: Vec<Chromosome> = classes
        .iter()
        .zip(places)
        .enumerate()
        .map(|(index, (&class, (x, y)))| {
            let centre = (
                180.0 + 142.0 * x as f32 + random.random_range(-16.0..16.0),
                120.0 + 130.0 * y as f32 + random.random_range(-14.0..14.0),
            );
            let angle: f32 = random.random_range(-1.5..1.5);
            let (bounds, length) = rod(&mut image, class, centre, angle);
            let score = random.random_range(0.72..0.995);
            Chromosome {
                class: Some(class),
                score,
                alternatives: alternatives(class, score),
                status: if random.random_range(0..9) == 0 { Status::Touching } else { Status::Single },
                length_um: Some(length * 0.1),
                relative_length: Some(SHAPES[class.index()].0),
                centromere_index: Some(SHAPES[class.index()].1),
                upright_angle: Some(-angle.to_degrees()),
                outline: Some(around(centre, length, angle)),
                ..Chromosome::at(index as u32, bounds, 0.97)
            }
        })
        .collect();
    let cell = record(seed, chromosomes, more, verdict);
    Field { image, cell, holds_cell: true }
}

/// The outline of a rod: a turned rectangle around it.
fn around(centre: (f32, f32), length: f32, angle: f32) -> Outline {
    let (sin, cos) = angle.sin_cos();
    let corner = |across: f32, along: f32| {
        [centre.0 + across * cos - along * sin, centre.1 + across * sin + along * cos]
            .map(|v| (v * 10.0).round() / 10.0)
    };
    let (w, l) = (8.5, length / 2.0 + 1.0);
    let ring = vec![corner(-w, -l), corner(w, -l), corner(w, l), corner(-w, l)];
    Outline { source: FoundBy::Network, score: 0.95, rings: vec![ring] }
}

/// A field with nothing but ground.
pub fn empty(seed: u64) -> Field {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut cell = record(seed, Vec::new(), &[], Verdict::NotAssessable);
    cell.quality = Quality { focus: 0.2, metaphase: 0.05, spread: 0.0 };
    Field { image: ground(&mut random), cell, holds_cell: false }
}

fn ground(random: &mut ChaCha8Rng) -> GrayImage {
    GrayImage::from_fn(SIZE[0], SIZE[1], |x, y| {
        let light = 8.0 * ((x as f32 / 900.0).sin() + (y as f32 / 700.0).cos());
        Luma([(216.0 + light + random.random_range(-3.0..3.0)) as u8])
    })
}

/// Draws a chromosome turned by `angle` radians; gives its box and its length in pixels.
fn rod(image: &mut GrayImage, class: ChromosomeClass, centre: (f32, f32), angle: f32) -> (BoundingBox, f32) {
    let (share, index) = SHAPES[class.index()];
    let (length, width) = (share * 11.5 + 10.0, 15.0);
    let (sin, cos) = angle.sin_cos();
    let half = length / 2.0 + 2.0;
    let reach = ((sin * half).abs() + (cos * width).abs() + 3.0, (cos * half).abs() + (sin * width).abs() + 3.0);
    let bounds =
        BoundingBox::from_corners(centre.0 - reach.0, centre.1 - reach.1, centre.0 + reach.0, centre.1 + reach.1);
    let phase = class.index() as f32 * 1.7;
    for y in bounds.y as u32..bounds.bottom() as u32 {
        for x in bounds.x as u32..bounds.right() as u32 {
            let (dx, dy) = (x as f32 - centre.0, y as f32 - centre.1);
            let (across, along) = (dx * cos + dy * sin, -dx * sin + dy * cos);
            let place = along / length + 0.5;
            let waist = 1.0 - 0.45 * (-((place - index) * length / 5.0).powi(2)).exp();
            let radius = width / 2.0 * waist;
            let past_end = (along.abs() - (length / 2.0 - radius)).max(0.0);
            let edge = radius - (across.powi(2) + past_end.powi(2)).sqrt();
            let cover = (edge / 2.0 + 0.5).clamp(0.0, 1.0);
            if cover > 0.0 {
                let band = (place * length / 4.3 + phase).sin() * (place * length / 9.1 + 2.0 * phase).cos();
                let tone = 92.0 - 46.0 * band;
                let pixel = image.get_pixel_mut(x.min(SIZE[0] - 1), y.min(SIZE[1] - 1));
                pixel.0[0] = (f32::from(pixel.0[0]) * (1.0 - cover) + tone * cover) as u8;
            }
        }
    }
    (bounds, length)
}

fn alternatives(class: ChromosomeClass, score: f32) -> Vec<ScoredClass> {
    let other = |step: usize| ChromosomeClass::from_index((class.index() + step) % 24).unwrap_or(class);
    let rest = 1.0 - score;
    vec![
        ScoredClass { class, score },
        ScoredClass { class: other(1), score: rest * 0.7 },
        ScoredClass { class: other(23), score: rest * 0.2 },
    ]
}

fn record(seed: u64, chromosomes: Vec<Chromosome>, more: &[ChromosomeClass], verdict: Verdict) -> Cell {
    let detected = chromosomes.len() as u32;
    let sum = 46 + more.len();
    let gains: String = more.iter().map(|class| format!(",+{class}")).collect();
    let of_class = |class| chromosomes.iter().filter(|c| c.class == Some(class)).map(|c| c.index).collect();
    let findings: Vec<Finding> = more
        .iter()
        .map(|&class| Finding {
            kind: FindingKind::Gain,
            class: Some(class),
            iscn: Some(format!("+{class}")),
            posterior: 0.97,
            text: format!("three chromosomes of class {class}"),
            chromosomes: of_class(class),
            syndrome: (class.name() == "21").then(|| "trisomy 21 (Down syndrome)".into()),
        })
        .collect();
    let reason = match verdict {
        Verdict::Normal => "46 chromosomes, every class twice",
        Verdict::Abnormal => "47 chromosomes; three of class 21, all clear",
        Verdict::NotAssessable => "9 boxes touch or cross: the count is not sure",
    };
    Cell {
        schema: Cell::SCHEMA.into(),
        station: "lab-1".into(),
        source: "scope".into(),
        cell: Uuid::now_v7(),
        revision: 1,
        case: None,
        slide: None,
        colony: None,
        captured: Captured {
            time: jiff::Timestamp::now().to_string(),
            frame: seed,
            trigger: None,
            stage_um: Some(StagePosition { x: 1200.0 + seed as f64 * 130.0, y: 842.5, z: Some(10.0) }),
            um_per_px: Some(0.1),
            size: SIZE,
            file: None,
        },
        region: BoundingBox { x: 60.0, y: 20.0, width: 1240.0, height: 984.0 },
        frame_edge: None,
        doubts: Vec::new(),
        quality: Quality { focus: 0.82, metaphase: 0.96, spread: 0.74 },
        leftover: None,
        simulated: None,
        counts: Counts {
            detected,
            normal: detected - 3 * more.len() as u32,
            abnormal: 3 * more.len() as u32,
            undamaged: detected,
            ..Counts::default()
        },
        karyotype: Karyotype {
            iscn: (verdict != Verdict::NotAssessable).then(|| format!("{sum},XX{gains}")),
            posterior: Some(if verdict == Verdict::NotAssessable { 0.31 } else { 0.94 }),
            verdict,
            reason: reason.into(),
            findings,
            ..Karyotype::default()
        },
        chromosomes,
        dicentric: None,
        models: [("classifier".to_owned(), "bands-cil@0123456789ab".to_owned())].into(),
        timing_ms: [("recognise".to_owned(), 88.0)].into(),
        replayed: false,
        review: None,
        excluded: None,
        comments: Vec::new(),
        notice: NOTICE.into(),
    }
}

impl Field {
    pub fn pixels(&self) -> Pixels {
        let buffer = PixelBuffer::from_bytes(self.image.as_raw());
        Pixels::new(buffer, PixelFormat::Mono8, SIZE[0] as usize, SIZE[1] as usize, 8).unwrap()
    }

    pub fn crops(&self) -> Vec<Crop> {
        let crop = |c: &Chromosome| {
            let b = c.bounds;
            let view = image::imageops::crop_imm(&self.image, b.x as u32, b.y as u32, b.width as u32, b.height as u32);
            let view = view.to_image();
            let mut png = Vec::new();
            PngEncoder::new(&mut png)
                .write_image(view.as_raw(), view.width(), view.height(), ColorType::L8.into())
                .unwrap();
            Crop { chromosome: c.index, png }
        };
        self.cell.chromosomes.iter().map(crop).collect()
    }

    pub fn thumbnail(&self) -> Vec<u8> {
        let small = DynamicImage::ImageLuma8(self.image.clone()).thumbnail(264, 216).into_luma8();
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, 80).encode_image(&small).unwrap();
        jpeg
    }
}
