//! TIFF: several pages, 8 and 16 bits, grey, grey palettes, colour in one or three planes, OME-TIFF, ImageJ's stacks,
//! Micro-Manager's pages. Thumbnails, reduced levels and masks beside a picture are no pictures of their own.

use std::io::{Read, Seek, SeekFrom};

use tiff::{
    ColorType,
    decoder::{Decoder, DecodingResult, Limits},
    tags::{ByteOrder, CompressionMethod, PhotometricInterpretation, PlanarConfiguration, SampleFormat, Tag},
};

use super::{
    FileError, Page, PageFacts, buffer, check_memory, check_size, finish, finish_deep,
    imagej::ImageJ,
    lzw::{self, PageLayout},
    micromanager,
    ome::Ome,
    overlay::Overlay,
};
use domain::frame::{PixelBuffer, PixelFormat, Pixels};

/// Most pages that are read of one file.
const MAX_PAGES: usize = 100_000;
/// Longest description that is read, in bytes.
const MAX_DESCRIPTION: u64 = 64 << 20;
/// Largest page in memory while it is decoded, in bytes.
const MAX_DECODED_BYTES: usize = 1 << 30;
/// Tag of Micro-Manager's JSON of a page.
const MICRO_MANAGER: Tag = Tag::Unknown(51_123);
/// `NewSubfileType`: bits of a reduced picture and of a transparency mask.
const REDUCED_OR_MASK: u32 = 0b101;

/// What can be read and sought: a file, or bytes in memory.
pub(super) trait Input: Read + Seek + Send {}
impl<T: Read + Seek + Send> Input for T {}

/// Where one picture of the file is.
#[derive(Debug, Clone)]
enum Place {
    /// A directory, by its number in the chain.
    Directory(usize),
    /// The picture `index` of those that lie behind each other under one directory.
    Stacked { index: usize },
    /// The chain of directories is broken here, with the reason.
    Broken(String),
    /// Pictures that the file says it holds and that cannot be reached, with the reason.
    Unreachable(String),
}

pub(super) struct TiffFile {
    decoder: Decoder<Overlay<Box<dyn Input>>>,
    pages: Vec<Place>,
    file_name: Option<String>,
    ome: Option<Ome>,
    imagej: Option<ImageJ>,
}

/// Most bytes that are decoded in one piece where a picture may take `most`.
fn decoded_within(most: u64) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX).min(MAX_DECODED_BYTES)
}

pub(super) fn broken(error: tiff::TiffError) -> FileError {
    match error {
        tiff::TiffError::UnsupportedError(what) => FileError::Unsupported(format!("TIFF: {what}")),
        tiff::TiffError::IoError(error) => FileError::from_read(error, "broken TIFF"),
        other => FileError::Broken(format!("broken TIFF: {other}")),
    }
}

fn unsupported(color: ColorType) -> FileError {
    FileError::Unsupported(format!("TIFF with pixels of type {color:?} is not supported"))
}

impl TiffFile {
    /// Reads the directories. Of an OME document over several files the planes are ours that name `file_name`;
    /// `companion` reads a file of that name beside it. What is read of a directory or packed in one piece takes at
    /// most `most` bytes of memory, of the first directory 256 MiB.
    pub(super) fn new(
        input: Box<dyn Input>,
        file_name: Option<String>,
        companion: impl FnOnce(&str) -> Option<String>,
        most: u64,
    ) -> Result<Self, FileError> {
        let mut limits = Limits::default();
        limits.decoding_buffer_size = decoded_within(most);
        limits.intermediate_buffer_size = decoded_within(most);
        limits.ifd_value_size = MAX_DESCRIPTION as usize;
        let mut decoder = Decoder::new(Overlay::new(input)).map_err(broken)?.with_limits(limits);
        let description = text_of(&mut decoder, Tag::ImageDescription);
        let mut ome = description.as_deref().and_then(Ome::parse);
        if let Some(name) = ome.as_ref().and_then(|ome| ome.companion.as_deref()) {
            ome = companion(name).as_deref().and_then(Ome::parse);
        }
        let imagej = description.as_deref().and_then(ImageJ::parse);
        let mut file = Self { decoder, pages: Vec::new(), file_name, ome, imagej };
        file.pages = file.list()?;
        Ok(file)
    }

