//! Makes a fresh network namespace usable: loopback up, the ground's address
//! ranges local to it, low ports open to everyone.
//!
//! A *local* route on `lo` lets any address of the range be bound and reached
//! without configuring it first. There is no default route: nothing can leave.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType};

use super::GroundError;

/// Pods, services, and spare addresses for listeners of the ground itself.
const LOCAL_RANGES: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::new(10, 244, 0, 0), 16),
    (Ipv4Addr::new(10, 96, 0, 0), 16),
    (Ipv4Addr::new(10, 250, 0, 0), 16),
];

/// Which of the ranges an address of a ground is in.
pub(super) fn range_of(address: Ipv4Addr) -> Option<u8> {
    let is_in = |(base, bits): &(Ipv4Addr, u8)| {
        let mask = u32::MAX << (32 - u32::from(*bits));
        u32::from(address) & mask == u32::from(*base)
    };
    let index = LOCAL_RANGES.iter().position(is_in)?;
    u8::try_from(index).ok()
}

/// `lo` is the first interface of every network namespace.
const LOOPBACK_INDEX: u32 = 1;

/// `RT_TABLE_LOCAL` of the kernel: the table of addresses that are this host's.
const LOCAL_TABLE: u8 = 255;

/// Prepares the namespace of the calling thread.
pub(super) fn prepare() -> Result<(), GroundError> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None, // Protocol 0 is the routing family.
    )
    .map_err(|source| failed("open a netlink socket", source.into()))?;
    request(&socket, loopback_up(), 0).map_err(|source| failed("bring up `lo`", source))?;
    for (address, prefix) in LOCAL_RANGES {
        request(
            &socket,
            local_route(address, prefix),
            NLM_F_CREATE | NLM_F_REPLACE,
        )
        .map_err(|source| failed("add a local route", source))?;
    }
    set("net.ipv4.ip_unprivileged_port_start", "0")?;
    set("net.ipv4.ip_nonlocal_bind", "1")
}

fn failed(action: &'static str, source: io::Error) -> GroundError {
    GroundError::Prepare { action, source }
}

fn set(name: &'static str, value: &str) -> Result<(), GroundError> {
    let file = format!("/proc/sys/{}", name.replace('.', "/"));
    std::fs::write(file, value).map_err(|source| failed("set a kernel parameter", source))
}

fn loopback_up() -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = LOOPBACK_INDEX;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    RouteNetlinkMessage::SetLink(link)
}

fn local_route(address: Ipv4Addr, prefix: u8) -> RouteNetlinkMessage {
    let mut route = RouteMessage::default();
    route.header.address_family = AddressFamily::Inet;
    route.header.destination_prefix_length = prefix;
    route.header.table = LOCAL_TABLE;
    route.header.protocol = RouteProtocol::Boot;
    route.header.scope = RouteScope::Host;
    route.header.kind = RouteType::Local;
    route.attributes = vec![
        RouteAttribute::Destination(RouteAddress::Inet(address)),
        RouteAttribute::Oif(LOOPBACK_INDEX),
    ];
    RouteNetlinkMessage::NewRoute(route)
}

/// Sends one request and waits for its acknowledgement. The kernel answers
/// netlink requests before `send` returns, so this cannot hang.
fn request(socket: &OwnedFd, message: RouteNetlinkMessage, extra_flags: u16) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | extra_flags;
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    rustix::net::send(socket, &bytes, SendFlags::empty())?;

    let mut answer = [0_u8; 8192];
    let (length, _) = rustix::net::recv(socket, &mut answer[..], RecvFlags::empty())?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer[..length])
        .map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::Error(error) => match error.code {
            None => Ok(()),
            Some(_) => Err(error.to_io()),
        },
        _ => Err(io::Error::other(
            "netlink sent something else than an answer",
        )),
    }
}
