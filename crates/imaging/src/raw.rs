//! Frames as drivers of cameras lay them out in memory: into dense pixels of 8 or 16 bits.
//!
//! One conversion for every live source. Each layout is exact: a sample comes out as the number that the camera gave, and
//! of formats with luma and chroma the luma as it is, neither stretched nor clipped. Samples behind a Bayer filter are grey
//! here; [`Demosaic`](super::Demosaic) follows.

use super::simd::vectorised;
use domain::frame::{PixelBuffer, PixelFormat, Pixels, SizeError};

/// How the samples of a frame lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RawLayout {
    /// A byte a pixel. Of formats with planes (NV12, YUV420) the first one.
    Grey8,
    /// Two bytes a pixel, the value in the lower `bits` (9 to 16).
    Grey16 {
        /// Bits of a sample; those above must be 0.
        bits: u8,
        /// Most significant byte first.
        big_endian: bool,
    },
    /// Five bytes for four pixels of 10 bits: the upper eight bits of each, then the lower two of all, the first pixel's
    /// lowest (MIPI).
    Packed10,
    /// Three bytes for two pixels of 12 bits: the upper eight bits of each, then the lower four of both (MIPI).
    Packed12,
    /// Seven bytes for four pixels of 14 bits: the upper eight bits of each, then the lower six of all (MIPI).
    Packed14,
    /// Pixels of 10 bits one after the other, most significant bit first.
    Stream10,
    /// Pixels of 10 bits one after the other, least significant bit first (GenICam's `10p`).
    Lsb10,
    /// The same with 12 bits (`12p`).
    Lsb12,
    /// The same with 14 bits (`14p`).
    Lsb14,
    /// Three bytes for two pixels of 10 bits: the upper eight bits of the first and the second outside, the lower two of
    /// both between them, the first pixel's lowest (GigE Vision's `10Packed`).
    Gige10,
    /// The same with 12 bits, of which the lower four are between (`12Packed`).
    Gige12,
    /// Four bytes for two pixels, luma in the first and third (YUYV, YVYU).
    LumaFirst,
    /// Four bytes for two pixels, luma in the second and fourth (UYVY, VYUY).
    LumaSecond,
    /// Three bytes a pixel, red first.
    Rgb8,
    /// Three bytes a pixel, blue first.
    Bgr8,
}

impl RawLayout {
    /// How its pixels are kept.
    pub fn format(self) -> PixelFormat {
        match self {
            Self::Grey8 | Self::LumaFirst | Self::LumaSecond => PixelFormat::Mono8,
            Self::Rgb8 | Self::Bgr8 => PixelFormat::Rgb8,
            _ => PixelFormat::Mono16,
        }
    }

    /// Bits of a sample that carry signal.
    pub fn valid_bits(self) -> u8 {
        match self {
            Self::Grey16 { bits, .. } => bits,
            Self::Packed10 | Self::Stream10 | Self::Lsb10 | Self::Gige10 => 10,
            Self::Packed12 | Self::Lsb12 | Self::Gige12 => 12,
            Self::Packed14 | Self::Lsb14 => 14,
            _ => 8,
        }
    }

    /// Bytes of a row of `width` pixels, without what follows it up to the next row.
    pub fn row_bytes(self, width: usize) -> usize {
        match self {
            Self::Grey8 => width,
            Self::Grey16 { .. } => width * 2,
            Self::Packed10 => width.div_ceil(4) * 5,
            Self::Packed12 | Self::Gige10 | Self::Gige12 => width.div_ceil(2) * 3,
            Self::Packed14 => width.div_ceil(4) * 7,
            Self::Stream10 | Self::Lsb10 => (width * 10).div_ceil(8),
            Self::Lsb12 => (width * 12).div_ceil(8),
            Self::Lsb14 => (width * 14).div_ceil(8),
            Self::LumaFirst | Self::LumaSecond => width.div_ceil(2) * 4,
            Self::Rgb8 | Self::Bgr8 => width * 3,
        }
    }
}

/// A frame in the memory of its driver.
#[derive(Debug, Clone, Copy)]
pub struct RawFrame<'a> {
    /// How its samples lie.
    pub layout: RawLayout,
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Bytes from the start of a row to that of the next; 0: rows follow each other without a gap.
    pub stride: usize,
    /// The memory; what follows the last row is not looked at.
    pub bytes: &'a [u8],
}

