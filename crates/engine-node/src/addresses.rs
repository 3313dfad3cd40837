//! Which pod has which address. Kept on disk: a pod that outlives the node
//! keeps its address, and nobody else may get it meanwhile.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::shim::{FilesError, read_document, write_document};

/// The first and last number a pod may have; 1 is the node itself.
const POD_NUMBERS: std::ops::RangeInclusive<u8> = 2..=254;

#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("all addresses of this node are taken")]
    Exhausted,
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// The address of node number `index`.
pub(crate) fn node_address(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 244, index, 1)
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Table {
    /// By pod uid.
    taken: BTreeMap<String, u8>,
    /// Where the search for a free one goes on, so that an address rests
    /// before it is used again.
    next: u8,
}

/// The addresses of one node.
#[derive(Debug)]
pub(crate) struct Addresses {
    index: u8,
    path: PathBuf,
    table: Mutex<Table>,
}

impl Addresses {
    pub(crate) fn open(root: &Path, index: u8) -> Result<Self, FilesError> {
        let path = root.join("addresses.json");
        let table = read_document(&path)?.unwrap_or_default();
        Ok(Self {
            index,
            path,
            table: Mutex::new(table),
        })
    }

    /// The pod's address; the same one however often it is asked for.
    pub(crate) fn take(&self, uid: &str) -> Result<Ipv4Addr, AddressError> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let number = if let Some(number) = table.taken.get(uid) {
            *number
        } else {
            let number = table.free().ok_or(AddressError::Exhausted)?;
            table.taken.insert(uid.to_owned(), number);
            table.next = number.wrapping_add(1);
            write_document(&self.path, &*table)?;
            number
        };
        Ok(Ipv4Addr::new(10, 244, self.index, number))
    }

    pub(crate) fn release(&self, uid: &str) -> Result<(), FilesError> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.taken.remove(uid).is_some() {
            write_document(&self.path, &*table)?;
        }
        Ok(())
    }
}

impl Table {
    fn free(&self) -> Option<u8> {
        let is_free = |number: &u8| !self.taken.values().any(|taken| taken == number);
        let ahead = POD_NUMBERS.filter(|number| *number >= self.next);
        ahead.chain(POD_NUMBERS).find(is_free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_keeps_its_address_across_a_restart_of_the_node() {
        let folder = tempfile::tempdir().unwrap();
        let first = Addresses::open(folder.path(), 7)
            .unwrap()
            .take("a")
            .unwrap();
        let again = Addresses::open(folder.path(), 7).unwrap();
        assert_eq!(again.take("b").unwrap(), Ipv4Addr::new(10, 244, 7, 3));
        assert_eq!(again.take("a").unwrap(), first);
    }

    #[test]
    fn a_released_address_rests_before_it_is_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let addresses = Addresses::open(folder.path(), 0).unwrap();
        let first = addresses.take("a").unwrap();
        addresses.release("a").unwrap();
        assert_ne!(addresses.take("b").unwrap(), first);
    }

    #[test]
    fn every_address_is_given_once_and_then_refused() {
        let folder = tempfile::tempdir().unwrap();
        let addresses = Addresses::open(folder.path(), 0).unwrap();
        let all: std::collections::BTreeSet<_> = (0..253)
            .map(|number| addresses.take(&number.to_string()).unwrap())
            .collect();
        assert_eq!(all.len(), 253);
        assert!(matches!(
            addresses.take("one more"),
            Err(AddressError::Exhausted)
        ));
        addresses.release("17").unwrap();
        addresses.take("one more").unwrap();
    }
}
