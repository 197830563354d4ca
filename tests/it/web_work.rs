//! Working on cells and cases on the page, in Chromium: with the mouse, by keyboard, with what goes wrong.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use crate::web_support::{PageServer, browser::Browser, drawing};
use domain::{AberrationCounts, Cell, ScoredBy, Verdict};
use karyotype::FittedSettings;
use metaphased::{
    case::{CaseSettings, CaseState},
    records::{ReviewContext, reviewed},
    station::ReviewAction,
    store::{FileMark, FileOutcome, FrameCommit, Latest, ReviewRecord},
};
use uuid::Uuid;

const LEFT: &str = "\u{e012}";
const RIGHT: &str = "\u{e014}";
const ALT: &str = "\u{e00a}";
const CONTROL: &str = "\u{e009}";
const ESCAPE: &str = "\u{e00c}";

fn stored(server: &PageServer, id: Uuid) -> Cell {
    server.store.reader().cell(id).unwrap().unwrap().cell().unwrap()
}

fn open(browser: &Browser, server: &PageServer, cell: &Cell) {
    browser.go(&format!("{}/#cell/{}", server.url(), cell.cell));
    let pictures = cell.chromosomes.len();
    browser.wait(&format!("document.querySelectorAll('dialog[open] .karyogram img').length === {pictures}"));
}

fn sign(browser: &Browser) {
    browser.click(".pending input");
    browser.type_text("K. Berg");
}

/// How many chromosomes stand at a place.
fn stand(class: &str, number: usize) -> String {
    format!("document.querySelectorAll('.place[data-class=\"{class}\"] button').length === {number}")
}

