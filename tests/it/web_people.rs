//! People with names, passwords and roles: who is let in, what each may do, under which name a change is kept.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::web_support::{Answer, PageServer, browser::Browser, drawing, plain_cell, request, wait_until};
use domain::{Cell, Verdict};
use metaphased::{
    store::{CellCommit, FrameCommit},
    web::{PeopleOptions, Role, User, UserList, WebOptions, hash_password, read_users, write_users},
};
use serde_json::{Value, json};

const TOKEN: &str = "a token of twenty-odd characters";
const PASSWORDS: [(&str, Role, &str); 3] = [
    ("V. Weiss", Role::View, "only looks at cells"),
    ("K. Berg", Role::Review, "reviews every cell"),
    ("A. Chef", Role::Administer, "keeps the house in order"),
];

/// A server with three people and a token; the folder holds the users' file.
fn with_people(header: Option<&str>, proxy: &str, public: Option<&str>) -> (PageServer, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    let users = PASSWORDS.map(|(name, role, password)| {
        (name.to_owned(), User { name: name.into(), role, hash: Some(hash_password(password).unwrap()) })
    });
    write_users(&file, &UserList::from(users)).unwrap();
    let people = PeopleOptions {
        users_file: file,
        session: Duration::from_secs(3600),
        header: header.map(|name| name.parse().unwrap()),
        proxies: vec![proxy.parse().unwrap()],
    };
    let web = metaphased::config::WebConfig { public_url: public.map(str::to_owned), ..Default::default() };
    let server = PageServer::start_with(WebOptions {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        token: Some(TOKEN.into()),
        people: Some(people),
        public: web.public_address().map(|address| address.unwrap()),
        ..WebOptions::default()
    });
    (server, folder)
}

fn started() -> (PageServer, tempfile::TempDir) {
    with_people(None, "127.0.0.1", None)
}

fn ask(server: &PageServer, method: &str, path: &str, lines: &[&str], body: &str) -> Answer {
    request(server.address, method, path, &server.address.to_string(), lines, body)
}

fn log_in(server: &PageServer, name: &str, password: &str) -> Answer {
    let origin = format!("Origin: {}", server.url());
    let lines = ["Content-Type: application/x-www-form-urlencoded", &origin];
    let body = format!("user={}&password={}", name.replace(' ', "+"), password.replace(' ', "+"));
    ask(server, "POST", "/login", &lines, &body)
}

/// The line that sends a person's cookie.
fn cookie(server: &PageServer, name: &str) -> String {
    let (_, _, password) = PASSWORDS.iter().find(|(known, ..)| *known == name).unwrap();
    let answer = log_in(server, name, password);
    assert_eq!((answer.status, answer.header("location").as_deref()), (303, Some("./")), "{}", answer.text());
    format!("Cookie: {}", answer.header("set-cookie").unwrap().split(';').next().unwrap())
}

fn look(server: &PageServer, cookie: &str, path: &str) -> Answer {
    ask(server, "GET", path, &[cookie], "")
}

fn send(server: &PageServer, line: &str, path: &str, body: &Value) -> Answer {
    ask(server, "POST", path, &[line, "Content-Type: application/json"], &body.to_string())
}

fn put_cell(server: &PageServer, number: u64, case: &str) -> Cell {
    let cell = plain_cell(number, Some(case));
    let commit = CellCommit { cell: cell.clone(), crops: vec![], thumbnail: None, image: None };
    server.store.commit(&[FrameCommit { cells: vec![commit], ..FrameCommit::default() }]).unwrap();
    cell
}

