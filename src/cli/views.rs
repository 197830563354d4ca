//! `metaphased simulate --views`: the virtual slide as a microscope that a program drives, a stage position a line.

use std::{
    io::{BufRead, Write},
    path::PathBuf,
};

use image::ExtendedColorType;
use serde::{Deserialize, Serialize};

use super::{Exit, Failure, simulate::png};
use domain::StagePosition;
use slide::{FieldTruth, Objective, Samples, Stop, View, VirtualSlide};

/// Through which lens.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Lens {
    #[default]
    Working,
    Search,
}

/// A line of the input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    x: f64,
    y: f64,
    /// None: in focus.
    #[serde(default)]
    z: Option<f64>,
    #[serde(default)]
    objective: Lens,
    /// Where the picture goes (PNG).
    out: PathBuf,
}

/// The first line of the output: the slide.
#[derive(Debug, Serialize)]
struct Slide {
    /// Left, top, right and bottom of the area with cells.
    extent_um: [f64; 4],
    size: [u32; 2],
    um_per_px: [f64; 2],
    metaphases: Vec<Place>,
}

#[derive(Debug, Serialize)]
struct Place {
    cell: u32,
    #[serde(flatten)]
    stage_um: StagePosition,
}

/// Answers stage positions from stdin with pictures, and with their truth on stdout.
pub(super) fn run(slide: &mut VirtualSlide) -> Result<Exit, Failure> {
    let settings = slide.settings().clone();
    if settings.bits > 8 || settings.cells.is_none() {
        return Err(Failure::new(Exit::Usage, "--views draws 8-bit pictures: leave --bits out"));
    }
    let mut out = std::io::stdout().lock();
    let working = settings.um_per_px;
    let known = Slide {
        extent_um: extent(slide),
        size: [settings.width, settings.height],
        um_per_px: [working, working * Objective::Search.reduction()],
        metaphases: (0..settings.cells.unwrap_or(0))
            .map(|cell| Place { cell, stage_um: slide.at_cell(cell).stage })
            .collect(),
    };
    say(&mut out, &known)?;
    let mut pixels = vec![0; settings.width as usize * settings.height as usize];
    for (line, exposure) in std::io::stdin().lock().lines().zip(1..) {
        let line = line.map_err(|error| Failure::from_error(Exit::Io, &error))?;
        if line.trim().is_empty() {
            continue;
        }
        let wanted: Wanted = serde_json::from_str(&line)
            .map_err(|error| Failure::new(Exit::Data, format!("invalid line {exposure} '{line}': {error}")))?;
        let truth = draw(slide, &wanted, exposure, &mut pixels)?;
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::CannotCreate, format!("{} cannot be written: {error}", wanted.out.display()))
        };
        png(&wanted.out, &pixels, [settings.width, settings.height], ExtendedColorType::L8).map_err(|e| failed(&e))?;
        say(&mut out, &truth)?;
    }
    Ok(Exit::Done)
}

fn draw(slide: &mut VirtualSlide, wanted: &Wanted, exposure: u64, pixels: &mut [u8]) -> Result<FieldTruth, Failure> {
    let Wanted { x, y, z, objective, .. } = *wanted;
    let objective = match objective {
        Lens::Working => Objective::Working,
        Lens::Search => Objective::Search,
    };
    let z = z.unwrap_or_else(|| slide.focal_plane(x, y));
    let stop = Stop { stage: StagePosition { x, y, z: Some(z) }, motion_um: [0.0; 2], exposure };
    slide
        .render_view(&View { stop, objective }, Samples::Mono8(pixels))
        .map_err(|error| Failure::from_error(Exit::Internal, &error))
}

/// The area of all fields, by their middles and the distance between two.
fn extent(slide: &VirtualSlide) -> [f64; 4] {
    let fields: Vec<[f64; 2]> = (0..slide.fields().unwrap_or(0)).map(|field| slide.field_centre(field)).collect();
    let of = |axis: usize| {
        let (low, high) = fields.iter().fold((f64::MAX, f64::MIN), |(l, h), f| (l.min(f[axis]), h.max(f[axis])));
        let margin = slide.settings().um_per_px * f64::from(slide.settings().width.max(slide.settings().height)) / 2.0;
        (low - margin, high + margin)
    };
    let ((left, right), (top, bottom)) = (of(0), of(1));
    [left, top, right, bottom]
}

fn say(out: &mut impl Write, what: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(what).map_err(|error| Failure::from_error(Exit::Internal, &error))?;
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| Failure::from_error(Exit::Io, &error))
}
