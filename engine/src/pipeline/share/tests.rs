use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::pipeline::Outbox;

const LIMITS: ShareLimits = ShareLimits {
    requests_max: 100,
    reply_bytes_max: 1_000,
    reply_bytes_total: 3_000,
    stream_bytes_max: 500,
    stream_bytes_total: 1_200,
    unwritten_spare: 10,
    reserved_max: 8 << 10,
    reserved_total: 12 << 10,
    small_max: 512,
    small_reserved_max: 2 << 10,
    small_reserved_total: 3 << 10,
    lists_max: 8 << 10,
    lists_total: 12 << 10,
    large_frames_max: 128 << 10,
    pages_max: 2,
    streams_max: 3,
    lookups_max: 2,
    lookups_total: 3,
};

fn polled<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match polled(pin!(future)) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn shares(number: u32) -> Vec<Arc<Share>> {
    let totals = Totals::new(LIMITS);
    (1..=number).map(|credential| totals.share_of(CredentialId(credential))).collect()
}

#[test]
fn all_connections_of_a_credential_have_one_share() {
    let totals = Totals::new(LIMITS);
    let (first, again) = (totals.share_of(CredentialId(1)), totals.share_of(CredentialId(1)));
    assert!(Arc::ptr_eq(&first, &again) && !Arc::ptr_eq(&first, &totals.share_of(CredentialId(2))));
    assert_eq!(totals.shares.lock().len(), 2);
    drop((first, again));
    let _other = totals.share_of(CredentialId(3));
    assert_eq!(totals.shares.lock().len(), 1, "a credential without connections is forgotten");
}

/// Reply bytes count from their delivery until they are written, and a credential that receives none stops only itself.
#[test]
fn replies_that_nobody_takes_hold_up_their_own_credential_alone() {
    let shares = shares(4);
    let lanes: Vec<Arc<Outbox>> = (0..5).map(|_| Arc::new(Outbox::new(shares[0].clone()))).collect();
    for lane in &lanes {
        lane.expect(1);
        lane.deliver(vec![0; 201], 1);
        // Taken by the writer, while the caller's stream accepts nothing.
        assert_eq!(now(lane.take()).flatten().map(|pieces| pieces.concat().len()), Some(201));
    }
    assert!(!shares[0].has_room(Unwritten::Replies), "five lanes have 1,005 bytes");
    assert!(shares[1].has_room(Unwritten::Replies) && shares[0].has_room(Unwritten::Streams));
    let mut waiting = Box::pin(lanes[0].share_room(Unwritten::Replies));
    assert!(polled(waiting.as_mut()).is_pending());
    // The writer takes more once it has written what it had.
    assert!(now(lanes[1].take()).is_none());
    assert!(polled(waiting.as_mut()).is_ready(), "804 bytes are left");
    drop(waiting);
    lanes[1].close();
    drop(lanes);
    assert_eq!(shares[0].replies.get() + shares[0].totals.replies.get(), 0, "what is never written does not count");
}

/// All lanes of a credential have read a request before the first of them gets its reply, and no reply is read: the delivered
/// bytes are bounded all the same.
#[test]
fn lanes_that_waited_for_their_turn_wait_for_unread_replies_as_well() {
    let shares = shares(1);
    let lanes: Vec<Outbox> = (0..40).map(|_| Outbox::new(shares[0].clone())).collect();
    let mut turns: Vec<_> = lanes.iter().map(|lane| Some(Box::pin(lane.reserve(1 << 10, true)))).collect();
    let pages = [now(shares[0].reserve(1, true)), now(shares[0].reserve(1, true))];
    assert!(turns.iter_mut().flatten().all(|turn| polled(turn.as_mut()).is_pending()), "nothing is unread, but there is no page");
    drop(pages);
    let mut is_turn = true;
    while std::mem::take(&mut is_turn) {
        for (lane, turn) in lanes.iter().zip(&mut turns) {
            if let Some(waiting) = turn
                && let Poll::Ready(reserved) = polled(waiting.as_mut())
            {
                lane.expect(1);
                lane.deliver(vec![0; 300], 1);
                drop(reserved);
                (*turn, is_turn) = (None, true);
            }
        }
    }
    let (unread, waiting) = (shares[0].replies.get(), turns.iter().flatten().count());
    assert!(unread <= 2_000 + (8 << 10), "twice the maximum for empty lanes, and the reservations in hand: {unread}");
    assert!(unread <= 2_400 && waiting == 40 - unread / 300, "{unread} bytes, {waiting} lanes wait");
}

