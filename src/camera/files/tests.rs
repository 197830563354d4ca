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
    assert_eq!(first.facts.stage_um.map(|s| (s.x, s.y, s.z)), Some((1500.0, 20.0, 3.0)));
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
