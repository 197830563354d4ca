//! Against NVIDIA's own library, without a GPU: scripts/test-tensorrt runs this where it has fetched one. The folder of
//! the libraries is in METAPHASED_TENSORRT_LIBRARIES, the networks (colon-separated) in METAPHASED_TENSORRT_MODELS.
#![cfg(shim)]

use std::{fs, path::PathBuf, time::Instant};

use metaphased_tensorrt::{Error, Library, headers, library_names};

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("METAPHASED_TENSORRT_LIBRARIES").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: METAPHASED_TENSORRT_LIBRARIES is not set (scripts/test-tensorrt sets it)");
    }
    folder
}

fn refusal<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    }
}

/// Least, usual and largest shape of the inputs of a shipped network, by its input's name.
fn profiles(path: &str) -> Vec<(&'static str, [Vec<i64>; 3])> {
    let shapes = |least: &[i64], usual: &[i64], most: &[i64]| [least.to_vec(), usual.to_vec(), most.to_vec()];
    if path.contains("detector") || path.contains("triage") || path.contains("dicentric") {
        vec![("image", shapes(&[1, 1, 64, 64], &[1, 1, 544, 544], &[1, 1, 2048, 2048]))]
    } else {
        vec![
            ("chromosome", shapes(&[1, 2, 96, 96], &[46, 2, 96, 96], &[256, 2, 96, 96])),
            ("size", shapes(&[1, 3], &[46, 3], &[256, 3])),
        ]
    }
}

#[test]
fn every_shipped_network_parses_builds_and_is_serialised() {
    let Some(folder) = folder() else { return };
    let library = Library::open(Some(&folder)).expect("opens");
    println!("built with the headers of {}, library {:?}", headers().expect("a shim"), library.version());
    let models = std::env::var("METAPHASED_TENSORRT_MODELS").expect("scripts/test-tensorrt names the networks");
    for path in models.split(':') {
        let begun = Instant::now();
        let mut builder = library.parse(path.as_ref()).unwrap_or_else(|error| panic!("{path}: {error}"));
        for (input, [least, usual, most]) in profiles(path) {
            builder.profile(input, [&least, &usual, &most]).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        let mut steps = 0;
        let plan = builder.build(|_, _, _| steps += 1).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(plan.len() > 100_000, "{path}: a plan of {} bytes", plan.len());
        println!("{path}: {} bytes in {} ms, {steps} steps told", plan.len(), begun.elapsed().as_millis());
        // Without a GPU the way ends here, with words; with one, the plan must load.
        match library.load(&plan) {
            Ok(engine) => assert!(engine.tensors().iter().all(|tensor| tensor.is_f32), "{:?}", engine.tensors()),
            Err(error) => {
                assert!(error.to_string().contains("cudaError"), "{error}");
                println!("    not loaded here: {}", error.to_string().lines().next().unwrap_or_default());
            }
        }
    }
}

#[test]
fn a_truncated_plan_a_damaged_file_and_an_unknown_operator_are_told_in_tensorrts_words() {
    let Some(folder) = folder() else { return };
    let library = Library::open(Some(&folder)).expect("opens");
    let said = refusal(library.load(b"no plan at all"));
    assert!(said.starts_with("the plan cannot be loaded: "), "{said}");
    println!("{said}");
    let place = std::env::temp_dir().join(format!("metaphased-tensorrt-{}", std::process::id()));
    fs::create_dir_all(&place).expect("a folder");
    let damaged = place.join("damaged.onnx");
    fs::write(&damaged, b"abc").expect("written");
    let said = refusal(library.parse(&damaged));
    assert!(said.starts_with("the ONNX file was not accepted: "), "{said}");
    println!("{said}");
    // A network of one node, `Frobnicate`, from `x` to `y`: enough of the format, written by hand.
    let field = |tag: u8, bytes: &[u8]| [&[tag, bytes.len() as u8], bytes].concat();
    let value = |name: &[u8]| {
        let dim = field(0x0a, &[0x08, 0x01]);
        let tensor = [&[0x08, 0x01][..], &field(0x12, &dim)].concat();
        [field(0x0a, name), field(0x12, &field(0x0a, &tensor))].concat()
    };
    let node = [field(0x0a, b"x"), field(0x12, b"y"), field(0x1a, b"odd"), field(0x22, b"Frobnicate")].concat();
    let graph = [field(0x0a, &node), field(0x12, b"g"), field(0x5a, &value(b"x")), field(0x62, &value(b"y"))].concat();
    let model = [vec![0x08, 0x08], field(0x42, &[0x10, 0x11]), field(0x3a, &graph)].concat();
    let unknown = place.join("unknown.onnx");
    fs::write(&unknown, model).expect("written");
    let said = refusal(library.parse(&unknown));
    assert!(said.contains("Frobnicate"), "{said}");
    println!("{said}");
    let _ = fs::remove_dir_all(&place);
}

#[test]
fn an_absent_library_is_told_with_its_path() {
    let said = refusal(Library::open(Some("/nowhere".as_ref())));
    let [name, _] = library_names().expect("a shim");
    assert!(said.contains("/nowhere") && said.contains(&name), "{said}");
}
