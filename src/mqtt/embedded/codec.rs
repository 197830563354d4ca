//! Bytes to packets and back. Inside the broker every packet is one of MQTT 5; 3.1.1 is translated here.

use bytes::{Bytes, BytesMut};
use rumqttc_v4::mqttbytes::{Error as V4Error, v4};
use rumqttc_v5::mqttbytes::{
    Error as V5Error, QoS,
    v5::{self, ConnectReturnCode, Disconnect, DisconnectReasonCode, SubscribeReasonCode},
};

use crate::mqtt::link::MAX_PACKET;

/// A packet that cannot be read or written; the connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodecError {
    /// A CONNECT of a version that is not spoken here.
    #[error("neither MQTT 3.1.1 nor MQTT 5")]
    UnknownVersion,
    /// A packet that only servers send.
    #[error("a packet that only servers send")]
    NotForServers,
    #[error(transparent)]
    V4(V4Error),
    #[error(transparent)]
    V5(V5Error),
}

/// The version that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// MQTT 3.1.1.
    V4,
    /// MQTT 5.
    V5,
}

impl Version {
    /// The version of the CONNECT at the start of `buffer`; `None` until it is complete.
    pub fn of_connect(buffer: &BytesMut) -> Result<Option<Self>, CodecError> {
        match v4::Packet::read(&mut buffer.clone(), MAX_PACKET as usize) {
            Ok(_) => Ok(Some(Self::V4)),
            Err(V4Error::InsufficientBytes(_)) => Ok(None),
            Err(V4Error::InvalidProtocolLevel(5)) => Ok(Some(Self::V5)),
            Err(V4Error::InvalidProtocolLevel(_) | V4Error::InvalidProtocol) => Err(CodecError::UnknownVersion),
            Err(error) => Err(CodecError::V4(error)),
        }
    }

    /// Takes the next packet from `buffer`; `None` until it is complete.
    pub fn read(self, buffer: &mut BytesMut) -> Result<Option<v5::Packet>, CodecError> {
        match self {
            Self::V4 => match v4::Packet::read(buffer, MAX_PACKET as usize) {
                Ok(packet) => from_v4(packet).map(Some).ok_or(CodecError::NotForServers),
                Err(V4Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(CodecError::V4(error)),
            },
            Self::V5 => match v5::Packet::read(buffer, Some(MAX_PACKET)) {
                Ok(packet) => Ok(Some(packet)),
                Err(V5Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(CodecError::V5(error)),
            },
        }
    }

    /// Appends `packet` to `buffer`.
    pub fn write(self, packet: v5::Packet, buffer: &mut BytesMut) -> Result<(), CodecError> {
        match self {
            Self::V4 => match to_v4(packet) {
                // A PUBLISH of the largest size read from MQTT 5 is smaller in 3.1.1, so only the broker's own limit holds.
                Some(packet) => packet.write(buffer, usize::MAX).map(drop).map_err(CodecError::V4),
                None => Ok(()),
            },
            Self::V5 => packet.write(buffer, None).map(drop).map_err(CodecError::V5),
        }
    }
}

/// `None` for what only servers send.
fn from_v4(packet: v4::Packet) -> Option<v5::Packet> {
    Some(match packet {
        v4::Packet::Connect(connect) => {
            // A session of 3.1.1 that is not clean is kept without an end.
            let kept = (!connect.clean_session).then_some(u32::MAX);
            let properties = v5::ConnectProperties { session_expiry_interval: kept, ..v5::ConnectProperties::new() };
            let will = connect
                .last_will
                .map(|will| v5::LastWill::new(will.topic, will.message.to_vec(), will.qos, will.retain, None));
            let connect = v5::Connect {
                keep_alive: connect.keep_alive,
                client_id: connect.client_id,
                clean_start: connect.clean_session,
                properties: Some(properties),
            };
            v5::Packet::Connect(connect, will, v5::ConnectAuth::None)
        }
        v4::Packet::Publish(publish) => v5::Packet::Publish(v5::Publish {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            topic: publish.topic,
            pkid: publish.pkid,
            payload: publish.payload,
            properties: None,
        }),
        v4::Packet::PubAck(ack) => v5::Packet::PubAck(v5::PubAck::new(ack.pkid, None)),
        v4::Packet::PubRec(ack) => v5::Packet::PubRec(v5::PubRec::new(ack.pkid, None)),
        v4::Packet::PubRel(ack) => v5::Packet::PubRel(v5::PubRel::new(ack.pkid, None)),
        v4::Packet::PubComp(ack) => v5::Packet::PubComp(v5::PubComp::new(ack.pkid, None)),
        v4::Packet::Subscribe(subscribe) => v5::Packet::Subscribe(v5::Subscribe {
            pkid: subscribe.pkid,
            filters: subscribe
                .filters
                .into_iter()
                .map(|filter| v5::SubscribeFilter::new(filter.path, filter.qos))
                .collect(),
            properties: None,
        }),
        v4::Packet::Unsubscribe(unsubscribe) => v5::Packet::Unsubscribe(v5::Unsubscribe {
            pkid: unsubscribe.pkid,
            filters: unsubscribe.topics,
            properties: None,
        }),
        v4::Packet::PingReq => v5::Packet::PingReq,
        v4::Packet::Disconnect => v5::Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection)),
        _ => return None,
    })
}

