//! The kept frame of a cell as OME-TIFF: its pixels untouched, with pixel size, stage position and time where other programs
//! look for them.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::BufWriter,
    path::Path,
};

use image::{DynamicImage, ImageReader};
use quick_xml::escape::escape;
use tiff::{
    TiffError,
    encoder::{Compression, DeflateLevel, TiffEncoder, colortype},
    tags::Tag,
};

use domain::Cell;

/// Why a frame is not written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The kept picture cannot be opened, or the file not made.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The kept picture is none.
    #[error(transparent)]
    Image(#[from] image::ImageError),
    /// The file cannot be written.
    #[error(transparent)]
    Tiff(#[from] TiffError),
}

/// Writes the picture `kept` of the frame of `cell` to `path`, under the `name` of its image.
///
/// # Errors
/// When the picture cannot be read, or the file cannot be written; a file that was begun is removed.
pub fn write_ome_tiff(path: &Path, kept: &Path, name: &str, cell: &Cell) -> Result<(), FrameError> {
    let picture = ImageReader::open(kept)?.with_guessed_format()?.decode()?;
    let written = encode(path, &picture, name, cell);
    if written.is_err() {
        // What is half a picture must not look like one.
        let _ = fs::remove_file(path);
    }
    written
}

fn encode(path: &Path, picture: &DynamicImage, name: &str, cell: &Cell) -> Result<(), FrameError> {
    let (width, height) = (picture.width(), picture.height());
    let mut encoder = TiffEncoder::new(BufWriter::new(File::create(path)?))?
        .with_compression(Compression::Deflate(DeflateLevel::Fast));
    match picture {
        DynamicImage::ImageLuma8(grey) => {
            let mut image = encoder.new_image::<colortype::Gray8>(width, height)?;
            image.encoder().write_tag(Tag::ImageDescription, &*description(picture, "uint8", 1, name, cell))?;
            image.write_data(grey)?;
        }
        DynamicImage::ImageLuma16(grey) => {
            let mut image = encoder.new_image::<colortype::Gray16>(width, height)?;
            image.encoder().write_tag(Tag::ImageDescription, &*description(picture, "uint16", 1, name, cell))?;
            image.write_data(grey)?;
        }
        other => {
            let mut image = encoder.new_image::<colortype::RGB8>(width, height)?;
            image.encoder().write_tag(Tag::ImageDescription, &*description(picture, "uint8", 3, name, cell))?;
            image.write_data(&other.to_rgb8())?;
        }
    }
    Ok(())
}

/// The OME-XML (schema 2016-06) of the file, in ASCII as the tag wants it.
fn description(picture: &DynamicImage, samples: &str, channels: u8, name: &str, cell: &Cell) -> String {
    let mut about = format!("cell {}", cell.cell);
    for (what, value) in [("case", &cell.case), ("slide", &cell.slide), ("file", &cell.captured.file)] {
        if let Some(value) = value {
            let _ = write!(about, ", {what} {value}");
        }
    }
    let pixel_size = cell.captured.um_per_px.map_or(String::new(), |um| {
        format!(r#" PhysicalSizeX="{um}" PhysicalSizeXUnit="µm" PhysicalSizeY="{um}" PhysicalSizeYUnit="µm""#)
    });
    let place = cell.captured.stage_um.map_or(String::new(), |stage| {
        let axes = [("X", Some(stage.x)), ("Y", Some(stage.y)), ("Z", stage.z)];
        let known = axes.into_iter().filter_map(|(axis, value)| Some((axis, value?)));
        known.map(|(axis, um)| format!(r#" Position{axis}="{um}" Position{axis}Unit="µm""#)).collect()
    });
    let text = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.openmicroscopy.org/Schemas/OME/2016-06 http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd" Creator="metaphased {version}"><Image ID="Image:0" Name="{name}"><AcquisitionDate>{time}</AcquisitionDate><Description>{about}</Description><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="{samples}" BigEndian="false" Interleaved="{interleaved}" SizeX="{width}" SizeY="{height}" SizeC="{channels}" SizeZ="1" SizeT="1"{pixel_size}><Channel ID="Channel:0:0" SamplesPerPixel="{channels}"/><TiffData IFD="0" PlaneCount="1"/><Plane TheC="0" TheZ="0" TheT="0"{place}/></Pixels></Image></OME>"#,
        version = env!("CARGO_PKG_VERSION"),
        name = escape(name),
        time = escape(&cell.captured.time),
        about = escape(&about),
        interleaved = channels > 1,
        width = picture.width(),
        height = picture.height(),
    );
    text.chars().fold(String::with_capacity(text.len()), |mut ascii, c| {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            let _ = write!(ascii, "&#{};", u32::from(c));
        }
        ascii
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::files::read_image;
    use domain::{StagePosition, Verdict};
    use image::{ImageBuffer, Luma};
    use testing::sample_cell;

    #[test]
    fn a_frame_comes_back_as_it_was_kept_with_its_place_and_scale() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut cell = sample_cell(1, Some("Käse & Co"), Verdict::Normal);
        cell.captured.um_per_px = Some(0.0645);
        cell.captured.stage_um = Some(StagePosition { x: 1200.5, y: -3.0, z: None });
        let kept = folder.path().join("kept.png");
        let deep = ImageBuffer::from_fn(7, 5, |x, y| Luma([(x * 500 + y * 7) as u16]));
        DynamicImage::ImageLuma16(deep.clone()).save(&kept).expect("saved");
        let path = folder.path().join("0001.ome.tif");
        write_ome_tiff(&path, &kept, "0001", &cell).expect("written");
        let page = read_image(&path).expect("read");
        assert_eq!((page.pixels.width(), page.pixels.height()), (7, 5));
        assert!(
            matches!(page.pixels.view(), domain::frame::PixelView::Mono16(samples) if samples == deep.as_raw().as_slice())
        );
        assert_eq!((page.facts.um_per_px, page.facts.stage_um), (Some(0.0645), cell.captured.stage_um));

        std::fs::write(&kept, "no picture").expect("written");
        assert!(write_ome_tiff(&folder.path().join("0002.ome.tif"), &kept, "0002", &cell).is_err());
        assert!(!folder.path().join("0002.ome.tif").exists());
    }
}
