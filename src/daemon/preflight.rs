//! What the start would refuse, found before anything is started: the start and `check-config` ask the same functions.

use std::{collections::BTreeMap, sync::Arc};

use domain::ErrorKind;

use super::StartError;
use crate::{
    camera::load_flat_field,
    case::report::Layout,
    config::{Config, Examined, Loaded, Mistake, SourceKind, in_order},
    laboratory::{Laboratory, PageWords},
    mqtt::{self, SettingsError},
    pipeline::sources,
    records::{CaseBookError, CaseBookSettings},
    web::{WebError, WebOptions, read_users},
};
use recognition::{
    ComposedRecognizer, Recognition,
    inference::{self, ChosenEngine, ModelLibrary},
};

/// Something that the start refuses.
#[derive(Debug)]
struct Finding {
    mistake: Mistake,
    kind: ErrorKind,
}

/// What was found, all of it.
#[derive(Debug, Default)]
pub(super) struct Preflight {
    findings: Vec<Finding>,
    /// The engine that will run.
    pub engine: Option<ChosenEngine>,
}

impl Preflight {
    /// Looks at everything that the configuration names: files, curve, sources, engine.
    pub fn of(loaded: &Loaded) -> Self {
        let mut preflight = Self::default();
        preflight.page(loaded);
        for error in mqtt::unreadable_files(&loaded.config.mqtt) {
            let key = if let SettingsError::File { key, .. } = &error { key } else { "mqtt" };
            let source = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            let words = error.to_string();
            let words = words.strip_prefix(key).map_or(&*words, |rest| rest.trim_start_matches(": "));
            preflight.found(loaded, key, ErrorKind::Config, format!("{words}{source}"));
        }
        preflight.language(loaded);
        preflight.report(loaded);
        preflight.dose(loaded);
        preflight.sources(loaded);
        match inference::choose(&loaded.config.inference) {
            Ok(engine) => preflight.engine = Some(engine),
            Err(error) => preflight.found(loaded, "inference.engine", ErrorKind::Unavailable, error.to_string()),
        }
        preflight
    }

    fn found(&mut self, loaded: &Loaded, key: &str, kind: ErrorKind, message: String) {
        let mistake = Mistake::new(loaded.layers.origin(key), key, message, "");
        self.findings.push(Finding { mistake, kind });
    }

    fn page(&mut self, loaded: &Loaded) {
        let read = WebOptions::from_config(&loaded.config.web).and_then(|options| {
            let file = options.and_then(|options| options.people).map(|people| people.users_file);
            Ok(file.map(|file| read_users(&file)).transpose()?)
        });
        let Err(error) = read else { return };
        let key = match error {
            WebError::Address(_) => "web.listen",
            WebError::Users(_) => "web.users_file",
            _ => "web.token_file",
        };
        self.found(loaded, key, ErrorKind::Config, error.to_string());
    }

    fn language(&mut self, loaded: &Loaded) {
        let Some(wanted) = &loaded.config.web.language else { return };
        let Ok(own) = Laboratory::read(loaded.config.report.folder.as_deref()) else { return };
        let known = PageWords::choose(&own, []).languages;
        if !known.contains_key(wanted) {
            let known: Vec<String> = known.into_keys().collect();
            let text =
                format!("found \"{wanted}\"; expected {}, or a laboratory with every word of it", known.join(", "));
            self.found(loaded, "web.language", ErrorKind::Config, text);
        }
    }

