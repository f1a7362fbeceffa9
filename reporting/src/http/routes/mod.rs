//! The routes, by what they are about. Each is a line of what it is asked and a line of what is read.

pub(crate) mod activations;
pub(crate) mod campaigns;
pub(crate) mod changes;
pub(crate) mod clients;
pub(crate) mod exports;
pub(crate) mod metrics;
pub(crate) mod rules;
pub(crate) mod search;
