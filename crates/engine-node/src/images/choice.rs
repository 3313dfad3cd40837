//! Which image goes next; pure.

use std::time::Duration;

use foreshore_model::Digest;
use jiff::{SignedDuration, Timestamp};

/// What is known of one image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) digest: &'a Digest,
    pub(super) last_used: Timestamp,
    pub(super) is_in_use: bool,
}

/// The image whose last use is longest ago; never one in use, and none that
/// was used within `unused_min`.
pub(super) fn next_to_go<'a>(
    images: impl Iterator<Item = Seen<'a>>,
    now: Timestamp,
    unused_min: Duration,
) -> Option<&'a Digest> {
    let rest = SignedDuration::try_from(unused_min).unwrap_or(SignedDuration::MAX);
    images
        .filter(|image| !image.is_in_use && now.duration_since(image.last_used) >= rest)
        .min_by_key(|image| (image.last_used, image.digest))
        .map(|image| image.digest)
}

/// How much of a disk is used, in hundredths, as kubelet counts: what only
/// root may still fill counts as used.
pub(super) fn used_percent(blocks: u64, available: u64) -> u8 {
    let free = available.saturating_mul(100) / blocks.max(1);
    100 - u8::try_from(free.min(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(images: &[(u8, i64, bool)], expected: Option<u8>) {
        let digests: Vec<Digest> = images
            .iter()
            .map(|(name, ..)| Digest::of(&[*name]))
            .collect();
        let seen = images
            .iter()
            .zip(&digests)
            .map(|((_, used, in_use), digest)| Seen {
                digest,
                last_used: Timestamp::from_second(*used).unwrap(),
                is_in_use: *in_use,
            });
        let now = Timestamp::from_second(1000).unwrap();
        let found = next_to_go(seen, now, Duration::from_mins(2));
        let expected = expected.map(|name| Digest::of(&[name]));
        assert_eq!(found, expected.as_ref());
    }

    #[test]
    fn the_image_unused_for_longest_goes_first() {
        check(
            &[(1, 300, false), (2, 200, false), (3, 500, false)],
            Some(2),
        );
    }

    #[test]
    fn an_image_in_use_stays_however_old_it_is() {
        check(&[(1, 300, false), (2, 200, true)], Some(1));
        check(&[(2, 200, true)], None);
    }

    #[test]
    fn an_image_used_a_moment_ago_stays() {
        check(&[(1, 881, false)], None);
        check(&[(1, 880, false)], Some(1));
        // Clocks that were set back make nothing older.
        check(&[(1, 5000, false)], None);
    }

    #[test]
    fn what_is_kept_for_root_counts_as_used() {
        assert_eq!(used_percent(1000, 150), 85);
        assert_eq!(used_percent(1000, 1000), 0);
        assert_eq!(used_percent(1000, 0), 100);
        assert_eq!(used_percent(0, 0), 100);
    }
}