    fn report(&mut self, loaded: &Loaded) {
        let layout = Laboratory::read(loaded.config.report.folder.as_deref());
        let words = match layout.map(Layout::new) {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        self.found(loaded, "report.folder", ErrorKind::Config, words);
    }

    fn dose(&mut self, loaded: &Loaded) {
        let mut config = loaded.config.clone();
        // Each mistake hides those behind it: the next one shows once it is set right.
        for _ in 0..3 {
            match CaseBookSettings::from_config(&config) {
                Ok(_) => return,
                Err(CaseBookError::Curve { name, reason }) => {
                    let words = format!("\"{name}\" is no curve: {reason}; see `metaphased dose curves`");
                    self.found(loaded, "dose.curve", ErrorKind::Config, words);
                    config.dose.curve = Config::default().dose.curve;
                }
                Err(CaseBookError::Setting { key, reason }) => {
                    self.found(loaded, &format!("dose.{key}"), ErrorKind::Config, reason);
                    if key != "method" {
                        return;
                    }
                    config.dose.method = None;
                }
            }
        }
    }

    fn sources(&mut self, loaded: &Loaded) {
        for (name, source) in &loaded.config.sources() {
            if let Some(Err(error)) = source.flat_field.as_deref().map(load_flat_field) {
                self.found(loaded, &format!("source.{name}.flat_field"), ErrorKind::Unavailable, error.to_string());
            }
            // A folder that is not there yet is waited for; frames are pushed later.
            if matches!(source.kind, SourceKind::Folder | SourceKind::Push) {
                continue;
            }
            let picture_bytes = loaded.config.memory.picture_bytes();
            let opened = sources::camera(&Arc::from(name.as_str()), source, loaded.config.assay, picture_bytes);
            if let Err(error) = opened {
                let key = if source.karyotype.is_some() { "karyotype" } else { "kind" };
                self.found(loaded, &format!("source.{name}.{key}"), ErrorKind::Unavailable, error.to_string());
            }
        }
    }

    /// Loads the models of every stain, as the start does for its sources.
    fn models(&mut self, loaded: &Loaded) {
        let Some(engine) = self.engine.clone() else { return };
        let inference = &loaded.config.inference;
        let library = ModelLibrary::find(inference.models.as_deref(), loaded.file.as_deref());
        let sources = loaded.config.sources();
        let stains: BTreeMap<_, _> = sources.values().map(|source| (source.stain.name(), source.stain)).collect();
        for stain in stains.into_values() {
            let recognition = Recognition::configured(inference, stain);
            let Err(error) = ComposedRecognizer::open(&recognition, &library, &engine) else { continue };
            let words = StartError::new(ErrorKind::Unavailable, error).to_string();
            let named = |name: &Option<String>| name.as_ref().is_some_and(|name| words.contains(&format!("'{name}'")));
            let key = match () {
                () if named(&inference.detector) => "inference.detector",
                () if named(&inference.classifier) => "inference.classifier",
                () if named(&inference.anatomy) => "inference.anatomy",
                () => "inference.models",
            };
            self.found(loaded, key, ErrorKind::Unavailable, words);
            return;
        }
    }

    /// The engine that will run.
    ///
    /// # Errors
    /// Every finding, one a line. A wrong configuration outweighs what is not available.
    pub fn passed(self) -> Result<Option<ChosenEngine>, StartError> {
        let Some(first) = self.findings.first() else { return Ok(self.engine) };
        let is_config = self.findings.iter().any(|finding| finding.kind == ErrorKind::Config);
        let kind = if is_config { ErrorKind::Config } else { first.kind };
        let mut mistakes: Vec<Mistake> = self.findings.into_iter().map(|finding| finding.mistake).collect();
        in_order(&mut mistakes);
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Err(StartError::new(kind, lines.join("\n")))
    }
}

/// What `check-config` reports.
#[derive(Debug)]
pub struct Checked {
    /// Every mistake and everything that is missing, in the order of the file.
    pub mistakes: Vec<Mistake>,
    /// Kind of the failure that the start would end with; none: it would start.
    pub kind: Option<ErrorKind>,
    /// What is no mistake and should be known.
    pub notes: Vec<String>,
}

/// Checks a configuration as the start would: its text, then what it names.
pub fn check_start(examined: Examined) -> Checked {
    let Examined { loaded, mut mistakes } = examined;
    let mut kind = (!mistakes.is_empty()).then_some(ErrorKind::Config);
    let mut notes = Vec::new();
    if let Some(loaded) = loaded {
        let mut preflight = Preflight::of(&loaded);
        preflight.models(&loaded);
        if let Some(reason) = preflight.engine.and_then(|engine| engine.fell_back) {
            notes.push(format!("inference.engine: cpu will run instead: {reason}"));
        }
        for Finding { mistake, kind: of_this } in preflight.findings {
            // Of a key that is wrong already, or of a source whose kind or assay could not be read, nothing is said.
            let is_known = mistakes.iter().any(|known| known.key == mistake.key || known.key == "assay");
            if is_known {
                continue;
            }
            kind = match kind {
                Some(ErrorKind::Config) => kind,
                _ if of_this == ErrorKind::Config => Some(of_this),
                known => known.or(Some(of_this)),
            };
            mistakes.push(mistake);
        }
    }
    in_order(&mut mistakes);
    Checked { mistakes, kind, notes }
}
