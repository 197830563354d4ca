//! The layers of docs/design.md: what the pure crates depend on, and which way the daemon's modules import.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Crates that compute and nothing else.
const PURE_CRATES: [&str; 5] = ["domain", "imaging", "karyotype", "dosimetry", "slide"];

/// What no pure crate depends on: configuration parser, database, server, runtime, command line, broker.
const IMPURE_DEPENDENCIES: [&str; 6] = ["toml_edit", "rusqlite", "axum", "tokio", "clap", "rumqttc"];

/// Modules of `src` from the lowest layer up. A module imports from lower layers only, not from its neighbours.
const LAYERS: [&[&str]; 11] = [
    &["config", "curve_files", "laboratory", "shutdown"],
    &["clock"],
    &["station", "telemetry"],
    &["camera", "store"],
    &["case"],
    &["interpretation"],
    &["mqtt", "web"],
    &["records"],
    &["pipeline", "evaluate"],
    &["daemon"],
    &["cli"],
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn pure_crates_depend_on_no_parser_database_server_or_broker() {
    for name in PURE_CRATES {
        let path = root().join("crates").join(name).join("Cargo.toml");
        let manifest: toml_edit::DocumentMut = fs::read_to_string(&path).unwrap().parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        for impure in IMPURE_DEPENDENCIES {
            assert!(!dependencies.contains_key(impure), "crate {name} is pure: expected no dependency on {impure}");
        }
    }
}

#[test]
fn modules_import_from_lower_layers_only() {
    let layer_of = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if module == "main" || module == "lib" {
            continue;
        }
        let Some(layer) = layer_of(&module) else {
            wrong.push(format!("module {module} stands in no layer: add it to LAYERS and to docs/design.md"));
            continue;
        };
        for file in sources(&path) {
            for import in imports(&fs::read_to_string(&file).unwrap()) {
                if import != module && layer_of(&import).is_some_and(|imported| imported >= layer) {
                    wrong.push(format!("{} imports crate::{import}, which is no lower layer", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every source file of a module, tests left out.
fn sources(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_source = name.ends_with(".rs") && !name.ends_with("tests.rs");
        return if is_source { vec![path.to_owned()] } else { Vec::new() };
    }
    fs::read_dir(path).unwrap().flat_map(|entry| sources(&entry.unwrap().path())).collect()
}

/// The modules after `crate::` in a source text, up to its tests.
fn imports(text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(group) => found.extend(first_words(group)),
            None => found.extend(word(after)),
        }
    }
    found
}

/// The first word of every item of a `use` group, whose opening brace is left out.
fn first_words(group: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut depth, mut begun) = (1, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (character == ',' && depth == 1) || depth == 0 {
            words.extend(word(&group[begun..at]));
            begun = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    words
}

fn word(text: &str) -> Option<String> {
    let word: String = text.trim_start().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

#[test]
fn imports_are_read_from_groups_and_paths_and_not_from_tests() {
    let text = "use crate::{\n    config::{Config, Key},\n    store::Store,\n};\nfn f() { crate::web::serve(); }\n\
                // crate::mqtt\n#[cfg(test)]\nmod tests {\n    use crate::cli::Exit;\n}\n";
    assert_eq!(imports(text).into_iter().collect::<Vec<_>>(), ["config", "store", "web"]);
}
