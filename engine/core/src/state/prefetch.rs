//! Telling the processor which memory will be read soon, so that it fetches several places at once.
#![expect(unsafe_code, reason = "the processor's hint has no safe form")]

/// Asks for the cache line of an address. Has no effect that a program can see; where the processor has no such hint known here, none
/// at all.
#[inline(always)]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction reads nothing into the program, and does not fault on any address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
