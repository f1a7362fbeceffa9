//! Exports of handwritten read models.

mod download;
mod formats;
mod model;
mod rows;
