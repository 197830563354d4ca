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

    /// Types a text, key by key.
    pub fn type_text(&self, text: &str) {
        let keys = text.chars().flat_map(|key| {
            let key = key.to_string();
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        });
        let keys: Vec<Value> = keys.collect();
        self.send("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": keys }] }));
    }

    /// Clicks the middle of an element, once it is there and can be pressed, as a person with a mouse would.
    pub fn click(&self, selector: &str) {
        self.wait(&format!("document.querySelector({selector:?}) && !document.querySelector({selector:?}).disabled"));
        let [x, y] = self.settled(selector);
        self.mouse(&[
            json!({ "type": "pointerMove", "x": x, "y": y }),
            json!({ "type": "pointerDown", "button": 0 }),
            json!({ "type": "pointerUp", "button": 0 }),
        ]);
    }

    /// The middle of an element, once it lies still there and nothing lies over it.
    fn settled(&self, selector: &str) -> [f64; 2] {
        let began = Instant::now();
        loop {
            let [x, y] = self.middle(selector);
            std::thread::sleep(Duration::from_millis(60));
            let hit = self.run(&format!(
                "const e = document.querySelector({selector:?}); return Boolean(e?.contains(document.elementFromPoint({x}, {y})))"
            ));
            if hit == Value::Bool(true) && self.place(selector) == [x, y] {
                return [x, y];
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{selector} cannot be reached by the pointer");
        }
    }

    /// Drags one element to another, as a person with a mouse would.
    pub fn drag(&self, from: &str, to: &str) {
        // The second may scroll the first away: places are taken once both have been shown.
        self.middle(from);
        let [to_x, to_y] = self.settled(to);
        let [x, y] = self.place(from);
        self.mouse(&[
            json!({ "type": "pointerMove", "x": x, "y": y }),
            json!({ "type": "pointerDown", "button": 0 }),
            json!({ "type": "pointerMove", "duration": 50, "x": x + 6.0, "y": y + 6.0 }),
            json!({ "type": "pointerMove", "duration": 50, "x": to_x, "y": to_y }),
            json!({ "type": "pointerUp", "button": 0 }),
        ]);
    }

    fn mouse(&self, steps: &[Value]) {
        let mouse =
            json!({ "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": steps });
        self.send("/actions", &json!({ "actions": [mouse] }));
    }

    /// The middle of an element, which is scrolled into sight.
    fn middle(&self, selector: &str) -> [f64; 2] {
        self.run(&format!("document.querySelector({selector:?}).scrollIntoView({{ block: 'center' }})"));
        self.place(selector)
    }

    fn place(&self, selector: &str) -> [f64; 2] {
        let at = self.run(&format!(
            "const b = document.querySelector({selector:?}).getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2];"
        ));
        [at[0].as_f64().unwrap().round(), at[1].as_f64().unwrap().round()]
    }

    /// Gives the page exactly this many pixels.
    pub fn view(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700 });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Asks for dark colours, or for light ones.
    pub fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.send("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// The page as the browser prints it to a file.
    pub fn pdf(&self) -> Vec<u8> {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        let printed = self.devtools("Page.printToPDF", &json!({ "printBackground": false, "preferCSSPageSize": true }));
        BASE64_STANDARD.decode(printed["data"].as_str().unwrap()).unwrap()
    }

    /// Runs a script that hands its result to `done`.
    pub fn run_async(&self, script: &str) -> Value {
        let script = format!("const done = arguments[0]; {script}");
        self.send("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// Presses a key while another is held.
    pub fn press_with(&self, held: &str, key: &str) {
        let actions = json!([
            { "type": "keyDown", "value": held }, { "type": "keyDown", "value": key },
            { "type": "keyUp", "value": key }, { "type": "keyUp", "value": held },
        ]);
        self.send("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }));
    }

    /// A picture of the window, as PNG.
    pub fn screenshot(&self) -> Vec<u8> {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        let mut answer = ureq::get(format!("{}/screenshot", self.session)).call().unwrap();
        let value: Value = answer.body_mut().with_config().limit(64 << 20).read_json().unwrap();
        BASE64_STANDARD.decode(value["value"].as_str().unwrap()).unwrap()
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
