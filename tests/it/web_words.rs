//! The words of the page: all of them in the catalogue, in every language, and the switch between these.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    web_support::{PageServer, browser::Browser, drawing, get, request},
    web_work::put_case,
};
use domain::{AberrationCounts, Damage, ScoredBy, Verdict};
use metaphased::{
    laboratory::{Laboratory, PageWords, settings_with_every_word},
    store::Latest,
    web::WebOptions,
};
use serde_json::{Value, json};

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
}

fn texts(folders: &[&str], ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    folders.iter().for_each(|folder| files(&source(folder), ending, &mut found));
    found.into_iter().map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap())).collect()
}

/// The string literals that begin behind a pattern.
fn literals<'t>(text: &'t str, before: &'t str) -> impl Iterator<Item = &'t str> {
    text.match_indices(before).filter_map(move |(at, _)| {
        let rest = text[at + before.len()..].trim_start().strip_prefix('"')?;
        rest.split_once('"').map(|(literal, _)| literal)
    })
}

fn english() -> PageWords {
    PageWords::choose(&Laboratory::default(), ["en"])
}

#[test]
fn whatever_the_page_and_the_daemon_say_has_words_and_no_word_is_left_over() {
    let words = english().words;
    let scripts = texts(&["src/web/assets"], "js");
    let mut used = BTreeSet::new();
    let mut begun = Vec::new();
    for (file, text) in &scripts {
        for (call, plural) in
            [(" t(", false), ("(t(", false), ("[t(", false), ("{t(", false), ("tt(", false), ("tn(", true)]
        {
            for code in literals(text, call) {
                let codes =
                    if plural { vec![format!("{code}.one"), format!("{code}.other")] } else { vec![code.to_owned()] };
                for code in codes {
                    assert!(words.contains_key(&code), "{file}: no words for {code}");
                    used.insert(code);
                }
            }
        }
        // Codes that are chosen, or put together: `kind.${name}`.
        used.extend(words.keys().filter(|code| text.contains(&format!("\"{code}\""))).cloned());
        let is_code = |c: char| c.is_ascii_lowercase() || c == '.' || c == '_';
        begun.extend(text.split('`').filter_map(|part| {
            let (begin, rest) = part.split_at(part.find(|c| !is_code(c))?);
            (begin.ends_with('.') && rest.starts_with("${")).then(|| begin.to_owned())
        }));
        for code in literals(text, "said(").chain(literals(text, "tn(unit, ")) {
            used.insert(format!("said.{code}"));
        }
    }
    let index = fs::read_to_string(source("src/web/assets/index.html")).unwrap();
    let login = fs::read_to_string(source("src/web/page.rs")).unwrap();
    for page in [&index, &login] {
        for code in page.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0)) {
            let is_code = code.contains('.') && code.bytes().all(|b| b.is_ascii_lowercase() || b"._".contains(&b));
            assert!(!is_code || words.contains_key(code), "no words for {code}");
            used.insert(code.to_owned());
        }
    }
    // What the daemon says with a code beside it.
    for (file, text) in texts(&["src", "crates"], "rs") {
        for code in literals(&text, "Said::new(") {
            let known = words.contains_key(&format!("said.{code}")) || file.ends_with("said.rs");
            assert!(known, "{file}: no words for said.{code}");
            used.insert(format!("said.{code}"));
        }
    }
    for code in ["saturated", "dark", "faint", "soft"] {
        used.insert(format!("said.hint_{code}"));
    }
    for code in ["gain", "loss"] {
        used.insert(format!("said.finding_{code}"));
    }
    used.extend(["language".to_owned(), "said.lower_limit".to_owned()]);
    let of_plural = |code: &str| code.ends_with(".one") || code.ends_with(".other");
    let unused: Vec<&String> = words
        .keys()
        .filter(|code| !used.contains(*code) && !begun.iter().any(|begin| code.starts_with(&**begin)))
        .filter(|code| {
            !(of_plural(code) && scripts.iter().any(|(_, text)| text.contains(code.rsplit_once('.').unwrap().0)))
        })
        .collect();
    assert!(unused.is_empty(), "nobody says {unused:?}");
}

