//! The store as its users see it: crashes, races, watches.

mod clients;
mod concurrency;
mod crash;
mod damage;
mod disk;
mod linear;
mod power;
mod restart;
mod watch;

use foreshore_engine_store::{Body, Expect, Key, Op, Resource};

fn key(name: &str) -> Key {
    Key::new(Resource::new("things"), "space", name)
}

fn put(name: &str, expect: Expect, text: &str) -> Op {
    Op::Put {
        key: key(name),
        expect,
        body: Body::opaque(text.as_bytes()),
    }
}

fn delete(name: &str, expect: Expect) -> Op {
    Op::Delete {
        key: key(name),
        expect,
        last: Body::opaque(*b"last"),
    }
}

/// Seeds of a test with so many rounds; the soak makes ten times as many, from its own seed.
#[expect(
    clippy::disallowed_methods,
    reason = "the soak says where to begin and that there is time"
)]
fn rounds(usual: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = number("FORESHORE_SEED").filter(|_| number("FORESHORE_SOAK").is_some());
    match seed {
        None => 0..usual,
        Some(seed) => {
            let first = seed.wrapping_mul(1_000_003) >> 4;
            first..first + 10 * usual
        }
    }
}
