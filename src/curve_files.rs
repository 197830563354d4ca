//! Calibration curves in TOML files: what they hold is [`dosimetry`]'s, how it is written is said here.

use dosimetry::{Curve, CurveFile, DosimetryError};

/// Reads a curve file (TOML, schema `curve/1`; docs/reference/dose.md shows one). `name` stands for it in messages.
///
/// # Errors
/// When the text is no curve file, with its line, or its numbers make no curve.
pub fn read_curve(text: &str, name: &str) -> Result<Curve, DosimetryError> {
    let file: CurveFile = toml_edit::de::from_str(text).map_err(|error| DosimetryError::BadCurve {
        id: name.into(),
        problem: error.to_string().trim_end().to_owned(),
    })?;
    file.into_curve(name)
}

/// Writes a curve file that [`read_curve`] reads back unchanged.
pub fn write_curve(curve: &Curve) -> String {
    toml_edit::ser::to_string_pretty(&CurveFile::from(curve)).expect("plain tables and numbers always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use dosimetry::{DEFAULT_CURVE, built_in};

    #[test]
    fn a_curve_file_is_read_back_as_it_was_written() {
        let curve = built_in(DEFAULT_CURVE).expect("curve");
        let back = read_curve(&write_curve(&curve), "x.toml").expect("read back");
        assert_eq!(back.coefficients(), curve.coefficients());
        assert_eq!(back.covariance(), curve.covariance());
        assert_eq!(back.dose_range(), curve.dose_range());
        assert!(!back.about().built_in);
    }

    #[test]
    fn a_curve_in_percent_is_refused_unless_it_says_so() {
        let text = "schema = \"curve/1\"\nid = \"vn\"\nc = 0.56\nalpha = 1.01\nbeta = 4.43\n";
        assert!(matches!(read_curve(text, "vn.toml"), Err(DosimetryError::CurveInPercent { .. })));
        let said = format!("unit = \"per 100 cells\"\n{text}");
        let curve = read_curve(&said, "vn.toml").expect("converted");
        assert!((curve.coefficients()[2] - 0.0443).abs() < 1e-12);
    }

    #[test]
    fn a_wrong_curve_file_says_where() {
        let error = read_curve("schema = \"curve/1\"\nid = \"x\"\nalpa = 1\n", "x.toml").expect_err("typo");
        assert!(error.to_string().contains("alpa"), "{error}");
    }
}
