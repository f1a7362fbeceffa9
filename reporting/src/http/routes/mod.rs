//! The routes, by what they are about. Each is a line with its parameters and a line with its query.

pub(crate) mod activations;
pub(crate) mod campaigns;
pub(crate) mod changes;
pub(crate) mod clients;
pub(crate) mod exports;
pub(crate) mod metrics;
pub(crate) mod rules;
pub(crate) mod search;

use scrip_web::parameters::{Parameters, WHOLE_MAX};
use scrip_web::problem::Problem;

/// Only what comes before this position.
fn before(from: &mut Parameters) -> Result<Option<u64>, Problem> {
    from.number("before", 0, WHOLE_MAX, "Only what comes before this position: the `next` of the page before.")
}
