//! Discovery for Home Assistant: one retained message that makes a device with sensors of this station.
//!
//! Format: "MQTT discovery, device discovery payload" of Home Assistant's documentation.

use serde_json::{Value, json};

use super::topics::Topics;

/// Topic and payload that announce a station. The topic lies outside the station's root: Home Assistant listens there.
pub fn discovery(station: &str, version: &str, topics: &Topics) -> (String, Value) {
    let device = format!("metaphased-{station}");
    let id = |what: &str| format!("metaphased_{station}_{what}");
    let sensor = |what: &str, name: &str, topic: &str, template: &str, more: Value| {
        let mut sensor = json!({
            "platform": "sensor",
            "name": name,
            "unique_id": id(what),
            "state_topic": topics.of(topic),
            "value_template": template,
        });
        if let (Some(sensor), Value::Object(more)) = (sensor.as_object_mut(), more) {
            sensor.extend(more);
        }
        (what.to_owned(), sensor)
    };
    let components: serde_json::Map<String, Value> = [
        sensor(
            "state",
            "State",
            "state",
            "{{ value_json.level }}",
            json!({
                "device_class": "enum",
                "options": ["ok", "degraded", "failed"],
                "json_attributes_topic": topics.of("state"),
                "json_attributes_template": "{{ {'reasons': value_json.reasons, 'case': value_json.case} | tojson }}",
            }),
        ),
        sensor(
            "cells",
            "Cells",
            "stats",
            "{{ value_json.cells_stored }}",
            json!({ "state_class": "total_increasing", "unit_of_measurement": "cells" }),
        ),
        sensor(
            "rate",
            "Cells a minute",
            "stats",
            "{{ value_json.cells_per_min | round(1) }}",
            json!({ "state_class": "measurement", "unit_of_measurement": "cells/min" }),
        ),
        sensor(
            "outbox",
            "Messages waiting",
            "stats",
            "{{ value_json.outbox_depth }}",
            json!({ "state_class": "measurement", "entity_category": "diagnostic" }),
        ),
        sensor(
            "alarm",
            "Dose alarm",
            "alarm",
            "{{ 'ON' if value_json.state == 'raised' else 'OFF' }}",
            json!({
                "platform": "binary_sensor",
                "device_class": "safety",
                "json_attributes_topic": topics.of("alarm"),
            }),
        ),
    ]
    .into_iter()
    .collect();
    let payload = json!({
        "device": {
            "identifiers": [device],
            "name": format!("Microscope {station}"),
            "model": "metaphased",
            "sw_version": version,
        },
        "origin": { "name": "metaphased", "sw_version": version },
        "availability_topic": topics.of("availability"),
        "components": components,
    });
    (format!("homeassistant/device/{device}/config"), payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sensor_reads_a_topic_of_the_station_and_has_an_id_of_its_own() {
        let topics = Topics::new("metaphased", "lab-1");
        let (topic, payload) = discovery("lab-1", "0.1.0", &topics);
        assert_eq!(topic, "homeassistant/device/metaphased-lab-1/config");
        assert_eq!(payload["availability_topic"], "metaphased/lab-1/availability");
        let components = payload["components"].as_object().expect("an object");
        assert_eq!(components.len(), 5);
        for (name, component) in components {
            assert_eq!(component["unique_id"], format!("metaphased_lab-1_{name}"));
            let read = component["state_topic"].as_str().expect("a topic");
            assert!(["state", "stats", "alarm"].contains(&topics.below(read).expect("below the root")), "{read}");
        }
        assert_eq!(components["alarm"]["platform"], "binary_sensor");
    }
}
