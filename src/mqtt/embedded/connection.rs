//! One client's connection: reads packets into the router, writes what the router has for it.

use std::{convert::Infallible, time::Duration};

use bytes::BytesMut;
use rumqttc_v5::mqttbytes::{
    has_wildcards,
    v5::{
        ConnAck, ConnAckProperties, Connect, ConnectReturnCode, DisconnectReasonCode, LastWill, Packet, Publish,
        Subscribe,
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::OwnedWriteHalf},
    sync::Notify,
    time::{sleep, timeout},
};

use super::{
    SharedRouter,
    codec::{CodecError, Version, connack},
    router::{ConnectionKey, Joined},
};
use crate::mqtt::link::MAX_PACKET;

/// How long a client may take to its CONNECT.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Pause after a publish while a subscriber falls behind.
const CONGESTION_PAUSE: Duration = Duration::from_millis(5);

/// Why a connection ended without a goodbye.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the connection was closed")]
    Closed,
    #[error("nothing came within the keep-alive time")]
    Silent,
    #[error("a packet that a client does not send here")]
    Unexpected,
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Serves a client until it leaves.
pub(super) async fn serve(stream: TcpStream, router: SharedRouter) {
    // Small packets go out at once; where that cannot be set they go out a little later.
    let _ = stream.set_nodelay(true);
    let (mut input, mut output) = stream.into_split();
    let mut buffer = BytesMut::new();
    let first = timeout(CONNECT_WITHIN, first_packet(&mut input, &mut buffer)).await.unwrap_or(Err(End::Silent));
    let (version, connect, will) = match first {
        Ok(first) => first,
        Err(end) => {
            tracing::debug!(%end, "no MQTT client");
            if matches!(end, End::Codec(CodecError::UnknownVersion)) {
                let refused = connack(ConnectReturnCode::UnsupportedProtocolVersion, false);
                let _ = send(&mut output, Version::V4, [Packet::ConnAck(refused)]).await;
            }
            return;
        }
    };
    let joined = router.lock().connect(&connect, will);
    let joined = match joined {
        Ok(joined) => joined,
        Err(code) => {
            let _ = send(&mut output, version, [Packet::ConnAck(connack(code, false))]).await;
            return;
        }
    };
    let Joined { key, session_present, wake, closed } = joined;
    tracing::debug!(client = key.client, ?version, "a client connected to the embedded broker");
    let accepted = welcome(&connect, &key, session_present);
    let end = tokio::select! {
        end = read(&mut input, buffer, version, connect.keep_alive, &key, &router) => end,
        Err(end) = write(&mut output, accepted, version, &wake, &key, &router) => Err(end),
        _ = closed => Err(End::Closed),
    };
    router.lock().leave(&key, matches!(end, Ok(Goodbye::WithoutWill)));
    if let Err(end) = end {
        tracing::debug!(client = key.client, %end, "a client of the embedded broker is gone");
    }
}

/// How a client left.
#[derive(Debug, PartialEq, Eq)]
enum Goodbye {
    WithWill,
    WithoutWill,
}