    pub(super) fn pages(&self) -> usize {
        self.pages.len()
    }

    fn list(&mut self) -> Result<Vec<Place>, FileError> {
        let mut all = vec![(Place::Directory(0), self.is_picture())];
        while self.decoder.more_images() && all.len() < MAX_PAGES {
            match self.decoder.next_image() {
                Ok(()) => all.push((Place::Directory(all.len()), self.is_picture())),
                Err(tiff::TiffError::IoError(error)) if !matches!(error.kind(), std::io::ErrorKind::UnexpectedEof) => {
                    return Err(FileError::from_read(error, "broken TIFF"));
                }
                Err(error) => {
                    let page = all.len();
                    all.push((
                        Place::Broken(format!("broken TIFF: directory {page} and those behind it: {error}")),
                        true,
                    ));
                    break;
                }
            }
        }
        // A file whose every page is marked as a part of another is taken at its pixels' word.
        let pictures = all.iter().any(|(_, picture)| *picture);
        let mut pages: Vec<Place> =
            all.into_iter().filter(|(_, picture)| *picture || !pictures).map(|(place, _)| place).collect();
        self.decoder.seek_to_image(0).map_err(broken)?;
        if let Some(images) = self.imagej.as_ref().map(|imagej| imagej.images).filter(|n| *n > 1)
            && pages.len() == 1
        {
            pages = match self.stack_is_readable() {
                Ok(()) => (0..images.min(MAX_PAGES)).map(|index| Place::Stacked { index }).collect(),
                Err(reason) => {
                    vec![
                        Place::Directory(0),
                        Place::Unreachable(format!("{} further pictures of an ImageJ stack: {reason}", images - 1)),
                    ]
                }
            };
        }
        Ok(pages)
    }

    /// Whether the present directory shows a picture, and no thumbnail, level, mask or label of another.
    fn is_picture(&mut self) -> bool {
        let new: u32 = self.decoder.find_tag_unsigned(Tag::NewSubfileType).ok().flatten().unwrap_or(0);
        let old: u16 = self.decoder.find_tag_unsigned(Tag::SubfileType).ok().flatten().unwrap_or(0);
        if new & REDUCED_OR_MASK != 0 || old == 2 {
            return false;
        }
        // Slide scanners put a label and an overview behind the slide.
        let description = text_of(&mut self.decoder, Tag::ImageDescription).unwrap_or_default();
        let words = || description.lines().take(2).flat_map(str::split_whitespace);
        !(description.starts_with("Aperio") && words().any(|word| matches!(word, "label" | "macro")))
    }

    /// Whether the pictures behind the first can be found: unpacked and without gaps.
    fn stack_is_readable(&mut self) -> Result<(), String> {
        let color = self.decoder.colortype().map_err(|error| error.to_string())?;
        let compression: u16 = self.decoder.find_tag_unsigned(Tag::Compression).ok().flatten().unwrap_or(1);
        if compression != CompressionMethod::None.to_u16() {
            return Err("it is compressed".into());
        }
        if !matches!(color, ColorType::Gray(8 | 16)) {
            return Err(format!("its pixels are of type {color:?}"));
        }
        let offsets = self.strips(Tag::StripOffsets)?;
        let lengths = self.strips(Tag::StripByteCounts)?;
        let gaps = offsets.windows(2).zip(&lengths).any(|(pair, length)| pair[0].checked_add(*length) != Some(pair[1]));
        if gaps { Err("its strips do not follow each other".into()) } else { Ok(()) }
    }

    fn strips(&mut self, tag: Tag) -> Result<Vec<u64>, String> {
        self.decoder.get_tag_u64_vec(tag).map_err(|error| error.to_string())
    }

