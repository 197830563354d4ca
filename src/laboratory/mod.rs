//! What a laboratory sets in its reports, from a folder of its own: name, address, logo, language, the form of dates,
//! words and templates. Read when a report is made, so that a change needs no build and no restart. The words of the page
//! are in the same catalogue.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::{ErrorKind, HasKind};
use jiff::{Timestamp, civil::Date, fmt::strtime, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Name of the file with the settings, in the laboratory's folder.
pub const SETTINGS: &str = "laboratory.toml";
/// Where the system keeps its time zones.
const ZONES: &str = "/usr/share/zoneinfo";
/// Languages with words of their own, and these.
const LANGUAGES: [(&str, &str); 2] = [("en", include_str!("texts/en.toml")), ("de", include_str!("texts/de.toml"))];
/// How the codes of the page's words begin.
const OF_PAGE: &str = "ui.";
/// Code of a language's own name.
const LANGUAGE_NAME: &str = "language";
/// Media types of a logo, by the ending of its file.
const LOGOS: [(&str, &str); 4] =
    [("svg", "image/svg+xml"), ("png", "image/png"), ("jpg", "image/jpeg"), ("jpeg", "image/jpeg")];
/// A larger logo would be carried by every report.
const LARGEST_LOGO: u64 = 1 << 20;

/// A folder that makes no reports.
#[derive(Debug, thiserror::Error)]
pub enum LaboratoryError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The settings cannot be read.
    #[error("{}: {problem}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        problem: String,
    },
    /// A value makes no sense.
    #[error("{}: invalid {key} '{value}': expected {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Name of the setting.
        key: &'static str,
        /// What was found.
        value: String,
        /// What would be right.
        expected: String,
    },
}

impl HasKind for LaboratoryError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Config
    }
}

/// The file `laboratory.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    name: String,
    address: Vec<String>,
    logo: Option<PathBuf>,
    language: Option<String>,
    time: Option<String>,
    day: Option<String>,
    time_zone: Option<String>,
    signatures: Option<Vec<String>>,
    texts: BTreeMap<String, String>,
}

/// How the reports of a laboratory look.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Laboratory {
    /// Its name; empty where none is set.
    pub name: String,
    /// Its address, line by line.
    pub address: Vec<String>,
    /// Its logo as a `data:` address.
    pub logo: Option<String>,
    /// Language as a tag such as `en`.
    pub language: String,
    /// Lines to sign on; none: those of the report.
    pub signatures: Option<Vec<String>>,
    /// The words of the report by their codes.
    pub texts: BTreeMap<String, String>,
    /// Own templates: name of the file and its text.
    #[serde(skip)]
    pub templates: BTreeMap<String, String>,
    #[serde(skip)]
    time: String,
    #[serde(skip)]
    day: String,
    #[serde(skip)]
    zone: TimeZone,
}

impl Default for Laboratory {
    fn default() -> Self {
        Self::of(Settings::default(), Path::new("")).expect("the built-in words are whole")
    }
}

impl Laboratory {
    /// That of `folder`; without one the built-in: English, UTC, no name.
    ///
    /// # Errors
    /// What cannot be read or makes no sense.
    pub fn read(folder: Option<&Path>) -> Result<Self, LaboratoryError> {
        let Some(folder) = folder else { return Ok(Self::default()) };
        let path = folder.join(SETTINGS);
        let text = match std::fs::read_to_string(&path) {
            // A folder may hold templates alone.
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder.is_dir() => String::new(),
            other => other.map_err(|source| LaboratoryError::Read { path: path.clone(), source })?,
        };
        let settings: Settings = toml_edit::de::from_str(&text).map_err(|error| LaboratoryError::Settings {
            path: path.clone(),
            problem: error.to_string().trim_end().to_owned(),
        })?;
        let mut read = Self::of(settings, folder)?;
        read.templates = templates(folder)?;
        Ok(read)
    }

    fn of(settings: Settings, folder: &Path) -> Result<Self, LaboratoryError> {
        let path = folder.join(SETTINGS);
        let wrong = |key, value: &str, expected: String| LaboratoryError::Value {
            path: path.clone(),
            key,
            value: value.to_owned(),
            expected,
        };
        let language = settings.language.unwrap_or_else(|| "en".into());
        let built_in = LANGUAGES.iter().find(|(name, _)| *name == language).map(|(_, text)| words(text));
        let known = words(LANGUAGES[0].1);
        if let Some(key) = settings.texts.keys().find(|key| !known.contains_key(*key)) {
            let expected = "a code that `metaphased case layout DIR` writes".into();
            return Err(wrong("texts", key, expected));
        }
        let mut texts = built_in.unwrap_or_default();
        texts.extend(settings.texts);
        // A laboratory may have its own language in reports alone.
        let needed = known.keys().filter(|key| !key.starts_with(OF_PAGE));
        let missing: Vec<&str> = needed.filter(|key| !texts.contains_key(*key)).map(String::as_str).collect();
        if !missing.is_empty() {
            let expected = format!("en or de, or every word in [texts]; missing: {}", missing.join(", "));
            return Err(wrong("language", &language, expected));
        }
        let zone_name = settings.time_zone.unwrap_or_else(|| "UTC".into());
        let zone = zone(&zone_name).ok_or_else(|| {
            wrong("time_zone", &zone_name, format!("a time zone of {ZONES}, such as Europe/Berlin, or UTC"))
        })?;
        let time = settings.time.unwrap_or_else(|| texts["form.time"].clone());
        let day = settings.day.unwrap_or_else(|| texts["form.day"].clone());
        if strtime::format(&time, &Timestamp::UNIX_EPOCH.to_zoned(zone.clone())).is_err() {
            return Err(wrong("time", &time, "a form such as %d.%m.%Y %H:%M".into()));
        }
        if strtime::format(&day, Date::ZERO).is_err() {
            return Err(wrong("day", &day, "a form such as %d.%m.%Y".into()));
        }
        Ok(Self {
            name: settings.name,
            address: settings.address,
            logo: settings.logo.map(|file| logo(&folder.join(file), wrong)).transpose()?,
            language,
            signatures: settings.signatures,
            texts,
            templates: BTreeMap::new(),
            time,
            day,
            zone,
        })
    }

