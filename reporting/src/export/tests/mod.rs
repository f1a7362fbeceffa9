//! Exports of handwritten read models.

mod formats;
mod handwritten;
mod over_http;
mod rows;
