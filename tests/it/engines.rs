//! Engines and model folders, with tiny networks: what fits runs alike everywhere, what does not is told exactly.

use std::{fs, path::Path, sync::Arc};

use domain::{
    BoundingBox, Stain,
    frame::{Frame, FrameInfo, PixelBuffer, PixelFormat, PixelView, Pixels},
};
use recognition::{
    ComposedRecognizer, Detector, Plane, Provenance, Recognition, Recognizer, Region,
    inference::InferenceConfig,
    inference::{
        ChosenEngine, CpuEngine, Engine, EngineError, Input, ModelError, ModelFolder, ModelLibrary, Precision, load,
    },
};

fn models() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models")
}

fn tiny(name: &str) -> ModelFolder {
    ModelFolder::open(&models().join(name)).expect("the committed model is valid")
}

fn cpu() -> ChosenEngine {
    ChosenEngine::alone(Arc::new(CpuEngine::new(1)), "test")
}

/// ONNX Runtime where it is installed.
#[cfg(feature = "onnxruntime")]
fn onnxruntime() -> Option<Arc<dyn Engine>> {
    use recognition::{inference::OnnxRuntimeEngine, inference::Provider};
    let library = recognition::inference::installed_onnxruntime(None).ok()?;
    Some(Arc::new(OnnxRuntimeEngine::open(&library, Provider::Cpu, 1).expect("an installed library opens")))
}

/// A copy of a tiny model whose manifest was changed.
fn altered(name: &str, change: impl Fn(String) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(models().join(name).join("model.onnx"), folder.path().join("model.onnx")).expect("copied");
    let text = fs::read_to_string(models().join(name).join("model.toml")).expect("read");
    let new = change(text.clone());
    assert_ne!(text, new, "the change does something");
    fs::write(folder.path().join("model.toml"), new).expect("written");
    folder
}

/// A bright field of 96 x 64 with two dark squares of 16 pixels.
fn field() -> Frame {
    let mut grey = vec![210u8; 96 * 64];
    for (left, top) in [(16, 16), (64, 24)] {
        for y in top..top + 16 {
            grey[y * 96 + left..y * 96 + left + 16].fill(60);
        }
    }
    let pixels = Pixels::new(PixelBuffer::from_bytes(&grey), PixelFormat::Mono8, 96, 64, 8).expect("fits");
    Frame { info: FrameInfo::of_tool("test"), pixels }
}

#[test]
fn a_network_that_does_not_fit_its_manifest_is_refused_with_both_numbers() {
    let engine = CpuEngine::new(1);
    let fewer = altered("tiny-detector", |text| text.replace(", \"Y\"]", "]"));
    let error = Detector::load(&engine, &ModelFolder::open(fewer.path()).unwrap(), None).err().expect("refused");
    assert!(
        matches!(&error, EngineError::Model(ModelError::WrongClassCount { expected: 23, found: 24, .. })),
        "{error}"
    );
    let strides = altered("tiny-detector", |text| text.replace("strides = [8]", "strides = [16]"));
    let error = Detector::load(&engine, &ModelFolder::open(strides.path()).unwrap(), None).err().expect("refused");
    assert!(
        matches!(&error, EngineError::Model(ModelError::MissingTensor { tensor, found, .. })
            if tensor == "stride16" && found == "stride8"),
        "{error}"
    );
    let input = altered("tiny-detector", |text| text.replace("tensor = \"image\"", "tensor = \"picture\""));
    let error = Detector::load(&engine, &ModelFolder::open(input.path()).unwrap(), None).err().expect("refused");
    assert!(error.to_string().contains("'picture'") && error.to_string().contains("image"), "{error}");
    let error = Detector::load(&engine, &tiny("tiny-classifier"), None).err().expect("refused");
    assert!(matches!(&error, EngineError::Model(ModelError::WrongTask { .. })), "{error}");
}