#[test]
fn without_a_login_nothing_is_shown_and_the_cookie_of_one_opens_the_page() {
    let (server, _folder) = started();
    let refused = look(&server, "X-None: 1", "/api/v1/cells");
    assert_eq!(refused.status, 401);
    assert!(refused.json()["detail"].as_str().unwrap().contains("needs a login"), "{}", refused.text());
    let form = look(&server, "X-None: 1", "/");
    assert_eq!(form.status, 401);
    assert!(form.text().contains("name=\"password\" type=\"password\""), "{}", form.text());
    let answer = log_in(&server, "K. Berg", "reviews every cell");
    let set = answer.header("set-cookie").unwrap();
    assert!(
        set.starts_with("metaphased-session=") && set.contains("HttpOnly; SameSite=Strict; Path=/; Max-Age=3600"),
        "{set}"
    );
    assert!(!set.contains("Secure"), "it is not behind TLS: {set}");
    let cookie = cookie(&server, "K. Berg");
    assert_eq!(look(&server, &cookie, "/").status, 200);
    let who = look(&server, &cookie, "/api/v1/session").json();
    assert_eq!(who, json!({ "user": "K. Berg", "role": "review", "entrance": "password" }));
    let token = format!("Authorization: Bearer {TOKEN}");
    let who = look(&server, &token, "/api/v1/session").json();
    assert_eq!(who, json!({ "user": null, "role": "administer", "entrance": "token" }), "the token stays as it was");
    assert_eq!(look(&server, &format!("{cookie}0"), "/api/v1/session").status, 401);
}

#[test]
fn behind_tls_the_cookie_is_for_tls_and_for_the_path_alone() {
    let (server, _folder) = with_people(None, "127.0.0.1", Some("https://scope.lab/scope/"));
    let lines = ["Content-Type: application/x-www-form-urlencoded", "Origin: https://scope.lab"];
    let body = "user=K.+Berg&password=reviews+every+cell";
    let answer = request(server.address, "POST", "/login", "scope.lab", &lines, body);
    let set = answer.header("set-cookie").unwrap();
    assert!(set.ends_with("; Path=/scope/; Max-Age=3600; Secure"), "{set}");
}

#[test]
fn wrong_passwords_and_names_look_the_same_are_slow_counted_and_limited() {
    let (server, _folder) = started();
    let began = Instant::now();
    let [wrong, nobody] = [log_in(&server, "K. Berg", "guess"), log_in(&server, "N. Obody", "guess")];
    assert!(began.elapsed() >= Duration::from_millis(800), "each waits");
    assert_eq!((wrong.status, nobody.status), (401, 401));
    let plain = |answer: &Answer| answer.text().replace(|c: char| c.is_ascii_hexdigit(), "");
    assert_eq!(plain(&wrong), plain(&nobody), "nothing says which names there are");
    assert!(wrong.header("set-cookie").is_none());
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let server = &server;
        let guesses: Vec<_> =
            (0..14).map(|n| scope.spawn(move || log_in(server, "K. Berg", &format!("guess {n}")).status)).collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
    });
    assert!(statuses.contains(&429), "{statuses:?}");
    // Eight are left of ten, and one is won back every 3 s.
    assert!(statuses.iter().filter(|status| **status == 401).count() < 12, "{statuses:?}");
    wait_until("one more guess", Duration::from_secs(10), || {
        log_in(&server, "K. Berg", "reviews every cell").status == 303
    });
    wait_until("the token is looked at", Duration::from_secs(10), || {
        let metrics = look(&server, &format!("Authorization: Bearer {TOKEN}"), "/metrics");
        metrics.text().lines().any(|line| {
            let counted = line.strip_prefix("metaphased_wrong_passwords_total ").and_then(|n| n.parse::<u32>().ok());
            counted.is_some_and(|n| n >= 10)
        })
    });
}

