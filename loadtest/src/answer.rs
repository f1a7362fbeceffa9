//! What a request received: the answers by the shape of the request, and all answers of a run by request id.

use std::collections::HashMap;

use scrip_protocol::command::{
    Activated, AddCodes, AddCodesOutcome, Check, CheckOutcome, Confirm, ConfirmOutcome, Hold, HoldOutcome, Redeem, RedeemOutcome,
    Release, ReleaseOutcome, TopUp, TopUpOutcome,
};
use scrip_protocol::frame::{Frame, Malformed};
use scrip_protocol::{Position, Refusal, RequestId};

use crate::mix::Shape;

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The outcome of a redemption.
    Redeem(RedeemOutcome),
    /// The outcome of a hold.
    Hold(HoldOutcome),
    /// The outcome of a confirmation.
    Confirm(ConfirmOutcome),
    /// The outcome of a release.
    Release(ReleaseOutcome),
    /// The outcome of an import.
    Codes(Box<AddCodesOutcome>),
    /// The outcome of a top-up.
    TopUp(TopUpOutcome),
    /// The verdicts of a check.
    Checked {
        /// How many.
        verdicts: u32,
        /// The journal position of the check.
        as_of: Position,
    },
    /// The check had too many codes.
    TooManyChecked,
    /// A refusal other than busy.
    Refused(Refusal),
    /// Busy, with no retry left.
    Busy {
        /// Whether the request was also sent over a connection that ended before the answer: it may have been executed.
        uncertain: bool,
    },
}

