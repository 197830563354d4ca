//! TIFF: several pages, 8 and 16 bits, grey, palette-free colour, OME-TIFF.

use std::io::Cursor;

use tiff::{
    ColorType,
    decoder::{Decoder, DecodingResult, Limits},
    tags::{PhotometricInterpretation, Tag},
};

use super::{FileError, Page, PageFacts, buffer, check_size, finish, ome::Ome};
use domain::frame::{PixelBuffer, PixelFormat};

/// Most pages that are read of one file.
const MAX_PAGES: usize = 100_000;

pub(super) struct TiffFile {
    decoder: Decoder<Cursor<Vec<u8>>>,
    pages: usize,
    at: usize,
    ome: Option<Ome>,
    um_per_px: Option<f64>,
}

fn broken(error: tiff::TiffError) -> FileError {
    match error {
        tiff::TiffError::UnsupportedError(what) => FileError::Unsupported(format!("TIFF: {what}")),
        other => FileError::Broken(format!("broken TIFF: {other}")),
    }
}

impl TiffFile {
    pub(super) fn new(bytes: Cursor<Vec<u8>>) -> Result<Self, FileError> {
        let mut limits = Limits::default();
        limits.decoding_buffer_size = 1 << 30;
        limits.intermediate_buffer_size = 1 << 30;
        let mut decoder = Decoder::new(bytes).map_err(broken)?.with_limits(limits);
        let description = decoder.get_tag_ascii_string(Tag::ImageDescription).ok();
        let ome = description.as_deref().and_then(Ome::parse);
        let um_per_px = resolution_um(&mut decoder);
        let mut pages = 1;
        while decoder.more_images() && pages < MAX_PAGES {
            decoder.next_image().map_err(broken)?;
            pages += 1;
        }
        decoder.seek_to_image(0).map_err(broken)?;
        Ok(Self { decoder, pages, at: 0, ome, um_per_px })
    }

    pub(super) fn pages(&self) -> usize {
        self.pages
    }

    pub(super) fn read(
        &mut self,
        page: usize,
        take: impl FnOnce(usize) -> Option<PixelBuffer>,
    ) -> Result<Page, FileError> {
        if page != self.at {
            self.decoder.seek_to_image(page).map_err(broken)?;
            self.at = page;
        }
        let (width, height) = self.decoder.dimensions().map_err(broken)?;
        let (width, height) = check_size(width.into(), height.into())?;
        let color = self.decoder.colortype().map_err(broken)?;
        let inverted = self.decoder.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation).map_err(broken)?
            == Some(PhotometricInterpretation::WhiteIsZero.to_u16());
        let result = self.decoder.read_image().map_err(broken)?;
        let unsupported = || FileError::Unsupported(format!("TIFF with pixels of type {color:?} is not supported"));
        let pixels = match (color, result) {
            (ColorType::Gray(_) | ColorType::GrayA(_), DecodingResult::U8(samples)) => {
                let mut pixels = buffer(take, PixelFormat::Mono8, width, height)?;
                every(&samples, pixels.bytes_mut(), channels(color))?;
                if inverted {
                    pixels.bytes_mut().iter_mut().for_each(|v| *v = !*v);
                }
                finish(pixels, PixelFormat::Mono8, width, height, 8)?
            }
            (ColorType::Gray(bits) | ColorType::GrayA(bits), DecodingResult::U16(samples)) => {
                let mut pixels = buffer(take, PixelFormat::Mono16, width, height)?;
                every(&samples, pixels.words_mut(), channels(color))?;
                if inverted {
                    pixels.words_mut().iter_mut().for_each(|v| *v = !*v);
                }
                finish(pixels, PixelFormat::Mono16, width, height, bits)?
            }
            (ColorType::RGB(8) | ColorType::RGBA(8), DecodingResult::U8(samples)) => {
                let mut pixels = buffer(take, PixelFormat::Rgb8, width, height)?;
                let n = channels(color);
                if samples.len() != width * height * n {
                    return Err(FileError::Broken("broken TIFF: samples are missing".into()));
                }
                for (to, from) in pixels.bytes_mut().chunks_exact_mut(3).zip(samples.chunks_exact(n)) {
                    to.copy_from_slice(&from[..3]);
                }
                finish(pixels, PixelFormat::Rgb8, width, height, 8)?
            }
            (ColorType::RGB(16) | ColorType::RGBA(16), DecodingResult::U16(samples)) => {
                let mut pixels = buffer(take, PixelFormat::Mono16, width, height)?;
                let n = channels(color);
                if samples.len() != width * height * n {
                    return Err(FileError::Broken("broken TIFF: samples are missing".into()));
                }
                for (to, from) in pixels.words_mut().iter_mut().zip(samples.chunks_exact(n)) {
                    *to = imaging::luma16([from[0], from[1], from[2]]);
                }
                finish(pixels, PixelFormat::Mono16, width, height, 16)?
            }
            _ => return Err(unsupported()),
        };
        let mut facts = PageFacts { um_per_px: self.um_per_px, ..PageFacts::default() };
        if let Some(ome) = &self.ome {
            let plane = ome.plane(page);
            facts = PageFacts { um_per_px: plane.um_per_px, stage_um: plane.stage_um, channel: plane.channel };
        }
        Ok(Page { pixels, facts })
    }
}

fn channels(color: ColorType) -> usize {
    usize::from(color.num_samples())
}

/// Copies the first of every `step` samples.
fn every<T: Copy>(from: &[T], to: &mut [T], step: usize) -> Result<(), FileError> {
    if from.len() < to.len() * step {
        return Err(FileError::Broken(format!(
            "broken TIFF: {} samples where {} were due",
            from.len(),
            to.len() * step
        )));
    }
    for (to, from) in to.iter_mut().zip(from.chunks_exact(step)) {
        *to = from[0];
    }
    Ok(())
}

/// Pixel size from the resolution tags, when they are in plausible microscope units; scanners' 72 dpi are not.
fn resolution_um(decoder: &mut Decoder<Cursor<Vec<u8>>>) -> Option<f64> {
    let unit = decoder.find_tag_unsigned::<u16>(Tag::ResolutionUnit).ok().flatten()?;
    let um_per_unit = match unit {
        2 => 25_400.0,
        3 => 10_000.0,
        _ => return None,
    };
    let value = decoder.get_tag(Tag::XResolution).ok()?;
    let per_unit = match value {
        tiff::decoder::ifd::Value::Rational(n, d) if d > 0 => f64::from(n) / f64::from(d),
        _ => return None,
    };
    let um = um_per_unit / per_unit;
    (0.01..=2.0).contains(&um).then_some(um)
}