#[test]
fn each_change_is_kept_under_the_name_of_who_is_logged_in() {
    let (server, _folder) = started();
    let cell = put_cell(&server, 1, "K-1");
    let berg = cookie(&server, "K. Berg");
    let path = format!("/api/v1/cells/{}/review", cell.cell);
    let confirm = json!({ "change": { "action": "comment", "text": "seen" } });
    let done = send(&server, &berg, &path, &confirm);
    assert_eq!(done.status, 200, "{}", done.text());
    let forged = json!({ "by": "A. Chef", "change": { "action": "confirm" } });
    let refused = send(&server, &berg, &path, &forged);
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json()["detail"], "invalid `by` 'A. Chef': expected 'K. Berg', who is logged in, or no `by`");
    let by_command = json!({ "cell": cell.cell, "change": { "action": "comment", "text": "again" } });
    assert_eq!(send(&server, &berg, "/api/v1/commands/review", &by_command).status, 200);
    let mut forged = by_command.clone();
    forged["by"] = "A. Chef".into();
    assert_eq!(send(&server, &berg, "/api/v1/commands/review", &forged).status, 403);
    for action in ["close", "reopen"] {
        let done = send(&server, &berg, &format!("/api/v1/cases/K-1/{action}"), &json!({}));
        assert_eq!(done.status, 200, "{}", done.text());
    }
    let subject = json!({ "subject": { "age": 40.0 } });
    assert_eq!(send(&server, &berg, "/api/v1/cases/K-1/subject", &subject).status, 200);
    let reviews = server.store.reader().reviews_of_case("K-1").unwrap();
    assert_eq!(reviews.len(), 5);
    assert!(reviews.iter().all(|review| review.by == "K. Berg"), "{reviews:?}");
    // Programs with the token say who it was, as before, and have to.
    let token = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(send(&server, &token, "/api/v1/cases/K-1/close", &json!({ "by": "a robot" })).status, 200);
    let unsigned = send(&server, &token, "/api/v1/cases/K-1/close", &json!({}));
    assert_eq!(unsigned.status, 422, "{}", unsigned.text());
    assert_eq!(server.store.reader().reviews_of_case("K-1").unwrap().last().unwrap().by, "a robot");
}

#[test]
fn a_role_may_do_what_it_may_and_nothing_more() {
    let (server, _folder) = started();
    let cell = put_cell(&server, 1, "K-1");
    let [weiss, berg, chef] = PASSWORDS.map(|(name, ..)| cookie(&server, name));
    let changes = [
        (format!("/api/v1/cells/{}/review", cell.cell), json!({ "change": { "action": "confirm" } })),
        ("/api/v1/cases/K-1/close".into(), json!({})),
        ("/api/v1/cases/K-1/subject".into(), json!({ "subject": null })),
        ("/api/v1/commands/case".into(), json!({ "case": "K-2" })),
        ("/api/v1/commands/acknowledge".into(), json!({})),
        ("/api/v1/trigger".into(), json!({ "trigger": "t" })),
        ("/api/v1/sources/scope/frames".into(), json!({})),
    ];
    for (path, body) in &changes {
        let refused = send(&server, &weiss, path, body);
        assert_eq!(refused.status, 403, "{path}");
        assert_eq!(refused.json()["detail"], "'V. Weiss' has the role view: expected the role review", "{path}");
    }
    assert!(server.store.reader().reviews_of_case("K-1").unwrap().is_empty());
    for path in ["/api/v1/cells", "/api/v1/cases", "/api/v1/status", "/metrics", "/assets/app.js", "/"] {
        assert_eq!(look(&server, &weiss, path).status, 200, "{path}");
    }
    for cookie in [&weiss, &berg] {
        assert_eq!(look(&server, cookie, "/api/v1/users").status, 403);
        let refused = send(&server, cookie, "/api/v1/cases/K-1/erase", &json!({}));
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert!(refused.json()["detail"].as_str().unwrap().ends_with("expected the role administer"));
    }
    let users = look(&server, &chef, "/api/v1/users");
    assert!(!users.text().contains("argon2"), "{}", users.text());
    assert_eq!(users.json()["users"].as_array().unwrap().len(), 3);
    assert_eq!(send(&server, &chef, "/api/v1/cases/K-1/erase", &json!({})).status, 200);
    assert!(server.store.reader().case("K-1").unwrap().is_none());
}

