//! Relative paths: those of a file are meant from the file's folder, those of the environment and of flags from the
//! working folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Config, Layers, Origin};

/// The file that holds a secret: a name without a slash is sought among systemd's credentials first.
pub fn credential(file: &Path) -> PathBuf {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|_| is_bare(file));
    let credential = folder.map(|folder| Path::new(&folder).join(file)).filter(|path| path.is_file());
    credential.unwrap_or_else(|| file.to_owned())
}

/// The password that a file holds.
///
/// # Errors
/// What the disk said, and when it is no UTF-8: another password than the file's would only be refused.
pub fn read_password(path: &Path) -> io::Result<String> {
    // Editors end a file with a newline; no password does.
    Ok(fs::read_to_string(path)?.trim_end_matches(['\r', '\n']).to_owned())
}

fn is_bare(file: &Path) -> bool {
    file.components().count() == 1
}

/// Puts `folder` before the relative paths that were written in the configuration file. With `credentials`, a bare
/// name of a file with a secret or a certificate stays bare: it names one of systemd's credentials.
pub fn anchor(config: &mut Config, layers: &Layers, folder: &Path, credentials: bool) {
    let from_file = |key: &str| matches!(layers.origin_of_value(key), Origin::File { .. });
    let put = |key: &str, path: &mut Option<PathBuf>| {
        if let Some(path) = path.as_mut().filter(|path| path.is_relative() && from_file(key)) {
            *path = folder.join(&*path);
        }
    };
    for (name, source) in &mut config.source {
        put(&format!("source.{name}.path"), &mut source.path);
        put(&format!("source.{name}.flat_field"), &mut source.flat_field);
        let secrets = [("password_file", &mut source.password_file), ("ca_file", &mut source.ca_file)];
        for (key, file) in secrets {
            if !(credentials && file.as_deref().is_some_and(is_bare)) {
                put(&format!("source.{name}.{key}"), file);
            }
        }
    }
    put("inference.models", &mut config.inference.models);
    put("inference.library", &mut config.inference.library);
    put("store.path", &mut config.store.path);
    put("report.folder", &mut config.report.folder);
    for (key, file) in [
        ("mqtt.password_file", &mut config.mqtt.password_file),
        ("web.token_file", &mut config.web.token_file),
        ("web.users_file", &mut config.web.users_file),
    ] {
        if !(credentials && file.as_deref().is_some_and(is_bare)) {
            put(key, file);
        }
    }
    // A curve is a name of the list, unless it looks like a file.
    let curve = Path::new(&config.dose.curve);
    if curve.extension().is_some_and(|e| e == "toml") && curve.is_relative() && from_file("dose.curve") {
        config.dose.curve = folder.join(curve).display().to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    #[test]
    fn paths_of_the_file_lie_beside_it_and_those_of_the_environment_do_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("metaphased.toml");
        let text = "[source.scan]\nkind = \"folder\"\npath = \"slides\"\n[web]\ntoken_file = \"token\"\n\
                    [mqtt]\nurl = \"mqtts://broker\"\nca_file = \"/etc/ca.pem\"\n[dose]\ncurve = \"curves/own.toml\"\n";
        std::fs::write(&file, text).expect("it is written");
        let environment = [("METAPHASED__STORE__PATH".to_owned(), "cells".to_owned())];
        let config = load(Some(&file), environment, &[]).expect("it is right").config;
        assert_eq!(config.source["scan"].path.as_deref(), Some(&*folder.path().join("slides")));
        assert_eq!(config.web.token_file.as_deref(), Some(&*folder.path().join("token")));
        assert_eq!(config.mqtt.ca_file.as_deref(), Some(Path::new("/etc/ca.pem")));
        assert_eq!(config.store.path.as_deref(), Some(Path::new("cells")));
        assert_eq!(config.dose.curve, folder.path().join("curves/own.toml").display().to_string());
        let named = load(None, [], &[("dose.curve", "co60_barquinero1995".into())]).expect("it is right").config;
        assert_eq!(named.dose.curve, "co60_barquinero1995");
    }
}
