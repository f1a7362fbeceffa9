//! Top-up rules: their language, which of them fire on a top-up, and what is odd about them.
//!
//! Everything in here is a pure function of its arguments: no file, clock, lock or thread. The engine decides with it, and whoever
//! has the records can work out with it what a rule would have done.
