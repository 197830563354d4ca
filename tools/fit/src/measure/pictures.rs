//! What our readers make of image files, for `scripts/compare-readers`.

use std::{fs, path::Path};

use domain::frame::{PixelBuffer, PixelView};
use metaphased::camera::{files::ImageFile, list_files};
use serde_json::{Value, json};

use crate::Outcome;

/// Prints a line of JSON for every page of every file below `folder`, and writes its samples (little-endian, rows from
/// the top) to `out`.
pub fn run(folder: &Path, out: &Path) -> Outcome {
    let mut number = 0;
    for path in list_files(folder)? {
        let name = path.strip_prefix(folder)?.display().to_string();
        let mut file = match ImageFile::open(&path) {
            Ok(file) => file,
            Err(error) => {
                println!("{}", json!({ "file": name, "error": error.to_string(), "reason": error.reason().label() }));
                continue;
            }
        };
        for page in 0..file.pages() {
            let read = file.read(page, |bytes| Some(PixelBuffer::unpooled(bytes)));
            let mut line = json!({ "file": name, "page": page });
            match read {
                Err(error) => {
                    line["error"] = error.to_string().into();
                    line["reason"] = error.reason().label().into();
                }
                Ok(read) => {
                    let (kind, samples): (&str, Vec<u8>) = match read.pixels.view() {
                        PixelView::Mono8(samples) => ("mono8", samples.to_vec()),
                        PixelView::Mono16(samples) => {
                            ("mono16", samples.iter().flat_map(|sample| sample.to_le_bytes()).collect())
                        }
                        PixelView::Rgb8(samples) => ("rgb8", samples.to_vec()),
                    };
                    let data = format!("{number}.raw");
                    number += 1;
                    fs::write(out.join(&data), samples)?;
                    line["kind"] = kind.into();
                    line["size"] = json!([read.pixels.width(), read.pixels.height()]);
                    line["bits"] = read.facts.declared_bits.into();
                    line["um_per_px"] = read.facts.um_per_px.into();
                    line["stage_um"] = read.facts.stage_um.map_or(Value::Null, |stage| json!([stage.x, stage.y]));
                    line["channel"] = read.facts.channel.into();
                    line["data"] = data.into();
                }
            }
            println!("{line}");
        }
    }
    Ok(())
}