#[test]
fn the_page_comes_in_the_language_that_is_asked_for() {
    let server = PageServer::start();
    let host = server.address.to_string();
    let ask = |path: &str, line: &str| request(server.address, "GET", path, &host, &[line], "").text();
    assert!(get(&server, "/").text().contains("<html lang=\"en\">"));
    let german = ask("/", "Accept-Language: de-DE,de;q=0.9,en;q=0.5");
    assert!(german.contains("<html lang=\"de\">") && german.contains(">Alle Zellen<"), "{german}");
    assert!(!german.contains("{{"), "{german}");
    assert!(ask("/assets/texts.js", "Cookie: metaphased-language=de").contains("\"LANGUAGE\":\"de\""));
    let chosen = PageServer::start_with(WebOptions {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        language: Some("de".into()),
        token: Some("a token of twenty-odd characters".into()),
        ..WebOptions::default()
    });
    assert!(get(&chosen, "/").text().contains("Das ist nicht").eq(&false));
    assert!(get(&chosen, "/").text().contains("Zugangskennwort"), "the form speaks, too");
}

/// A laboratory whose words are marked: what stands on the page without the mark is not in the catalogue.
fn marked() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let every = settings_with_every_word("en").unwrap();
    let marked =
        every.lines().map(|line| match line.strip_prefix("\"ui.").and_then(|rest| rest.split_once("\" = \"")) {
            Some((code, text)) => format!("\"ui.{code}\" = \"⟦{}⟧\"\n", text.trim_end_matches('"')),
            None => format!("{}\n", line.replace("language = \"en\"", "language = \"xx\"")),
        });
    fs::write(folder.path().join("laboratory.toml"), marked.collect::<String>()).unwrap();
    folder
}

/// Words on the page that are neither marked nor data.
const STRAY: &str = r#"
    const bare = (text) => { let next = text, before; do { before = next; next = next.replace(/⟦[^⟦⟧]*⟧/g, ''); } while (next !== before); return next; };
    const data = '#station, #version, .brand, .chip .name, .chip:nth-child(2) .word, .chip:nth-child(3), .reason, .facts dd, .history, kbd, script, style, option[value]:not([value=""]), .signed strong, .agent, #people td, #people th[scope=row], #stage-table th[scope=row], #source-table th[scope=row]';
    const found = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      // A sentence with an element in it is marked as a whole.
      const whole = node.parentElement.closest('button, p, li, th, td, label, summary, h2, h3, legend') ?? node.parentElement;
      if (!node.parentElement.closest(data) && [node.data, whole.textContent].every((text) => /[a-zA-Z]{3,}/.test(bare(text)))) found.push(node.data.trim());
    }
    for (const element of document.body.querySelectorAll('[title], [aria-label], [placeholder], [alt]')) {
      for (const name of ['title', 'aria-label', 'placeholder', 'alt']) {
        const text = element.getAttribute(name);
        if (text && !element.closest(data) && /[a-zA-Z]{3,}/.test(bare(text))) found.push(`${name}: ${text}`);
      }
    }
    return [...new Set(found)];"#;