#[test]
fn arrows_go_from_cell_to_cell_and_what_is_not_saved_is_kept() {
    let Some(browser) = Browser::open("arrows_go_from_cell_to_cell_and_what_is_not_saved_is_kept", (1400, 1000)) else {
        return;
    };
    let server = PageServer::start();
    let fields: Vec<_> = (1..=4).map(|seed| drawing::field(seed, &[], Verdict::Normal)).collect();
    fields.iter().for_each(|field| server.commit(field));
    let shows = |n: usize| format!("location.hash === '#cell/{}'", fields[n].cell.cell);
    open(&browser, &server, &fields[3].cell);
    // Again and again: the focus stays in the detail.
    for n in [2, 1, 0] {
        browser.press(RIGHT);
        browser.wait(&shows(n));
        browser.wait("document.activeElement.id === 'detail-title'");
    }
    browser.press(RIGHT);
    browser.press(LEFT);
    browser.wait(&shows(1));
    browser.wait("document.querySelectorAll('.karyogram img').length === 46");

    browser.run("document.querySelector('.place[data-class=\"21\"] button').focus()");
    browser.press_with(ALT, RIGHT);
    browser.wait(&stand("22", 3));
    browser.wait("document.getElementById('placed').textContent === 'as placed: 46,XX,-21,+22'");
    browser.press(LEFT);
    browser.wait(&shows(2));
    browser.press(RIGHT);
    browser.wait(&shows(1));
    browser.wait(&stand("22", 3));
    browser.press(ESCAPE);
    browser.wait("!document.querySelector('dialog[open]')");
    browser.wait("document.querySelector('#strip').textContent.includes('not saved')");
    // Even after the page was loaded again.
    open(&browser, &server, &fields[1].cell);
    browser.wait(&stand("22", 3));
    browser.press_with(CONTROL, "z");
    browser.wait(&stand("22", 2));
    browser.press_with(CONTROL, "y");
    browser.wait(&stand("22", 3));
    browser.click(".pending .tools button:last-child");
    browser.wait(&stand("22", 2));
    browser.wait("!document.querySelector('#strip').textContent.includes('not saved')");
    assert_eq!(stored(&server, fields[1].cell.cell).revision, 1);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_karyogram_is_never_cut_off() {
    let Some(browser) = Browser::open("the_karyogram_is_never_cut_off", (1400, 1000)) else { return };
    let server = PageServer::start();
    let twelve = "12".parse().unwrap();
    for (seed, copies) in [(12, 1), (13, 6)] {
        let field = drawing::field(seed, &vec![twelve; copies], Verdict::Abnormal);
        server.commit(&field);
        for (width, height) in [(1400, 900), (1366, 768), (390, 844)] {
            browser.view(width, height);
            open(&browser, &server, &field.cell);
            browser.wait(&stand("12", 2 + copies));
            let cut = browser.run(
                "const sheet = document.querySelector('.karyogram').getBoundingClientRect();
                 return [...document.querySelectorAll('.karyogram button')].filter((x) => {
                   const b = x.getBoundingClientRect();
                   return b.left < sheet.left || b.right > sheet.right || b.top < sheet.top || b.bottom > sheet.bottom;
                 }).length",
            );
            assert_eq!(cut, 0, "{copies} more at {width} x {height}");
            let wider =
                browser.run("const d = document.getElementById('detail'); return d.scrollWidth - d.clientWidth");
            assert_eq!(wider, 0, "{width} x {height}");
            // The fragment alone loads nothing anew.
            browser.go("about:blank");
        }
    }
}

#[test]
fn from_a_cell_that_could_not_be_assessed_to_a_confirmed_karyotype_takes_at_most_six_actions() {
    let name = "from_a_cell_that_could_not_be_assessed_to_a_confirmed_karyotype_takes_at_most_six_actions";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    let server = PageServer::start();
    // 45 found: one box lies over two chromosomes.
    let mut field = drawing::field(5, &[], Verdict::NotAssessable);
    let second = field.cell.chromosomes.remove(1).bounds;
    let first = &mut field.cell.chromosomes[0].bounds;
    *first = first.union(&second);
    field.cell.counts.detected = 45;
    server.commit(&field);
    browser.go(&server.url());
    browser.wait("document.querySelectorAll('#strip li').length === 1");

    let mut actions = Vec::new();
    let mut act = |what: &'static str, done: &dyn Fn()| {
        done();
        actions.push(what);
    };
    act("open the cell", &|| browser.click("#last .wide"));
    act("go to the karyotype", &|| browser.click("#iscn"));
    act("type it", &|| browser.type_text("46,XX"));
    browser.wait("document.getElementById('iscn-status').textContent.startsWith('✓')");
    // The name is asked for once in a browser.
    act("go to the name", &|| browser.click(".pending input"));
    act("type it", &|| browser.type_text("K. Berg"));
    act("save", &|| browser.click(".pending button[type=submit]"));
    browser.wait("document.querySelector('dialog[open] h2').textContent === '46,XX'");
    assert!(actions.len() <= 6, "{actions:?}");
    let cell = stored(&server, field.cell.cell);
    assert_eq!((cell.karyotype.iscn.as_deref(), cell.karyotype.verdict), (Some("46,XX"), Verdict::Normal));
    assert_eq!(cell.review.unwrap().by, "K. Berg");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_karyotype_is_judged_while_it_is_typed_and_a_wrong_one_is_refused() {
    let name = "a_karyotype_is_judged_while_it_is_typed_and_a_wrong_one_is_refused";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    let server = PageServer::start();
    let field = drawing::field(6, &[], Verdict::NotAssessable);
    server.commit(&field);
    open(&browser, &server, &field.cell);
    browser.click("#iscn");
    browser.type_text("46,XX,+21");
    browser.wait("document.getElementById('iscn-status').textContent.startsWith('✗')");
    browser.wait("document.activeElement.id === 'iscn'");
    sign(&browser);
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelector('.pending .problem')?.textContent.includes(\"invalid iscn '46,XX,+21'\")");
    assert_eq!(stored(&server, field.cell.cell).revision, 1);
    // What was typed is still there, and is put right.
    browser.wait("document.getElementById('iscn').value === '46,XX,+21'");
    browser.run("const i = document.getElementById('iscn'); i.focus(); i.setSelectionRange(0, 2)");
    browser.type_text("47");
    browser.wait("document.getElementById('iscn-status').textContent.startsWith('✓')");
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelector('dialog[open] h2').textContent === '47,XX,+21'");
    assert_eq!(stored(&server, field.cell.cell).karyotype.verdict, Verdict::Abnormal);
}

#[test]
fn an_excluded_cell_stays_visible_and_is_counted_again() {
    let Some(browser) = Browser::open("an_excluded_cell_stays_visible_and_is_counted_again", (1400, 1000)) else {
        return;
    };
    let server = PageServer::start();
    let field = drawing::field(7, &[], Verdict::Normal);
    server.commit(&field);
    open(&browser, &server, &field.cell);
    browser.click("#exclude");
    browser.type_text("two cells overlap\u{e004}");
    sign(&browser);
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelector('.verdict.excluded')");
    browser.wait("document.querySelector('.seen .reason').textContent === 'two cells overlap (K. Berg)'");
    browser.wait("document.querySelector('#strip li.excluded')?.textContent.includes('excluded')");
    assert_eq!(stored(&server, field.cell.cell).excluded.unwrap().reason, "two cells overlap");
    browser.click("#finish .inline button");
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelector('.seen .verdict.normal')");
    assert_eq!(stored(&server, field.cell.cell).excluded, None);
}

/// Somebody else corrects a cell.
fn correct_elsewhere(server: &PageServer, id: Uuid, change: &ReviewAction) {
    let time = jiff::Timestamp::now().to_string();
    let settings = FittedSettings::default();
    let context = ReviewContext {
        by: "M. Ito",
        time: &time,
        settings: &settings,
        picture: &|| None,
        scores: &|_, _, _| None,
        earlier: &|_| None,
    };
    let cell = reviewed(&stored(server, id), change, &context).unwrap().cell;
    let record = ReviewRecord { time: time.clone(), by: "M. Ito".into(), cell: Some(id), ..ReviewRecord::default() };
    server.store.review(&record, Some(&cell), &FrameCommit::default()).unwrap();
}

#[test]
fn corrections_of_a_cell_that_was_changed_meanwhile_are_carried_over() {
    let Some(browser) =
        Browser::open("corrections_of_a_cell_that_was_changed_meanwhile_are_carried_over", (1400, 1000))
    else {
        return;
    };
    let server = PageServer::start();
    let field = drawing::field(8, &[], Verdict::Normal);
    server.commit(&field);
    open(&browser, &server, &field.cell);
    let index = browser.run("return Number(document.querySelector('.place[data-class=\"21\"] button').dataset.index)");
    browser.drag(&format!(".karyogram [data-index=\"{index}\"]"), ".place[data-class=\"22\"] .number");
    browser.wait(&stand("22", 3));
    sign(&browser);
    // The page hears nothing of it before it is refused.
    correct_elsewhere(&server, field.cell.cell, &ReviewAction::Verdict { verdict: Verdict::NotAssessable });
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelector('.pending .problem')");
    browser.wait("document.querySelector('.pending .stale')?.textContent.includes('by M. Ito')");
    browser.wait(&stand("22", 3));
    browser.click(".pending button[type=submit]");
    browser.wait("!document.querySelector('.pending .stale, .pending .problem')");
    let cell = stored(&server, field.cell.cell);
    assert_eq!((cell.revision, cell.review.unwrap().by.as_str()), (3, "K. Berg"));
    let moved = cell.chromosomes.iter().find(|c| u64::from(c.index) == index.as_u64().unwrap()).unwrap();
    assert_eq!(moved.class.map(|class| class.to_string()).as_deref(), Some("22"));
}

/// Puts a case with one cell into the store, its summary with it.
pub fn put_case(server: &PageServer, id: &str, seed: u64, extra: &[&str]) {
    let extra: Vec<_> = extra.iter().map(|class| class.parse().unwrap()).collect();
    let mut field = drawing::field(seed, &extra, Verdict::Normal);
    field.cell.case = Some(id.into());
    server.commit(&field);
    let state = CaseState::of("lab-1", id, &[field.cell], &CaseSettings::default());
    let payload = serde_json::to_string(&CaseState { iscn: Some(format!("46,XX[{seed}]")), ..state }).unwrap();
    let latest = Latest { topic: format!("case/{id}"), payload: Some(payload), case: Some(id.into()) };
    server.store.put_latest(&latest).unwrap();
}

#[test]
fn cases_are_searched_closed_and_reopened_and_their_cells_opened_page_by_page() {
    let name = "cases_are_searched_closed_and_reopened_and_their_cells_opened_page_by_page";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    let server = PageServer::start();
    for (seed, id) in [(1, "K-17"), (2, "K-18"), (3, "P-3")] {
        put_case(&server, id, seed, &[]);
    }
    browser.go(&server.url());
    browser.click("#case-list");
    let rows = |n: usize| format!("document.querySelectorAll('#cases tbody tr').length === {n}");
    browser.wait(&rows(3));
    browser.wait("document.querySelector('#cases tbody tr').textContent.includes('0 of 1')");
    browser.click("#cases [type=search]");
    browser.type_text("k-1");
    browser.wait(&rows(2));
    browser.type_text("8");
    browser.wait(&rows(1));
    browser.click("#cases [name=by]");
    browser.type_text("K. Berg");
    browser.click("#cases tbody [aria-label='Close: case K-18']");
    browser.wait("document.querySelector('#cases tbody')?.textContent.includes('closed')");
    assert!(server.store.reader().case("K-18").unwrap().unwrap().closed.is_some());
    browser.click("#cases tbody [aria-label='Reopen: case K-18']");
    browser.wait("document.querySelector('#cases tbody [aria-label=\"Close: case K-18\"]')");
    assert!(server.store.reader().case("K-18").unwrap().unwrap().closed.is_none());
    browser.click("#cases tbody .link");
    browser.wait("document.querySelectorAll('#browse[open] .tiles li').length === 1");
    browser.click("#browse .tiles button");
    browser.wait("document.querySelector('#detail[open] .facts')?.textContent.includes('K-18')");
    // Among the cells of the case there is no other.
    browser.wait("[...document.querySelectorAll('#detail nav button')].every((x) => x.disabled)");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn all_cells_are_reached_page_by_page() {
    let Some(browser) = Browser::open("all_cells_are_reached_page_by_page", (1400, 1000)) else { return };
    let server = PageServer::start();
    for number in 0..70 {
        let field = drawing::Field { cell: testing::sample_cell(number, None, Verdict::Normal), ..drawing::empty(1) };
        let cell = field.cell.clone();
        let commit =
            metaphased::store::CellCommit { cell, crops: Vec::new(), thumbnail: Some(field.thumbnail()), image: None };
        server.store.commit(&[FrameCommit { cells: vec![commit], ..FrameCommit::default() }]).unwrap();
    }
    browser.go(&server.url());
    browser.click("#all-cells");
    let tiles = |n: usize| format!("document.querySelectorAll('#browse .tiles li').length === {n}");
    browser.wait(&tiles(60));
    browser.click("#browse > .wide");
    browser.wait(&tiles(70));
    browser.wait("document.querySelector('#browse > .wide').hidden");
    let different =
        browser.run("return new Set([...document.querySelectorAll('#browse li')].map((x) => x.dataset.cell)).size");
    assert_eq!(different, 70);
    browser.click("#browse [data-value=map]");
    browser.wait("document.querySelector('#browse .listed').textContent.includes('70 cells without a place')");
}

#[test]
fn a_cell_that_nobody_scored_says_so_and_is_scored_by_keys() {
    let Some(browser) = Browser::open("a_cell_that_nobody_scored_says_so_and_is_scored_by_keys", (1400, 1000)) else {
        return;
    };
    let server = PageServer::start();
    server.health.set_birth(|birth| birth.assay = "dicentric".into());
    let mut field = drawing::field(9, &[], Verdict::NotAssessable);
    let counts = AberrationCounts { unclear: 46, ..AberrationCounts::default() };
    field.cell.dicentric = Some(counts.record([46, 46], None, ScoredBy::Machine));
    field.cell.chromosomes.iter_mut().for_each(|c| c.class = None);
    server.commit(&field);
    browser.go(&server.url());
    browser.wait("document.querySelector('#last .headline')?.textContent === 'Not scored'");
    browser.wait("document.querySelector('#strip .name').textContent.endsWith('Not scored')");
    assert_eq!(browser.run("return document.body.innerText.includes('0 dicentrics')"), false);

    open(&browser, &server, &field.cell);
    browser.wait("document.querySelector('.pending button[type=submit]').disabled");
    browser.run("document.getElementById('score').focus()");
    for key in ["2", "2", "f", "f"] {
        browser.press(key);
    }
    browser.click("#score > button");
    browser.wait("document.getElementById('centromeres').textContent === '46 centromeres: a complete cell'");
    sign(&browser);
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelector('dialog[open] h2').textContent === '2 dicentrics'");
    let record = stored(&server, field.cell.cell).dicentric.unwrap();
    let AberrationCounts { monocentrics, dicentrics, fragments, unclear, .. } = record.counts;
    assert_eq!((monocentrics, dicentrics, fragments, unclear), (42, 2, 2, 0));
    assert_eq!((record.scored_by, record.complete), (ScoredBy::Review, true));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_radiation_station_filters_by_dicentrics_by_what_waits_and_by_what_does_not_count() {
    let name = "a_radiation_station_filters_by_dicentrics_by_what_waits_and_by_what_does_not_count";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    let server = PageServer::start();
    server.health.set_birth(|birth| birth.assay = "dicentric".into());
    let commit = |number, monocentrics, dicentrics, by| {
        let counts = AberrationCounts { monocentrics, dicentrics, ..AberrationCounts::default() };
        let mut cell = testing::sample_cell(number, None, Verdict::NotAssessable);
        cell.dicentric = Some(counts.record([46, 46], None, by));
        let field = drawing::Field { cell, ..drawing::empty(1) };
        server.commit(&field);
        field.cell
    };
    let incomplete = commit(1, 40, 0, ScoredBy::Machine);
    let mut called = commit(2, 44, 1, ScoredBy::Machine);
    let reviewed = commit(3, 44, 1, ScoredBy::Review);
    let whole = commit(4, 46, 0, ScoredBy::Machine);
    let shows = |list: &str, cells: &[&Cell]| {
        let ids: Vec<String> = cells.iter().map(|cell| cell.cell.to_string()).collect();
        browser.wait(&format!(
            "[...document.querySelectorAll('{list} li')].map((x) => x.dataset.cell).join() === '{}'",
            ids.join(",")
        ));
    };
    browser.go(&server.url());
    shows("#strip", &[&whole, &reviewed, &called, &incomplete]);
    browser.wait("document.querySelector('#filter .by-verdict').checkVisibility() === false");
    browser.click("#filter [data-value=dicentrics]");
    shows("#strip", &[&reviewed, &called]);
    browser.click("#filter [data-value=not_counted]");
    shows("#strip", &[&incomplete]);
    browser.click("#filter [data-value=to_review]");
    shows("#strip", &[&called]);
    // Once a person has scored it, it leaves the list; what comes is listed when it belongs there.
    let next = commit(5, 44, 1, ScoredBy::Machine);
    shows("#strip", &[&next, &called]);
    called.revision += 1;
    called.dicentric.as_mut().unwrap().scored_by = ScoredBy::Review;
    server.commit(&drawing::Field { cell: called.clone(), ..drawing::empty(1) });
    shows("#strip", &[&next]);

    browser.click("#all-cells");
    browser.click("#browse [data-value=dicentrics]");
    shows("#browse .tiles", &[&next, &reviewed, &called]);
    assert_eq!(browser.complaints(), Vec::<String>::new());

    server.health.set_birth(|birth| birth.assay = "karyotype".into());
    browser.go("about:blank");
    browser.go(&server.url());
    browser.wait("document.querySelector('#filter .by-verdict')?.checkVisibility()");
    assert_eq!(browser.run("return document.querySelector('#filter .by-scoring').checkVisibility()"), false);
}

/// The accessibility rules of axe-core, where scripts/get-axe has fetched it.
pub fn axe() -> Option<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/axe/package/axe.min.js");
    let text = std::fs::read_to_string(&file).ok();
    if text.is_none() {
        eprintln!("SKIPPED: the rules of axe-core need {} (scripts/get-axe)", file.display());
    }
    text
}

#[test]
fn no_view_breaks_a_rule_of_axe_core() {
    let Some(axe) = axe() else { return };
    let Some(browser) = Browser::open("no_view_breaks_a_rule_of_axe_core", (1400, 1000)) else { return };
    let server = PageServer::start();
    put_case(&server, "K-17", 1, &["21"]);
    put_case(&server, "K-18", 3, &[]);
    server.health.set_case(Some("K-17".into()), None);
    let field = drawing::field(2, &["21".parse().unwrap()], Verdict::Abnormal);
    server.commit(&field);
    let list = |open: &dyn Fn()| {
        browser.go(&server.url());
        browser.click("#case-list");
        browser.wait("document.querySelector('#cases tbody tr')");
        open();
    };
    let views: [(&str, &dyn Fn()); 8] = [
        ("page", &|| browser.go(&server.url())),
        ("cell", &|| {
            open(&browser, &server, &field.cell);
            browser.click(".karyogram [data-index=\"3\"]");
            browser.wait("document.querySelector('.inspector')");
        }),
        ("cases", &|| {
            browser.go(&server.url());
            browser.click("#case-list");
            browser.wait("document.querySelector('#cases tbody tr')");
        }),
        ("cells", &|| {
            browser.go(&server.url());
            browser.click("#all-cells");
            browser.wait("document.querySelector('#browse .tiles li')");
        }),
        ("drawing", &|| {
            open(&browser, &server, &field.cell);
            browser.click(".karyogram [data-index=\"3\"]");
            browser.click(".lay [data-focus='lay-redraw']");
            browser.wait("document.querySelector('.tool .drawn')");
        }),
        ("rejected", &|| {
            browser.go(&server.url());
            browser.click("#rejected-files");
            browser.wait("document.querySelector('#rejected [role=status]').textContent === 'No file was rejected.'");
        }),
        ("homologs", &|| {
            list(&|| {
                browser.click("#cases tbody .link");
                browser.click("#browse .tiles button");
                browser.wait("document.querySelectorAll('#detail[open] .karyogram img').length === 46");
                browser.run(
                    "[...document.querySelectorAll('#detail button')].find((b) => b.textContent.startsWith('Homologs')).click()",
                );
                browser.wait("document.querySelector('#homologs li img')");
            });
        }),
        ("compared", &|| {
            list(&|| {
                browser.click("[data-compare='K-17']");
                browser.click("[data-compare='K-18']");
                browser.run(
                    "[...document.querySelectorAll('#cases .head button')].find((b) => b.textContent === 'Compare two').click()",
                );
                browser.wait("document.querySelectorAll('#compare section .headline').length === 2");
            });
        }),
    ];
    for dark in [false, true] {
        browser.dark(dark);
        for (width, height) in [(1366, 768), (390, 844)] {
            browser.view(width, height);
            for (name, show) in &views {
                browser.go("about:blank");
                show();
                browser.wait("document.querySelectorAll('#strip li').length === 3");
                // What is still fading in has no colour to be judged.
                browser.wait("document.getAnimations().every((a) => a.playState !== 'running')");
                browser.run(&axe);
                let found = browser.run_async(
                    "axe.run().then((r) => done(r.violations.map((v) =>
                       `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`)))",
                );
                if let Some(folder) = std::env::var_os("METAPHASED_PICTURES") {
                    let tone = if dark { "dark" } else { "light" };
                    let file = Path::new(&folder).join(format!("{name}-{width}-{tone}.png"));
                    std::fs::write(file, browser.screenshot()).unwrap();
                }
                assert_eq!(found, serde_json::json!([]), "{name}, {width} wide, dark: {dark}");
            }
        }
    }
}

