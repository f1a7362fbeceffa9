//! The load test: it offers what was requested, counts every reply, and compares with rivals that do the same work.
//!
//! One module per property.

#[path = "../support/mod.rs"]
mod support;

mod a_load_is_counted_to_its_last_request;
mod a_load_test_gives_what_it_measured;
mod a_load_test_says_what_it_found;
mod an_overloaded_engine_stays_itself;
mod the_rivals_do_the_same_work;
