use std::io::Cursor;

use ::tiff::{
    encoder::{TiffEncoder, colortype},
    tags::Tag,
};
use image::{DynamicImage, ImageFormat, Luma, Rgb};

use super::*;
use domain::frame::PixelView;

fn unpooled(bytes: usize) -> Option<PixelBuffer> {
    Some(PixelBuffer::unpooled(bytes))
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("it encodes");
    bytes.into_inner()
}

#[test]
fn lossless_formats_come_back_bit_for_bit() {
    let grey = DynamicImage::ImageLuma8(image::ImageBuffer::from_fn(7, 5, |x, y| Luma([(x * 10 + y) as u8])));
    let deep = DynamicImage::ImageLuma16(image::ImageBuffer::from_fn(7, 5, |x, y| Luma([(x * 4000 + y) as u16])));
    let colour = DynamicImage::ImageRgb8(image::ImageBuffer::from_fn(7, 5, |x, y| Rgb([x as u8, y as u8, 9])));
    for (image, formats) in [
        (&grey, &[ImageFormat::Png, ImageFormat::Tiff][..]),
        (&deep, &[ImageFormat::Png, ImageFormat::Tiff]),
        (&colour, &[ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::WebP]),
    ] {
        for format in formats {
            let mut file = ImageFile::from_bytes(encoded(image, *format)).expect("it opens");
            let page = file.read(0, unpooled).expect("it reads");
            assert_eq!((page.pixels.width(), page.pixels.height()), (7, 5));
            let same = match page.pixels.view() {
                PixelView::Mono8(samples) => samples == image.as_bytes(),
                PixelView::Mono16(samples) => samples == image.as_luma16().expect("deep").as_raw().as_slice(),
                PixelView::Rgb8(samples) => samples == image.as_bytes(),
            };
            assert!(same, "{format:?}");
        }
    }
}

fn ome_tiff() -> Vec<u8> {
    let description = r#"<?xml version="1.0"?><OME><Image><Pixels DimensionOrder="XYCZT" SizeC="2" SizeZ="1" SizeT="1"
        PhysicalSizeX="65" PhysicalSizeXUnit="nm"><Channel Name="DAPI"/><Channel Name="FITC"/>
        <Plane TheC="0" TheZ="0" TheT="0" PositionX="1.5" PositionXUnit="mm" PositionY="20" PositionZ="3"/>
        </Pixels></Image></OME>"#;
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).expect("a writer");
    for page in 0..2u16 {
        let mut image = encoder.new_image::<colortype::Gray16>(4, 3).expect("a page");
        if page == 0 {
            image.encoder().write_tag(Tag::ImageDescription, description).expect("a tag");
        }
        image.write_data(&[page * 1000 + 5; 12]).expect("pixels");
    }
    bytes.into_inner()
}

#[test]
fn every_page_of_an_ome_tiff_brings_its_scale_place_and_channel() {
    let mut file = ImageFile::from_bytes(ome_tiff()).expect("it opens");
    assert_eq!(file.pages(), 2);
    let first = file.read(0, unpooled).expect("page 0");
    assert_eq!(first.facts.um_per_px, Some(0.065));
    assert_eq!(first.facts.stage_um.map(|s| (s.x, s.y, s.z)), Some((1500.0, 20.0, Some(3.0))));
    assert_eq!(first.facts.channel.as_deref(), Some("DAPI"));
    let second = file.read(1, unpooled).expect("page 1");
    assert_eq!(second.facts.channel.as_deref(), Some("FITC"));
    assert_eq!(second.facts.stage_um, None);
    assert!(matches!(second.pixels.view(), PixelView::Mono16(s) if s.iter().all(|v| *v == 1005)));
}