    pub(super) fn read(
        &mut self,
        page: usize,
        most: u64,
        take: impl FnOnce(usize) -> Option<PixelBuffer>,
    ) -> Result<Page, FileError> {
        let place = self.pages.get(page).cloned();
        match place.ok_or_else(|| FileError::Broken(format!("there is no page {page}")))? {
            Place::Broken(reason) => Err(FileError::Broken(reason)),
            Place::Unreachable(reason) => Err(FileError::Unsupported(reason)),
            Place::Directory(ifd) => {
                self.decoder.seek_to_image(ifd).map_err(broken)?;
                let facts = self.facts(ifd);
                let pixels = self.pixels(ifd, &facts, most, take)?;
                Ok(Page { pixels, facts })
            }
            Place::Stacked { index } => {
                let facts = self.facts(0);
                let pixels = self.stacked(index, &facts, most, take)?;
                Ok(Page { pixels, facts })
            }
        }
    }

    /// What the file says of the present directory.
    fn facts(&mut self, ifd: usize) -> PageFacts {
        let mut facts = micromanager::facts(text_of(&mut self.decoder, MICRO_MANAGER).as_deref());
        if let Some(ome) = &self.ome {
            facts = facts.or(ome.facts(ifd, self.file_name.as_deref()).unwrap_or_default());
        }
        facts.um_per_px = facts.um_per_px.or_else(|| self.resolution_um());
        facts.declared_bits = facts.declared_bits.or_else(|| {
            // The largest sample that may occur: all ones for a camera of so many bits.
            let most: u64 = self.decoder.find_tag_unsigned(Tag::MaxSampleValue).ok().flatten()?;
            (255..65_535).contains(&most).then(|| 64 - most.leading_zeros() as u8)
        });
        facts
    }

    /// Pixel size from the resolution tags, where it is one of a microscope: scanners' 72 dots per inch are not.
    fn resolution_um(&mut self) -> Option<f64> {
        let unit: u16 = self.decoder.find_tag_unsigned(Tag::ResolutionUnit).ok().flatten().unwrap_or(2);
        let um_per_unit = match (unit, self.imagej.as_ref().and_then(|imagej| imagej.um_per_unit)) {
            // ImageJ writes its own unit into the description.
            (1, Some(um)) => um,
            (2, _) => 25_400.0,
            (3, _) => 10_000.0,
            _ => return None,
        };
        let per_unit = match self.decoder.get_tag(Tag::XResolution).ok()? {
            tiff::decoder::ifd::Value::Rational(n, d) if n > 0 && d > 0 => f64::from(n) / f64::from(d),
            _ => return None,
        };
        let um = um_per_unit / per_unit;
        (0.01..=20.0).contains(&um).then_some((um * 1e9).round() / 1e9)
    }

