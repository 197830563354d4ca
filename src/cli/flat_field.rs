//! `flat-field`: the light of the empty field, from pictures or from a live source.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use image::{ImageBuffer, Luma};

use super::{Exit, Failure, Global, config, output};
use crate::{
    camera::{
        Buffers, Capture,
        files::{is_image_name, read_image},
        list_files,
    },
    config::SourceKind,
    pipeline::sources,
    shutdown::Shutdown,
};
use domain::frame::FramePool;
use imaging::{FlatField, FlatFieldRecorder};

/// Arguments of `flat-field`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("from").required(true).args(["paths", "source"])))]
pub struct FlatFieldCommand {
    /// Pictures of empty places, or folders of them; the stage moved between them.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Live source of the configuration to take frames from; move the stage meanwhile.
    #[arg(long, value_name = "NAME", conflicts_with = "paths")]
    source: Option<String>,
    /// Frames to take from the source.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(3..=64))]
    frames: u16,
    /// Least time between frames of the source, in milliseconds.
    #[arg(long, default_value_t = 250, value_name = "MS")]
    every: u64,
    /// Where to write it: a PNG file of 16 bits.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl FlatFieldCommand {
    /// Records and writes; says how even the light is and where dust lies.
    pub fn run(self, global: &Global) -> Result<Exit, Failure> {
        let recorder = match &self.source {
            Some(name) => self.live(name, global)?,
            None => self.files()?,
        };
        let frames = recorder.len();
        let flat = recorder.finish().map_err(Failure::bad_data)?;
        self.write(&flat)?;
        output::print(&format!(
            "{}: {} x {} pixels from {frames} frames; the dimmest hundredth has {:.0} % of the light of the brightest",
            self.out.display(),
            flat.width(),
            flat.height(),
            100.0 * flat.evenness()
        ))?;
        let dust = flat.dust();
        for speck in &dust {
            let (x, y) = ((speck.left + speck.right) / 2, (speck.top + speck.bottom) / 2);
            output::print(&format!("dust at {x}, {y}: {} x {} pixels", speck.width(), speck.height()))?;
        }
        eprintln!("metaphased: {} dust specks; use it with flat_field = \"{}\"", dust.len(), self.out.display());
        Ok(Exit::Done)
    }

    fn files(&self) -> Result<FlatFieldRecorder, Failure> {
        let mut recorder = FlatFieldRecorder::default();
        for path in &self.paths {
            let files = if path.is_dir() {
                list_files(path).map_err(|error| Failure::reading(path, &error))?
            } else if path.exists() {
                vec![path.clone()]
            } else {
                return Err(Failure::new(Exit::NoInput, format!("no file or folder {}", path.display())));
            };
            for file in files.iter().filter(|file| !path.is_dir() || is_image_name(file)) {
                let wrong = |error: String| Failure::bad_data(format!("{}: {error}", file.display()));
                let page = read_image(file).map_err(|error| wrong(error.to_string()))?;
                recorder.add(&page.pixels).map_err(|error| wrong(error.to_string()))?;
            }
        }
        Ok(recorder)
    }

    fn live(&self, name: &str, global: &Global) -> Result<FlatFieldRecorder, Failure> {
        let config = config::load(global, None)?.config;
        let Some(source) = config.source.get(name) else {
            let known = config.source.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let expected =
                if known.is_empty() { "the configuration has none".into() } else { format!("expected one of {known}") };
            return Err(Failure::usage(format!("invalid source '{name}': {expected}")));
        };
        if source.kind == SourceKind::Folder {
            return Err(Failure::usage(format!("source '{name}' is a folder: give its path instead")));
        }
        let picture_bytes = config.memory.picture_bytes();
        let open = sources::camera(&name.into(), source, config.assay, picture_bytes);
        let mut open = open.map_err(Failure::unavailable)?;
        let mut camera = open().map_err(Failure::unavailable)?;
        let shutdown = Shutdown::default();
        let buffers = Buffers::new(FramePool::new(4), true, shutdown.receiver());
        let mut recorder = FlatFieldRecorder::default();
        let mut due = Instant::now();
        eprintln!("metaphased: taking {} frames of '{name}': move the stage over empty places", self.frames);
        while recorder.len() < usize::from(self.frames) {
            match camera.next(&buffers).map_err(Failure::unavailable)? {
                Capture::Frame(frame) if Instant::now() >= due && frame.info.flags.fault().is_none() => {
                    recorder.add(&frame.pixels).map_err(Failure::bad_data)?;
                    due = Instant::now() + Duration::from_millis(self.every);
                }
                Capture::Finished => break,
                _ => {}
            }
        }
        Ok(recorder)
    }

    fn write(&self, flat: &FlatField) -> Result<(), Failure> {
        let (width, height) = (flat.width() as u32, flat.height() as u32);
        let picture = ImageBuffer::<Luma<u16>, _>::from_raw(width, height, flat.levels())
            .ok_or_else(|| Failure::writing(&self.out, "the levels do not fill the sides"))?;
        picture.save_with_format(&self.out, image::ImageFormat::Png).map_err(|error| Failure::writing(&self.out, error))
    }
}
