//! `metaphased simulate`: virtual slides as images, boxes, masks and truth.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use image::{ExtendedColorType, ImageEncoder, ImageFormat, codecs::png};
use serde::Serialize;

use super::{Exit, Failure, progress, views, words::one_of};
use domain::{Assay, Stain, frame::Bayer};
use slide::{Exposure, FieldTruth, Samples, SlideError, SlideSettings, VirtualSlide};

/// What was drawn, a line each cell.
const TRUTH: &str = "truth.jsonl";

/// Draw a virtual slide: images, Pascal VOC boxes, masks and truth.jsonl.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  metaphased simulate --out slide --karyotype 47,XY,+21
  metaphased simulate --out dose --assay dicentric --dose-gy 3 --cells 50")]
pub struct Simulate {
    /// Folder to write to; made when it is not there.
    #[arg(long, value_name = "DIR", default_value = "slide")]
    out: PathBuf,
    /// Write into a folder that holds a slide already: files of the same names are replaced.
    #[arg(long)]
    overwrite: bool,
    /// The same seed gives the same files.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Metaphases to draw, one an image.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    cells: u32,
    /// What is scored on the slide.
    #[arg(long, value_parser = one_of(Assay::ALL, Assay::name), default_value = "karyotype")]
    assay: Assay,
    /// Stain; unset: g-band, or giemsa for the dicentric assay.
    #[arg(long, value_parser = one_of(Stain::ALL, Stain::name))]
    stain: Option<Stain>,
    /// Karyotype of the cells (ISCN); several cell lines are weighted by their cells. Unset: a person by seed.
    #[arg(long, value_name = "ISCN")]
    karyotype: Option<String>,
    /// Share of chromosomes that may touch or cross others where they fall, 0 to 1: 0.25 is a good preparation, 0.5 an ordinary one.
    #[arg(long, value_name = "C", default_value_t = SlideSettings::default().crowding)]
    crowding: f32,
    /// Absorbed dose in gray, 0 to 20 (dicentric assay).
    #[arg(long, value_name = "D")]
    dose_gy: Option<f64>,
    /// Share of the body that was exposed, 0 to 1 (dicentric assay). Fewer of its cells come to metaphase, so that their
    /// share on the slide is smaller.
    #[arg(long, value_name = "F", requires = "dose_gy")]
    fraction: Option<f64>,
    /// Width and height of an image in pixels.
    #[arg(long, value_name = "WxH", default_value = "1360x1024", value_parser = size)]
    size: [u32; 2],
    /// Pixel size in micrometres.
    #[arg(long, value_name = "UM", default_value_t = 0.0645)]
    um_per_px: f64,
    /// Bits of a sample; above 8 the images are 16-bit TIFF.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(8..=16))]
    bits: u8,
    /// Draw what a colour camera delivers: raw samples behind a Bayer filter.
    #[arg(long, value_parser = one_of(Bayer::ALL, Bayer::name), value_name = "PATTERN")]
    bayer: Option<Bayer>,
    /// Be a microscope over the slide: each line of stdin is a JSON object, {"x": UM, "y": UM, "z": UM, "objective":
    /// "working" or "search", "out": FILE}; the picture goes to FILE (PNG), its truth to stdout. The first line of stdout
    /// is the slide: its extent and its metaphases. Without z the field is in focus.
    #[arg(long)]
    views: bool,
}

fn size(text: &str) -> Result<[u32; 2], String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some([w.parse().ok()?, h.parse().ok()?]));
    sides.ok_or_else(|| format!("invalid size '{text}': expected WxH in pixels, such as 1360x1024"))
}

/// A line of truth.jsonl.
#[derive(Serialize)]
struct Line<'a> {
    image: &'a str,
    mask: &'a str,
    seed: u64,
    stain: Stain,
    assay: Assay,
    #[serde(skip_serializing_if = "Option::is_none")]
    bayer: Option<Bayer>,
    exposure: Option<Dose>,
    #[serde(flatten)]
    field: &'a FieldTruth,
}

#[derive(Serialize, Clone, Copy)]
struct Dose {
    dose_gy: f64,
    fraction: f64,
}

