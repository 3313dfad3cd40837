//! Which endpoint a client was last led to, for `sessionAffinity: ClientIP`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Clients remembered per Service; the one unseen for longest makes room.
const CLIENTS_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Affinity {
    clients: HashMap<IpAddr, (SocketAddr, Instant)>,
}

impl Affinity {
    /// Puts the endpoint the client knows first, if it is still there.
    pub(super) fn arrange(
        &mut self,
        client: IpAddr,
        endpoints: &mut [SocketAddr],
        within: Duration,
        now: Instant,
    ) {
        let Some((known, seen)) = self.clients.get(&client) else {
            return;
        };
        if now.duration_since(*seen) > within {
            return;
        }
        if let Some(index) = endpoints.iter().position(|endpoint| endpoint == known) {
            endpoints.swap(0, index);
        }
    }

    pub(super) fn remember(&mut self, client: IpAddr, endpoint: SocketAddr, now: Instant) {
        if self.clients.len() >= CLIENTS_MAX && !self.clients.contains_key(&client) {
            let oldest = self.clients.iter().min_by_key(|(_, (_, seen))| *seen);
            if let Some(oldest) = oldest.map(|(client, _)| *client) {
                self.clients.remove(&oldest);
            }
        }
        self.clients.insert(client, (endpoint, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(number: u8) -> SocketAddr {
        SocketAddr::from(([10, 244, 0, number], 80))
    }

    #[test]
    fn a_client_stays_with_its_endpoint_until_it_goes_or_time_is_up() {
        let client = IpAddr::from([10, 244, 0, 99]);
        let (start, within) = (Instant::now(), Duration::from_secs(10));
        let mut affinity = Affinity::default();
        affinity.remember(client, endpoint(2), start);
        let mut first = |endpoints: &[u8], later: u64| {
            let mut endpoints: Vec<_> = endpoints.iter().map(|number| endpoint(*number)).collect();
            let now = start + Duration::from_secs(later);
            affinity.arrange(client, &mut endpoints, within, now);
            endpoints[0]
        };
        assert_eq!(first(&[1, 2, 3], 9), endpoint(2));
        assert_eq!(first(&[1, 3], 9), endpoint(1));
        assert_eq!(first(&[1, 2, 3], 11), endpoint(1));
    }
}
