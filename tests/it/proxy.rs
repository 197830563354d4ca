//! The page behind real reverse proxies, set up as docs/guide/proxy.md shows them.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    broker::{free_port, wait_until},
    web_support::{PageServer, browser::Browser, request},
};
use metaphased::{config::WebConfig, web::WebOptions};

const TOKEN: &str = "a token of twenty-odd characters";

/// A block of the guide.
fn snippet(language: &str) -> String {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/proxy.md");
    let text = fs::read_to_string(guide).unwrap();
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// A proxy before a page.
struct Proxy {
    child: Child,
    port: u16,
    server: PageServer,
    _folder: tempfile::TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page for browsers that show `localhost:PORT/scope/`.
fn page(port: u16) -> PageServer {
    let public = WebConfig { public_url: Some(format!("http://localhost:{port}/scope/")), ..WebConfig::default() };
    PageServer::start_with(WebOptions {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        token: Some(TOKEN.into()),
        public: public.public_address().map(Result::unwrap),
        ..WebOptions::default()
    })
}

/// The program, also where only root's path has it.
fn found(program: &str, test: &str) -> Option<String> {
    let places = [program.to_owned(), format!("/usr/sbin/{program}")];
    let answers =
        |name: &String| Command::new(name).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let found = places.into_iter().find(answers);
    if found.is_none() {
        eprintln!("SKIPPED: {test} needs {program} (Debian: nginx-light, caddy)");
    }
    found
}

fn started(mut command: Command, port: u16, server: PageServer, folder: tempfile::TempDir) -> Proxy {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let proxy = Proxy { child, port, server, _folder: folder };
    wait_until("the proxy listens", Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).is_ok());
    proxy
}

fn nginx(program: &str) -> Proxy {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let server = page(port);
    let block = snippet("nginx")
        .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port};"))
        .replace("scope.lab;", "localhost;")
        .replace("127.0.0.1:8080", &server.address.to_string());
    let block: String = block.lines().filter(|line| !line.contains("ssl_")).map(|line| format!("{line}\n")).collect();
    let own = folder.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {own}/{name};\n"))
        .collect();
    let config = format!(
        "daemon off;\nmaster_process off;\npid {own}/pid;\nerror_log {own}/error.log;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}{block}}}\n"
    );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, config).unwrap();
    let mut command = Command::new(program);
    command.arg("-c").arg(&file).arg("-e").arg(folder.path().join("error.log"));
    started(command, port, server, folder)
}

fn caddy(program: &str) -> Proxy {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let server = page(port);
    let block = snippet("caddyfile")
        .replace("scope.lab {", &format!("http://localhost:{port} {{"))
        .replace("127.0.0.1:8080", &server.address.to_string());
    let file = folder.path().join("Caddyfile");
    fs::write(&file, format!("{{\n    admin off\n}}\n{block}")).unwrap();
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file).env("HOME", folder.path());
    started(command, port, server, folder)
}

fn programs_and_browsers_get_through(proxy: &Proxy) {
    let host = format!("localhost:{}", proxy.port);
    let address = SocketAddr::from(([127, 0, 0, 1], proxy.port));
    let ask = |method: &str, path: &str, lines: &[&str], body: &str| request(address, method, path, &host, lines, body);
    let form = ask("GET", "/scope/", &[], "");
    assert_eq!(form.status, 401, "{}", form.text());
    assert!(form.text().contains("action=\"login\""));
    let own = format!("Origin: http://{host}");
    let typed = "Content-Type: application/x-www-form-urlencoded";
    let body = format!("token={}", TOKEN.replace(' ', "+"));
    let entered = ask("POST", "/scope/login", &[typed, &own], &body);
    assert_eq!((entered.status, entered.header("location").as_deref()), (303, Some("./")), "{}", entered.text());
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.contains("Path=/scope/;"), "{cookie}");
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    assert_eq!(ask("GET", "/scope/assets/app.js", &[&cookie], "").status, 200);
    let json = "Content-Type: application/json";
    let trigger = r#"{"trigger": "t1"}"#;
    assert_eq!(ask("POST", "/scope/api/v1/trigger", &[json, &own, &cookie], trigger).status, 202);
    let foreign = ask("POST", "/scope/api/v1/trigger", &[json, "Origin: https://evil.example", &cookie], trigger);
    assert_eq!(foreign.status, 403);
    assert!(foreign.json()["detail"].as_str().unwrap().contains("The Origin header 'https://evil.example'"));
    // The first events come at once.
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET /scope/api/v1/events HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n\r\n").unwrap();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.take(40).any(|line| line == "event: stats"), "events are held back");
}

/// A person types the token behind the proxy; the page works below its path.
fn a_person_gets_through(proxy: &Proxy, test: &str) {
    let Some(browser) = Browser::open(test, (1200, 800)) else { return };
    browser.go(&format!("http://localhost:{}/scope/", proxy.port));
    browser.wait("document.querySelector('#token')");
    browser.run("document.querySelector('#token').value = 'not this one, that is sure'; document.querySelector('button').click()");
    browser.wait("document.querySelector('[role=alert]')");
    browser
        .run(&format!("document.querySelector('#token').value = {TOKEN:?}; document.querySelector('button').click()"));
    browser.wait("document.querySelectorAll('#health .chip').length === 4");
    assert_eq!(browser.run("return location.pathname"), "/scope/");
    assert!(proxy.server.url().starts_with("http://127.0.0.1"));
}

#[test]
fn nginx_as_the_guide_shows_it() {
    let Some(program) = found("nginx", "nginx_as_the_guide_shows_it") else { return };
    let proxy = nginx(&program);
    programs_and_browsers_get_through(&proxy);
    a_person_gets_through(&proxy, "nginx_as_the_guide_shows_it");
}

#[test]
fn caddy_as_the_guide_shows_it() {
    let Some(program) = found("caddy", "caddy_as_the_guide_shows_it") else { return };
    let proxy = caddy(&program);
    programs_and_browsers_get_through(&proxy);
    a_person_gets_through(&proxy, "caddy_as_the_guide_shows_it");
}
