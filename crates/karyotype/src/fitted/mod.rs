//! Numbers that tools/fit writes; each file's head has its command.

pub(crate) mod polarity;
pub(crate) mod profiles;
pub(crate) mod settings;
pub(crate) mod settings_in_context;
pub(crate) mod structure;