impl Answer {
    /// The word of the answer; `None` for busy.
    pub fn word(&self) -> Option<&'static str> {
        Some(match self {
            Answer::Redeem(outcome) => outcome.word(),
            Answer::Hold(outcome) => match outcome {
                HoldOutcome::Held(_) => "held",
                HoldOutcome::InvalidTtl => "hold_invalid_ttl",
                HoldOutcome::Refused(_) => "hold_refused",
                HoldOutcome::TooManyHolds => "hold_too_many",
            },
            Answer::Confirm(outcome) => match outcome {
                ConfirmOutcome::Confirmed(_) => "confirmed",
                ConfirmOutcome::UnknownHold => "confirm_unknown_hold",
                ConfirmOutcome::AlreadyConfirmed(_) => "confirm_already_confirmed",
                ConfirmOutcome::Released => "confirm_released",
                ConfirmOutcome::UnknownTopUp => "confirm_unknown_top_up",
                ConfirmOutcome::Expired(_) => "confirm_expired",
                ConfirmOutcome::AmountLimit => "confirm_amount_limit",
            },
            Answer::Release(outcome) => match outcome {
                ReleaseOutcome::Released => "released",
                ReleaseOutcome::UnknownHold => "release_unknown_hold",
                ReleaseOutcome::AlreadyConfirmed(_) => "release_already_confirmed",
                ReleaseOutcome::AlreadyReleased => "release_already_released",
            },
            Answer::Codes(outcome) => match **outcome {
                AddCodesOutcome::Added(_) => "codes_added",
                AddCodesOutcome::UnknownCampaign => "codes_unknown_campaign",
                AddCodesOutcome::CampaignArchived => "add_codes_campaign_archived",
                AddCodesOutcome::TooManyLines => "add_codes_too_many_lines",
                AddCodesOutcome::CodesMissing => "codes_missing",
                AddCodesOutcome::Conflicts(_) => "codes_conflicts",
                AddCodesOutcome::TooManyCodes(_) => "codes_too_many",
            },
            Answer::TopUp(outcome) => match outcome {
                TopUpOutcome::ToppedUp(_) => "topped_up",
                TopUpOutcome::InvalidAmount => "top_up_invalid_amount",
                TopUpOutcome::InvalidNote(_) => "top_up_invalid_note",
                TopUpOutcome::UnknownClub => "top_up_unknown_club",
                TopUpOutcome::AmountLimit => "top_up_amount_limit",
            },
            Answer::Checked { .. } => "checked",
            Answer::TooManyChecked => "check_too_many",
            Answer::Refused(refusal) => match refusal {
                Refusal::Forbidden { .. } => "refused_forbidden",
                Refusal::ClubForbidden { .. } => "refused_club_forbidden",
                Refusal::Busy { .. } => return None,
                Refusal::Revoked => "refused_revoked",
                Refusal::RequestIdInvalid => "refused_id_invalid",
                Refusal::RequestTooOld { .. } => "refused_too_old",
                Refusal::RequestFromFuture { .. } => "refused_from_future",
                Refusal::RequestIdReused => "refused_id_reused",
                Refusal::TooManyMisses { .. } => "refused_too_many_misses",
            },
            Answer::Busy { .. } => return None,
        })
    }

    /// Whether the engine records this answer: all but reads and refusals.
    pub(crate) fn is_recorded(&self) -> bool {
        match self {
            Answer::Redeem(_)
            | Answer::Hold(_)
            | Answer::Confirm(_)
            | Answer::Release(_)
            | Answer::Codes(_)
            | Answer::TopUp(_) => true,
            Answer::Checked { .. } | Answer::TooManyChecked | Answer::Refused(_) | Answer::Busy { .. } => false,
        }
    }

    /// The activation that the request made, if it made one.
    pub fn activated(&self) -> Option<&Activated> {
        match self {
            Answer::Redeem(RedeemOutcome::Redeemed(activated)) | Answer::Confirm(ConfirmOutcome::Confirmed(activated)) => {
                Some(activated)
            }
            Answer::Redeem(_) | Answer::Confirm(_) | Answer::Hold(_) | Answer::Release(_) => None,
            Answer::Codes(_) | Answer::TopUp(_) => None,
            Answer::Checked { .. } | Answer::TooManyChecked | Answer::Refused(_) | Answer::Busy { .. } => None,
        }
    }

    /// Decodes the reply to a request of this shape.
    pub(crate) fn read(shape: Shape, frame: &Frame<'_>) -> Result<Answer, Malformed> {
        let answer = match shape {
            Shape::Check => frame.reply::<Check>()?.map(|outcome| match outcome {
                CheckOutcome::Checked { codes, as_of } => Answer::Checked { verdicts: codes.len() as u32, as_of },
                CheckOutcome::TooManyCodes => Answer::TooManyChecked,
            }),
            Shape::Hold => frame.reply::<Hold>()?.map(Answer::Hold),
            Shape::Confirm => frame.reply::<Confirm>()?.map(Answer::Confirm),
            Shape::Release => frame.reply::<Release>()?.map(Answer::Release),
            Shape::Import => frame.reply::<AddCodes>()?.map(|outcome| Answer::Codes(Box::new(outcome))),
            Shape::TopUp => frame.reply::<TopUp>()?.map(Answer::TopUp),
            Shape::Distinct | Shape::Hot | Shape::Capped | Shape::Miss | Shape::Spent | Shape::Any => {
                frame.reply::<Redeem>()?.map(Answer::Redeem)
            }
        };
        Ok(answer.unwrap_or_else(Answer::Refused))
    }
}

/// The exchange of each request id.
pub type Exchanges = HashMap<RequestId, Exchange>;

/// A request and its answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// The shape of the request.
    pub shape: Shape,
    /// The answer; `None` if none was received.
    pub answer: Option<Answer>,
    /// A different answer to a retry, if there was one.
    pub other: Option<Box<Answer>>,
}

impl Exchange {
    /// A request that has no answer yet.
    pub(crate) fn new(shape: Shape) -> Exchange {
        Exchange { shape, answer: None, other: None }
    }

    /// Adds an answer. Returns whether it is the same as one received before.
    pub(crate) fn add(&mut self, answer: Answer) -> bool {
        match (&self.answer, answer) {
            // An answer replaces busy, never the reverse; a certain busy does not replace an uncertain one.
            (Some(_), Answer::Busy { .. }) => {}
            (None | Some(Answer::Busy { .. }), answer) => self.answer = Some(answer),
            (Some(before), answer) if *before == answer => return true,
            (Some(_), answer) => self.other = Some(Box::new(answer)),
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A load has one for each request before its clock starts.
    #[test]
    fn an_answer_takes_little_memory() {
        assert!(size_of::<Option<Answer>>() <= 56, "{}", size_of::<Option<Answer>>());
    }
}
