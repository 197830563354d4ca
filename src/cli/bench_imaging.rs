//! `metaphased bench imaging`: the time of each operation of imaging on one picture, on one core.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use serde_json::json;

use super::{Exit, Failure, output};
use domain::frame::{Bayer, FramePool, PixelBuffer, PixelFormat, PixelView, PixelViewMut, Pixels};
use imaging::{
    Background, BackgroundScratch, Components, Demosaic, Denoise, DistanceScratch, FilterScratch, GrayImage, GrayView,
    Histogram, Polarity, PrepareOptions, Preparer, RawFrame, RawLayout, SegmentOptions, Segmenter, binomial3,
    downscale, median3, squared_distance, threshold,
};
use recognition::{Triage, TriageOptions};
use slide::{Samples, SlideSettings, VirtualSlide};

/// Time the operations of imaging on one picture, one core.
#[derive(Debug, Args)]
pub struct BenchImaging {
    /// Pixels a row and rows of the virtual field.
    #[arg(long, value_name = "WxH", default_value = "2048x1536", value_parser = size)]
    size: (u32, u32),
    /// Rounds; the median counts.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Write the picture that is measured into this PNG file, for other programs to work on the same.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("invalid size '{text}': expected WxH with both sides 64 to 16384, such as 2048x1536");
    let (w, h) = text.split_once('x').ok_or_else(wrong)?;
    let side = |text: &str| text.parse().ok().filter(|n| (64..=16_384).contains(n)).ok_or_else(wrong);
    Ok((side(w)?, side(h)?))
}

/// One operation.
#[derive(Debug, Serialize)]
struct Row {
    operation: &'static str,
    /// Median of the rounds in milliseconds.
    ms: f64,
    /// Fastest round in milliseconds.
    least_ms: f64,
}

