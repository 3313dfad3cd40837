//! The store as its users see it: crashes, races, watches.

mod concurrency;
mod crash;
mod damage;
mod disk;
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