/// What 3.1.1 has no packet for is left out.
fn to_v4(packet: v5::Packet) -> Option<v4::Packet> {
    Some(match packet {
        v5::Packet::ConnAck(ack) => {
            let code = match ack.code {
                ConnectReturnCode::Success => v4::ConnectReturnCode::Success,
                ConnectReturnCode::ClientIdentifierNotValid => v4::ConnectReturnCode::BadClientId,
                ConnectReturnCode::UnsupportedProtocolVersion => v4::ConnectReturnCode::RefusedProtocolVersion,
                _ => v4::ConnectReturnCode::ServiceUnavailable,
            };
            v4::Packet::ConnAck(v4::ConnAck::new(code, ack.session_present))
        }
        v5::Packet::Publish(publish) => v4::Packet::Publish(v4::Publish {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            topic: publish.topic,
            pkid: publish.pkid,
            payload: publish.payload,
        }),
        v5::Packet::PubAck(ack) => v4::Packet::PubAck(v4::PubAck::new(ack.pkid)),
        v5::Packet::PubRec(ack) => v4::Packet::PubRec(v4::PubRec::new(ack.pkid)),
        v5::Packet::PubComp(ack) => v4::Packet::PubComp(v4::PubComp::new(ack.pkid)),
        v5::Packet::SubAck(ack) => {
            let code = |code| match code {
                SubscribeReasonCode::Success(qos) => v4::SubscribeReasonCode::Success(qos),
                _ => v4::SubscribeReasonCode::Failure,
            };
            v4::Packet::SubAck(v4::SubAck::new(ack.pkid, ack.return_codes.into_iter().map(code).collect()))
        }
        v5::Packet::UnsubAck(ack) => v4::Packet::UnsubAck(v4::UnsubAck::new(ack.pkid)),
        v5::Packet::PingResp => v4::Packet::PingResp,
        _ => return None,
    })
}

/// A CONNACK without properties.
pub(super) fn connack(code: ConnectReturnCode, session_present: bool) -> v5::ConnAck {
    v5::ConnAck { session_present, code, properties: None }
}

/// The message of a last will.
pub(super) fn will_message(will: v5::LastWill) -> v5::Publish {
    let properties = will.properties.map(|given| v5::PublishProperties {
        payload_format_indicator: given.payload_format_indicator,
        message_expiry_interval: given.message_expiry_interval,
        response_topic: given.response_topic,
        correlation_data: given.correlation_data,
        user_properties: given.user_properties,
        content_type: given.content_type,
        ..Default::default()
    });
    v5::Publish {
        dup: false,
        qos: will.qos,
        retain: will.retain,
        topic: will.topic,
        pkid: 0,
        payload: will.message,
        properties,
    }
}

/// `publish` as the router keeps it: with bytes of its own, so that a small message does not hold a large read buffer,
/// at most QoS 1, and without what belongs to its sender's connection.
pub(super) fn routed(mut publish: v5::Publish) -> v5::Publish {
    publish.topic = Bytes::copy_from_slice(&publish.topic);
    publish.payload = Bytes::copy_from_slice(&publish.payload);
    if let Some(properties) = &mut publish.properties {
        properties.correlation_data = properties.correlation_data.as_deref().map(Bytes::copy_from_slice);
        properties.subscription_identifiers.clear();
    }
    publish.dup = false;
    publish.pkid = 0;
    if publish.qos == QoS::ExactlyOnce {
        publish.qos = QoS::AtLeastOnce;
    }
    publish
}