    /// A time (RFC 3339) in the laboratory's form and zone; what is no time stays as it is.
    pub fn time(&self, text: &str) -> String {
        let Ok(time) = text.parse::<Timestamp>() else { return text.to_owned() };
        strtime::format(&self.time, &time.to_zoned(self.zone.clone())).unwrap_or_else(|_| text.to_owned())
    }

    /// A date (`2026-10-03`) in the laboratory's form.
    pub fn day(&self, text: &str) -> String {
        let date = text.parse::<Date>().ok();
        date.and_then(|date| strtime::format(&self.day, date).ok()).unwrap_or_else(|| text.to_owned())
    }

    /// A number with this many decimal places and the language's decimal mark.
    pub fn number(&self, value: f64, places: usize) -> String {
        format!("{value:.places$}").replace('.', &self.texts["form.decimal"])
    }
}

/// The words of the page in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageWords {
    /// Its tag.
    pub language: String,
    /// All languages that the page speaks, by their tags, each by its own name.
    pub languages: BTreeMap<String, String>,
    /// The words by their codes.
    pub words: BTreeMap<String, String>,
}

impl PageWords {
    /// In the first of the `wanted` languages that the page speaks, else in English. A laboratory overrides words of its
    /// language, and adds its own language where it has every word of the page.
    pub fn choose<'w>(own: &Laboratory, wanted: impl IntoIterator<Item = &'w str>) -> Self {
        static BUILT_IN: LazyLock<BTreeMap<&str, BTreeMap<String, String>>> =
            LazyLock::new(|| LANGUAGES.iter().map(|(tag, text)| (*tag, of_page(&words(text)))).collect());
        let mut all = BUILT_IN.clone();
        let of_laboratory = of_page(&own.texts);
        if BUILT_IN["en"].keys().all(|code| of_laboratory.contains_key(code)) {
            all.insert(&own.language, of_laboratory);
        }
        let languages = all.iter().map(|(tag, words)| ((*tag).to_owned(), words[LANGUAGE_NAME].clone())).collect();
        let language = wanted.into_iter().find(|tag| all.contains_key(tag)).unwrap_or("en");
        Self { language: language.to_owned(), languages, words: all.remove(language).unwrap_or_default() }
    }
}

fn of_page(texts: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let own = |(code, text): (&String, &String)| Some((code.strip_prefix(OF_PAGE)?.to_owned(), text.clone()));
    texts.iter().filter_map(own).collect()
}

/// The words of a catalogue.
fn words(text: &str) -> BTreeMap<String, String> {
    toml_edit::de::from_str(text).expect("the catalogues in the source tree are whole")
}

/// A file of settings to start from: every key, and every word of a language; none for an unknown language.
pub fn settings_with_every_word(language: &str) -> Option<String> {
    let (_, words) = LANGUAGES.iter().find(|(name, _)| *name == language)?;
    Some(format!(
        "# What this laboratory sets in its reports; docs/guide/reports.md.\n#name = \"Institute of Human Genetics\"\n\
         #address = [\"Street 1\", \"12345 Town\"]\n# SVG, PNG or JPEG in this folder, at most 1 MiB.\n#logo = \"logo.svg\"\n\
         language = \"{language}\"\n# Forms of times and days, after strftime.\n#time = \"%d.%m.%Y %H:%M\"\n#day = \"%d.%m.%Y\"\n\
         #time_zone = \"Europe/Berlin\"\n# Lines to sign on, instead of those of the words below.\n\
         #signatures = [\"Analysed by, date\", \"Released by, date\"]\n\n[texts]\n{words}"
    ))
}

/// A time zone of the system.
fn zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    let inside = name.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    let bytes = inside.then(|| std::fs::read(Path::new(ZONES).join(name)).ok())??;
    TimeZone::tzif(name, &bytes).ok()
}