#[test]
fn a_chromosome_is_turned_mirrored_and_parted_by_keys_and_a_revision_taken_back() {
    let name = "a_chromosome_is_turned_mirrored_and_parted_by_keys_and_a_revision_taken_back";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    let server = PageServer::start();
    let field = drawing::field(41, &[], Verdict::Normal);
    server.commit(&field);
    open(&browser, &server, &field.cell);
    browser.run("document.querySelector('.karyogram [data-index=\"3\"]').focus()");
    browser.press("u");
    browser.press("f");
    browser.press("]");
    browser.wait("document.querySelector('.karyogram [data-index=\"3\"] img').style.transform.includes('rotate')");
    browser.wait("document.activeElement.dataset.index === '3'");
    browser.press_with(CONTROL, "z");
    browser.wait("document.querySelector('.pending').textContent.includes('box 3: mirrored')");
    sign(&browser);
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelector('dialog[open] .facts').textContent.includes('mirrored (K. Berg')");
    let cell = stored(&server, field.cell.cell);
    let (old, new) = (&field.cell.chromosomes[3], &cell.chromosomes[3]);
    let stance = new.stance.unwrap();
    let turned = (stance.angle - old.upright_angle.unwrap()).rem_euclid(360.0);
    assert!(stance.mirrored && (turned - 180.0).abs() < 0.2, "{stance:?}");

    // A clump is parted: the line lies across, an arrow moves it, Enter is enough.
    browser.wait("document.querySelectorAll('.karyogram img').length === 46");
    browser.run("document.querySelector('.karyogram [data-index=\"0\"]').focus()");
    browser.press("s");
    browser.wait("document.activeElement.classList.contains('tool')");
    browser.press(RIGHT);
    browser.press(LEFT);
    browser.press("\u{e007}");
    browser.wait("document.querySelector('.pending').textContent.includes('box 0: parted')");
    browser.wait("document.querySelector('.seen .cut')");
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelectorAll('.karyogram img').length === 47");
    assert_eq!(stored(&server, field.cell.cell).chromosomes.len(), 47);

    browser.click("#comment");
    browser.type_text("looks like two");
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelector('#finish .comment')?.textContent.startsWith('looks like two')");
    browser.click("#history summary");
    browser.wait("document.querySelectorAll('#history li').length === 5");
    browser.click("#history [aria-label='Back to revision 1']");
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelectorAll('.karyogram img').length === 46");
    let cell = stored(&server, field.cell.cell);
    assert_eq!((cell.chromosomes.len(), cell.comments.len(), cell.chromosomes[3].stance), (46, 1, None));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn an_outline_is_drawn_with_the_brush_and_parts_are_joined() {
    let Some(browser) = Browser::open("an_outline_is_drawn_with_the_brush_and_parts_are_joined", (1400, 1000)) else {
        return;
    };
    let server = PageServer::start();
    let field = drawing::field(42, &[], Verdict::Normal);
    server.commit(&field);
    open(&browser, &server, &field.cell);
    browser.click(".karyogram [data-index=\"2\"]");
    browser.click(".lay [data-focus='lay-redraw']");
    browser.wait("document.querySelector('.tool .drawn').getAttribute('d').length > 20");
    let before = field.cell.chromosomes[2].outline.as_ref().unwrap().area();
    browser.press("+");
    browser.press("+");
    // A dab of the brush at its middle changes nothing; a drag paints.
    browser.drag(".seen .box[data-index='2'] rect", ".tool .drawn");
    browser.click(".drawing [data-draw=apply]");
    browser.wait("document.querySelector('.pending').textContent.includes('box 2: outline drawn')");
    browser.press_with(CONTROL, "z");
    browser.wait("!document.querySelector('.pending').textContent.includes('outline')");
    browser.press_with(CONTROL, "y");
    sign(&browser);
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelector('dialog[open] .facts').textContent.includes('outline drawn (K. Berg')");
    let drawn = stored(&server, field.cell.cell).chromosomes[2].clone();
    let area = drawn.outline.as_ref().unwrap().area();
    assert!(area > before * 1.1 && drawn.relative_length.is_some(), "{area} of {before}");

    // A line with the mouse parts another, and its parts are joined again.
    browser.click(".karyogram [data-index=\"4\"]");
    browser.click(".lay [data-focus='lay-part']");
    browser.drag(".tool .handle:last-of-type", ".tool .handle:last-of-type");
    browser.click(".drawing [data-draw=apply]");
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelectorAll('.karyogram img').length === 47");
    browser.click(".karyogram [data-index=\"46\"]");
    browser.run(
        "const s = document.querySelector('.lay [data-focus=join]'); s.value = '4'; s.dispatchEvent(new Event('change'))",
    );
    browser.wait("document.querySelector('.pending').textContent.includes('boxes 46 and 4 joined')");
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelectorAll('.karyogram img').length === 46");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn cells_are_ranked_and_searched_and_two_cases_stand_beside_each_other() {
    let name = "cells_are_ranked_and_searched_and_two_cases_stand_beside_each_other";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    let server = PageServer::start();
    for (seed, id) in [(1, "K-17"), (2, "K-18"), (3, "P-3")] {
        put_case(&server, id, seed, &[]);
    }
    let mark = FileMark {
        source: "scope".into(),
        path: "broken.tif".into(),
        bytes: 1,
        mtime_ns: 0,
        outcome: FileOutcome::Rejected,
        reason: Some("corrupt: it ends too early".into()),
    };
    server.store.commit(&[FrameCommit { mark: Some(mark), ..FrameCommit::default() }]).unwrap();
    browser.go(&server.url());
    browser.click("#rejected-files");
    browser.wait("document.querySelector('#rejected tbody tr')?.textContent.includes('it ends too early')");
    browser.press(ESCAPE);
    browser.click("#case-list");
    browser.wait("document.querySelectorAll('#cases tbody tr').length === 3");
    for id in ["K-17", "K-18", "P-3"] {
        browser.click(&format!("[data-compare='{id}']"));
    }
    browser.wait("document.querySelectorAll('[data-compare]:checked').length === 2");
    browser.run(
        "[...document.querySelectorAll('#cases .head button')].find((b) => b.textContent === 'Compare two').click()",
    );
    browser.wait("document.querySelectorAll('#compare section .headline').length === 2");
    browser.wait("document.querySelector('#compare').textContent.includes('Case P-3')");
    browser.press(ESCAPE);
    browser.press(ESCAPE);
    browser.click("#all-cells");
    browser.wait("document.querySelectorAll('#browse .tiles li').length === 3");
    browser.click("#browse [type=search]");
    browser.type_text("no such karyotype");
    browser.wait("document.querySelectorAll('#browse .tiles li').length === 0");
    browser.press(ESCAPE);
    browser.press(ESCAPE);
    browser.click("#case-list");
    browser.click("#cases tbody .link");
    browser.wait("[...document.querySelectorAll('#browse select option')].some((o) => o.value === 'doubt')");
    browser.run(
        "const s = document.querySelector('#browse select'); s.value = 'doubt'; s.dispatchEvent(new Event('change'))",
    );
    browser.wait("document.querySelectorAll('#browse .tiles li').length === 1");
    browser.click("#browse .tiles button");
    browser.wait("document.querySelector('#detail[open] .karyogram img')");
    browser.run(
        "[...document.querySelectorAll('#detail button')].find((b) => b.textContent.startsWith('Homologs')).click()",
    );
    browser.wait("document.querySelectorAll('#homologs li img').length === 2");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Keeps a picture of the window where METAPHASED_PICTURES says so.
fn keep(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("METAPHASED_PICTURES") {
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), browser.screenshot()).unwrap();
    }
}

