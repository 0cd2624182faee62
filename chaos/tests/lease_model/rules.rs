//! The rules of the protocol, each of which can be left out.

/// Which rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a rule of its own, left out by itself"
)]
pub struct Rules {
    /// A completion counts only with the fence of the live lease.
    pub completion_names_its_lease: bool,
    /// The same completion sent again is answered and changes nothing.
    pub end_is_final: bool,
    /// A process counts its deadline from the moment before it asked, not from the answer.
    pub deadline_from_request: bool,
    /// The reaper looks at the lease again in the transaction that ends it.
    pub expiry_looks_again: bool,
    /// A running task is cancelled when its process proves that it stopped, or its lease ran out.
    pub cancel_waits_for_proof: bool,
    /// A beat renews the leases of its own session only, not those of its worker's name.
    pub beats_are_of_a_session: bool,
}

impl Rules {
    /// All of them.
    pub const AS_BUILT: Self = Self {
        completion_names_its_lease: true,
        end_is_final: true,
        deadline_from_request: true,
        expiry_looks_again: true,
        cancel_waits_for_proof: true,
        beats_are_of_a_session: true,
    };
}