    fn pixels(
        &mut self,
        ifd: usize,
        facts: &PageFacts,
        most: u64,
        take: impl FnOnce(usize) -> Option<PixelBuffer>,
    ) -> Result<Pixels, FileError> {
        let (width, height) = self.decoder.dimensions().map_err(broken)?;
        let (width, height) = check_size(width.into(), height.into())?;
        self.refuse_strange_samples()?;
        let photometric: u16 =
            self.decoder.find_tag_unsigned(Tag::PhotometricInterpretation).map_err(broken)?.unwrap_or(1);
        if photometric == PhotometricInterpretation::RGBPalette.to_u16() {
            return self.palette(ifd, (width, height), most, take);
        }
        let color = self.decoder.colortype().map_err(broken)?;
        let planar = self.decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(broken)?
            == Some(PlanarConfiguration::Planar.to_u16());
        let white_is_zero = photometric == PhotometricInterpretation::WhiteIsZero.to_u16();
        let samples = usize::from(color.num_samples());
        let at = Layout { width, height, samples, planar };
        let (format, sample_bytes) = match color {
            ColorType::Gray(8) | ColorType::GrayA(8) | ColorType::Multiband { bit_depth: 8, .. } => {
                (PixelFormat::Mono8, 1)
            }
            ColorType::Gray(16) | ColorType::GrayA(16) | ColorType::Multiband { bit_depth: 16, .. } => {
                (PixelFormat::Mono16, 2)
            }
            ColorType::RGB(8) | ColorType::RGBA(8) | ColorType::YCbCr(8) => (PixelFormat::Rgb8, 1),
            ColorType::RGB(16) | ColorType::RGBA(16) => (PixelFormat::Mono16, 2),
            _ => return Err(unsupported(color)),
        };
        let bytes = (width * height * (samples * sample_bytes + format.bytes_per_pixel())) as u64;
        check_memory(width, height, bytes, most)?;
        self.check_tile(width, height, samples * sample_bytes, most)?;
        let mut pixels = buffer(take, format, width, height)?;
        let mut result = DecodingResult::U8(Vec::new());
        if let Err(error) = self.decoder.read_image_to_buffer(&mut result) {
            let deep = color.bit_depth() == 16;
            let page = PageLayout { width, height, samples, planar, deep, white_is_zero };
            result = self.lzw(page, &error, most)?.ok_or_else(|| broken(error))?;
        }
        match (color, result) {
            (ColorType::RGB(8) | ColorType::RGBA(8), DecodingResult::U8(from)) => {
                at.colour(&from, |i, rgb| pixels.bytes_mut()[3 * i..3 * i + 3].copy_from_slice(&rgb))?;
                finish(pixels, format, width, height, 8)
            }
            (ColorType::YCbCr(8), DecodingResult::U8(from)) => {
                at.colour(&from, |i, ycc| pixels.bytes_mut()[3 * i..3 * i + 3].copy_from_slice(&rgb_of(ycc)))?;
                finish(pixels, format, width, height, 8)
            }
            (ColorType::RGB(16) | ColorType::RGBA(16), DecodingResult::U16(from)) => {
                at.colour(&from, |i, rgb| pixels.words_mut()[i] = imaging::luma16(rgb))?;
                finish_deep(pixels, width, height, facts.declared_bits)
            }
            (_, DecodingResult::U8(from)) => {
                at.first_channel(&from, pixels.bytes_mut())?;
                finish(pixels, format, width, height, 8)
            }
            (_, DecodingResult::U16(from)) => {
                at.first_channel(&from, pixels.words_mut())?;
                if let Some(bits) = facts.declared_bits.filter(|bits| white_is_zero && *bits < 16) {
                    // The library has inverted over 16 bits; the samples have fewer.
                    let surplus = u16::MAX - ((1_u32 << bits) - 1) as u16;
                    pixels.words_mut().iter_mut().for_each(|v| *v = v.saturating_sub(surplus));
                }
                finish_deep(pixels, width, height, facts.declared_bits)
            }
            _ => Err(unsupported(color)),
        }
    }

    /// Refuses tiles of which one alone takes more memory than a picture may: a tile can be larger than its picture.
    fn check_tile(&mut self, width: usize, height: usize, pixel_bytes: usize, most: u64) -> Result<(), FileError> {
        let mut bytes = pixel_bytes as u64;
        for side in [Tag::TileWidth, Tag::TileLength] {
            bytes = bytes.saturating_mul(self.decoder.find_tag_unsigned(side).map_err(broken)?.unwrap_or(1));
        }
        check_memory(width, height, bytes, most)
    }

    /// The samples of an LZW page whose end the library has not found; none of other pages.
    fn lzw(
        &mut self,
        page: PageLayout,
        error: &tiff::TiffError,
        most: u64,
    ) -> Result<Option<DecodingResult>, FileError> {
        let is_end = matches!(error, tiff::TiffError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof);
        let compression: u16 = self.decoder.find_tag_unsigned(Tag::Compression).ok().flatten().unwrap_or(1);
        if !is_end || compression != CompressionMethod::LZW.to_u16() {
            return Ok(None);
        }
        lzw::read(&mut self.decoder, page, decoded_within(most))
    }

    /// Samples that are no unsigned whole numbers of 8 or 16 bits, in true words.
    fn refuse_strange_samples(&mut self) -> Result<(), FileError> {
        let format: Vec<u16> =
            self.decoder.find_tag_unsigned_vec(Tag::SampleFormat).map_err(broken)?.unwrap_or_default();
        let bits: Vec<u16> =
            self.decoder.find_tag_unsigned_vec(Tag::BitsPerSample).map_err(broken)?.unwrap_or_else(|| vec![1]);
        let bits = bits.first().copied().unwrap_or(1);
        let kind = match format.first() {
            Some(&f) if f == SampleFormat::Int.to_u16() => "signed",
            Some(&f) if f == SampleFormat::IEEEFP.to_u16() => "floating-point",
            Some(&f) if f > SampleFormat::IEEEFP.to_u16() && f != 4 => "complex",
            _ if !matches!(bits, 8 | 16) => "packed",
            _ => return Ok(()),
        };
        Err(FileError::Unsupported(format!(
            "TIFF with {kind} samples of {bits} bit{}; expected unsigned samples of 8 or 16 bits",
            if bits == 1 { "" } else { "s" }
        )))
    }

