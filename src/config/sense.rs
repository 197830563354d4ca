//! What the schema lets pass and yet makes no sense: combinations, addresses, names, sizes.

use std::net::SocketAddr;

use super::{
    Config, MemoryConfig, Mistake, Mode, Repeat, SourceConfig, SourceKind, StoreConfig, StreamAddress, WebConfig,
    layers::Layers,
    names::{MAX_NAME, check_name},
};
use domain::Assay;
use metaphased_v4l2::FourCc;
use recognition::inference::{EngineName, InferenceConfig};

/// Gathers mistakes of sense. None is reported that rests on a key whose value could not be used.
pub struct Sense<'a> {
    layers: &'a Layers,
    broken: &'a [String],
    mistakes: Vec<Mistake>,
}

impl<'a> Sense<'a> {
    /// The mistakes of `config`, which was read without the keys `broken`.
    pub fn of(config: &Config, layers: &'a Layers, broken: &'a [String]) -> Vec<Mistake> {
        let mut sense = Self { layers, broken, mistakes: Vec::new() };
        for (name, source) in &config.source {
            sense.source(name, source);
            sense.combinations(name, source, config.assay);
        }
        sense.broker(config);
        sense.login(config);
        sense.web(config);
        sense.scoring(config);
        sense.store(&config.store);
        sense.memory(&config.memory);
        if let Err(reason) = config.log.filter() {
            sense.wrong(&["log.level"], format!("found \"{}\": {reason}", config.log.level), LOG_REMEDY);
        }
        sense.servers(&config.inference);
        sense.mistakes
    }

    /// A mistake at the first of the keys that it rests on.
    fn wrong(&mut self, keys: &[&str], message: impl Into<String>, remedy: impl Into<String>) {
        let is_broken = |key: &str| {
            self.broken.iter().any(|b| key.strip_prefix(b.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('.')))
        };
        if !keys.iter().any(|key| is_broken(key)) {
            self.mistakes.push(Mistake::new(self.layers.origin(keys[0]), keys[0], message, remedy));
        }
    }

    fn servers(&mut self, inference: &InferenceConfig) {
        let is_given = inference.url.is_some() || !inference.kserve.urls.is_empty();
        let Err(reason) = inference.servers() else { return };
        let (keys, remedy) = match (inference.engine, is_given, &inference.url) {
            (_, true, Some(_)) => (["inference.url", "inference.kserve.urls"], "name each server once"),
            (_, true, None) => (["inference.kserve.urls", "inference.url"], "name each server once"),
            (EngineName::Kserve, false, _) => {
                (["inference.engine", "inference.url"], "add 'url = \"http://host:8000\"' to [inference]")
            }
            _ => return,
        };
        self.wrong(&keys, reason, remedy);
    }