#[test]
fn sessions_are_listed_ended_and_over_with_the_password() {
    let (server, folder) = started();
    let [weiss, berg, chef] = PASSWORDS.map(|(name, ..)| cookie(&server, name));
    let sessions = |cookie: &str| look(&server, cookie, "/api/v1/sessions").json()["sessions"].clone();
    let own = sessions(&berg);
    assert_eq!(
        (own.as_array().unwrap().len(), &own[0]["user"], &own[0]["current"]),
        (1, &json!("K. Berg"), &json!(true))
    );
    let all = sessions(&chef);
    let of = |name: &str| {
        let found = all.as_array().unwrap().iter().find(|session| session["user"] == name).unwrap();
        format!("/api/v1/sessions/{}/end", found["session"].as_str().unwrap())
    };
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(send(&server, &berg, &of("V. Weiss"), &json!({})).status, 404, "another's session is none of theirs");
    assert_eq!(send(&server, &chef, &of("V. Weiss"), &json!({})).status, 200);
    assert_eq!(look(&server, &weiss, "/api/v1/cells").status, 401, "it is over at once");

    let origin = format!("Origin: {}", server.url());
    let left = ask(&server, "POST", "/logout", &[&berg, &origin], "");
    assert_eq!(left.status, 303);
    assert!(left.text().is_empty() && left.header("set-cookie").unwrap().contains("metaphased-session=; "));
    assert_eq!(look(&server, &berg, "/api/v1/cells").status, 401, "a kept cookie is worth nothing");

    let berg = cookie(&server, "K. Berg");
    let file = folder.path().join("users");
    let mut users = read_users(&file).unwrap();
    users.get_mut("K. Berg").unwrap().hash = Some(hash_password("another password").unwrap());
    users.remove("A. Chef");
    write_users(&file, &users).unwrap();
    for (cookie, why) in [(&berg, "another password"), (&chef, "removed")] {
        wait_until(why, Duration::from_secs(10), || look(&server, cookie, "/api/v1/cells").status == 401);
    }
    assert_eq!(log_in(&server, "K. Berg", "another password").status, 303);
}

#[test]
fn the_events_of_an_ended_session_end_with_it() {
    let (server, _folder) = started();
    let berg = cookie(&server, "K. Berg");
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET /api/v1/events HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{berg}\r\n\r\n", server.address)
        .unwrap();
    let mut events = BufReader::new(stream);
    let mut line = String::new();
    events.read_line(&mut line).unwrap();
    assert!(line.contains("200"), "{line}");
    let session = look(&server, &berg, "/api/v1/sessions").json()["sessions"][0]["session"].clone();
    send(&server, &berg, &format!("/api/v1/sessions/{}/end", session.as_str().unwrap()), &json!({}));
    let mut rest = String::new();
    events.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("event: state"), "{rest}");
}

#[test]
fn a_trusted_proxy_gives_the_name_and_nobody_else_does() {
    let line = "X-Remote-User: K. Berg";
    let (trusted, _folder) = with_people(Some("x-remote-user"), "127.0.0.1", None);
    let who = look(&trusted, line, "/api/v1/session").json();
    assert_eq!(who, json!({ "user": "K. Berg", "role": "review", "entrance": "proxy" }));
    let stranger = look(&trusted, "X-Remote-User: root", "/api/v1/session");
    assert_eq!(stranger.status, 403);
    assert!(stranger.json()["detail"].as_str().unwrap().contains("'root'"));
    let cell = put_cell(&trusted, 1, "K-1");
    let path = format!("/api/v1/cells/{}/review", cell.cell);
    let comment = json!({ "change": { "action": "comment", "text": "seen" } });
    assert_eq!(send(&trusted, line, &path, &comment).status, 200);
    assert_eq!(trusted.store.reader().reviews_of_case("K-1").unwrap()[0].by, "K. Berg");
    let (other, _folder) = with_people(Some("x-remote-user"), "10.9.9.9", None);
    assert_eq!(look(&other, line, "/api/v1/session").status, 401);
}