#[test]
fn a_file_that_is_no_network_is_an_error_with_the_engines_words() {
    let folder = altered("tiny-detector", |text| {
        let start = text.find("sha256 = \"").expect("there") + 10;
        let mut new = text.clone();
        new.replace_range(start..start + 64, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        new
    });
    fs::write(folder.path().join("model.onnx"), b"abc").unwrap();
    let model = ModelFolder::open(folder.path()).unwrap();
    let mut engines: Vec<Arc<dyn Engine>> = vec![Arc::new(CpuEngine::new(1))];
    #[cfg(feature = "onnxruntime")]
    engines.extend(onnxruntime());
    for engine in engines {
        let error = load(&*engine, &model, None).err().expect("refused");
        assert!(matches!(&error, EngineError::Load { .. }), "{error}");
    }
}

#[test]
fn dark_squares_become_chromosomes_at_their_place() {
    let library = ModelLibrary::of(vec![models()]);
    let mut recognizer = ComposedRecognizer::open(&Recognition::default(), &library, &cpu()).unwrap();
    assert!(recognizer.provenance().models["detector"].starts_with("tiny-detector@"));
    assert!(recognizer.provenance().notes.is_empty(), "{:?}", recognizer.provenance().notes);
    let cells = recognizer.recognise(&field(), &[Region::whole(96, 64)]).unwrap();
    assert_eq!(cells.len(), 1);
    let found: Vec<BoundingBox> = cells[0].accepted().map(|c| c.bounds).collect();
    assert!(!found.is_empty());
    for square in [(16.0, 16.0), (64.0, 24.0)] {
        let truth = BoundingBox { x: square.0, y: square.1, width: 16.0, height: 16.0 };
        assert!(found.iter().any(|b| b.intersection(&truth) > 100.0), "{found:?}");
    }
    let outlines = cells[0].accepted().map(|c| c.drawn.as_ref().map(|drawn| drawn.outline.clone()));
    let outlines: Vec<_> = outlines.collect::<Option<_>>().expect("each is drawn");
    assert!(recognizer.provenance().models["anatomy"].starts_with("tiny-anatomy@"));
    for square in [(16.0, 16.0), (64.0, 24.0)] {
        // Four cells of the tiny detector's map answer for a square; each outline holds what of it lies in its box.
        let inside = |b: &BoundingBox| {
            let off = [square.0 - b.x, square.1 - b.y, b.right() - square.0 - 16.0, b.bottom() - square.1 - 16.0];
            off.iter().all(|off| *off < 0.5) && b.width > 13.0 && b.height > 13.0
        };
        let of_square = outlines.iter().filter_map(|outline| outline.bounds()).filter(inside).count();
        assert_eq!(2 * of_square, outlines.len(), "{outlines:?}");
    }
    for candidate in &cells[0].candidates {
        let total: f32 = candidate.log_probs.expect("classes are known").iter().map(|v| v.exp()).sum();
        assert!((total - 1.0).abs() < 1e-3, "{total}");
    }
}

#[test]
fn two_regions_are_two_cells() {
    let library = ModelLibrary::of(vec![models()]);
    let mut recognizer = ComposedRecognizer::open(&Recognition::default(), &library, &cpu()).unwrap();
    let half = |x: f32| Region { bounds: BoundingBox { x, y: 0.0, width: 40.0, height: 64.0 }, ..Region::whole(1, 1) };
    let cells = recognizer.recognise(&field(), &[half(4.0), half(52.0)]).unwrap();
    assert_eq!(cells.len(), 2);
    assert!(cells[0].accepted().count() > 0 && cells[1].accepted().count() > 0);
    assert!(cells[0].accepted().all(|c| c.bounds.x + c.bounds.width / 2.0 < 48.0));
    assert!(cells[1].accepted().all(|c| c.bounds.x + c.bounds.width / 2.0 > 48.0));
}

#[test]
fn a_stain_that_no_model_serves_is_noted_and_a_named_model_that_is_missing_is_an_error() {
    let library = ModelLibrary::of(vec![models()]);
    let dapi = Recognition { stain: domain::Stain::Dapi, ..Default::default() };
    let recognizer = ComposedRecognizer::open(&dapi, &library, &cpu()).unwrap();
    assert!(recognizer.provenance().models.is_empty());
    assert!(recognizer.provenance().notes.iter().any(|note| note.contains("segmentation alone")));
    let named = Recognition { detector: Some("tiny-detector".into()), ..dapi };
    let recognizer = ComposedRecognizer::open(&named, &library, &cpu()).unwrap();
    assert!(recognizer.provenance().notes.iter().any(|note| note.contains("was made for g-band")));
    let missing = Recognition { detector: Some("nobody".into()), ..Default::default() };
    let error = ComposedRecognizer::open(&missing, &library, &cpu()).err().expect("refused").to_string();
    assert!(error.contains("'nobody'") && error.contains("tests/data/models"), "{error}");
}

/// Detectors and classifier of metaphases that ship, the latter with its model.toml changed.
fn shipped(change: impl Fn(String) -> String) -> (tempfile::TempDir, ModelLibrary) {
    let root = tempfile::tempdir().expect("a folder");
    for name in ["detector-metaphase", "detector-other-stains", "classifier-metaphase"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
        fs::create_dir(root.path().join(name)).expect("made");
        for file in
            ["model.onnx", "context.onnx", "model.toml"].map(|file| from.join(file)).iter().filter(|f| f.exists())
        {
            fs::copy(file, root.path().join(name).join(file.file_name().expect("a name"))).expect("copied");
        }
    }
    let manifest = root.path().join("classifier-metaphase/model.toml");
    let text = fs::read_to_string(&manifest).expect("read");
    fs::write(&manifest, change(text)).expect("written");
    let library = ModelLibrary::of(vec![root.path().to_owned()]);
    (root, library)
}

#[test]
fn a_network_of_context_judges_the_cells_it_was_made_for_and_no_others() {
    let recognised = |library: &ModelLibrary, recognition: Recognition| {
        let recognition = Recognition { precision: Some(Precision::F32), ..recognition };
        let mut recognizer = ComposedRecognizer::open(&recognition, library, &cpu()).expect("they load");
        let cell = recognizer.recognise(&field(), &[Region::whole(96, 64)]).expect("recognised").remove(0);
        let Provenance { models, notes, .. } = recognizer.provenance().clone();
        assert_eq!(models.contains_key("context"), cell.in_context);
        assert_eq!(cell.timing.contains_key("context"), cell.in_context);
        (cell.in_context, models, notes)
    };
    let (_root, library) = shipped(|text| text);
    let (in_context, models, notes) = recognised(&library, Recognition::default());
    assert!(in_context && notes.is_empty(), "{notes:?}");
    assert!(models["context"].starts_with("classifier-metaphase/context@"), "{models:?}");

    let giemsa = Recognition { stain: Stain::Giemsa, ..Recognition::default() };
    assert!(!recognised(&library, giemsa.clone()).0);
    let named = Recognition { classifier: Some("classifier-metaphase".into()), ..giemsa };
    assert!(!recognised(&library, named).0, "it was not made for this stain");

    let (_root, library) = shipped(|text| text.replace("detector = \"detector-metaphase\"", "detector = \"another\""));
    let (in_context, _, notes) = recognised(&library, Recognition::default());
    assert!(!in_context);
    let said =
        "judged one by one: the network of context of 'classifier-metaphase' was made for the detector 'another'";
    assert!(notes.iter().any(|note| note.contains(said)), "{notes:?}");

    let (root, library) = shipped(|text| text);
    fs::remove_file(root.path().join("classifier-metaphase/context.onnx")).expect("it was there");
    let error =
        ComposedRecognizer::open(&Recognition::default(), &library, &cpu()).err().expect("an error").to_string();
    assert!(error.contains("context.onnx"), "{error}");
}

#[cfg(feature = "onnxruntime")]
#[test]
fn engines_agree_on_the_same_input() {
    let Some(onnxruntime) = onnxruntime() else {
        eprintln!("SKIPPED: engines_agree_on_the_same_input needs ONNX Runtime (scripts/get-onnxruntime)");
        return;
    };
    let values: Vec<f32> = (0..64 * 32).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let shape = [1, 1, 32, 64];
    let input = [Input { name: "image", shape: &shape, data: &values }];
    let a = load(&CpuEngine::new(2), &tiny("tiny-detector"), None).unwrap().run(&input).unwrap();
    let b = load(&*onnxruntime, &tiny("tiny-detector"), None).unwrap().run(&input).unwrap();
    assert_eq!((a[0].0.as_str(), &a[0].1.shape), ("stride8", &vec![1, 30, 4, 8]));
    assert_eq!(a[0].1.shape, b[0].1.shape);
    let worst = a[0].1.data.iter().zip(&b[0].1.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");

    let library = ModelLibrary::of(vec![models()]);
    let other = ChosenEngine::alone(onnxruntime, "test");
    let mut results = [cpu(), other].map(|chosen| {
        let mut recognizer = ComposedRecognizer::open(&Recognition::default(), &library, &chosen).unwrap();
        recognizer.recognise(&field(), &[Region::whole(96, 64)]).unwrap().remove(0).candidates
    });
    let [a, b] = &mut results;
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a.bounds.x - b.bounds.x).abs() < 1.0 && (a.objectness - b.objectness).abs() < 1e-3);
        let (a, b) = (a.log_probs.unwrap(), b.log_probs.unwrap());
        assert!(a.iter().zip(b).all(|(a, b)| (a.exp() - b.exp()).abs() < 1e-3));
    }
}