    fn source(&mut self, name: &str, source: &SourceConfig) {
        use SourceKind::{Folder, Genicam, Mjpeg, Push, Simulator, V4l2, Webcam};
        let kind = source.kind;
        let at = |key: &str| format!("source.{name}.{key}");
        let given: [(&str, bool, &[SourceKind]); 22] = [
            ("path", source.path.is_some(), &[Folder]),
            ("repeat", source.repeat.is_some(), &[Folder]),
            ("settle_ms", source.settle_ms.is_some(), &[Folder]),
            ("rate_hz", source.rate_hz.is_some(), &[Folder, Simulator, Webcam, V4l2, Genicam]),
            ("device", source.device.is_some(), &[V4l2, Webcam, Genicam]),
            ("size", source.size.is_some(), &[Simulator, V4l2, Webcam, Genicam]),
            ("format", source.format.is_some(), &[V4l2, Genicam]),
            ("controls", !source.controls.is_empty(), &[V4l2, Genicam]),
            ("url", source.url.is_some(), &[Mjpeg]),
            ("spool", source.spool.is_some(), &[Push]),
            ("username", source.username.is_some(), &[Mjpeg]),
            ("password_file", source.password_file.is_some(), &[Mjpeg]),
            ("ca_file", source.ca_file.is_some(), &[Mjpeg]),
            ("stall_ms", source.stall_ms.is_some(), &[Mjpeg]),
            ("seed", source.seed.is_some(), &[Simulator]),
            ("cells", source.cells.is_some(), &[Simulator]),
            ("crowding", source.crowding.is_some(), &[Simulator]),
            ("karyotype", source.karyotype.is_some(), &[Simulator]),
            ("stage", source.stage.is_some(), &[Simulator]),
            ("dose_gy", source.dose_gy.is_some(), &[Simulator]),
            ("fraction", source.fraction.is_some(), &[Simulator]),
            ("machine_scored", source.machine_scored, &[Simulator]),
        ];
        for (key, is_given, kinds) in given {
            if is_given && !kinds.contains(&kind) {
                let list = kinds.iter().map(|k| k.name()).collect::<Vec<_>>().join(", ");
                self.wrong(
                    &[&at(key)],
                    format!("has no effect on a source of kind \"{}\"", kind.name()),
                    format!("remove it, or use kind {list}"),
                );
            }
        }
        if kind == Folder && source.path.is_none() {
            self.wrong(&[&at("kind"), &at("path")], "a folder source requires a path", "add 'path = \"...\"'");
        }
        if kind == Mjpeg && source.url.is_none() {
            self.wrong(&[&at("kind"), &at("url")], "a stream source requires an address", "add 'url = \"http://...\"'");
        }
        let address = source.url.as_deref().filter(|_| kind == Mjpeg).map(str::parse::<StreamAddress>);
        if let Some(Err(found)) = &address {
            self.wrong(&[&at("url")], found.clone(), "expected an address such as \"http://10.0.0.7:8080/stream\"");
        }
        if source.ca_file.is_some() && address.is_some_and(|address| address.is_ok_and(|address| !address.secure)) {
            self.wrong(
                &[&at("ca_file"), &at("url")],
                "an authority is given but the stream is not encrypted",
                "use an https:// address",
            );
        }
        if source.username.is_some() != source.password_file.is_some() {
            self.wrong(
                &[&at(if source.username.is_some() { "username" } else { "password_file" })],
                "a login requires a name and a password",
                "give both username and password_file",
            );
        }
        if let Some([width, height]) = source.size
            && (!(64..=16384).contains(&width) || !(64..=16384).contains(&height))
        {
            self.wrong(&[&at("size")], format!("found {width} x {height}"), "expected 64 to 16384 pixels per side");
        }
        if let Some(Err(error)) = source.format.as_deref().filter(|_| kind == V4l2).map(str::parse::<FourCc>) {
            self.wrong(&[&at("format")], error, "see `metaphased cameras`");
        }
        for (control, _) in source.controls.iter().filter(|(_, value)| kind == V4l2 && value.whole().is_none()) {
            self.wrong(
                &[&at(&format!("controls.{control}"))],
                "controls of Video4Linux are numbers",
                "expected a whole number; `metaphased cameras` lists the entries of menus with theirs",
            );
        }
        for (key, text) in [("case", &source.case), ("slide", &source.slide), ("colony", &source.colony)] {
            self.name(&at(key), text.as_deref());
        }
    }

