//! Generates codes: one request at a time, outside the lanes.
//!
//! A thread for blocking work draws the codes, and counts the existing ones that the pattern could draw. It does neither for a
//! duplicate request, one that must not be executed, or one for a campaign that accepts no codes. A credential has one generation
//! in progress; further requests are `Busy`, so that many requests of one credential do not delay others.

use std::sync::Arc;

use scrip_protocol::command::{GUESSES_PER_HIT_MIN, GenerateCodes};
use scrip_protocol::frame::{FrameBuffer, REFUSAL, REPLY_BYTES_MAX, push_value};
use scrip_protocol::{Kind, Refusal, Stamp, wire};
use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use super::weight::LINES_WITH_OTHERS;
use crate::pipeline::{BUSY, Call, Change, Chunk, InboxFull, Intake, Outbox, Request, StoredReply};
use scrip_core::generate::draw;
use scrip_core::index::Index;
use scrip_core::state::{CodeList, Drawn, GenerateRequest, Mutation, guesses_per_hit};

/// Number of an organisation's codes up to which the existing codes of a pattern are counted, which takes some milliseconds.
/// Above it, all of them count as existing, unless the request would be refused for that.
const COUNTED_MAX: u64 = 65_536;

/// A request to generate codes.
pub(super) struct Generation {
    pub(super) correlation: u64,
    pub(super) stamp: Stamp,
    pub(super) request: GenerateCodes,
    /// The permit of its credential.
    pub(super) place: OwnedSemaphorePermit,
}

/// The engine thread's answer.
struct Answer {
    frames: Vec<u8>,
    stored: Vec<StoredReply>,
}

/// Starts a generation, which answers when it is done.
pub(super) fn begin(generation: Generation, shared: &Arc<Shared>, outbox: &Arc<Outbox>) {
    outbox.expect(1);
    let (shared, outbox) = (shared.clone(), outbox.clone());
    tokio::spawn(async move {
        let answer = generated(&generation, &shared, &outbox).await.unwrap_or(Answer { frames: Vec::new(), stored: Vec::new() });
        drop(generation.place);
        outbox.deliver_with(answer.frames, answer.stored, 1);
    });
}

/// The answer; none if nobody waits for it.
async fn generated(generation: &Generation, shared: &Arc<Shared>, lane: &Outbox) -> Option<Answer> {
    let Generation { correlation, stamp, request, .. } = generation;
    let ask = async |call| answered(*correlation, call, &shared.intake).await;
    let busy = || Call::Busy { kind: Kind::GenerateCodes, stamp: *stamp };
    let change = |request: GenerateRequest| Call::Change(Change::new(*stamp, Mutation::GenerateCodes(Box::new(request))));
    let looked = ask(Call::Look { kind: Kind::GenerateCodes, stamp: *stamp }).await?;
    match refusal(&looked) {
        None => return Some(looked),
        Some(Refusal::Busy { .. }) => {}
        // Sent again, so that it is counted.
        Some(_) => return ask(busy()).await,
    }
    if !shared.index.takes_codes(request.campaign) {
        // It is refused because of its campaign; or, if that was just restored, because of the codes that were not drawn.
        let drawn = Ok(Drawn { space: u128::MAX, existing: 0, list: CodeList::default() });
        return ask(change(GenerateRequest { campaign: request.campaign, count: request.count, drawn })).await;
    }
    let _turn = shared.generations.acquire().await.ok()?;
    if lane.is_closed() {
        return None;
    }
    let drawing = {
        let (shared, request) = (shared.clone(), request.clone());
        tokio::task::spawn_blocking(move || {
            let index = &*shared.index;
            draw(&request, index.form(), |space, matches| existing(index, request.count, space, matches))
        })
    };
    match drawing.await {
        // Keeps its turn until it is decided: the drawn codes take some MiB.
        Ok(drawn) => ask(change(drawn)).await,
        Err(error) => {
            tracing::error!(%error, "codes cannot be drawn");
            ask(busy()).await
        }
    }
}