impl Simulate {
    /// Draws and writes the slide.
    pub fn run(&self) -> Result<Exit, Failure> {
        let assay = self.assay;
        if assay == Assay::Karyotype && self.dose_gy.is_some() {
            return Err(Failure::new(
                Exit::Usage,
                "--dose-gy belongs to --assay dicentric: add it, or leave the dose out",
            ));
        }
        if !self.views && !self.overwrite && self.out.join(TRUTH).exists() {
            let text =
                format!("{} holds a slide already: name another with --out, or use --overwrite", self.out.display());
            return Err(Failure::new(Exit::CannotCreate, text));
        }
        let usual = if assay == Assay::Dicentric { Stain::Giemsa } else { Stain::GBand };
        let stain = self.stain.unwrap_or(usual);
        let dose = Dose { dose_gy: self.dose_gy.unwrap_or(0.0), fraction: self.fraction.unwrap_or(1.0) };
        let settings = SlideSettings {
            seed: self.seed,
            assay,
            stain,
            karyotype: self.karyotype.clone(),
            exposure: Exposure { dose_gy: dose.dose_gy, fraction: dose.fraction },
            width: self.size[0],
            height: self.size[1],
            bits: self.bits,
            filter: self.bayer,
            um_per_px: self.um_per_px,
            cells: Some(self.cells),
            crowding: self.crowding,
        };
        let mut slide = VirtualSlide::new(settings)?;
        if self.views {
            return views::run(&mut slide);
        }
        self.write(&mut slide, assay, stain, dose)?;
        eprintln!("{} cells in {}", self.cells, self.out.display());
        Ok(Exit::Done)
    }

    fn write(&self, slide: &mut VirtualSlide, assay: Assay, stain: Stain, dose: Dose) -> Result<(), Failure> {
        fs::create_dir_all(self.out.join("masks")).map_err(|e| cannot(&self.out, &e))?;
        let truth = self.out.join(TRUTH);
        let mut lines = BufWriter::new(File::create(&truth).map_err(|e| cannot(&truth, &e))?);
        let folder = self.out.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let samples = self.size[0] as usize * self.size[1] as usize;
        let (mut bytes, mut words, mut labels) = (vec![0u8; samples], vec![0u16; samples], vec![0u16; samples]);
        let bar = progress::bar(self.cells.into());
        for cell in 0..self.cells {
            let stop = slide.at_cell(cell);
            let deep = self.bits > 8;
            let out = if deep { Samples::Mono16(&mut words) } else { Samples::Mono8(&mut bytes) };
            let internal = |e: SlideError| Failure::from_error(Exit::Internal, &e);
            let field = slide.render(&stop, out).map_err(internal)?;
            slide.labels(&stop, &mut labels).map_err(internal)?;
            let stem = format!("cell{cell:05}");
            let image = format!("{stem}.{}", if deep { "tif" } else { "png" });
            let mask = format!("masks/{stem}.png");
            let path = self.out.join(&image);
            let saved = if deep {
                let gray = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(self.size[0], self.size[1], &words[..]);
                gray.map_or(Ok(()), |picture| picture.save_with_format(&path, ImageFormat::Tiff))
            } else {
                png(&path, &bytes, self.size, ExtendedColorType::L8)
            };
            saved.map_err(|e| cannot(&path, &e))?;
            let path = self.out.join(&mask);
            png(&path, bytemuck::cast_slice(&labels), self.size, ExtendedColorType::L16)
                .map_err(|e| cannot(&path, &e))?;
            let path = self.out.join(format!("{stem}.xml"));
            fs::write(&path, field.voc_xml(&folder, &image)).map_err(|e| cannot(&path, &e))?;
            let exposure = (assay == Assay::Dicentric).then_some(dose);
            let line = Line {
                image: &image,
                mask: &mask,
                seed: self.seed,
                stain,
                assay,
                bayer: self.bayer,
                exposure,
                field: &field,
            };
            serde_json::to_writer(&mut lines, &line).map_err(|e| cannot(&truth, &e))?;
            lines.write_all(b"\n").map_err(|e| cannot(&truth, &e))?;
            bar.inc(1);
        }
        lines.flush().map_err(|e| cannot(&truth, &e))?;
        bar.finish_and_clear();
        Ok(())
    }
}

pub(super) fn png(
    path: &Path,
    samples: &[u8],
    size: [u32; 2],
    colour: ExtendedColorType,
) -> Result<(), image::ImageError> {
    let file = BufWriter::new(File::create(path)?);
    let encoder = png::PngEncoder::new_with_quality(file, png::CompressionType::Fast, png::FilterType::Up);
    encoder.write_image(samples, size[0], size[1], colour)
}

fn cannot(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::CannotCreate, format!("{} cannot be written: {error}", path.display()))
}