/// Why a frame cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RawError {
    /// Rows are missing.
    #[error("the frame is cut off: {width} x {height} pixels need {needed} bytes, {found} came")]
    Short {
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        found: usize,
    },
    /// Rows overlap.
    #[error("invalid distance of rows '{stride}': expected at least the {row} bytes of a row")]
    Stride {
        /// Bytes from row to row.
        stride: usize,
        /// Bytes of a row.
        row: usize,
    },
    /// Bits are set that the format has not: the samples lie otherwise than it says.
    #[error("samples are beyond the {bits} bits of the format: the camera fills its 16 bits otherwise than it says")]
    Beyond {
        /// Bits of the format.
        bits: u8,
    },
    /// The buffer does not fit.
    #[error(transparent)]
    Size(#[from] SizeError),
}

impl RawFrame<'_> {
    /// Bytes of the buffer that [`Self::read`] needs.
    pub fn buffer_bytes(&self) -> usize {
        self.width * self.height * self.layout.format().bytes_per_pixel()
    }

    /// Makes sure that every row is there, which needs no buffer.
    ///
    /// # Errors
    /// When rows are missing or overlap.
    pub fn check(&self) -> Result<(), RawError> {
        let (width, height, row) = (self.width, self.height, self.layout.row_bytes(self.width));
        let stride = self.stride();
        if stride < row {
            return Err(RawError::Stride { stride, row });
        }
        let needed = if height == 0 { 0 } else { stride * (height - 1) + row };
        match self.bytes.len() {
            found if found < needed => Err(RawError::Short { width, height, needed, found }),
            _ => Ok(()),
        }
    }

    /// Bytes from row to row.
    fn stride(&self) -> usize {
        if self.stride == 0 { self.layout.row_bytes(self.width) } else { self.stride }
    }

    /// Fills a buffer of [`Self::buffer_bytes`] bytes with the frame's pixels.
    ///
    /// # Errors
    /// When rows are missing, samples are beyond the format's bits, or the buffer has another size.
    pub fn read(&self, buffer: PixelBuffer) -> Result<Pixels, RawError> {
        self.check()?;
        self.fill(buffer)
    }

    /// The same for a frame of which a part may be missing: rows that did not come are 0.
    ///
    /// # Errors
    /// When rows overlap, samples are beyond the format's bits, or the buffer has another size.
    pub fn read_part(&self, buffer: PixelBuffer) -> Result<Pixels, RawError> {
        match self.check() {
            Ok(()) | Err(RawError::Short { .. }) => self.fill(buffer),
            Err(error) => Err(error),
        }
    }

    fn fill(&self, buffer: PixelBuffer) -> Result<Pixels, RawError> {
        let (layout, width, height) = (self.layout, self.width, self.height);
        let (row, stride) = (layout.row_bytes(width), self.stride());
        let bits = layout.valid_bits();
        let mut pixels = Pixels::new(buffer, layout.format(), width, height, bits)?;
        // Rows without a gap are one long row, where its end falls on a whole group of samples.
        let whole = stride == row && row * 8 == bits_of(layout) * width && self.bytes.len() >= row * height;
        let (width, stride) = if whole { (width * height, row * height) } else { (width, stride) };
        let row = layout.row_bytes(width);
        // Taken after the picture's rows: behind the last one less than a row may follow.
        let mut rows = self.bytes.chunks(stride).map_while(|chunk| chunk.get(..row));
        let mut above = 0;
        match pixels.view_mut() {
            domain::frame::PixelViewMut::Mono8(out) | domain::frame::PixelViewMut::Rgb8(out) => {
                for out in out.chunks_exact_mut(width * layout.format().bytes_per_pixel()) {
                    match rows.next() {
                        Some(row) => bytes(layout, row, out),
                        None => out.fill(0),
                    }
                }
            }
            domain::frame::PixelViewMut::Mono16(out) => {
                for out in out.chunks_exact_mut(width) {
                    match rows.next() {
                        Some(row) => above |= words(layout, row, out),
                        None => out.fill(0),
                    }
                }
            }
        }
        if bits < 16 && above >> bits != 0 {
            return Err(RawError::Beyond { bits });
        }
        Ok(pixels)
    }
}

