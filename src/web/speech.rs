//! In which language the page speaks, and its words.

use std::path::PathBuf;

use axum::http::{HeaderMap, header};
use serde_json::json;

use super::guard::cookie;
use crate::laboratory::{Laboratory, PageWords};

/// Cookie in which the page's switch keeps its choice.
const COOKIE: &str = "metaphased-language";

/// What the page's words come from. Cloning is cheap enough for each request.
#[derive(Debug, Clone, Default)]
pub struct Speech {
    /// Folder of the laboratory's layout.
    pub laboratory: Option<PathBuf>,
    /// The language that the configuration names.
    pub language: Option<String>,
}

impl Speech {
    /// The words for whoever asks: in the language that they chose, else that of the configuration, else the first of
    /// their browser's that is there.
    pub async fn words(&self, headers: &HeaderMap) -> PageWords {
        let chosen = cookie(headers, COOKIE).map(str::to_owned);
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).map(accepted);
        let wanted: Vec<String> =
            chosen.into_iter().chain(self.language.clone()).chain(accepted.unwrap_or_default()).collect();
        let folder = self.laboratory.clone();
        let choose = move || {
            let own = Laboratory::read(folder.as_deref()).unwrap_or_else(|error| {
                tracing::warn!(%error, "the page speaks without the laboratory's own words");
                Laboratory::default()
            });
            PageWords::choose(&own, wanted.iter().map(String::as_str))
        };
        tokio::task::spawn_blocking(choose).await.unwrap_or_else(|_| PageWords::choose(&Laboratory::default(), []))
    }
}

/// The languages of an `Accept-Language`, best first, without their regions.
fn accepted(text: &str) -> Vec<String> {
    let mut tags: Vec<(f32, String)> = text
        .split(',')
        .filter_map(|part| {
            let (tag, weight) = part.split_once(';').unwrap_or((part, ""));
            let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse).unwrap_or(0.0);
            let language = tag.trim().split('-').next()?.to_ascii_lowercase();
            (weight > 0.0).then_some((weight, language))
        })
        .collect();
    tags.sort_by(|a, b| b.0.total_cmp(&a.0));
    tags.into_iter().map(|(_, tag)| tag).collect()
}

/// A page with its words: `{{code}}` stands for one, `{{language}}` for the tag. `[X]` in a word marks the key of a button.
pub fn fill(template: &str, words: &PageWords) -> String {
    let mut pieces = template.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (code, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        let word = if code == "language" { Some(&words.language) } else { words.words.get(code) };
        page.push_str(&marked(&escape(word.map_or(code, String::as_str))));
        page.push_str(rest);
    }
    page
}

/// A word as it may stand in HTML, within quotes, too.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn marked(text: &str) -> String {
    match text.split_once('[').and_then(|(before, rest)| Some((before, rest.split_once(']')?))) {
        Some((before, (key, after))) => format!("{before}<u>{key}</u>{after}"),
        None => text.to_owned(),
    }
}

/// The words as a script for the page.
pub fn script(words: &PageWords) -> String {
    let PageWords { language, languages, words } = words;
    format!(
        "export const {{ LANGUAGE, LANGUAGES, TEXTS }} = {};\n",
        json!({ "LANGUAGE": language, "LANGUAGES": languages, "TEXTS": words })
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(speech: &Speech, lines: &[(header::HeaderName, &str)]) -> String {
        let headers = lines.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(speech.words(&headers)).language
    }

    #[test]
    fn the_switch_goes_before_the_configuration_and_that_before_the_browser() {
        let open = Speech::default();
        assert_eq!(spoken(&open, &[]), "en");
        assert_eq!(spoken(&open, &[(header::ACCEPT_LANGUAGE, "fr, en;q=0.3, de-AT;q=0.8")]), "de");
        assert_eq!(spoken(&open, &[(header::ACCEPT_LANGUAGE, "de;q=0, en-GB")]), "en");
        let german = Speech { language: Some("de".into()), ..Speech::default() };
        assert_eq!(spoken(&german, &[(header::ACCEPT_LANGUAGE, "en")]), "de");
        assert_eq!(spoken(&german, &[(header::COOKIE, "a=b; metaphased-language=en")]), "en");
        assert_eq!(spoken(&german, &[(header::COOKIE, "metaphased-language=xx")]), "de");
    }

    #[test]
    fn words_stand_in_the_page_without_becoming_markup() {
        let mut words = PageWords::choose(&Laboratory::default(), ["de"]);
        words.words.insert("a".into(), "\"<b>\" & [H]alten".into());
        let page = fill("<html lang=\"{{language}}\"><p title=\"{{a}}\">", &words);
        assert_eq!(page, "<html lang=\"de\"><p title=\"&quot;&lt;b&gt;&quot; &amp; <u>H</u>alten\">");
    }
}
