//! MQTT 3.1.1.

use rumqttc_v4::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, Incoming, LastWill, MqttOptions, PublishOptions,
    QoS, Transport,
};
use tokio::sync::mpsc;

use super::{
    link::{
        Ack, Closed, Connection, Link, LinkEvent, LinkFault, MAX_INCOMING, MAX_PACKET, Publish, Received,
        Unacknowledged, refusal,
    },
    settings::{BrokerSettings, SettingsError},
};

struct V4(AsyncClient);

pub(super) fn connect(settings: &BrokerSettings) -> Result<Connection, SettingsError> {
    let mut options = MqttOptions::new(settings.client_id.clone(), (settings.host.clone(), settings.port));
    options.set_keep_alive(settings.keep_alive.as_secs().clamp(1, 3600) as u16);
    options.set_max_packet_size(MAX_INCOMING as usize, MAX_PACKET as usize);
    options.set_inflight(settings.window);
    options.set_last_will(LastWill::new(settings.topics.of("availability"), "offline", QoS::AtLeastOnce, true));
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
    let driver = tokio::spawn(drive(events, sender));
    Ok(Connection::new(Box::new(V4(client)), receiver, driver))
}

async fn drive(mut events: EventLoop, sender: mpsc::Sender<LinkEvent>) {
    loop {
        let event = match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => LinkEvent::Connected(None),
            Ok(Event::Incoming(Incoming::Publish(publish))) => LinkEvent::Received(Received {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload.to_vec(),
                retained: publish.retain,
                response_topic: None,
                correlation: None,
            }),
            Ok(_) => continue,
            Err(error) => LinkEvent::Lost(fault(error)),
        };
        let last = matches!(event, LinkEvent::Lost(_));
        if sender.send(event).await.is_err() || last {
            return;
        }
    }
}

fn fault(error: ConnectionError) -> LinkFault {
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::ServiceUnavailable) => {
            LinkFault::Network("the broker says that its service is unavailable".into())
        }
        ConnectionError::ConnectionRefused(code) => refusal(&format!("{code:?}")),
        ConnectionError::Tls(error) => LinkFault::Tls(error.to_string()),
        other => LinkFault::Network(other.to_string()),
    }
}

impl Link for V4 {
    fn publish(&self, publish: Publish) -> Result<Ack, Closed> {
        let qos = if publish.acknowledged { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let options = PublishOptions::new(qos).retain(publish.retain);
        let notice = self.0.try_publish_tracked(publish.topic, publish.payload, options).map_err(|_| Closed)?;
        Ok(Box::pin(async move { notice.wait_completion_async().await.map_err(|_| Unacknowledged::Lost) }))
    }

    fn subscribe(&self, filter: &str) -> Result<(), Closed> {
        self.0.try_subscribe(filter, QoS::AtLeastOnce).map_err(|_| Closed)
    }

    fn disconnect(&self) {
        // A connection that is gone needs no goodbye.
        let _ = self.0.try_disconnect();
    }
}