#[cfg(feature = "onnxruntime")]
#[test]
fn a_provider_that_is_missing_is_an_error_and_no_silent_cpu_session() {
    use recognition::inference::EngineName;
    use recognition::inference::Fallback;
    use recognition::inference::Provider;
    if onnxruntime().is_none() {
        eprintln!("SKIPPED: a_provider_that_is_missing... needs ONNX Runtime (scripts/get-onnxruntime)");
        return;
    }
    let mut asked = InferenceConfig { engine: EngineName::Onnxruntime, provider: Provider::Cuda, ..Default::default() };
    let error = recognition::inference::choose(&asked).unwrap_err().to_string();
    assert!(error.contains("provider 'cuda'"), "{error}");
    asked.fallback = Fallback::Cpu;
    let chosen = recognition::inference::choose(&asked).unwrap();
    assert_eq!(chosen.engine.name(), "cpu");
    assert!(chosen.fell_back.is_some());
}

#[test]
fn an_absent_library_is_told_with_its_path() {
    let asked = InferenceConfig {
        engine: recognition::inference::EngineName::Onnxruntime,
        library: Some("/nowhere/libonnxruntime.so".into()),
        ..Default::default()
    };
    let error = recognition::inference::choose(&asked).unwrap_err().to_string();
    assert!(error.contains("/nowhere/libonnxruntime.so"), "{error}");
    let auto = InferenceConfig { engine: recognition::inference::EngineName::Auto, ..asked };
    let chosen = recognition::inference::choose(&auto).unwrap();
    assert_eq!(chosen.engine.name(), "cpu");
    assert!(chosen.why.contains("/nowhere"), "{}", chosen.why);
}

