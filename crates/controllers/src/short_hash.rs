//! Short names for contents: the endings of names that templates give.

/// Letters and digits that form no words, as in other Kubernetes names.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Returns a short name for `bytes`.
///
/// It depends on nothing but the bytes and `collisions`, so a controller that
/// is restarted between two writes gives the same name again.
pub(crate) fn short_hash(bytes: &[u8], collisions: i32) -> String {
    let salt = if collisions == 0 {
        Vec::new()
    } else {
        collisions.to_le_bytes().to_vec()
    };
    fnv32a(bytes.iter().chain(&salt))
        .to_string()
        .bytes()
        .map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()]))
        .collect()
}

fn fnv32a<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    bytes.fold(0x811c_9dc5, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
