//! A little WebDriver: drives Debian's Chromium through chromedriver.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// A browser window; closed when dropped.
pub struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    /// Opens a window of this size, or says aloud that the test is left out where there is no Chromium.
    pub fn open(test: &str, size: (u32, u32)) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(driver) = driver else {
            eprintln!("SKIPPED: {test} needs chromedriver and chromium (Debian: apt-get install chromium-driver)");
            return None;
        };
        let mut browser = Self { driver, session: format!("http://127.0.0.1:{port}") };
        let began = Instant::now();
        while ureq::get(format!("{}/status", browser.session)).call().is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "chromedriver does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        let size = format!("--window-size={},{}", size.0, size.1);
        let args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", &size];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": args }, "goog:loggingPrefs": { "browser": "ALL" } } } });
        let session = browser.send("/session", &wanted)["sessionId"].as_str().unwrap().to_owned();
        browser.session = format!("{}/session/{session}", browser.session);
        Some(browser)
    }

    fn send(&self, path: &str, body: &Value) -> Value {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.post(format!("{}{path}", self.session)).send_json(body).unwrap();
        let value: Value = answer.body_mut().read_json().unwrap();
        assert!(answer.status().is_success(), "{path} {body}: {value}");
        value["value"].clone()
    }

    pub fn go(&self, url: &str) {
        self.send("/url", &json!({ "url": url }));
    }

    /// Runs a script in the page; gives what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.send("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true in the page.
    pub fn wait(&self, expression: &str) {
        self.wait_for(expression, Duration::from_secs(20));
    }

    /// The same, with more or less patience.
    pub fn wait_for(&self, expression: &str, patience: Duration) {
        let began = Instant::now();
        while self.run(&format!("return Boolean({expression})")) != Value::Bool(true) {
            if began.elapsed() > patience {
                panic!("not within {patience:?}: {expression}\n{}", self.run("return document.body.innerText"));
            }
            std::thread::sleep(Duration::from_millis(60));
        }
    }

    /// Presses a key, as a person would.
    pub fn press(&self, key: &str) {
        let actions = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        self.send("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }));
    }

    /// Drags one element to another, as a person with a mouse would.
    pub fn drag(&self, from: &str, to: &str) {
        let middle = |selector: &str| {
            let script = format!(
                "const e = document.querySelector({selector:?}); e.scrollIntoView({{ block: 'center' }});
                 const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2];"
            );
            let at = self.run(&script);
            [at[0].as_f64().unwrap().round(), at[1].as_f64().unwrap().round()]
        };
        // The second may scroll the first away: places are taken once both have been shown.
        middle(from);
        let [to_x, to_y] = middle(to);
        let b = self.run(&format!(
            "const b = document.querySelector({from:?}).getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2];"
        ));
        let (x, y) = (b[0].as_f64().unwrap().round(), b[1].as_f64().unwrap().round());
        let steps = json!([
            { "type": "pointerMove", "x": x, "y": y },
            { "type": "pointerDown", "button": 0 },
            { "type": "pointerMove", "duration": 100, "x": x + 6.0, "y": y + 6.0 },
            { "type": "pointerMove", "duration": 200, "x": to_x, "y": to_y },
            { "type": "pointerMove", "duration": 50, "x": to_x + 1.0, "y": to_y },
            { "type": "pointerUp", "button": 0 },
        ]);
        let mouse =
            json!({ "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": steps });
        self.send("/actions", &json!({ "actions": [mouse] }));
    }

    /// Presses a key while another is held.
    pub fn press_with(&self, held: &str, key: &str) {
        let actions = json!([
            { "type": "keyDown", "value": held }, { "type": "keyDown", "value": key },
            { "type": "keyUp", "value": key }, { "type": "keyUp", "value": held },
        ]);
        self.send("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }));
    }

    /// What the browser itself complained about: script errors, refused content.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.send("/se/log", &json!({ "type": "browser" }));
        let lines = log.as_array().unwrap().iter().filter(|line| line["level"] == "SEVERE");
        lines.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser first; the driver alone would leave it behind.
        let _ = ureq::delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