    /// Indices into a palette of greys.
    fn palette(
        &mut self,
        ifd: usize,
        (width, height): (usize, usize),
        most: u64,
        take: impl FnOnce(usize) -> Option<PixelBuffer>,
    ) -> Result<Pixels, FileError> {
        let map: Vec<u16> = self.decoder.find_tag_unsigned_vec(Tag::ColorMap).map_err(broken)?.unwrap_or_default();
        let bits: u16 = self.decoder.find_tag_unsigned(Tag::BitsPerSample).map_err(broken)?.unwrap_or(1);
        if bits != 8 || map.len() != 3 * 256 {
            return Err(FileError::Unsupported(format!("TIFF with a palette of {bits} bits; expected 8")));
        }
        let (red, rest) = map.split_at(256);
        if red != &rest[..256] || red != &rest[256..] {
            return Err(FileError::Unsupported("TIFF with a palette of colours; expected greys, or no palette".into()));
        }
        check_memory(width, height, 2 * (width * height) as u64, most)?;
        self.check_tile(width, height, 1, most)?;
        let mut pixels = buffer(take, PixelFormat::Mono8, width, height)?;
        // The library reads no palettes: it is shown the indices as grey.
        let offset = self.photometric_offset()?;
        self.decoder.inner().show_palette_as_grey(offset);
        let mut result = DecodingResult::U8(Vec::new());
        let read = self.decoder.seek_to_image(ifd).and_then(|()| self.decoder.read_image_to_buffer(&mut result));
        self.decoder.inner().clear();
        if let Err(error) = read {
            let page = PageLayout { width, height, samples: 1, planar: false, deep: false, white_is_zero: false };
            result = self.lzw(page, &error, most)?.ok_or_else(|| broken(error))?;
        }
        let DecodingResult::U8(indices) = result else {
            return Err(FileError::Unsupported("TIFF with a palette of more than 8 bits".into()));
        };
        let at = Layout { width, height, samples: 1, planar: false };
        at.first_channel(&indices, pixels.bytes_mut())?;
        pixels.bytes_mut().iter_mut().for_each(|v| *v = (red[usize::from(*v)] >> 8) as u8);
        finish(pixels, PixelFormat::Mono8, width, height, 8)
    }