/// Lanes that wait until their caller reads other replies keep no pages, and no reserved bytes, from other lanes of its credential.
#[test]
fn a_lane_that_waits_for_its_caller_holds_nothing() {
    let shares = shares(1);
    let lanes: Vec<Outbox> = (0..3).map(|_| Outbox::new(shares[0].clone())).collect();
    lanes[..2].iter().for_each(|lane| lane.deliver(vec![0; 510], 0));
    let mut waiting: Vec<_> = lanes[..2].iter().map(|lane| Box::pin(lane.reserve(8 << 10, true))).collect();
    assert!(waiting.iter_mut().all(|turn| polled(turn.as_mut()).is_pending()), "1,020 bytes are unread");
    let served = [now(lanes[2].reserve(4 << 10, true)), now(lanes[2].reserve(4 << 10, true))];
    assert!(served.iter().all(Option::is_some), "it has no unread replies");
    drop(served);
    assert!(now(lanes[0].take()).is_some() && now(lanes[0].take()).is_none());
    assert!(polled(waiting[0].as_mut()).is_ready(), "510 bytes are unread");
}

/// The sum over all credentials is bounded; one that has almost nothing is served all the same.
#[test]
fn callers_that_take_nothing_do_not_lock_out_one_that_does() {
    let shares = &shares(5)[..];
    shares[..4].iter().for_each(|share| share.add(Unwritten::Replies, 900));
    assert!(shares[..4].iter().all(|share| !share.has_room(Unwritten::Replies)), "3,600 of all are too many");
    assert!(shares[4].has_room(Unwritten::Replies));
    shares[4].add(Unwritten::Replies, 11);
    let room = |share: usize| shares[share].room(Unwritten::Replies, move || shares[share].has_room(Unwritten::Replies));
    let (mut first, mut last) = (pin!(room(0)), pin!(room(4)));
    assert!(polled(first.as_mut()).is_pending() && polled(last.as_mut()).is_pending());
    shares[4].sub(Unwritten::Replies, 1);
    assert!(polled(first.as_mut()).is_pending() && polled(last.as_mut()).is_ready());
    shares[1].sub(Unwritten::Replies, 900);
    assert!(polled(first.as_mut()).is_ready(), "the sum has fallen");
}

/// A lane that receives its replies is served beside others of its credential that do not, up to twice their maximum.
#[test]
fn a_lane_that_takes_its_replies_is_served_beside_others_that_do_not() {
    let shares = shares(1);
    let [stuck, other] = [Outbox::new(shares[0].clone()), Outbox::new(shares[0].clone())];
    stuck.deliver_part(vec![0; 800]);
    assert!(now(stuck.share_room(Unwritten::Streams)).is_none() && now(other.share_room(Unwritten::Streams)).is_some());
    other.deliver_part(vec![0; 10]);
    let mut waiting = pin!(other.share_room(Unwritten::Streams));
    assert!(polled(waiting.as_mut()).is_pending());
    assert!(now(other.take()).is_some() && now(other.take()).is_none());
    assert!(polled(waiting.as_mut()).is_ready(), "all of it is written");
    stuck.deliver_part(vec![0; 201]);
    assert!(now(other.share_room(Unwritten::Streams)).is_none(), "twice as much is the limit");
    stuck.close();
    assert!(now(other.share_room(Unwritten::Streams)).is_some());
}

/// Tails have a separate limit.
#[test]
fn parts_of_streams_are_limited_separately_from_replies() {
    let shares = shares(2);
    let lane = Outbox::new(shares[0].clone());
    lane.deliver_part(vec![0; 501]);
    assert!(!shares[0].has_room(Unwritten::Streams) && shares[0].has_room(Unwritten::Replies));
    shares[1].add(Unwritten::Streams, 400);
    shares[0].add(Unwritten::Streams, 300);
    assert!(!shares[1].has_room(Unwritten::Streams), "1,201 of both are too many");
    assert!(now(lane.room(usize::MAX, 500)).is_none() && now(lane.room(usize::MAX, 501)).is_some());
    now(lane.take()).expect("there is something");
    assert!(now(lane.room(usize::MAX, 500)).is_none(), "it is not written yet");
    assert!(now(lane.take()).is_none());
    assert!(now(lane.room(usize::MAX, 0)).is_some() && shares[1].has_room(Unwritten::Streams));
    let places: Vec<_> = (0..4).map(|_| shares[0].stream()).collect();
    assert_eq!(places.iter().flatten().count(), 3);
    assert!(shares[1].stream().is_some());
}

