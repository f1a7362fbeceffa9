//! Exports of read models that are written by hand.

mod download;
mod formats;
mod model;
mod rows;
