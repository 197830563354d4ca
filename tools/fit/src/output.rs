//! Files of fitted numbers.

use std::{error::Error, fs, path::Path, process::Command};

/// Writes a Rust file at `path` in the checkout, formatted, with the command that made it in its head.
pub fn write_rust(path: &str, what: &str, command: &str, body: &str) -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    let head =
        format!("//! {what}\n//! Written by `cargo run --release -p metaphased-fit -- {command}`; do not edit.\n\n");
    fs::write(&path, head + body)?;
    let formatted = Command::new("rustfmt").args(["--edition", "2024"]).arg(&path).status()?;
    if !formatted.success() {
        return Err("rustfmt failed".into());
    }
    println!("wrote {}", path.display());
    Ok(())
}

/// A number in Rust with so many decimals at most, and one at least.
pub fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = text.trim_end_matches('0');
    if text.ends_with('.') { format!("{text}0") } else { text.to_owned() }
}

/// A number in Rust with so many significant digits at most, and one decimal at least.
pub fn significant(value: f64, digits: i32) -> String {
    let exponent = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    decimal(value, (digits - 1 - exponent).max(1) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_stay_floats() {
        assert_eq!([decimal(1.25, 3), decimal(2.0, 3), decimal(-0.0406, 2)], ["1.25", "2.0", "-0.04"]);
        assert_eq!(
            [significant(0.0722521, 5), significant(-7.4640, 5), significant(0.0, 5)],
            ["0.072252", "-7.464", "0.0"]
        );
    }
}
