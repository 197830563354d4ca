//! Topics, messages, session and commands of the broker connection.
