//! LZW chunks of a TIFF page, decoded here where the library gives up: its reader takes the end of some tiles for a file
//! that ends too early, when the last codes are in its bit buffer already (`tiff` 0.11.3, stream.rs; more than half of
//! padded tiles). Same samples as the library's: native byte order, predictor undone, black is zero.

use std::io::{Read, Seek, SeekFrom};

use tiff::{
    decoder::{ChunkType, Decoder, DecodingResult},
    tags::{ByteOrder, Tag},
};
use weezl::{BitOrder, LzwStatus, decode};

use super::FileError;

/// What the caller knows of the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageLayout {
    pub width: usize,
    pub height: usize,
    /// Samples a pixel.
    pub samples: usize,
    /// Channel by channel, not pixel by pixel.
    pub planar: bool,
    /// Samples of 16 bits, else of 8.
    pub deep: bool,
    /// The samples are inverted.
    pub white_is_zero: bool,
}

fn early() -> FileError {
    FileError::Broken("broken TIFF: it ends too early".into())
}

/// All samples of the page that the decoder stands at; none where it is written in a way that only the library reads.
pub(super) fn read<R: Read + Seek>(
    decoder: &mut Decoder<R>,
    page: PageLayout,
    most_bytes: usize,
) -> Result<Option<DecodingResult>, FileError> {
    let numbers = |decoder: &mut Decoder<R>, tag| decoder.get_tag_u64_vec(tag).map_err(super::tiff::broken);
    let predictor: u16 = decoder.find_tag_unsigned(Tag::Predictor).map_err(super::tiff::broken)?.unwrap_or(1);
    let samples = page.width * page.height * page.samples;
    if !matches!(predictor, 1 | 2) || samples * if page.deep { 2 } else { 1 } > most_bytes {
        return Ok(None);
    }
    let is_tiled = decoder.get_chunk_type() == ChunkType::Tile;
    let (offsets, counts) = if is_tiled {
        (numbers(decoder, Tag::TileOffsets)?, numbers(decoder, Tag::TileByteCounts)?)
    } else {
        (numbers(decoder, Tag::StripOffsets)?, numbers(decoder, Tag::StripByteCounts)?)
    };
    let (across, down) = decoder.chunk_dimensions();
    let chunk = Chunk { width: across as usize, height: down as usize, is_tiled, predicts: predictor == 2 };
    if chunk.width == 0 || chunk.height == 0 {
        return Ok(None);
    }
    let big_endian = decoder.byte_order() == ByteOrder::BigEndian;
    let bytes = if page.deep { 2 } else { 1 };
    let mut deep = vec![0u16; if page.deep { samples } else { 0 }];
    let mut plain = vec![0u8; if page.deep { 0 } else { samples }];
    for (index, (offset, count)) in offsets.into_iter().zip(counts).enumerate() {
        let Some(place) = chunk.place(index, &page) else { break };
        let packed = packed(decoder.inner(), offset, count)?;
        let unpacked = unpack(&packed, place.rows * place.row_samples * bytes)?;
        if page.deep {
            let word = |pair: &[u8]| {
                let pair = [pair[0], pair[1]];
                if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
            };
            let words: Vec<u16> = unpacked.chunks_exact(2).map(word).collect();
            chunk.put(words, &place, &page, &mut deep, u16::wrapping_add);
        } else {
            chunk.put(unpacked, &place, &page, &mut plain, u8::wrapping_add);
        }
    }
    if page.white_is_zero {
        deep.iter_mut().for_each(|v| *v = !*v);
        plain.iter_mut().for_each(|v| *v = !*v);
    }
    Ok(Some(if page.deep { DecodingResult::U16(deep) } else { DecodingResult::U8(plain) }))
}

fn packed(input: &mut (impl Read + Seek), offset: u64, count: u64) -> Result<Vec<u8>, FileError> {
    let failed = |error| super::tiff::broken(tiff::TiffError::IoError(error));
    input.seek(SeekFrom::Start(offset)).map_err(failed)?;
    // Grows with what is there, not with what the file says.
    let mut packed = Vec::new();
    input.take(count).read_to_end(&mut packed).map_err(failed)?;
    if packed.len() as u64 == count { Ok(packed) } else { Err(early()) }
}

/// Exactly `due` bytes.
fn unpack(packed: &[u8], due: usize) -> Result<Vec<u8>, FileError> {
    let mut decoder = decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
    let mut unpacked = vec![0; due];
    let (mut from, mut to) = (0, 0);
    while to < due {
        let done = decoder.decode_bytes(&packed[from..], &mut unpacked[to..]);
        (from, to) = (from + done.consumed_in, to + done.consumed_out);
        match done.status {
            Ok(LzwStatus::Done) => break,
            Ok(_) if done.consumed_in == 0 && done.consumed_out == 0 => break,
            Ok(_) => {}
            Err(error) => return Err(FileError::Broken(format!("broken TIFF: {error}"))),
        }
    }
    if to == due { Ok(unpacked) } else { Err(early()) }
}

struct Chunk {
    width: usize,
    height: usize,
    is_tiled: bool,
    predicts: bool,
}

/// Where a chunk lies on the page.
struct ChunkPlace {
    /// Its plane.
    plane: usize,
    x: usize,
    y: usize,
    /// Rows that it holds.
    rows: usize,
    /// Samples of each of its rows.
    row_samples: usize,
    /// Samples a pixel in it.
    samples: usize,
}

impl Chunk {
    /// None behind the last one.
    fn place(&self, index: usize, page: &PageLayout) -> Option<ChunkPlace> {
        let (across, down) = (page.width.div_ceil(self.width), page.height.div_ceil(self.height));
        let (plane, index) = (index / (across * down), index % (across * down));
        let (planes, samples) = if page.planar { (page.samples, 1) } else { (1, page.samples) };
        if plane >= planes {
            return None;
        }
        let (x, y) = (index % across * self.width, index / across * self.height);
        let rows = if self.is_tiled { self.height } else { self.height.min(page.height - y) };
        Some(ChunkPlace { plane, x, y, rows, row_samples: self.width * samples, samples })
    }

    /// Puts the part of a chunk that lies on the page there.
    fn put<T: Copy>(
        &self,
        mut from: Vec<T>,
        place: &ChunkPlace,
        page: &PageLayout,
        to: &mut [T],
        add: impl Fn(T, T) -> T,
    ) {
        for (row, samples) in from.chunks_exact_mut(place.row_samples).enumerate().take(page.height - place.y) {
            if self.predicts {
                for i in place.samples..samples.len() {
                    samples[i] = add(samples[i], samples[i - place.samples]);
                }
            }
            let seen = self.width.min(page.width - place.x) * place.samples;
            let pixel = place.plane * page.width * page.height + (place.y + row) * page.width + place.x;
            let start = pixel * place.samples;
            to[start..start + seen].copy_from_slice(&samples[..seen]);
        }
    }
}