#[test]
fn broken_files_say_what_is_wrong() {
    let png = encoded(&DynamicImage::new_luma8(20, 20), ImageFormat::Png);
    for (bytes, expected) in [
        (Vec::new(), "empty"),
        (b"chromosome,class\n1,2\n".to_vec(), "no image format"),
        (png[..png.len() / 2].to_vec(), "broken Png"),
        (ome_tiff()[..60].to_vec(), "broken TIFF"),
    ] {
        let error = ImageFile::from_bytes(bytes).and_then(|mut f| f.read(0, unpooled)).expect_err("it is broken");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_picture_that_would_take_too_much_memory_is_refused_with_the_number_before_it_is_decoded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.png");
    DynamicImage::new_rgba16(400, 300).save(&path).expect("a file");
    let length = std::fs::metadata(&path).expect("a file").len();
    // Eight bytes decoded and two of the frame, for each pixel, beside the file itself.
    let needed = 400 * 300 * 10 + length;
    let read = |most| ImageFile::open_within(&path, most).and_then(|mut file| file.read(0, unpooled));
    read(needed).expect("just enough");
    let mut asked = false;
    let refused = ImageFile::open_within(&path, needed - 1).and_then(|mut file| {
        file.read(0, |bytes| {
            asked = true;
            unpooled(bytes)
        })
    });
    let text = refused.expect_err("one byte too much").to_string();
    assert!(text.contains(&format!("takes {needed} bytes of memory; at most {}", needed - 1)), "{text}");
    assert!(!asked, "no buffer was asked for");
    assert!(read(length - 1).expect_err("the file alone is too much").to_string().contains("memory.picture"));
}

#[test]
fn a_tile_takes_no_more_memory_than_a_picture_may() {
    for side in [65_536_u32, 0x7fff_ff00] {
        // One sample, packed.
        let mut bytes = b"II*\0\x0c\0\0\0\x80\0\x20\x20".to_vec();
        let entries = [(256, 4), (257, 4), (258, 8), (259, 5), (262, 1), (322, side), (323, side), (324, 8), (325, 4)];
        bytes.extend((entries.len() as u16).to_le_bytes());
        for (tag, value) in entries {
            bytes.extend([tag, 4_u16].into_iter().flat_map(u16::to_le_bytes));
            bytes.extend([1, value].into_iter().flat_map(u32::to_le_bytes));
        }
        bytes.extend([0; 4]);
        let error = ImageFile::from_bytes(bytes).and_then(|mut f| f.read(0, unpooled)).expect_err("it is too large");
        assert!(matches!(error, FileError::TooMuchMemory { .. }), "{error}");
    }
}

/// A TIFF whose second directory says that its height is `count` numbers.
fn long_list(count: u32) -> Vec<u8> {
    let mut bytes = encoded(&DynamicImage::new_luma8(4, 4), ImageFormat::Tiff);
    let first = u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes")) as usize;
    let entries = usize::from(u16::from_le_bytes([bytes[first], bytes[first + 1]]));
    let link = first + 2 + 12 * entries;
    let second = (bytes.len() as u32).to_le_bytes();
    bytes[link..link + 4].copy_from_slice(&second);
    bytes.extend(2_u16.to_le_bytes());
    for (tag, kind, count, value) in [(256_u16, 3_u16, 1, 4_u32), (257, 3, count, 8)] {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn a_list_in_a_directory_takes_no_more_memory_than_a_picture_may() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.tif");
    std::fs::write(&path, long_list(8_847_361)).expect("a file");
    let second = |most| ImageFile::open_within(&path, most).and_then(|mut file| file.read(1, unpooled));
    // A number takes 32 bytes once it is read.
    let text = second(64 << 20).expect_err("283 MB of numbers").to_string();
    assert!(text.contains("limits"), "{text}");
    let text = second(PICTURE_BYTES).expect_err("the numbers are not there").to_string();
    assert!(!text.contains("limits"), "{text}");
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), head in 0usize..5) {
        let heads: [&[u8]; 5] = [b"", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"BM", b"RIFF\x20\0\0\0WEBPVP8 "];
        bytes.splice(0..0, heads[head].iter().copied());
        if let Ok(mut file) = ImageFile::from_bytes(bytes) {
            let _ = file.read(0, unpooled);
        }
    }
}

/// A grey TIFF of LZW tiles that reach beyond the picture on the right and below.
fn tiled_lzw(width: usize, height: usize, pixel: impl Fn(usize, usize) -> u8) -> Vec<u8> {
    const TILE: [usize; 2] = [48, 32];
    let mut bytes = b"II*\0\0\0\0\0".to_vec();
    let (mut offsets, mut counts) = (Vec::new(), Vec::new());
    for y in (0..height).step_by(TILE[1]) {
        for x in (0..width).step_by(TILE[0]) {
            let inside = |x: usize, y: usize| if x < width && y < height { pixel(x, y) } else { 0 };
            let tile: Vec<u8> = (y..y + TILE[1])
                .flat_map(|y| (x..x + TILE[0]).map(move |x| (x, y)))
                .map(|(x, y)| inside(x, y))
                .collect();
            let mut encoder = weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8);
            let packed = encoder.encode(&tile).expect("it is packed");
            offsets.push(bytes.len() as u32);
            counts.push(packed.len() as u32);
            bytes.extend(packed);
        }
    }
    let list = |bytes: &mut Vec<u8>, values: &[u32]| {
        let at = bytes.len() as u32;
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        at
    };
    let tiles = offsets.len() as u32;
    let (offsets, counts) = (list(&mut bytes, &offsets), list(&mut bytes, &counts));
    let directory = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&directory.to_le_bytes());
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 4, 1, width as u32),
        (257, 4, 1, height as u32),
        (258, 3, 1, 8),
        (259, 3, 1, 5),
        (262, 3, 1, 1),
        (277, 3, 1, 1),
        (322, 3, 1, TILE[0] as u32),
        (323, 3, 1, TILE[1] as u32),
        (324, 4, tiles, offsets),
        (325, 4, tiles, counts),
    ];
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn padded_tiles_of_lzw_are_read_to_their_end() {
    for seed in 0..24_usize {
        // Smooth with some noise, as a micrograph is.
        let pixel = |x: usize, y: usize| {
            let noise = (x * 7919 + y * 104_729 + seed * 1_299_709) ^ (x * y + seed);
            (100 + x + y / 2 + noise % 16) as u8
        };
        let whole = tiled_lzw(67, 53, pixel);
        let mut file = ImageFile::from_bytes(whole).expect("a TIFF");
        let page = file.read(0, unpooled).unwrap_or_else(|e| panic!("{seed}: {e}"));
        let domain::frame::PixelView::Mono8(samples) = page.pixels.view() else { panic!("8 bits of grey") };
        let expected: Vec<u8> = (0..53).flat_map(|y| (0..67).map(move |x| pixel(x, y))).collect();
        assert_eq!(samples, expected, "{seed}");
    }
}

#[test]
fn lzw_tiles_that_are_cut_are_broken() {
    let mut cut = tiled_lzw(67, 53, |x, y| (x * y) as u8);
    // The last tile loses its codes, not its place.
    let counts = cut.len() - (2 + 10 * 12 + 4) - 16;
    let last = u32::from_le_bytes(cut[counts + 12..counts + 16].try_into().expect("four bytes")) / 2;
    cut[counts + 12..counts + 16].copy_from_slice(&last.to_le_bytes());
    let mut file = ImageFile::from_bytes(cut).expect("a TIFF");
    let error = file.read(0, unpooled).expect_err("it is cut");
    assert_eq!(error.reason(), crate::station::RejectReason::Unreadable, "{error}");
}