fn metaphased(arguments: &[&str], typed: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_metaphased"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn users_are_added_changed_listed_and_removed_and_no_password_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users").display().to_string();
    let run = |arguments: &[&str], typed: &str| {
        let output = metaphased(&[&["user", "--file", &file], arguments].concat(), typed);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!text.contains("correct horse") && !text.contains("argon2"), "{text}");
        (output.status.code().unwrap(), text)
    };
    assert_eq!(run(&["list"], "").0, 66);
    let (exit, text) = run(&["add", "K. Berg", "--role", "review"], "short\n");
    assert_eq!(exit, 65, "{text}");
    assert!(text.contains("expected 10 or more"), "{text}");
    assert!(!Path::new(&file).exists());
    assert_eq!(run(&["add", "K. Berg", "--role", "review"], "correct horse battery\n").0, 0);
    assert_eq!(run(&["add", "K. Berg", "--role", "view"], "correct horse battery\n").0, 65, "it is there already");
    assert_eq!(run(&["add", "guest", "--role", "view", "--no-password"], "").0, 0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\nK. Berg:review:$argon2id$v=19$") && text.contains("\nguest:view:-\n"), "{text}");
    assert_eq!(run(&["role", "guest", "administer"], "").0, 0);
    let before = read_users(Path::new(&file)).unwrap();
    assert_eq!(run(&["password", "K. Berg"], "correct horse staple\n").0, 0);
    let after = read_users(Path::new(&file)).unwrap();
    assert_ne!(before["K. Berg"].hash, after["K. Berg"].hash);
    let (_, list) = run(&["list"], "");
    assert!(list.contains("administer") && list.contains("proxy alone"), "{list}");
    assert_eq!(run(&["remove", "guest"], "").0, 0);
    let (exit, text) = run(&["remove", "guest"], "");
    assert_eq!(exit, 66, "{text}");
    assert_eq!(read_users(Path::new(&file)).unwrap().len(), 1);
}

fn type_login(browser: &Browser, name: &str, password: &str) {
    browser.click("#user");
    browser.run("document.getElementById('user').value = ''");
    browser.type_text(name);
    browser.click("#password");
    browser.type_text(password);
    browser.press("\u{e007}"); // Enter
}

#[test]
fn a_person_logs_in_reviews_under_their_name_and_logs_out_and_a_viewer_cannot_change() {
    let name = "a_person_logs_in_reviews_under_their_name_and_logs_out_and_a_viewer_cannot_change";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    let (server, _folder) = started();
    let field = drawing::field(1, &[], Verdict::Normal);
    server.commit(&field);
    let id = field.cell.cell;
    browser.go(&server.url());
    type_login(&browser, "K. Berg", "not the password");
    browser.wait("document.querySelector('[role=alert]')?.textContent.includes('do not belong together')");
    type_login(&browser, "K. Berg", "reviews every cell");
    browser.wait("document.querySelector('#people-open')?.textContent === 'K. Berg · review'");
    browser.click("#strip button");
    browser.wait("document.querySelector('#detail[open] .pending .signed')?.textContent === 'as K. Berg'");
    assert_eq!(browser.run("return document.querySelectorAll('[name=by]').length"), 0, "no free text");
    browser.click("#pending button[type=submit]");
    browser.wait("document.querySelector('#detail .verdict').textContent.includes('verified by K. Berg')");
    let reviews = server.store.reader().reviews_of_cell(id).unwrap();
    assert_eq!(reviews.iter().map(|review| &*review.by).collect::<Vec<_>>(), ["K. Berg"]);
    browser.click("#detail .bar [aria-label=Close]");
    browser.click("#people-open");
    browser.wait("document.querySelectorAll('#people tbody tr').length === 1");
    browser.click("#people .bar [aria-label=Close]");
    browser.click("#log-out");
    browser.wait("document.getElementById('password')");

    type_login(&browser, "V. Weiss", "only looks at cells");
    browser.wait("document.querySelector('#people-open')?.textContent === 'V. Weiss · view'");
    assert_eq!(browser.run("return document.getElementById('case-change').hidden"), true);
    browser.click("#strip button");
    browser.wait("document.querySelector('#detail[open] #pending')?.textContent.includes('nothing can be changed')");
    browser.click(".karyogram [data-index=\"3\"]");
    browser.wait("document.querySelector('.inspector')");
    assert_eq!(browser.run("return document.querySelectorAll('#detail select, #finish, .lay').length"), 0);
    // Neither by key: Delete would take the chromosome out.
    browser.press("\u{e017}");
    assert_eq!(browser.run("return document.querySelectorAll('.karyogram .moved').length"), 0);
    let status = browser.run_async(&format!(
        "fetch('api/v1/cells/{id}/review', {{ method: 'POST', headers: {{ 'content-type': 'application/json' }},
           body: JSON.stringify({{ change: {{ action: 'confirm' }} }}) }}).then((r) => done(r.status))"
    ));
    assert_eq!(status, 403);
    assert_eq!(server.store.reader().reviews_of_cell(id).unwrap().len(), 1);
}

