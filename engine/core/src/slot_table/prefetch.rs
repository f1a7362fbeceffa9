//! Announces memory that will be read soon, so that the processor fetches several locations at once.
#![expect(unsafe_code, reason = "the processor's hint has no safe form")]

/// Prefetches the cache line of an address. Has no visible effect; does nothing on processors without a known instruction.
#[inline(always)]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction loads nothing into the program and does not fault on any address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
