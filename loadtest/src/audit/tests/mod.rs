//! Records that contradict each other, and records that do not.

mod accounts;
mod limits;
mod run;