/// A credential may have a part of the requests in progress, and one chunk of any size.
#[test]
fn a_credential_has_a_share_of_the_requests_in_progress() {
    let shares = shares(2);
    let lanes = [Outbox::new(shares[0].clone()), Outbox::new(shares[0].clone()), Outbox::new(shares[1].clone())];
    assert!(lanes[0].try_expect(101), "it has none in progress");
    assert!(!lanes[1].try_expect(1) && lanes[2].try_expect(100));
    lanes[0].deliver(vec![0], 50);
    assert!(lanes[1].try_expect(49) && !lanes[1].try_expect(1));
    let [first, second, _] = lanes;
    drop((first, second));
    assert_eq!(shares[0].requests.load(Ordering::Relaxed), 0, "what is never answered does not count");
}

/// The bytes of long replies are reserved before the request is handed over, in turn; pages are few.
#[test]
fn long_replies_are_reserved_before_they_are_made() {
    let shares = shares(3);
    let reserve = |share: usize, bytes, is_page| now(shares[share].reserve(bytes, is_page));
    let first = reserve(0, 5 << 10, false).expect("there is room");
    assert!(reserve(0, 4 << 10, false).is_none(), "a credential has 8 KiB");
    let second = reserve(0, 3 << 10, true).expect("there is room");
    let third = reserve(1, 4 << 10, true).expect("there is room");
    assert!(reserve(2, 1 << 10, false).is_none(), "all have 12 KiB");
    drop((first, second, third));
    let pages = [reserve(0, 1, true), reserve(0, 1, true)];
    assert!(pages.iter().all(Option::is_some) && reserve(0, 1, true).is_none() && reserve(0, 1, false).is_some());
    drop(pages);
    assert!(reserve(0, usize::MAX, true).is_some(), "more than a credential may have is all that it may have");
}

/// A status, or the verdict about a code, does not wait for pages of its credential or of others.
#[test]
fn short_replies_do_not_wait_behind_long_ones() {
    let shares = shares(3);
    let reserve = |share: usize, bytes, is_page| now(shares[share].reserve(bytes, is_page));
    let long = [reserve(0, 8 << 10, false), reserve(1, 4 << 10, true)];
    assert!(long.iter().all(Option::is_some), "all have 12 KiB");
    let mut waiting = pin!(shares[2].reserve(4 << 10, true));
    assert!(polled(waiting.as_mut()).is_pending());
    let short = [reserve(0, 512, false), reserve(0, 512, false), reserve(2, 1, false)];
    assert!(short.iter().all(Option::is_some));
    assert!(reserve(0, 1, false).is_none() && reserve(1, 1, false).is_none(), "these are bounded as well");
    drop(short);
    assert!(reserve(0, 1, false).is_some() && reserve(2, 513, false).is_none());
}

/// Lists of codes count before they are decoded, and a credential may have a part of the large frames.
#[test]
fn lists_and_large_frames_of_a_credential_are_bounded() {
    let shares = shares(3);
    let first = now(shares[0].list(6 << 10)).expect("there is room");
    assert!(now(shares[0].list(3 << 10)).is_none() && shares[0].try_list(3 << 10).is_none(), "a credential has 8 KiB");
    let second = shares[1].try_list(6 << 10).expect("there is room");
    assert!(now(shares[2].list(1)).is_none() && shares[2].try_list(1).is_none(), "all have 12 KiB");
    drop((first, second));
    let all = now(shares[0].list(usize::MAX)).expect("more than a credential may have is all that it may have");
    assert!(shares[0].try_list(1).is_none() && shares[1].try_list(4 << 10).is_some());
    drop(all);
    let large = now(shares[0].large_frame(100 << 10)).expect("there is room");
    assert!(now(shares[0].large_frame(65 << 10)).is_none() && now(shares[1].large_frame(65 << 10)).is_some());
    drop(large);
    assert!(now(shares[0].large_frame(4 << 20)).is_some());
}

/// Reads of the journal for one credential leave threads for others.
#[test]
fn a_credential_has_few_lookups_at_once() {
    let shares = shares(2);
    let held: Vec<_> = (0..3).map(|_| now(shares[0].lookup())).collect();
    assert_eq!(held.iter().flatten().count(), 2);
    assert!(now(shares[1].lookup()).is_some());
    assert!(shares[0].generation().is_some_and(|_held| shares[0].generation().is_none()), "and one generation");
}
