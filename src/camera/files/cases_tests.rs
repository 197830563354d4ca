//! Files as laboratories have them, each with what is right for it (the set `cases`).

use super::*;
use crate::station::RejectReason;

fn unpooled(bytes: usize) -> Option<PixelBuffer> {
    Some(PixelBuffer::unpooled(bytes))
}

/// The file of that name of the set, or none where the set is not here.
fn case(name: &str) -> Option<ImageFile> {
    let path = testing::shared_data()?.join("cases").join(name);
    path.exists().then(|| ImageFile::open(&path).unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// Runs where the set is here.
macro_rules! need {
    ($name:literal) => {
        match case($name) {
            Some(file) => file,
            None => return testing::skipped($name),
        }
    };
}

fn grey(page: &Page) -> Vec<u16> {
    match page.pixels.view() {
        domain::frame::PixelView::Mono8(samples) => samples.iter().map(|v| u16::from(*v)).collect(),
        domain::frame::PixelView::Mono16(samples) => samples.to_vec(),
        domain::frame::PixelView::Rgb8(samples) => samples.chunks_exact(3).map(|p| u16::from(p[1])).collect(),
    }
}

fn largest_difference(a: &[u16], b: &[u16]) -> u16 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[test]
fn ten_declared_bits_are_taken_at_their_word() {
    let mut deep = need!("01-10bit-declared.ome.tif");
    let mut plain = need!("01-8bit-same-cell.tif");
    let deep = deep.read(0, unpooled).expect("pixels");
    assert_eq!(deep.pixels.valid_bits(), 10);
    let plain = grey(&plain.read(0, unpooled).expect("pixels"));
    let brought: Vec<u16> = grey(&deep).iter().map(|v| v >> 2).collect();
    assert!(largest_difference(&brought, &plain) <= 1);
}

#[test]
fn a_white_is_zero_tag_is_applied_once() {
    let mut inverted = need!("02-miniswhite8.tif");
    let samples = grey(&inverted.read(0, unpooled).expect("pixels"));
    let bright = samples.iter().filter(|v| **v > 128).count();
    assert!(
        10 * bright > 7 * samples.len(),
        "the background of a bright field is bright: {bright} of {}",
        samples.len()
    );
}

#[test]
fn a_thumbnail_page_is_no_picture_of_its_own() {
    let mut file = need!("03-thumbnail-page-first.tif");
    assert_eq!(file.pages(), 1);
    let page = file.read(0, unpooled).expect("pixels");
    assert!(page.pixels.width() > 300, "{}", page.pixels.width());
}

#[test]
fn every_position_of_a_file_is_its_own() {
    let mut two = need!("04-two-positions-one-file.ome.tif");
    let places: Vec<_> = (0..two.pages())
        .map(|page| two.read(page, unpooled).expect("pixels").facts.stage_um.map(|s| (s.x, s.y)))
        .collect();
    assert_eq!(places, [Some((1000.0, 2000.0)), Some((7000.0, 8000.0))]);
    let mut label = need!("04d-stagelabel-only.ome.tif");
    assert!(label.read(0, unpooled).expect("pixels").facts.stage_um.is_some());
}

#[test]
fn the_pixel_size_is_read_in_every_spelling() {
    for name in ["05-prefixed-root.ome.tif", "05d-no-physicalsize-but-resolution.ome.tif", "06-imagej-micron.tif"] {
        let Some(mut file) = case(name) else { return testing::skipped(name) };
        let um = file.read(0, unpooled).expect("pixels").facts.um_per_px;
        assert!(um.is_some_and(|um| (um - 0.1).abs() < 1e-3), "{name}: {um:?}");
    }
}

#[test]
fn one_bad_link_costs_what_is_behind_it() {
    let mut file = need!("07-last-page-points-past-the-end.tif");
    assert_eq!(file.pages(), 3);
    assert!(file.read(0, unpooled).is_ok() && file.read(1, unpooled).is_ok());
    assert_eq!(file.read(2, unpooled).expect_err("a broken link").reason(), RejectReason::Unreadable);
}

#[test]
fn a_stack_under_one_directory_is_read_whole() {
    let mut file = need!("08-imagej-stack-one-directory.tif");
    assert_eq!(file.pages(), 2);
    let pictures: Vec<_> = (0..2).map(|page| grey(&file.read(page, unpooled).expect("pixels"))).collect();
    assert_ne!(pictures[0], pictures[1]);
}

#[test]
fn layouts_give_the_picture_that_they_hold() {
    let mut plain = need!("01-8bit-same-cell.tif");
    let plain = grey(&plain.read(0, unpooled).expect("pixels"));
    for (name, tolerance) in
        [("09-planar-rgb.tif", 0), ("10-jpeg-ycbcr.tif", 60), ("11-palette-grey.tif", 0), ("12d-zstd.tif", 0)]
    {
        let Some(mut file) = case(name) else { return testing::skipped(name) };
        let page = file.read(0, unpooled).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = grey(&page);
        if found.len() == plain.len() {
            assert!(largest_difference(&found, &plain) <= tolerance, "{name}: {}", largest_difference(&found, &plain));
        }
    }
}

#[test]
fn signed_samples_are_refused_in_true_words() {
    let mut file = need!("12-int16.tif");
    let error = file.read(0, unpooled).expect_err("signed");
    assert_eq!(error.reason(), RejectReason::Unsupported);
    assert!(error.to_string().contains("signed samples of 16 bits"), "{error}");
}

#[test]
fn a_jpeg_that_ends_early_is_broken() {
    let Some(folder) = testing::shared_data().map(|data| data.join("cases")) else { return testing::skipped("jpeg") };
    let whole = std::fs::read(folder.join("14-whole.jpg")).expect("the file");
    assert!(ImageFile::from_bytes(whole.clone()).and_then(|mut f| f.read(0, unpooled)).is_ok());
    for share in [20, 50, 90, 99] {
        let cut = whole[..whole.len() * share / 100].to_vec();
        let error = ImageFile::from_bytes(cut).and_then(|mut f| f.read(0, unpooled)).expect_err("it is cut");
        assert_eq!(error.reason(), RejectReason::Unreadable, "{share} %: {error}");
    }
    let cut = read_image(&folder.join("13-truncated.jpg")).expect_err("it is cut");
    assert_eq!(cut.reason(), RejectReason::Unreadable);
}

#[test]
fn a_large_file_of_another_kind_is_refused_by_its_first_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("overview.avi");
    // A sparse file: reading it whole would take its size in memory.
    std::fs::File::create(&path).and_then(|file| file.set_len(5 << 30)).expect("a file");
    let begun = std::time::Instant::now();
    let error = ImageFile::open(&path).err().expect("no image");
    assert_eq!(error.reason(), RejectReason::Unsupported, "{error}");
    assert!(begun.elapsed().as_secs() < 5, "it was not read whole");
}