#[test]
fn a_plane_larger_than_the_model_takes_is_shrunk() {
    let folder = altered("tiny-detector", |text| text.replace("stride = 8\n", "stride = 8\nmax_side = 32\n"));
    let mut detector = Detector::load(&CpuEngine::new(1), &ModelFolder::open(folder.path()).unwrap(), None).unwrap();
    let mut plane = Plane { data: vec![220; 128 * 64], width: 128, height: 64, left: 0, top: 0 };
    for y in 0..32 {
        plane.data[y * 128..y * 128 + 32].fill(20);
    }
    let found = detector.detect(&plane, 1.0, 0.5).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].bounds.right() > 40.0, "in pixels of the plane: {:?}", found[0].bounds);
}

#[test]
fn without_models_segmentation_finds_most_chromosomes_of_a_real_cell_and_names_none() {
    let Some(data) = testing::shared_data() else {
        return testing::skipped("without_models_segmentation_finds_most_chromosomes...");
    };
    let page = metaphased::camera::files::read_image(&data.join("cil/images/103064.webp")).unwrap();
    let frame = Frame { info: FrameInfo::of_tool("test"), pixels: page.pixels };
    let whole = Region::whole(frame.pixels.width(), frame.pixels.height());
    let library = ModelLibrary::of(vec![]);
    let mut recognizer = ComposedRecognizer::open(&Recognition::default(), &library, &cpu()).unwrap();
    assert!(recognizer.provenance().models.is_empty());
    let cell = recognizer.recognise(&frame, &[whole]).unwrap().remove(0);
    let found = cell.accepted().count();
    assert!((30..=70).contains(&found), "{found} pieces in a cell of 46");
    assert!(cell.candidates.iter().all(|c| c.log_probs.is_none()));
}

