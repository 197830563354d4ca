//! `metaphased flat-field` as a person calls it, and what `analyze` makes of it.

use std::{
    path::Path,
    process::{Command, Output},
};

use image::{ImageBuffer, Luma};

fn metaphased(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_metaphased")).args(arguments).output().expect("it runs")
}

/// An empty field of 12 bits in light that falls off to the right, with a bar at `bar` and dust at 60, 40.
fn write(path: &Path, bar: u32) {
    let picture = ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(200, 100, |x, y| {
        let light = 50_000.0 * (1.0 - f64::from(x) / 400.0);
        let object = if (bar..bar + 30).contains(&x) { 0.4 } else { 1.0 };
        let dust = if (58..63).contains(&x) && (38..43).contains(&y) { 0.7 } else { 1.0 };
        Luma([(light * object * dust) as u16])
    });
    picture.save(path).expect("written");
}

#[test]
fn pictures_of_empty_places_become_a_flat_field_that_names_its_dust() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).expect("made");
    for (k, bar) in [5, 70, 110, 150, 30].into_iter().enumerate() {
        write(&empty.join(format!("{k}.png")), bar);
    }
    let out = folder.path().join("flat.png");
    let said = metaphased(&["flat-field", empty.to_str().expect("a path"), "--out", out.to_str().expect("a path")]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.status.code(), Some(0), "{text} {}", String::from_utf8_lossy(&said.stderr));
    assert!(text.contains("200 x 100 pixels from 5 frames"), "{text}");
    assert!(text.contains("dust at 60, 40: 5 x 5 pixels"), "{text}");
    let flat = image::open(&out).expect("a picture").into_luma16();
    assert!(flat.get_pixel(10, 80).0[0] > flat.get_pixel(190, 80).0[0], "the light falls off to the right");
}

#[test]
fn what_cannot_become_one_ends_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = folder.path().join("one.png");
    write(&one, 5);
    let (one, out) = (one.to_str().expect("a path"), folder.path().join("flat.png"));
    let out = out.to_str().expect("a path");
    for (arguments, exit, words) in [
        (vec!["flat-field", one, "--out", out], 65, "too few"),
        (vec!["flat-field", "no-such-file.png", "--out", out], 66, "no file or folder"),
        (vec!["flat-field", "--out", out], 64, "required"),
        (
            vec!["flat-field", "--source", "nobody", "--out", out],
            64,
            "invalid source 'nobody': the configuration has none",
        ),
        (vec!["analyze", "--flat-field", "no-such-file.png", one], 66, "flat field no-such-file.png"),
    ] {
        let said = metaphased(&arguments);
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(said.status.code(), Some(exit), "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}
