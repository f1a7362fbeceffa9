//! What is read beside the engine: the sidecar, exports, metrics and the HTTP interface.
//!
//! One module per property.

#[path = "../support/mod.rs"]
mod support;

mod a_read_model_begins_from_a_snapshot;
mod an_export_is_whole_or_not_there;
mod the_engine_says_how_it_is;
mod the_interface_keeps_its_own_document;
mod the_sidecar_is_killed_and_goes_on;
