//! MQTT 5.

use rumqttc_v5::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, Incoming, LastWill, MqttOptions,
    PublishNoticeError, PublishOptions, PublishProperties, QoS, StateError, Transport,
    mqttbytes::v5::DisconnectReasonCode,
};
use tokio::sync::mpsc;

use super::{
    link::{
        Ack, Closed, Connection, Link, LinkEvent, LinkFault, MAX_INCOMING, Publish, Received, Unacknowledged, refusal,
    },
    settings::{BrokerSettings, SettingsError},
};

struct V5(AsyncClient);

pub(super) fn connect(settings: &BrokerSettings) -> Result<Connection, SettingsError> {
    let mut options = MqttOptions::new(settings.client_id.clone(), (settings.host.clone(), settings.port));
    options.set_keep_alive(settings.keep_alive.as_secs().clamp(1, 3600) as u16);
    options.set_max_packet_size(Some(MAX_INCOMING));
    options.set_outgoing_inflight_upper_limit(settings.window);
    options.set_last_will(LastWill::new(settings.topics.of("availability"), "offline", QoS::AtLeastOnce, true, None));
    if let Some((user, password)) = &settings.credentials {
        options.set_credentials(user.clone(), password.clone());
    }
    if let Some(tls) = &settings.tls {
        options.set_transport(match &tls.authority {
            Some(authority) => Transport::tls(authority.clone(), tls.client.clone(), None),
            None => Transport::try_tls_with_default_config()
                .map_err(|error| SettingsError::Certificates(error.to_string()))?,
        });
    }
    let (client, events) = AsyncClient::builder(options)
        .capacity(usize::from(settings.window) * 2 + 64)
        .try_build()
        .map_err(|error| SettingsError::Certificates(error.to_string()))?;
    let (sender, receiver) = mpsc::channel(64);
    let driver = tokio::spawn(drive(events, sender, settings.client_id.clone()));
    Ok(Connection::new(Box::new(V5(client)), receiver, driver))
}

async fn drive(mut events: EventLoop, sender: mpsc::Sender<LinkEvent>, client_id: String) {
    loop {
        let event = match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(connack))) => {
                LinkEvent::Connected(connack.properties.and_then(|properties| properties.max_packet_size))
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                let properties = publish.properties.unwrap_or_default();
                LinkEvent::Received(Received {
                    topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                    payload: publish.payload.to_vec(),
                    retained: publish.retain,
                    response_topic: properties.response_topic,
                    correlation: properties.correlation_data.map(|data| data.to_vec()),
                })
            }
            Ok(_) => continue,
            Err(error) => LinkEvent::Lost(fault(error, &client_id)),
        };
        let last = matches!(event, LinkEvent::Lost(_));
        if sender.send(event).await.is_err() || last {
            return;
        }
    }
}

fn fault(error: ConnectionError, client_id: &str) -> LinkFault {
    match error {
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        }) => LinkFault::TakenOver { client_id: client_id.to_owned(), said: true },
        ConnectionError::ConnectionRefused(
            code @ (ConnectReturnCode::ServiceUnavailable
            | ConnectReturnCode::ServerUnavailable
            | ConnectReturnCode::ServerBusy
            | ConnectReturnCode::ConnectionRateExceeded),
        ) => LinkFault::Network(format!("the broker says {code:?}")),
        ConnectionError::ConnectionRefused(code) => refusal(&format!("{code:?}")),
        ConnectionError::Tls(error) => LinkFault::Tls(error.to_string()),
        other => LinkFault::Network(other.to_string()),
    }
}

impl Link for V5 {
    fn publish(&self, publish: Publish) -> Result<Ack, Closed> {
        let qos = if publish.acknowledged { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let mut options = PublishOptions::new(qos).retain(publish.retain);
        if let Some(correlation) = publish.correlation {
            let properties = PublishProperties { correlation_data: Some(correlation.into()), ..Default::default() };
            options = options.properties(properties);
        }
        let notice = self.0.try_publish_tracked(publish.topic, publish.payload, options).map_err(|_| Closed)?;
        Ok(Box::pin(async move {
            notice.wait_completion_async().await.map_err(|error| match error {
                PublishNoticeError::V5PubAck(reason) => Unacknowledged::Refused(format!("{reason:?}")),
                PublishNoticeError::RetainNotSupported => Unacknowledged::Refused("no retained messages".into()),
                _ => Unacknowledged::Lost,
            })
        }))
    }

    fn subscribe(&self, filter: &str) -> Result<(), Closed> {
        self.0.try_subscribe(filter, QoS::AtLeastOnce).map_err(|_| Closed)
    }

    fn disconnect(&self) {
        // A connection that is gone needs no goodbye.
        let _ = self.0.try_disconnect();
    }
}
