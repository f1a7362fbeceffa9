//! The routes, by subject. Each has a line for its parameters and a line for its query.

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

/// Reads the position before which a page begins.
fn before(from: &mut Parameters) -> Result<Option<u64>, Problem> {
    from.number("before", 0, WHOLE_MAX, "Only items before this position: the `next` of the previous page.")
}