/// Bits of a pixel in memory.
fn bits_of(layout: RawLayout) -> usize {
    match layout {
        RawLayout::Grey8 => 8,
        RawLayout::Packed10 | RawLayout::Stream10 | RawLayout::Lsb10 => 10,
        RawLayout::Packed12 | RawLayout::Lsb12 | RawLayout::Gige10 | RawLayout::Gige12 => 12,
        RawLayout::Packed14 | RawLayout::Lsb14 => 14,
        RawLayout::Grey16 { .. } | RawLayout::LumaFirst | RawLayout::LumaSecond => 16,
        RawLayout::Rgb8 | RawLayout::Bgr8 => 24,
    }
}

/// Bytes that are copied at once.
const COPIED: usize = 1 << 16;

/// A row of bytes.
fn bytes(layout: RawLayout, row: &[u8], out: &mut [u8]) {
    match layout {
        RawLayout::LumaFirst => every_second::<0>(row, out),
        RawLayout::LumaSecond => every_second::<1>(row, out),
        RawLayout::Bgr8 => swapped(row, out),
        // In pieces: of a whole picture the system's copy goes past the caches, which the next step then waits for.
        _ => out.chunks_mut(COPIED).zip(row.chunks(COPIED)).for_each(|(out, row)| out.copy_from_slice(row)),
    }
}

/// One byte of every two.
fn every_second<const WHICH: usize>(row: &[u8], out: &mut [u8]) {
    vectorised(
        #[inline(always)]
        || {
            for (from, to) in row.as_chunks::<2>().0.iter().zip(out.iter_mut()) {
                *to = (u16::from_le_bytes(*from) >> (8 * WHICH)) as u8;
            }
        },
    );
}

/// Red and blue exchanged.
fn swapped(row: &[u8], out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return simd.vectorize(
            #[inline(always)]
            || swapped_by_shuffle(simd, row, out),
        );
    }
    one_by_one(row, out);
}

#[inline(always)]
fn one_by_one(row: &[u8], out: &mut [u8]) {
    for (from, to) in row.as_chunks::<3>().0.iter().zip(out.as_chunks_mut::<3>().0) {
        *to = [from[2], from[1], from[0]];
    }
}

/// Five pixels at a time, in a vector of 16 bytes whose last byte the next one writes again. The compiler finds no shuffle in
/// an exchange byte by byte.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn swapped_by_shuffle(simd: pulp::x86::V3, row: &[u8], out: &mut [u8]) {
    const BYTES: usize = 15;
    const ORDER: [u8; 16] = [2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9, 14, 13, 12, 15];
    let order = pulp::cast(ORDER);
    let (mut from, mut to) = (row, out);
    while let (Some(five), Some(swapped)) = (from.first_chunk::<16>(), to.first_chunk_mut::<16>()) {
        *swapped = pulp::cast(simd.ssse3._mm_shuffle_epi8(pulp::cast(*five), order));
        (from, to) = (&from[BYTES..], &mut to[BYTES..]);
    }
    one_by_one(from, to);
}