    fn combinations(&mut self, name: &str, source: &SourceConfig, assay: Assay) {
        use SourceKind::{Folder, Genicam, Mjpeg, Push, V4l2, Webcam};
        let kind = source.kind;
        let at = |key: &str| format!("source.{name}.{key}");
        if kind == Folder && source.settle_ms.is_some() && source.repeat != Some(Repeat::Watch) {
            self.wrong(
                &[&at("settle_ms"), &at("repeat")],
                "has an effect on a watched folder only",
                "remove it, or use repeat = \"watch\"",
            );
        }
        if source.mode() == Mode::Lossless && matches!(kind, Webcam | Mjpeg | V4l2 | Genicam) {
            self.wrong(
                &[&at("mode")],
                format!("a source of kind \"{}\" cannot wait, so it cannot be lossless", kind.name()),
                "use mode = \"freshest\"",
            );
        }
        if source.mode() == Mode::Freshest && kind == Push {
            self.wrong(
                &[&at("mode")],
                "every pushed frame is answered, so none is dropped for a newer one",
                "use mode = \"lossless\"",
            );
        }
        if source.repeat == Some(Repeat::Loop) && source.mode() == Mode::Freshest && source.rate_hz.is_none() {
            self.wrong(
                &[&at("repeat"), &at("mode"), &at("rate_hz")],
                "an endless loop over a folder that drops frames only wastes processor time",
                "add 'rate_hz', or use mode = \"lossless\"",
            );
        }
        if source.machine_scored && assay != Assay::Dicentric {
            self.wrong(
                &[&at("machine_scored"), "assay"],
                "scoring requires the dicentric assay",
                "set assay = \"dicentric\"",
            );
        }
        if source.dose_gy.is_some() && assay != Assay::Dicentric {
            self.wrong(&[&at("dose_gy"), "assay"], "a dose requires the dicentric assay", "set assay = \"dicentric\"");
        }
    }

    /// A name as messages and topics carry it.
    fn name(&mut self, key: &str, text: Option<&str>) {
        if let Some(Err(found)) = text.map(check_name) {
            self.wrong(&[key], found, format!("expected 1 to {MAX_NAME} characters without control characters"));
        }
    }

    fn broker(&mut self, config: &Config) {
        let mqtt = &config.mqtt;
        if mqtt.is_remote() && mqtt.address().is_none() {
            self.wrong(
                &["mqtt.url"],
                format!("found \"{}\"", mqtt.url),
                "expected mqtt://host:1883 or mqtts://host:8883 with a port of 1 to 65535",
            );
        }
        if mqtt.cert_file.is_some() != mqtt.key_file.is_some() {
            self.wrong(
                &["mqtt.cert_file", "mqtt.key_file"],
                "a certificate and its key are required together",
                "give both cert_file and key_file",
            );
        }
        let tls = mqtt.ca_file.is_some() || mqtt.cert_file.is_some();
        if tls && !mqtt.url.starts_with("mqtts://") {
            self.wrong(&["mqtt.url"], "certificates are given but the connection is not encrypted", "use mqtts://");
        }
        if mqtt.embedded_port.is_some() && mqtt.url != "embedded" {
            self.wrong(
                &["mqtt.embedded_port", "mqtt.url"],
                "there is no embedded broker",
                "remove it, or use url = \"embedded\"",
            );
        }
        if cfg!(not(feature = "embedded-broker")) && mqtt.url == "embedded" {
            self.wrong(
                &["mqtt.url"],
                "this build has no embedded broker",
                "name a broker, use \"off\", or build with the feature embedded-broker",
            );
        }
        self.name("mqtt.client_id", mqtt.client_id.as_deref());
        self.name("mqtt.username", mqtt.username.as_deref());
    }

    fn login(&mut self, config: &Config) {
        let mqtt = &config.mqtt;
        if mqtt.password.is_some() && mqtt.password_file.is_some() {
            self.wrong(&["mqtt.password"], "both password and password_file are given", "keep password_file");
        }
        if (mqtt.password.is_some() || mqtt.password_file.is_some()) && mqtt.username.is_none() {
            self.wrong(
                &["mqtt.password", "mqtt.username"],
                "a password requires a username",
                "add 'username = \"...\"'",
            );
        }
        let credentials = mqtt.username.is_some() || mqtt.cert_file.is_some();
        if mqtt.commands == Some(true) && mqtt.is_remote() && !credentials {
            self.wrong(
                &["mqtt.commands", "mqtt.username", "mqtt.cert_file", "mqtt.url"],
                "commands from a remote broker without credentials would allow anybody to stop the station",
                "add username and password_file, or a client certificate",
            );
        }
    }