async fn first_packet(
    input: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<(Version, Connect, Option<LastWill>), End> {
    let version = loop {
        match Version::of_connect(buffer)? {
            Some(version) => break version,
            None => fill(input, buffer).await?,
        }
    };
    match version.read(buffer)? {
        Some(Packet::Connect(connect, will, _)) if will.as_ref().is_none_or(is_valid) => Ok((version, connect, will)),
        _ => Err(End::Unexpected),
    }
}

/// The codec checks topics of publishes only.
fn is_valid(will: &LastWill) -> bool {
    str::from_utf8(&will.topic).is_ok_and(|topic| !topic.is_empty() && !has_wildcards(topic) && !topic.contains('\0'))
}

async fn fill(input: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Result<(), End> {
    match input.read_buf(buffer).await? {
        0 => Err(End::Closed),
        _ => Ok(()),
    }
}

/// What MQTT 5 is to know of this broker.
fn welcome(connect: &Connect, key: &ConnectionKey, session_present: bool) -> ConnAck {
    let properties = ConnAckProperties {
        max_packet_size: Some(MAX_PACKET),
        assigned_client_identifier: connect.client_id.is_empty().then(|| key.client.clone()),
        subscription_identifiers_available: Some(0),
        shared_subscription_available: Some(0),
        session_expiry_interval: None,
        receive_max: None,
        max_qos: None,
        retain_available: None,
        topic_alias_max: None,
        reason_string: None,
        user_properties: Vec::new(),
        wildcard_subscription_available: None,
        server_keep_alive: None,
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    };
    ConnAck { session_present, code: ConnectReturnCode::Success, properties: Some(properties) }
}

/// Reads until the client says goodbye. `keep_alive` in seconds; 0: without an end.
async fn read(
    input: &mut (impl AsyncRead + Unpin),
    mut buffer: BytesMut,
    version: Version,
    keep_alive: u16,
    key: &ConnectionKey,
    router: &SharedRouter,
) -> Result<Goodbye, End> {
    let silence = match keep_alive {
        0 => Duration::MAX,
        seconds => Duration::from_millis(u64::from(seconds) * 1500),
    };
    loop {
        while let Some(packet) = version.read(&mut buffer)? {
            let mut congested = false;
            match packet {
                Packet::Publish(publish) if has_alias(&publish) => return Err(End::Unexpected),
                Packet::Subscribe(subscribe) if has_identifier(&subscribe) => return Err(End::Unexpected),
                Packet::Publish(publish) => congested = router.lock().receive(key, publish),
                Packet::PubAck(ack) => router.lock().acknowledge(key, ack.pkid),
                Packet::PubRel(release) => router.lock().release(key, release.pkid),
                Packet::Subscribe(subscribe) => router.lock().subscribe(key, subscribe),
                Packet::Unsubscribe(unsubscribe) => router.lock().unsubscribe(key, unsubscribe),
                Packet::PingReq => router.lock().reply(key, Packet::PingResp),
                Packet::Disconnect(goodbye) => {
                    if let Some(seconds) = goodbye.properties.and_then(|given| given.session_expiry_interval) {
                        router.lock().set_session_expiry(key, seconds);
                    }
                    return Ok(match goodbye.reason_code {
                        DisconnectReasonCode::NormalDisconnection => Goodbye::WithoutWill,
                        _ => Goodbye::WithWill,
                    });
                }
                _ => return Err(End::Unexpected),
            }
            if congested {
                sleep(CONGESTION_PAUSE).await;
            }
        }
        timeout(silence, fill(input, &mut buffer)).await.unwrap_or(Err(End::Silent))?;
    }
}

/// Aliases are not offered in the CONNACK.
fn has_alias(publish: &Publish) -> bool {
    publish.properties.as_ref().is_some_and(|properties| properties.topic_alias.is_some())
}

/// Subscription identifiers are declined in the CONNACK.
fn has_identifier(subscribe: &Subscribe) -> bool {
    subscribe.properties.as_ref().is_some_and(|properties| properties.id.is_some())
}

/// Writes `accepted`, then what the router has for this connection.
async fn write(
    output: &mut OwnedWriteHalf,
    accepted: ConnAck,
    version: Version,
    wake: &Notify,
    key: &ConnectionKey,
    router: &SharedRouter,
) -> Result<Infallible, End> {
    send(output, version, [Packet::ConnAck(accepted)]).await?;
    loop {
        let packets = router.lock().outgoing(key);
        if packets.is_empty() {
            wake.notified().await;
        } else {
            send(output, version, packets).await?;
        }
    }
}

async fn send(
    output: &mut OwnedWriteHalf,
    version: Version,
    packets: impl IntoIterator<Item = Packet>,
) -> Result<(), End> {
    let mut bytes = BytesMut::new();
    for packet in packets {
        version.write(packet, &mut bytes)?;
    }
    output.write_all(&bytes).await?;
    Ok(())
}