/// A row of 16-bit samples; returns all bits that are set in any of them.
fn words(layout: RawLayout, row: &[u8], out: &mut [u16]) -> u16 {
    match layout {
        RawLayout::Grey16 { big_endian: true, .. } => pairwise(row, out, u16::from_be_bytes),
        RawLayout::Packed10 => groups(
            row,
            out,
            #[inline(always)]
            |from: &[u8; 5]| {
                std::array::from_fn::<_, 4, _>(
                    #[inline(always)]
                    |i| u16::from(from[i]) << 2 | u16::from(from[4] >> (2 * i)) & 3,
                )
            },
        ),
        RawLayout::Packed12 => groups(
            row,
            out,
            #[inline(always)]
            |from: &[u8; 3]| {
                [u16::from(from[0]) << 4 | u16::from(from[2] & 15), u16::from(from[1]) << 4 | u16::from(from[2] >> 4)]
            },
        ),
        RawLayout::Packed14 => groups(
            row,
            out,
            #[inline(always)]
            |from: &[u8; 7]| {
                let low = u32::from(from[4]) | u32::from(from[5]) << 8 | u32::from(from[6]) << 16;
                std::array::from_fn::<_, 4, _>(
                    #[inline(always)]
                    |i| u16::from(from[i]) << 6 | (low >> (6 * i)) as u16 & 63,
                )
            },
        ),
        RawLayout::Stream10 => groups(
            row,
            out,
            #[inline(always)]
            |from: &[u8; 5]| {
                std::array::from_fn::<_, 4, _>(
                    #[inline(always)]
                    |i| (u16::from(from[i]) << 8 | u16::from(from[i + 1])) >> (6 - 2 * i) & 0x3ff,
                )
            },
        ),
        RawLayout::Lsb10 => groups(
            row,
            out,
            #[inline(always)]
            |from: &[u8; 5]| {
                std::array::from_fn::<_, 4, _>(
                    #[inline(always)]
                    |i| (u16::from(from[i]) | u16::from(from[i + 1]) << 8) >> (2 * i) & 0x3ff,
                )
            },
        ),
        RawLayout::Lsb12 => groups(
            row,
            out,
            #[inline(always)]
            |from: &[u8; 3]| {
                [u16::from(from[0]) | u16::from(from[1] & 15) << 8, u16::from(from[1] >> 4) | u16::from(from[2]) << 4]
            },
        ),
        RawLayout::Lsb14 => groups(
            row,
            out,
            #[inline(always)]
            |from: &[u8; 7]| {
                let all = u64::from_le_bytes([from[0], from[1], from[2], from[3], from[4], from[5], from[6], 0]);
                std::array::from_fn::<_, 4, _>(
                    #[inline(always)]
                    |i| (all >> (14 * i)) as u16 & 0x3fff,
                )
            },
        ),
        RawLayout::Gige10 => groups(
            row,
            out,
            #[inline(always)]
            |from: &[u8; 3]| {
                [
                    u16::from(from[0]) << 2 | u16::from(from[1] & 3),
                    u16::from(from[2]) << 2 | u16::from(from[1] >> 4 & 3),
                ]
            },
        ),
        RawLayout::Gige12 => groups(
            row,
            out,
            #[inline(always)]
            |from: &[u8; 3]| {
                [u16::from(from[0]) << 4 | u16::from(from[1] & 15), u16::from(from[2]) << 4 | u16::from(from[1] >> 4)]
            },
        ),
        _ => pairwise(row, out, u16::from_le_bytes),
    }
}

fn pairwise(row: &[u8], out: &mut [u16], read: impl Fn([u8; 2]) -> u16) -> u16 {
    vectorised(
        #[inline(always)]
        || {
            let mut above = 0;
            for (from, to) in row.as_chunks::<2>().0.iter().zip(out.iter_mut()) {
                let word = read(*from);
                *to = word;
                above |= word;
            }
            above
        },
    )
}