#[test]
fn from_an_empty_case_to_a_filed_report_of_twenty_cells_the_actions_are_counted() {
    let name = "from_an_empty_case_to_a_filed_report_of_twenty_cells_the_actions_are_counted";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    let server = PageServer::start();
    browser.go(&server.url());
    let mut actions: Vec<String> = Vec::new();
    let mut act = |what: &str, done: &dyn Fn()| {
        done();
        actions.push(what.to_owned());
    };
    act("Change", &|| browser.click("#case-change"));
    act("type the name of the case", &|| browser.type_text("K-99"));
    act("Begin", &|| browser.click("#case-form button[type=submit]"));
    browser.wait("document.getElementById('case-title').textContent === 'Case K-99'");
    keep(&browser, "filed-1-begun");
    // Twenty cells are taken.
    for n in 0..20 {
        let mut field = drawing::field(600 + n, &[], Verdict::Normal);
        field.cell.case = Some("K-99".into());
        server.commit(&field);
    }
    act("All cases", &|| browser.click("#case-list"));
    act("its cells", &|| browser.click("#cases tbody .link"));
    browser.wait("document.querySelectorAll('#browse .tiles li').length === 20");
    keep(&browser, "filed-2-cells");
    act("the first cell", &|| browser.click("#browse .tiles button"));
    browser.wait("document.querySelectorAll('#detail[open] .karyogram img').length === 46");
    act("go to the name", &|| browser.click(".pending input"));
    act("type it, once in a browser", &|| browser.type_text("K. Berg"));
    keep(&browser, "filed-3-cell");
    for n in 0..19 {
        let before = browser.run("return location.hash");
        act("Confirm and next", &|| browser.click(".pending [data-then=older]"));
        browser.wait(&format!(
            "location.hash !== {before} && document.querySelectorAll('#detail .karyogram img').length === 46"
        ));
        assert!(n < 20);
    }
    act("Confirm", &|| browser.click(".pending button[type=submit]"));
    browser.wait("document.querySelector('#detail .facts').textContent.includes('confirmed (K. Berg')");
    act("close the cell", &|| browser.press(ESCAPE));
    act("close its list", &|| browser.press(ESCAPE));
    act("close the list of cases", &|| browser.press(ESCAPE));
    browser.wait("!document.querySelector('dialog[open]')");
    act("Close case", &|| browser.click(".close-case summary"));
    act("Close it", &|| browser.click(".close-case button"));
    browser.wait("document.getElementById('case-title').textContent === 'Case'");
    act("All cases", &|| browser.click("#case-list"));
    act("Report", &|| browser.go(&format!("{}/api/v1/cases/K-99/report.html", server.url())));
    keep(&browser, "filed-4-report");
    let mut pdf = Vec::new();
    act("print it to a file", &|| {});
    pdf.extend(browser.pdf());
    assert!(pdf.starts_with(b"%PDF-"));
    let text = browser.run("return document.body.innerText").as_str().unwrap().to_owned();
    assert!(text.contains("46,XX") && !text.contains("Preliminary"), "{text}");
    // In the table of cells and under the two karyograms.
    assert_eq!(text.matches("K. Berg").count(), 20 + 2 + 21, "{text}");
    for (n, what) in actions.iter().enumerate() {
        println!("{:>2} {what}", n + 1);
    }
    assert_eq!(actions.len(), 36);
}

