//! The confusion of classes as files.

use std::{fmt::Write as _, fs, io, path::Path};

use crate::{
    cli::{Exit, Failure},
    evaluate::Confusion,
};

/// Writes confusion.csv and confusion.svg into `folder`, which is made where it is missing.
///
/// # Errors
/// When a file cannot be created.
pub fn write_confusion(folder: &Path, confusion: &Confusion) -> Result<(), Failure> {
    let create = |error: io::Error| Failure::new(Exit::CannotCreate, format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(create)?;
    let mut csv = format!("truth,{}\n", confusion.classes.join(","));
    for (class, row) in confusion.classes.iter().zip(&confusion.counts) {
        let counts: Vec<String> = row.iter().map(u64::to_string).collect();
        let _ = writeln!(csv, "{class},{}", counts.join(","));
    }
    fs::write(folder.join("confusion.csv"), csv).map_err(create)?;
    fs::write(folder.join("confusion.svg"), confusion_svg(confusion)).map_err(create)
}

/// The confusion as a picture: rows are true classes, shades their shares.
fn confusion_svg(confusion: &Confusion) -> String {
    const SIDE: usize = 26;
    const MARGIN: usize = 48;
    let n = confusion.classes.len();
    let size = MARGIN + n * SIDE + 16;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"{size}\" font-family=\"sans-serif\" \
         font-size=\"10\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\
         <text x=\"{}\" y=\"14\" text-anchor=\"middle\">answered</text>\
         <text transform=\"translate(12 {}) rotate(-90)\" text-anchor=\"middle\">true class</text>",
        MARGIN + n * SIDE / 2,
        MARGIN + n * SIDE / 2,
    );
    for (i, name) in confusion.classes.iter().enumerate() {
        let middle = MARGIN + i * SIDE + SIDE / 2;
        let _ = write!(
            svg,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{name}</text>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>",
            MARGIN - 8,
            MARGIN - 8,
            middle + 4,
        );
        let total: u64 = confusion.counts[i].iter().sum();
        for (j, count) in confusion.counts[i].iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = *count as f64 / total as f64;
            // Rare mistakes would vanish on a linear scale.
            let shade = 255.0 - 200.0 * share.sqrt();
            let fill = if i == j {
                format!("rgb({shade:.0},{:.0},255)", shade + 20.0)
            } else {
                format!("rgb(255,{shade:.0},{shade:.0})")
            };
            let ink = if i == j && share > 0.6 { "white" } else { "black" };
            let (x, y) = (MARGIN + j * SIDE, MARGIN + i * SIDE);
            let _ = write!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"{fill}\"/>\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-size=\"8\" fill=\"{ink}\">{count}</text>",
                x + SIDE / 2,
                y + SIDE / 2 + 3,
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}
