//! The page as a person sees it, in Chromium.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::web_support::{PageServer, broker_is, browser::Browser, drawing};
use domain::{AberrationCounts, ScoredBy, Verdict};
use dosimetry::Subject;
use dosimetry::{Settings, built_in};
use metaphased::{
    case::{AlarmState, CaseDose, DoseSettings, DoseTally},
    station::Level,
    store::Latest,
    web::{EventKind, WebOptions},
};

fn fields(scene: u64) -> drawing::Field {
    match scene % 5 {
        1 => drawing::field(scene, &["21".parse().unwrap()], Verdict::Abnormal),
        3 => drawing::empty(scene),
        4 => drawing::field(scene, &[], Verdict::NotAssessable),
        _ => drawing::field(scene, &[], Verdict::Normal),
    }
}

#[test]
fn a_cell_appears_its_detail_opens_and_a_correction_is_kept() {
    let Some(browser) = Browser::open("a_cell_appears_its_detail_opens_and_a_correction_is_kept", (1400, 1000)) else {
        return;
    };
    let server = PageServer::start();
    browser.go(&server.url());
    browser.wait("document.querySelectorAll('#health .chip.ok').length === 4");
    browser.wait("document.querySelector('#strip .empty')");

    let field = drawing::field(7, &["21".parse().unwrap()], Verdict::Abnormal);
    server.commit(&field);
    browser.wait("document.querySelector('#last .headline')?.textContent === '47,XX,+21'");
    browser.wait("document.querySelector('#strip li.abnormal img')?.naturalWidth > 0");
    assert_eq!(browser.run("return document.querySelector('#last .verdict').textContent.includes('Abnormal')"), true);

    browser.run("document.querySelector('#strip button').click()");
    browser.wait("document.querySelector('dialog[open] h2')?.textContent === '47,XX,+21'");
    browser.wait("document.querySelectorAll('.karyogram img').length === 47");
    assert_eq!(browser.run("return document.querySelectorAll('.seen .box').length"), 47);
    assert_eq!(browser.run("return document.querySelectorAll('.place[data-class=\"21\"] button').length"), 3);

    // A person moves a chromosome and signs for it.
    browser.run("document.querySelector('.place[data-class=\"21\"] button').click()");
    browser.wait("document.querySelector('.inspector .alternatives li')");
    browser.run(
        "const select = document.querySelector('.correct select'); select.value = '22';
         select.dispatchEvent(new Event('change'));",
    );
    browser.wait("document.querySelectorAll('.place[data-class=\"22\"] button').length === 3");
    browser.click(".pending input");
    browser.type_text("K. Berg");
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelector('.facts')?.textContent.includes('K. Berg')");
    let stored = server.store.reader().cell(field.cell.cell).unwrap().unwrap().cell().unwrap();
    assert_eq!((stored.revision, stored.review.unwrap().by.as_str()), (2, "K. Berg"));

    browser.press("\u{e00c}"); // Escape
    browser.wait("!document.querySelector('dialog[open]')");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_chromosome_dragged_to_another_place_changes_the_karyotype_and_leaves_a_review() {
    let name = "a_chromosome_dragged_to_another_place_changes_the_karyotype_and_leaves_a_review";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    let server = PageServer::start();
    let field = drawing::field(9, &["21".parse().unwrap()], Verdict::Abnormal);
    server.commit(&field);
    browser.go(&format!("{}/#cell/{}", server.url(), field.cell.cell));
    browser.wait("document.querySelector('dialog[open] h2')?.textContent === '47,XX,+21'");
    browser.wait("document.querySelectorAll('.karyogram img').length === 47");

    // With the mouse: a 21 becomes a 22.
    let moved = browser.run("return Number(document.querySelector('.place[data-class=\"21\"] button').dataset.index)");
    browser.drag(&format!(".karyogram [data-index=\"{moved}\"]"), ".place[data-class=\"22\"] .number");
    browser.wait("document.querySelectorAll('.place[data-class=\"22\"] button').length === 3");
    browser.wait("document.querySelector('.pending').textContent.includes('21 → 22')");
    browser.click(".pending input");
    browser.type_text("K. Berg");
    browser.click(".pending button[type=submit]");
    browser.wait("document.querySelector('dialog[open] h2')?.textContent === '47,XX,+22'");
    let index = moved.as_u64().unwrap();
    let stored = || server.store.reader().cell(field.cell.cell).unwrap().unwrap().cell().unwrap();
    let cell = stored();
    let review = cell.review.clone().unwrap();
    assert_eq!(
        (cell.karyotype.iscn.as_deref(), review.by.as_str(), review.change),
        (Some("47,XX,+22"), "K. Berg", format!("chromosome {index}: 22 instead of 21"))
    );
    assert_eq!(cell.revision, 2);

    // With the keyboard alone: to the list by M, and back to 21 by an arrow.
    browser.run(&format!("document.querySelector('.karyogram [data-index=\"{index}\"]').focus()"));
    browser.press_with("\u{e00a}", "\u{e012}"); // Alt, arrow left
    browser.wait("document.querySelectorAll('.place[data-class=\"21\"] button').length === 3");
    browser.wait(&format!("document.activeElement.dataset.index === '{index}'"));
    browser.press("m");
    browser.wait("document.activeElement.matches('.correct select')");
    browser.press("\u{e012}"); // arrow left: from 21 to 20 in the list
    browser.wait("document.querySelectorAll('.place[data-class=\"20\"] button').length === 3");
    browser.wait("document.activeElement.matches('.correct select')");
    browser.press("\u{e014}"); // arrow right: 21 again
    browser.wait("document.querySelectorAll('.place[data-class=\"21\"] button').length === 3");
    browser.run("document.querySelector('.pending button[type=submit]').click()");
    browser.wait("document.querySelector('dialog[open] h2')?.textContent === '47,XX,+21'");
    assert_eq!(stored().revision, 3);

    // What is no chromosome goes to the place for that.
    browser.drag(&format!(".karyogram [data-index=\"{index}\"]"), ".place.loose .number");
    browser.wait("document.querySelectorAll('.place.loose button').length === 1");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_live_field_shows_its_boxes_and_they_can_be_switched_off_by_key() {
    let Some(browser) =
        Browser::open("the_live_field_shows_its_boxes_and_they_can_be_switched_off_by_key", (1400, 1000))
    else {
        return;
    };
    let mut server = PageServer::start();
    server.play(Duration::from_secs(3), |scene| drawing::field(scene, &[], Verdict::Normal));
    browser.go(&server.url());
    browser
        .wait("document.getElementById('waiting').hidden && document.querySelectorAll('#overlay .box').length === 46");
    browser.wait("document.getElementById('scale-text').textContent === '20 µm'");
    assert_eq!(browser.run("return document.querySelectorAll('#overlay .box text').length"), 46);
    browser.press("o");
    browser.wait("document.querySelectorAll('#overlay .box path').length === 46");
    browser.press("o");
    browser.wait("document.querySelectorAll('#overlay .box path').length === 0");
    browser.press("c");
    browser.wait("document.querySelectorAll('#overlay .box text').length === 0");
    browser.press("b");
    browser.wait("document.querySelectorAll('#overlay .box').length === 0");
    assert_eq!(browser.run("return document.getElementById('show-boxes').getAttribute('aria-pressed')"), "false");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_lost_broker_and_a_lost_daemon_are_told_in_words() {
    let Some(browser) = Browser::open("a_lost_broker_and_a_lost_daemon_are_told_in_words", (390, 844)) else { return };
    let server = PageServer::start();
    browser.go(&server.url());
    browser.wait("document.querySelectorAll('#health .chip.ok').length === 4");
    assert_eq!(browser.run("return document.getElementById('notices').textContent"), "", "quiet while all is well");
    broker_is(&server.health, false);
    browser.wait("document.querySelector('.notice.degraded')?.textContent.includes('wait in the store')");
    browser.wait("document.querySelector('#health .chip.degraded')?.textContent.includes('not connected')");
    broker_is(&server.health, true);
    browser.wait("document.getElementById('notices').textContent === ''");
    // No wider than the phone.
    let overhang = browser.run("return document.documentElement.scrollWidth - innerWidth");
    assert!(overhang.as_i64().unwrap() <= 0, "{overhang}");
    drop(server);
    browser.wait("document.querySelector('.notice.failed')?.textContent.includes('connection to metaphased is lost')");
    browser.wait("document.getElementById('stage').classList.contains('stale')");
}

#[test]
fn the_dose_of_a_case_follows_its_cells_and_its_alarm_is_told() {
    let Some(browser) = Browser::open("the_dose_of_a_case_follows_its_cells_and_its_alarm_is_told", (1400, 1000))
    else {
        return;
    };
    let server = PageServer::start();
    server.health.set_case(Some("p-7".into()), None);
    let curve = built_in("co60_barquinero1995").unwrap();
    let settings = DoseSettings::new(curve, Settings::default());
    let mut tally = DoseTally::default();
    let mut score = |cells: u32, dicentrics: u32, alarm| {
        let counts = AberrationCounts { monocentrics: 46 - 2 * dicentrics, dicentrics, ..AberrationCounts::default() };
        let record = counts.record([46, 46], None, ScoredBy::Review);
        (0..cells).for_each(|_| tally.add(&record));
        let dose = tally.dose(("lab-1", "p-7"), alarm, &settings, &Subject::default());
        CaseDose { alarm_gy: Some(0.5), ..dose }
    };
    let first = score(200, 0, AlarmState::Clear);
    let latest = Latest {
        topic: "dose/p-7".into(),
        payload: Some(serde_json::to_string(&first).unwrap()),
        case: Some("p-7".into()),
    };
    server.store.put_latest(&latest).unwrap();
    let mut field = drawing::field(3, &[], Verdict::NotAssessable);
    field.cell.case = Some("p-7".into());
    server.commit(&field);
    browser.go(&server.url());
    browser.wait("document.querySelector('#case .headline')?.textContent.endsWith('Gy')");
    browser.wait("document.querySelector('#case .curve circle')");
    browser.wait("document.querySelector('#case .curve').textContent.includes('dicentrics per cell')");
    browser.wait("document.querySelector('#case .curve path.alarm')");
    let before = browser.run("return parseFloat(document.querySelector('#case .headline').textContent)");

    let second = score(60, 1, AlarmState::Raised);
    server.hub.publish(EventKind::Dose, &second);
    browser.wait("document.querySelector('#case')?.textContent.includes('60 dicentrics')");
    let after = browser.run("return parseFloat(document.querySelector('#case .headline').textContent)");
    let value = second.estimate.unwrap().dose_gy.value;
    assert!(
        (after.as_f64().unwrap() - value).abs() < 0.006 && before.as_f64().unwrap() < value,
        "{before} {after} {value}"
    );
    browser.wait("document.querySelector('.notice.failed')?.textContent.includes('Alarm in case p-7')");
    browser.wait("document.title.startsWith('⚠ Alarm in case p-7')");
    let by =
        serde_json::json!({ "state": "acknowledged", "case": "p-7", "by": "K. Berg", "time": "2026-11-30T09:00:00Z" });
    server.hub.publish(EventKind::Alarm, &by);
    browser.wait("document.querySelector('.notice.degraded')?.textContent.includes('acknowledged by K. Berg')");
    browser.wait("!document.title.includes('Alarm')");
    server.hub.publish(EventKind::Alarm, &serde_json::json!({ "state": "cleared", "case": "p-7" }));
    browser.wait("!document.querySelector('.notice')");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn each_reason_stands_in_the_colour_of_its_own_level() {
    let Some(browser) = Browser::open("each_reason_stands_in_the_colour_of_its_own_level", (1400, 1000)) else {
        return;
    };
    let server = PageServer::start();
    broker_is(&server.health, false);
    server.health.store(|store| {
        store.level = Level::Failed;
        store.reason = "the disk is full".into();
    });
    browser.go(&server.url());
    browser.wait("document.querySelectorAll('.notice').length === 2");
    browser.wait("document.querySelector('.notice.failed')?.textContent.includes('the disk is full')");
    browser.wait("document.querySelector('.notice.degraded')?.textContent.includes('wait in the store')");
}

#[test]
fn a_finished_folder_leaves_its_last_cell_in_the_field_and_the_cells_above_the_fold() {
    let name = "a_finished_folder_leaves_its_last_cell_in_the_field_and_the_cells_above_the_fold";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    browser.view(1366, 768);
    let server = PageServer::start();
    for seed in 1..=8 {
        server.commit(&drawing::field(seed, &[], Verdict::Normal));
    }
    server.health.source("scope", |source| source.activity = "finished".into());
    browser.go(&server.url());
    browser.wait("document.getElementById('waiting').textContent.includes('folder is finished')");
    browser.wait("document.querySelectorAll('#overlay .box').length === 46");
    browser.wait("document.querySelectorAll('#strip li').length === 8");
    let bottom = browser.run("return document.querySelector('#strip button').getBoundingClientRect().bottom");
    assert!(bottom.as_f64().unwrap() <= 768.0, "{bottom}");
    // The strip stands under the field.
    let under = browser.run(
        "return document.getElementById('strip').getBoundingClientRect().top
              - document.getElementById('stage').getBoundingClientRect().bottom",
    );
    assert!(under.as_f64().unwrap() > 0.0, "{under}");
    // What comes is seen: the strip stays at its newest cell.
    for seed in 9..=11 {
        server.commit(&drawing::field(seed, &[], Verdict::Normal));
        browser.wait(&format!("document.querySelectorAll('#strip li').length === {seed}"));
    }
    assert_eq!(browser.run("return document.getElementById('strip').scrollLeft"), 0);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_token_is_typed_and_a_wrong_one_asks_again() {
    let Some(browser) = Browser::open("a_token_is_typed_and_a_wrong_one_asks_again", (1400, 1000)) else { return };
    let server = PageServer::start_with(WebOptions {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        token: Some("a token of twenty-odd characters".into()),
        ..WebOptions::default()
    });
    browser.go(&server.url());
    for (typed, then) in [
        ("not the token", "document.querySelector('[role=alert]')?.textContent === 'That is not the token.'"),
        ("a token of twenty-odd characters", "document.querySelectorAll('#health .chip.ok').length === 4"),
    ] {
        browser.click("#token");
        browser.type_text(typed);
        browser.press("\u{e007}"); // Enter
        browser.wait(then);
    }
    assert_eq!(browser.run("return location.pathname"), "/");
}

#[test]
fn what_is_half_typed_outlives_a_reconnect_and_a_new_case_asks_for_nothing_that_is_not_there() {
    let name = "what_is_half_typed_outlives_a_reconnect_and_a_new_case_asks_for_nothing_that_is_not_there";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    let server = PageServer::start();
    browser.go(&server.url());
    browser.wait("document.querySelectorAll('#health .chip.ok').length === 4");
    browser.click("#case-change");
    browser.type_text("K-17");
    browser.press("\u{e007}"); // Enter
    browser.wait("document.getElementById('case-title').textContent === 'Case K-17'");
    browser.wait("document.getElementById('case-body').textContent.includes('No cells yet')");
    assert_eq!(browser.complaints(), Vec::<String>::new());

    browser.click(".close-case summary");
    browser.click(".close-case input");
    browser.type_text("K. B");
    let address = server.address;
    drop(server);
    browser.wait("document.querySelector('.notice.failed')");
    let server = PageServer::start_with(WebOptions { listen: Some(address), ..WebOptions::default() });
    server.health.set_case(Some("K-17".into()), None);
    browser.wait("!document.querySelector('.notice')");
    browser.type_text("erg");
    assert_eq!(browser.run("return document.querySelector('.close-case input').value"), "K. Berg");
}

/// A daemon as a person starts it, ended when dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_daemon_itself_shows_its_field_and_its_cells() {
    let Some(browser) = Browser::open("the_daemon_itself_shows_its_field_and_its_cells", (1400, 1000)) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metaphased.toml");
    std::fs::write(&file, "[web]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_metaphased"))
        .args(["--engine", "cpu", "--config"])
        .arg(&file)
        .env("XDG_STATE_HOME", folder.path().join("state"))
        .env_remove("STATE_DIRECTORY")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let _daemon = Daemon(child);
    let mut lines = lines.map_while(Result::ok);
    let url = lines.by_ref().find_map(|line| Some(line.split_once("page     ")?.1.trim().to_owned())).unwrap();
    // The pipe is read on, so that the daemon is never held up by a full one.
    std::thread::spawn(move || lines.for_each(drop));

    // This build is not optimised: a cell may take its time.
    let patience = Duration::from_secs(120);
    browser.go(&url);
    browser.wait_for("document.getElementById('waiting').hidden", patience);
    browser.wait_for("document.querySelectorAll('#strip li:not(.empty)').length > 0", patience);
    browser.wait_for("document.querySelector('#strip img').naturalWidth > 0", patience);
    browser.run("document.querySelector('#strip button').click()");
    browser.wait_for("document.querySelectorAll('.karyogram img').length > 5", patience);
    browser.click(".pending input");
    browser.type_text("K. Berg");
    browser.click(".pending button[type=submit]");
    browser.wait_for("document.querySelector('.facts')?.textContent.includes('confirmed (K. Berg')", patience);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn whatever_can_be_pressed_has_a_name_and_every_picture_its_words() {
    let Some(browser) = Browser::open("whatever_can_be_pressed_has_a_name_and_every_picture_its_words", (1400, 1000))
    else {
        return;
    };
    let server = PageServer::start();
    let field = drawing::field(8, &[], Verdict::Normal);
    server.commit(&field);
    browser.go(&format!("{}/#cell/{}", server.url(), field.cell.cell));
    browser.wait("document.querySelectorAll('.karyogram img').length === 46");
    let nameless = browser.run(
        "const named = (x) => x.getAttribute('aria-label') || x.textContent.trim() || x.labels?.[0]?.textContent.trim();
         return [...document.querySelectorAll('button, a, select, input')].filter((x) => !named(x))
           .concat([...document.querySelectorAll('img:not([alt])')]).map((x) => x.outerHTML)",
    );
    assert_eq!(nameless, serde_json::json!([]));
}

/// Not a test: keeps a page open for looking at it. `cargo test --test web_page -- --ignored look --nocapture`
#[test]
#[ignore = "runs until it is killed; for looking at the page"]
fn look() {
    let listen = std::env::var("LISTEN").unwrap_or("127.0.0.1:8099".into()).parse().unwrap();
    let mut server = PageServer::start_with(WebOptions { listen: Some(listen), ..WebOptions::default() });
    server.play(Duration::from_secs(4), fields);
    eprintln!("{}", server.url());
    let mut lost = false;
    loop {
        std::thread::sleep(Duration::from_millis(300));
        if std::path::Path::new("/tmp/broker-lost").exists() != lost {
            lost = !lost;
            broker_is(&server.health, !lost);
        }
    }
}
