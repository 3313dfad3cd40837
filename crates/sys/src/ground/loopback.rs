//! A ground without a network namespace: its addresses as loopback addresses
//! of this machine.
//!
//! All of 127.0.0.0/8 is this machine's, and anybody may listen there. So where
//! no namespace is to be had, 10.244.1.7 is 127.16.1.7, say: each such ground
//! has three of the second numbers to itself. Everybody who goes through a ground
//! uses its own addresses and need not know; programs that make sockets
//! themselves are told the ones of the machine. A file stands in for the pin, so
//! that others find the same ground.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use super::{GroundError, routes};

/// What the file says, for whoever looks at it, too; then the block's number.
const WORDS: &str = "addresses of this ground are loopback addresses of this machine, block ";
/// The first second number of a block, and how many blocks there are. The
/// beginning and the end of 127.0.0.0/8 are used by others.
const FIRST: u8 = 16;
const BLOCKS: u8 = 70;
/// What the kernel knows of sockets that are bound.
const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/udp"];

/// Which part of 127.0.0.0/8 a ground has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block(u8);

/// Leaves word on `pin` that a ground of this kind is there.
pub(super) fn attach(pin: &Path) -> Result<Block, GroundError> {
    let failed = |action, source| GroundError::Pin {
        action,
        path: pin.to_path_buf(),
        source,
    };
    if let Some(folder) = pin.parent() {
        fs::create_dir_all(folder).map_err(|source| failed("make the folder of", source))?;
    }
    let mut hasher = DefaultHasher::new();
    pin.hash(&mut hasher);
    let block = Block::free(&taken(), hasher.finish());
    fs::write(pin, format!("{WORDS}{}\n", block.0)).map_err(|source| failed("write", source))?;
    Ok(block)
}

/// The block of the ground that is there, if it is of this kind.
pub(super) fn find(pin: &Path) -> io::Result<Option<Block>> {
    match fs::read_to_string(pin) {
        Ok(text) => Ok(text
            .strip_prefix(WORDS)
            .and_then(|number| number.trim_end().parse().ok())
            .filter(|number| *number < BLOCKS)
            .map(Block)),
        // The file of a namespace cannot be read.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
    }
}

/// Second numbers of loopback addresses at which somebody listens.
fn taken() -> BTreeSet<u8> {
    let mut taken = BTreeSet::new();
    for table in TABLES {
        // Where it cannot be read the block is as good a guess as any.
        let text = fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let local = line.split_whitespace().nth(1);
            let address = local.and_then(|local| u32::from_str_radix(local.get(..8)?, 16).ok());
            // As the processor has it in memory.
            let octets = address.map(u32::to_ne_bytes);
            if let Some([127, second, _, _]) = octets {
                taken.insert(second);
            }
        }
    }
    taken
}

impl Block {
    /// A block nobody uses, beginning the search at `wish`.
    fn free(taken: &BTreeSet<u8>, wish: u64) -> Self {
        let first = u8::try_from(wish % u64::from(BLOCKS)).unwrap_or(0);
        let numbers = (0..BLOCKS).map(|step| Self((first + step) % BLOCKS));
        let is_free = |block: &Self| (0..3).all(|kind| !taken.contains(&(block.second() + kind)));
        numbers.clone().find(is_free).unwrap_or(Self(first))
    }

    fn second(self) -> u8 {
        FIRST + 3 * self.0
    }

    /// An address of the ground as the machine has it; others stay.
    pub(super) fn on_machine(self, address: Ipv4Addr) -> Ipv4Addr {
        let [_, _, third, fourth] = address.octets();
        match routes::range_of(address) {
            Some(kind) => Ipv4Addr::from([127, self.second() + kind, third, fourth]),
            None => address,
        }
    }

    pub(super) fn socket_on_machine(self, address: SocketAddr) -> SocketAddr {
        match address.ip() {
            IpAddr::V4(ip) => SocketAddr::new(self.on_machine(ip).into(), address.port()),
            IpAddr::V6(_) => address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_ground_have_a_twin_and_others_none() {
        let twin = |text: &str| Block(1).on_machine(text.parse().unwrap()).to_string();
        assert_eq!(twin("10.244.1.7"), "127.19.1.7");
        assert_eq!(twin("10.96.0.1"), "127.20.0.1");
        assert_eq!(twin("10.97.0.1"), "10.97.0.1");
        assert_eq!(twin("127.0.0.1"), "127.0.0.1");
        assert_eq!(twin("0.0.0.0"), "0.0.0.0");
        assert!(Block(BLOCKS - 1).second() < 250);
    }

    #[test]
    fn a_block_somebody_uses_is_passed_over() {
        assert_eq!(Block::free(&BTreeSet::new(), 142), Block(2));
        assert_eq!(Block::free(&BTreeSet::from([22, 26]), 2), Block(4));
        let listener = std::net::TcpListener::bind("127.240.0.1:0").unwrap();
        assert!(taken().contains(&240));
        drop(listener);
    }
}
