//! The documentation agrees with the code, and the crates with the arrows drawn in it.
//!
//! One module per property.

#[path = "../support/mod.rs"]
mod support;

mod cited_requirements_exist;
mod crates_depend_inwards;
mod every_test_file_is_run;
mod the_page_of_operating_is_true;
mod the_page_of_reporting_is_true;
mod the_page_of_the_read_model_is_true;