/// With the feature and no GPU: what is missing is named, and the fallback is a decision. scripts/test-tensorrt --engine
/// names the folder of the libraries.
#[cfg(feature = "tensorrt")]
#[test]
fn what_the_gpu_engine_lacks_is_told_and_the_configured_fallback_takes_over() {
    use recognition::inference::EngineName;
    use recognition::inference::Fallback;
    let nowhere =
        InferenceConfig { engine: EngineName::Tensorrt, library: Some("/nowhere/lib".into()), ..Default::default() };
    if metaphased_tensorrt::headers().is_none() {
        let error = recognition::inference::choose(&nowhere).unwrap_err().to_string();
        return assert!(error.contains("TENSORRT_INCLUDE_DIR"), "{error}");
    }
    let error = recognition::inference::choose(&nowhere).unwrap_err().to_string();
    assert!(error.contains("/nowhere") && error.contains("inference.library"), "{error}");
    let allowed = InferenceConfig { fallback: Fallback::Cpu, ..nowhere };
    let chosen = recognition::inference::choose(&allowed).unwrap();
    assert_eq!(chosen.engine.name(), "cpu");
    assert!(chosen.fell_back.unwrap().contains("/nowhere"));
    let Some(folder) = std::env::var_os("METAPHASED_TENSORRT_LIBRARIES") else {
        return eprintln!("SKIPPED: the library without a driver needs METAPHASED_TENSORRT_LIBRARIES");
    };
    let here = InferenceConfig { engine: EngineName::Tensorrt, library: Some(folder.into()), ..Default::default() };
    match recognition::inference::choose(&here) {
        Ok(chosen) => assert_eq!(chosen.engine.name(), "tensorrt"),
        Err(error) => assert!(error.to_string().contains("CUDA driver"), "{error}"),
    }
}

/// What a user meets: the option decides, a mistake is told with what would be right, nothing else takes over in silence.
#[test]
fn the_option_engine_decides_or_says_why_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("field.png");
    let field = field();
    let PixelView::Mono8(grey) = field.pixels.view() else { panic!("the field is of 8 bits") };
    image::save_buffer(&picture, grey, 96, 64, image::ColorType::L8).expect("written");
    let run = |engine: &str| {
        std::process::Command::new(env!("CARGO_BIN_EXE_metaphased"))
            .args(["--engine", engine, "--models"])
            .arg(models())
            .args(["analyze", "--no-triage"])
            .arg(&picture)
            .output()
            .expect("the program starts")
    };
    let cell = run("cpu");
    let text = String::from_utf8_lossy(&cell.stdout);
    assert!(cell.status.success() && text.contains("tiny-detector"), "{text}");

    let wrong = run("nonsense");
    assert_eq!(wrong.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("possible values: auto, cpu"), "{wrong:?}");

    let absent = run("kserve");
    assert_eq!(absent.status.code(), Some(78), "no address was given: {absent:?}");
    assert!(absent.stdout.is_empty(), "a broken engine is no empty slide");
    assert!(String::from_utf8_lossy(&absent.stderr).contains("requires the address of its server"), "{absent:?}");
}
