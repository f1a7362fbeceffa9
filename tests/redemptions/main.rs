//! Codes, campaigns, holds, refunds and rules: each is redeemed and credited exactly as permitted, for any caller and at any time.
//!
//! One module per property.

#[path = "../support/mod.rs"]
mod support;

mod a_campaign_never_gives_more_than_its_limits;
mod a_code_is_never_activated_beyond_its_cap;
mod a_code_is_typed_during_a_top_up_of_its_client;
mod a_gateway_without_reasons_learns_none;
mod a_refund_names_what_it_gives_back;
mod a_request_has_one_effect;
mod a_rule_is_rehearsed_on_what_was;
mod an_activation_is_refunded_once;
mod codes_cannot_be_guessed;
mod codes_that_look_the_same_are_one_code;
mod pains;
mod rules_credit_top_ups;
