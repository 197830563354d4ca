//! Topic filters (MQTT 5, 4.7).

use rumqttc_v5::mqttbytes::v5::SubscribeReasonCode;

/// Whether `topic` matches `filter`; `filter` is a valid one.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    // Wildcards at the start do not match topics of the server itself.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for expected in filter.split('/') {
        match (expected, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (expected, Some(level)) if expected == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Why a subscription to `filter` is refused.
pub(super) fn refusal(filter: &str) -> Option<SubscribeReasonCode> {
    if filter.starts_with("$share/") {
        return Some(SubscribeReasonCode::SharedSubscriptionsNotSupported);
    }
    (!rumqttc_v5::mqttbytes::valid_filter(filter)).then_some(SubscribeReasonCode::TopicFilterInvalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic) in [
            ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
            ("sport/#", "sport"),
            ("#", "sport/tennis"),
            ("sport/tennis/+", "sport/tennis/player1"),
            ("sport/+", "sport/"),
            ("+/+", "/finance"),
            ("/+", "/finance"),
            ("+/tennis/#", "sport/tennis/x/y"),
            ("$SYS/#", "$SYS/monitor/Clients"),
            ("$SYS/monitor/+", "$SYS/monitor/Clients"),
            ("a/b", "a/b"),
        ] {
            assert!(matches(filter, topic), "{filter} matches {topic}");
        }
        for (filter, topic) in [
            ("sport/tennis/+", "sport/tennis/player1/ranking"),
            ("sport/+", "sport"),
            ("+", "/finance"),
            ("#", "$SYS/monitor"),
            ("+/monitor/Clients", "$SYS/monitor/Clients"),
            ("a/b", "a/b/c"),
            ("a/b/c", "a/b"),
            ("A/b", "a/b"),
        ] {
            assert!(!matches(filter, topic), "{filter} does not match {topic}");
        }
    }

    #[test]
    fn filters_that_are_none_are_refused() {
        for filter in ["", "sport/tennis#", "sport/tennis/#/ranking", "sport+", "a/+b/c"] {
            assert_eq!(refusal(filter), Some(SubscribeReasonCode::TopicFilterInvalid), "'{filter}'");
        }
        assert_eq!(refusal("$share/group/a"), Some(SubscribeReasonCode::SharedSubscriptionsNotSupported));
        assert_eq!(refusal("a/+/b/#"), None);
    }
}