/// How many frames a second the page draws while 20 cells a second arrive:
/// `cargo nextest run --test it -E 'test(frames_while_cells_arrive)' --run-ignored all --no-capture`.
#[test]
#[ignore = "prints a figure of this machine"]
fn frames_while_cells_arrive() {
    let Some(browser) = Browser::open("frames_while_cells_arrive", (1400, 1000)) else { return };
    let server = PageServer::start();
    let model = drawing::field(1, &[], Verdict::Normal);
    server.commit(&model);
    browser.go(&server.url());
    browser.wait("document.querySelectorAll('#strip li').length === 1");
    browser.run(
        "window.drawn = 0; window.began = performance.now();
         const step = () => { window.drawn += 1; requestAnimationFrame(step); }; requestAnimationFrame(step)",
    );
    for number in 0..200 {
        let began = std::time::Instant::now();
        let cell = Cell { cell: testing::sample_cell(number, None, Verdict::Normal).cell, ..model.cell.clone() };
        server.hub.publish(metaphased::web::EventKind::Cell, &cell);
        std::thread::sleep(std::time::Duration::from_millis(50).saturating_sub(began.elapsed()));
    }
    let rate = browser.run("return 1000 * window.drawn / (performance.now() - window.began)");
    println!("{:.1} frames a second while 200 cells came in 10 s", rate.as_f64().unwrap());
    browser.wait("document.querySelectorAll('#strip li').length === 40");
}