    /// Where in the file the value of the present directory's `PhotometricInterpretation` stands.
    fn photometric_offset(&mut self) -> Result<u64, FileError> {
        let missing = || FileError::Broken("broken TIFF: a directory that cannot be read twice".into());
        let start = self.decoder.ifd_pointer().ok_or_else(missing)?.0;
        let big_endian = self.decoder.byte_order() == ByteOrder::BigEndian;
        let input = self.decoder.inner();
        let number = |bytes: &[u8]| {
            let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
            if big_endian { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) }
        };
        let mut exact = |at: u64, length: usize| -> Result<Vec<u8>, FileError> {
            let mut bytes = vec![0; length];
            input.seek(SeekFrom::Start(at)).and_then(|_| input.read_exact(&mut bytes)).map_err(|e| broken(e.into()))?;
            Ok(bytes)
        };
        // Classic files count in 2 bytes and have entries of 12, big ones 8 and 20.
        let head = exact(2, 2)?;
        let (counter, entry, value) = if number(&head) == 43 { (8, 20, 12) } else { (2, 12, 8) };
        let entries = number(&exact(start, counter)?).min(4096);
        for i in 0..entries {
            let at = start + counter as u64 + i * entry;
            if number(&exact(at, 2)?) == u64::from(Tag::PhotometricInterpretation.to_u16()) {
                return Ok(at + value);
            }
        }
        Err(missing())
    }

    /// The picture `index` of those that lie behind each other where the only directory points.
    fn stacked(
        &mut self,
        index: usize,
        facts: &PageFacts,
        most: u64,
        take: impl FnOnce(usize) -> Option<PixelBuffer>,
    ) -> Result<Pixels, FileError> {
        let (width, height) = self.decoder.dimensions().map_err(broken)?;
        let (width, height) = check_size(width.into(), height.into())?;
        let start = self.strips(Tag::StripOffsets).map_err(FileError::Broken)?.first().copied().unwrap_or(0);
        let deep = self.decoder.colortype().map_err(broken)? == ColorType::Gray(16);
        let inverted =
            self.decoder.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation).map_err(broken)? == Some(0);
        let big_endian = self.decoder.byte_order() == ByteOrder::BigEndian;
        let format = if deep { PixelFormat::Mono16 } else { PixelFormat::Mono8 };
        check_memory(width, height, (width * height * format.bytes_per_pixel()) as u64, most)?;
        let mut pixels = buffer(take, format, width, height)?;
        let bytes = pixels.bytes_mut();
        let input = self.decoder.inner();
        input
            .seek(SeekFrom::Start(start.saturating_add(index as u64 * bytes.len() as u64)))
            .and_then(|_| input.read_exact(bytes))
            .map_err(|e| broken(e.into()))?;
        if deep && big_endian != cfg!(target_endian = "big") {
            pixels.words_mut().iter_mut().for_each(|v| *v = v.swap_bytes());
        }
        if inverted {
            pixels.bytes_mut().iter_mut().for_each(|v| *v = !*v);
        }
        if deep {
            finish_deep(pixels, width, height, facts.declared_bits)
        } else {
            finish(pixels, format, width, height, 8)
        }
    }
}

/// How samples lie in what the library decoded.
struct Layout {
    width: usize,
    height: usize,
    /// Samples a pixel.
    samples: usize,
    /// Channel by channel, not pixel by pixel.
    planar: bool,
}

impl Layout {
    fn check(&self, found: usize) -> Result<(), FileError> {
        let due = self.width * self.height * self.samples;
        if found >= due {
            return Ok(());
        }
        Err(FileError::Broken(format!("broken TIFF: {found} samples where {due} were due")))
    }

    /// Where the channel `channel` of the pixel `pixel` is.
    fn place(&self, pixel: usize, channel: usize) -> usize {
        if self.planar { channel * self.width * self.height + pixel } else { pixel * self.samples + channel }
    }

    fn first_channel<T: Copy>(&self, from: &[T], to: &mut [T]) -> Result<(), FileError> {
        if self.samples == 1 || self.planar {
            // Only the first plane is needed.
            let own = from.get(..to.len()).ok_or_else(|| {
                FileError::Broken(format!("broken TIFF: {} samples where {} were due", from.len(), to.len()))
            })?;
            to.copy_from_slice(own);
            return Ok(());
        }
        self.check(from.len())?;
        to.iter_mut().enumerate().for_each(|(pixel, to)| *to = from[self.place(pixel, 0)]);
        Ok(())
    }

    fn colour<T: Copy>(&self, from: &[T], mut put: impl FnMut(usize, [T; 3])) -> Result<(), FileError> {
        self.check(from.len())?;
        for pixel in 0..self.width * self.height {
            put(pixel, [0, 1, 2].map(|channel| from[self.place(pixel, channel)]));
        }
        Ok(())
    }
}

/// Full-range YCbCr of JPEG to RGB (ITU-T T.871).
fn rgb_of([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|v| v.round().clamp(0.0, 255.0) as u8)
}

/// A tag's text: UTF-8, or Latin-1 where it is none.
fn text_of<R: Read + Seek>(decoder: &mut Decoder<R>, tag: Tag) -> Option<String> {
    let mut ifd = decoder.image_ifd();
    let length = ifd.find_entry(tag)?.count();
    if length > MAX_DESCRIPTION {
        return None;
    }
    let mut bytes = vec![0; length as usize];
    let read = ifd.find_tag_bytes(tag, &mut bytes, 0).ok()??;
    bytes.truncate(read);
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(other) => other.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
    })
}