    fn web(&mut self, config: &Config) {
        for host in &config.web.hosts {
            let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
            if !is_host {
                self.wrong(
                    &["web.hosts"],
                    format!("found \"{host}\""),
                    "expected names alone, such as \"scope.lab\": no scheme, no port, no path",
                );
            }
        }
        if let Some(Err(found)) = config.web.public_address() {
            self.wrong(
                &["web.public_url"],
                found,
                "expected the address that a browser shows, such as \"https://scope.lab\" or \"https://lab.example/scope/\"",
            );
        }
        self.people(&config.web);
        let Some(listen) = config.web.listen.as_deref().filter(|l| *l != "off") else { return };
        match listen.parse::<SocketAddr>() {
            Err(_) => self.wrong(&["web.listen"], format!("found \"{listen}\""), "expected address:port"),
            Ok(address)
                if !address.ip().is_loopback()
                    && config.web.token_file.is_none()
                    && config.web.users_file.is_none() =>
            {
                self.wrong(
                    &["web.listen", "web.token_file"],
                    format!("{address} can be reached from outside without a token"),
                    "add 'token_file = \"...\"' or 'users_file = \"...\"', or listen on 127.0.0.1",
                );
            }
            Ok(_) => {}
        }
    }

    fn people(&mut self, web: &WebConfig) {
        if let Some(header) = &web.user_header {
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if header.is_empty() || !header.bytes().all(is_name) {
                let expected = "expected the name of a header, such as \"X-Remote-User\"";
                self.wrong(&["web.user_header"], format!("found \"{header}\""), expected);
            }
            if web.users_file.is_none() || web.proxies.is_empty() {
                self.wrong(
                    &["web.user_header"],
                    "it is given without web.users_file or without web.proxies",
                    "expected the users with their roles, and the addresses of the proxies that are believed",
                );
            }
        } else if !web.proxies.is_empty() {
            let expected = "expected web.user_header beside it: without one no proxy is asked for a name";
            self.wrong(&["web.proxies"], "it is given without web.user_header", expected);
        }
        for proxy in web.proxies.iter().filter(|proxy| proxy.parse::<std::net::IpAddr>().is_err()) {
            let expected = "expected IP addresses, such as \"127.0.0.1\"";
            self.wrong(&["web.proxies"], format!("found \"{proxy}\""), expected);
        }
    }

    fn scoring(&mut self, config: &Config) {
        let [low, high] = config.dicentric.accepted_centromeres;
        if low > high || low == 0 {
            self.wrong(
                &["dicentric.accepted_centromeres"],
                format!("found [{low}, {high}]"),
                "expected [lowest, highest], such as [45, 46]",
            );
        }
        if let Some([low, high]) = config.dicentric.selection.pieces.filter(|[low, high]| low > high || *low == 0) {
            self.wrong(
                &["dicentric.selection.pieces"],
                format!("found [{low}, {high}]"),
                "expected [lowest, highest], such as [42, 50]",
            );
        }
        let hysteresis = config.dose.alarm_hysteresis_gy;
        if let Some(level) = config.dose.alarm_gy
            && hysteresis >= level
        {
            self.wrong(
                &["dose.alarm_hysteresis_gy", "dose.alarm_gy"],
                format!("an alarm at {level} Gy would never clear: no dose falls {hysteresis} Gy below it"),
                "expected less than alarm_gy",
            );
        }
    }

    fn store(&mut self, store: &StoreConfig) {
        const LEAST: u64 = 1 << 20;
        const MOST: u64 = 1 << 60;
        if store.quota_bytes().is_none_or(|bytes| !(LEAST..=MOST).contains(&bytes)) {
            self.wrong(&["store.quota"], format!("found \"{}\"", store.quota), "expected \"1 MiB\" to \"1048576 TiB\"");
        }
    }

    fn memory(&mut self, memory: &MemoryConfig) {
        let limits = [
            ("memory.picture", &memory.picture, memory.picture_bytes()),
            ("memory.frames", &memory.frames, memory.frames_bytes()),
        ];
        for (key, found, _) in limits.into_iter().filter(|(_, _, bytes)| *bytes < 1 << 26) {
            self.wrong(&[key], format!("found \"{found}\""), "expected at least \"64 MiB\"");
        }
    }
}

const LOG_REMEDY: &str =
    "expected error, warn, info, debug, trace or off, or a filter such as \"info,metaphased::mqtt=debug\"";