#[test]
fn no_text_of_the_page_is_outside_of_the_catalogue() {
    let Some(browser) = Browser::open("no_text_of_the_page_is_outside_of_the_catalogue", (1400, 1000)) else { return };
    let laboratory = marked();
    let options = WebOptions {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        language: Some("xx".into()),
        ..WebOptions::default()
    };
    let server = PageServer::start_in(options, Some(laboratory.path().to_owned()));
    put_case(&server, "K-17", 1, &["21"]);
    put_case(&server, "K-18", 3, &[]);
    server.health.set_case(Some("K-17".into()), None);
    let names = ["scope", "metaphased", "lab-1", "K-17", "K-18", "E-1", "cpu", "mqtt://127.0.0.1"];
    let found = std::cell::RefCell::new(Vec::new());
    let look = |view: &str| {
        browser.wait("document.getAnimations().every((a) => a.playState !== 'running')");
        let stray = browser.run(STRAY);
        let stray: Vec<&str> = stray.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let stray: Vec<&&str> = stray
            .iter()
            .filter(|text| {
                let is_date =
                    text.split_once(", ").is_some_and(|(_, year)| year.len() == 4 && year.parse::<u16>().is_ok());
                let rest = names.iter().fold((**text).to_owned(), |text, name| text.replace(name, ""));
                let mut letters = 0;
                !is_date
                    && rest.chars().any(|c| {
                        letters = if c.is_ascii_alphabetic() { letters + 1 } else { 0 };
                        letters >= 3
                    })
            })
            .collect();
        if !stray.is_empty() {
            found.borrow_mut().push(format!("{view}: {stray:#?}"));
        }
    };
    browser.go(&server.url());
    browser.run("document.body.append('planted words')");
    let planted = browser.run(STRAY).to_string();
    assert!(planted.contains("planted words"), "the test sees what is not marked: {planted}");
    browser.go("about:blank");
    browser.go(&server.url());
    browser.wait("document.querySelectorAll('#strip li').length === 2");
    browser.wait("document.querySelector('#case-body .findings, #case-body .headline')");
    browser.run("document.getElementById('numbers').open = true");
    browser.run("document.querySelectorAll('#case-body details').forEach((d) => { d.open = true; })");
    look("page");
    browser.click("#strip button");
    browser.wait("document.querySelectorAll('#detail[open] .karyogram img').length >= 46");
    browser.click(".karyogram [data-index=\"3\"]");
    browser.wait("document.querySelector('.inspector')");
    browser.run("document.querySelectorAll('#detail details').forEach((d) => { d.open = true; })");
    browser.press("u");
    browser.wait("document.querySelector('.pending strong')");
    look("cell");
    browser.click(".lay [data-focus='lay-part']");
    browser.wait("document.querySelector('.tool .cut')");
    look("cutting");
    browser.click(".lay [data-focus='lay-redraw']");
    browser.wait("document.querySelector('.tool .drawn')");
    look("drawing");
    browser.run("[...document.querySelectorAll('#detail .below > button')].at(-1).click()");
    browser.wait("document.querySelector('#homologs li img')");
    look("homologs");
    browser.go("about:blank");
    for (open, ready, view) in [
        ("#all-cells", "document.querySelectorAll('#browse .tiles li').length === 2", "cells"),
        ("#case-list", "document.querySelectorAll('#cases tbody tr').length === 2", "cases"),
        (
            "#rejected-files",
            "document.querySelector('#rejected [role=status]').textContent.includes('No file')",
            "rejected",
        ),
    ] {
        browser.go(&server.url());
        browser.wait("document.querySelectorAll('#strip li').length === 2");
        browser.click(open);
        browser.wait(ready);
        look(view);
        browser.go("about:blank");
    }
    browser.go(&server.url());
    browser.click("#case-list");
    browser.click("[data-compare='K-17']");
    browser.click("[data-compare='K-18']");
    browser.run("[...document.querySelectorAll('#cases .head > button')].at(-1).click()");
    browser.wait("document.querySelectorAll('#compare section .headline').length === 2");
    look("compared");
    browser.go("about:blank");
    put_dose(&server, "E-1");
    browser.go(&server.url());
    browser.wait("document.querySelector('#case .preliminary') && document.querySelector('.notice')");
    browser.run("document.querySelectorAll('#case-body details').forEach((d) => { d.open = true; })");
    look("dose");
    browser.click("#strip button");
    browser.wait("document.querySelector('#detail[open] #score')");
    look("scoring");
    browser.click("#detail .bar > button:last-child");
    browser.run("[...document.querySelectorAll('#case-body .case-now > button')].at(-1).click()");
    browser.wait("document.querySelector('#gallery[open] .gallery li')");
    look("gallery");
    let found = found.into_inner();
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Puts a case of the dicentric assay into the store: one cell with a called dicentric, a dose, an alarm.
fn put_dose(server: &PageServer, case: &str) {
    let mut field = drawing::field(9, &[], Verdict::NotAssessable);
    let counts = AberrationCounts { monocentrics: 43, dicentrics: 1, unclear: 1, ..AberrationCounts::default() };
    field.cell.dicentric = Some(counts.record([46, 46], None, ScoredBy::Machine));
    field.cell.chromosomes[4].damage = Damage::Dicentric;
    field.cell.case = Some(case.into());
    server.commit(&field);
    let dose = json!({
        "schema": "dose/1", "station": "lab-1", "case": case, "dicentrics": 30, "counts": [36, 18, 6], "rings": 0, "fragments": 0,
        "cells": { "seen": 61, "counted": 60, "incomplete": 0, "second_division": 0, "unclear": 1, "excluded": 1,
                   "reviewed": 56, "awaiting_review": 4 },
        "progress": "triage", "cells_needed": { "half_width_gy": 0.5, "cells": 200 }, "alarm": "raised", "alarm_gy": 1.0,
        "flags": [], "notice": "Research use only; not a diagnosis.",
        "estimate": {
            "input": { "protraction": 1.0 }, "dispersion": { "index": 1.0, "u": 2.1 }, "warnings": [],
            "partial_body": { "dose_gy": { "value": 3.1 }, "fraction": { "value": 0.6 } },
            "curve": { "id": "E-1", "radiation": "K-17", "c": 0.001, "alpha": 0.02, "beta": 0.06, "covariance": null },
            "dose_gy": { "value": 2.7, "low": 2.2, "high": 3.3, "level": 0.95, "method": "likelihood" },
        },
    });
    let latest = Latest { topic: format!("dose/{case}"), payload: Some(dose.to_string()), case: Some(case.into()) };
    server.store.put_latest(&latest).unwrap();
    server.health.set_case(Some(case.into()), None);
}

#[test]
fn the_switch_changes_the_language_and_it_stays() {
    let Some(browser) = Browser::open("the_switch_changes_the_language_and_it_stays", (1400, 1000)) else { return };
    let server = PageServer::start();
    let mut field = drawing::field(2, &["21".parse().unwrap()], Verdict::Abnormal);
    field.cell.case = Some("K-17".into());
    server.commit(&field);
    server.health.set_case(Some("K-17".into()), None);
    browser.go(&server.url());
    browser.wait("document.querySelectorAll('#strip li').length === 1");
    browser.run("const s = document.getElementById('language'); s.value = 'de'; s.dispatchEvent(new Event('change'))");
    browser.wait("document.documentElement.lang === 'de' && document.querySelectorAll('#strip li').length === 1");
    browser.wait("document.querySelector('#last .verdict').textContent.includes('Auffällig')");
    browser.wait("document.getElementById('rates').textContent.includes('1 Zelle gespeichert')");
    let picture = |name: &str| {
        let Some(folder) = std::env::var_os("METAPHASED_PICTURES") else { return };
        browser.wait("document.getAnimations().every((a) => a.playState !== 'running')");
        fs::write(Path::new(&folder).join(format!("{name}.png")), browser.screenshot()).unwrap();
    };
    for (tone, dark) in [("light", false), ("dark", true)] {
        browser.dark(dark);
        for (width, height) in [(1366, 768), (390, 844)] {
            browser.view(width, height);
            browser.go("about:blank");
            browser.go(&server.url());
            browser.wait("document.querySelectorAll('#strip li').length === 1");
            browser.wait("document.getElementById('waiting').textContent.includes('Letzte Zelle')");
            // No word breaks the page.
            let wide = browser.run("return document.documentElement.scrollWidth - innerWidth");
            assert!(wide.as_i64().unwrap() <= 0, "{width}: {wide}");
            picture(&format!("german-{width}-{tone}"));
            browser.click("#strip button");
            browser.wait("document.querySelectorAll('#detail[open] .karyogram img').length >= 46");
            browser.click(".karyogram [data-index=\"3\"]");
            browser.wait("document.querySelector('.inspector h3').textContent.startsWith('Rahmen 3')");
            picture(&format!("german-cell-{width}-{tone}"));
        }
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