#[test]
fn an_administrator_ends_a_session_and_its_page_says_so() {
    let name = "an_administrator_ends_a_session_and_its_page_says_so";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    let (server, _folder) = started();
    browser.go(&server.url());
    type_login(&browser, "A. Chef", "keeps the house in order");
    browser.wait("document.querySelector('#people-open')");
    let berg = cookie(&server, "K. Berg");
    browser.click("#people-open");
    browser.wait("document.querySelectorAll('#people table').length === 2");
    assert_eq!(
        browser.run("return document.querySelectorAll('#people tbody tr').length"),
        5,
        "two sessions, three users"
    );
    let of_berg = "#people [aria-label^='End the session of K. Berg']";
    browser.click(of_berg);
    browser.wait("document.querySelectorAll('#people tbody tr').length === 4");
    assert_eq!(look(&server, &berg, "/api/v1/cells").status, 401);
    browser.click("#people .bar [aria-label=Close]");
    // Their own is ended from elsewhere: the page says that it is over, and where to log in again.
    let chef = cookie(&server, "A. Chef");
    let sessions = look(&server, &chef, "/api/v1/sessions").json()["sessions"].clone();
    let oldest = sessions.as_array().unwrap().iter().find(|session| session["current"] == false).unwrap();
    send(&server, &chef, &format!("/api/v1/sessions/{}/end", oldest["session"].as_str().unwrap()), &json!({}));
    browser.wait("document.querySelector('.notice a')?.textContent === 'Log in again'");
    browser.click(".notice a");
    browser.wait("document.getElementById('password')");
}

#[test]
fn the_login_and_the_people_break_no_rule_of_axe_core() {
    let Some(axe) = crate::web_work::axe() else { return };
    let name = "the_login_and_the_people_break_no_rule_of_axe_core";
    let Some(browser) = Browser::open(name, (1400, 1000)) else { return };
    let (server, _folder) = started();
    server.commit(&drawing::field(1, &[], Verdict::Normal));
    let look = |view: &str, tone: &str, width: u32| {
        browser.wait("document.getAnimations().every((a) => a.playState !== 'running')");
        browser.run(&axe);
        let found = browser.run_async(
            "axe.run().then((r) => done(r.violations.map((v) =>
               `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`)))",
        );
        if let Some(folder) = std::env::var_os("METAPHASED_PICTURES") {
            std::fs::write(Path::new(&folder).join(format!("{view}-{width}-{tone}.png")), browser.screenshot())
                .unwrap();
        }
        assert_eq!(found, json!([]), "{view}, {width} wide, {tone}");
    };
    for (tone, dark) in [("light", false), ("dark", true)] {
        browser.dark(dark);
        for (width, height) in [(1366, 768), (390, 844)] {
            browser.view(width, height);
            browser.go("about:blank");
            browser.go(&server.url());
            browser.wait("document.getElementById('password')");
            look("login", tone, width);
            type_login(&browser, "A. Chef", "not the password");
            browser.wait("document.querySelector('[role=alert]')");
            look("login-wrong", tone, width);
            type_login(&browser, "A. Chef", "keeps the house in order");
            browser.wait("document.querySelectorAll('#strip li').length === 1");
            look("known", tone, width);
            browser.click("#people-open");
            browser.wait("document.querySelectorAll('#people table').length === 2");
            look("people", tone, width);
            browser.click("#people .bar [aria-label=Close]");
            browser.click("#log-out");
            browser.wait("document.getElementById('password')");
        }
    }
    // What a viewer sees of a cell.
    type_login(&browser, "V. Weiss", "only looks at cells");
    browser.wait("document.querySelectorAll('#strip li').length === 1");
    browser.view(1366, 768);
    browser.click("#strip button");
    browser.wait("document.querySelectorAll('#detail[open] .karyogram img').length === 46");
    look("viewer", "dark", 1366);
}