/// Groups of `B` bytes become `N` samples; the last group may be used in part. No bit above the format's can come out.
fn groups<const B: usize, const N: usize>(row: &[u8], out: &mut [u16], read: impl Fn(&[u8; B]) -> [u16; N]) -> u16 {
    let (whole, rest) = out.as_chunks_mut::<N>();
    vectorised(
        #[inline(always)]
        || {
            for (from, to) in row.as_chunks::<B>().0.iter().zip(whole.iter_mut()) {
                *to = read(from);
            }
        },
    );
    if !rest.is_empty() {
        // A row may end with the last bytes that hold a sample.
        let mut last = [0; B];
        let tail = &row[whole.len() * B..];
        let there = tail.len().min(B);
        last[..there].copy_from_slice(&tail[..there]);
        rest.copy_from_slice(&read(&last)[..rest.len()]);
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::frame::PixelView;

    #[test]
    fn what_follows_the_last_row_is_no_row_however_short_it_is() {
        let bytes: Vec<u8> = (0..12).collect();
        let frame = RawFrame { layout: RawLayout::Grey8, width: 4, height: 2, stride: 5, bytes: &bytes };
        let pixels = frame.read(PixelBuffer::unpooled(frame.buffer_bytes())).expect("whole");
        assert!(matches!(pixels.view(), PixelView::Mono8([0, 1, 2, 3, 5, 6, 7, 8])));
    }

    #[test]
    fn of_a_frame_that_is_cut_off_the_rows_that_came_are_read() {
        let bytes: Vec<u8> = (1..=11).collect();
        for (stride, expected) in [(0, [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0]), (5, [1, 2, 3, 4, 6, 7, 8, 9, 0, 0, 0, 0])]
        {
            let frame = RawFrame { layout: RawLayout::Grey8, width: 4, height: 3, stride, bytes: &bytes };
            let pixels = frame.read_part(PixelBuffer::unpooled(frame.buffer_bytes())).expect("two rows");
            assert!(matches!(pixels.view(), PixelView::Mono8(found) if *found == expected), "{stride}");
        }
    }

    /// Two rows of the layout with `gap` bytes of 0xAA after each.
    fn read(layout: RawLayout, width: usize, rows: [&[u8]; 2], gap: usize) -> Result<Vec<u16>, RawError> {
        let mut bytes = Vec::new();
        for row in rows {
            bytes.extend_from_slice(row);
            bytes.extend(std::iter::repeat_n(0xAA, gap));
        }
        let stride = layout.row_bytes(width) + gap;
        let frame = RawFrame { layout, width, height: 2, stride, bytes: &bytes };
        let pixels = frame.read(PixelBuffer::unpooled(frame.buffer_bytes()))?;
        Ok(match pixels.view() {
            PixelView::Mono8(samples) | PixelView::Rgb8(samples) => samples.iter().map(|s| u16::from(*s)).collect(),
            PixelView::Mono16(samples) => samples.to_vec(),
        })
    }

    /// What layout, width, bytes of one row and its samples are, by hand from the kernel's documentation.
    fn by_hand() -> Vec<(RawLayout, usize, Vec<u8>, Vec<u16>)> {
        let grey = |bits, big_endian| RawLayout::Grey16 { bits, big_endian };
        vec![
            (RawLayout::Grey8, 3, vec![0, 128, 255], vec![0, 128, 255]),
            (grey(10, false), 2, vec![0xff, 0x03, 0x01, 0x02], vec![1023, 513]),
            (grey(12, false), 2, vec![0xff, 0x0f, 0x01, 0x08], vec![4095, 2049]),
            (grey(16, false), 2, vec![0xff, 0xff, 0x34, 0x12], vec![65535, 0x1234]),
            (grey(16, true), 2, vec![0x12, 0x34, 0x00, 0x01], vec![0x1234, 1]),
            // Upper bits 1, 2, 3, 4; lower bits 0, 1, 2, 3, the first pixel's lowest.
            (RawLayout::Packed10, 4, vec![1, 2, 3, 4, 0b11_10_01_00], vec![4, 9, 14, 19]),
            (RawLayout::Packed10, 5, vec![1, 2, 3, 4, 0xe4, 255, 0, 0, 0, 3], vec![4, 9, 14, 19, 1023]),
            (RawLayout::Packed12, 2, vec![0x12, 0xff, 0x5a], vec![0x12a, 0xff5]),
            (RawLayout::Packed12, 3, vec![0x12, 0xff, 0x5a, 0xff, 0, 0x0f], vec![0x12a, 0xff5, 0xfff]),
            // Lower bits 0x21, 0x02, 0x3f, 0x15: 24 bits 010101 111111 000010 100001 from the highest.
            (
                RawLayout::Packed14,
                4,
                vec![1, 2, 3, 0xff, 0b1010_0001, 0b1111_0000, 0b0101_0111],
                vec![0x40 | 0x21, 0x80 | 0x02, 0xc0 | 0x3f, 0x3fc0 | 0x15],
            ),
            // 10 bits each, the highest first: 1023, 1, 512, 341.
            (
                RawLayout::Stream10,
                4,
                vec![0b1111_1111, 0b1100_0000, 0b0001_1000, 0b0000_0001, 0b0101_0101],
                vec![1023, 1, 512, 341],
            ),
            (RawLayout::Stream10, 1, vec![0b1000_0000, 0b0100_0000], vec![513]),
            // The same four, the lowest bit first.
            (
                RawLayout::Lsb10,
                4,
                vec![0b1111_1111, 0b0000_0111, 0b0000_0000, 0b0110_0000, 0b0101_0101],
                vec![1023, 1, 512, 341],
            ),
            (RawLayout::Lsb10, 1, vec![0b0000_0001, 0b0000_0010], vec![513]),
            (RawLayout::Lsb12, 2, vec![0x2a, 0x51, 0xff], vec![0x12a, 0xff5]),
            (RawLayout::Lsb12, 3, vec![0x2a, 0x51, 0xff, 0xff, 0x0f], vec![0x12a, 0xff5, 0xfff]),
            // 0x0001, 0x3fff, 0x2aaa, 0x1555: 56 bits 01010101010101 10101010101010 11111111111111 00000000000001.
            (
                RawLayout::Lsb14,
                4,
                vec![0x01, 0b1100_0000, 0xff, 0b1010_1111, 0b1010_1010, 0b0101_0110, 0b0101_0101],
                vec![0x0001, 0x3fff, 0x2aaa, 0x1555],
            ),
            (RawLayout::Gige10, 2, vec![1, 0b0010_0011, 255], vec![7, 1022]),
            (RawLayout::Gige12, 2, vec![0x12, 0x5a, 0xff], vec![0x12a, 0xff5]),
            (RawLayout::Gige12, 3, vec![0x12, 0x5a, 0xff, 0xff, 0x0f, 0], vec![0x12a, 0xff5, 0xfff]),
            (RawLayout::LumaFirst, 4, vec![10, 1, 20, 2, 30, 3, 40, 4], vec![10, 20, 30, 40]),
            (RawLayout::LumaFirst, 3, vec![10, 1, 20, 2, 30, 3, 40, 4], vec![10, 20, 30]),
            (RawLayout::LumaSecond, 2, vec![1, 16, 2, 235], vec![16, 235]),
            (RawLayout::Rgb8, 2, vec![1, 2, 3, 4, 5, 6], vec![1, 2, 3, 4, 5, 6]),
            (RawLayout::Bgr8, 2, vec![1, 2, 3, 4, 5, 6], vec![3, 2, 1, 6, 5, 4]),
            (RawLayout::Bgr8, 5, (1..=15).collect(), vec![3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10, 15, 14, 13]),
        ]
    }

    #[test]
    fn samples_come_out_as_the_camera_gave_them_with_and_without_a_gap_after_rows() {
        for (layout, width, row, samples) in by_hand() {
            let twice = [samples.clone(), samples].concat();
            for gap in [0, 1, 7] {
                let found = read(layout, width, [&row, &row], gap).unwrap();
                assert_eq!(found, twice, "{layout:?}, {width} pixels, gap {gap}");
            }
        }
    }

    #[test]
    fn long_rows_are_read_like_short_ones() {
        for (layout, width, row, samples) in by_hand() {
            // Only rows that end with a whole group can be put behind each other.
            if row.len() * 8 != bits_of(layout) * width {
                continue;
            }
            let (long, expected) = (row.repeat(75), samples.repeat(150));
            for gap in [0, 3] {
                assert_eq!(read(layout, width * 75, [&long, &long], gap).unwrap(), expected, "{layout:?}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_lies_otherwise_is_refused() {
        let layout = RawLayout::Grey16 { bits: 10, big_endian: false };
        let frame = |bytes, stride| RawFrame { layout, width: 2, height: 2, stride, bytes };
        let buffer = || PixelBuffer::unpooled(8);
        let short = frame(&[0; 7], 0).read(buffer()).unwrap_err();
        assert!(short.to_string().contains("2 x 2 pixels need 8 bytes, 7 came"), "{short}");
        let narrow = frame(&[0; 8], 3).read(buffer()).unwrap_err();
        assert!(narrow.to_string().contains("invalid distance of rows '3': expected at least the 4"), "{narrow}");
        let aligned_left = frame(&[0, 0, 0, 0, 0, 0, 0, 0x40], 0).read(buffer()).unwrap_err();
        assert!(aligned_left.to_string().contains("beyond the 10 bits"), "{aligned_left}");
        assert!(frame(&[0; 8], 0).read(PixelBuffer::unpooled(6)).is_err());
        // The last row needs no gap behind it.
        assert!(frame(&[0; 14], 10).read(buffer()).is_ok());
    }
}
