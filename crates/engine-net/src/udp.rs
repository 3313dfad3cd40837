//! UDP ports of Services: datagrams of a client go to one endpoint, answers back.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foreshore_sys::Ground;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::reach::datagrams_for;
use crate::service::Backends;
use crate::view::Views;

/// Clients served per port at the same time; the datagrams of more are lost,
/// as UDP allows.
const FLOWS_MAX: usize = 1024;
/// A client that is silent for so long, and gets nothing, is forgotten.
const IDLE: Duration = Duration::from_mins(1);
/// Wait before an address is tried again that could not be bound.
const REBIND: Duration = Duration::from_secs(1);
/// No datagram is larger.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// Keeps a relay for every front, until the sender of views is gone.
pub(crate) async fn run(ground: Ground, mut views: Views) {
    let mut relays: BTreeMap<SocketAddr, Relay> = BTreeMap::new();
    loop {
        let view = views.borrow_and_update().clone();
        if let Some(view) = view {
            apply(&ground, &mut relays, &view.services.udp_fronts);
        }
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// A front that is served; dropping it ends it.
struct Relay {
    backends: watch::Sender<Backends>,
    _end: tokio_util::sync::DropGuard,
}

fn apply(
    ground: &Ground,
    relays: &mut BTreeMap<SocketAddr, Relay>,
    fronts: &BTreeMap<SocketAddr, Backends>,
) {
    relays.retain(|front, _| fronts.contains_key(front));
    for (front, backends) in fronts {
        if let Some(relay) = relays.get(front) {
            relay.backends.send_replace(backends.clone());
            continue;
        }
        let (sender, receiver) = watch::channel(backends.clone());
        let end = CancellationToken::new();
        let work = serve(ground.clone(), *front, receiver);
        tokio::spawn(end.clone().run_until_cancelled_owned(work));
        relays.insert(
            *front,
            Relay {
                backends: sender,
                _end: end.drop_guard(),
            },
        );
    }
}

async fn serve(ground: Ground, front: SocketAddr, backends: watch::Receiver<Backends>) {
    let socket = loop {
        match bind(&ground, front) {
            Ok(socket) => break Arc::new(socket),
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, address = %front, "service address is not free; will retry");
                tokio::time::sleep(REBIND).await;
            }
        }
    };
    info!(address = %front, "service address opened for UDP");
    let mut flows: HashMap<SocketAddr, Flow> = HashMap::new();
    let mut turn = 0_usize;
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let (length, client) = match socket.recv_from(&mut datagram).await {
            Ok(received) => received,
            Err(error) => {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "datagram was not received"
                );
                continue;
            }
        };
        flows.retain(|_, flow| !flow.answers.is_finished());
        let usable = backends.borrow().usable().to_vec();
        // An endpoint that has gone takes its flows with it.
        if flows
            .get(&client)
            .is_some_and(|flow| !usable.contains(&flow.endpoint))
        {
            flows.remove(&client);
        }
        if !flows.contains_key(&client) {
            if usable.is_empty() || flows.len() >= FLOWS_MAX {
                continue;
            }
            turn = turn.wrapping_add(1);
            let endpoint = usable[turn % usable.len()];
            match Flow::begin(&ground, &socket, client, endpoint).await {
                Ok(flow) => drop(flows.insert(client, flow)),
                Err(error) => {
                    debug!(error = &error as &dyn std::error::Error, %endpoint, "endpoint cannot be reached");
                    continue;
                }
            }
        }
        if let Some(flow) = flows.get(&client)
            && let Err(error) = flow.socket.send(&datagram[..length]).await
        {
            debug!(
                error = &error as &dyn std::error::Error,
                "datagram was not passed on"
            );
        }
    }
}

fn bind(ground: &Ground, front: SocketAddr) -> io::Result<UdpSocket> {
    let place = if front.ip().is_loopback() {
        &Ground::current()
    } else {
        ground
    };
    UdpSocket::from_std(place.udp_socket(front)?)
}

/// One client and its endpoint.
struct Flow {
    endpoint: SocketAddr,
    socket: Arc<UdpSocket>,
    answers: tokio::task::JoinHandle<()>,
}

impl Flow {
    async fn begin(
        ground: &Ground,
        front: &Arc<UdpSocket>,
        client: SocketAddr,
        endpoint: SocketAddr,
    ) -> io::Result<Self> {
        let socket = Arc::new(datagrams_for(ground, client.ip(), endpoint).await?);
        let answers = tokio::spawn(pass_back(Arc::clone(&socket), Arc::clone(front), client));
        Ok(Self {
            endpoint,
            socket,
            answers,
        })
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.answers.abort();
    }
}

/// Brings answers back until there is none for a while.
async fn pass_back(from: Arc<UdpSocket>, front: Arc<UdpSocket>, client: SocketAddr) {
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    while let Ok(received) = tokio::time::timeout(IDLE, from.recv(&mut datagram)).await {
        match received {
            Ok(length) => {
                if let Err(error) = front.send_to(&datagram[..length], client).await {
                    debug!(error = &error as &dyn std::error::Error, "answer was lost");
                }
            }
            // Refused: nobody listens at the endpoint. Another may take over.
            Err(_refused) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn datagrams_reach_an_endpoint_and_answers_come_back() {
        let endpoint = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let backends = Backends {
            ready: vec![endpoint.local_addr().unwrap()],
            ..Backends::default()
        };
        tokio::spawn(async move {
            let mut datagram = [0; 64];
            loop {
                let (length, from) = endpoint.recv_from(&mut datagram).await.unwrap();
                let text = [b"re: ", &datagram[..length]].concat();
                endpoint.send_to(&text, from).await.unwrap();
            }
        });
        let front = UdpSocket::bind("127.0.7.9:0").await.unwrap();
        let address = front.local_addr().unwrap();
        drop(front);
        let mut relays = BTreeMap::new();
        let fronts = BTreeMap::from([(address, backends)]);
        apply(&Ground::current(), &mut relays, &fronts);
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(address).await.unwrap();
        let ask = async {
            let mut answer = [0; 64];
            loop {
                // Until the relay is there, the kernel refuses or drops.
                let again = Duration::from_millis(20);
                if client.send(b"hello").await.is_ok()
                    && let Ok(Ok(length)) =
                        tokio::time::timeout(again, client.recv(&mut answer)).await
                {
                    break String::from_utf8(answer[..length].to_vec()).unwrap();
                }
            }
        };
        let answer = tokio::time::timeout(LIMIT, ask).await.unwrap();
        assert_eq!(answer, "re: hello");
        apply(&Ground::current(), &mut relays, &BTreeMap::new());
        assert!(relays.is_empty());
    }
}
