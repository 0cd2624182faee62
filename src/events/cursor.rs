//! How a place in the event log is written down outside.

use uuid::Uuid;

use crate::db::calls::audit::Position;

/// A UUID that stands for a place in the log: transaction, then number, in order. Bits of a UUID that
/// name its version and variant are set as RFC 9562 asks for version 8.
#[must_use]
pub fn cursor((xid, seq): Position) -> Uuid {
    // 48 bits of the transaction, 4 of version, 12 more of it; 2 of variant, 62 of the number.
    let xid = u128::from(xid.cast_unsigned());
    let seq = u128::from(seq.cast_unsigned()) & ((1 << 62) - 1);
    let head = ((xid >> 12) & 0xffff_ffff_ffff) << 16 | 0x8000 | (xid & 0xfff);
    Uuid::from_u128(head << 64 | 0b10 << 62 | seq)
}

/// The place that a [`cursor`] stands for.
#[must_use]
pub fn position(cursor: Uuid) -> Position {
    let bits = cursor.as_u128();
    let head = (bits >> 64) & 0xffff_ffff_ffff_ffff;
    let xid = ((head >> 16) << 12) | (head & 0xfff);
    let seq = bits & ((1 << 62) - 1);
    (
        i64::try_from(xid).unwrap_or(i64::MAX),
        i64::try_from(seq).unwrap_or(i64::MAX),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        for place in [(0, 0), (1, 1), (0xabc, 77), (123_456_789_012, 1 << 60)] {
            let id = cursor(place);
            assert_eq!(position(id), place);
            assert_eq!(id.get_version_num(), 8);
        }
    }

    #[test]
    fn cursors_are_ordered_as_their_places() {
        let places = [
            (1, 9),
            (2, 1),
            (2, 2),
            (0xfff, 1),
            (0x1000, 0),
            (1 << 40, 3),
        ];
        assert!(places.map(cursor).is_sorted());
    }
}