/// An upper bound of the number of existing codes that a pattern could draw.
fn existing(index: &Index, count: u32, space: u128, matches: &dyn Fn(&str) -> bool) -> u64 {
    let all = index.count_max();
    match all > COUNTED_MAX && guesses_per_hit(space, all, count) >= GUESSES_PER_HIT_MIN {
        true => all,
        false => index.count(matches),
    }
}

/// Sends a request to the engine thread, and waits for its durable answer.
async fn answered(correlation: u64, call: Call, intake: &Intake) -> Option<Answer> {
    let outbox = Arc::new(Outbox::default());
    outbox.expect(1);
    let is_page = is_long(&call);
    let chunk = Chunk { outbox: outbox.clone(), requests: vec![Request { correlation, call }], budget: None, reserved: None };
    let offered = if is_page { intake.offer_page(chunk) } else { intake.offer(chunk) };
    if let Err(InboxFull(_)) = offered {
        let mut frames = Vec::new();
        push_value(&mut frames, REFUSAL, correlation, &BUSY);
        return Some(Answer { frames, stored: Vec::new() });
    }
    let frames = outbox.take().await?.concat();
    Some(Answer { frames, stored: std::iter::from_fn(|| outbox.take_stored()).collect() })
}

/// Whether a request waits apart from others, as a change with a long list does.
fn is_long(call: &Call) -> bool {
    let Call::Change(change) = call else { return false };
    matches!(&change.mutation, Mutation::GenerateCodes(request) if request.count as usize > LINES_WITH_OTHERS)
}

/// The refusal, if there is one.
fn refusal(answer: &Answer) -> Option<Refusal> {
    let mut buffer = FrameBuffer::default();
    buffer.extend(&answer.frames);
    let frame = buffer.next(REPLY_BYTES_MAX).ok()??;
    if frame.kind != REFUSAL {
        return None;
    }
    wire::decode("refusal", frame.body).ok()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use scrip_protocol::{CampaignId, CredentialId, RequestId};

    use super::*;
    use scrip_core::index::normalise;
    use scrip_core::state::{CodeAt, State};

    /// Many generated codes take the engine thread as long as a long list does: they wait apart from other requests.
    #[test]
    fn a_long_generation_waits_apart_from_other_requests() {
        let stamp = Stamp { request: RequestId(1), body: 0, credential: CredentialId(1) };
        let generation = |count| {
            let drawn = Ok(Drawn { space: u128::MAX, existing: 0, list: CodeList::default() });
            let request = GenerateRequest { campaign: CampaignId(1), count, drawn };
            Call::Change(Change::new(stamp, Mutation::GenerateCodes(Box::new(request))))
        };
        let (intake, mut next) = Intake::unserved();
        let mut waits_apart = |call| {
            let answered = pin!(answered(1, call, &intake)).poll(&mut Context::from_waker(Waker::noop())).is_ready();
            assert!(!answered, "nobody answers");
            next().expect("it was handed over")
        };
        assert!(!waits_apart(generation(1_024)) && waits_apart(generation(1_025)));
        assert!(!waits_apart(Call::Look { kind: Kind::GenerateCodes, stamp }));
    }

    /// In a large organisation, codes are only counted for a request that would be refused otherwise.
    #[test]
    fn codes_are_only_counted_if_they_are_few_or_decisive() {
        let index = Index::of(&State::default());
        let code = |slot: u32| (normalise(&format!("code-{slot}")).expect("a code"), CodeAt { campaign: CampaignId(1), slot });
        let counted = |space| (existing(&index, 1, space, &|_| true), index.walks());
        index.put_codes((0..1_000).map(code));
        assert_eq!(counted(u128::MAX), (0, 1), "they are few; of a campaign that there is not, none is live");
        index.put_codes((0..70_000).map(code));
        let enough = 70_001 * u128::from(GUESSES_PER_HIT_MIN);
        assert_eq!(counted(enough), (70_000, 1), "all of them are still few enough for the pattern");
        assert_eq!(counted(enough - 1), (0, 2), "whether the request is refused depends on how many there really are");
    }
}
