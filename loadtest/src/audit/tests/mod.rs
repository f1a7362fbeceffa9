//! Records that contradict each other, and records that do not.

mod day_of_a_client;
mod limits;
mod run;