fn logo(file: &Path, wrong: impl Fn(&'static str, &str, String) -> LaboratoryError) -> Result<String, LaboratoryError> {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let Some((_, kind)) = LOGOS.iter().find(|(known, _)| *known == ending) else {
        return Err(wrong("logo", &file.display().to_string(), "an SVG, PNG or JPEG file".into()));
    };
    let bytes = std::fs::read(file).map_err(|source| LaboratoryError::Read { path: file.into(), source })?;
    if bytes.len() as u64 > LARGEST_LOGO {
        return Err(wrong("logo", &file.display().to_string(), "a file of at most 1 MiB".into()));
    }
    Ok(format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes)))
}

/// The templates of a folder: its files that end in `.html` or `.css`.
fn templates(folder: &Path) -> Result<BTreeMap<String, String>, LaboratoryError> {
    let reading = |path: &Path| {
        let path = path.to_owned();
        move |source| LaboratoryError::Read { path, source }
    };
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(reading(folder))? {
        let path = entry.map_err(reading(folder))?.path();
        let (Some(name), Some(ending)) = (path.file_name(), path.extension()) else { continue };
        if path.is_file() && (ending == "html" || ending == "css") {
            let text = std::fs::read_to_string(&path).map_err(reading(&path))?;
            found.insert(name.to_string_lossy().into_owned(), text);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &str) -> Result<Laboratory, LaboratoryError> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(SETTINGS), settings).expect("it is written");
        Laboratory::read(Some(folder.path()))
    }

    #[test]
    fn every_language_has_every_word() {
        let english = words(LANGUAGES[0].1);
        for (language, text) in LANGUAGES {
            let other = words(text);
            assert!(english.keys().eq(other.keys()), "{language}");
            assert!(other.values().all(|text| !text.trim().is_empty() || text == " "), "{language}");
            // Each sentence has the same values, whatever their order.
            for (code, text) in &other {
                assert_eq!(values(text), values(&english[code]), "{language}: {code}");
            }
        }
    }

    /// The names in braces of a word of the page.
    fn values(text: &str) -> std::collections::BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect()
    }

    #[test]
    fn a_laboratory_overrides_words_of_the_page_and_adds_a_language_that_is_whole() {
        let own = read("language = \"de\"\n[texts]\n\"ui.close\" = \"Zu\"").expect("it is right");
        assert_eq!(PageWords::choose(&own, ["de"]).words["close"], "Zu");
        assert_eq!(PageWords::choose(&own, ["xx", "en"]).words["close"], "Close");
        let english = words(LANGUAGES[0].1);
        let texts = |page: bool| {
            let lines = english.keys().filter(|code| page || !code.starts_with(OF_PAGE));
            let word = |code: &String| if code.starts_with("form.") { english[code].clone() } else { "x".to_owned() };
            lines.map(|code| format!("\"{code}\" = \"{}\"\n", word(code))).collect::<String>()
        };
        let half = read(&format!("language = \"xx\"\n[texts]\n{}", texts(false))).expect("reports need no page");
        assert!(!PageWords::choose(&half, ["xx"]).languages.contains_key("xx"));
        let whole = read(&format!("language = \"xx\"\n[texts]\n{}", texts(true))).expect("it is right");
        let chosen = PageWords::choose(&whole, ["xx"]);
        assert_eq!((chosen.language.as_str(), chosen.languages.len()), ("xx", 3));
    }

    #[test]
    fn times_dates_and_numbers_have_the_form_of_the_laboratory() {
        let german = read("language = \"de\"\ntime_zone = \"Europe/Berlin\"").expect("it is right");
        assert_eq!(german.time("2026-07-05T22:30:00.5Z"), "06.07.2026 00:30");
        assert_eq!(german.time("2026-12-05T22:30:00Z"), "05.12.2026 23:30");
        assert_eq!((german.day("2026-10-03").as_str(), german.number(1.456, 2).as_str()), ("03.10.2026", "1,46"));
        let usual = Laboratory::default();
        assert_eq!(usual.time("2026-07-05T22:30:00Z"), "2026-07-05 22:30 UTC");
        assert_eq!((usual.day("2026-10-03").as_str(), usual.number(1.456, 2).as_str()), ("2026-10-03", "1.46"));
        assert_eq!(read("day = \"%d %b %Y\"").expect("it is right").day("2026-10-03"), "03 Oct 2026");
    }

    #[test]
    fn a_wrong_setting_says_what_is_expected() {
        for (settings, words) in [
            ("nane = \"x\"", "nane"),
            ("language = \"xx\"", "invalid language 'xx': expected en or de, or every word in [texts]; missing: "),
            ("time_zone = \"../etc\"", "invalid time_zone '../etc'"),
            ("time = \"%!\"", "invalid time '%!'"),
            ("logo = \"logo.gif\"", "expected an SVG, PNG or JPEG file"),
            ("logo = \"logo.svg\"", "cannot read "),
            ("[texts]\ntitel = \"x\"", "invalid texts 'titel'"),
        ] {
            let error = read(settings).expect_err(settings).to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(Laboratory::read(Some(Path::new("/nowhere/lab"))).is_err());
        for (language, _) in LANGUAGES {
            let all = settings_with_every_word(language).expect("a language");
            assert_eq!(read(&all).expect("it is right").language, language);
        }
    }
}