impl BenchImaging {
    /// Measures, and prints the figures.
    pub fn run(&self) -> Result<Exit, Failure> {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        let grey = self.field(width, height)?;
        if let Some(path) = &self.picture {
            image::save_buffer(path, &grey.data, self.size.0, self.size.1, image::ColorType::L8)
                .map_err(|e| Failure::new(Exit::CannotCreate, format!("cannot write {}: {e}", path.display())))?;
        }
        let rows = self.measure(&grey).map_err(|e| Failure::new(Exit::Internal, e.to_string()))?;
        if self.json {
            let picture = json!({"width": width, "height": height});
            let found = json!({"schema": "bench/1", "bench": "imaging", "picture": picture, "rows": rows});
            output::print(&found.to_string())?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(["operation", "ms", "fastest", "ns/pixel"]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for row in &rows {
            let per_pixel = row.ms * 1e6 / (width * height) as f64;
            table.add_row([
                row.operation.to_owned(),
                format!("{:.2}", row.ms),
                format!("{:.2}", row.least_ms),
                format!("{per_pixel:.2}"),
            ]);
        }
        output::print(&format!("{width} x {height} pixels, one core, median of {} rounds\n{table}", self.rounds))?;
        Ok(Exit::Done)
    }

    /// A field of the virtual slide with a metaphase on it, 8 bits.
    fn field(&self, width: usize, height: usize) -> Result<GrayImage, Failure> {
        let settings = SlideSettings { width: self.size.0, height: self.size.1, ..SlideSettings::default() };
        let mut slide = VirtualSlide::new(settings).map_err(|e| Failure::new(Exit::Usage, e))?;
        let stop = slide.at_cell(0);
        let mut grey = GrayImage::new(width, height);
        slide.render(&stop, Samples::Mono8(&mut grey.data)).map_err(|e| Failure::new(Exit::Internal, e))?;
        Ok(grey)
    }

    fn measure(&self, grey: &GrayImage) -> Result<Vec<Row>, Box<dyn std::error::Error>> {
        let (width, height) = (grey.width, grey.height);
        let view = grey.view()?;
        let mut rows = Vec::new();
        let (mut out, mut filter) = (GrayImage::default(), FilterScratch::default());
        let rgb: Vec<u8> = grey.data.iter().flat_map(|&v| [v, v, v]).collect();
        let deep: Vec<u16> = grey.data.iter().map(|&v| u16::from(v) << 4).collect();
        self.time(&mut rows, "colour to grey", || out.read(PixelView::Rgb8(&rgb), width, height, 8));
        self.time(&mut rows, "12 to 8 bits", || out.read(PixelView::Mono16(&deep), width, height, 12));
        let buffer = PixelBuffer::from_bytes(&grey.data);
        let mut raw = Pixels::new(buffer, PixelFormat::Mono8, width, height, 8)?;
        let mut demosaic = Demosaic::default();
        self.time(&mut rows, "luminance behind a filter", || {
            // It works in place: the raw samples are put back each time.
            if let PixelViewMut::Mono8(samples) = raw.view_mut() {
                samples.copy_from_slice(&grey.data);
            }
            let _ = demosaic.luminance(&mut raw, Bayer::Rggb);
        });
        self.layouts(&mut rows, width, height);
        self.time(&mut rows, "third of the size", || downscale(view, 3, &mut out));
        self.time(&mut rows, "binomial 3 x 3", || binomial3(view, &mut out, &mut filter));
        self.time(&mut rows, "median 3 x 3", || median3(view, &mut out, &mut filter));
        self.time(&mut rows, "Otsu's level", || {
            std::hint::black_box(Histogram::of(view.data()).otsu(0));
        });
        let mut light = BackgroundScratch::default();
        self.time(&mut rows, "surface of the light", || {
            std::hint::black_box(Background::estimate(view, &mut light));
        });
        let mut preparer = Preparer::default();
        let options = PrepareOptions { polarity: Polarity::DarkOnBright, denoise: Denoise::None };
        preparer.prepare(view, &options)?;
        let plane = preparer.prepared().plane.clone();
        let level = Histogram::of(&plane.data).otsu(0).unwrap_or(128);
        let dark: Vec<u8> = plane.data.iter().map(|v| 255 - v).collect();
        let mut mask = vec![0u8; width * height];
        self.time(&mut rows, "threshold", || threshold(&dark, 255 - level, &mut mask));
        let mut components = Components::default();
        self.time(&mut rows, "components with figures", || components.find(&mask, width));
        let (mut distance, mut scratch) = (Vec::new(), DistanceScratch::default());
        self.time(&mut rows, "exact distance", || squared_distance(&mask, width, &mut distance, &mut scratch));
        self.time(&mut rows, "prepare", || {
            let _ = preparer.prepare(view, &options);
        });
        let mut segmenter = Segmenter::default();
        let ready = GrayView::new(&plane.data, width, height)?;
        let whole = SegmentOptions { part: false, ..SegmentOptions::default() };
        self.time(&mut rows, "segment, clumps whole", || {
            segmenter.segment(ready, &whole);
        });
        self.time(&mut rows, "segment, clumps parted", || {
            segmenter.segment(ready, &SegmentOptions::default());
        });
        self.time(&mut rows, "prepare + segment, clumps whole", || {
            if let Ok(prepared) = preparer.prepare(view, &options)
                && let Ok(view) = prepared.plane.view()
            {
                segmenter.segment(view, &whole);
            }
        });
        let mut triage = Triage::default();
        let options = TriageOptions { polarity: Polarity::DarkOnBright, ..TriageOptions::default() };
        self.time(&mut rows, "triage", || {
            triage.assess(view, &options);
        });
        Ok(rows)
    }

    /// From a driver's buffer to one of the pool, in each layout that cameras have.
    fn layouts(&self, rows: &mut Vec<Row>, width: usize, height: usize) {
        let pool = FramePool::new(1);
        let grey = |bits, big_endian| RawLayout::Grey16 { bits, big_endian };
        for (name, layout) in [
            ("from GREY, NV12", RawLayout::Grey8),
            ("from Y12", grey(12, false)),
            ("from Y16", grey(16, false)),
            ("from Y16-BE", grey(16, true)),
            ("from Y10P", RawLayout::Packed10),
            ("from Y12P", RawLayout::Packed12),
            ("from Y14P", RawLayout::Packed14),
            ("from Y10B", RawLayout::Stream10),
            ("from Mono10p", RawLayout::Lsb10),
            ("from Mono12p", RawLayout::Lsb12),
            ("from Mono12Packed", RawLayout::Gige12),
            ("from YUYV", RawLayout::LumaFirst),
            ("from UYVY", RawLayout::LumaSecond),
            ("from RGB3", RawLayout::Rgb8),
            ("from BGR3", RawLayout::Bgr8),
        ] {
            // Small values: those of 12 bits must be within them.
            let bytes = vec![7u8; layout.row_bytes(width) * height];
            let frame = RawFrame { layout, width, height, stride: 0, bytes: &bytes };
            self.time(rows, name, || {
                if let Some(buffer) = pool.try_take(frame.buffer_bytes()) {
                    let _ = std::hint::black_box(frame.read(buffer));
                }
            });
        }
    }

    fn time(&self, rows: &mut Vec<Row>, operation: &'static str, mut work: impl FnMut()) {
        // The first rounds grow the buffers.
        work();
        work();
        let mut rounds: Vec<f64> = (0..self.rounds)
            .map(|_| {
                let started = Instant::now();
                work();
                started.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        rounds.sort_unstable_by(f64::total_cmp);
        rows.push(Row { operation, ms: rounds[rounds.len() / 2], least_ms: rounds[0] });
    }
}
