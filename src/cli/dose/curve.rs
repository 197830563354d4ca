//! Which curve: a built-in name or a file.

use super::{bad_data, read};
use crate::{
    cli::{Exit, Failure},
    curve_files::read_curve,
};
use dosimetry::{Curve, DEFAULT_CURVE, DosimetryError, built_in, list};
use std::path::Path;

/// The curve of that name or file; without either the default.
pub fn load(wanted: Option<&str>) -> Result<Curve, Failure> {
    let wanted = wanted.unwrap_or(DEFAULT_CURVE);
    match built_in(wanted) {
        Err(DosimetryError::UnknownCurve(_)) => {}
        found => return found.map_err(bad_data),
    }
    let path = Path::new(wanted);
    let looks_like_a_file = path.extension().is_some() || wanted.contains(std::path::MAIN_SEPARATOR);
    if !path.exists() && !looks_like_a_file {
        let names: Vec<String> = list().into_iter().map(|c| c.id).collect();
        let near = names
            .iter()
            .map(|name| (strsim::jaro_winkler(name, wanted), name))
            .filter(|(likeness, _)| *likeness > 0.75)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| format!(", did you mean {name}?"))
            .unwrap_or_default();
        return Err(Failure::new(
            Exit::NoInput,
            format!("no built-in curve and no file is called {wanted}{near} (`metaphased dose curves` lists them)"),
        ));
    }
    read_curve(&read(path)?, &path.display().to_string()).map_err(bad_data)
}