#[test]
fn a_station_says_what_nobody_scored_what_is_preliminary_and_who_saw_the_alarm() {
    let name = "a_station_says_what_nobody_scored_what_is_preliminary_and_who_saw_the_alarm";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    let server = PageServer::start();
    server.health.set_birth(|birth| birth.assay = "dicentric".into());
    server.health.set_case(Some("E-1".into()), None);
    let mut field = drawing::field(9, &[], Verdict::NotAssessable);
    let counts = AberrationCounts { unclear: 46, ..AberrationCounts::default() };
    field.cell.dicentric = Some(counts.record([46, 46], None, ScoredBy::Machine));
    field.cell.case = Some("E-1".into());
    server.commit(&field);
    let mut dose = serde_json::json!({
        "schema": "dose/1", "station": "lab-1", "case": "E-1", "dicentrics": 0, "counts": [], "rings": 0, "fragments": 0,
        "cells": { "seen": 5, "counted": 0, "incomplete": 0, "second_division": 0, "unclear": 5, "reviewed": 0, "awaiting_review": 0 },
        "progress": "started", "cells_needed": { "half_width_gy": 0.5, "cells": null }, "estimate": null, "alarm": "clear",
        "flags": [], "notice": "Research use only; not a diagnosis.",
    });
    let put = |dose: &serde_json::Value| {
        let latest = Latest { topic: "dose/E-1".into(), payload: Some(dose.to_string()), case: Some("E-1".into()) };
        server.store.put_latest(&latest).unwrap();
    };
    put(&dose);
    browser.go(&server.url());
    browser.wait("document.querySelector('#case .headline')?.textContent === 'Not scored'");
    assert_eq!(browser.run("return document.body.innerText.includes('0 dicentrics')"), false);
    browser.click("#alarm-sound");
    browser.wait("document.getElementById('alarm-sound').textContent === 'Alarm sound on'");

    dose["cells"] = serde_json::json!({
        "seen": 60, "counted": 60, "incomplete": 0, "second_division": 0, "unclear": 0, "reviewed": 56, "awaiting_review": 4 });
    dose["progress"] = "triage".into();
    dose["dicentrics"] = 30.into();
    dose["counts"] = serde_json::json!([36, 18, 6]);
    dose["alarm"] = "acknowledged".into();
    dose["alarm_gy"] = 1.0.into();
    dose["estimate"] = serde_json::json!({
        "input": { "protraction": 1.0 }, "dispersion": { "index": 1.0, "u": 0.1 }, "partial_body": null, "warnings": [],
        "curve": { "id": "own", "radiation": "60Co", "c": 0.001, "alpha": 0.02, "beta": 0.06,
                   "covariance": [[1e-7, 0.0, 0.0], [0.0, 2.5e-5, -5e-6], [0.0, -5e-6, 1.6e-5]] },
        "dose_gy": { "value": 2.7, "low": 2.2, "high": 3.3, "level": 0.95, "method": "likelihood" },
    });
    put(&dose);
    let seen = ReviewRecord {
        time: "2026-11-30T08:00:00Z".into(),
        by: "M. Ito".into(),
        case: Some("E-1".into()),
        change: "alarm acknowledged".into(),
        ..ReviewRecord::default()
    };
    server.store.review(&seen, None, &FrameCommit::default()).unwrap();
    browser.go("about:blank");
    browser.go(&server.url());
    browser.wait("document.querySelector('#case .preliminary')?.textContent.includes('4 cells to review')");
    browser.wait("document.querySelector('.notice')?.textContent.includes('acknowledged by M. Ito')");
    browser.wait("/^M[0-9. L]+Z$/.test(document.querySelector('.curve .band').getAttribute('d'))");
    browser.wait("document.querySelector('.curve text.alarm').textContent === 'alarm 1 Gy'");
    keep(&browser, "station");
    // After a reload the browser lets nothing sound until somebody presses something: the page says so.
    browser.wait("document.getElementById('alarm-sound').textContent.includes('press anything')");
    browser.press("a");
    browser.wait("document.getElementById('alarm-sound').textContent === 'Alarm sound on'");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
